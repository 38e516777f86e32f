//! The keys of `[budget]` and `[retry]`: how much of Logto's limit may be spent, and how.

use super::parse::{MANY, Wrong, count, duration, number, off_or, one_of, positive};
use super::reader::Reader;
use crate::retry;
use crate::throttle::{self, ClassSettings, Envelope, EnvelopeError, Limit, Model};

/// Shares finer than this are no use to anybody.
const WEIGHT_MAX: u32 = 1000;

/// `[budget]`
pub(super) fn budget(r: &mut Reader) -> throttle::Settings {
    let requests = r
        .key(
            "budget.limit",
            "Requests that Logto allows per window; \"off\" for one without a limiter (self-hosted)",
        )
        .or(200, off_or(count(1..=MANY)));
    let limit = limit(r);
    let envelope = requests.and_then(|requests| envelope(r, Limit { requests, ..limit }));
    throttle::Settings {
        envelope,
        waiting_max: r
            .key(
                "budget.waiting_max",
                "Calls that may wait for their turn; further ones are refused with 429",
            )
            .or(1024, count(1..=MANY)),
        waiting_max_per_caller: r
            .key(
                "budget.waiting_max_per_caller",
                "Calls of one caller that may wait while others wait too; none of the others is refused for it",
            )
            .or(256, count(1..=MANY)),
        in_flight_max: r
            .key("budget.in_flight_max", "Calls under way at Logto at once")
            .or(64, count(1..=MANY)),
        classes: [interactive(r), batch(r)],
    }
}

fn interactive(r: &mut Reader) -> ClassSettings {
    ClassSettings {
        weight: r
            .key("budget.class.interactive.weight", "Part of the line for calls that somebody waits for")
            .or(8, count(1..=WEIGHT_MAX)),
        wait_max: r
            .key("budget.class.interactive.wait_max", "The longest that such a call may wait for its turn")
            .or("30s", positive),
    }
}

fn batch(r: &mut Reader) -> ClassSettings {
    ClassSettings {
        weight: r
            .key(
                "budget.class.batch.weight",
                "Part of the line for background work (Priority: u=5 and above)",
            )
            .or(1, count(1..=WEIGHT_MAX)),
        wait_max: r
            .key("budget.class.batch.wait_max", "The longest that such a call may wait for its turn")
            .or("30s", positive),
    }
}

fn limit(r: &mut Reader) -> Limit {
    let models = [("any", Model::Any), ("token-bucket", Model::TokenBucket)];
    Limit {
        window: r.key("budget.window", "The window of that limit").or("10s", positive),
        model: r
            .key(
                "budget.model",
                "How Logto counts: \"any\" is safe whatever it does, \"token-bucket\" trusts its word",
            )
            .or("any", one_of(models)),
        burst: r
            .key(
                "budget.burst",
                "Requests that may go out at once after a pause; more of them lower the steady rate",
            )
            .or(20, count(1..=MANY)),
        slack: r
            .key("budget.slack", "How far the network may bunch requests up on their way")
            .or("500ms", duration),
        share: r
            .key("budget.share", "This gateway's part of the limit: 0.5 each for two gateways on one tenant")
            .or(1.0, number),
        ..Limit::default()
    }
}

/// Judged only when every number of it is right.
fn envelope(r: &mut Reader, limit: Limit) -> Option<Envelope> {
    if !r.is_sound("budget") {
        return None;
    }
    let noted = |error: EnvelopeError| {
        let (key, right) = match error {
            EnvelopeError::Share => ("budget.share", "write a number above 0, up to 1.0".to_owned()),
            EnvelopeError::Window => ("budget.window", "write a duration above zero".to_owned()),
            EnvelopeError::Burst { max, .. } => ("budget.burst", format!("write {max} or less")),
            EnvelopeError::TooSmall(_) if limit.share < 1.0 => {
                ("budget.share", "write a larger share".to_owned())
            }
            EnvelopeError::TooSmall(_) => ("budget.limit", "write a larger limit, or \"off\"".to_owned()),
        };
        r.note(key, Wrong::new(error.to_string(), right));
    };
    Envelope::new(limit).map_err(noted).ok()
}

/// `[retry]`
pub(super) fn retry(r: &mut Reader) -> retry::Settings {
    retry::Settings {
        attempts_max: r
            .key(
                "retry.attempts_max",
                "Attempts at one call, the first included; each costs a request of the budget",
            )
            .or(3, count(1..=10)),
    }
}
