//! What a call's outcome says of the token it was sent with.

use http::StatusCode;

use crate::reply::{Api, Outcome};

/// Logto's code for a token that is genuine, and for another audience or from another issuer.
const CLAIMS: &str = "ERR_JWT_CLAIM_VALIDATION_FAILED";

/// What a call's outcome says of its token.
pub(super) enum Verdict {
    Accepted,
    /// The token is no good; why.
    Refused(String),
    /// The token is as good as any: its claims aren't what the API wants.
    Unfit,
    /// Nothing: the token may not have been looked at.
    Silent,
}

impl Verdict {
    pub(super) fn of(outcome: &Outcome, api: Api) -> Self {
        let Some(status) = outcome.status() else { return Self::Silent };
        if outcome.refuses_token(api) {
            let code = outcome.logto_error().and_then(|error| error.data_code);
            return Self::Refused(code.unwrap_or_else(|| "401".to_owned()));
        }
        match status {
            // Only these surely come from behind the check of the token; a 404 or a 5xx may come from before it.
            s if s.is_success() || s == StatusCode::NOT_MODIFIED => Self::Accepted,
            StatusCode::UNAUTHORIZED
                if outcome.logto_error().is_some_and(|e| e.data_code.as_deref() == Some(CLAIMS)) =>
            {
                Self::Unfit
            }
            _ => Self::Silent,
        }
    }

    /// What is wrong, with its remedy, in case nothing else explains it.
    pub(super) fn complaint(&self) -> String {
        match self {
            Self::Refused(reason) => format!(
                "Logto refuses the tokens it issues ({reason}); most often upstream.resource or the endpoint's \
                 host is wrong"
            ),
            Self::Unfit => format!(
                "Logto's API does not accept the tokens' claims ({CLAIMS}); upstream.endpoint must be the host \
                 that Logto names as its issuer, and upstream.resource the API's indicator"
            ),
            Self::Accepted | Self::Silent => String::new(),
        }
    }
}
