//! The Management API: what requests are let in, which paths mean what, which bodies are refused.

use super::*;

#[tokio::test(start_paused = true)]
async fn every_bad_authorization_has_its_error() {
    let logto = logto();
    let good = bearer(&logto).await;
    let unauthorized = |reason: &str| {
        format!(
            "{{\"code\":\"auth.unauthorized\",\"data\":{reason},\
             \"message\":\"Unauthorized. Please check credentials and its scope.\"}}"
        )
    };
    let invalid = unauthorized("{\"code\":\"ERR_JWS_INVALID\",\"name\":\"JWSInvalid\"}");
    let unsigned = unauthorized(
        "{\"code\":\"ERR_JWS_SIGNATURE_VERIFICATION_FAILED\",\"name\":\"JWSSignatureVerificationFailed\"}",
    );
    let unsupported = "{\"code\":\"auth.authorization_token_type_not_supported\",\
                       \"data\":{\"supportedTypes\":[\"Bearer\"]},\
                       \"message\":\"Authorization type is not supported.\"}"
        .to_owned();
    let last = if good.ends_with('A') { "B" } else { "A" };
    let tampered = format!("{}{last}", &good[..good.len() - 1]);
    let rows = [
        ("Bearer garbled", &invalid),
        ("Bearer a.b.c", &invalid),
        ("Basic abc", &unsupported),
        (&good.replace("Bearer", "bearer"), &unsupported),
        (&good.replace("Bearer ", "Bearer  "), &unsigned),
        (&tampered, &unsigned),
    ];
    for (authorization, body) in rows {
        let reply = get(&logto, authorization, "/api/users").await;
        assert_eq!((reply.status, reply.text()), (401, &**body), "{authorization}");
        assert_eq!(reply.header("www-authenticate"), None);
    }
    let none = ask(&logto, "GET /api/users", &[], "").await;
    assert_eq!(
        none.text(),
        "{\"code\":\"auth.authorization_header_missing\",\"message\":\"Authorization header is missing.\"}"
    );
}

#[tokio::test(start_paused = true)]
async fn aliases_of_a_path_are_the_same_user_and_near_misses_are_not() {
    let logto = logto();
    let token = bearer(&logto).await;
    let id = get(&logto, &token, "/api/users").await.json()[0]["id"].as_str().unwrap().to_owned();
    let encoded = format!("%{:02x}{}", id.as_bytes()[0], &id[1..]);
    for path in [
        format!("/api/users/{id}"),
        format!("/api/users/{id}/"),
        format!("/api/USERS/{id}"),
        format!("/api/users/{encoded}"),
        format!("/api/users/{id}?foo=1"),
        format!("http://localhost:3001/api/users/{id}"),
    ] {
        assert_eq!(get(&logto, &token, &path).await.json()["id"], *id, "{path}");
    }
    for path in
        ["/api//users", "/api/%75sers", "/api/./users", "/api/users;x", "/api/users%2F", "/api;x/users"]
    {
        let reply = ask(&logto, &format!("GET {path}"), &[], "").await;
        assert_eq!((reply.status, reply.text()), (404, "Not Found"), "{path}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    for path in ["/API/users", "//api/users", "/"] {
        let reply = ask(&logto, &format!("GET {path}"), &[], "").await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html; charset=utf-8")));
    }
    let dots = get(&logto, &token, "/api/users/%2e%2e/roles").await;
    assert_eq!((dots.status, &*dots.code()), (404, "entity.not_found"));
}

#[tokio::test(start_paused = true)]
async fn bad_bodies_are_refused_in_logtos_words() {
    let logto = logto();
    let token = bearer(&logto).await;
    let rows = [
        (
            "application/json",
            "{\"username\":\"not a name\"}",
            400,
            "{\"code\":\"guard.invalid_input\",\"data\":{\"issues\":[{\"validation\":\"regex\",\
             \"code\":\"invalid_string\",\"message\":\"Invalid\",\"path\":[\"username\"]}],\
             \"name\":\"ZodError\"},\"details\":\"Error in key path \\\"username\\\": (invalid_string) Invalid\",\
             \"message\":\"The request body is invalid.\"}",
        ),
        ("application/json", "{\"username\":", 400, "{\"message\":\"Unexpected end of JSON input\"}"),
        (
            "text/plain",
            "x",
            400,
            "{\"code\":\"guard.invalid_input\",\"data\":{\"issues\":[{\"code\":\"invalid_type\",\
             \"expected\":\"object\",\"received\":\"string\",\"path\":[],\
             \"message\":\"Expected object, received string\"}],\"name\":\"ZodError\"},\
             \"details\":\"Error in key path \\\"\\\": (invalid_type) Expected object but received string.\",\
             \"message\":\"The request body is invalid.\"}",
        ),
        (
            "application/json",
            "{\"username\":\"user1\"}",
            422,
            "{\"code\":\"user.username_already_in_use\",\"message\":\"This username is already in use.\"}",
        ),
    ];
    for (kind, body, status, expected) in rows {
        let headers = [("Authorization", &*token), ("Content-Type", kind)];
        let reply = ask(&logto, "POST /api/users", &headers, body).await;
        assert_eq!((reply.status, reply.text()), (status, expected));
    }
    let headers = [("Authorization", &*token), ("Content-Type", FORM)];
    let form = ask(&logto, "POST /api/users", &headers, "username=formuser1").await;
    assert_eq!((form.status, form.json()["username"].as_str()), (200, Some("formuser1")));
    let empty = ask(&logto, "POST /api/users", &headers[..1], "").await;
    assert_eq!((empty.status, empty.json()["username"].as_str()), (200, None));
}

#[tokio::test(start_paused = true)]
async fn json_beyond_a_mebibyte_is_404_to_the_byte() {
    let logto = logto();
    let token = bearer(&logto).await;
    let body = |length: usize| {
        let frame = "{\"customData\":{\"x\":\"\"}}";
        frame.replace("\"\"", &format!("\"{}\"", "a".repeat(length - frame.len())))
    };
    assert_eq!(write(&logto, &token, "POST /api/users", &body(1_048_576)).await.status, 200);
    let over = write(&logto, &token, "POST /api/users", &body(1_048_577)).await;
    assert_eq!((over.status, over.text()), (404, "Not Found"));
}

#[tokio::test(start_paused = true)]
async fn a_body_beyond_20_mebibytes_is_404_too() {
    let logto = logto();
    let token = bearer(&logto).await;
    let over = write(&logto, &token, "POST /api/users", &" ".repeat(20 * 1024 * 1024 + 1)).await;
    assert_eq!((over.status, over.text()), (404, "Not Found"));
}

#[tokio::test(start_paused = true)]
async fn some_of_it_is_open_to_anybody() {
    let logto = logto();
    assert_eq!(ask(&logto, "GET /api/status", &[], "").await.status, 204);
    assert_eq!(ask(&logto, "GET /api/.well-known/sign-in-exp", &[], "").await.status, 200);
    let swagger = ask(&logto, "GET /api/swagger.json", &[], "").await.json();
    assert!(swagger["paths"]["/api/users/{id}"]["patch"].is_object());
    let options = ask(&logto, "OPTIONS /api/users", &[], "").await;
    assert_eq!((options.status, options.header("allow"), options.text()), (200, Some("POST, HEAD, GET"), ""));
}

#[tokio::test(start_paused = true)]
async fn nothing_grows_beyond_its_limit() {
    let settings = Settings { seed_users: 3, users_max: 3, records_max: 2, ..Settings::default() };
    let logto = Simulator::new(settings);
    let token = bearer(&logto).await;
    assert_eq!(write(&logto, &token, "POST /api/users", "{}").await.status, 422);
    get(&logto, &token, "/api/users").await;
    let received = logto.received();
    let paths: Vec<&str> = received.iter().map(|request| &*request.path_and_query).collect();
    assert_eq!(paths, ["/api/users", "/api/users"]);
    assert_eq!(received[0].status, Some(422));
}
