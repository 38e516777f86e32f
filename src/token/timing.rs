//! How long to wait: until a renewal, after a failure, and when the endpoint says so itself.

use std::time::Duration;

/// The longest pause between two attempts to get a token.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The first pause after an outage, or after a refused token; it doubles from there.
pub(super) const PAUSE_SOON: Duration = Duration::from_secs(1);
/// The first pause after a refusal that somebody has to mend.
pub(super) const PAUSE_SLOWLY: Duration = Duration::from_secs(5);
/// Between the end of a fetch and the next renewal, however short tokens live.
pub(super) const GAP: Duration = Duration::from_secs(1);

/// How long a token may be used, counted from before it was asked for. JWTs count whole seconds: one issued at
/// 12.9 s says 12, and so dies up to a second early.
pub(super) fn usable(life: Duration) -> Duration {
    life.saturating_sub(Duration::from_secs(1).min(life / 2))
}

/// 90 % of the life, and at least a minute before its end where that is long enough; a little earlier by chance,
/// so that gateways which started together don't stay together.
pub(super) fn renew_after(life: Duration, jitter: f64) -> Duration {
    let minute = Duration::from_secs(60);
    let latest = life.mul_f64(0.9);
    let latest = if life > 2 * minute { latest.min(life.saturating_sub(minute)) } else { latest };
    latest.mul_f64(1.0 - 0.03 * jitter)
}

pub(super) fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_leaves_a_tenth_of_the_life_or_a_minute() {
        for (life, earliest, latest) in
            [(3600, 3142, 3240), (600, 523, 540), (300, 232, 240), (120, 104, 108), (10, 8, 9)]
        {
            let after = |jitter| renew_after(Duration::from_secs(life), jitter).as_secs();
            assert_eq!((after(1.0), after(0.0)), (earliest, latest), "{life}");
        }
    }
}
