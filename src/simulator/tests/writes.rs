//! What writes do to users, roles and organizations.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_user_lives_as_recorded() {
    let logto = logto();
    let token = bearer(&logto).await;
    let created =
        write(&logto, &token, "POST /api/users", "{\"username\":\"lifecycle\",\"password\":\"s3cret\"}")
            .await;
    assert_eq!(created.status, 200);
    assert_eq!(created.header("etag"), None);
    let mut user = created.json();
    let id = user["id"].as_str().unwrap().to_owned();
    let now = user["createdAt"].clone();
    assert_eq!(
        created.text(),
        format!(
            "{{\"id\":\"{id}\",\"username\":\"lifecycle\",\"primaryEmail\":null,\"primaryPhone\":null,\
             \"name\":null,\"avatar\":null,\"customData\":{{}},\"identities\":{{}},\"lastSignInAt\":null,\
             \"createdAt\":{now},\"updatedAt\":{now},\"profile\":{{}},\"applicationId\":null,\
             \"cimdClientId\":null,\"isSuspended\":false,\"hasPassword\":true}}"
        )
    );
    assert_eq!(id.len(), 12);
    let path = format!("/api/users/{id}");
    let change = async |below: &str, body: &str| {
        write(&logto, &token, &format!("PATCH {path}{below}"), body).await.json()
    };
    user["name"] = "New".into();
    assert_eq!(change("", "{\"name\":\"New\"}").await, user);
    assert_eq!(change("/custom-data", "{\"customData\":{\"a\":1}}").await.to_string(), "{\"a\":1}");
    assert_eq!(change("/custom-data", "{\"customData\":{\"b\":2}}").await.to_string(), "{\"a\":1,\"b\":2}");
    assert_eq!(
        change("/profile", "{\"profile\":{\"nickname\":\"n\"}}").await.to_string(),
        "{\"nickname\":\"n\"}"
    );
    assert_eq!(change("/is-suspended", "{\"isSuspended\":true}").await["isSuspended"], true);
    assert_eq!(change("/password", "{\"password\":\"other\"}").await["hasPassword"], true);
    let verify = format!("POST {path}/password/verify");
    assert_eq!(write(&logto, &token, &verify, "{\"password\":\"s3cret\"}").await.status, 422);
    assert_eq!(write(&logto, &token, &verify, "{\"password\":\"other\"}").await.status, 204);
    let has = get(&logto, &token, &format!("{path}/has-password")).await;
    assert_eq!(has.header("etag"), Some("\"14-YDGPJacNmpnyUKEMHVb/BVBbOHU\""));
    let gone = write(&logto, &token, &format!("DELETE {path}"), "").await;
    assert_eq!((gone.status, gone.header("content-type"), gone.text()), (204, None, ""));
    let again = write(&logto, &token, &format!("DELETE {path}"), "").await;
    assert_eq!(again.status, 404);
    assert_eq!(again.text(), "{\"code\":\"entity.not_found\",\"message\":\"The resource does not exist.\"}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_entity_is_named_and_a_taken_name_is_422() {
    let logto = logto();
    let token = bearer(&logto).await;
    for table in ["roles", "applications", "organizations"] {
        let reply = get(&logto, &token, &format!("/api/{table}/nope")).await;
        let message = format!("The {table} with ID `nope` does not exist.");
        assert_eq!((reply.status, &*reply.code()), (404, "entity.not_exists_with_id"));
        assert_eq!(reply.json()["message"], message);
    }
    let body = "{\"name\":\"Logto Management API access\",\"description\":\"d\"}";
    let duplicate = write(&logto, &token, "POST /api/roles", body).await;
    assert_eq!(duplicate.status, 422);
    assert_eq!(
        duplicate.text(),
        "{\"code\":\"role.name_in_use\",\
         \"message\":\"This role name Logto Management API access is already in use\"}"
    );
}

#[tokio::test(start_paused = true)]
async fn roles_are_given_taken_and_go_with_the_user() {
    let logto = logto();
    let token = bearer(&logto).await;
    let user = get(&logto, &token, "/api/users").await.json()[0]["id"].as_str().unwrap().to_owned();
    let body = "{\"name\":\"editor\",\"description\":\"d\"}";
    let role = write(&logto, &token, "POST /api/roles", body).await;
    assert_eq!(role.status, 200);
    let role = role.json()["id"].as_str().unwrap().to_owned();
    let roles = format!("/api/users/{user}/roles");
    let body = format!("{{\"roleIds\":[\"{role}\"]}}");
    assert_eq!(write(&logto, &token, &format!("POST {roles}"), &body).await.status, 201);
    assert_eq!(get(&logto, &token, &roles).await.json()[0]["name"], "editor");
    assert_eq!(get(&logto, &token, &format!("/api/roles/{role}/users")).await.json()[0]["id"], *user);
    assert_eq!(write(&logto, &token, &format!("PUT {roles}"), "{\"roleIds\":[]}").await.status, 200);
    assert_eq!(get(&logto, &token, &roles).await.text(), "[]");
    let users = format!("/api/roles/{role}/users");
    let body = format!("{{\"userIds\":[\"{user}\"]}}");
    assert_eq!(write(&logto, &token, &format!("POST {users}"), &body).await.status, 201);
    assert_eq!(write(&logto, &token, &format!("POST {users}"), &body).await.status, 422);
    assert_eq!(write(&logto, &token, &format!("DELETE /api/users/{user}"), "").await.status, 204);
    assert_eq!(get(&logto, &token, &users).await.header("total-number"), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn members_of_an_organization_have_roles_in_it() {
    let logto = logto();
    let token = bearer(&logto).await;
    let user = get(&logto, &token, "/api/users").await.json()[0]["id"].as_str().unwrap().to_owned();
    let make = async |path: &str, body: &str| {
        let made = write(&logto, &token, &format!("POST {path}"), body).await;
        assert_eq!(made.status, 201, "{path}");
        made
    };
    let organization = make("/api/organizations", "{\"name\":\"org\"}").await.json()["id"].clone();
    let role = make("/api/organization-roles", "{\"name\":\"member\"}").await.json()["id"].clone();
    let users = format!("/api/organizations/{}/users", organization.as_str().unwrap());
    let roles = format!("{users}/{user}/roles");
    let body = format!("{{\"organizationRoleIds\":[{role}]}}");
    assert_eq!(write(&logto, &token, &format!("POST {roles}"), &body).await.status, 422);
    make(&users, &format!("{{\"userIds\":[\"{user}\"]}}")).await;
    make(&roles, &body).await;
    assert_eq!(get(&logto, &token, &users).await.json()[0]["organizationRoles"][0]["name"], "member");
    let mine = get(&logto, &token, &format!("/api/users/{user}/organizations")).await;
    assert_eq!(mine.json()[0]["name"], "org");
    assert_eq!(write(&logto, &token, &format!("PUT {users}"), "{\"userIds\":[]}").await.status, 204);
    assert_eq!(get(&logto, &token, &users).await.text(), "[]");
    assert_eq!(write(&logto, &token, &format!("DELETE {users}/{user}"), "").await.status, 404);
}
