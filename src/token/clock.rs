//! The token room's clocks: tokio's for waiting and validity, the wall's for what people read.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

#[expect(clippy::disallowed_methods, reason = "this room waits for the token to become due")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// `at` in seconds of Unix time.
pub(super) fn unix(at: Instant) -> f64 {
    let now = now();
    let wall = wall().as_secs_f64();
    match at.checked_duration_since(now) {
        Some(ahead) => wall + ahead.as_secs_f64(),
        None => wall - now.duration_since(at).as_secs_f64(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "status and metrics name the time of day; nothing is decided by it"
)]
fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
