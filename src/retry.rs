//! When a call is tried again, and when it must not be.

use std::time::Duration;

use http::StatusCode;
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
    /// While `frozen` nothing is tried again that only adds to the load; what the limiter itself refused waits in line.
    pub fn pause_after(
        &self,
        attempt: u32,
        call: &Call,
        outcome: &Outcome,
        frozen: bool,
    ) -> Option<Duration> {
        if attempt == 1 {
            self.budget.deposit();
        }
        if attempt >= self.settings.attempts_max {
            return None;
        }
        match self.reason(call, outcome)? {
            Reason::Token | Reason::Limiter => Some(Duration::ZERO),
            Reason::Trouble if frozen => None,
            Reason::Trouble => self.budget.withdraw().then(|| backed_off(attempt)),
        }
    }

    /// Whether the API refused the token and not the call: never a client's business.
    pub fn blames_token(&self, outcome: &Outcome) -> bool {
        outcome.refuses_token(self.api)
    }

    fn reason(&self, call: &Call, outcome: &Outcome) -> Option<Reason> {
        let replayable = call.is_replayable();
        let harmless = !call.target.is_write();
        match outcome {
            _ if self.blames_token(outcome) => replayable.then_some(Reason::Token),
            _ if outcome.throttled().is_some() => {
                let unprocessed = harmless || outcome.status() == Some(StatusCode::TOO_MANY_REQUESTS);
                (replayable && unprocessed).then_some(Reason::Limiter)
            }
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use http::Method;

    use super::*;
    use crate::call::sample::{ask, get};
    use crate::connect::{ConnectError, Origin};
    use crate::reply::{Body, Reply};

    fn retry(attempts_max: u32) -> Retry {
        Retry::new(Settings { attempts_max }, Api::Logto)
    }

    fn answered(status: u16, retry_after: Option<&'static str>, body: &'static str) -> Outcome {
        let mut headers = HeaderMap::new();
        if let Some(after) = retry_after {
            headers.insert("retry-after", http::HeaderValue::from_static(after));
        }
        let status = StatusCode::from_u16(status).unwrap();
        Outcome::Answered(Reply::new(status, headers, Body::Held(Bytes::from_static(body.as_bytes()))))
    }

    fn not_connected() -> Outcome {
        let origin = Origin { tls: true, host: "tenant.logto.app".to_owned(), port: 443 };
        Outcome::Failed(Failure::NotConnected(ConnectError::Refused(origin)))
    }

    const EXPIRED: &str = r#"{"code":"auth.unauthorized","data":{"code":"ERR_JWT_EXPIRED"}}"#;
    const MAILS: &str = r#"{"code":"request.message_rate_limited"}"#;

    #[tokio::test(start_paused = true)]
    async fn a_write_is_sent_again_only_if_it_was_surely_not_processed_and_a_read_when_it_may_help() {
        let timed_out = Failure::TimedOut(Duration::from_secs(30));
        // What happened; whether it is tried again: a read, a write, a write that is streamed.
        let table = [
            ("no connection", not_connected(), [true, true, false]),
            ("closed before it was sent", Outcome::Failed(Failure::NotSent), [true, true, false]),
            ("a limiter's 429", answered(429, Some("7"), ""), [true, true, false]),
            ("a limiter's 429 without a time", answered(429, None, "<html>"), [true, true, false]),
            ("the token expired", answered(401, None, EXPIRED), [true, true, false]),
            ("reset before the answer", Outcome::Failed(Failure::Broken), [true, false, false]),
            ("502", answered(502, None, ""), [true, false, false]),
            ("503", answered(503, None, ""), [true, false, false]),
            ("503 with a time", answered(503, Some("7"), ""), [true, false, false]),
            ("504", answered(504, None, ""), [true, false, false]),
            ("no answer in time", Outcome::Failed(timed_out), [false; 3]),
            ("no HTTP", Outcome::Failed(Failure::BadReply), [false; 3]),
            ("500", answered(500, None, ""), [false; 3]),
            ("501", answered(501, None, ""), [false; 3]),
            ("400", answered(400, None, ""), [false; 3]),
            ("401 about something else", answered(401, None, r#"{"code":"auth.unauthorized"}"#), [false; 3]),
            ("403", answered(403, None, EXPIRED), [false; 3]),
            ("too many mails", answered(429, Some("7"), MAILS), [false; 3]),
            ("200", answered(200, None, ""), [false; 3]),
        ];
        let read = [get("/api/users").call(), ask(&Method::HEAD, "/api/users").call()];
        let held = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE]
            .map(|method| ask(&method, "/api/users/u").body("{}").call());
        let streamed = [ask(&Method::POST, "/api/user-assets").body("--x").call()];
        for (what, outcome, expected) in &table {
            for (calls, again) in
                [(&read[..], expected[0]), (&held[..], expected[1]), (&streamed[..], expected[2])]
            {
                for call in calls {
                    let pause = retry(3).pause_after(1, call, outcome, false);
                    assert_eq!(pause.is_some(), again, "{what}: {}", call.target.method);
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_line_is_frozen_nothing_but_the_limiters_own_refusal_waits_for_another_turn() {
        let call = get("/api/users").call();
        let again = |outcome| retry(3).pause_after(1, &call, &outcome, true).is_some();
        assert_eq!((again(not_connected()), again(answered(503, None, ""))), (false, false));
        assert_eq!((again(answered(429, None, "")), again(answered(401, None, EXPIRED))), (true, true));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_end_at_their_maximum_whatever_the_reason() {
        let call = get("/api/users").call();
        for outcome in [not_connected(), answered(429, None, ""), answered(401, None, EXPIRED)] {
            let retry = retry(3);
            let again =
                [1, 2, 3, 4].map(|attempt| retry.pause_after(attempt, &call, &outcome, false).is_some());
            assert_eq!(again, [true, true, false, false]);
        }
        assert!(self::retry(1).pause_after(1, &call, &not_connected(), false).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_is_answered_with_growing_pauses_and_never_long_ones() {
        let call = get("/api/users").call();
        let retry = retry(40);
        for attempt in 1..=9 {
            let longest = Duration::from_millis(100 * (1 << (attempt - 1))).min(Duration::from_secs(2));
            let pause =
                retry.pause_after(attempt, &call, &not_connected(), false).expect("within its budget");
            assert!(longest / 2 <= pause && pause <= longest, "{attempt}: {pause:?}");
        }
        for attempt in [12, 39] {
            tokio::time::advance(Duration::from_secs(10)).await;
            let pause =
                retry.pause_after(attempt, &call, &not_connected(), false).expect("within its budget");
            assert!(
                Duration::from_secs(1) <= pause && pause <= Duration::from_secs(2),
                "{attempt}: {pause:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limiters_refusal_and_a_dead_token_are_no_reason_to_pause() {
        let call = get("/api/users").call();
        for outcome in [answered(429, Some("30"), ""), answered(401, None, EXPIRED)] {
            assert_eq!(retry(3).pause_after(1, &call, &outcome, false), Some(Duration::ZERO));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retries_on_trouble_stay_within_a_tenth_of_the_load_and_one_a_second() {
        let call = get("/api/users").call();
        let retry = retry(2);
        let granted = |calls: usize| {
            (0..calls).filter(|_| retry.pause_after(1, &call, &not_connected(), false).is_some()).count()
        };
        let in_an_outage = granted(1000);
        assert!((100..=111).contains(&in_an_outage), "{in_an_outage}");
        for outcome in [answered(429, None, ""), answered(401, None, EXPIRED)] {
            assert!(retry.pause_after(1, &call, &outcome, false).is_some(), "these have bounds of their own");
        }
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(granted(10), 10, "ten a window of ten seconds, however few calls there are");
    }
}
