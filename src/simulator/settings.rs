//! What a simulated Logto is like at its start.

use std::time::Duration;

use super::limiter::Limiter;

/// How a simulated tenant starts out.
#[derive(Clone)]
pub struct Settings {
    /// The id of the application that asks for tokens.
    pub app_id: String,
    /// Its secret.
    pub app_secret: String,
    /// The resource indicator of the Management API.
    pub resource: String,
    /// Where Logto believes it is; the issuer of its tokens follows from it.
    pub endpoint: String,
    /// How long tokens live, in whole seconds.
    pub token_lifetime: Duration,
    /// Whether the application has the role for the Management API.
    pub has_role: bool,
    /// The limit in front of it; none, as in front of a Logto of one's own, when absent.
    pub limiter: Option<Limiter>,
    /// How many users there are at the start.
    pub seed_users: usize,
    /// How many users there can be.
    pub users_max: usize,
    /// How long every answer takes.
    pub latency: Duration,
    /// How many requests are remembered; beyond it the oldest is forgotten.
    pub records_max: usize,
    /// How many TCP connections are served at a time; beyond it they are closed.
    pub connections_max: usize,
    /// Whether `X-Forwarded-Host` and `X-Forwarded-Proto` are believed, as with `TRUST_PROXY_HEADER=1`.
    pub trust_proxy: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            app_id: "m2mgateway00000000001".to_owned(),
            app_secret: "simulated-secret".to_owned(),
            resource: "https://default.logto.app/api".to_owned(),
            endpoint: "http://localhost:3001".to_owned(),
            token_lifetime: Duration::from_secs(3600),
            has_role: true,
            limiter: None,
            seed_users: 57,
            users_max: 100_000,
            latency: Duration::ZERO,
            records_max: 100_000,
            connections_max: 1024,
            trust_proxy: true,
        }
    }
}
