//! When a call is tried again, and when it must not be.

use std::time::Duration;

use http::{Method, StatusCode};
use tower::retry::budget::{Budget, TpsBudget};

use crate::call::Call;
use crate::reply::{Api, Failure, Outcome};

/// How often.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Attempts at one call, the first included.
    pub attempts_max: u32,
}

/// The room. A write is never sent twice unless Logto surely did not process it the first time.
pub struct Retry {
    settings: Settings,
    api: Api,
    budget: TpsBudget,
}

/// Retries on trouble may add a tenth to the load, and always one per second.
const BUDGET_SHARE: f32 = 0.1;
const BUDGET_FLOOR_PER_S: u32 = 1;
const BUDGET_MEMORY: Duration = Duration::from_secs(10);

/// The first pause; it doubles up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

impl Retry {
    /// Retries as set.
    pub fn new(settings: Settings, api: Api) -> Self {
        let budget = TpsBudget::new(BUDGET_MEMORY, BUDGET_FLOOR_PER_S, BUDGET_SHARE);
        Self { settings, api, budget }
    }

    /// After attempt number `attempt` (from 1) ended like this: how long to pause before the next one, if there is to
    /// be one.
    pub fn pause_after(&self, attempt: u32, call: &Call, outcome: &Outcome) -> Option<Duration> {
        if attempt == 1 {
            self.budget.deposit();
        }
        if attempt >= self.settings.attempts_max {
            return None;
        }
        match self.reason(call, outcome)? {
            Reason::Token | Reason::Limiter => Some(Duration::ZERO),
            Reason::Trouble => self.budget.withdraw().then(|| backed_off(attempt)),
        }
    }

    fn reason(&self, call: &Call, outcome: &Outcome) -> Option<Reason> {
        let replayable = call.is_replayable();
        let harmless = matches!(call.target.method, Method::GET | Method::HEAD);
        match outcome {
            _ if outcome.refuses_token(self.api) => replayable.then_some(Reason::Token),
            _ if outcome.throttled().is_some() => replayable.then_some(Reason::Limiter),
            Outcome::Failed(failure) if failure.surely_not_processed() => {
                replayable.then_some(Reason::Trouble)
            }
            Outcome::Failed(Failure::Broken) => harmless.then_some(Reason::Trouble),
            Outcome::Answered(reply) if is_passing(reply.status) => harmless.then_some(Reason::Trouble),
            _ => None,
        }
    }
}

/// Why a further attempt makes sense.
enum Reason {
    /// Logto refused the token before it did anything: a new one is on its way.
    Token,
    /// Logto's limiter refused before anything was done: the call goes back to the line, which is frozen.
    Limiter,
    /// Something broke; it may be whole again soon.
    Trouble,
}

fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// Doubling, with a random half, so that many calls that broke together do not come back together.
fn backed_off(attempt: u32) -> Duration {
    let pause = PAUSE_FIRST.saturating_mul(1 << (attempt - 1).min(10)).min(PAUSE_MAX);
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}
