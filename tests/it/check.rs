//! `check`: which step fails, why, and how to mend it.

use http::StatusCode;
use logto_gateway::simulator::{Fault, FaultKind};
use tokio::net::TcpListener;

use crate::process::{Ended, Logto, env, run};

/// The one line with a cross.
fn fault(ended: &Ended) -> &str {
    let faults: Vec<&str> = ended.out.lines().filter(|line| line.starts_with('✗')).collect();
    assert_eq!((ended.code, faults.len()), (Some(1), 1), "{}{}", ended.out, ended.err);
    faults[0]
}

fn names(ended: &Ended, step: &str, parts: &[&str]) {
    let line = fault(ended);
    assert!(line.starts_with(&format!("✗ {step}")), "{line}");
    for part in parts {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn where_all_is_right_every_step_says_so() {
    let logto = Logto::start(|_| {}).await;
    let ended = run(&logto.env(), &["check"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    let steps: Vec<&str> =
        ended.out.lines().filter_map(|l| l.strip_prefix("✓ ")?.split(' ').next()).collect();
    assert_eq!(steps, ["config", "connection", "token", "api", "clock", "budget"]);
    for token in logto.tokens() {
        assert!(!ended.out.contains(&token), "the token is shown");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_told() {
    let logto = Logto::start(|_| {}).await;
    logto.simulator.set_secret("another");
    names(&run(&logto.env(), &["check"]).await, "token", &["secret", "LOGTO_APP_SECRET"]);
}

#[tokio::test]
async fn an_expired_secret_is_told() {
    let logto = Logto::start(|_| {}).await;
    logto.simulator.set_secret_expired(true);
    names(&run(&logto.env(), &["check"]).await, "token", &["expired"]);
}

#[tokio::test]
async fn a_wrong_resource_is_told() {
    let logto = Logto::start(|logto| logto.resource = "https://tenant.example/api".to_owned()).await;
    names(
        &run(&logto.env(), &["check"]).await,
        "token",
        &["https://default.logto.app/api", "upstream.resource"],
    );
}

#[tokio::test]
async fn a_missing_role_is_told() {
    let logto = Logto::start(|logto| logto.has_role = false).await;
    names(&run(&logto.env(), &["check"]).await, "token", &["role", "Management API"]);
}

#[tokio::test]
async fn an_upstream_that_is_down_is_told() {
    // Bound and let go: nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("bound");
    let ended = run(&env(&format!("http://{free}")), &["check"]).await;
    names(&ended, "connection", &[&free.to_string(), "refused", "LOGTO_ENDPOINT"]);
}

#[tokio::test]
async fn a_name_that_nobody_has_is_told() {
    let ended = run(&env("http://nobody.invalid"), &["check"]).await;
    names(&ended, "connection", &["nobody.invalid"]);
}

#[tokio::test]
async fn tls_to_a_port_without_it_is_told() {
    let logto = Logto::start(|_| {}).await;
    let ended = run(&env(&format!("https://127.0.0.1:{}", logto.port)), &["check"]).await;
    names(&ended, "connection", &["does not speak TLS", "http://"]);
}

#[tokio::test]
async fn an_upstream_that_is_no_logto_is_told() {
    let logto = Logto::start(|_| {}).await;
    logto.simulator.fault(Fault::new("/oidc/token", FaultKind::HtmlPage(StatusCode::OK)).times(10));
    names(&run(&logto.env(), &["check"]).await, "token", &["text/html", "upstream.endpoint"]);
}

#[tokio::test]
async fn an_api_that_fails_is_told_with_its_status() {
    let logto = Logto::start(|_| {}).await;
    let down = FaultKind::Status(StatusCode::INTERNAL_SERVER_ERROR);
    logto.simulator.fault(Fault::new("/api", down).times(10));
    names(&run(&logto.env(), &["check"]).await, "api", &["500"]);
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_told_in_time() {
    let logto = Logto::start(|_| {}).await;
    logto.simulator.fault(Fault::new("/api", FaultKind::Hang).times(10));
    let ended = run(&logto.env(), &["check", "--set", "upstream.response_timeout=200ms"]).await;
    names(&ended, "api", &["200ms"]);
}

#[tokio::test]
async fn programs_get_one_line_of_json() {
    let logto = Logto::start(|_| {}).await;
    let sound = run(&logto.env(), &["check", "--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&sound.out).expect("JSON");
    assert_eq!((sound.code, &report["ok"]), (Some(0), &true.into()));
    let verdicts = report["steps"].as_array().expect("steps").iter().map(|step| step["verdict"].as_str());
    assert_eq!(verdicts.filter(|verdict| *verdict == Some("ok")).count(), 6);
    logto.simulator.set_secret("another");
    let unsound = run(&logto.env(), &["check", "--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&unsound.out).expect("JSON");
    assert_eq!((unsound.code, &report["ok"]), (Some(1), &false.into()));
    let unset = run(&[], &["check", "--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&unset.out).expect("JSON");
    assert_eq!((unset.code, report["config"].as_array().map(Vec::len)), (Some(78), Some(3)));
}
