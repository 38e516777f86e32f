//! The way to Logto: one HTTP/1.1 client with a small pool of connections.

use std::time::Duration;

use crate::connect::Origin;

/// How Logto is spoken to.
#[derive(Clone)]
pub struct Settings {
    /// Whereto. Its authority is the `Host` of every call: it picks the tenant.
    pub origin: Origin,
    /// From sending to the answer's head, and between two parts of its body.
    pub response_timeout: Duration,
}
