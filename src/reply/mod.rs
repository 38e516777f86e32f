//! What comes back: an answer with its body, held or streaming, or the way in which none came.

mod outcome;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_LENGTH, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody};

pub use self::outcome::{Api, Failure, LogtoError, Outcome, Throttled};
pub use crate::streaming::{BodyError, Streaming};

/// What this gateway says of itself in both directions (RFC 9110 §7.6.3).
pub const VIA: HeaderValue = HeaderValue::from_static("1.1 logto-gateway");

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

    /// Whether Logto itself answered, and not an edge before it with a page of its own.
    pub fn is_from_logto(&self) -> bool {
        self.headers.contains_key("logto-core-request-id")
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

#[cfg(test)]
mod tests {
    use super::*;

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
