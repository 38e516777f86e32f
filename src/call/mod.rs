//! What is asked: a caller's request, read and ready to be sent as often as it takes.

mod intake;
#[cfg(test)]
pub(crate) mod sample;
mod wishes;

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::caller::{Caller, Class};
use crate::streaming::Streaming;
use crate::target::Target;

pub use intake::{Intake, Limits};

/// A request that was let in.
pub struct Call {
    /// Who asks.
    pub caller: Caller,
    /// What for.
    pub target: Target,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// Scheme and host by which the client knows this gateway, for links in answers: `http://localhost:8480`.
    pub base: String,
    /// Names this request in logs here and upstream.
    pub request_id: HeaderValue,
    /// Its body.
    pub body: Body,
    /// When it came.
    pub arrived: Instant,
    /// Its caller waits no longer than this.
    pub deadline: Instant,
    /// Its answer is worth waiting for until then, to others who want the same and have more time.
    pub timeout: Instant,
    /// The `Prefer: wait` that was heeded, in seconds.
    pub wait: Option<u32>,
    /// The class it waits in: its caller's, or a lower one that it asked for.
    pub class: Class,
}

/// A request's body.
pub enum Body {
    /// None.
    Empty,
    /// All of it, counted against the budget of held bodies as long as the call lives.
    Held {
        /// The bytes.
        bytes: Bytes,
        /// Their room in the budget.
        room: Option<OwnedSemaphorePermit>,
    },
    /// Sent while it arrives; taken by the one attempt that sends it.
    Once(Mutex<Option<Streaming>>),
}

impl Call {
    /// Whether it can be sent a second time.
    pub fn is_replayable(&self) -> bool {
        !matches!(self.body, Body::Once(_))
    }

    /// A method that is expected to carry a body, without one.
    pub fn sends_nothing(&self) -> bool {
        matches!(self.body, Body::Empty)
            && matches!(self.target.method, Method::POST | Method::PUT | Method::PATCH)
    }

    /// The headers that go upstream: an allow-list of what Logto's answers don't depend on, and nothing of the caller's (its credentials, cookies, addresses, overrides) reaches Logto.
    pub fn headers_for_upstream(&self, also: &[HeaderName]) -> HeaderMap {
        const USUAL: [HeaderName; 5] = [
            header::ACCEPT,
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::USER_AGENT,
            HeaderName::from_static("traceparent"),
        ];
        const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
        let language = self.keeps_language().then_some(header::ACCEPT_LANGUAGE);
        let mut headers = HeaderMap::with_capacity(12);
        for name in USUAL.iter().chain([&TRACESTATE]).chain(&language).chain(also) {
            for value in self.headers.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers.insert(HeaderName::from_static("x-request-id"), self.request_id.clone());
        headers
    }

    /// A stored answer is in one language, unless the language is part of its key.
    pub fn keeps_language(&self) -> bool {
        self.target.route().is_none_or(|route| !route.storable() || route.localised)
    }
}

/// Takes the body out of a call for sending it; `None` if it was streamed already.
pub fn body_to_send(body: &Body) -> Option<Streaming> {
    let full = |bytes: &Bytes| {
        http_body_util::Full::new(bytes.clone()).map_err(|never| match never {}).boxed_unsync()
    };
    match body {
        Body::Empty => Some(full(&Bytes::new())),
        Body::Held { bytes, .. } => Some(full(bytes)),
        Body::Once(body) => body.lock().unwrap_or_else(PoisonError::into_inner).take(),
    }
}
