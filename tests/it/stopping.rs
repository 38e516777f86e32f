//! Signals to the real binary: what is under way is finished, what waits is refused, nothing is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use logto_gateway::simulator::{Fault, FaultKind};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::process::{Logto, Process};
use crate::wire::{Wire, get, post, until, with, within};

/// How a request of the load ended: status and, for a refusal, its code. `None`: the connection closed before an answer.
type End = Option<(u16, String)>;

/// What can be told apart in all logs: who asked, and the how manieth time.
fn name(client: usize, number: usize) -> String {
    format!("load-{client}-{number}")
}

/// Reads and writes in turns on one connection, until the gateway closes it.
async fn load(mut wire: Wire<TcpStream>, client: usize, answered: Arc<AtomicUsize>) -> Vec<(String, End)> {
    let mut ends = Vec::new();
    for number in 0.. {
        let name = name(client, number);
        let id = format!("X-Request-Id: {name}\r\n");
        let request = if client.is_multiple_of(2) {
            with(&format!("/api/users?search=%25{name}%25"), &id)
        } else {
            let body = format!(r#"{{"username":"{}"}}"#, name.replace('-', "_"));
            post("/api/users", &body).replacen("\r\n", &format!("\r\n{id}"), 1)
        };
        let Some(answer) = wire.asked(&request).await else {
            ends.push((name, None));
            return ends;
        };
        answered.fetch_add(1, Ordering::Relaxed);
        let code = if answer.status.is_success() { Value::Null } else { answer.json()["code"].clone() };
        let code = code.as_str().unwrap_or_default().to_owned();
        ends.push((name, Some((answer.status.as_u16(), code))));
        if answer.header("connection") == "close" {
            return ends;
        }
    }
    ends
}

#[tokio::test]
async fn terminated_under_load_it_answers_what_it_accepted_and_finishes_what_it_sent() {
    const CLIENTS: usize = 16;
    let logto = Logto::start(|logto| logto.latency = Duration::from_millis(30)).await;
    // Most of the clients wait at any time.
    let settings = ["budget.limit=off", "budget.in_flight_max=4", "log.requests=all"];
    let flags = settings.map(|setting| ["--set", setting]).concat();
    let process = Process::start(&logto.env(), &flags).await;
    let answered = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        clients.push(tokio::spawn(load(process.connect().await, client, Arc::clone(&answered))));
    }
    until(|| answered.load(Ordering::Relaxed) >= 3 * CLIENTS).await;
    process.signal("TERM").await;
    let mut ends: BTreeMap<String, End> = BTreeMap::new();
    for client in clients {
        ends.extend(client.await.expect("no panic"));
    }
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.out);
    let refused = ends.values().flatten().filter(|(_, code)| code == "draining").count();
    assert!(refused > 0, "what waited was refused");
    for (status, code) in ends.values().flatten() {
        assert!(matches!((status, code.as_str()), (200, "") | (503, "draining")), "{status} {code}");
    }
    let log = log(&ended.out);
    assert!(!ended.out.contains("the client left before its answer"));
    for (name, end) in &ends {
        // A connection may close just as the next request is on its way: then nobody has seen it.
        let seen = end.as_ref().map(|(status, _)| u64::from(*status));
        assert_eq!(log.get(name).copied(), seen, "{name}");
        let sent = times_sent(&logto, name);
        let expected = usize::from(seen == Some(200));
        assert_eq!(sent, vec![Some(200); expected], "{name}");
    }
}

/// The statuses that were logged, by request id.
fn log(out: &str) -> BTreeMap<String, u64> {
    let lines = out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let request = |line: Value| Some((line["request_id"].as_str()?.to_owned(), line["status"].as_u64()?));
    lines.filter_map(request).collect()
}

/// How Logto answered the requests of this id.
fn times_sent(logto: &Logto, name: &str) -> Vec<Option<u16>> {
    let received = logto.simulator.received();
    let of = received.iter().filter(|r| r.headers.get("x-request-id").is_some_and(|id| id == name));
    of.map(|r| r.status).collect()
}

/// A process whose client waits for an answer that does not come.
async fn stuck(flags: &[&str]) -> (Logto, Process, Wire<TcpStream>) {
    let logto = Logto::start(|_| {}).await;
    logto.simulator.fault(Fault::new("/api/roles", FaultKind::Hang).times(100));
    let process = Process::start(&logto.env(), flags).await;
    let mut client = process.connect().await;
    client.say(&get("/api/roles")).await;
    until(|| logto.simulator.count(&Method::GET, "/api/roles") == 1).await;
    (logto, process, client)
}

#[tokio::test]
async fn while_it_drains_it_is_alive_and_not_ready_and_accepts_nobody() {
    let logto = Logto::start(|_| {}).await;
    let mut process = Process::start(&logto.env(), &[]).await;
    let (data, admin) = (process.port("listen"), process.port("admin"));
    let mut client = process.connect().await;
    client.say(&get("/api/roles")).await;
    assert_eq!(client.answer().await.status, StatusCode::OK);
    let upload = post("/api/user-assets", "0123456789");
    client.say(&upload[..upload.len() - 1]).await;
    let mut operator = Wire::new(TcpStream::connect(("127.0.0.1", admin)).await.expect("it listens"));
    loop {
        operator.say(&get("/status")).await;
        if operator.answer().await.json()["budget"]["in_flight"] == 1 {
            break;
        }
    }
    process.signal("TERM").await;
    process.says("stopping").await;
    operator.say(&get("/live")).await;
    assert_eq!(operator.answer().await.status, StatusCode::OK);
    within(async { while TcpStream::connect(("127.0.0.1", data)).await.is_ok() {} }).await;
    operator.say(&get("/ready")).await;
    assert_eq!(operator.answer().await.status, StatusCode::SERVICE_UNAVAILABLE);
    client.say(&upload[upload.len() - 1..]).await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.header("connection"), answer.header("proxy-status")),
        ("close", ""),
        "Logto's own answer"
    );
    assert!(logto.simulator.received().iter().any(|r| r.path_and_query == "/api/user-assets"));
    assert_eq!(process.ended().await.code, Some(0));
}

#[tokio::test]
async fn an_interrupt_stops_it_like_a_termination() {
    let logto = Logto::start(|_| {}).await;
    let process = Process::start(&logto.env(), &[]).await;
    process.signal("INT").await;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.out.contains("SIGINT: stopping") && ended.out.contains("\"stopped\""), "{}", ended.out);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (_logto, mut process, mut client) = stuck(&[]).await;
    process.signal("TERM").await;
    process.says("stopping").await;
    process.signal("INT").await;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains("SIGINT again"), "{}", ended.out);
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn a_drain_has_an_end() {
    let (_logto, process, mut client) = stuck(&["--set", "listen.drain_max=300ms"]).await;
    process.signal("TERM").await;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.out.contains("before everything was finished (listen.drain_max)"), "{}", ended.out);
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn a_hang_up_ends_nothing() {
    let logto = Logto::start(|_| {}).await;
    let mut process = Process::start(&logto.env(), &[]).await;
    process.signal("HUP").await;
    process.says("SIGHUP").await;
    let mut client = process.connect().await;
    client.say(&get("/api/users")).await;
    assert_eq!(client.answer().await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_output_that_nobody_reads_stalls_nothing() {
    let logto = Logto::start(|_| {}).await;
    let mut process = Process::start(&logto.env(), &["--set", "log.requests=all"]).await;
    let mut client = process.connect().await;
    // More lines than a pipe holds.
    for _ in 0..800 {
        client.say(&get("/nowhere")).await;
        assert_eq!(client.answer().await.status, StatusCode::NOT_FOUND);
    }
    process.signal("TERM").await;
    assert_eq!(process.code().await, Some(0));
}

#[tokio::test]
async fn an_output_that_is_closed_stalls_nothing() {
    let logto = Logto::start(|_| {}).await;
    let mut process = Process::start(&logto.env(), &["--set", "log.requests=all"]).await;
    process.hang_up();
    let mut client = process.connect().await;
    for _ in 0..50 {
        client.say(&get("/nowhere")).await;
        assert_eq!(client.answer().await.status, StatusCode::NOT_FOUND);
    }
    process.signal("TERM").await;
    assert_eq!(process.code().await, Some(0));
}
