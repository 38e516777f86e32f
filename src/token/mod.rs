//! The access token for Logto, fetched once and shared.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::reply::Api;
use crate::secret::Secret;

/// How tokens are asked for.
#[derive(Clone)]
pub struct Settings {
    /// The token endpoint.
    pub url: http::Uri,
    /// Client id.
    pub app_id: String,
    /// Client secret.
    pub app_secret: Secret,
    /// The resource indicator (RFC 8707).
    pub resource: Option<String>,
    /// The scope asked for.
    pub scope: String,
    /// The audience, where the issuer wants one.
    pub audience: Option<String>,
    /// Further parameters of the token request.
    pub extra: BTreeMap<String, String>,
    /// How the API refuses a token.
    pub api: Api,
    /// Time for one token request.
    pub timeout: Duration,
}
