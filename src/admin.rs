//! What operators ask: is it alive, is it ready, how does it stand, what are its numbers?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use serde_json::json;
use tokio::time::Instant;

use crate::gateway::Gateway;
use crate::guard::Guard;
use crate::observe::{OutBody, REQUEST_ID, request_id};
use crate::rejection::{MethodFault, Rejection};

/// How much of it an address shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it: on loopback only.
    Admin,
    /// `/live`, `/ready` and `/metrics`: for a kubelet and a Prometheus that come from elsewhere.
    Health,
}

/// The operators' pages.
pub struct Admin {
    gateway: Arc<Gateway>,
    guard: Guard,
    /// Where calls go, for people.
    upstream: String,
    started: Instant,
    draining: AtomicBool,
    /// Log lines that were dropped so far, because nobody took them.
    lines_dropped: Box<dyn Fn() -> u64 + Send + Sync>,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The format of [`crate::metrics::Metrics::text`].
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

impl Admin {
    /// The pages of `gateway`. `guard` checks the Host of those that stand on loopback.
    pub fn new(
        gateway: Arc<Gateway>,
        guard: Guard,
        upstream: String,
        started: Instant,
        lines_dropped: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Arc<Self> {
        let lines_dropped = Box::new(lines_dropped);
        Arc::new(Self { gateway, guard, upstream, started, draining: AtomicBool::new(false), lines_dropped })
    }

    /// From now on `/ready` says no.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Answers one request; its body is not looked at.
    pub fn handle<B>(&self, scope: Scope, request: Request<B>) -> Response<OutBody> {
        let (head, _body) = request.into_parts();
        let id = request_id(&head.headers);
        let mut response = self.page(scope, &head).unwrap_or_else(|rejection| refuse(&rejection, &id));
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    fn page(&self, scope: Scope, head: &Parts) -> Result<Response<OutBody>, Rejection> {
        if scope == Scope::Admin {
            self.guard.check_origin(head)?;
        }
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(Rejection::Method(MethodFault::Refused));
        }
        match (head.uri.path(), scope) {
            ("/live", _) => Ok(respond(StatusCode::OK, TEXT, "alive\n")),
            ("/ready", _) => Ok(self.ready()),
            ("/metrics", _) => Ok(respond(StatusCode::OK, PROMETHEUS, self.metrics())),
            ("/status", Scope::Admin) => Ok(respond(StatusCode::OK, JSON, self.status())),
            ("/", Scope::Admin) => Ok(see_status()),
            _ => Err(Rejection::NoSuchPage),
        }
    }

    /// An outage of Logto does not unready a sidecar: what is stored can still be answered, and its peers are no better
    /// off.
    fn ready(&self) -> Response<OutBody> {
        let ready = !self.draining.load(Ordering::Relaxed);
        let body = json!({ "ready": ready, "token": self.gateway.tokens.status() }).to_string();
        respond(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, JSON, body)
    }

    fn metrics(&self) -> Vec<u8> {
        let metrics = &self.gateway.metrics;
        let (budget, cache) = (self.gateway.throttle.status(), self.gateway.cache.status());
        metrics.budget(budget.limit, budget.rate_per_s, budget.tokens);
        metrics.stored(cache.entries, cache.bytes);
        metrics.log_lines_dropped((self.lines_dropped)());
        metrics.text()
    }

    fn status(&self) -> String {
        let status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "revision": option_env!("LOGTO_GATEWAY_REVISION").unwrap_or("unknown"),
            "uptime_s": self.started.elapsed().as_secs(),
            "draining": self.draining.load(Ordering::Relaxed),
            "upstream": self.upstream,
            "token": self.gateway.tokens.status(),
            "budget": self.gateway.throttle.status(),
            "cache": self.gateway.cache.status(),
            "since_start": self.gateway.metrics.totals(),
        });
        format!("{status:#}\n")
    }
}

fn respond(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<OutBody> {
    let mut response = Response::new(Either::Left(Full::new(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

fn refuse(rejection: &Rejection, id: &HeaderValue) -> Response<OutBody> {
    let (status, headers, body) = rejection.response(id.to_str().unwrap_or_default());
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if let Some(allowed) = response.headers_mut().get_mut(ALLOW) {
        *allowed = HeaderValue::from_static("GET, HEAD");
    }
    response
}

fn see_status() -> Response<OutBody> {
    let mut response = respond(StatusCode::TEMPORARY_REDIRECT, TEXT, "see /status\n");
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/status"));
    response
}
