//! What time does to tokens and connections.

use std::time::Duration;

use tokio::time::sleep;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_token_dies_at_exp() {
    let logto = logto();
    logto.set_token_lifetime(Duration::from_secs(5));
    let token = bearer(&logto).await;
    sleep(Duration::from_millis(4999)).await;
    assert_eq!(get(&logto, &token, "/api/users").await.status, 200);
    sleep(Duration::from_millis(1)).await;
    let dead = get(&logto, &token, "/api/users").await;
    assert_eq!(dead.status, 401);
    let data = dead.json()["data"].clone();
    let payload = &data["payload"];
    let (jti, iat) = (&payload["jti"], payload["iat"].as_u64().unwrap());
    assert_eq!(
        data.to_string(),
        format!(
            "{{\"code\":\"ERR_JWT_EXPIRED\",\"name\":\"JWTExpired\",\"claim\":\"exp\",\
             \"reason\":\"check_failed\",\"payload\":{{\"jti\":{jti},\"sub\":\"m2mgateway00000000001\",\
             \"iat\":{iat},\"exp\":{},\"scope\":\"all\",\"client_id\":\"m2mgateway00000000001\",\
             \"iss\":\"http://localhost:3001/oidc\",\"aud\":\"https://default.logto.app/api\"}}}}",
            iat + 5
        )
    );
    assert_eq!(get(&logto, &bearer(&logto).await, "/api/users").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn revoked_tokens_are_refused_and_new_ones_work() {
    let logto = logto();
    let old = bearer(&logto).await;
    logto.revoke_tokens();
    let refused = get(&logto, &old, "/api/users").await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json()["data"]["code"], "ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
    let new = bearer(&logto).await;
    assert_eq!(get(&logto, &new, "/api/users").await.status, 200);
    logto.refuse_tokens(true);
    let fresh = bearer(&logto).await;
    assert_eq!(get(&logto, &fresh, "/api/users").await.status, 401);
    logto.refuse_tokens(false);
    assert_eq!(get(&logto, &fresh, "/api/users").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_closes_after_six_seconds() {
    let logto = logto();
    let start = now();
    raw(&logto, "GET /api/status HTTP/1.1\r\nHost: localhost:3001\r\n\r\n").await;
    assert_eq!(start.elapsed().as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_answer_takes_as_long_as_is_set_and_its_work_is_done_before() {
    let logto = logto();
    let token = bearer(&logto).await;
    logto.set_latency(Duration::from_secs(2));
    let start = now();
    let writing = write(&logto, &token, "POST /api/users", "{\"username\":\"late\"}");
    let reading = async {
        sleep(Duration::from_secs(1)).await;
        logto.set_latency(Duration::ZERO);
        get(&logto, &token, "/api/users?search=late").await
    };
    let (written, read) = tokio::join!(writing, reading);
    assert_eq!((written.status, start.elapsed().as_secs()), (200, 2));
    assert_eq!(read.header("total-number"), Some("1"));
}
