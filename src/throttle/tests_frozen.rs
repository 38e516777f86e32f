//! What a refusal of Logto's limiter does to the line, on paused time.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::sleep;

use super::tests::{PERIOD, about, asks, line, now, use_up, used_up};
use super::*;
use crate::call::sample::get;
use crate::reply::{Body, Failure, Reply};

pub(super) fn answered(status: u16, retry_after: Option<&'static str>, body: &'static str) -> Outcome {
    let mut headers = HeaderMap::new();
    if let Some(after) = retry_after {
        headers.insert("retry-after", HeaderValue::from_static(after));
    }
    let status = StatusCode::from_u16(status).unwrap();
    Outcome::Answered(Reply::new(status, headers, Body::Held(Bytes::from_static(body.as_bytes()))))
}

/// What a period is after one cut.
pub(super) fn slower() -> Duration {
    PERIOD.div_f64(0.7)
}

/// A line that has learned this from its first call, at this time.
async fn learned(outcome: &Outcome) -> (Throttle, Instant) {
    let (line, call) = (line(|_| {}), get("/api/users").call());
    let mut permit = asks(&line, &call).await.expect("the first");
    permit.spend();
    line.learn(&mut permit, outcome);
    drop(permit);
    (line, now())
}

#[tokio::test(start_paused = true)]
async fn a_limiters_refusal_holds_everybody_back_for_as_long_as_it_says_and_no_longer_than_a_minute() {
    let table = [
        (answered(429, Some("7"), "{}"), 7),
        (answered(429, None, "<html>"), 10),
        (answered(429, Some("3600"), ""), 60),
        (answered(503, Some("5"), ""), 5),
    ];
    for (outcome, seconds) in table {
        let (line, start) = learned(&outcome).await;
        assert_eq!(line.frozen_for(), Some(Duration::from_secs(seconds)));
        let call = get("/api/users").call();
        let line_up = || used_up((0..3).map(|_| asks(&line, &call)).collect());
        if seconds > 30 {
            sleep(Duration::from_secs(seconds - 1)).await;
        }
        for (place, granted) in (1..).zip(line_up().await) {
            let granted = granted.expect("it thaws");
            let expected = start + Duration::from_secs(seconds) + slower() * place;
            assert!(about(granted, expected), "{seconds} s, {place}: {:?}", granted - start);
        }
        assert_eq!(line.frozen_for(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_but_a_limiters_refusal_holds_anybody_back() {
    for outcome in [
        answered(429, Some("7"), r#"{"code":"request.message_rate_limited"}"#),
        answered(429, None, r#"{"code":"connector.rate_limit_exceeded"}"#),
        answered(429, None, r#"{"code":"auth.exceed_token_limit"}"#),
        answered(500, Some("7"), ""),
        answered(503, None, ""),
        answered(403, Some("7"), "<html>"),
        answered(200, Some("7"), ""),
        Outcome::Failed(Failure::Broken),
    ] {
        let (line, start) = learned(&outcome).await;
        assert_eq!(line.frozen_for(), None);
        let granted = use_up(asks(&line, &get("/api/users").call()).await.expect("its turn comes"));
        assert!(about(granted, start + PERIOD));
    }
}

#[tokio::test(start_paused = true)]
async fn those_whose_time_ends_before_the_thaw_are_told_that_logto_asked_for_a_pause() {
    let (line, _) = learned(&answered(429, Some("40"), "")).await;
    let refused = asks(&line, &get("/api/users").call()).now_or_never().expect("at once");
    let no = refused.map(use_up).expect_err("the pause is longer than wait_max");
    assert_eq!((no.status().as_u16(), no.code()), (503, "frozen"));
    assert_eq!(no.retry_after(), Some(Duration::from_secs(40)));
}

#[tokio::test(start_paused = true)]
async fn a_pause_wins_over_a_full_line_as_the_reason_of_a_refusal() {
    let (line, call) = (line(|s| s.waiting_max = 1), get("/api/users").call());
    let mut permit = asks(&line, &call).await.expect("the first");
    permit.spend();
    let _waiting = asks(&line, &call);
    line.learn(&mut permit, &answered(429, Some("40"), ""));
    let no = asks(&line, &call).now_or_never().expect("at once").map(use_up).expect_err("frozen and full");
    assert_eq!(no.code(), "frozen");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_when_a_pause_begins_wait_on_until_their_deadline_and_are_told_why() {
    let (line, hasty) = (line(|_| {}), get("/api/users").within(Duration::from_secs(5)).call());
    let mut permit = asks(&line, &hasty).await.expect("the first");
    permit.spend();
    let waiting = asks(&line, &hasty);
    line.learn(&mut permit, &answered(429, Some("20"), ""));
    let no = waiting.await.map(use_up).expect_err("it thaws too late");
    assert_eq!((no.code(), about(now(), hasty.deadline)), ("frozen", true));
    assert_eq!(line.status().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn further_refusals_prolong_a_pause_and_never_shorten_it() {
    let (line, call) = (line(|_| {}), get("/api/users").call());
    sleep(Duration::from_secs(10)).await;
    let permits = join_all((0..3).map(|_| asks(&line, &call))).await;
    for (permit, (seconds, left)) in permits.into_iter().zip([("9", 9), ("4", 9), ("12", 12)]) {
        let mut permit = permit.expect("one of the burst");
        permit.spend();
        line.learn(&mut permit, &answered(429, Some(seconds), ""));
        assert_eq!(line.frozen_for(), Some(Duration::from_secs(left)));
    }
}

#[tokio::test(start_paused = true)]
async fn permits_that_come_back_unused_during_a_pause_let_nobody_out_before_its_end() {
    let (line, call) = (line(|_| {}), get("/api/users").call());
    sleep(Duration::from_secs(60)).await;
    let mut burst = join_all((0..20).map(|_| asks(&line, &call))).await;
    let mut refused = burst.pop().expect("twenty").expect("one of the burst");
    refused.spend();
    line.learn(&mut refused, &answered(429, Some("7"), ""));
    let thaw = now() + Duration::from_secs(7);
    drop((refused, burst));
    let granted = used_up((0..20).map(|_| asks(&line, &call)).collect()).await;
    for (place, granted) in (1..).zip(granted) {
        let granted = granted.expect("it thaws");
        assert!(about(granted, thaw + slower() * place), "{place}: {:?} before the thaw", thaw - granted);
    }
}

#[tokio::test(start_paused = true)]
async fn where_logto_has_no_limiter_its_refusal_is_heeded_all_the_same() {
    let (line, call) = (line(|s| s.envelope = None), get("/api/users").call());
    let mut permit = asks(&line, &call).await.expect("at once");
    permit.spend();
    line.learn(&mut permit, &answered(429, Some("3"), ""));
    let thaw = now() + Duration::from_secs(3);
    for granted in used_up((0..50).map(|_| asks(&line, &call)).collect()).await {
        assert!(about(granted.expect("it thaws"), thaw));
    }
}
