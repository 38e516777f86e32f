//! Logto's limit holds, whatever clients do: 200 requests in any 10 seconds, token and retries included.

#![expect(clippy::disallowed_methods, reason = "load lasts for a time")]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, StatusCode};
use logto_gateway::simulator::{Fault, FaultKind};
use tokio::time::{Instant, sleep, sleep_until};

use crate::harness::{Plan, World};
use crate::load::line::Naive;

const WINDOW: Duration = Duration::from_secs(10);

/// Sixty seconds of 64 clients that each ask for something new as soon as they have an answer, all silent from the
/// 20th second to the 35th. Each goes past `pace` first. Returns what they were answered.
async fn load(world: &World, pace: impl AsyncFn()) -> Vec<StatusCode> {
    let (start, asked, answers) = (Instant::now(), Cell::new(0), RefCell::new(Vec::new()));
    let client = async || {
        while start.elapsed() < Duration::from_secs(60) {
            if (20..35).contains(&start.elapsed().as_secs()) {
                sleep_until(start + Duration::from_secs(35)).await;
            }
            pace().await;
            asked.set(asked.get() + 1);
            let path = format!("/api/users?page_size=1&n={}", asked.get());
            let answer = world.get(&path).await;
            answers.borrow_mut().push(answer.status);
            // Time passes for one who is refused at once, too.
            sleep(Duration::from_millis(1)).await;
        }
    };
    join_all((0..64).map(|_| client())).await;
    answers.into_inner()
}

fn all_ok(answers: &[StatusCode]) -> bool {
    answers.iter().all(|status| *status == StatusCode::OK)
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_clients_that_never_rest_stays_within_the_limit_and_uses_it() {
    let world = Plan::default().world();
    let answers = load(&world, async || {}).await;
    assert!(all_ok(&answers));
    let busiest = world.logto.busiest_window(WINDOW);
    assert!(busiest <= 200, "{busiest}");
    assert_eq!(world.logto.throttled(), 0);
    // 45 s at 17.1/s, and a burst after the silence.
    assert!(answers.len() > 750, "{}", answers.len());
}

#[tokio::test(start_paused = true)]
async fn the_same_minute_behind_a_bucket_of_200_and_20_a_second_goes_over_the_limit() {
    let world = Plan::default().set("budget.limit", "off").world();
    let naive = Naive::full();
    load(&world, async || naive.permit().await).await;
    assert!(world.logto.busiest_window(WINDOW) > 200);
    assert!(world.logto.throttled() > 0);
}

#[tokio::test(start_paused = true)]
async fn retries_pay_like_everybody_else() {
    let world = Plan::default().set("retry.attempts_max", "10").world();
    let broken = FaultKind::Status(StatusCode::BAD_GATEWAY);
    world.logto.fault(Fault::new("/api/users", broken).times(1_000_000));
    load(&world, async || {}).await;
    let busiest = world.logto.busiest_window(WINDOW);
    assert!((150..=200).contains(&busiest), "{busiest}");
    assert_eq!(world.logto.throttled(), 0);
}

#[tokio::test(start_paused = true)]
async fn fifty_who_want_the_same_at_once_cost_one_call() {
    let world = Plan::default().world();
    let answers = join_all((0..50).map(|_| world.get("/api/users"))).await;
    assert!(answers.iter().all(|a| a.status == StatusCode::OK && a.body == answers[0].body));
    let collapsed = answers.iter().filter(|a| a.header("cache-status").ends_with("; collapsed"));
    assert_eq!(collapsed.count(), 49);
    assert_eq!(world.received(&Method::GET, "/api/users"), 1);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_who_want_different_things_after_a_pause_are_all_answered() {
    let world = Plan::default().world();
    sleep(Duration::from_secs(60)).await;
    let paths: Vec<String> = (0..200).map(|n| format!("/api/users?page_size=1&n={n}")).collect();
    let answers = join_all(paths.iter().map(|path| world.get(path))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(world.received(&Method::GET, "/api/users"), 200);
    assert_eq!(world.logto.throttled(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_starts_again_and_again_stays_within_the_limit() {
    let mut world = Plan::default().world();
    for _ in 0..8 {
        let paths: Vec<String> = (0..100).map(|n| format!("/api/users?page_size=1&n={n}")).collect();
        let clients = join_all(paths.iter().map(|path| world.get(path)));
        tokio::time::timeout(Duration::from_millis(1_200), clients).await.ok();
        world = world.restarted();
    }
    assert!(world.logto.received().len() > 100, "it was under load");
    assert_eq!(world.logto.throttled(), 0);
}
