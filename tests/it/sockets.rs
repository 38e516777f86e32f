//! What comes in over real sockets: HTTP/1.1, h2c, both loopbacks, Unix sockets.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use logto_gateway::listener::{Address, Listener};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::harness::Plan;
use crate::wire::{Served, Wire, get, post, until, whole, within};

#[tokio::test]
async fn one_connection_carries_one_request_after_another_and_is_told_how_long_it_may_idle() {
    let gateway = Plan::unlimited().serve().await;
    let mut client = gateway.connect().await;
    for path in ["/api/users?page_size=1", "/api/roles", "/api/users?page_size=1"] {
        client.say(&get(path)).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("keep-alive")), (StatusCode::OK, "timeout=30"));
        assert_eq!(answer.header("connection"), "");
    }
    assert_eq!(gateway.connections(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let gateway = Plan::unlimited().serve().await;
    let mut client = gateway.connect().await;
    let paths = ["/api/users?page_size=3", "/nowhere", "/api/users?page_size=2", "/api/users?page_size=1"];
    client.say(&paths.map(get).concat()).await;
    let mut sizes = Vec::new();
    for _ in paths {
        let answer = client.answer().await;
        sizes.push(if answer.status == StatusCode::OK {
            answer.json().as_array().map_or(0, Vec::len)
        } else {
            0
        });
    }
    assert_eq!(sizes, [3, 0, 2, 1]);
}

#[tokio::test]
async fn a_connection_is_closed_after_the_answer_when_its_client_asks_for_it() {
    let gateway = Plan::unlimited().serve().await;
    for request in [
        "GET /api/roles HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET /api/roles HTTP/1.0\r\nHost: localhost\r\n\r\n",
    ] {
        let mut client = gateway.connect().await;
        client.say(request).await;
        assert_eq!(client.answer().await.status, StatusCode::OK);
        assert!(client.rest().await.is_empty());
    }
}

#[tokio::test]
async fn an_answer_to_a_head_has_no_body_and_the_connection_goes_on() {
    let gateway = Plan::unlimited().serve().await;
    let mut client = gateway.connect().await;
    client.say("HEAD /api/roles HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let answer = client.head_answer().await;
    assert_eq!((answer.status, answer.header("total-number").is_empty()), (StatusCode::OK, false));
    client.say(&get("/api/roles")).await;
    assert_eq!(client.answer().await.json().as_array().map(Vec::is_empty), Some(false));
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_its_body_is_told_to_go_on() {
    let gateway = Plan::unlimited().serve().await;
    let mut client = gateway.connect().await;
    let request = post("/api/users", r#"{"username":"asked_first"}"#);
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    client.say(&format!("{head}\r\nExpect: 100-continue\r\n\r\n")).await;
    assert_eq!(client.interim().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.say(body).await;
    assert_eq!(client.answer().await.status, StatusCode::OK);
}

#[tokio::test]
async fn http_2_without_tls_carries_many_requests_at_once() {
    let gateway = Plan::unlimited().serve().await;
    let client = http_2(&gateway).await;
    let ask = |page: usize| {
        let mut client = client.clone();
        let uri = format!("http://localhost:{}/api/users?page_size=1&page={page}", gateway.port);
        let request = Request::get(uri).body(Full::new(Bytes::new())).expect("a request");
        async move {
            let answer = within(client.send_request(request)).await.expect("an answer");
            assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2));
            assert!(
                answer.headers().get("keep-alive").is_none(),
                "no header of connections (RFC 9113 §8.2.2)"
            );
            whole(answer.into_body()).await
        }
    };
    let answers = futures_util::future::join_all((1..=30).map(ask)).await;
    let distinct: std::collections::BTreeSet<Bytes> = answers.into_iter().collect();
    assert_eq!(distinct.len(), 30, "each stream has its own answer");
}

#[tokio::test]
async fn links_lead_http_2_clients_to_the_authority_they_called() {
    let gateway = Plan::unlimited().serve().await;
    let mut client = http_2(&gateway).await;
    let request = Request::get("http://127.0.0.1:9/api/users?page_size=1").body(Full::new(Bytes::new()));
    let answer = within(client.send_request(request.expect("a request"))).await.expect("an answer");
    let link = answer.headers()["link"].to_str().expect("ASCII");
    assert!(link.starts_with("<http://127.0.0.1:9/api/users?"), "{link}");
}

async fn http_2(gateway: &Served) -> http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("it listens");
    let (client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    client
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "whoever wonders is told")]
async fn localhost_is_both_loopbacks_on_one_port() {
    if TcpListener::bind("[::1]:0").await.is_err() {
        println!("skipped: this host has no IPv6");
        return;
    }
    let gateway = Plan::unlimited().set("listen.data", "localhost:0").serve().await;
    let port = gateway.port;
    assert_eq!(gateway.addresses, [format!("http://127.0.0.1:{port}"), format!("http://[::1]:{port}")]);
    for (address, host) in [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")] {
        let mut client = Wire::new(TcpStream::connect((address, port)).await.expect("it listens"));
        client.say(&format!("GET /api/users?page_size=1 HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, StatusCode::OK);
        let next = answer.link("next").expect("a second page");
        assert!(next.starts_with(&format!("http://{host}:{port}/api/users?")), "{next}");
    }
}

#[tokio::test]
async fn a_port_of_either_loopback_that_is_taken_is_an_error_that_says_so() {
    for loopback in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(other) = TcpListener::bind(loopback).await else { continue };
        let port = other.local_addr().expect("bound").port();
        let refused = Listener::bind(&[Address::Localhost(port)]).await.expect_err("it is taken");
        assert!(refused.is_taken());
        let told = refused.to_string();
        assert!(told.contains(&port.to_string()) && told.contains("set listen.data"), "{told}");
    }
}

#[tokio::test]
async fn a_unix_socket_serves_owner_and_group_and_is_removed_at_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.sock");
    let gateway = on(&path).await;
    assert_eq!(gateway.addresses, [format!("unix:{}", path.display())]);
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert_eq!(asked(&path).await, StatusCode::OK);
    gateway.stop.cancel();
    gateway.drained().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_a_killed_process_left_behind_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a free path"));
    assert!(path.exists(), "nobody listens there any more");
    let _gateway = on(&path).await;
    assert_eq!(asked(&path).await, StatusCode::OK);
}

#[tokio::test]
async fn a_socket_on_which_somebody_listens_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.sock");
    let _first = on(&path).await;
    let refused = Listener::bind(&[Address::Unix(path.clone())]).await.expect_err("it is taken");
    assert!(refused.is_taken(), "{refused}");
    assert_eq!(asked(&path).await, StatusCode::OK, "the first one still serves");
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_never_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("precious");
    std::fs::write(&path, "data").expect("a file");
    Listener::bind(&[Address::Unix(path.clone())]).await.expect_err("it is taken");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "data");
}

async fn on(path: &Path) -> Served {
    Plan::unlimited().set("listen.data", format!("unix:{}", path.display())).serve().await
}

async fn asked(path: &Path) -> StatusCode {
    let mut client = Wire::new(UnixStream::connect(path).await.expect("it listens"));
    client.say(&get("/api/roles")).await;
    client.answer().await.status
}

#[tokio::test]
async fn a_drain_answers_what_was_asked_and_sends_idle_clients_home() {
    let gateway = Plan::unlimited().serve().await;
    let mut idle = gateway.connect().await;
    idle.say(&get("/api/roles")).await;
    assert_eq!(idle.answer().await.status, StatusCode::OK);
    let mut busy = gateway.connect().await;
    busy.say(&get("/api/users")).await;
    until(|| gateway.world.received(&http::Method::GET, "/api/users") == 1).await;
    gateway.stop.cancel();
    let answer = busy.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (StatusCode::OK, "close"));
    assert!(idle.rest().await.is_empty());
    gateway.drained().await;
}

#[tokio::test]
async fn a_drain_finishes_the_streams_of_http_2_and_closes_the_connection() {
    let gateway = Plan::unlimited().serve().await;
    let stream = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("it listens");
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("it speaks HTTP/2");
    let connection = tokio::spawn(connection);
    let request =
        Request::get("http://localhost/api/users").body(Full::new(Bytes::new())).expect("a request");
    let answer = tokio::spawn(client.send_request(request));
    until(|| gateway.world.received(&http::Method::GET, "/api/users") == 1).await;
    gateway.stop.cancel();
    let answer = within(answer).await.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!whole(answer.into_body()).await.is_empty());
    within(connection).await.expect("no panic").expect("it ends well");
    gateway.drained().await;
}
