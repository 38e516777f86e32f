//! What became of one attempt, and what it says of the token, of the limiter, of Logto.

use std::time::Duration;

use http::StatusCode;

use super::{Body, Reply};
use crate::connect::ConnectError;
use crate::streaming::BodyError;

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
    /// A new connection was closed before the request went out, or there is no body left to send: surely not processed.
    #[error("the connection closed before the request was sent")]
    NotSent,
    /// The call's time was up before it could be sent: surely not processed.
    #[error("there was no time left to send it")]
    TooLate,
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
        matches!(self, Self::NotConnected(_) | Self::NotSent | Self::TooLate | Self::RequestBody(_))
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
        reply.status == StatusCode::FORBIDDEN && !reply.is_from_logto() && self.logto_error().is_none()
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
    use bytes::Bytes;

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
}
