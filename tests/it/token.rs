//! One token for everybody: clients never see it expire, and learn why when there is none.

#![expect(clippy::disallowed_methods, reason = "load lasts for a time")]

use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, StatusCode};
use logto_gateway::simulator::{Fault, FaultKind};
use tokio::time::{Instant, sleep};

use crate::harness::{Plan, World};

/// So many seconds of eight clients that each ask for something new as soon as they have an answer. Returns what
/// they were answered.
async fn load(world: &World, seconds: u64) -> Vec<StatusCode> {
    let start = Instant::now();
    let client = async |name: usize| {
        let mut answers = Vec::new();
        while start.elapsed() < Duration::from_secs(seconds) {
            let path = format!("/api/users?page_size=1&n={name}-{}", answers.len());
            answers.push(world.get(&path).await.status);
            // Time passes for one who is refused at once, too.
            sleep(Duration::from_millis(1)).await;
        }
        answers
    };
    join_all((0..8).map(client)).await.concat()
}

fn refused_by_logto(world: &World) -> usize {
    world.logto.received().iter().filter(|request| request.status == Some(401)).count()
}

#[tokio::test(start_paused = true)]
async fn tokens_that_live_for_five_seconds_are_renewed_before_anybody_notices() {
    let world = Plan::default().logto(|logto| logto.token_lifetime = Duration::from_secs(5)).world();
    let answers = load(&world, 120).await;
    assert!(answers.len() > 1900, "it was under load: {}", answers.len());
    assert!(answers.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(refused_by_logto(&world), 0);
    let fetches = world.logto.token_requests();
    assert!((24..=36).contains(&fetches), "about one for each lifetime: {fetches}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_revoked_is_replaced_once_and_nobody_sees_it() {
    let world = Plan::default().world();
    let (answers, ()) = tokio::join!(load(&world, 30), async {
        sleep(Duration::from_secs(10)).await;
        assert_eq!(world.logto.token_requests(), 1);
        world.logto.revoke_tokens();
    });
    assert!(answers.iter().all(|status| *status == StatusCode::OK));
    assert!(refused_by_logto(&world) > 0);
    assert_eq!(world.logto.token_requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_logto_that_refuses_every_token_is_asked_for_few_and_clients_are_told_why() {
    let world = Plan::default().world();
    world.logto.refuse_tokens(true);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(120) {
        let answer = world.get("/api/users").await;
        assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "no_token".to_owned()));
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("Logto refuses the tokens it issues"), "{detail}");
        let after: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&after), "{after}");
        sleep(Duration::from_millis(100)).await;
    }
    // At 0 s, and after 1, 2, 4, 8, 16, 32 and 60 s.
    let fetches = world.logto.token_requests();
    assert!((6..=8).contains(&fetches), "{fetches}");
    assert_eq!(refused_by_logto(&world), fetches, "each is tried once");
    world.logto.refuse_tokens(false);
    sleep(Duration::from_secs(61)).await;
    assert_eq!(world.get("/api/users").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_fails_nobody_while_the_token_is_good() {
    let world = Plan::default().logto(|logto| logto.token_lifetime = Duration::from_secs(600)).world();
    assert_eq!(world.get("/api/users").await.status, StatusCode::OK);
    world.logto.fault(Fault::new("/oidc/token", FaultKind::Status(StatusCode::BAD_GATEWAY)).times(5));
    sleep(Duration::from_secs(541)).await;
    let answers = load(&world, 70).await;
    assert!(answers.iter().all(|status| *status == StatusCode::OK));
    assert_eq!((world.logto.token_requests(), refused_by_logto(&world)), (7, 0));
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_token_was_refused_is_sent_again_with_its_body() {
    let world = Plan::default().world();
    assert_eq!(world.get("/api/users").await.status, StatusCode::OK);
    world.logto.revoke_tokens();
    let created = world.write(Method::POST, "/api/users", r#"{"username":"newcomer"}"#).await;
    assert_eq!((created.status, &created.json()["username"]), (StatusCode::OK, &"newcomer".into()));
    assert_eq!((world.received(&Method::POST, "/api/users"), world.logto.token_requests()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_token_fetched_in_a_hurry_pays_and_so_does_the_replay() {
    let world = Plan::default().world();
    assert!(load(&world, 5).await.iter().all(|status| *status == StatusCode::OK));
    world.logto.revoke_tokens();
    assert_eq!(world.get("/api/users").await.status, StatusCode::OK);
    let received = world.logto.received();
    let last: Vec<Instant> = received.iter().rev().take(4).map(|request| request.at).collect();
    // A read of the load, the read that is refused, the token, the read again.
    for pair in last.windows(2) {
        assert!(pair[0] - pair[1] >= Duration::from_millis(57), "{:?}", pair[0] - pair[1]);
    }
}
