//! What the line promises to those who wait in it, on paused time.

use std::pin::Pin;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::{advance, sleep};

use super::*;
use crate::call::sample::get;

pub(super) type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Permit, Rejection>> + Send + 'a>>;

/// Of the default limit: 200 in 10 s, half a second of slack, bursts of 20.
pub(super) const PERIOD: Duration = Duration::from_nanos(58_333_334);

pub(super) fn settings() -> Settings {
    Settings {
        envelope: Some(Envelope::new(Limit::default()).expect("the default passes")),
        waiting_max: 1024,
        waiting_max_per_caller: 256,
        in_flight_max: 64,
        classes: [8, 1].map(|weight| ClassSettings { weight, wait_max: Duration::from_secs(30) }),
    }
}

pub(super) fn line(change: impl FnOnce(&mut Settings)) -> Throttle {
    let mut settings = settings();
    change(&mut settings);
    Throttle::start(settings, Arc::new(Metrics::new(Vec::new())))
}

/// One who asks now, and has a place in the line if there was no permit at once.
pub(super) fn asks<'a>(line: &'a Throttle, call: &'a Call) -> Waiting<'a> {
    let mut waiting: Waiting<'a> = Box::pin(async move {
        let audience = Audience::of_one(call.class, call.deadline);
        line.permit(call, &audience).await
    });
    if let Some(answer) = (&mut waiting).now_or_never() {
        return Box::pin(std::future::ready(answer));
    }
    waiting
}

pub(super) fn now() -> Instant {
    Instant::now()
}

/// Timers are a millisecond wide.
pub(super) fn about(granted: Instant, expected: Instant) -> bool {
    let width = Duration::from_millis(1);
    expected <= granted + width && granted <= expected + width
}

pub(super) fn wasted(line: &Throttle) -> u64 {
    line.line.metrics.totals().permits_wasted
}

/// Those who ask and use their permits up as they come.
pub(super) async fn used_up(waiting: Vec<Waiting<'_>>) -> Vec<Result<Instant, Rejection>> {
    join_all(waiting.into_iter().map(|permit| async { permit.await.map(use_up) })).await
}

/// Uses a permit up.
pub(super) fn use_up(mut permit: Permit) -> Instant {
    permit.spend();
    permit.granted
}

fn refusal(answer: Result<Permit, Rejection>) -> (u16, &'static str, Option<Duration>) {
    let no = answer.map(use_up).expect_err("a refusal");
    (no.status().as_u16(), no.code(), no.retry_after())
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_the_order_in_which_they_came_one_a_period() {
    let (line, call, start) = (line(|_| {}), get("/api/users").call(), now());
    let waiting: Vec<_> = (0..50).map(|_| asks(&line, &call)).collect();
    for (place, granted) in (1..).zip(join_all(waiting).await) {
        let granted = use_up(granted.expect("its turn comes"));
        assert!(about(granted, start + PERIOD * place), "{place}: {:?}", granted - start);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_a_burst_is_served_at_once_and_nothing_beyond_it() {
    let (line, call) = (line(|_| {}), get("/api/users").call());
    sleep(Duration::from_secs(60)).await;
    let start = now();
    let waiting: Vec<_> = (0..21).map(|_| asks(&line, &call)).collect();
    let granted: Vec<Instant> =
        join_all(waiting).await.into_iter().map(|permit| use_up(permit.unwrap())).collect();
    assert_eq!(granted.iter().filter(|at| **at == start).count(), 20);
    assert!(about(granted[20], start + PERIOD));
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_served_at_the_full_rate() {
    let line = line(|_| {});
    let hour = Duration::from_secs(3600);
    let (start, mut granted) = (now(), 0_u32);
    let call = get("/api/users").within(hour * 2).call();
    let mut waiting: std::collections::VecDeque<_> = (0..5).map(|_| asks(&line, &call)).collect();
    while now() - start < hour {
        let next = waiting.pop_front().expect("five always wait");
        use_up(next.await.expect("its turn comes"));
        granted += 1;
        waiting.push_back(asks(&line, &call));
    }
    let possible = hour.as_secs_f64() / PERIOD.as_secs_f64();
    assert!(f64::from(granted) >= 0.995 * possible, "{granted} of {possible}");
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_be_served_in_time_is_told_so_at_the_door_with_the_time_of_its_turn() {
    let (line, call) = (line(|_| {}), get("/api/users").call());
    // 514 periods are 29.98 s, 515 are 30.04 s.
    let _waiting: Vec<_> = (0..514).map(|_| asks(&line, &call)).collect();
    assert_eq!(line.status().waiting, 514, "all of these can be served within wait_max");
    let refused = asks(&line, &call).now_or_never().expect("at once").map(use_up).expect_err("too late");
    let (status, headers, _) = refused.response("id");
    assert_eq!((status.as_u16(), refused.code()), (429, "wait_too_long"));
    assert_eq!(refused.retry_after(), Some(PERIOD * 515));
    assert_eq!(headers["retry-after"], "31", "rounded up");
}

#[tokio::test(start_paused = true)]
async fn a_calls_own_deadline_counts_where_it_is_earlier() {
    let (line, patient) = (line(|_| {}), get("/api/users").call());
    let _waiting: Vec<_> = (0..17).map(|_| asks(&line, &patient)).collect();
    let hasty = get("/api/users").within(Duration::from_secs(1)).call();
    let refused = asks(&line, &hasty).now_or_never().expect("at once");
    assert_eq!(refusal(refused), (429, "wait_too_long", Some(PERIOD * 18)));
    assert!(asks(&line, &patient).now_or_never().is_none(), "another one may wait");
}

#[tokio::test(start_paused = true)]
async fn a_full_line_admits_nobody() {
    let (line, call) = (line(|s| s.waiting_max = 3), get("/api/users").call());
    let mut waiting: Vec<_> = (0..3).map(|_| asks(&line, &call)).collect();
    let refused = asks(&line, &call).now_or_never().expect("at once");
    assert_eq!(refusal(refused), (429, "queue_full", Some(PERIOD * 4)));
    waiting.pop();
    assert!(asks(&line, &call).now_or_never().is_none(), "a place is free again");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_beyond_its_deadline_for_one_who_does_not_come_back() {
    let (line, call) = (line(|s| s.in_flight_max = 1), get("/api/users").call());
    let held = asks(&line, &call).await.expect("the first");
    let hasty = get("/api/users").within(Duration::from_secs(5)).call();
    let start = now();
    let refused = asks(&line, &hasty).await;
    assert!(about(now(), start + Duration::from_secs(5)));
    assert_eq!(refusal(refused).1, "wait_too_long");
    assert_eq!(line.status().waiting, 0);
    use_up(held);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_granted_a_permit_after_its_deadline_though_the_machine_slept() {
    let (line, hasty) = (line(|_| {}), get("/api/users").within(Duration::from_secs(5)).call());
    let waiting = asks(&line, &hasty);
    tokio::task::yield_now().await;
    advance(Duration::from_secs(40)).await;
    tokio::task::yield_now().await;
    assert_eq!(line.status().waiting, 0, "the permit came before anybody looked at the clock");
    assert_eq!(refusal(waiting.await).1, "wait_too_long");
    assert_eq!(refusal(asks(&line, &hasty).await).1, "wait_too_long", "nor is one that comes too late");
    assert_eq!(line.status().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn one_who_leaves_the_line_costs_those_behind_no_permit() {
    let (line, call, start) = (line(|_| {}), get("/api/users").call(), now());
    let mut waiting: Vec<_> = (0..20).map(|_| asks(&line, &call)).collect();
    let last = waiting.pop().expect("twenty wait");
    drop(waiting);
    assert!(about(use_up(last.await.expect("its turn comes")), start + PERIOD));
    assert_eq!(wasted(&line), 0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_not_used_is_given_back_and_counted() {
    let (line, call) = (line(|_| {}), get("/api/users").call());
    sleep(Duration::from_secs(60)).await;
    let mut burst: Vec<_> = join_all((0..20).map(|_| asks(&line, &call))).await;
    let mut next = asks(&line, &call);
    assert!((&mut next).now_or_never().is_none());
    let given_back = now();
    drop(burst.pop());
    assert!(about(use_up(next.await.expect("it is free again")), given_back));
    assert_eq!(wasted(&line), 1);
    for used in burst {
        use_up(used.expect("one of the burst"));
    }
    assert_eq!((wasted(&line), line.status().in_flight), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_permit_on_its_way_to_one_who_has_just_left_goes_to_the_next() {
    let (line, call) = (line(|_| {}), get("/api/users").call());
    let (leaves, stays) = (asks(&line, &call), asks(&line, &call));
    // Granted, and not yet looked at.
    sleep(PERIOD + Duration::from_millis(2)).await;
    assert_eq!(line.status().in_flight, 1);
    let left = now();
    drop(leaves);
    let stayed = use_up(stays.await.expect("its turn comes"));
    assert!(stayed - left <= Duration::from_millis(3), "not a period later: {:?}", stayed - left);
    assert_eq!(wasted(&line), 1);
}

#[tokio::test(start_paused = true)]
async fn the_token_comes_before_everybody_and_is_never_turned_away_at_the_door() {
    let (line, call, start) = (line(|s| s.waiting_max = 5), get("/api/users").call(), now());
    let waiting: Vec<_> = (0..5).map(|_| asks(&line, &call)).collect();
    let token = line.permit_for_token();
    let (token, calls) = tokio::join!(token, join_all(waiting));
    assert!(about(use_up(token.expect("first of all")), start + PERIOD));
    for (place, granted) in (2..).zip(calls) {
        assert!(about(use_up(granted.expect("its turn comes")), start + PERIOD * place));
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_are_under_way_than_allowed_and_no_permit_is_taken_meanwhile() {
    let (line, call) = (line(|s| s.in_flight_max = 2), get("/api/users").call());
    sleep(Duration::from_secs(60)).await;
    let (first, second) = (asks(&line, &call).await.unwrap(), asks(&line, &call).await.unwrap());
    let third = asks(&line, &call);
    sleep(Duration::from_secs(10)).await;
    assert_eq!((line.status().waiting, line.status().in_flight), (1, 2));
    assert_eq!(line.status().tokens, Some(20.0), "nothing is taken for one who cannot go");
    let freed = now();
    use_up(first);
    assert!(about(use_up(third.await.expect("there is room")), freed));
    use_up(second);
}

#[tokio::test(start_paused = true)]
async fn a_closed_line_sends_everybody_home_and_admits_nobody() {
    let (line, call) = (line(|_| {}), get("/api/users").call());
    let waiting: Vec<_> = (0..5).map(|_| asks(&line, &call)).collect();
    line.close();
    for answer in join_all(waiting).now_or_never().expect("at once") {
        assert_eq!(refusal(answer), (503, "draining", Some(Duration::from_secs(1))));
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!(refusal(asks(&line, &call).await).1, "draining");
    let gauge = String::from_utf8(line.line.metrics.text()).unwrap();
    assert!(gauge.contains("logto_gateway_queue_waiting{class=\"interactive\"} 0\n"));
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_everybody_goes_at_once() {
    let (line, call) = (line(|s| s.envelope = None), get("/api/users").call());
    for _ in 0..10_000 {
        use_up(asks(&line, &call).now_or_never().expect("at once").expect("a permit"));
    }
}
