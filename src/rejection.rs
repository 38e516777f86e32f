//! Every "no" of the gateway's own: what went wrong, and the status, code and headers that say so.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode as S};

/// A refusal. `Display` is what the client reads; `source()` is what the log adds to it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Rejection {
    /// The path could be read in more than one way.
    #[error("the path is ambiguous: {0}")]
    AmbiguousPath(&'static str),
    /// The request is not one that this gateway can make sense of.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// A method that no resource of the API has.
    #[error("{0}")]
    Method(MethodFault),
    /// A browser's page asked.
    #[error("requests from a browser's page are refused: {0}")]
    FromBrowser(&'static str),
    /// The `Host` (or `:authority`) is not one of this gateway's names.
    #[error("the host name is not one of this gateway's; add it to door.hosts if it should be")]
    Host,
    /// A write or a read of secrets without any `Authorization`, while nobody is configured.
    #[error(
        "writes, reads of secrets, and routes that this gateway doesn't know need an Authorization header, of any \
         value (door.anonymous = \"guarded\"); send one, or set door.anonymous = \"open\""
    )]
    Guarded,
    /// `door.anonymous = "deny"`.
    #[error("anonymous callers are refused (door.anonymous = \"deny\")")]
    AnonymousDenied,
    /// Not under `/api`.
    #[error("only the Management API under /api is served here")]
    NotTheApi,
    /// The admin address has no such page.
    #[error("there is no such page; /live, /ready, /metrics and /status are")]
    NoSuchPage,
    /// Under `/api`, but for user tokens and cookies.
    #[error("this operation belongs to signed-in users, not to the Management API; call Logto directly")]
    NotManagementApi,
    /// The request's body came too slowly.
    #[error("the request's body did not arrive in time (listen.body_timeout)")]
    BodyTooSlow,
    /// The request's body is larger than the door lets in.
    #[error("the request's body is too large (door.body_max; for uploads door.upload_max)")]
    BodyTooLarge,
    /// The client broke off, or framed its body wrongly.
    #[error("the request's body could not be read")]
    BodyBroken,
    /// More requests are in the house than it has room for.
    #[error("too many requests at once (listen.requests_max)")]
    Crowded,
    /// All held request bodies together have reached their budget.
    #[error("too many request bodies are held at the moment (door.held_bodies_max)")]
    HeldBodiesFull(Duration),
    /// The waiting line is full.
    #[error("the waiting line for Logto is full (budget.waiting_max)")]
    QueueFull(Duration),
    /// The wait for a permit would be longer than this call may wait.
    #[error("this call would have to wait {} s for its turn, longer than it may (wait_max or its deadline)", whole_seconds(*.0))]
    WaitTooLong(Duration),
    /// Logto said 429; nothing is sent until it thaws.
    #[error("Logto asked for a pause; calls go out again in {} s", whole_seconds(*.0))]
    Frozen(Duration),
    /// There is no token, and why.
    #[error("no access token for Logto: {cause}")]
    NoToken {
        /// The cause and its remedy, in one sentence.
        cause: String,
        /// When the next attempt to get one is due.
        retry_after: Duration,
    },
    /// Nobody waits for the answer any more; nobody reads this either.
    #[error("the client left")]
    Abandoned,
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Draining,
    /// No connection to Logto could be made.
    #[error("Logto cannot be reached: {cause}")]
    Unreachable {
        /// Why.
        cause: String,
        /// The error type of RFC 9209 §2.3.
        proxy_error: &'static str,
    },
    /// The connection broke before an answer came: whether the call was processed is unknown.
    #[error("the connection to Logto broke before it answered; whether it processed the call is unknown")]
    Broken,
    /// Logto's answer was not HTTP.
    #[error("Logto's answer could not be read")]
    BadReply,
    /// Logto did not answer in time: whether the call was processed is unknown.
    #[error("Logto did not answer within {0:?}; whether it processed the call is unknown")]
    UpstreamTimeout(Duration),
    /// The call's own deadline passed after it was sent.
    #[error("the call's deadline passed before Logto answered")]
    DeadlinePassed,
    /// `Cache-Control: only-if-cached` and nothing stored.
    #[error("nothing is stored for this request (only-if-cached)")]
    NotStored,
    /// A fault of the gateway.
    #[error("the gateway made a mistake; its log says more under this request id")]
    Internal,
}

/// Why a method is refused.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum MethodFault {
    /// A method of HTTP that is not passed on.
    #[error("this method is not passed on; GET, HEAD, POST, PUT, PATCH and DELETE are")]
    Refused,
    /// A method that HTTP doesn't know.
    #[error("HTTP knows no such method")]
    Unknown,
}

/// The methods that go through.
const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// Error types of RFC 9209 §2.3.
const DENIED: &str = "http_request_denied";
const ERROR: &str = "http_request_error";
const INTERNAL: &str = "proxy_internal_error";
const UNAVAILABLE: &str = "destination_unavailable";
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Everything the outside learns of a rejection beside its text.
struct Form {
    status: S,
    /// Stable: clients and alerts match on it.
    code: &'static str,
    /// An error type of RFC 9209 §2.3, where one fits.
    proxy_error: &'static str,
    retry_after: Option<Duration>,
}

impl Rejection {
    /// The HTTP status.
    pub fn status(&self) -> S {
        self.form().status
    }

    /// A stable word for clients and metrics.
    pub fn code(&self) -> &'static str {
        self.form().code
    }

    /// When to come back, if waiting helps.
    pub fn retry_after(&self) -> Option<Duration> {
        self.form().retry_after
    }

    /// Whether it is only about waiting: nothing was found wrong with the call itself.
    pub fn is_about_waiting(&self) -> bool {
        matches!(
            self,
            Self::QueueFull(_)
                | Self::WaitTooLong(_)
                | Self::Frozen(_)
                | Self::Draining
                | Self::DeadlinePassed
        )
    }

    /// Status, headers and `application/problem+json` body (RFC 9457).
    pub fn response(&self, request_id: &str) -> (S, HeaderMap, Bytes) {
        let form = self.form();
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PROXY_STATUS, proxy_status(&form));
        if let Some(after) = form.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after).max(1)));
        }
        if form.status == S::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, ALLOWED);
        }
        (form.status, headers, self.problem(&form, request_id))
    }

    fn problem(&self, form: &Form, request_id: &str) -> Bytes {
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": form.status.canonical_reason().unwrap_or("Error"),
            "status": form.status.as_u16(),
            "code": form.code,
            "detail": self.to_string(),
            "request_id": request_id,
        });
        Bytes::from(problem.to_string())
    }

    /// The one place where a refusal becomes a status.
    fn form(&self) -> Form {
        let form = |status, code, proxy_error| Form { status, code, proxy_error, retry_after: None };
        let later = |status, code, proxy_error, after: &Duration| Form {
            retry_after: Some(*after),
            ..form(status, code, proxy_error)
        };
        match self {
            Self::AmbiguousPath(_) => form(S::BAD_REQUEST, "ambiguous_path", ERROR),
            Self::Malformed(_) => form(S::BAD_REQUEST, "malformed_request", ERROR),
            Self::Method(MethodFault::Refused) => form(S::METHOD_NOT_ALLOWED, "method_not_allowed", DENIED),
            Self::Method(MethodFault::Unknown) => form(S::NOT_IMPLEMENTED, "method_unknown", DENIED),
            Self::FromBrowser(_) => form(S::FORBIDDEN, "from_browser", DENIED),
            Self::Host => form(S::FORBIDDEN, "host_not_allowed", DENIED),
            Self::Guarded => form(S::FORBIDDEN, "authorization_required", DENIED),
            Self::AnonymousDenied => form(S::FORBIDDEN, "anonymous_denied", DENIED),
            Self::NotTheApi => form(S::NOT_FOUND, "not_the_api", DENIED),
            Self::NoSuchPage => form(S::NOT_FOUND, "no_such_page", DENIED),
            Self::NotManagementApi => form(S::NOT_FOUND, "not_management_api", DENIED),
            Self::BodyTooSlow => form(S::REQUEST_TIMEOUT, "request_too_slow", ERROR),
            Self::BodyTooLarge => form(S::PAYLOAD_TOO_LARGE, "body_too_large", ERROR),
            Self::BodyBroken => form(S::BAD_REQUEST, "body_broken", ERROR),
            Self::Crowded => later(S::SERVICE_UNAVAILABLE, "crowded", INTERNAL, &Duration::from_secs(1)),
            Self::HeldBodiesFull(after) => later(S::SERVICE_UNAVAILABLE, "held_bodies_full", INTERNAL, after),
            Self::QueueFull(after) => later(S::TOO_MANY_REQUESTS, "queue_full", DENIED, after),
            Self::WaitTooLong(after) => later(S::TOO_MANY_REQUESTS, "wait_too_long", DENIED, after),
            Self::Frozen(after) => later(S::SERVICE_UNAVAILABLE, "frozen", UNAVAILABLE, after),
            Self::NoToken { retry_after, .. } => {
                later(S::SERVICE_UNAVAILABLE, "no_token", UNAVAILABLE, retry_after)
            }
            Self::Abandoned => form(S::SERVICE_UNAVAILABLE, "abandoned", INTERNAL),
            Self::Draining => later(S::SERVICE_UNAVAILABLE, "draining", UNAVAILABLE, &Duration::from_secs(1)),
            Self::Unreachable { proxy_error, .. } => {
                form(S::BAD_GATEWAY, "upstream_unreachable", proxy_error)
            }
            Self::Broken => form(S::BAD_GATEWAY, "upstream_broken", "connection_terminated"),
            Self::BadReply => form(S::BAD_GATEWAY, "upstream_bad_reply", "http_protocol_error"),
            Self::UpstreamTimeout(_) => form(S::GATEWAY_TIMEOUT, "upstream_timeout", "http_response_timeout"),
            Self::DeadlinePassed => form(S::GATEWAY_TIMEOUT, "deadline_passed", "http_response_timeout"),
            Self::NotStored => form(S::GATEWAY_TIMEOUT, "not_stored", DENIED),
            Self::Internal => form(S::INTERNAL_SERVER_ERROR, "internal", INTERNAL),
        }
    }
}

/// RFC 9209: names this gateway, so that a client can tell its no from Logto's.
fn proxy_status(form: &Form) -> HeaderValue {
    let value = format!("logto-gateway; error={}; details=\"{}\"", form.proxy_error, form.code);
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("logto-gateway"))
}

/// HTTP counts in whole seconds: rounded up, so that nobody comes too early.
pub fn whole_seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0)
}
