//! Faults on demand: what goes wrong, for which requests, and how often.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;

/// Something that goes wrong with the next requests that match.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The path starts with this, `/oidc/token` and `/api/users` for example.
    pub path: String,
    /// The method, or any.
    pub method: Option<Method>,
    /// How many requests it strikes.
    pub times: usize,
    /// What goes wrong.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The work is done at once, the answer comes late.
    Latency(Duration),
    /// Nothing is done; this status with the body of Logto's own 500.
    Status(StatusCode),
    /// Nothing is done; the connection closes once the request has been read.
    ResetBeforeReply,
    /// The work is done; the head and half of the body arrive, then the connection closes.
    ResetMidBody,
    /// Nothing is done and nothing is answered, for as long as the client waits.
    Hang,
    /// Nothing is done; an edge in front of Logto answers with an HTML page.
    HtmlPage(StatusCode),
    /// The work is done; the connection closes without an answer.
    CommitThenReset,
    /// Nothing is done; exactly this is answered. Meant for odd answers of the token endpoint.
    TokenAnswer {
        /// The status.
        status: StatusCode,
        /// The `Content-Type`.
        content_type: String,
        /// The body.
        body: Bytes,
    },
}

impl Fault {
    /// A fault that strikes one request of any method whose path starts with `path`.
    pub fn new(path: impl Into<String>, kind: FaultKind) -> Self {
        Self { path: path.into(), method: None, times: 1, kind }
    }

    /// The same fault for requests of one method only.
    #[must_use]
    pub fn method(self, method: Method) -> Self {
        Self { method: Some(method), ..self }
    }

    /// The same fault, striking so many requests.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Reads a fault as `POST /simulator/faults` receives it; the error says what is wrong with it.
    pub(super) fn from_json(value: &Value) -> Result<Self, String> {
        let path = text(value, "path")?.unwrap_or("/").to_owned();
        let method = match text(value, "method")? {
            Some(name) => Some(name.parse().map_err(|_| format!("`method`: {name} is not a method"))?),
            None => None,
        };
        let times = number(value, "times")?.unwrap_or(1);
        let times = usize::try_from(times).map_err(|_| "`times` is too large".to_owned())?;
        Ok(Self { path, method, times, kind: FaultKind::from_json(value)? })
    }
}

impl FaultKind {
    fn from_json(value: &Value) -> Result<Self, String> {
        Ok(match text(value, "kind")?.ok_or("`kind` is missing")? {
            "latency" => Self::Latency(Duration::from_millis(
                number(value, "milliseconds")?.ok_or("`milliseconds` is missing")?,
            )),
            "status" => Self::Status(status(value, StatusCode::INTERNAL_SERVER_ERROR)?),
            "reset-before-reply" => Self::ResetBeforeReply,
            "reset-mid-body" => Self::ResetMidBody,
            "hang" => Self::Hang,
            "html-page" => Self::HtmlPage(status(value, StatusCode::SERVICE_UNAVAILABLE)?),
            "commit-then-reset" => Self::CommitThenReset,
            "token-answer" => Self::TokenAnswer {
                status: status(value, StatusCode::OK)?,
                content_type: text(value, "contentType")?.unwrap_or("application/json").to_owned(),
                body: Bytes::from(text(value, "body")?.unwrap_or_default().to_owned()),
            },
            other => return Err(format!("`kind`: {other} is not a fault")),
        })
    }
}

/// The faults that wait for a request, oldest first.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

/// Faults that wait at the same time; beyond it the oldest gives way.
const FAULTS_MAX: usize = 1000;

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        if self.0.len() == FAULTS_MAX {
            self.0.remove(0);
        }
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The oldest fault that matches, which has then struck once more.
    pub(super) fn strike(&mut self, method: &Method, path: &str) -> Option<FaultKind> {
        self.0.retain(|fault| fault.times > 0);
        let matches = |fault: &&mut Fault| {
            path.starts_with(&fault.path) && fault.method.as_ref().is_none_or(|only| only == method)
        };
        let fault = self.0.iter_mut().find(matches)?;
        fault.times -= 1;
        Some(fault.kind.clone())
    }
}

fn text<'v>(value: &'v Value, key: &str) -> Result<Option<&'v str>, String> {
    match value.get(key) {
        None => Ok(None),
        Some(found) => found.as_str().map(Some).ok_or_else(|| format!("`{key}` is not a string")),
    }
}

fn number(value: &Value, key: &str) -> Result<Option<u64>, String> {
    match value.get(key) {
        None => Ok(None),
        Some(found) => found.as_u64().map(Some).ok_or_else(|| format!("`{key}` is not a whole number")),
    }
}

fn status(value: &Value, default: StatusCode) -> Result<StatusCode, String> {
    let Some(code) = number(value, "status")? else { return Ok(default) };
    u16::try_from(code)
        .ok()
        .filter(|code| (200..600).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| format!("`status`: {code} is not a final status"))
}
