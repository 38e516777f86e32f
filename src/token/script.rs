//! A token endpoint for tests: it answers as a script says, in memory, so that time can be paused.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::fmt::MakeWriter;

use super::clock::now;
use super::{Pay, Settings, Tokens};
use crate::connect::{ConnectError, Connector, Origin, Stream};
use crate::metrics::Metrics;
use crate::reply::Api;
use crate::secret::Secret;

/// What the endpoint does.
pub(super) enum Says {
    /// Nobody listens.
    Refused,
    /// A token `t<n>` of the n-th request, good for so many seconds.
    Grant(u64),
    /// The same, after a while.
    SlowGrant(Duration, u64),
    /// Anything else; a `Retry-After` if there is one.
    Other(u16, &'static str, Option<&'static str>),
    /// Nothing, for ever.
    Silence,
}

pub(super) const WRONG_SECRET: Says =
    Says::Other(401, r#"{"code":"oidc.invalid_client","error":"invalid_client"}"#, None);

/// The endpoint: what it saw, and when.
#[derive(Default)]
pub(super) struct Endpoint {
    dialled: Mutex<Vec<Instant>>,
    seen: Mutex<Vec<(HeaderMap, String)>>,
}

impl Endpoint {
    /// When connections were asked for.
    pub(super) fn dialled(&self) -> Vec<Instant> {
        self.dialled.lock().unwrap().clone()
    }

    pub(super) fn fetches(&self) -> usize {
        self.dialled().len()
    }

    /// The pauses between the fetches, in seconds.
    pub(super) fn pauses(&self) -> Vec<f64> {
        self.dialled().windows(2).map(|w| (w[1] - w[0]).as_secs_f64()).collect()
    }

    /// The last request: its head, and its form.
    pub(super) fn last(&self) -> (HeaderMap, String) {
        self.seen.lock().unwrap().last().cloned().expect("a request came")
    }

    async fn answer(&self, n: usize, says: Says, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let form = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        self.seen.lock().unwrap().push((head.headers, form));
        let grant = |life| {
            format!(r#"{{"access_token":"t{n}","expires_in":{life},"token_type":"Bearer","scope":"all"}}"#)
        };
        let (status, body, retry_after) = match says {
            Says::Grant(life) => (200, grant(life), None),
            Says::SlowGrant(after, life) => {
                sleep(after).await;
                (200, grant(life), None)
            }
            Says::Other(status, body, retry_after) => (status, body.to_owned(), retry_after),
            Says::Silence | Says::Refused => std::future::pending().await,
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(after) = retry_after {
            response.headers_mut().insert("retry-after", after.parse().unwrap());
        }
        response
    }
}

/// An endpoint that does what `script` says to the n-th request, counted from 1.
pub(super) fn endpoint(script: impl Fn(usize) -> Says + Send + Sync + 'static) -> (Arc<Endpoint>, Connector) {
    let endpoint = Arc::new(Endpoint::default());
    let server = Arc::clone(&endpoint);
    let connector = Connector::memory(move || {
        server.dialled.lock().unwrap().push(now());
        let n = server.fetches();
        let says = script(n);
        if matches!(says, Says::Refused) {
            let origin = Origin { tls: true, host: "tenant.logto.app".into(), port: 443 };
            return Err(ConnectError::Refused(origin));
        }
        let (here, there) = tokio::io::duplex(64 * 1024);
        tokio::spawn(serve(Arc::clone(&server), n, says, there));
        Ok(Box::new(here) as Stream)
    });
    (endpoint, connector)
}

async fn serve(endpoint: Arc<Endpoint>, n: usize, says: Says, io: DuplexStream) {
    let says = Mutex::new(Some(says));
    let service = service_fn(|request| {
        let says = says.lock().unwrap().take().expect("one request a connection");
        let answer = endpoint.answer(n, says, request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
}

pub(super) fn settings() -> Settings {
    Settings {
        url: Uri::from_static("https://tenant.logto.app/oidc/token"),
        app_id: "app id".into(),
        app_secret: Secret::new("s3cret:/ ü"),
        resource: Some("https://default.logto.app/api".into()),
        scope: "all".into(),
        audience: None,
        extra: BTreeMap::new(),
        api: Api::Logto,
        timeout: Duration::from_secs(30),
    }
}

pub(super) fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(Vec::new()))
}

/// A budget without limit.
pub(super) fn free() -> Pay {
    Arc::new(|attempt| Box::pin(async move { Ok(attempt.await) }))
}

/// The room, with an endpoint that follows `script`.
pub(super) fn start(script: impl Fn(usize) -> Says + Send + Sync + 'static) -> (Tokens, Arc<Endpoint>) {
    let (endpoint, connector) = endpoint(script);
    (Tokens::start(settings(), connector, metrics(), free()), endpoint)
}

/// The token's text, or why there is none.
pub(super) async fn current(tokens: &Tokens) -> String {
    match tokens.current().await {
        Ok(token) => token.authorization.to_str().unwrap().trim_start_matches("Bearer ").to_owned(),
        Err(no) => format!("none: {no}"),
    }
}

/// What was logged.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Keeps what this thread logs, from `info` up, for as long as the guard lives.
    pub(super) fn keep() -> (Self, DefaultGuard) {
        // While there is only one subscriber, tracing asks the thread that comes by a callsite first whether it
        // is of interest: another test's, which has none. With a second one it asks them all.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(NoSubscriber::new()));
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(super) fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
