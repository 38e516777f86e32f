//! What comes back: an answer with its body, held or streaming, or the way in which none came.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_LENGTH, DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody};

use crate::connect::ConnectError;
pub use crate::streaming::{BodyError, Streaming};

/// An answer's body.
pub enum Body {
    /// All of it, complete.
    Held(Bytes),
    /// Still coming.
    Streaming(Streaming),
}

/// An answer, Logto's or a stored one.
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// End-to-end headers, repeated ones in order.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
    /// Where it came from.
    pub source: Source,
    /// What its time was spent on, if it was fetched.
    pub timing: Option<Timing>,
}

/// What a fetch's time was spent on, over all its attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Waiting in line.
    pub queue: Duration,
    /// Waiting for a token.
    pub token: Duration,
    /// From sending to the answer.
    pub upstream: Duration,
}

/// What is left of the budget, for clients that want to know (draft-ietf-httpapi-ratelimit-headers-11).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// Requests per window that Logto allows the tenant.
    pub limit: u32,
    /// The window.
    pub window: Duration,
    /// Calls that would go out at once.
    pub remaining: u32,
    /// When one more could.
    pub reset: Duration,
}

/// Where an answer came from, in the words of RFC 9211.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Out of the store.
    Stored {
        /// How long ago it was fetched.
        age: Duration,
        /// How much longer it stays fresh.
        left: Duration,
    },
    /// From Logto.
    Forwarded {
        /// Why the store could not answer.
        why: Why,
        /// Logto confirmed what was stored (304).
        confirmed: bool,
        /// It is stored now.
        stored: bool,
        /// It was another request's fetch.
        collapsed: bool,
    },
}

/// Why a request was forwarded (RFC 9211 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nothing was stored under this URI.
    UriMiss,
    /// What was stored is no longer fresh, or the client wants it confirmed.
    Stale,
    /// The request itself said so.
    Request,
    /// Its method is not answered from a store.
    Method,
    /// Answers of this route are never stored.
    Bypass,
}

impl Source {
    /// An answer straight from Logto.
    pub fn forwarded(why: Why) -> Self {
        Self::Forwarded { why, confirmed: false, stored: false, collapsed: false }
    }
}

impl Reply {
    /// An answer as it came, before the cache has had its say.
    pub fn new(status: StatusCode, headers: HeaderMap, body: Body) -> Self {
        Self { status, headers, body, source: Source::forwarded(Why::Bypass), timing: None }
    }

    /// Takes the body in, if it ends within `max` bytes; a longer one streams on, nothing of it lost.
    pub async fn hold(self, max: usize) -> Result<Self, BodyError> {
        let Body::Streaming(mut stream) = self.body else { return Ok(self) };
        let mut parts = Vec::new();
        let mut size = 0;
        while let Some(frame) = stream.frame().await {
            // Trailers say nothing that this gateway or Logto's clients use.
            let Ok(data) = frame?.into_data() else { continue };
            size += data.len();
            parts.push(data);
            if size > max {
                return Ok(Self { body: Body::Streaming(resumed(parts, stream)), ..self });
            }
        }
        Ok(Self { body: Body::Held(joined(parts, size)), ..self })
    }

    /// The same for an answer whose status says enough: a body that breaks off is left out.
    pub async fn hold_or_empty(self, max: usize) -> Self {
        let (status, mut headers) = (self.status, self.headers.clone());
        self.hold(max).await.unwrap_or_else(|_| {
            headers.remove(CONTENT_LENGTH);
            Self::new(status, headers, Body::Held(Bytes::new()))
        })
    }

    /// The same answer, with the reason why it was forwarded.
    #[must_use]
    pub fn because(self, why: Why) -> Self {
        Self { source: Source::forwarded(why), ..self }
    }

    /// `Retry-After` (RFC 9110 §10.2.3). A date counts from the answer's own `Date`, so that clocks need not agree.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = httpdate::parse_http_date(text).ok()?;
        let date = httpdate::parse_http_date(self.headers.get(DATE)?.to_str().ok()?).ok()?;
        Some(until.duration_since(date).unwrap_or_default())
    }
}

fn joined(parts: Vec<Bytes>, size: usize) -> Bytes {
    match <[Bytes; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => {
            let mut all = BytesMut::with_capacity(size);
            for part in &parts {
                all.extend_from_slice(part);
            }
            all.freeze()
        }
    }
}

/// A body whose first parts were read already.
fn resumed(parts: Vec<Bytes>, rest: Streaming) -> Streaming {
    let first = stream::iter(parts.into_iter().map(|part| Ok(Frame::data(part))));
    StreamBody::new(first.chain(BodyStream::new(rest))).boxed_unsync()
}

/// A limiter's refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttled {
    /// How long to wait, if it said so.
    pub retry_after: Option<Duration>,
}

/// What became of one attempt.
pub enum Outcome {
    /// An answer came.
    Answered(Reply),
    /// None came.
    Failed(Failure),
}

/// Why no answer came.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// No connection: surely not processed.
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    /// A reused connection was closed before the request went out, and so was its replacement: surely not processed.
    #[error("the connection closed before the request was sent")]
    NotSent,
    /// The connection broke before the answer's head: perhaps processed.
    #[error("the connection broke before the answer")]
    Broken,
    /// The answer was not HTTP: perhaps processed.
    #[error("the answer could not be parsed")]
    BadReply,
    /// The client's own body broke off on the way: surely not processed, since Logto never had all of it.
    #[error("the request's body ended early: {0}")]
    RequestBody(BodyError),
    /// No head in time: perhaps processed.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl Failure {
    /// Whether Logto surely did nothing, so that any method may be tried again.
    pub fn surely_not_processed(&self) -> bool {
        matches!(self, Self::NotConnected(_) | Self::NotSent | Self::RequestBody(_))
    }
}

impl Outcome {
    /// Takes an answer's body in; one that breaks off on the way is no answer.
    pub async fn hold(self, max: usize) -> Self {
        match self {
            Self::Answered(reply) => match reply.hold(max).await {
                Ok(held) => Self::Answered(held),
                Err(_) => Self::Failed(Failure::Broken),
            },
            failed @ Self::Failed(_) => failed,
        }
    }

    /// The answer's status, if one came.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answered(reply) => Some(reply.status),
            Self::Failed(_) => None,
        }
    }

    /// Whether a limiter refused the attempt, so that nothing should go out for a while: a 429, or a 503 with
    /// `Retry-After`. Logto's business refusals under the same status (too many mails, a connector's quota, the
    /// tenant's token quota) are not the limiter's.
    pub fn throttled(&self) -> Option<Throttled> {
        let Self::Answered(reply) = self else { return None };
        let retry_after = reply.retry_after();
        match reply.status {
            StatusCode::TOO_MANY_REQUESTS if !self.is_business_refusal() => Some(Throttled { retry_after }),
            StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => Some(Throttled { retry_after }),
            _ => None,
        }
    }

    fn is_business_refusal(&self) -> bool {
        self.logto_error().is_some_and(|e| {
            e.code == "request.message_rate_limited"
                || e.code == "auth.exceed_token_limit"
                || e.code.starts_with("connector.")
        })
    }

    /// A refusal that Logto never saw: an edge before it answered 403 with a page of its own.
    pub fn is_edge_page(&self) -> bool {
        let Self::Answered(reply) = self else { return false };
        reply.status == StatusCode::FORBIDDEN
            && !reply.headers.contains_key("logto-core-request-id")
            && self.logto_error().is_none()
    }

    /// `code` and `data.code` of Logto's own error body; `None` for anything else, an edge's page for instance.
    pub fn logto_error(&self) -> Option<LogtoError> {
        match self {
            Self::Answered(Reply { body: Body::Held(bytes), .. }) => LogtoError::parse(bytes),
            _ => None,
        }
    }
}

/// How an API says that a bearer token is no longer good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Logto's Management API.
    Logto,
    /// Any other OAuth-protected API.
    Generic,
}

impl Outcome {
    /// Whether the API refused the token itself, so that a new one may help. In Logto's case a 403, or a claim
    /// that does not hold (`ERR_JWT_CLAIM_VALIDATION_FAILED`), is a matter of configuration: a new token is no better.
    pub fn refuses_token(&self, api: Api) -> bool {
        const TOKEN_FAULTS: [&str; 4] = [
            "ERR_JWT_EXPIRED",
            "ERR_JWS_INVALID",
            "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
            "ERR_JWKS_NO_MATCHING_KEY",
        ];
        if self.status() != Some(StatusCode::UNAUTHORIZED) {
            return false;
        }
        api == Api::Generic
            || self.logto_error().is_some_and(|e| {
                e.code == "auth.unauthorized"
                    && e.data_code.is_some_and(|d| TOKEN_FAULTS.contains(&d.as_str()))
            })
    }
}

/// The parts of Logto's error body that decide something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogtoError {
    /// For instance `auth.unauthorized`.
    pub code: String,
    /// For instance `ERR_JWT_EXPIRED`, from `data.code`.
    pub data_code: Option<String>,
}

impl LogtoError {
    fn parse(body: &[u8]) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_slice(body).ok()?;
        let code = value.get("code")?.as_str()?.to_owned();
        let data_code = value.pointer("/data/code").and_then(|c| c.as_str()).map(str::to_owned);
        Some(Self { code, data_code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Outcome {
        let headers = headers
            .iter()
            .map(|(n, v)| (http::HeaderName::from_static(n), http::HeaderValue::from_static(v)));
        let body = Body::Held(Bytes::from_static(body.as_bytes()));
        Outcome::Answered(Reply::new(
            StatusCode::from_u16(status).expect("a status"),
            headers.collect(),
            body,
        ))
    }

    #[test]
    fn a_401_about_the_token_asks_for_a_new_one_and_no_other_does() {
        let about = |status, data_code: &str| {
            let body = format!(r#"{{"code":"auth.unauthorized","data":{{"code":"{data_code}"}}}}"#);
            answer(status, &[], Box::leak(body.into_boxed_str())).refuses_token(Api::Logto)
        };
        for code in [
            "ERR_JWT_EXPIRED",
            "ERR_JWS_INVALID",
            "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
            "ERR_JWKS_NO_MATCHING_KEY",
        ] {
            assert!(about(401, code), "{code}");
        }
        assert!(!about(401, "ERR_JWT_CLAIM_VALIDATION_FAILED"));
        assert!(!about(403, "ERR_JWT_EXPIRED"));
        let other = answer(401, &[], r#"{"code":"auth.unauthorized","message":"user tokens only"}"#);
        assert!(!other.refuses_token(Api::Logto));
        assert!(other.refuses_token(Api::Generic));
    }

    #[test]
    fn only_a_limiters_refusal_throttles() {
        let limiter = answer(429, &[("retry-after", "7")], r#"{"code":"request.rate_limited"}"#);
        assert_eq!(limiter.throttled(), Some(Throttled { retry_after: Some(Duration::from_secs(7)) }));
        let edge = answer(429, &[], "<html>slow down</html>");
        assert_eq!(edge.throttled(), Some(Throttled { retry_after: None }));
        for business in
            ["request.message_rate_limited", "connector.rate_limit_exceeded", "auth.exceed_token_limit"]
        {
            let body = format!(r#"{{"code":"{business}"}}"#);
            assert_eq!(answer(429, &[], Box::leak(body.into_boxed_str())).throttled(), None, "{business}");
        }
        assert!(answer(503, &[("retry-after", "1")], "").throttled().is_some());
        assert!(answer(503, &[], "").throttled().is_none());
    }

    #[test]
    fn a_retry_date_counts_from_the_answers_own_date() {
        let dated = answer(
            429,
            &[("retry-after", "Sun, 22 Nov 2026 13:00:30 GMT"), ("date", "Sun, 22 Nov 2026 13:00:00 GMT")],
            "",
        );
        assert_eq!(dated.throttled(), Some(Throttled { retry_after: Some(Duration::from_secs(30)) }));
        let past = answer(
            429,
            &[("retry-after", "Sun, 22 Nov 2026 12:00:00 GMT"), ("date", "Sun, 22 Nov 2026 13:00:00 GMT")],
            "",
        );
        assert_eq!(past.throttled(), Some(Throttled { retry_after: Some(Duration::ZERO) }));
        assert_eq!(
            answer(429, &[("retry-after", "soon")], "").throttled(),
            Some(Throttled { retry_after: None })
        );
    }

    fn streaming(parts: &'static [&'static str]) -> Reply {
        let frames = stream::iter(parts.iter().map(|p| Ok(Frame::data(Bytes::from_static(p.as_bytes())))));
        let body = Body::Streaming(StreamBody::new(frames).boxed_unsync());
        Reply::new(StatusCode::OK, HeaderMap::new(), body)
    }

    #[tokio::test]
    async fn a_body_within_the_bound_is_held_and_a_longer_one_streams_on_whole() {
        let held = streaming(&["ab", "cd"]).hold(4).await.expect("it does not break");
        assert!(matches!(held.body, Body::Held(bytes) if bytes == "abcd"));
        let longer = streaming(&["ab", "cd", "ef"]).hold(3).await.expect("it does not break");
        let Body::Streaming(rest) = longer.body else { panic!("6 bytes do not fit into 3") };
        assert_eq!(rest.collect().await.expect("it does not break").to_bytes(), "abcdef");
    }
}
