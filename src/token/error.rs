//! Why there is no token: the cause and its remedy, in one sentence that shows no secret.

use std::time::Duration;

use crate::rejection::Rejection;
use crate::reply::Failure;

/// Logto counts tokens by the billing period: asking again soon is of no use.
const QUOTA_PAUSE: Duration = Duration::from_secs(600);
/// A longer pause, whoever asks for it, is a mistake that would keep the gateway out for too long.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// Why a fetch brought no token. `Display` is the cause and its remedy.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenError {
    /// 401 `invalid_client`.
    #[error(
        "the token endpoint refuses the secret of application {0} (401 invalid_client); check \
         credentials.app_secret (LOGTO_APP_SECRET), and that it belongs to this application"
    )]
    WrongSecret(String),
    /// 400 `invalid_client`.
    #[error(
        "the token endpoint knows no application {0} (400 invalid_client); check credentials.app_id \
         (LOGTO_APP_ID), and that upstream.endpoint is the tenant it belongs to"
    )]
    UnknownApp(String),
    /// 400 `invalid_request`, "client secret has expired".
    #[error(
        "the secret of application {0} has expired; create another one in Logto's Console (the application's \
         settings) and set credentials.app_secret (LOGTO_APP_SECRET)"
    )]
    SecretExpired(String),
    /// `invalid_target`.
    #[error(
        "the resource indicator {0} is unknown at the token endpoint (invalid_target); set upstream.resource: \
         Logto Cloud's is https://<tenant>.logto.app/api on a custom domain too, Logto OSS's is \
         https://default.logto.app/api whatever its host"
    )]
    InvalidTarget(String),
    /// A token without the scope that was asked for.
    #[error(
        "the token has no scope {0:?}: the M2M app lacks a role with Management API access; in Logto's Console, \
         assign it the role \"Logto Management API access\""
    )]
    NoScope(String),
    /// `expires_in` is missing or no positive number.
    #[error("the token's lifetime (expires_in) is missing or not a positive number of seconds")]
    NoLifetime,
    /// `token_type` is missing or another one.
    #[error("the token is of type {0:?}, and only Bearer tokens are understood")]
    NotBearer(String),
    /// `access_token` is missing, or can't stand in a header.
    #[error("the answer holds no access_token that could stand in an Authorization header")]
    NoToken,
    /// HTML, a redirect, or anything else.
    #[error(
        "the token endpoint answered {status} with {content_type} instead of JSON; check upstream.endpoint (or \
         upstream.token_url), and whatever stands before it"
    )]
    NotJson {
        /// Its status.
        status: u16,
        /// Its `Content-Type`.
        content_type: String,
    },
    /// The answer is far larger than any token.
    #[error(
        "the token endpoint's answer is larger than {} KiB; check upstream.endpoint (or upstream.token_url)",
        super::fetch::ANSWER_MAX / 1024
    )]
    TooLarge,
    /// Another of OAuth's error codes (RFC 6749 §5.2), or of Logto's.
    #[error("the token endpoint refused ({status} {code}{description})")]
    Refused {
        /// Its status.
        status: u16,
        /// Its code.
        code: String,
        /// ": " and what it says, or nothing.
        description: String,
    },
    /// 429 `auth.exceed_token_limit`.
    #[error(
        "the Logto plan's token quota is used up (auth.exceed_token_limit); upgrade the plan, or wait for the \
         next billing period"
    )]
    QuotaUsedUp,
    /// 429, or 5xx.
    #[error("the token endpoint is not available ({status}); trying again")]
    Unavailable {
        /// Its status.
        status: u16,
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// None came.
    #[error("the token endpoint gave no answer: {0}; trying again")]
    NoAnswer(Failure),
    /// The fetch was not allowed to go out.
    #[error("the token could not be asked for: {0}")]
    NoPermit(Rejection),
    /// A fault of the gateway.
    #[error("fetching the token failed inside the gateway; trying again")]
    Internal,
}

/// When to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It mends itself: soon, then less and less often, and not before this much has passed.
    Soon(Duration),
    /// Somebody has to mend it, perhaps in Logto: slowly from the start.
    Slowly,
}

impl TokenError {
    pub(super) fn again(&self) -> Again {
        match self {
            Self::QuotaUsedUp => Again::Soon(QUOTA_PAUSE),
            Self::Unavailable { retry_after, .. } => {
                Again::Soon(retry_after.unwrap_or_default().min(PAUSE_MAX))
            }
            Self::NoPermit(no) => Again::Soon(no.retry_after().unwrap_or_default().min(PAUSE_MAX)),
            Self::NoAnswer(_) | Self::Internal => Again::Soon(Duration::ZERO),
            _ => Again::Slowly,
        }
    }
}
