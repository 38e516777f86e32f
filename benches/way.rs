//! The way of a request through the gateway, in memory: what a hit costs, and what a pass to Logto costs.
//!
//! No sockets, so these are the gateway's own instructions and nothing of the kernel's: good for comparing one commit
//! with another, no prediction of requests per second. A pass includes the simulated Logto's part.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use logto_gateway::app;
use logto_gateway::config::{Config, Sources};
use logto_gateway::connect::{Connector, Stream};
use logto_gateway::gateway::Gateway;
use logto_gateway::simulator::{Settings, Simulator};
use tokio::runtime::{Builder, Runtime};

/// About 6 KB: a page of ten users.
const HIT: &str = "/api/users?page_size=10";
/// Never stored, so each one goes to Logto.
const PASS: &str = "/api/logs?page_size=1";

/// A gateway with its defaults before a Logto without a limiter, and the runtime that both live on.
struct World {
    runtime: Runtime,
    gateway: Arc<Gateway>,
}

impl World {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let gateway = runtime.block_on(async { app::assemble(&config(), in_memory()) }).expect("it starts");
        Self { runtime, gateway }
    }

    fn measure(&self, c: &mut Criterion, name: &str, path: &'static str, cache_status: &str) {
        let (status, said) = self.runtime.block_on(async {
            get(&self.gateway, path).await;
            get(&self.gateway, path).await
        });
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(said.contains(cache_status), "{path} would measure something else: {said}");
        c.bench_function(name, |b| {
            b.to_async(&self.runtime).iter(|| async { black_box(get(&self.gateway, path).await) });
        });
    }
}

/// One read, to the last byte of its answer: its status and its `Cache-Status`.
async fn get(gateway: &Arc<Gateway>, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).header("host", "localhost:8480").header("authorization", "Bearer any");
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let (head, body) = Arc::clone(gateway).handle(request).await.into_parts();
    black_box(body.collect().await.expect("the answer is whole").to_bytes());
    let cache_status = head.headers.get("cache-status").and_then(|v| v.to_str().ok()).unwrap_or_default();
    (head.status, cache_status.to_owned())
}

fn config() -> Config {
    let logto = Settings::default();
    let env = [
        ("LOGTO_ENDPOINT", "http://localhost:3001"),
        ("LOGTO_APP_ID", &logto.app_id),
        ("LOGTO_APP_SECRET", &logto.app_secret),
        ("LOGTO_GATEWAY_BUDGET__LIMIT", "off"),
        // A hit must stay one for as long as it is measured.
        ("LOGTO_GATEWAY_CACHE__TTL__USER", "1h"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let loaded = Config::load(Sources { file: None, env, flags: Vec::new() });
    loaded.unwrap_or_else(|problems| panic!("{problems}")).config
}

/// Connections to a simulated Logto that never leave the process.
fn in_memory() -> Connector {
    let logto = Simulator::new(Settings { records_max: 1000, ..Settings::default() });
    Connector::memory(move || {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let logto = logto.clone();
        tokio::spawn(async move { logto.serve_connection(theirs).await });
        Ok(Box::new(ours) as Stream)
    })
}

fn hit(c: &mut Criterion) {
    World::new().measure(c, "hit", HIT, "hit");
}

fn pass(c: &mut Criterion) {
    World::new().measure(c, "pass", PASS, "fwd=bypass");
}

criterion_group!(way, hit, pass);
criterion_main!(way);
