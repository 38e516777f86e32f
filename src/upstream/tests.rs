//! What goes over the wire to Logto and what comes back, with a server that does as it is told, on paused time.

use std::sync::Mutex;

use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::sleep;

use super::*;
use crate::call::sample::{ask, get};
use crate::connect::{ConnectError, Stream};

const PATIENCE: Duration = Duration::from_secs(30);
const NINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

/// The other end: every connection that was made, in order.
struct Server(UnboundedReceiver<DuplexStream>);

/// The server's end of a connection.
struct Peer(DuplexStream);

fn origin() -> Origin {
    Origin { tls: true, host: "tenant.logto.app".to_owned(), port: 443 }
}

fn over(connector: Connector) -> Upstream {
    let settings = Settings { origin: origin(), response_timeout: PATIENCE };
    Upstream::new(&settings, connector, vec![HeaderName::from_static("x-extra")])
}

fn upstream() -> (Upstream, Server) {
    let (dialled, server) = unbounded_channel();
    let connector = Connector::memory(move || {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        dialled.send(theirs).map_err(|_| ConnectError::Refused(origin()))?;
        Ok(Box::new(ours) as Stream)
    });
    (over(connector), Server(server))
}

impl Server {
    async fn accepts(&mut self) -> Peer {
        let dialled = timeout(PATIENCE, self.0.recv()).await.expect("a connection in time");
        Peer(dialled.expect("a connection"))
    }

    fn has_more(&mut self) -> bool {
        self.0.try_recv().is_ok()
    }
}

impl Peer {
    /// One request, head and body, or as much of it as came.
    async fn hears(&mut self) -> String {
        let mut heard = Vec::new();
        while !is_whole(&heard) {
            let mut more = [0; 4096];
            let read = timeout(PATIENCE, self.0.read(&mut more)).await.expect("something in time");
            match read.expect("it can be read") {
                0 => break,
                n => heard.extend_from_slice(&more[..n]),
            }
        }
        String::from_utf8(heard).expect("text")
    }

    async fn says(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("somebody listens");
    }

    /// Answers a request, and returns it.
    async fn answers(&mut self, text: &str) -> String {
        let heard = self.hears().await;
        self.says(text).await;
        heard
    }
}

fn is_whole(heard: &[u8]) -> bool {
    let text = String::from_utf8_lossy(heard);
    let Some((fields, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = fields.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().expect("a number"))
}

async fn send(upstream: &Upstream, call: &Call) -> Outcome {
    upstream.send(call, &HeaderValue::from_static("Bearer t"), None, call.deadline).await
}

/// What became of a call, its body included.
type Ended = Result<(u16, String), String>;

async fn ended(outcome: Outcome) -> Ended {
    match outcome {
        Outcome::Failed(failure) => Err(failure.to_string()),
        Outcome::Answered(reply) => {
            let status = reply.status.as_u16();
            match reply.hold(1 << 20).await.map_err(|error| error.to_string())?.body {
                Body::Held(bytes) => Ok((status, String::from_utf8(bytes.to_vec()).expect("text"))),
                Body::Streaming(_) => Err("too large".to_owned()),
            }
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what may have failed")]
fn hi() -> Ended {
    Ok((200, "hi".to_owned()))
}

/// A call that is answered.
async fn exchange(upstream: &Upstream, peer: &mut Peer) -> String {
    let call = get("/api/users").call();
    let (outcome, heard) = tokio::join!(async { ended(send(upstream, &call).await).await }, peer.answers(OK));
    assert_eq!(outcome, hi());
    heard
}

/// A call that is answered on a new connection.
async fn first_exchange(upstream: &Upstream, server: &mut Server) -> Peer {
    let call = get("/api/users").call();
    let (outcome, peer) = tokio::join!(async { ended(send(upstream, &call).await).await }, async {
        let mut peer = server.accepts().await;
        peer.answers(OK).await;
        peer
    });
    assert_eq!(outcome, hi());
    peer
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_out_under_logtos_name_with_our_credentials_and_nothing_of_the_clients_own() {
    let (upstream, mut server) = upstream();
    let call = ask(&Method::PATCH, "/api/USERS/%75/?b=2&a=%20")
        .with("authorization", "Bearer canary")
        .with("cookie", "canary")
        .with("connection", "x-extra")
        .with("te", "trailers")
        .with("accept-encoding", "gzip")
        .with("if-none-match", "\"canary\"")
        .with("x-extra", "1")
        .with("x-extra", "2")
        .with("content-type", "application/json")
        .body("{\"a\":1}")
        .call();
    let (_, heard) = tokio::join!(send(&upstream, &call), async { server.accepts().await.answers(OK).await });
    let (fields, body) = heard.split_once("\r\n\r\n").expect("a head");
    let mut lines: Vec<&str> = fields.lines().collect();
    assert_eq!((lines.remove(0), body), ("PATCH /api/USERS/%75/?b=2&a=%20 HTTP/1.1", "{\"a\":1}"));
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "accept-encoding: identity",
            "authorization: Bearer t",
            "content-length: 7",
            "content-type: application/json",
            "host: tenant.logto.app",
            "via: 1.1 logto-gateway",
            "x-extra: 1",
            "x-extra: 2",
            "x-request-id: id",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_validator_goes_along_and_a_304_comes_back() {
    let (upstream, mut server) = upstream();
    let (call, tag) = (get("/api/users").call(), HeaderValue::from_static("W/\"1\""));
    let token = HeaderValue::from_static("Bearer t");
    let (outcome, heard) = tokio::join!(upstream.send(&call, &token, Some(&tag), call.deadline), async {
        server.accepts().await.answers("HTTP/1.1 304 Not Modified\r\netag: W/\"1\"\r\n\r\n").await
    });
    assert!(heard.contains("\r\nif-none-match: W/\"1\"\r\n"));
    assert_eq!(outcome.status(), Some(StatusCode::NOT_MODIFIED));
}

#[tokio::test(start_paused = true)]
async fn an_answer_keeps_its_repeated_headers_in_order_and_loses_those_of_the_hop() {
    let (upstream, mut server) = upstream();
    let answer = "HTTP/1.1 200 OK\r\nlink: <a>\r\nX-Odd: \u{e9}\r\nconnection: close, x-hop\r\nx-hop: 1\r\nkeep-alive: \
                  timeout=5\r\nproxy-connection: x\r\nte: x\r\ntrailer: x\r\nupgrade: x\r\nlink: <b>\r\nlink: \
                  <c>\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let call = get("/api/users").call();
    let (outcome, _) =
        tokio::join!(send(&upstream, &call), async { server.accepts().await.answers(answer).await });
    let Outcome::Answered(reply) = outcome else { panic!("it was answered") };
    let links: Vec<_> = reply.headers.get_all("link").iter().collect();
    assert_eq!(links, ["<a>", "<b>", "<c>"]);
    let names: Vec<&str> = reply.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["link", "x-odd"]);
    assert_eq!(reply.headers["x-odd"].as_bytes(), "\u{e9}".as_bytes());
    assert_eq!(ended(Outcome::Answered(reply)).await, hi());
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again_until_it_has_been_idle_for_four_seconds() {
    let (upstream, mut server) = upstream();
    let mut peer = first_exchange(&upstream, &mut server).await;
    for _ in 0..3 {
        sleep(Duration::from_millis(3_900)).await;
        exchange(&upstream, &mut peer).await;
    }
    assert!(!server.has_more());
    sleep(Duration::from_secs(4)).await;
    first_exchange(&upstream, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_was_closed_is_replaced_and_the_write_arrives_once() {
    let (upstream, mut server) = upstream();
    let mut peer = first_exchange(&upstream, &mut server).await;
    let call = ask(&Method::POST, "/api/users").body("{\"n\":1}").call();
    // Closed, and the client may not have noticed when it sends.
    peer.0.shutdown().await.expect("it closes");
    let (second, heard) = tokio::join!(async { ended(send(&upstream, &call).await).await }, async {
        server.accepts().await.answers(OK).await
    });
    assert_eq!((second, heard.ends_with("{\"n\":1}")), (hi(), true));
    assert_eq!(peer.hears().await, "", "nothing of it went out on the closed one");
    assert!(!server.has_more());
}

#[tokio::test(start_paused = true)]
async fn a_write_on_a_used_connection_that_breaks_under_it_is_not_sent_again() {
    let (upstream, mut server) = upstream();
    let mut peer = first_exchange(&upstream, &mut server).await;
    let call = ask(&Method::POST, "/api/users").body("{}").call();
    let (outcome, ()) = tokio::join!(send(&upstream, &call), async {
        assert!(peer.hears().await.ends_with("{}"));
        drop(peer);
    });
    assert!(matches!(outcome, Outcome::Failed(Failure::Broken)));
    assert!(!server.has_more());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_fails_in_a_way_that_tells_whether_it_may_have_been_processed() {
    for (answer, expected) in [
        ("", "the connection broke before the answer"),
        ("HTTP/1.1 200", "the connection broke before the answer"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "the answer could not be parsed"),
        ("HTTP/1.1 twohundred OK\r\n\r\n", "the answer could not be parsed"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi", "the body broke off"),
    ] {
        let (upstream, mut server) = upstream();
        let call = get("/api/users").call();
        let (outcome, _) = tokio::join!(async { ended(send(&upstream, &call).await).await }, async {
            server.accepts().await.answers(answer).await
        });
        assert_eq!(outcome, Err(expected.to_owned()), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_says_enough_counts_though_its_body_breaks_off() {
    let (upstream, mut server) = upstream();
    let call = get("/api/users").call();
    let (outcome, _) = tokio::join!(send(&upstream, &call), async {
        let limiter = "HTTP/1.1 429 Too Many\r\nretry-after: 7\r\ncontent-length: 50\r\n\r\n{";
        server.accepts().await.answers(limiter).await
    });
    assert_eq!(outcome.throttled().and_then(|t| t.retry_after), Some(Duration::from_secs(7)));
    assert_eq!(ended(outcome).await, Ok((429, String::new())));
}

#[tokio::test(start_paused = true)]
async fn no_connection_is_told_from_a_broken_one() {
    let upstream = over(Connector::memory(|| Err(ConnectError::Refused(origin()))));
    let outcome = send(&upstream, &get("/api/users").call()).await;
    assert!(matches!(outcome, Outcome::Failed(failure) if failure.surely_not_processed()));
}

#[tokio::test(start_paused = true)]
async fn an_answer_has_a_time_to_begin_and_between_its_parts_and_the_call_a_deadline() {
    // What is said and when, in seconds; how long the call may take; when it ends, and how.
    type Row = (&'static [(u64, &'static str)], u64, u64, Result<u16, &'static str>);
    let table: [Row; 6] = [
        (&[(29, OK)], 120, 29, Ok(200)),
        (&[], 120, 30, Err("no answer within 30s")),
        (&[], 7, 7, Err("no answer within 7s")),
        (&[(1, NINE), (29, "ninebytes")], 120, 29, Ok(200)),
        (&[(1, NINE), (20, "nine")], 120, 50, Err("the body stalled")),
        (&[(1, NINE), (20, "nine"), (40, "by")], 45, 45, Err("the body stalled")),
    ];
    for (says, deadline, end, expected) in table {
        let (upstream, mut server) = upstream();
        let call = get("/api/users").within(Duration::from_secs(deadline)).call();
        let (start, finished) = (Instant::now(), Mutex::new(Duration::ZERO));
        let (outcome, ()) = tokio::join!(
            async {
                let outcome = ended(send(&upstream, &call).await).await;
                *finished.lock().unwrap() = start.elapsed();
                outcome
            },
            async {
                let mut peer = server.accepts().await;
                peer.hears().await;
                for (at, text) in says {
                    tokio::time::sleep_until(start + Duration::from_secs(*at)).await;
                    peer.says(text).await;
                }
                sleep(Duration::from_secs(200)).await;
            }
        );
        assert_eq!(outcome.map(|(status, _)| status), expected.map_err(str::to_owned));
        assert_eq!(finished.into_inner().unwrap().as_secs(), end, "{says:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_answer_comes_with_its_whole_body_and_others_stream() {
    for (status, held) in [(400, true), (404, true), (503, true), (200, false), (302, false)] {
        let (upstream, mut server) = upstream();
        let call = get("/api/users").call();
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nhi");
        let (outcome, _) =
            tokio::join!(send(&upstream, &call), async { server.accepts().await.answers(&answer).await });
        let Outcome::Answered(reply) = outcome else { panic!("it was answered") };
        assert_eq!(matches!(reply.body, Body::Held(_)), held, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_body_frees_its_connection_though_nobody_reads_it() {
    for (method, answer) in [
        (Method::DELETE, "HTTP/1.1 204 No Content\r\n\r\n"),
        (Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 57\r\n\r\n"),
        (Method::PATCH, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let (upstream, mut server) = upstream();
        let call = ask(&method, "/api/users/u").call();
        let (outcome, mut peer) = tokio::join!(send(&upstream, &call), async {
            let mut peer = server.accepts().await;
            peer.answers(answer).await;
            peer
        });
        // As a server does that has no body to write.
        drop(outcome);
        exchange(&upstream, &mut peer).await;
        assert!(!server.has_more(), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_to_its_end_takes_its_connection_with_it() {
    let (upstream, mut server) = upstream();
    let call = get("/api/users").call();
    let (outcome, _peer) = tokio::join!(send(&upstream, &call), async {
        let mut peer = server.accepts().await;
        peer.answers("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nnine").await;
        peer
    });
    drop(outcome);
    first_exchange(&upstream, &mut server).await;
}
