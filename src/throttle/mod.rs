//! The waiting line before Logto: who may send when, so that the tenant's limit holds.

mod envelope;

use std::time::Duration;

pub use envelope::{Envelope, EnvelopeError, Limit, Model};

/// How the line is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The pace; `None` when Logto has no limiter.
    pub envelope: Option<Envelope>,
    /// Calls that may wait at once; over it they are refused.
    pub waiting_max: usize,
    /// The longest that a call may wait.
    pub wait_max: Duration,
    /// Calls that may be under way at Logto at once.
    pub in_flight_max: usize,
}
