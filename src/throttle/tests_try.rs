//! The way back from a pause: one try at a time, and one cut an episode, on paused time.

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::sleep;

use super::tests::{PERIOD, about, asks, line, now, use_up};
use super::tests_frozen::{answered, slower};
use super::*;
use crate::call::sample::get;
use crate::caller::Caller;
use crate::reply::Failure;

const PAUSE: Duration = Duration::from_secs(5);
const EDGE_PAGE: &str = "<!doctype html>";

fn patient() -> Call {
    get("/api/users").within(Duration::from_secs(3600)).call()
}

fn refusal() -> Outcome {
    answered(429, Some("5"), "")
}

/// One call of this caller at this route ends like this.
async fn ends(line: &Throttle, call: &Call, outcome: &Outcome) -> Option<Duration> {
    let mut permit = asks(line, call).await.expect("its turn comes");
    permit.spend();
    line.learn(&mut permit, outcome);
    line.frozen_for()
}

/// A line that was refused, and whose pause has just ended; with a burst under way that was sent before.
async fn thawing(call: &Call) -> (Throttle, Vec<Permit>) {
    let line = line(|_| {});
    sleep(Duration::from_secs(60)).await;
    let burst = join_all((0..3).map(|_| asks(&line, call))).await;
    let mut burst: Vec<Permit> = burst.into_iter().map(|permit| permit.expect("one of the burst")).collect();
    burst.iter_mut().for_each(Permit::spend);
    let mut refused = burst.pop().expect("three");
    line.learn(&mut refused, &refusal());
    drop(refused);
    sleep(PAUSE).await;
    (line, burst)
}

fn factor(line: &Throttle) -> f64 {
    let status = line.status();
    status.rate_per_s.expect("there is a limit") / status.rate_max_per_s.expect("there is a limit")
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_one_call_goes_out_and_the_others_wait_for_its_answer() {
    let call = patient();
    let (line, _) = thawing(&call).await;
    let (first, second) = (asks(&line, &call), asks(&line, &call));
    let mut first = first.await.expect("the try");
    first.spend();
    sleep(Duration::from_secs(3)).await;
    assert_eq!((line.status().waiting, line.status().in_flight), (1, 1), "though permits are to be had");
    line.learn(&mut first, &answered(200, None, "{}"));
    let opened = now();
    assert!(about(use_up(second.await.expect("it is open")), opened));
}

#[tokio::test(start_paused = true)]
async fn a_try_that_is_refused_freezes_again_and_slows_nobody_further() {
    let call = patient();
    let (line, _) = thawing(&call).await;
    for _ in 0..3 {
        assert_eq!(ends(&line, &call, &refusal()).await, Some(PAUSE));
        assert!((factor(&line) - 0.7).abs() < 0.002, "{}", factor(&line));
    }
}

#[tokio::test(start_paused = true)]
async fn all_refusals_of_one_episode_make_one_cut_and_those_of_the_next_another() {
    let call = patient();
    let (line, burst) = thawing(&call).await;
    ends(&line, &call, &answered(200, None, "{}")).await;
    for mut late in burst {
        line.learn(&mut late, &refusal());
        assert_eq!(line.frozen_for(), None, "it was sent before the cut");
    }
    assert!((factor(&line) - 0.7).abs() < 0.002, "{}", factor(&line));
    assert_eq!(ends(&line, &call, &refusal()).await, Some(PAUSE));
    assert!((factor(&line) - 0.49).abs() < 0.002, "{}", factor(&line));
}

#[tokio::test(start_paused = true)]
async fn a_try_that_is_never_sent_or_never_answered_frees_its_place() {
    let call = patient();
    for sent in [false, true] {
        let (line, _) = thawing(&call).await;
        let mut tried = asks(&line, &call).await.expect("the try");
        let next = asks(&line, &call);
        if sent {
            tried.spend();
            line.learn(&mut tried, &Outcome::Failed(Failure::Broken));
        }
        let ended = now();
        drop(tried);
        let mut next = next.await.expect("the next try");
        assert!(next.granted - ended <= slower() + Duration::from_millis(1));
        assert!(asks(&line, &call).now_or_never().is_none(), "it is a try as well");
        next.spend();
        line.learn(&mut next, &answered(200, None, "{}"));
        assert!(asks(&line, &call).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_try_that_draws_an_edges_page_decides_nothing_and_the_next_one_does() {
    let call = patient();
    let (line, _) = thawing(&call).await;
    let (odd, next, last) = (asks(&line, &call), asks(&line, &call), asks(&line, &call));
    let mut odd = odd.await.expect("the try");
    odd.spend();
    line.learn(&mut odd, &answered(403, None, EDGE_PAGE));
    drop(odd);
    let mut next = next.await.expect("the next try");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(line.status().waiting, 1, "the line is not open yet");
    next.spend();
    line.learn(&mut next, &answered(200, None, "{}"));
    assert!(last.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_while_the_try_is_under_way_lets_no_second_one_out_beside_it() {
    let call = patient();
    let (line, mut burst) = thawing(&call).await;
    let mut tried = asks(&line, &call).await.expect("the try");
    tried.spend();
    let mut late = burst.pop().expect("two are left");
    line.learn(&mut late, &refusal());
    assert_eq!(line.frozen_for(), Some(PAUSE), "it only prolongs the pause");
    burst.clear();
    drop(late);
    let next = asks(&line, &call);
    sleep(PAUSE * 2).await;
    assert_eq!((line.frozen_for(), line.status().waiting, line.status().in_flight), (None, 1, 1));
    line.learn(&mut tried, &answered(200, None, "{}"));
    drop(tried);
    assert!(next.await.is_ok());
    assert!((factor(&line) - 0.7).abs() < 0.002, "{}", factor(&line));
}

#[tokio::test(start_paused = true)]
async fn an_odd_body_that_draws_an_edges_page_holds_nobody_else_back() {
    let (line, page) = (line(|_| {}), answered(403, None, EDGE_PAGE));
    let odd = Call { caller: Caller::named("odd"), ..patient() };
    for _ in 0..20 {
        assert_eq!(ends(&line, &odd, &page).await, None);
    }
    let asked = now();
    let granted = use_up(asks(&line, &get("/api/roles").call()).await.expect("its turn comes"));
    assert!(granted - asked <= PERIOD + Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn edge_pages_from_two_callers_at_two_routes_hold_everybody_back_unless_they_are_logtos_own() {
    let users = Call { caller: Caller::named("a"), ..patient() };
    let roles = Call { caller: Caller::named("b"), ..get("/api/roles").call() };
    let page = answered(403, None, EDGE_PAGE);
    let ours = answered(403, None, r#"{"code":"auth.forbidden"}"#);
    for (outcome, frozen) in [(&ours, None), (&page, Some(Duration::from_secs(10)))] {
        let line = line(|_| {});
        assert_eq!(ends(&line, &users, outcome).await, None);
        assert_eq!(ends(&line, &users, outcome).await, None);
        assert_eq!(ends(&line, &roles, outcome).await, frozen);
    }
}

#[tokio::test(start_paused = true)]
async fn the_pace_comes_back_by_a_twentieth_of_a_request_each_second() {
    let call = patient();
    let (line, _) = thawing(&call).await;
    ends(&line, &call, &answered(200, None, "{}")).await;
    let full = line.status().rate_max_per_s.expect("there is a limit");
    for seconds in [20.0, 40.0] {
        sleep(Duration::from_secs(20)).await;
        use_up(asks(&line, &call).await.expect("its turn comes"));
        let rate = line.status().rate_per_s.expect("there is a limit");
        assert!((rate - (0.7 * full + 0.05 * seconds)).abs() < 0.1, "{rate} after {seconds} s");
    }
    sleep(Duration::from_secs(200)).await;
    use_up(asks(&line, &call).await.expect("its turn comes"));
    assert!((factor(&line) - 1.0).abs() < 1e-9);
}
