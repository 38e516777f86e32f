//! The simulator, asked over in-memory connections on paused time.

mod api;
mod faults;
mod limiter;
mod lists;
mod recordings;
mod tcp;
mod time;
mod token;
mod writes;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::{Settings, Simulator};

/// The credentials of the default application, as Basic has them.
const BASIC: &str = "Basic bTJtZ2F0ZXdheTAwMDAwMDAwMDAxOnNpbXVsYXRlZC1zZWNyZXQ=";
const FORM: &str = "application/x-www-form-urlencoded";
const GRANT: &str = "grant_type=client_credentials&resource=https%3A%2F%2Fdefault.logto.app%2Fapi&scope=all";

/// An answer, read to its end.
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

fn logto() -> Simulator {
    Simulator::new(Settings::default())
}

#[expect(clippy::disallowed_methods, reason = "a test may look at the clock that it pauses")]
fn now() -> Instant {
    Instant::now()
}

fn connect(simulator: &Simulator) -> DuplexStream {
    let (near, far) = duplex(64 * 1024);
    let simulator = simulator.clone();
    tokio::spawn(async move { simulator.serve_connection(far).await });
    near
}

/// Sends one request on a connection of its own. The target may be `GET /path`.
async fn try_ask(
    simulator: &Simulator,
    line: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Reply, hyper::Error> {
    let (mut sender, connection) = handshake(TokioIo::new(connect(simulator))).await?;
    let connection = tokio::spawn(connection);
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("Host", "localhost:3001");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).expect("a request that can be written");
    let response = sender.send_request(request).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
}

async fn ask(simulator: &Simulator, line: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    try_ask(simulator, line, headers, body).await.expect("an answer")
}

/// A request without a body, with a token.
async fn get(simulator: &Simulator, token: &str, path: &str) -> Reply {
    ask(simulator, &format!("GET {path}"), &[("Authorization", token)], "").await
}

/// A request with a JSON body and a token.
async fn write(simulator: &Simulator, token: &str, line: &str, body: &str) -> Reply {
    ask(simulator, line, &[("Authorization", token), ("Content-Type", "application/json")], body.to_owned())
        .await
}

async fn grant(simulator: &Simulator) -> Reply {
    ask(simulator, "POST /oidc/token", &[("Authorization", BASIC), ("Content-Type", FORM)], GRANT).await
}

/// The value of an `Authorization` header with a fresh token.
async fn bearer(simulator: &Simulator) -> String {
    let answer = grant(simulator).await.json();
    format!("Bearer {}", answer["access_token"].as_str().expect("a token"))
}

/// What the simulator writes for these bytes until it closes the connection.
async fn raw(simulator: &Simulator, request: &str) -> String {
    let mut stream = connect(simulator);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
