//! What time it is in the simulator: tokio's clock, read as a wall clock too.
#![expect(clippy::disallowed_methods, reason = "the simulator's only reading of the clocks")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A wall clock that moves with tokio's, so that tests which pause time pause it as well.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
    unix_start: Duration,
}

/// One instant, in both clocks.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: Instant,
    unix: Duration,
}

impl Clock {
    /// Starts on a whole second: a token of five seconds then lives five seconds of a test, not four and a bit.
    pub(super) fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), unix_start: Duration::from_secs(unix.as_secs()) }
    }

    pub(super) fn now(&self) -> Moment {
        let at = Instant::now();
        Moment { at, unix: self.unix_start + at.duration_since(self.start) }
    }

    pub(super) fn since_start(&self, at: Instant) -> Duration {
        at.duration_since(self.start)
    }
}

impl Moment {
    pub(super) fn unix_seconds(&self) -> u64 {
        self.unix.as_secs()
    }

    pub(super) fn unix_millis(&self) -> u64 {
        self.unix.as_secs() * 1000 + u64::from(self.unix.subsec_millis())
    }

    pub(super) fn http_date(&self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + self.unix)
    }
}
