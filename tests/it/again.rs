//! What is tried again and what must not be: a write is never done twice, and what it may have done is not forgotten.

#![expect(clippy::disallowed_methods, reason = "tests look at how long something took")]

use std::time::Duration;

use http::{Method, StatusCode};
use logto_gateway::simulator::{Fault, FaultKind, Limiter};
use tokio::time::{Instant, sleep};

use crate::harness::{Plan, World};

const NEWCOMER: &str = r#"{"username":"newcomer"}"#;

async fn create(world: &World) -> crate::harness::Answer {
    world.write(Method::POST, "/api/users", NEWCOMER).await
}

/// A gateway without limits that has its token.
async fn ready() -> World {
    let world = Plan::unlimited().world();
    assert_eq!(world.get("/api/roles").await.status, StatusCode::OK);
    world
}

#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_outcome_is_not_sent_twice_and_its_collections_stay_out_of_the_store_for_two_minutes()
 {
    let world = ready().await;
    let before = world.get("/api/users").await;
    world.logto.fault(Fault::new("/api/users", FaultKind::CommitThenReset).method(Method::POST));
    let answer = create(&world).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::BAD_GATEWAY, "upstream_broken".to_owned()));
    let written = Instant::now();
    for _ in 0..2 {
        let after = world.get("/api/users").await;
        assert_ne!(after.header("total-number"), before.header("total-number"));
        assert_eq!(after.header("cache-status"), "logto-gateway; fwd=uri-miss");
        sleep(Duration::from_secs(119).saturating_sub(written.elapsed())).await;
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.get("/api/users").await.header("cache-status"), "logto-gateway; fwd=uri-miss; stored");
    assert_eq!(world.received(&Method::POST, "/api/users"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_is_sent_once_whatever_becomes_of_it() {
    for (kind, status) in [
        (FaultKind::ResetBeforeReply, 502),
        (FaultKind::CommitThenReset, 502),
        (FaultKind::Hang, 504),
        (FaultKind::Status(StatusCode::INTERNAL_SERVER_ERROR), 500),
        (FaultKind::Status(StatusCode::BAD_GATEWAY), 502),
        (FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE), 503),
        (FaultKind::HtmlPage(StatusCode::GATEWAY_TIMEOUT), 504),
    ] {
        let world = ready().await;
        world.logto.fault(Fault::new("/api/users", kind.clone()));
        assert_eq!(create(&world).await.status.as_u16(), status, "{kind:?}");
        assert_eq!(world.received(&Method::POST, "/api/users"), 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_is_tried_again_where_that_may_help() {
    for (kind, attempts) in [
        (FaultKind::ResetBeforeReply, 2),
        (FaultKind::ResetMidBody, 2),
        (FaultKind::Status(StatusCode::BAD_GATEWAY), 2),
        (FaultKind::HtmlPage(StatusCode::SERVICE_UNAVAILABLE), 2),
        (FaultKind::Status(StatusCode::GATEWAY_TIMEOUT), 2),
        (FaultKind::Status(StatusCode::INTERNAL_SERVER_ERROR), 1),
        (FaultKind::HtmlPage(StatusCode::FORBIDDEN), 1),
        (FaultKind::Hang, 1),
    ] {
        let world = ready().await;
        world.logto.fault(Fault::new("/api/users", kind.clone()));
        let answer = world.get("/api/users").await;
        assert_eq!(answer.status == StatusCode::OK, attempts == 2, "{kind:?}: {}", answer.status);
        assert_eq!(world.received(&Method::GET, "/api/users"), attempts, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_every_time_is_given_up_with_logtos_last_answer() {
    let world = ready().await;
    world.logto.fault(Fault::new("/api/users", FaultKind::HtmlPage(StatusCode::BAD_GATEWAY)).times(9));
    let answer = world.get("/api/users").await;
    assert_eq!(
        (answer.status, answer.header("content-type").contains("html")),
        (StatusCode::BAD_GATEWAY, true)
    );
    assert_eq!(world.received(&Method::GET, "/api/users"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_logtos_limiter_refused_is_done_once_it_thaws() {
    for (retry_after, pause) in [(None, 10), (Some(Duration::from_secs(4)), 4)] {
        let world = ready().await;
        world.logto.set_limiter(Some(Limiter { limit: 0, retry_after, ..Limiter::default() }));
        let start = Instant::now();
        let (answer, ()) = tokio::join!(create(&world), async {
            sleep(Duration::from_secs(1)).await;
            world.logto.set_limiter(None);
        });
        assert_eq!((answer.status, &answer.json()["username"]), (StatusCode::OK, &"newcomer".into()));
        assert_eq!(start.elapsed().as_secs(), pause);
        assert_eq!(world.received(&Method::POST, "/api/users"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_outlasts_a_calls_patience_reaches_the_client_with_the_time_to_come_back() {
    let world = ready().await;
    let limiter = Limiter { limit: 0, retry_after: Some(Duration::from_secs(45)), ..Limiter::default() };
    world.logto.set_limiter(Some(limiter));
    let refused = create(&world).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "45"));
    let next = world.get("/api/users").await;
    assert_eq!((next.status, next.code()), (StatusCode::SERVICE_UNAVAILABLE, "frozen".to_owned()));
    let after: u64 = next.header("retry-after").parse().expect("seconds");
    assert!((44..=45).contains(&after));
    assert!(next.header("proxy-status").starts_with("logto-gateway;"), "it is the gateway's own");
    assert_eq!(world.received(&Method::GET, "/api/users"), 0, "nothing is sent meanwhile");
}
