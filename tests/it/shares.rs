//! Many callers before one budget: each has its share, nobody pays for another, and permits go to those still there.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use logto_gateway::app;
use logto_gateway::simulator::{Fault, FaultKind};
use tokio::time::{sleep, timeout};

use crate::harness::{Answer, Plan, World, config, in_memory, request};

const WINDOW: Duration = Duration::from_secs(10);
/// Of the default limit.
const PERIOD: Duration = Duration::from_micros(58_334);
const EDGE_PAGE: FaultKind = FaultKind::HtmlPage(StatusCode::FORBIDDEN);

fn from(caller: &str, method: &Method, path: &str) -> Request<Full<Bytes>> {
    let mut request = request(method, path, if *method == Method::GET { "" } else { "{}" });
    request.headers_mut().insert("x-caller", HeaderValue::try_from(caller).expect("a name"));
    request
}

async fn ask(world: &World, caller: &str, path: &str) -> Answer {
    world.send(from(caller, &Method::GET, path)).await
}

/// So many calls of one caller for different things.
async fn backlog(world: &World, caller: &str, calls: usize) {
    let paths: Vec<String> = (0..calls).map(|n| format!("/api/roles?n={n}&{caller}")).collect();
    join_all(paths.iter().map(|path| ask(world, caller, path))).await;
}

/// A gateway before which a thousand may wait for two minutes.
fn long_line() -> Plan {
    Plan::default()
        .set("budget.class.interactive.wait_max", "120s")
        .set("budget.waiting_max_per_caller", "1024")
        .set("listen.requests_max", "2048")
}

/// The value of a counter.
fn metric(world: &World, name: &str) -> u64 {
    let text = String::from_utf8(world.gateway.metrics.text()).expect("UTF-8");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    line.unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_a_few_calls_does_not_wait_for_one_with_hundreds() {
    let world = long_line().world();
    let served = Cell::new(0_u32);
    let modest = async {
        for n in 0.. {
            let answer = ask(&world, "modest", &format!("/api/users?n={n}")).await;
            assert_eq!(answer.status, StatusCode::OK);
            served.set(served.get() + 1);
        }
    };
    tokio::select! {
        () = modest => {}
        () = backlog(&world, "greedy", 700) => panic!("nobody waited any more"),
        () = sleep(Duration::from_secs(20)) => {}
    }
    // Every second permit of 17.1 a second.
    assert!(served.get() >= 165, "{}", served.get());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_needed_while_a_thousand_wait_is_fetched_within_a_period() {
    let world = long_line().world();
    let waiting = backlog(&world, "job", 1000);
    let revoked = async {
        sleep(Duration::from_secs(10)).await;
        world.logto.revoke_tokens();
        sleep(Duration::from_secs(2)).await;
    };
    tokio::select! {
        () = waiting => panic!("nobody waited any more"),
        () = revoked => {}
    }
    let received = world.logto.received();
    let refused = received.iter().find(|request| request.status == Some(401)).expect("the token is dead");
    let fetches: Vec<_> =
        received.iter().filter(|request| request.path_and_query.starts_with("/oidc/token")).collect();
    assert_eq!(fetches.len(), 2);
    // It answers within 20 ms.
    let waited = fetches[1].at.duration_since(refused.at + Duration::from_millis(20));
    assert!(waited <= PERIOD + Duration::from_millis(2), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn one_callers_odd_body_that_an_edge_refuses_holds_nobody_else_back() {
    let world = Plan::default().world();
    world.logto.fault(Fault::new("/api/users", EDGE_PAGE).method(Method::POST).times(30));
    for _ in 0..5 {
        let answer = world.send(from("odd", &Method::POST, "/api/users")).await;
        assert_eq!(
            (answer.status, answer.header("content-type").contains("html")),
            (StatusCode::FORBIDDEN, true)
        );
        assert_eq!(world.gateway.throttle.frozen_for(), None);
    }
    assert_eq!(ask(&world, "other", "/api/roles").await.status, StatusCode::OK);
    let status = world.gateway.throttle.status();
    assert_eq!(status.rate_per_s, status.rate_max_per_s);
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_refuses_two_callers_at_two_routes_has_had_enough_of_us() {
    let world = Plan::default().world();
    world.logto.fault(Fault::new("/api", EDGE_PAGE).times(3));
    for (caller, path) in [("one", "/api/users"), ("one", "/api/roles"), ("two", "/api/users")] {
        assert_eq!(world.gateway.throttle.frozen_for(), None);
        assert_eq!(world.send(from(caller, &Method::POST, path)).await.status, StatusCode::FORBIDDEN);
    }
    assert!(world.gateway.throttle.frozen_for().is_some_and(|left| left > Duration::from_secs(9)));
}

#[tokio::test(start_paused = true)]
async fn whoever_names_itself_is_counted_by_its_name_and_no_more_than_32_are_told_apart() {
    let world = Plan::unlimited().world();
    let names: Vec<String> = (0..40).map(|n| format!("service-{n:02}")).collect();
    for name in &names {
        assert_eq!(ask(&world, name, &format!("/api/users?{name}")).await.status, StatusCode::OK);
    }
    ask(&world, "service-00", "/api/users?service-00").await;
    let asked = |name: &str| {
        metric(&world, &format!("logto_gateway_caller_requests_total{{caller=\"{name}\",outcome=\"ok\"}}"))
    };
    let spent = |name: &str| {
        metric(&world, &format!("logto_gateway_budget_spent_total{{caller=\"{name}\",kind=\"call\"}}"))
    };
    assert_eq!((asked("service-00"), spent("service-00")), (2, 1), "the second one is a hit");
    assert!(names[1..32].iter().all(|name| (asked(name), spent(name)) == (1, 1)));
    assert!(names[32..].iter().all(|name| (asked(name), spent(name)) == (0, 0)));
    assert_eq!((asked("other"), spent("other")), (8, 8));
}

#[tokio::test(start_paused = true)]
async fn of_a_fifth_more_clients_than_the_rate_bears_that_leave_in_time_hardly_one_costs_a_permit() {
    let world = Plan::default().world();
    let (answered, minute) = (Cell::new(0_u64), Duration::from_secs(60));
    let clients = (0_u32..).map(|n| (n, PERIOD.div_f64(1.2) * n)).take_while(|(_, comes)| *comes < minute);
    join_all(clients.map(async |(n, comes)| {
        sleep(comes).await;
        let patience = Duration::from_millis(3_000 + u64::from(n) * 1_237 % 5_000);
        let path = format!("/api/users?n={n}");
        if let Ok(answer) = timeout(patience, world.get(&path)).await {
            assert_eq!(answer.status, StatusCode::OK);
            answered.set(answered.get() + 1);
        }
    }))
    .await;
    let permits = u64::try_from(world.received(&Method::GET, "/api")).expect("a few thousand");
    let wasted = world.gateway.metrics.totals().permits_wasted;
    // Those who leave while their answer is on its way were still there when it was sent.
    assert!(answered.get() * 1000 >= (permits + wasted) * 990, "{} of {permits} + {wasted}", answered.get());
    assert!(permits > 950, "it was under load: {permits}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_killed_every_fifty_milliseconds_never_sends_more_than_the_limit() {
    for (millis, altogether) in [(50, 2_000), (60, 11_000)] {
        let mut world = Plan::default().world();
        for n in 0..altogether / millis {
            let paths: Vec<String> = (0..10).map(|m| format!("/api/users?n={n}-{m}")).collect();
            let clients = join_all(paths.iter().map(|path| world.get(path)));
            timeout(Duration::from_millis(millis), clients).await.ok();
            world = world.restarted();
        }
        let busiest = world.logto.busiest_window(WINDOW);
        assert!(busiest <= 200, "{millis}: {busiest}");
        assert_eq!((world.logto.throttled(), busiest > 0), (0, millis > 58), "{millis}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_gateways_with_half_of_the_limit_each_stay_within_it_together() {
    let plan = Plan::default().set("budget.share", "0.5");
    let second = config("http://localhost:3001", &plan.logto, &plan.set);
    let first = plan.world();
    let second = World {
        gateway: app::assemble(&second, in_memory(&first.logto)).expect("it starts"),
        logto: first.logto.clone(),
        config: second,
    };
    let load = async |world: &World| {
        // A burst out of silence, and a steady load after it.
        sleep(Duration::from_secs(15)).await;
        let client = async |name: usize| {
            for n in 0..30 {
                let path = format!("/api/users?n={name}-{n}-{:p}", Arc::as_ptr(&world.gateway));
                assert_eq!(world.get(&path).await.status, StatusCode::OK);
            }
        };
        join_all((0..16).map(client)).await;
    };
    tokio::join!(load(&first), load(&second));
    let busiest = first.logto.busiest_window(WINDOW);
    assert!((150..=200).contains(&busiest), "{busiest}");
    assert_eq!(first.logto.throttled(), 0);
}
