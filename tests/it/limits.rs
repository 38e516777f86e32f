//! What a client may not do: be slow, be silent, be large, be many.

use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use logto_gateway::simulator::{Fault, FaultKind};
use tokio::net::TcpStream;

use crate::harness::Plan;
use crate::wire::{Served, get, post, until, with, within};

/// A gateway that is soon out of patience for heads.
async fn impatient() -> Served {
    Plan::unlimited().set("listen.header_timeout", "150ms").serve().await
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "real time is what is tested")]
async fn whoever_connects_and_does_not_send_a_whole_head_is_let_go() {
    let gateway = impatient().await;
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM", "GET /api/roles HTTP/1.1\r\nHost: local"] {
        let begun = Instant::now();
        let mut client = gateway.connect().await;
        client.say(beginning).await;
        let told = client.rest().await;
        assert!(told.is_empty(), "{beginning:?}: {told:?}");
        assert!(begun.elapsed().as_millis() >= 150, "{beginning:?} had its time");
    }
}

#[tokio::test]
async fn a_head_that_comes_in_drops_has_no_more_time_than_any_other() {
    let gateway = impatient().await;
    let mut client = gateway.connect().await;
    client.say("GET /api/roles HTTP/1.1\r\nHost: localhost\r\n").await;
    until(|| gateway.connections() > 0).await;
    within(async {
        // The last drops meet a closed connection.
        while gateway.connections() > 0 {
            client.try_say("X: x\r\n").await;
        }
    })
    .await;
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn a_connection_idles_no_longer_than_a_head_may_take() {
    let gateway = impatient().await;
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        client.say(&get("/api/roles")).await;
        assert_eq!(client.answer().await.status, StatusCode::OK);
    }
    assert!(client.rest().await.is_empty(), "closed, and nothing more is said");
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_head() {
    let gateway = Plan::unlimited()
        .set("listen.header_timeout", "100ms")
        .logto(|logto| logto.latency = std::time::Duration::from_millis(300))
        .serve()
        .await;
    let mut client = gateway.connect().await;
    client.say(&get("/api/roles")).await;
    assert_eq!(client.answer().await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_with_431() {
    let gateway = Plan::unlimited().set("listen.headers_max", "8KiB").serve().await;
    let fits = with("/api/roles", &format!("X-Large: {}\r\n", "x".repeat(7 * 1024)));
    assert_eq!(gateway.ask(&fits).await.status, StatusCode::OK);
    let large = with("/api/roles", &format!("X-Large: {}\r\n", "x".repeat(9 * 1024)));
    assert_eq!(gateway.ask(&large).await.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let many = with("/api/roles", &"X: x\r\n".repeat(101));
    assert_eq!(gateway.ask(&many).await.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_before_any_of_it_is_sent() {
    let gateway = Plan::unlimited().set("door.body_max", "1KiB").serve().await;
    let mut client = gateway.connect().await;
    let head =
        "POST /api/users HTTP/1.1\r\nHost: localhost\r\nAuthorization: x\r\nContent-Length: 1025\r\n\r\n";
    client.say(head).await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, Some("body_too_large"))
    );
    assert_eq!(
        gateway.ask(&post("/api/users", &"x".repeat(1025))).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn a_body_without_an_announced_end_is_refused_where_it_passes_the_limit() {
    let gateway = Plan::unlimited().set("door.body_max", "1KiB").serve().await;
    let mut client = gateway.connect().await;
    client.say("POST /api/users HTTP/1.1\r\nHost: localhost\r\nAuthorization: x\r\n").await;
    client.say("Transfer-Encoding: chunked\r\n\r\n").await;
    let chunk = format!("200\r\n{}\r\n", "x".repeat(0x200));
    for _ in 0..3 {
        client.say(&chunk).await;
    }
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, Some("body_too_large"))
    );
    assert_eq!(gateway.world.received(&Method::POST, "/api/users"), 0);
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_refused_with_408() {
    let gateway = Plan::unlimited().set("listen.body_timeout", "100ms").serve().await;
    let mut client = gateway.connect().await;
    let request = post("/api/users", r#"{"username":"slow"}"#);
    client.say(&request[..request.len() - 1]).await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (StatusCode::REQUEST_TIMEOUT, Some("request_too_slow"))
    );
    assert!(client.rest().await.is_empty(), "what comes after it could be anything");
    assert_eq!(gateway.world.received(&Method::POST, "/api/users"), 0);
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answers_is_let_go() {
    let gateway = Plan::unlimited()
        .set("listen.write_timeout", "150ms")
        .logto(|logto| logto.seed_users = 2000)
        .serve()
        .await;
    let mut client = gateway.connect().await;
    client.say(&get("/api/roles")).await;
    until(|| gateway.connections() > 0).await;
    within(async {
        // Whatever the system's buffers hold, at some time an answer no longer fits.
        while gateway.connections() > 0 {
            client.try_say(&get("/api/users?page_size=100")).await;
        }
    })
    .await;
    let mut other = gateway.connect().await;
    other.say(&get("/api/roles")).await;
    assert_eq!(other.answer().await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_reads_slowly_but_steadily_gets_all_of_it() {
    let gateway = Plan::unlimited().set("listen.write_timeout", "2s").serve().await;
    let mut client = gateway.connect().await;
    let requests = 200;
    client.say(&get("/api/users?page_size=50").repeat(requests)).await;
    for _ in 0..requests {
        assert_eq!(client.answer().await.json().as_array().map(Vec::len), Some(50));
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_one_is_closed() {
    let gateway = Plan::unlimited().set("listen.connections_max", "2").serve().await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = gateway.connect().await;
        client.say(&get("/api/roles")).await;
        assert_eq!(client.answer().await.status, StatusCode::OK);
        open.push(client);
    }
    let mut third = gateway.connect().await;
    third.say(&get("/api/users")).await;
    for client in &mut open {
        client.say(&get("/api/roles")).await;
        assert_eq!(client.answer().await.status, StatusCode::OK);
    }
    assert_eq!(gateway.connections(), 2);
    assert_eq!(gateway.world.received(&Method::GET, "/api/users"), 0, "the third one waits");
    open.pop();
    assert_eq!(third.answer().await.status, StatusCode::OK);
}

#[tokio::test]
async fn bodies_that_are_held_together_have_a_limit() {
    let gateway =
        Plan::unlimited().set("door.body_max", "1KiB").set("door.held_bodies_max", "1KiB").serve().await;
    gateway.world.logto.fault(Fault::new("/api/users", FaultKind::Hang));
    let mut first = gateway.connect().await;
    first.say(&post("/api/users", &"x".repeat(1000))).await;
    until(|| gateway.world.received(&Method::POST, "/api/users") == 1).await;
    let refused = gateway.ask(&post("/api/users", &"x".repeat(100))).await;
    assert_eq!(refused.json()["code"], "held_bodies_full");
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
}

#[tokio::test]
async fn a_drain_stops_accepting_even_when_all_connections_are_taken() {
    let gateway = Plan::unlimited().set("listen.connections_max", "1").serve().await;
    gateway.world.logto.fault(Fault::new("/api/users", FaultKind::Hang));
    let mut only = gateway.connect().await;
    only.say(&get("/api/users")).await;
    until(|| gateway.world.received(&Method::GET, "/api/users") == 1).await;
    gateway.stop.cancel();
    within(async { while TcpStream::connect(("127.0.0.1", gateway.port)).await.is_ok() {} }).await;
}

#[tokio::test]
async fn an_http_2_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let plan = Plan::unlimited().set("listen.answer_timeout", "200ms").set("listen.header_timeout", "100ms");
    let gateway = plan.serve().await;
    let stream = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("it listens");
    let (mut client, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(16)
        .handshake(TokioIo::new(stream))
        .await
        .expect("it speaks HTTP/2");
    let connection = tokio::spawn(connection);
    let request = Request::get("http://localhost/api/users").body(Empty::<Bytes>::new()).expect("a request");
    let answer = within(client.send_request(request)).await.expect("a head");
    assert!(answer.headers()["content-length"].to_str().expect("a number").len() > 2, "more than the window");
    let _ended = within(connection).await;
    until(|| gateway.connections() == 0).await;
    drop(answer);
}

#[tokio::test]
async fn an_http_2_client_that_asks_for_nothing_more_is_sent_away() {
    let gateway = Plan::unlimited().set("listen.header_timeout", "100ms").serve().await;
    let stream = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("it listens");
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("it speaks HTTP/2");
    let connection = tokio::spawn(connection);
    let request = Request::get("http://localhost/api/users").body(Empty::<Bytes>::new()).expect("a request");
    let answer = within(client.send_request(request)).await.expect("a head");
    within(answer.into_body().collect()).await.expect("all of it");
    let _ended = within(connection).await;
    until(|| gateway.connections() == 0).await;
}
