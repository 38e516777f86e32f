//! Every request leaves a trace: one response, one log line, one observation.

#![expect(clippy::disallowed_methods, reason = "an exchange is timed")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Either, Full};
use tokio::time::Instant;

use crate::caller::Caller;
use crate::catalog::Route;
use crate::metrics::{CacheResult, Metrics};
use crate::rejection::{Rejection, whole_seconds};
use crate::reply::{Body, Quota, Reply, Source, Streaming, Timing, VIA, Why};
use crate::target::Target;

/// Which requests get a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRequests {
    /// Writes, and whatever went wrong.
    WritesAndErrors,
    /// Everything.
    All,
    /// What went wrong.
    Errors,
    /// Nothing.
    Off,
}

/// A response's body on its way out.
pub type OutBody = Either<Full<Bytes>, Streaming>;

/// The room.
pub struct Observer {
    log: LogRequests,
    metrics: Arc<Metrics>,
}

/// Names a request in every log that it passes.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// A client's own id is kept if it is no longer than this.
const REQUEST_ID_MAX: usize = 128;

/// One request and its response, from the request's head to the response's. Dropped before its end, it says that the
/// client left.
pub struct Exchange {
    observer: Arc<Observer>,
    started: Instant,
    method: Method,
    uri: Uri,
    request_id: HeaderValue,
    caller: Option<Caller>,
    route: Option<Arc<Route>>,
    ended: bool,
}

impl Observer {
    /// Observes as set.
    pub fn new(log: LogRequests, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { log, metrics })
    }

    /// A request has come.
    pub fn begin(self: &Arc<Self>, method: &Method, uri: &Uri, headers: &HeaderMap) -> Exchange {
        Exchange {
            observer: Arc::clone(self),
            started: Instant::now(),
            method: method.clone(),
            uri: uri.clone(),
            request_id: request_id(headers),
            caller: None,
            route: None,
            ended: false,
        }
    }
}

impl Exchange {
    /// When it began.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The name it goes by, in every log it passes.
    pub fn request_id(&self) -> &HeaderValue {
        &self.request_id
    }

    /// What it asks for.
    pub fn aims_at(&mut self, target: &Target) {
        self.route = target.route().cloned();
    }

    /// Who asks.
    pub fn comes_from(&mut self, caller: &Caller) {
        self.caller = Some(caller.clone());
    }

    /// It ends with a reply or a rejection, and leaves as a response.
    ///
    /// `quota` is asked for on behalf of clients whose request had a part in it: answers from Logto, and refusals for
    /// want of it.
    pub fn end(
        mut self,
        answer: Result<Reply, Rejection>,
        quota: impl FnOnce() -> Option<Quota>,
    ) -> Response<OutBody> {
        self.ended = true;
        let (mut response, cache, refused) = match answer {
            Ok(reply) => {
                let (source, timing) = (reply.source, reply.timing);
                let mut response = self.respond(reply);
                if let Some(timing) = timing {
                    tell_pace(response.headers_mut(), quota(), &timing);
                }
                (response, cache_result(&source), None)
            }
            Err(rejection) => {
                let mut response = self.refuse(&rejection);
                if matches!(
                    response.status(),
                    StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
                ) {
                    let waited =
                        if rejection.is_about_waiting() { self.started.elapsed() } else { Duration::ZERO };
                    let timing = Timing { queue: waited, ..Timing::default() };
                    tell_pace(response.headers_mut(), quota(), &timing);
                }
                (response, CacheResult::None, Some(rejection))
            }
        };
        response.headers_mut().insert(REQUEST_ID, self.request_id.clone());
        response.headers_mut().append(header::VIA, VIA);
        self.count(response.status(), cache, refused.is_some());
        self.log(response.status(), cache, refused.as_ref());
        response
    }

    fn respond(&self, reply: Reply) -> Response<OutBody> {
        let request_id = self.request_id.clone();
        let body = match reply.body {
            Body::Held(bytes) => Either::Left(Full::new(bytes)),
            Body::Streaming(stream) => {
                let told = stream.map_err(move |error| {
                    tracing::warn!(request_id = ?request_id, %error, "an answer ended early");
                    error
                });
                Either::Right(told.boxed_unsync())
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = reply.status;
        *response.headers_mut() = reply.headers;
        response.headers_mut().insert(CACHE_STATUS, cache_status(&reply.source));
        response
    }

    fn refuse(&self, rejection: &Rejection) -> Response<OutBody> {
        let (status, headers, body) = rejection.response(self.request_id.to_str().unwrap_or_default());
        let mut response = Response::new(Either::Left(Full::new(body)));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    fn count(&self, status: StatusCode, cache: CacheResult, refused: bool) {
        let metrics = &self.observer.metrics;
        let route = self.route.as_ref().map(|r| r.template_id.index());
        metrics.answered(route, status.as_u16(), cache, self.started.elapsed());
        if matches!(cache, CacheResult::Hit | CacheResult::Collapsed) {
            metrics.saved();
        }
        let outcome = match status.as_u16() {
            _ if refused => "refused",
            500.. => "failed",
            _ => "ok",
        };
        metrics.caller_ended(self.caller_name(), outcome);
    }

    fn log(&self, status: StatusCode, cache: CacheResult, refused: Option<&Rejection>) {
        let write = !matches!(self.method, Method::GET | Method::HEAD);
        let wrong = refused.is_some() || status.is_server_error();
        let wanted = match self.observer.log {
            LogRequests::All => true,
            LogRequests::WritesAndErrors => write || wrong,
            LogRequests::Errors => wrong,
            LogRequests::Off => false,
        };
        if !wanted {
            return;
        }
        // The query stays out: searches name people.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    caller = self.caller_name(),
                    method = %self.method,
                    route = self.route_name(),
                    path = self.uri.path(),
                    status = status.as_u16(),
                    cache = cache.name(),
                    code = refused.map(Rejection::code),
                    ms = millis(self.started.elapsed()),
                    request_id = self.request_id.to_str().unwrap_or_default(),
                    "request"
                )
            };
        }
        if status.is_server_error() { line!(warn) } else { line!(info) }
    }

    fn caller_name(&self) -> &str {
        self.caller.as_ref().map_or("unknown", |c| &c.name)
    }

    fn route_name(&self) -> &str {
        self.route.as_ref().map_or("other", |r| &r.template)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.observer.metrics.caller_ended(self.caller_name(), "left");
        let write = !matches!(self.method, Method::GET | Method::HEAD);
        let wanted = match self.observer.log {
            LogRequests::All => true,
            LogRequests::WritesAndErrors | LogRequests::Errors => write,
            LogRequests::Off => false,
        };
        if wanted {
            tracing::info!(
                caller = self.caller_name(),
                method = %self.method,
                route = self.route_name(),
                path = self.uri.path(),
                ms = millis(self.started.elapsed()),
                request_id = self.request_id.to_str().unwrap_or_default(),
                "the client left before its answer"
            );
        }
    }
}

/// The client's own id if it is a sane one, else a new one.
pub fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sane = |id: &&HeaderValue| {
        let bytes = id.as_bytes();
        !bytes.is_empty()
            && bytes.len() <= REQUEST_ID_MAX
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:+/=".contains(b))
    };
    headers.get(REQUEST_ID).filter(sane).cloned().unwrap_or_else(|| {
        let fresh: [u8; 16] = std::array::from_fn(|_| b"0123456789abcdef"[fastrand::usize(..16)]);
        HeaderValue::from_bytes(&fresh).expect("hexadecimal digits")
    })
}

fn cache_result(source: &Source) -> CacheResult {
    match source {
        Source::Stored { .. } => CacheResult::Hit,
        Source::Forwarded { collapsed: true, .. } => CacheResult::Collapsed,
        Source::Forwarded { why: Why::UriMiss, .. } => CacheResult::Miss,
        Source::Forwarded { why: Why::Stale, .. } => CacheResult::Stale,
        Source::Forwarded { why: Why::Request | Why::Method | Why::Bypass, .. } => CacheResult::Bypass,
    }
}

/// RFC 9211.
fn cache_status(source: &Source) -> HeaderValue {
    let text = match source {
        Source::Stored { left, .. } => format!("logto-gateway; hit; ttl={}", left.as_secs()),
        Source::Forwarded { why, confirmed, stored, collapsed } => {
            let why = match why {
                Why::UriMiss => "uri-miss",
                Why::Stale => "stale",
                Why::Request => "request",
                Why::Method => "method",
                Why::Bypass => "bypass",
            };
            let mut text = format!("logto-gateway; fwd={why}");
            for (is, word) in
                [(confirmed, "; fwd-status=304"), (stored, "; stored"), (collapsed, "; collapsed")]
            {
                text.push_str(if *is { word } else { "" });
            }
            text
        }
    };
    HeaderValue::try_from(text).expect("ASCII words and digits")
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11), `Server-Timing` (W3C).
fn tell_pace(headers: &mut HeaderMap, quota: Option<Quota>, timing: &Timing) {
    // Whoever was told when to come back is not to read a later time beside it.
    let told = headers.get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    let mut tell = |name: &'static str, text: String| {
        headers.insert(name, HeaderValue::try_from(text).expect("ASCII words and digits"));
    };
    if let Some(Quota { limit, window, remaining, reset }) = quota {
        tell("ratelimit-policy", format!("\"tenant\";q={limit};w={}", whole_seconds(window)));
        tell(
            "ratelimit",
            format!("\"tenant\";r={remaining};t={}", whole_seconds(reset).min(told.unwrap_or(u64::MAX))),
        );
    }
    let Timing { queue, token, upstream } = timing;
    let (queue, token, upstream) = (millis(*queue), millis(*token), millis(*upstream));
    tell("server-timing", format!("queue;dur={queue}, token;dur={token}, upstream;dur={upstream}"));
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}
