//! What clients may wish of the line, and what they are told of it.

#![expect(clippy::disallowed_methods, reason = "tests look at how long something took")]

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use logto_gateway::simulator::{Fault, FaultKind, Limiter};
use tokio::time::{Instant, sleep};

use crate::harness::{Answer, Plan, World, request};

/// A request with a header more.
fn with(mut request: Request<Full<Bytes>>, name: &'static str, value: &'static str) -> Request<Full<Bytes>> {
    request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    request
}

fn read(path: &str) -> Request<Full<Bytes>> {
    request(&Method::GET, path, "")
}

/// A gateway that has its token.
async fn ready(plan: Plan) -> World {
    let world = plan.world();
    assert_eq!(world.get("/api/roles").await.status, StatusCode::OK);
    world
}

/// A hundred calls for different things, all waiting for their turn; ten of them are background work.
async fn backlog(world: &World) {
    let paths: Vec<String> = (0..100).map(|n| format!("/api/roles?n={n}")).collect();
    join_all(paths.iter().enumerate().map(async |(n, path)| match n % 10 {
        0 => world.send(with(read(path), "priority", "u=6")).await,
        _ => world.get(path).await,
    }))
    .await;
}

/// What comes of `client` while a hundred others wait before it.
fn behind_a_hundred<'a, T: 'a>(
    world: &'a World,
    client: impl Future<Output = T> + 'a,
) -> Pin<Box<dyn Future<Output = T> + 'a>> {
    Box::pin(async move {
        let client = async {
            sleep(Duration::from_millis(10)).await;
            client.await
        };
        tokio::select! {
            biased;
            outcome = client => outcome,
            () = async { backlog(world).await; std::future::pending().await } => unreachable!("it never ends"),
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_call_of_low_urgency_waits_in_the_line_of_background_work_and_none_is_lifted_out_of_its_own() {
    let world = ready(Plan::default()).await;
    let jobs = || world.gateway.throttle.status().waiting_batch;
    for (priority, more) in [("u=5", 1), ("u=7, i", 1), ("u=0", 0), ("u=4", 0), ("nonsense", 0)] {
        let asks = Box::pin(world.send(with(read("/api/users?priority"), "priority", priority)));
        behind_a_hundred(&world, async {
            let before = jobs();
            tokio::select! {
                biased;
                _ = asks => panic!("its turn is seconds away"),
                () = sleep(Duration::from_millis(1)) => assert_eq!(jobs(), before + more, "{priority}"),
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_most_urgent_call_does_not_overtake_its_own_callers_others() {
    let world = ready(Plan::default()).await;
    let start = Instant::now();
    let urgent = world.send(with(read("/api/users"), "priority", "u=0"));
    assert_eq!(behind_a_hundred(&world, urgent).await.status, StatusCode::OK);
    assert!(start.elapsed() > Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whoever_prefers_to_wait_for_less_than_its_turn_takes_is_told_so_at_the_door() {
    let world = ready(Plan::default()).await;
    let refused = behind_a_hundred(&world, async {
        let asked = Instant::now();
        let refused = world.send(with(read("/api/users"), "prefer", "wait=2")).await;
        assert!(asked.elapsed() < Duration::from_millis(10), "at once");
        refused
    })
    .await;
    assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "wait_too_long".to_owned()));
    assert_eq!(refused.header("retry-after"), "6", "the hundred take 5.8 s");
    assert_eq!(refused.header("preference-applied"), "");
    assert_eq!(world.received(&Method::GET, "/api/users"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_preferred_wait_is_heeded_only_where_it_is_shorter_and_the_answer_says_so() {
    let world = ready(Plan::default()).await;
    for (prefer, applied) in [("wait=20", "wait=20"), ("wait=100000", ""), ("respond-async", "")] {
        let answer = world.send(with(read("/api/users"), "prefer", prefer)).await;
        assert_eq!(
            (answer.status, answer.header("preference-applied")),
            (StatusCode::OK, applied),
            "{prefer}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_after_sending_is_a_504() {
    let world = ready(Plan::default()).await;
    for request in [read("/api/users"), request(&Method::POST, "/api/users", "{}")] {
        world.logto.fault(Fault::new("/api/users", FaultKind::Hang));
        let asked = Instant::now();
        let answer = world.send(with(request, "prefer", "wait=2")).await;
        assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{}", answer.code());
        assert_eq!(asked.elapsed().as_secs(), 2);
    }
}

/// A read of hasty and one of patient wishes, for the same thing; the second comes a while after the first.
async fn aboard_together(world: &World, second_comes: Duration) -> (Answer, Answer) {
    let hasty = world.send(with(read("/api/users"), "prefer", "wait=3"));
    let patient = async {
        sleep(second_comes).await;
        world.get("/api/users").await
    };
    tokio::join!(hasty, patient)
}

#[tokio::test(start_paused = true)]
async fn one_who_boards_late_with_more_time_keeps_a_waiting_flight_alive_when_the_firsts_time_is_over() {
    let world = ready(Plan::default().set("budget.in_flight_max", "1")).await;
    world.logto.fault(Fault::new("/api/logs", FaultKind::Latency(Duration::from_secs(8))));
    let (_, (hasty, patient)) = tokio::join!(world.get("/api/logs"), async {
        sleep(Duration::from_millis(100)).await;
        aboard_together(&world, Duration::from_secs(1)).await
    });
    assert_eq!((hasty.status, hasty.code()), (StatusCode::TOO_MANY_REQUESTS, "wait_too_long".to_owned()));
    assert_eq!(patient.status, StatusCode::OK);
    assert_eq!(world.received(&Method::GET, "/api/users"), 1);
}

#[tokio::test(start_paused = true)]
async fn one_who_boards_late_with_more_time_gets_the_answer_that_comes_too_late_for_the_first() {
    let world = ready(Plan::default()).await;
    world.logto.fault(Fault::new("/api/users", FaultKind::Latency(Duration::from_secs(8))));
    let (hasty, patient) = aboard_together(&world, Duration::from_secs(1)).await;
    assert_eq!(hasty.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(patient.status, StatusCode::OK);
    assert_eq!(world.received(&Method::GET, "/api/users"), 1);
}

#[tokio::test(start_paused = true)]
async fn background_work_that_somebody_begins_to_wait_for_is_background_work_no_more() {
    let world = ready(Plan::default()).await;
    let jobs = || world.gateway.throttle.status().waiting_batch;
    behind_a_hundred(&world, async {
        let job = world.send(with(read("/api/users"), "priority", "u=6"));
        let person = async {
            sleep(Duration::from_millis(100)).await;
            let (before, mut answer) = (jobs(), Box::pin(world.get("/api/users")));
            tokio::select! {
                biased;
                _ = &mut answer => panic!("its turn is seconds away"),
                () = sleep(Duration::from_millis(1)) => assert_eq!(jobs(), before - 1, "it has moved"),
            }
            answer.await
        };
        let (job, person) = tokio::join!(job, person);
        assert_eq!((job.status, person.status), (StatusCode::OK, StatusCode::OK));
    })
    .await;
    assert_eq!(world.received(&Method::GET, "/api/users"), 1);
}

/// The two numbers of `RateLimit`: what is left, and seconds until there is more.
fn left(answer: &Answer) -> (u64, u64) {
    let text = answer.header("ratelimit");
    let number = |key: &str| {
        let rest = text.split(key).nth(1).unwrap_or_else(|| panic!("no {key} in {text:?}"));
        rest.split(';').next().expect("a number").parse().expect("a number")
    };
    assert!(text.starts_with("\"tenant\";"), "{text}");
    (number("r="), number("t="))
}

#[tokio::test(start_paused = true)]
async fn answers_from_logto_tell_the_pace_and_hits_do_not() {
    let world = ready(Plan::default()).await;
    sleep(Duration::from_secs(60)).await;
    let answer = world.get("/api/users").await;
    assert_eq!(answer.header("ratelimit-policy"), "\"tenant\";q=200;w=10");
    assert_eq!(left(&answer), (19, 0));
    assert_eq!(answer.header("server-timing"), "queue;dur=0, token;dur=0, upstream;dur=20");
    assert_eq!(answer.header("proxy-status"), "", "Logto's own answer");
    let hit = world.get("/api/users").await;
    assert!(hit.header("cache-status").starts_with("logto-gateway; hit"));
    for name in ["ratelimit", "ratelimit-policy", "server-timing", "retry-after", "proxy-status"] {
        assert_eq!(hit.header(name), "", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_tell_the_pace_and_never_a_time_to_come_back_before_there_is_a_permit() {
    let world = ready(Plan::default()).await;
    let job = Box::pin(world.send(with(read("/api/users?job"), "priority", "u=6")));
    let hasty = Box::pin(world.send(with(read("/api/users"), "prefer", "wait=2")));
    let refused = behind_a_hundred(&world, async {
        tokio::select! {
            biased;
            _ = job => panic!("its turn is seconds away"),
            refused = hasty => refused,
        }
    })
    .await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    world.logto.set_limiter(Some(Limiter {
        limit: 0,
        retry_after: Some(Duration::from_secs(40)),
        ..Limiter::default()
    }));
    let throttled = world.get("/api/users?throttled").await;
    assert_eq!(throttled.status, StatusCode::TOO_MANY_REQUESTS);
    let frozen = world.get("/api/users?frozen").await;
    assert_eq!((frozen.status, frozen.code()), (StatusCode::SERVICE_UNAVAILABLE, "frozen".to_owned()));
    for answer in [&refused, &throttled, &frozen] {
        let (remaining, reset) = left(answer);
        let after: u64 = answer.header("retry-after").parse().expect("seconds");
        assert_eq!(remaining, 0);
        assert!(after >= reset && reset > 0, "Retry-After {after}, t={reset}");
        assert!(answer.header("server-timing").starts_with("queue;dur="));
        assert_eq!(answer.header("ratelimit-policy"), "\"tenant\";q=200;w=10");
    }
    assert!(refused.header("proxy-status").starts_with("logto-gateway; error=http_request_denied"));
    assert!(frozen.header("proxy-status").starts_with("logto-gateway; error=destination_unavailable"));
    assert_eq!(throttled.header("proxy-status"), "", "it is Logto's");
}

#[tokio::test(start_paused = true)]
async fn refusals_for_other_reasons_say_nothing_of_the_pace() {
    let world = ready(Plan::default()).await;
    for path in ["/nowhere", "/api/../secret"] {
        let answer = world.get(path).await;
        assert!(answer.status.is_client_error());
        assert_eq!((answer.header("ratelimit"), answer.header("server-timing")), ("", ""));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_there_is_no_pace_to_tell() {
    let world = ready(Plan::unlimited()).await;
    let answer = world.get("/api/users").await;
    assert_eq!((answer.header("ratelimit"), answer.header("ratelimit-policy")), ("", ""));
    assert_ne!(answer.header("server-timing"), "");
}

#[tokio::test(start_paused = true)]
async fn logtos_business_refusals_reach_the_client_and_slow_nobody() {
    let world = ready(Plan::default()).await;
    sleep(Duration::from_secs(60)).await;
    for code in ["request.message_rate_limited", "connector.rate_limit_exceeded", "auth.exceed_token_limit"] {
        world.logto.fault(Fault::new(
            "/api/users",
            FaultKind::TokenAnswer {
                status: StatusCode::TOO_MANY_REQUESTS,
                content_type: "application/json".to_owned(),
                body: Bytes::from(format!("{{\"code\":\"{code}\"}}")),
            },
        ));
        let before = world.received(&Method::POST, "/api/users");
        let answer = world.write(Method::POST, "/api/users", "{}").await;
        assert_eq!((answer.status, answer.code()), (StatusCode::TOO_MANY_REQUESTS, code.to_owned()));
        assert_eq!(world.received(&Method::POST, "/api/users"), before + 1, "never replayed");
        assert_eq!(world.gateway.throttle.frozen_for(), None);
    }
    let status = world.gateway.throttle.status();
    assert_eq!(status.rate_per_s, status.rate_max_per_s);
}

#[tokio::test(start_paused = true)]
async fn what_broke_is_not_tried_again_while_logto_asks_for_a_pause() {
    let world = ready(Plan::default()).await;
    sleep(Duration::from_secs(10)).await;
    world.logto.set_latency(Duration::from_secs(1));
    world.logto.fault(Fault::new("/api/users", FaultKind::CommitThenReset));
    let start = Instant::now();
    let broken = async { (world.get("/api/users").await, start.elapsed()) };
    let throttled = async {
        sleep(Duration::from_millis(100)).await;
        let retry_after = Some(Duration::from_secs(5));
        world.logto.set_limiter(Some(Limiter { limit: 0, retry_after, ..Limiter::default() }));
        world.get("/api/roles?throttled").await
    };
    let thaw = async {
        sleep(Duration::from_secs(2)).await;
        world.logto.set_limiter(None);
    };
    let ((broken, took), throttled, ()) = tokio::join!(broken, throttled, thaw);
    assert_eq!((broken.status, took.as_secs()), (StatusCode::BAD_GATEWAY, 1), "told at once");
    assert_eq!(world.received(&Method::GET, "/api/users"), 1);
    assert_eq!(
        (throttled.status, start.elapsed().as_secs()),
        (StatusCode::OK, 6),
        "what the limiter refused waits"
    );
}
