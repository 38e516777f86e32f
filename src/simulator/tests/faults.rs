//! Every fault, from inside and over the wire.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::timeout;

use super::super::{Fault, FaultKind};
use super::*;

/// A tenant, and a token of it.
async fn tenant() -> (Simulator, String) {
    let logto = logto();
    let token = bearer(&logto).await;
    (logto, token)
}

/// How many users there are.
async fn users(logto: &Simulator, token: &str) -> String {
    get(logto, token, "/api/users").await.header("total-number").unwrap().to_owned()
}

async fn try_create(logto: &Simulator, token: &str) -> Result<Reply, hyper::Error> {
    try_ask(logto, "POST /api/users", &[("Authorization", token)], "").await
}

#[tokio::test(start_paused = true)]
async fn latency_delays_an_answer() {
    let (logto, token) = tenant().await;
    logto.fault(Fault::new("/api/users", FaultKind::Latency(Duration::from_secs(3))));
    let start = now();
    assert_eq!(get(&logto, &token, "/api/users").await.status, 200);
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_status_strikes_the_wanted_requests_so_many_times() {
    let (logto, token) = tenant().await;
    let fault = Fault::new("/api/users", FaultKind::Status(StatusCode::INTERNAL_SERVER_ERROR));
    logto.fault(fault.method(Method::GET).times(2));
    assert_eq!(get(&logto, &token, "/api/roles").await.status, 200);
    assert_eq!(try_create(&logto, &token).await.unwrap().status, 200);
    for _ in 0..2 {
        let reply = get(&logto, &token, "/api/users").await;
        assert_eq!((reply.status, reply.text()), (500, "{\"message\":\"Internal server error.\"}"));
    }
    assert_eq!(get(&logto, &token, "/api/users").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_reset_before_the_reply_writes_nothing() {
    let (logto, token) = tenant().await;
    logto.fault(Fault::new("/api/users", FaultKind::ResetBeforeReply));
    assert!(try_create(&logto, &token).await.is_err());
    assert_eq!(users(&logto, &token).await, "57");
    assert_eq!(logto.received()[1].status, None);
}

#[tokio::test(start_paused = true)]
async fn a_commit_then_reset_writes_and_says_nothing() {
    let (logto, token) = tenant().await;
    logto.fault(Fault::new("/api/users", FaultKind::CommitThenReset));
    assert!(try_create(&logto, &token).await.is_err());
    assert_eq!(users(&logto, &token).await, "58");
}

#[tokio::test(start_paused = true)]
async fn a_reset_in_the_body_leaves_half_of_it() {
    let (logto, token) = tenant().await;
    let whole = get(&logto, &token, "/api/users").await.body.len();
    logto.fault(Fault::new("/api/users", FaultKind::ResetMidBody).times(2));
    assert!(try_ask(&logto, "GET /api/users", &[("Authorization", &token)], "").await.is_err());
    let request =
        format!("GET /api/users HTTP/1.1\r\nHost: localhost:3001\r\nAuthorization: {token}\r\n\r\n");
    let answer = raw(&logto, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {whole}")));
    assert_eq!(body.len(), whole / 2);
}

#[tokio::test(start_paused = true)]
async fn a_hang_never_answers() {
    let (logto, token) = tenant().await;
    logto.fault(Fault::new("/api/users", FaultKind::Hang));
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, get(&logto, &token, "/api/users")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_edge_page_is_html_without_a_request_id() {
    let (logto, token) = tenant().await;
    logto.fault(Fault::new("/", FaultKind::HtmlPage(StatusCode::SERVICE_UNAVAILABLE)));
    let reply = get(&logto, &token, "/api/users").await;
    assert_eq!((reply.status, reply.header("content-type")), (503, Some("text/html; charset=utf-8")));
    assert_eq!(reply.header("logto-core-request-id"), None);
}

#[tokio::test(start_paused = true)]
async fn a_token_answer_is_what_was_wanted() {
    let logto = logto();
    let junk = Bytes::from(vec![b'x'; 10 * 1024 * 1024]);
    let kind = |body: Bytes| FaultKind::TokenAnswer {
        status: StatusCode::OK,
        content_type: "text/html".to_owned(),
        body,
    };
    logto.fault(Fault::new("/oidc/token", kind(junk.clone())));
    let reply = grant(&logto).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html")));
    assert!(reply.body == junk);
    assert_eq!(grant(&logto).await.json()["scope"], "all");
}

#[tokio::test(start_paused = true)]
async fn faults_and_revocations_can_be_ordered_over_the_wire() {
    let (logto, token) = tenant().await;
    let order = async |body: &str| {
        let headers = [("Content-Type", "application/json")];
        ask(&logto, "POST /simulator/faults", &headers, body.to_owned()).await.status
    };
    assert_eq!(order("{\"kind\":\"status\",\"status\":503,\"path\":\"/api\",\"method\":\"GET\"}").await, 204);
    assert_eq!(get(&logto, &token, "/api/users").await.status, 503);
    assert_eq!(order("{\"kind\":\"hang\",\"times\":100}").await, 204);
    assert_eq!(ask(&logto, "DELETE /simulator/faults", &[], "").await.status, 204);
    assert_eq!(get(&logto, &token, "/api/users").await.status, 200);
    for bad in
        ["{}", "{\"kind\":\"nope\"}", "{\"kind\":\"latency\"}", "{\"kind\":\"status\",\"status\":99}", "["]
    {
        assert_eq!(order(bad).await, 400, "{bad}");
    }
    assert_eq!(ask(&logto, "POST /simulator/revoke-tokens", &[], "").await.status, 204);
    assert_eq!(get(&logto, &token, "/api/users").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn the_newest_requests_are_listed_without_their_tokens() {
    let (logto, token) = tenant().await;
    get(&logto, &token, "/api/users?page=1").await;
    let listed = ask(&logto, "GET /simulator/requests?limit=1", &[], "").await;
    let requests = listed.json();
    assert_eq!(requests.as_array().unwrap().len(), 1);
    assert_eq!(requests[0]["path"], "/api/users?page=1");
    assert_eq!(requests[0]["status"], 200);
    assert!(!listed.text().contains("ey"));
    assert_eq!(logto.received().len(), 2, "the simulator's own endpoints are not recorded");
}
