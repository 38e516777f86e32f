//! What the token's log lines say: each trouble once, when it begins, and once when it ends.

use std::time::Duration;

use super::TokenError;
use super::error::Again;

/// What is worth a line in the log.
pub(super) enum Note {
    Failed {
        error: TokenError,
        retry_after: Duration,
        news: bool,
    },
    Recovered,
    /// A token that had been accepted was refused.
    Forgotten,
    Refused {
        text: String,
        retry_after: Duration,
        news: bool,
    },
    Unfit {
        text: String,
    },
}

impl Note {
    pub(super) fn log(note: Option<Self>) {
        match note {
            None => {}
            Some(Self::Recovered) => tracing::info!("the access token is good again"),
            Some(Self::Forgotten) => tracing::info!("Logto refused the access token; fetching another one"),
            Some(Self::Failed { error, retry_after, news }) => match error.again() {
                _ if !news => tracing::debug!(?retry_after, "fetching the token failed again: {error}"),
                Again::Soon(_) => tracing::warn!(?retry_after, "fetching the token failed: {error}"),
                Again::Slowly => tracing::error!(?retry_after, "fetching the token failed: {error}"),
            },
            Some(Self::Refused { text, retry_after, news: true }) => tracing::error!(?retry_after, "{text}"),
            Some(Self::Refused { text, retry_after, .. }) => tracing::debug!(?retry_after, "{text}"),
            Some(Self::Unfit { text }) => tracing::error!("{text}"),
        }
    }
}
