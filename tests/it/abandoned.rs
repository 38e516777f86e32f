//! Clients that leave: what was not sent is never sent, what was sent is finished and learned from.

use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, StatusCode};
use logto_gateway::simulator::Limiter;
use tokio::time::{sleep, timeout};

use crate::harness::{Plan, World};

const NEWCOMER: &str = r#"{"username":"newcomer"}"#;

/// A client that leaves after this time, unanswered.
async fn leaves_after<T>(patience: Duration, client: impl Future<Output = T>) {
    assert!(timeout(patience, Box::pin(client)).await.is_err(), "it was answered");
}

/// A client of a gateway whose next permit is five seconds away: it has so many calls to make first.
async fn while_busy(world: &World, client: impl Future<Output = ()>) {
    assert_eq!(world.get("/api/roles").await.status, StatusCode::OK, "it has its token");
    let paths: Vec<String> = (0..100).map(|n| format!("/api/roles?n={n}")).collect();
    let busy = join_all(paths.iter().map(|path| world.get(path)));
    let behind_them = async {
        sleep(Duration::from_millis(100)).await;
        Box::pin(client).await;
    };
    let (answers, ()) = tokio::join!(busy, behind_them);
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    sleep(Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_client_leaves_while_it_waits_is_never_sent() {
    let world = Plan::default().world();
    let write = world.write(Method::POST, "/api/users", NEWCOMER);
    while_busy(&world, leaves_after(Duration::from_secs(1), write)).await;
    assert_eq!(world.received(&Method::POST, "/api/users"), 0);
    assert_eq!(world.gateway.throttle.status().waiting, 0);
    assert_eq!(world.gateway.metrics.totals().permits_wasted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_everybody_has_left_while_it_waits_is_never_sent() {
    let world = Plan::default().world();
    while_busy(&world, async {
        let clients = join_all((0..3).map(|_| world.get("/api/users")));
        leaves_after(Duration::from_secs(1), clients).await;
    })
    .await;
    assert_eq!(world.received(&Method::GET, "/api/users"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_one_still_waits_for_is_sent_though_the_first_has_left() {
    let world = Plan::default().world();
    while_busy(&world, async {
        let (first, second) = (Box::pin(world.get("/api/users")), Box::pin(world.get("/api/users")));
        let ((), second) = tokio::join!(leaves_after(Duration::from_secs(1), first), second);
        assert_eq!(second.status, StatusCode::OK);
    })
    .await;
    assert_eq!(world.received(&Method::GET, "/api/users"), 1);
}

fn slow() -> World {
    Plan::unlimited().logto(|logto| logto.latency = Duration::from_secs(1)).world()
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_client_leaves_after_it_was_sent_is_finished_once_and_dropped_from_the_store() {
    let world = slow();
    let before = world.get("/api/users").await;
    leaves_after(Duration::from_millis(500), world.write(Method::POST, "/api/users", NEWCOMER)).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.received(&Method::POST, "/api/users"), 1);
    let after = world.get("/api/users").await;
    assert_eq!(after.header("cache-status"), "logto-gateway; fwd=uri-miss; stored");
    let total = |answer: &crate::harness::Answer| answer.header("total-number").parse::<u32>().unwrap();
    assert_eq!(total(&after), total(&before) + 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_a_write_whose_client_has_left() {
    let world = slow();
    world.get("/api/roles").await;
    leaves_after(Duration::from_millis(500), world.write(Method::POST, "/api/users", NEWCOMER)).await;
    world.gateway.tasks.close();
    assert_eq!(world.gateway.tasks.len(), 1);
    world.gateway.tasks.wait().await;
    assert_eq!(world.logto.received().last().and_then(|request| request.status), Some(200));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_everybody_has_left_after_it_was_sent_is_stored() {
    let world = slow();
    world.get("/api/roles").await;
    leaves_after(Duration::from_millis(500), world.get("/api/users")).await;
    sleep(Duration::from_secs(5)).await;
    assert!(world.get("/api/users").await.header("cache-status").starts_with("logto-gateway; hit"));
    assert_eq!(world.received(&Method::GET, "/api/users"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_logtos_limiter_refused_is_not_sent_again_for_a_client_that_has_left() {
    let world = Plan::unlimited().world();
    world.get("/api/roles").await;
    world.logto.set_limiter(Some(Limiter { limit: 0, ..Limiter::default() }));
    leaves_after(Duration::from_secs(5), world.write(Method::POST, "/api/users", NEWCOMER)).await;
    world.logto.set_limiter(None);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(world.received(&Method::POST, "/api/users"), 1);
}
