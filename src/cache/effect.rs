//! What an attempt did to Logto's data, and what its answer allows.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::wish::directives;
use crate::reply::Outcome;

/// What an attempt did to Logto's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Surely nothing.
    None,
    /// What was asked, or a part of it.
    Done,
    /// Nobody knows, and it may still be done.
    Unknown,
}

pub(super) fn effect(outcome: &Outcome) -> Effect {
    match outcome {
        Outcome::Failed(failure) if failure.surely_not_processed() => Effect::None,
        Outcome::Failed(_) => Effect::Unknown,
        Outcome::Answered(reply)
            if reply.status.is_client_error() && reply.status != StatusCode::REQUEST_TIMEOUT =>
        {
            Effect::None
        }
        // A 408 or a 5xx of an edge says nothing of what Logto did, or is still doing.
        Outcome::Answered(reply)
            if !reply.status.is_success() && !reply.status.is_redirection() && !reply.is_from_logto() =>
        {
            Effect::Unknown
        }
        Outcome::Answered(_) => Effect::Done,
    }
}

/// Logto's answers carry neither; whoever adds them means it.
pub(super) fn may_be_shared(headers: &HeaderMap) -> bool {
    let forbids = |value: &HeaderValue| {
        value.to_str().is_ok_and(|v| directives(v).any(|d| d == "no-store" || d == "private"))
    };
    !headers.contains_key(header::SET_COOKIE) && !headers.get_all(header::CACHE_CONTROL).iter().any(forbids)
}
