//! The token room's clocks: tokio's for waiting and validity, the wall's for what people read.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

#[expect(clippy::disallowed_methods, reason = "this room waits for the token to become due")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// `at` as Unix time.
pub(super) fn unix(at: Instant) -> Duration {
    let now = now();
    (wall() + at.saturating_duration_since(now)).saturating_sub(now.saturating_duration_since(at))
}

#[expect(
    clippy::disallowed_methods,
    reason = "status and metrics name the time of day; nothing is decided by it"
)]
fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
