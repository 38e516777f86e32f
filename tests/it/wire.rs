//! A gateway behind real sockets, and clients that write and read bytes on them.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use logto_gateway::app;
use logto_gateway::config::Listen;
use logto_gateway::listener::Listener;
use logto_gateway::simulator::Simulator;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::harness::{Answer, Plan, World, config, in_memory};

/// No event of these tests takes longer, on however slow a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that listens where its settings say; without any, on a free port. Dropped, it is gone.
pub(crate) struct Served {
    pub(crate) world: World,
    pub(crate) addresses: Vec<String>,
    pub(crate) port: u16,
    pub(crate) stop: CancellationToken,
    serving: AbortOnDropHandle<()>,
}

impl Plan {
    pub(crate) async fn serve(self) -> Served {
        let listens = self.set.iter().any(|(key, _)| *key == "listen.data");
        let plan = if listens { self } else { self.set("listen.data", "127.0.0.1:0") };
        let config = config("http://localhost:3001", &plan.logto, &plan.set);
        let Listen { data, settings, .. } = config.listen.clone();
        let listener = Listener::bind(&data).await.expect("a free address");
        let (addresses, port) = (listener.addresses(), listener.port().unwrap_or(0));
        let logto = Simulator::new(plan.logto);
        let gateway = app::assemble(&config, in_memory(&logto)).expect("it starts");
        let (way, metrics, stop) =
            (Arc::clone(&gateway), Arc::clone(&gateway.metrics), CancellationToken::new());
        let handle = move |request: Request<Incoming>| Arc::clone(&way).handle(request);
        let serving = tokio::spawn(listener.serve("data", settings, metrics, stop.clone(), handle));
        let world = World { logto, gateway, config };
        Served { world, addresses, port, stop, serving: AbortOnDropHandle::new(serving) }
    }
}

impl Served {
    pub(crate) async fn connect(&self) -> Wire<TcpStream> {
        Wire::new(TcpStream::connect(("127.0.0.1", self.port)).await.expect("it listens"))
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: &str) -> Answer {
        let mut client = self.connect().await;
        client.say(request).await;
        client.answer().await
    }

    /// Waits until nothing is served any more.
    pub(crate) async fn drained(self) {
        within(self.serving).await.expect("it ends without a panic");
    }

    /// How many connections of clients are open.
    pub(crate) fn connections(&self) -> u64 {
        self.metric("logto_gateway_connections_open{listener=\"data\"}")
    }

    /// The value of a metric that counts.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = String::from_utf8(self.world.gateway.metrics.text()).expect("UTF-8");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        line.unwrap_or(0)
    }
}

/// One connection of a client.
pub(crate) struct Wire<S> {
    stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        within(self.stream.write_all(text.as_bytes())).await.expect("the other side takes it");
    }

    /// Says it, unless nobody listens or takes it any more.
    pub(crate) async fn try_say(&mut self, text: &str) {
        timeout(Duration::from_millis(5), self.stream.write_all(text.as_bytes())).await.ok();
    }

    /// The answer to a request; `None` if the connection was closed before any of it came.
    pub(crate) async fn asked(&mut self, request: &str) -> Option<Answer> {
        let sent = within(self.stream.write_all(request.as_bytes())).await;
        if sent.is_err() || self.more().await == 0 {
            return None;
        }
        Some(self.answer().await)
    }

    /// The next answer, whole.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to(false).await
    }

    /// The next answer to a HEAD, which has no body whatever it announces.
    pub(crate) async fn head_answer(&mut self) -> Answer {
        self.answer_to(true).await
    }

    async fn answer_to(&mut self, head: bool) -> Answer {
        let (status, headers) = self.answer_head().await;
        let length =
            headers.get("content-length").map(|l| l.to_str().expect("digits").parse().expect("digits"));
        let body = match length {
            _ if head || status == StatusCode::NOT_MODIFIED || status == StatusCode::NO_CONTENT => Vec::new(),
            Some(length) => self.exactly(length).await,
            None if headers.get("transfer-encoding").is_some() => self.chunks().await,
            None => self.rest().await,
        };
        Answer { status, headers, body: Bytes::from(body) }
    }

    pub(crate) async fn answer_head(&mut self) -> (StatusCode, HeaderMap) {
        let head = self.until(b"\r\n\r\n").await;
        let head = String::from_utf8(head).expect("a head in ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let header = |line: &str| {
            let (name, value) = line.split_once(':').expect("a header");
            let name = HeaderName::try_from(name).expect("a name");
            (name, HeaderValue::try_from(value.trim()).expect("a value"))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines.map(header) {
            headers.append(name, value);
        }
        (status.parse().expect("a status"), headers)
    }

    /// What comes until the other side closes the connection; a reset counts as closing.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.read)
    }

    /// Waits for an interim answer such as 100.
    pub(crate) async fn interim(&mut self) -> String {
        String::from_utf8(self.until(b"\r\n\r\n").await).expect("ASCII")
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = String::from_utf8(self.until(b"\r\n").await).expect("a size");
            let size = usize::from_str_radix(size.trim_end(), 16).expect("a size");
            let mut chunk = self.exactly(size + 2).await;
            chunk.truncate(size);
            body.extend(chunk);
            if size == 0 {
                return body;
            }
        }
    }

    async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return self.read.drain(..at + end.len()).collect();
            }
            assert!(
                self.more().await > 0,
                "closed too early, after {:?}",
                Bytes::copy_from_slice(&self.read)
            );
        }
    }

    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            assert!(self.more().await > 0, "closed too early");
        }
        self.read.drain(..length).collect()
    }

    async fn more(&mut self) -> usize {
        match within(self.stream.read_buf(&mut self.read)).await {
            Ok(size) => size,
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => 0,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A GET as any client sends it.
pub(crate) fn get(path: &str) -> String {
    with(path, "")
}

/// A GET with further header lines, each with its line end.
pub(crate) fn with(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

/// A write with a JSON body.
pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: x\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Fails the test if it takes longer than anything should.
pub(crate) async fn within<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.expect("it happens in time")
}

/// Waits for what announces itself by no event.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    within(async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// The rest of a body, whole.
pub(crate) async fn whole(body: Incoming) -> Bytes {
    let body = within(http_body_util::BodyExt::collect(body)).await.expect("it ends well");
    let mut body = body.aggregate();
    body.copy_to_bytes(body.remaining())
}
