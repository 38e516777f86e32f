//! What comes back: an answer with its body, held or streaming, or the way in which none came.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;

use crate::connect::ConnectError;

/// A body that is on its way.
pub type Streaming = UnsyncBoxBody<Bytes, BodyError>;

/// A streamed body broke off.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum BodyError {
    /// The other side closed or garbled it.
    #[error("the body broke off")]
    Broken,
    /// Nothing came for too long.
    #[error("the body stalled")]
    Stalled,
    /// It is larger than allowed.
    #[error("the body is too large")]
    TooLarge,
}

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
    /// No head in time: perhaps processed.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl Failure {
    /// Whether Logto surely did nothing, so that any method may be tried again.
    pub fn surely_not_processed(&self) -> bool {
        matches!(self, Self::NotConnected(_) | Self::NotSent)
    }
}

impl Outcome {
    /// The answer's status, if one came.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answered(reply) => Some(reply.status),
            Self::Failed(_) => None,
        }
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
