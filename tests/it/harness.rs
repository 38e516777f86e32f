//! A gateway before a simulated Logto, all in memory: its time can be paused.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use logto_gateway::app;
use logto_gateway::config::{Config, Sources};
use logto_gateway::connect::{Connector, Stream};
use logto_gateway::gateway::Gateway;
use logto_gateway::simulator::{Limiter, Settings, Simulator};

/// A simulated Logto, and a gateway before it. Dropped, both are gone.
pub(crate) struct World {
    pub(crate) logto: Simulator,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) config: Config,
}

/// A response, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a world is made of; the default is Logto Cloud's limit and the gateway's own defaults.
pub(crate) struct Plan {
    pub(crate) logto: Settings,
    /// Settings of the gateway that differ from the defaults, as on the command line.
    pub(crate) set: Vec<(&'static str, String)>,
}

impl Default for Plan {
    fn default() -> Self {
        let logto = Settings {
            limiter: Some(Limiter::default()),
            latency: Duration::from_millis(20),
            ..Settings::default()
        };
        Self { logto, set: Vec::new() }
    }
}

impl Plan {
    /// No limit on either side: for tests that are not about pace.
    pub(crate) fn unlimited() -> Self {
        Self::default().logto(|logto| logto.limiter = None).set("budget.limit", "off")
    }

    pub(crate) fn logto(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.logto);
        self
    }

    pub(crate) fn set(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.set.push((key, value.into()));
        self
    }

    pub(crate) fn world(self) -> World {
        World::new(self)
    }
}

/// The settings that lead to a simulator of these settings.
pub(crate) fn config(endpoint: &str, logto: &Settings, set: &[(&'static str, String)]) -> Config {
    let env = [
        ("LOGTO_ENDPOINT", endpoint),
        ("LOGTO_APP_ID", &logto.app_id),
        ("LOGTO_APP_SECRET", &logto.app_secret),
    ];
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let sources = Sources {
        file: None,
        env: env.into_iter().map(owned).collect(),
        flags: set.iter().map(|(key, value)| owned((key, value))).collect(),
    };
    Config::load(sources).unwrap_or_else(|problems| panic!("{problems}")).config
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let config = config("http://localhost:3001", &plan.logto, &plan.set);
        let logto = Simulator::new(plan.logto);
        let gateway = app::assemble(&config, in_memory(&logto)).expect("it starts");
        Self { logto, gateway, config }
    }

    /// The same Logto, before it a new gateway.
    pub(crate) fn restarted(self) -> Self {
        let Self { logto, gateway, config } = self;
        drop(gateway);
        let gateway = app::assemble(&config, in_memory(&logto)).expect("it starts");
        Self { logto, gateway, config }
    }

    /// A read, without credentials.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request(&Method::GET, path, "")).await
    }

    /// A write, with an `Authorization` of any value.
    pub(crate) async fn write(&self, method: Method, path: &str, body: &str) -> Answer {
        self.send(request(&method, path, body)).await
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (head, body) = Arc::clone(&self.gateway).handle(request).await.into_parts();
        let body = body.collect().await.expect("the answer is whole").to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// How many requests of this kind Logto received.
    pub(crate) fn received(&self, method: &Method, path: &str) -> usize {
        self.logto.count(method, path)
    }
}

/// Connections to `logto` that never leave the process.
pub(crate) fn in_memory(logto: &Simulator) -> Connector {
    let logto = logto.clone();
    Connector::memory(move || {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let logto = logto.clone();
        tokio::spawn(async move { logto.serve_connection(theirs).await });
        Ok(Box::new(ours) as Stream)
    })
}

pub(crate) fn request(method: &Method, path: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost:8480");
    if *method != Method::GET {
        request = request.header("authorization", "Bearer any").header("content-type", "application/json");
    }
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("a request")
}

impl Answer {
    /// A header's value; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {:?}", self.body))
    }

    /// What the gateway calls its own refusal.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().expect("a code").to_owned()
    }

    /// The target of the `Link` with this relation.
    pub(crate) fn link(&self, relation: &str) -> Option<String> {
        let rel = format!("rel=\"{relation}\"");
        let links = self.headers.get_all("link").iter().map(|l| l.to_str().expect("ASCII"));
        let link = links.into_iter().find(|link| link.ends_with(&rel))?;
        Some(link[1..link.find('>').expect("a target")].to_owned())
    }
}
