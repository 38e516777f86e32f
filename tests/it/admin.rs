//! What operators see: liveness, readiness, metrics, status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use logto_gateway::admin::{Admin, Scope};
use logto_gateway::guard::{Anonymous, Guard, Settings};
use logto_gateway::simulator::{Fault, FaultKind};
use tokio::time::Instant;

use crate::harness::{Answer, Plan, World};

/// Every family that README promises, without its prefix.
const FAMILIES: [&str; 26] = [
    "requests_total",
    "caller_requests_total",
    "request_duration_seconds",
    "upstream_requests_total",
    "upstream_duration_seconds",
    "budget_limit",
    "budget_tokens",
    "budget_rate",
    "budget_spent_total",
    "permits_wasted_total",
    "log_lines_dropped_total",
    "queue_waiting",
    "queue_wait_seconds",
    "queue_refused_total",
    "upstream_throttled_total",
    "frozen_seconds_total",
    "token_expiry_timestamp_seconds",
    "token_refreshes_total",
    "cache_entries",
    "cache_bytes",
    "cache_lookups_total",
    "cache_evictions_total",
    "calls_saved_total",
    "flights_passengers_total",
    "connections_open",
    "build_info",
];

/// These have a label with as many values as there are routes or callers: they begin with the first request.
const BORN_BY_TRAFFIC: [&str; 3] = ["requests_total", "caller_requests_total", "budget_spent_total"];

struct Office {
    world: World,
    admin: Arc<Admin>,
}

fn office(plan: Plan) -> Office {
    let world = plan.world();
    let guard = Guard::new(Settings { anonymous: Anonymous::Guarded, hosts: Vec::new() });
    #[expect(clippy::disallowed_methods, reason = "it starts now")]
    let started = Instant::now();
    let upstream = "http://localhost:3001".to_owned();
    let admin = Admin::new(Arc::clone(&world.gateway), guard, upstream, started, || 7);
    Office { world, admin }
}

impl Office {
    async fn get(&self, path: &str) -> Answer {
        self.ask(Scope::Admin, Method::GET, path, &[("host", "localhost:8481")]).await
    }

    async fn ask(&self, scope: Scope, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::new())).expect("a request");
        let (head, body) = self.admin.handle(scope, request).into_parts();
        let body = body.collect().await.expect("it is whole").to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// What `/metrics` says, by name and labels; what is no text of Prometheus fails.
    async fn metrics(&self) -> BTreeMap<String, f64> {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        let text = std::str::from_utf8(&answer.body).expect("UTF-8");
        assert!(text.ends_with('\n'));
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        };
        let mut all = BTreeMap::new();
        for (name, value) in samples.map(sample) {
            assert!(all.insert(name.clone(), value).is_none(), "{name} is there twice");
        }
        all
    }

    async fn families(&self) -> Vec<(String, String)> {
        let answer = self.get("/metrics").await;
        let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_alive_and_ready_until_it_drains() {
    let office = office(Plan::unlimited());
    let (alive, ready) = (office.get("/live").await, office.get("/ready").await);
    assert_eq!((alive.status, ready.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(ready.json()["ready"], true);
    office.admin.drain();
    let (alive, ready) = (office.get("/live").await, office.get("/ready").await);
    assert_eq!((alive.status, ready.status), (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(ready.json()["ready"], false);
    assert_eq!(office.get("/status").await.json()["draining"], true);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_logto_does_not_make_it_unready() {
    let office = office(Plan::unlimited());
    let down = FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE);
    office.world.logto.fault(Fault::new("/", down).times(1000));
    assert!(office.world.get("/api/users").await.status.is_server_error());
    assert_eq!(office.get("/ready").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn every_documented_metric_is_there_from_the_start_once() {
    let office = office(Plan::default());
    let families = office.families().await;
    let names: BTreeSet<&str> = families.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), families.len(), "no family twice");
    for family in FAMILIES.iter().filter(|family| !BORN_BY_TRAFFIC.contains(family)) {
        assert!(names.contains(format!("logto_gateway_{family}").as_str()), "{family}");
    }
    office.world.get("/api/users").await;
    let ours: BTreeSet<String> = office.families().await.into_iter().map(|(name, _)| name).collect();
    let ours: BTreeSet<&str> = ours.iter().filter_map(|name| name.strip_prefix("logto_gateway_")).collect();
    assert_eq!(ours, FAMILIES.into_iter().collect(), "and no undocumented one");
    #[cfg(target_os = "linux")]
    assert!(names.contains("process_resident_memory_bytes"));
}

#[tokio::test(start_paused = true)]
async fn counters_are_called_total_and_times_are_in_seconds() {
    let office = office(Plan::default());
    office.world.get("/api/users").await;
    for (name, kind) in office.families().await.iter().filter(|(name, _)| name.starts_with("logto_")) {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_numbers_move_with_what_happens() {
    let office = office(Plan::default());
    let before = office.metrics().await;
    for _ in 0..3 {
        office.world.get("/api/users").await;
    }
    office.world.write(Method::POST, "/api/users", r#"{"username":"counted"}"#).await;
    office.world.get("/nowhere").await;
    let after = office.metrics().await;
    for (name, growth) in [
        ("requests_total{cache=\"miss\",route=\"/api/users\",status_class=\"2xx\"}", 1.0),
        ("requests_total{cache=\"hit\",route=\"/api/users\",status_class=\"2xx\"}", 2.0),
        ("requests_total{cache=\"bypass\",route=\"/api/users\",status_class=\"2xx\"}", 1.0),
        ("requests_total{cache=\"none\",route=\"other\",status_class=\"4xx\"}", 1.0),
        ("request_duration_seconds_count{cache=\"hit\"}", 2.0),
        ("caller_requests_total{caller=\"anonymous\",outcome=\"ok\"}", 4.0),
        ("caller_requests_total{caller=\"unknown\",outcome=\"refused\"}", 1.0),
        ("upstream_requests_total{kind=\"call\",status=\"2xx\"}", 2.0),
        ("upstream_requests_total{kind=\"token\",status=\"2xx\"}", 1.0),
        ("upstream_duration_seconds_count", 3.0),
        ("budget_spent_total{caller=\"anonymous\",kind=\"call\"}", 2.0),
        ("budget_spent_total{caller=\"gateway\",kind=\"token\"}", 1.0),
        ("token_refreshes_total{cause=\"start\",result=\"ok\"}", 1.0),
        ("cache_lookups_total{result=\"hit\"}", 2.0),
        ("cache_lookups_total{result=\"miss\"}", 1.0),
        ("cache_lookups_total{result=\"bypass\"}", 1.0),
        ("calls_saved_total", 2.0),
        ("log_lines_dropped_total", 0.0),
    ] {
        let value = |all: &BTreeMap<String, f64>| all.get(&format!("logto_gateway_{name}")).copied();
        let grown = value(&after).expect(name) - value(&before).unwrap_or(0.0);
        assert!((grown - growth).abs() < 1e-9, "{name} grew by {grown}");
    }
    for (name, value) in
        [("budget_limit", 200.0), ("log_lines_dropped_total", 7.0), ("queue_waiting{class=\"batch\"}", 0.0)]
    {
        assert!((after[&format!("logto_gateway_{name}")] - value).abs() < 1e-9, "{name}");
    }
    assert!(after["logto_gateway_token_expiry_timestamp_seconds"] > 1e9);
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_how_it_stands_and_no_secret() {
    let office = office(Plan::default().logto(|logto| logto.app_secret = "canary-secret".to_owned()));
    office.world.get("/api/users").await;
    let answer = office.get("/status").await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    let status = answer.json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&status["upstream"], &status["draining"]), (&"http://localhost:3001".into(), &false.into()));
    for key in ["uptime_s", "token", "budget", "cache", "since_start"] {
        assert!(!status[key].is_null(), "{key}");
    }
    let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    let received = office.world.logto.received();
    let bearer = received.iter().find(|r| r.path_and_query == "/api/users").expect("it was forwarded");
    let token = bearer.headers["authorization"].to_str().expect("ASCII").trim_start_matches("Bearer ");
    assert!(!text.contains("canary-secret") && !text.contains(token), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_root_leads_to_the_status() {
    let answer = office(Plan::default()).get("/").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::TEMPORARY_REDIRECT, "/status"));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_page_or_asked_for_from_elsewhere_is_refused() {
    let office = office(Plan::default());
    let here = ("host", "127.0.0.1:8481");
    for (method, path, headers, status, code) in [
        (Method::GET, "/nowhere", vec![here], 404, "no_such_page"),
        (Method::GET, "/api/users", vec![here], 404, "no_such_page"),
        (Method::GET, "/status/", vec![here], 404, "no_such_page"),
        (Method::POST, "/status", vec![here], 405, "method_not_allowed"),
        (Method::GET, "/status", vec![("host", "evil.example")], 403, "host_not_allowed"),
        (Method::GET, "/status", vec![], 400, "malformed_request"),
        (Method::GET, "/status", vec![here, ("origin", "http://evil.example")], 403, "from_browser"),
    ] {
        let answer = office.ask(Scope::Admin, method, path, &headers).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["code"].as_str()),
            (status, Some(code)),
            "{path} {headers:?}"
        );
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(!answer.header("x-request-id").is_empty());
    }
    let allowed = office.ask(Scope::Admin, Method::POST, "/live", &[here]).await;
    assert_eq!(allowed.header("allow"), "GET, HEAD");
}

#[tokio::test(start_paused = true)]
async fn an_address_for_health_shows_its_three_pages_to_whoever_asks_and_nothing_else() {
    let office = office(Plan::default());
    let from_elsewhere = [("host", "10.0.0.7:8482")];
    for (path, status) in [
        ("/live", 200),
        ("/ready", 200),
        ("/metrics", 200),
        ("/status", 404),
        ("/", 404),
        ("/api/users", 404),
    ] {
        let answer = office.ask(Scope::Health, Method::GET, path, &from_elsewhere).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
    }
    let written = office.ask(Scope::Health, Method::POST, "/ready", &from_elsewhere).await;
    assert_eq!(written.status, StatusCode::METHOD_NOT_ALLOWED);
}
