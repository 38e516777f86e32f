//! Calls as they come out of the door, for the tests of those that serve them.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method, request};
use http_body_util::Full;
use tokio::time::Instant;

use super::{Call, Intake, Limits};
use crate::caller::Caller;
use crate::catalog::Catalog;
use crate::target::Target;

/// Read once: a test may make thousands of calls.
static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::logto);

/// A call in the making.
pub(crate) struct Sample {
    head: request::Builder,
    body: &'static str,
    patience: Duration,
}

/// A read.
pub(crate) fn get(uri: &str) -> Sample {
    ask(&Method::GET, uri)
}

/// Any call.
pub(crate) fn ask(method: &Method, uri: &str) -> Sample {
    let head = request::Builder::new().method(method).uri(uri).header("host", "localhost:8480");
    Sample { head, body: "", patience: Duration::from_secs(120) }
}

impl Sample {
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        Self { head: self.head.header(name, value), ..self }
    }

    pub(crate) fn body(self, body: &'static str) -> Self {
        Self { body, ..self }
    }

    /// Its deadline, from now.
    pub(crate) fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The call, which arrives now. Needs a tokio runtime.
    #[expect(clippy::disallowed_methods, reason = "a call arrives now")]
    pub(crate) fn call(self) -> Call {
        let limits = Limits {
            body_max: 1024,
            upload_max: 4096,
            held_bodies_max: 4096,
            body_timeout: Duration::from_secs(30),
            call_timeout: self.patience,
            forward_headers: vec![HeaderName::from_static("x-extra")],
        };
        let head = self.head.body(()).expect("a request").into_parts().0;
        let target = Target::parse(&head.method, &head.uri, &head.headers, &CATALOG);
        let (target, body) =
            (target.expect("a good target"), Full::new(Bytes::from_static(self.body.as_bytes())));
        let (intake, id) = (Intake::new(limits), HeaderValue::from_static("id"));
        let read = intake.read(Caller::anonymous(), target, head, body, id, Instant::now());
        read.now_or_never().expect("all of it is here").unwrap_or_else(|no| panic!("{no}"))
    }
}
