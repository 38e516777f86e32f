//! Heads that no honest client of the API sends, and how every refusal looks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;

use crate::harness::{Answer, Plan};
use crate::wire::{get, post, with};

#[tokio::test]
async fn a_head_that_no_client_of_the_api_sends_is_refused_and_never_forwarded() {
    let gateway = Plan::unlimited().serve().await;
    for (request, status, code) in [
        // Who is called, and by whom.
        ("GET /api/users HTTP/1.1\r\n\r\n".to_owned(), 400, "malformed_request"),
        ("GET /api/users HTTP/1.0\r\n\r\n".to_owned(), 400, "malformed_request"),
        (with("/api/users", "Host: localhost\r\n"), 400, "malformed_request"),
        ("GET /api/users HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), 403, "host_not_allowed"),
        (with("/api/users", "Origin: http://localhost\r\n"), 403, "from_browser"),
        (with("/api/users", "Sec-Fetch-Site: cross-site\r\n"), 403, "from_browser"),
        (
            with("/api/users", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
            403,
            "from_browser",
        ),
        // Targets.
        (with("http://evil.example/api/users", ""), 403, "host_not_allowed"),
        (with("http://localhost:1/api/users", ""), 400, "malformed_request"),
        (with("/nowhere", ""), 404, "not_the_api"),
        (with("/api/users/../roles", ""), 400, "ambiguous_path"),
        (with("/api/users/%2e%2e/roles", ""), 400, "ambiguous_path"),
        // Methods.
        ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n".to_owned(), 405, "method_not_allowed"),
        ("TRACE /api/users HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 405, "method_not_allowed"),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 405, "method_not_allowed"),
        ("BREW /api/users HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 501, "method_unknown"),
        // Rights.
        ("DELETE /api/users/u HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 403, "authorization_required"),
    ] {
        let answer = gateway.ask(&request).await;
        assert_eq!(answer.status.as_u16(), status, "{request}");
        let told = refusal(&answer);
        assert_eq!(told, code, "{request}");
    }
    assert_eq!(gateway.world.logto.count(&Method::GET, "/api"), 0);
    assert_eq!(gateway.world.logto.count(&Method::DELETE, "/api"), 0);
}

/// What every refusal has; returns its code.
fn refusal(answer: &Answer) -> String {
    let problem = answer.json();
    let code = problem["code"].as_str().expect("a code").to_owned();
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let error = answer.header("proxy-status");
    assert!(error.starts_with("logto-gateway; error="), "{error}");
    assert!(error.ends_with(&format!("; details=\"{code}\"")), "{error}");
    assert_eq!(problem["status"], answer.status.as_u16());
    assert_eq!(problem["request_id"], answer.header("x-request-id"));
    assert_eq!(answer.header("x-request-id").len(), 16);
    assert_eq!(answer.header("via"), "1.1 logto-gateway");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10));
    code
}

#[tokio::test]
async fn bytes_that_are_no_http_are_refused_and_the_connection_is_closed() {
    let gateway = Plan::unlimited().serve().await;
    for request in [
        post("/api/users", "{}").replace("Content-Length: 2", "Content-Length: 2\r\nContent-Length: 3"),
        post("/api/users", "{}").replace("Content-Length: 2", "Content-Length: two"),
        post("/api/users", "{}").replace("Content-Length: 2", "Transfer-Encoding: gzip"),
        post("/api/users", "{}").replace("Content-Length: 2", "Transfer-Encoding: chunked, gzip"),
        with("/api/users", "Bad Name: x\r\n"),
        with("/api/users", "Name : x\r\n"),
        with("/api/users", "Folded: x\r\n y\r\n"),
        with("/api/users", "Control: \u{1}\r\n"),
        "GET  /api/users HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}TLS, perhaps\r\n\r\n".to_owned(),
    ] {
        let mut client = gateway.connect().await;
        client.say(&request).await;
        let (status, _) = client.answer_head().await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{request:?}");
        assert!(client.rest().await.is_empty(), "{request:?}");
    }
    assert_eq!(gateway.world.logto.count(&Method::POST, "/api"), 0);
}

/// RFC 9112 §6.3: the chunks count, and nothing that follows is trusted.
#[tokio::test]
async fn a_body_with_two_lengths_smuggles_nothing() {
    let gateway = Plan::unlimited().serve().await;
    let smuggled = get("/api/roles");
    for lengths in
        ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"]
    {
        let request = post("/api/users", "0\r\n\r\n").replace("Content-Length: 5", lengths);
        let mut client = gateway.connect().await;
        client.say(&format!("{request}{smuggled}")).await;
        let answer = client.answer().await;
        assert_eq!(answer.header("connection"), "close", "{lengths}");
        assert!(client.rest().await.is_empty(), "{lengths}");
    }
    assert_eq!(gateway.world.received(&Method::GET, "/api/roles"), 0);
}

#[tokio::test]
async fn a_repeated_length_that_agrees_with_itself_is_one_length() {
    let gateway = Plan::unlimited().serve().await;
    let request = post("/api/users", r#"{"username":"twice"}"#);
    let request = request.replace("Content-Length: 20", "Content-Length: 20\r\nContent-Length: 20");
    assert_eq!(gateway.ask(&request).await.status, StatusCode::OK);
    let received = gateway.world.logto.received();
    let write = received.iter().find(|r| r.method == Method::POST && r.path_and_query == "/api/users");
    let lengths = write.expect("it was forwarded").headers.get_all("content-length").iter().count();
    assert_eq!(lengths, 1);
}

#[tokio::test]
async fn an_offer_of_http_2_is_ignored_and_never_forwarded() {
    let gateway = Plan::unlimited().serve().await;
    let mut client = gateway.connect().await;
    let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n";
    for path in ["/api/roles", "/api/users"] {
        client.say(&with(path, offer)).await;
        assert_eq!(client.answer().await.status, StatusCode::OK, "twice on one connection");
    }
    client
        .say(&post("/api/users", r#"{"username":"java"}"#).replacen("\r\n", &format!("\r\n{offer}"), 1))
        .await;
    assert_eq!(client.answer().await.status, StatusCode::OK, "with a body too");
    for received in gateway.world.logto.received() {
        assert!(
            !received.headers.contains_key("upgrade") && !received.headers.contains_key("http2-settings")
        );
    }
}

#[tokio::test]
async fn an_absolute_target_that_names_this_gateway_is_served() {
    let gateway = Plan::unlimited().serve().await;
    assert_eq!(gateway.ask(&with("http://localhost/api/users", "")).await.status, StatusCode::OK);
    let received = gateway.world.logto.received();
    assert!(received.iter().any(|r| r.path_and_query == "/api/users"), "forwarded as a path");
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_forwarded_and_an_odd_one_replaced() {
    let gateway = Plan::unlimited().serve().await;
    let forwarded = |path: &str| {
        let received = gateway.world.logto.received();
        let row = received.iter().find(|r| r.path_and_query == path).expect("it was forwarded");
        row.headers.get_all("x-request-id").iter().map(|id| id.as_bytes().to_vec()).collect::<Vec<_>>()
    };
    let kept = gateway.ask(&with("/api/users?page_size=1", "X-Request-Id: Order-66/a.b_c:+=\r\n")).await;
    assert_eq!(kept.header("x-request-id"), "Order-66/a.b_c:+=");
    assert_eq!(forwarded("/api/users?page_size=1"), [b"Order-66/a.b_c:+="]);
    let long = "x".repeat(129);
    for (size, odd) in ["", "two words", "quo\"te", "<script>", "ümlaut", &long].into_iter().enumerate() {
        let path = format!("/api/users?page_size={}", size + 2);
        let replaced = gateway.ask(&with(&path, &format!("X-Request-Id: {odd}\r\n"))).await;
        let id = replaced.header("x-request-id").to_owned();
        assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{odd}: {id}");
        assert_eq!(forwarded(&path), [id.as_bytes()]);
    }
}

#[tokio::test]
async fn a_panic_is_an_answer_of_500_and_the_next_request_is_served() {
    let world = Plan::unlimited().world();
    let request = Request::post("/api/users").header("host", "localhost").header("authorization", "x");
    let request = request.body(Panics).expect("a request");
    let (head, body) = Arc::clone(&world.gateway).handle(request).await.into_parts();
    let body = body.collect().await.expect("it is whole").to_bytes();
    let answer = Answer { status: head.status, headers: head.headers, body };
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(refusal(&answer), "internal");
    assert_eq!(world.get("/api/users").await.status, StatusCode::OK);
}

/// A body whose reading is a programming error.
struct Panics;

impl Body for Panics {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        panic!("planned")
    }
}
