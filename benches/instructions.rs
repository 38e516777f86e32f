//! The pieces of the way whose instructions are counted: `instructions PIECE TIMES` does one of them so often.
//!
//! `benches/instructions.sh` runs each under callgrind with N and with 2 N times; the difference is the piece's own cost
//! without that of starting up. Everything is in memory, on one thread and on paused time, so that it is the same run
//! after run.

#![expect(clippy::disallowed_methods, reason = "what is measured is told the time")]

use std::fmt::Write;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use logto_gateway::app;
use logto_gateway::audience::Audience;
use logto_gateway::call::{Body, Call};
use logto_gateway::caller::{Caller, Class};
use logto_gateway::catalog::Catalog;
use logto_gateway::config::{Config, Sources};
use logto_gateway::connect::{Connector, Stream};
use logto_gateway::gateway::Gateway;
use logto_gateway::metrics::Metrics;
use logto_gateway::target::Target;
use logto_gateway::throttle::{ClassSettings, Envelope, Limit, Permit, Settings, Throttle};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Builder;
use tokio::task::unconstrained;
use tokio::time::Instant;

/// One piece: does it so often.
type Piece = fn(times: usize);

const PIECES: [(&str, Piece); 5] = [
    ("turn", |times| on_paused_time(unconstrained(turns(times)))),
    ("permit", |times| on_paused_time(permits(None, times))),
    ("permit-limited", |times| on_paused_time(permits(Some(Limit::default()), times))),
    ("hit", |times| on_paused_time(exchanges("/api/users?page_size=10", "hit", times))),
    ("pass", |times| on_paused_time(exchanges("/api/logs?page_size=10", "fwd=bypass", times))),
];

/// Before anything counts: pools are filled, tables have their size, metrics are resolved.
const WARM_UP: usize = 1000;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let piece = arguments.next().and_then(|name| PIECES.iter().find(|(known, _)| *known == name));
    let times = arguments.next().and_then(|times| times.parse().ok());
    let (Some((_, piece)), Some(times)) = (piece, times) else {
        let known = PIECES.map(|(name, _)| name).join(" | ");
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("instructions {known} TIMES; bash benches/instructions.sh counts them all\n"),
        );
        // `cargo bench` runs every bench, and has nothing to ask of this one.
        return ExitCode::SUCCESS;
    };
    piece(times);
    ExitCode::SUCCESS
}

fn on_paused_time(piece: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(piece);
}

/// How many wait while one enters the line and one leaves it with a permit.
const WAITING: usize = 10_000;
const CALLERS: [(&str, Class); 6] = [
    ("shop", Class::Interactive),
    ("search", Class::Interactive),
    ("mail", Class::Interactive),
    ("portal", Class::Interactive),
    ("import", Class::Batch),
    ("report", Class::Batch),
];

/// One call's turn with 10 000 waiting: it is admitted, enters the queue, and comes out with a permit. Measured at the
/// room's door, since what enters a queue is looked at there first (how many are ahead, who crowds), and this is what a
/// caller pays.
async fn turns(times: usize) {
    let throttle = throttle(None, 1);
    let calls = CALLERS.map(|(name, class)| Arc::new(call(name, class)));
    let mut callers = calls.iter().cycle().map(|call| waiter(throttle.clone(), Arc::clone(call)));
    let mut line = FuturesUnordered::new();
    let mut held = callers.next().expect("they never end").await;
    line.extend(callers.by_ref().take(WAITING));
    assert!(line.next().now_or_never().is_none(), "somebody need not wait");
    for waiter in callers.take(WARM_UP + times) {
        line.push(waiter);
        drop(held);
        held = line.next().await.expect("they never end");
    }
    assert_eq!(throttle.status().waiting, WAITING, "something else was measured");
}

async fn waiter(throttle: Throttle, call: Arc<Call>) -> Permit {
    let audience = Audience::of_one(call.class, call.deadline);
    granted(throttle.permit(&call, &audience).await)
}

/// A permit that is granted at once, used and given back. With a limit, time moves on by a full bucket now and then.
async fn permits(limit: Option<Limit>, times: usize) {
    const FULL: usize = 20;
    let throttle = throttle(limit, 1);
    let call = call("shop", Class::Interactive);
    let audience = Audience::of_one(call.class, call.deadline);
    let started = Instant::now();
    let mut waited = Duration::ZERO;
    for done in 0..WARM_UP + times {
        if limit.is_some() && done % FULL == 0 {
            tokio::time::advance(Duration::from_secs(2)).await;
            waited += Duration::from_secs(2);
        }
        granted(throttle.permit(&call, &audience).await).spend();
    }
    assert_eq!(started.elapsed(), waited, "a permit was waited for");
}

fn throttle(limit: Option<Limit>, in_flight_max: usize) -> Throttle {
    let class = |weight| ClassSettings { weight, wait_max: FOR_EVER };
    let settings = Settings {
        envelope: limit.map(|limit| Envelope::new(limit).expect("the default passes")),
        waiting_max: 2 * WAITING,
        waiting_max_per_caller: 2 * WAITING,
        in_flight_max,
        classes: [class(4), class(1)],
    };
    Throttle::start(settings, Arc::new(Metrics::new(Vec::new())))
}

/// Longer than anything that is measured.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

fn call(caller: &str, class: Class) -> Call {
    let uri = "/api/users".parse().expect("a path");
    let headers = HeaderMap::new();
    let target = Target::parse(&Method::GET, &uri, &headers, &Catalog::logto()).expect("a target");
    let now = Instant::now();
    Call {
        caller: Caller { name: caller.into(), class, weight: 1 },
        target,
        headers,
        base: String::new(),
        request_id: HeaderValue::from_static("id"),
        body: Body::Empty,
        arrived: now,
        deadline: now + FOR_EVER,
        timeout: now + FOR_EVER,
        wait: None,
        class,
    }
}

fn granted<E: std::fmt::Display>(permit: Result<Permit, E>) -> Permit {
    permit.unwrap_or_else(|no| panic!("{no}"))
}

/// A read through the whole way, to the last byte of its answer.
async fn exchanges(path: &'static str, cache_status: &str, times: usize) {
    let gateway =
        app::assemble(&config(), Connector::memory(|| Ok(dial()))).unwrap_or_else(|why| panic!("{why}"));
    let head = head(path);
    for _ in 0..WARM_UP + times {
        black_box(get(&gateway, head.clone()).await);
    }
    let (status, said) = get(&gateway, head).await;
    assert_eq!(status, StatusCode::OK, "{path}");
    let said = said.as_ref().and_then(|said| said.to_str().ok()).unwrap_or_default();
    assert!(said.contains(cache_status), "{path} would measure something else: {said}");
}

async fn get(gateway: &Arc<Gateway>, head: Parts) -> (StatusCode, Option<HeaderValue>) {
    let request = Request::from_parts(head, Empty::<Bytes>::new());
    let (head, body) = Arc::clone(gateway).handle(request).await.into_parts();
    black_box(body.collect().await.expect("the answer is whole").to_bytes());
    (head.status, head.headers.get("cache-status").cloned())
}

fn head(path: &str) -> Parts {
    let request = Request::get(path)
        .header("host", "localhost:8480")
        .header("authorization", "Bearer any")
        .header("accept", "*/*")
        .header("user-agent", "bench");
    request.body(()).expect("a request").into_parts().0
}

fn config() -> Config {
    let env = [
        ("LOGTO_ENDPOINT", "http://localhost:3001"),
        ("LOGTO_APP_ID", "bench"),
        ("LOGTO_APP_SECRET", "bench"),
        ("LOGTO_GATEWAY_BUDGET__LIMIT", "off"),
        // A hit must stay one for as long as it is measured.
        ("LOGTO_GATEWAY_CACHE__TTL__USER", "1h"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let loaded = Config::load(Sources { file: None, env, flags: Vec::new() });
    loaded.unwrap_or_else(|problems| panic!("{problems}")).config
}

fn dial() -> Stream {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(logto(theirs));
    Box::new(ours)
}

/// As much of Logto as a hit and a pass need, out of ready bytes: it costs next to nothing.
async fn logto(mut client: DuplexStream) {
    let mut request = Vec::with_capacity(4096);
    while client.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
        if request.starts_with(b"POST") {
            if request.windows(6).any(|word| word == b"grant_") {
                let _ = client.write_all(TOKEN.as_bytes()).await;
                return;
            }
        } else if request.ends_with(b"\r\n\r\n") {
            let _ = client.write_all(PAGE.as_bytes()).await;
            request.clear();
        }
    }
}

const TOKEN: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n\
    {\"access_token\":\"bench\",\"token_type\":\"Bearer\",\"expires_in\":3600,\"scope\":\"all\"}";

/// Ten users in about 6 KB, under the 19 headers that Logto sends with them.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    let user = format!(r#"{{"id":"abcdefghijkl","customData":"{}"}}"#, "x".repeat(560));
    let users = format!("[{}]", vec![user; 10].join(","));
    let mut page = String::from("HTTP/1.1 200 OK\r\n");
    for (name, value) in LOGTO_HEADERS {
        let _ = write!(page, "{name}: {value}\r\n");
    }
    let _ = write!(page, "content-length: {}\r\n\r\n{users}", users.len());
    page
});

const LOGTO_HEADERS: [(&str, &str); 18] = [
    ("vary", "Accept-Encoding, Origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("strict-transport-security", "max-age=15552000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-download-options", "noopen"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-xss-protection", "0"),
    ("link", "<http://localhost:3001/users?page_size=10&page=1>; rel=\"first\""),
    ("total-number", "10"),
    ("content-type", "application/json; charset=utf-8"),
    ("etag", "\"1770-2jmj7l5rSw0yVb/vlWAYkK/YBwk\""),
    ("logto-core-request-id", "Zk3bWm1XbL0aQ9dN"),
    ("date", "Sun, 22 Nov 2026 13:00:00 GMT"),
    ("connection", "keep-alive"),
    ("keep-alive", "timeout=5"),
];
