//! Clients that leave while they wait: nothing is sent for them, and what was sent already is finished.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use logto_gateway::simulator::{Fault, FaultKind};
use tokio::net::TcpStream;

use crate::harness::Plan;
use crate::wire::{Served, Wire, get, post, until, within};

const LEFT: &str = "logto_gateway_caller_requests_total{caller=\"anonymous\",outcome=\"left\"}";

/// A gateway whose only place at Logto is taken by an upload, for as long as the returned client stays.
async fn occupied() -> (Served, Wire<TcpStream>) {
    let gateway = Plan::unlimited().set("budget.in_flight_max", "1").serve().await;
    // From here on no token is asked for: that would take the place as well.
    assert_eq!(gateway.ask(&get("/api/roles")).await.status, StatusCode::OK);
    let mut first = gateway.connect().await;
    let upload = post("/api/user-assets", "0123456789");
    first.say(&upload[..upload.len() - 1]).await;
    until(|| gateway.world.gateway.throttle.status().in_flight == 1).await;
    (gateway, first)
}

impl Served {
    fn waiting(&self) -> usize {
        self.world.gateway.throttle.status().waiting
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_its_request_waits_is_noticed_and_nothing_is_sent() {
    for request in [get("/api/users"), post("/api/users", r#"{"username":"gone"}"#)] {
        let (gateway, _first) = occupied().await;
        let mut client = gateway.connect().await;
        client.say(&request).await;
        until(|| gateway.waiting() == 1).await;
        drop(client);
        until(|| gateway.waiting() == 0).await;
        until(|| gateway.metric(LEFT) == 1).await;
        assert_eq!(gateway.world.logto.count(&Method::POST, "/api/users"), 0);
        assert_eq!(gateway.world.logto.count(&Method::GET, "/api/users"), 0);
    }
}

#[tokio::test]
async fn an_http_2_client_that_resets_a_waiting_request_is_noticed_and_its_connection_goes_on() {
    for method in [Method::GET, Method::POST] {
        let (gateway, _first) = occupied().await;
        let stream = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("it listens");
        let (mut client, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        let request = |method: &Method, path: &str| {
            let request = Request::builder().method(method).uri(format!("http://localhost{path}"));
            let body = if *method == Method::POST { "{\"username\":\"gone\"}" } else { "" };
            request.header("authorization", "x").body(Full::new(Bytes::from(body))).expect("a request")
        };
        let answer = tokio::spawn(client.send_request(request(&method, "/api/users")));
        until(|| gateway.waiting() == 1).await;
        answer.abort();
        until(|| gateway.waiting() == 0).await;
        until(|| gateway.metric(LEFT) == 1).await;
        assert_eq!(gateway.world.logto.count(&method, "/api/users"), 0);
        let refused =
            within(client.send_request(request(&Method::GET, "/nowhere"))).await.expect("an answer");
        assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_is_noticed() {
    let gateway = Plan::unlimited().serve().await;
    let mut client = gateway.connect().await;
    let request = post("/api/users", r#"{"username":"gone"}"#);
    client.say(&request[..request.len() - 1]).await;
    until(|| gateway.connections() == 1).await;
    drop(client);
    until(|| gateway.connections() == 0).await;
    assert_eq!(gateway.world.received(&Method::POST, "/api/users"), 0);
}

#[tokio::test]
async fn a_write_that_was_sent_is_finished_once_though_its_client_has_left() {
    let gateway = Plan::unlimited().serve().await;
    let before = gateway.ask(&get("/api/users")).await;
    let late = FaultKind::Latency(std::time::Duration::from_millis(100));
    gateway.world.logto.fault(Fault::new("/api/users", late).method(Method::POST));
    let mut client = gateway.connect().await;
    client.say(&post("/api/users", r#"{"username":"orphan"}"#)).await;
    until(|| gateway.world.received(&Method::POST, "/api/users") == 1).await;
    drop(client);
    until(|| gateway.metric(LEFT) == 1).await;
    gateway.world.gateway.tasks.close();
    within(gateway.world.gateway.tasks.wait()).await;
    let received = gateway.world.logto.received();
    let writes: Vec<_> =
        received.iter().filter(|r| r.method == Method::POST && r.path_and_query == "/api/users").collect();
    assert_eq!((writes.len(), writes[0].status), (1, Some(200)));
    let after = gateway.ask(&get("/api/users")).await;
    assert_ne!(after.header("total-number"), before.header("total-number"), "what it changed is read anew");
}

#[tokio::test]
async fn of_many_who_wait_for_one_answer_one_may_leave() {
    let (gateway, first) = occupied().await;
    let mut leaver = gateway.connect().await;
    leaver.say(&get("/api/users")).await;
    until(|| gateway.waiting() == 1).await;
    let mut stayer = gateway.connect().await;
    stayer.say(&get("/api/users")).await;
    until(|| gateway.metric("logto_gateway_flights_passengers_total") == 1).await;
    drop(leaver);
    until(|| gateway.metric(LEFT) == 1).await;
    assert_eq!(gateway.waiting(), 1, "the flight goes on");
    drop(first);
    assert_eq!(stayer.answer().await.status, StatusCode::OK);
    assert_eq!(gateway.world.received(&Method::GET, "/api/users"), 1);
}

#[tokio::test]
async fn of_sixty_who_wait_on_sockets_those_who_leave_cost_no_permit_and_those_who_stay_are_served() {
    let (gateway, first) = occupied().await;
    let before = gateway.world.logto.received().len();
    let (mut stayers, mut leavers, mut resets) = (Vec::new(), Vec::new(), Vec::new());
    let stream = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("it listens");
    let (mut h2, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    for n in 0..20 {
        let (mut reader, mut writer) = (gateway.connect().await, gateway.connect().await);
        reader.say(&get(&format!("/api/roles?n={n}"))).await;
        writer.say(&post("/api/users", &format!("{{\"username\":\"user_{n}\"}}"))).await;
        if n % 2 == 0 { &mut stayers } else { &mut leavers }.extend([reader, writer]);
        let request = Request::builder().uri(format!("http://localhost/api/users?n={n}"));
        let request = request.body(Full::new(Bytes::new())).expect("a request");
        resets.push(tokio::spawn(h2.send_request(request)));
    }
    until(|| gateway.waiting() == 60).await;
    drop(leavers);
    let staying = resets.split_off(10);
    resets.iter().for_each(tokio::task::JoinHandle::abort);
    until(|| gateway.waiting() == 30).await;
    drop(first);
    for mut stayer in stayers {
        assert_eq!(stayer.answer().await.status, StatusCode::OK);
    }
    for answer in staying {
        let answer = within(answer).await.expect("it is not reset").expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(gateway.world.logto.received().len() - before, 30);
    assert_eq!(gateway.world.gateway.metrics.totals().permits_wasted, 0);
}
