//! The token endpoint, row by row.

use super::*;

const ID: &str = "client_id=m2mgateway00000000001";

async fn token(logto: &Simulator, basic: Option<&str>, form: &str) -> Reply {
    let mut headers = vec![("Content-Type", FORM)];
    headers.extend(basic.map(|value| ("Authorization", value)));
    ask(logto, "POST /oidc/token", &headers, form.to_owned()).await
}

fn granted(reply: &Reply) -> bool {
    let body = reply.json();
    reply.status == 200
        && body["scope"] == "all"
        && body["token_type"] == "Bearer"
        && body["expires_in"] == 3600
}

#[tokio::test(start_paused = true)]
async fn credentials_come_as_basic_as_a_form_or_as_json() {
    let logto = logto();
    assert!(granted(&token(&logto, Some(BASIC), GRANT).await));
    let form = format!("{GRANT}&{ID}&client_secret=simulated-secret");
    assert!(granted(&token(&logto, None, &form).await));
    let json = "{\"grant_type\":\"client_credentials\",\"resource\":\"https://default.logto.app/api\",\
                \"scope\":\"all\",\"client_id\":\"m2mgateway00000000001\",\"client_secret\":\"simulated-secret\"}";
    let headers = [("Content-Type", "application/json")];
    assert!(granted(&ask(&logto, "POST /oidc/token", &headers, json).await));
    assert_eq!(logto.token_requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn every_refusal_has_its_status_and_its_words() {
    let logto = logto();
    let wrong = format!("{GRANT}&{ID}&client_secret=wrong");
    let unknown = format!("{GRANT}&client_id=nope&client_secret=x");
    let other_resource = GRANT.replace("default", "other");
    let no_resource = "grant_type=client_credentials&scope=all";
    let other_grant = GRANT.replace("client_credentials", "password");
    let rows = [
        (None, &*wrong, 401, "oidc.invalid_client", "client authentication failed"),
        (None, &*unknown, 400, "oidc.invalid_client", "invalid client nope"),
        (
            Some(BASIC),
            &*other_resource,
            400,
            "oidc.invalid_target",
            "resource indicator is missing, or unknown",
        ),
        (
            Some(BASIC),
            no_resource,
            400,
            "oidc.invalid_target",
            "both `resource` and `organization_id` are not provided",
        ),
        (None, GRANT, 400, "oidc.invalid_request", "no client authentication mechanism provided"),
        (Some(BASIC), &*other_grant, 400, "oidc.unsupported_grant_type", "unsupported grant_type requested"),
    ];
    for (basic, form, status, code, description) in rows {
        let reply = token(&logto, basic, form).await;
        assert_eq!((reply.status, &*reply.code()), (status, code), "{form}");
        assert_eq!(reply.json()["error_description"], description);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("www-authenticate"), None, "no Basic was tried");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_by_basic_is_challenged() {
    let logto = logto();
    logto.set_secret("another");
    let reply = grant(&logto).await;
    assert_eq!(reply.status, 401);
    let challenge = reply.header("www-authenticate").unwrap();
    let expected = "Basic realm=\"http://localhost:3001/oidc\", error=\"invalid_client\", ";
    assert!(challenge.starts_with(expected), "{challenge}");
    assert_eq!(
        reply.text(),
        "{\"code\":\"oidc.invalid_client\",\"message\":\"An OIDC error occurred: oidc.invalid_client.\",\
         \"error\":\"invalid_client\",\"error_description\":\"client authentication failed\"}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_expired_secret_is_400_until_it_is_good_again() {
    let logto = logto();
    logto.set_secret_expired(true);
    let reply = grant(&logto).await;
    assert_eq!((reply.status, &*reply.code()), (400, "oidc.invalid_request"));
    assert_eq!(reply.json()["error_description"], "client secret has expired");
    assert_eq!(reply.header("cache-control"), None);
    logto.set_secret_expired(false);
    assert!(granted(&grant(&logto).await));
}

#[tokio::test(start_paused = true)]
async fn without_scope_or_role_the_token_is_worth_nothing() {
    let logto = logto();
    let none = GRANT.replace("&scope=all", "");
    let other = GRANT.replace("scope=all", "scope=foo");
    let mut replies = vec![token(&logto, Some(BASIC), &none).await, token(&logto, Some(BASIC), &other).await];
    logto.set_role(false);
    replies.push(grant(&logto).await);
    for reply in replies {
        let body = reply.json();
        assert_eq!((reply.status, body.get("scope")), (200, None));
        let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
        let refused = get(&logto, &bearer, "/api/users").await;
        assert_eq!(refused.status, 403);
        assert_eq!(
            refused.text(),
            "{\"code\":\"auth.forbidden\",\
             \"message\":\"Forbidden. Please check your user roles and permissions.\"}"
        );
    }
    logto.set_role(true);
    assert!(granted(&grant(&logto).await));
}

#[tokio::test(start_paused = true)]
async fn a_get_is_404() {
    let reply = ask(&logto(), "GET /oidc/token", &[], "").await;
    assert_eq!((reply.status, &*reply.code()), (404, "oidc.invalid_request"));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_application_gets_no_token_but_its_old_one_works() {
    let logto = logto();
    let token = bearer(&logto).await;
    let gone = write(&logto, &token, "DELETE /api/applications/m2mgateway00000000001", "").await;
    assert_eq!(gone.status, 204);
    assert_eq!(grant(&logto).await.status, 400);
    assert_eq!(get(&logto, &token, "/api/users").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_secret_made_by_the_api_is_good_for_a_token() {
    let logto = logto();
    let bearer = bearer(&logto).await;
    let path = "POST /api/applications/m2mgateway00000000001/secrets";
    let made = write(&logto, &bearer, path, "{\"name\":\"next\"}").await;
    assert_eq!(made.status, 201);
    let secret = made.json()["value"].as_str().unwrap().to_owned();
    let form = format!("{GRANT}&{ID}&client_secret={secret}");
    assert!(granted(&token(&logto, None, &form).await));
}

#[tokio::test(start_paused = true)]
async fn every_request_for_a_token_is_in_the_log() {
    let logto = logto();
    let token = bearer(&logto).await;
    bearer(&logto).await;
    let logs = get(&logto, &token, "/api/logs?page_size=1").await;
    assert_eq!(logs.header("total-number"), Some("2"));
    assert_eq!(logs.json()[0]["key"], "ExchangeTokenBy.ClientCredentials");
}
