//! The waiting line before Logto: who may send when, so that the tenant's limit holds.

#![expect(clippy::disallowed_methods, reason = "whoever keeps a line reads the clock")]

mod bucket;
mod door;
mod envelope;
mod line;
mod queue;
mod regulator;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_bound;
#[cfg(test)]
mod tests_fair;
#[cfg(test)]
mod tests_frozen;
#[cfg(test)]
mod tests_try;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use self::door::Wanted;
use self::line::Line;
use self::queue::Flow;
use self::regulator::Attempt;
use crate::audience::Audience;
use crate::call::Call;
use crate::caller::Class;
use crate::metrics::Metrics;
use crate::rejection::Rejection;
use crate::reply::{Outcome, Quota};

pub use envelope::{Envelope, EnvelopeError, Limit, Model};

/// How the line is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The pace; `None` when Logto has no limiter.
    pub envelope: Option<Envelope>,
    /// Calls that may wait at once; over it they are refused.
    pub waiting_max: usize,
    /// Calls of one caller that may wait at once while others wait too.
    pub waiting_max_per_caller: usize,
    /// Calls that may be under way at Logto at once.
    pub in_flight_max: usize,
    /// How each class stands in line, by `Class as usize`.
    pub classes: [ClassSettings; Class::ALL.len()],
}

/// How the calls of a class stand in line.
#[derive(Debug, Clone, Copy)]
pub struct ClassSettings {
    /// The class's part of the line in relation to the others; at least 1.
    pub weight: u32,
    /// The longest that a call may wait.
    pub wait_max: Duration,
}

/// The longest that the gateway's own token may wait: through the longest freeze, and its turn after it.
const TOKEN_WAIT_MAX: Duration = Duration::from_secs(70);

/// The room. Clones share one line.
#[derive(Clone)]
pub struct Throttle {
    line: Arc<Line>,
    /// Grants permits as they come; ends with the last clone.
    _driver: Arc<AbortOnDropHandle<()>>,
}

impl Throttle {
    /// An empty bucket and an empty line. Needs a tokio runtime.
    pub fn start(settings: Settings, metrics: Arc<Metrics>) -> Self {
        let line = Arc::new(Line::new(settings, metrics, Instant::now()));
        let driver = tokio::spawn(Arc::clone(&line).drive());
        Self { line, _driver: Arc::new(AbortOnDropHandle::new(driver)) }
    }

    /// Waits for the right to one attempt at `call`, or refuses when its turn would come too late for all of `audience`.
    ///
    /// Whoever stops waiting (drops the future) leaves the line, and costs nobody anything.
    pub async fn permit(&self, call: &Call, audience: &Audience) -> Result<Permit, Rejection> {
        let caller = &call.caller;
        let standing = audience.standing();
        let flow = Flow { class: standing.class, caller: Arc::clone(&caller.name), weight: caller.weight };
        let route = call.target.route().map_or(usize::MAX, |route| route.template_id.index());
        let whom = Whom { route, caller: Arc::clone(&caller.name) };
        self.line.permit(Wanted::ForCall { flow, audience }, Some(whom)).await
    }

    /// The same for the gateway's own token: before everybody else.
    pub async fn permit_for_token(&self) -> Result<Permit, Rejection> {
        self.line.permit(Wanted::ForToken { latest: Instant::now() + TOKEN_WAIT_MAX }, None).await
    }

    /// Learns from an attempt: a refusal of Logto's limiter freezes the line and slows it down, an answer opens it.
    pub fn learn(&self, permit: &mut Permit, outcome: &Outcome) {
        let attempt = Attempt { sent: permit.sent.unwrap_or(permit.granted), is_try: permit.is_try };
        let was_frozen = self.frozen_for();
        let news = match (outcome.throttled(), outcome, &permit.whom) {
            (Some(throttled), ..) => self.line.refused(attempt, throttled.retry_after),
            (None, outcome, whom) if outcome.is_edge_page() => {
                let news = whom.as_ref().and_then(|whom| self.line.edge_page(attempt, whom));
                if news.is_none() {
                    // It says nothing of the limiter: a try that drew it is taken back, and the next one is it.
                    return;
                }
                news
            }
            (None, Outcome::Answered(_), _) => {
                self.line.answered(attempt);
                None
            }
            // No answer: a try that came to nothing is taken back when its permit is dropped.
            (None, Outcome::Failed(_), _) => return,
        };
        permit.is_try = false;
        if let (Some(pause), None) = (news, was_frozen) {
            let rate = self.status().rate_per_s;
            tracing::warn!(
                pause_s = pause.as_secs_f64(),
                rate_per_s = rate,
                "Logto's limiter refused a call: pausing"
            );
        }
    }

    /// Until when `audience` may wait from now on, for its turn or for anything else that comes before sending.
    pub fn latest(&self, audience: &Audience) -> Instant {
        self.line.latest(&audience.standing(), Instant::now())
    }

    /// How much longer nothing is sent because Logto asked for a pause.
    pub fn frozen_for(&self) -> Option<Duration> {
        self.line.frozen_for()
    }

    /// What is left of the budget, for clients.
    pub fn quota(&self) -> Option<Quota> {
        self.line.quota()
    }

    /// Sends everybody home and admits nobody any more.
    pub fn close(&self) {
        self.line.close();
    }

    /// What it looks like now.
    pub fn status(&self) -> Status {
        self.line.status()
    }
}

/// What the line looks like; `None` where Logto has no limiter.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Status {
    /// Requests per window that Logto allows.
    pub limit: Option<u32>,
    /// The window, in seconds.
    pub window_s: Option<f64>,
    /// Permits per second as configured.
    pub rate_max_per_s: Option<f64>,
    /// Permits per second now; lower for a while after Logto's limiter refused.
    pub rate_per_s: Option<f64>,
    /// Permits at once after a pause.
    pub burst: Option<u32>,
    /// Permits that could be taken now.
    pub tokens: Option<f64>,
    /// Calls waiting.
    pub waiting: usize,
    /// How many of them are background work.
    pub waiting_batch: usize,
    /// Calls under way.
    pub in_flight: usize,
    /// Seconds until a freeze ends.
    pub frozen_for_s: f64,
}

/// Who an attempt is for.
struct Whom {
    route: usize,
    caller: Arc<str>,
}

/// The right to one attempt. Dropped without having been spent, it goes back to the bucket.
#[must_use = "a permit that is dropped is given back"]
pub struct Permit {
    line: Arc<Line>,
    granted: Instant,
    sent: Option<Instant>,
    /// It is the one try after a freeze, and what came of it isn't known yet.
    is_try: bool,
    whom: Option<Whom>,
}

impl Permit {
    /// The attempt goes out now: the permit is spent, whatever comes of it.
    pub fn spend(&mut self) {
        self.sent = Some(Instant::now());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.line.take_back(self);
    }
}
