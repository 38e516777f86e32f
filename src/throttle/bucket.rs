//! The bucket: when the next request may go out, told the time.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::envelope::{BURST_MIN, Envelope};

/// A token bucket (GCRA) that starts empty, can be emptied and slowed down, and takes back what was not used.
pub(super) struct Bucket {
    full: Option<Envelope>,
    pace: Option<Pace>,
    /// The origin of the bucket's own time.
    base: Instant,
    /// When it was last emptied, and all that had been granted before with it.
    emptied: Instant,
}

struct Pace {
    limiter: RateLimiter<NotKeyed, Arrival, Told, NoOpMiddleware<Nanos>>,
    /// The limiter's state, shared with it.
    arrival: Arrival,
    burst: u32,
    period: Duration,
}

/// A pace that differs by less than this from the one asked for is left as it is.
const PACE_STEP: f64 = 0.002;

impl Bucket {
    /// An empty bucket: the first permit comes one period after `now`, so that the bound holds over any number of
    /// restarts. Without an envelope nothing is held back.
    pub(super) fn new(envelope: Option<Envelope>, now: Instant) -> Self {
        let pace = envelope.map(|e| Pace::new(e.burst(), e.period(), Arrival::default()));
        let mut bucket = Self { full: envelope, pace, base: now, emptied: now };
        bucket.empty_until(now, now);
        bucket
    }

    /// Takes a permit, or says when the next one can be taken.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let told = self.since_base(now);
        let Some(pace) = &self.pace else { return Ok(()) };
        pace.limiter.clock().0.set(told);
        let verdict = pace.limiter.check();
        verdict.map_err(|not_until| self.base + Duration::from(not_until.earliest_possible()))
    }

    /// Takes back a permit that was granted at `granted` and not used.
    ///
    /// Time has drained the bucket since. It drained the unused permit's part too, by at most the time that passed,
    /// so only the rest of one period is given back: the bound holds whatever happened in between. A permit from before
    /// the bucket was emptied brings nothing back.
    pub(super) fn give_back(&mut self, granted: Instant, now: Instant) {
        if let Some(pace) = &self.pace
            && granted > self.emptied
        {
            let rest = pace.period.saturating_sub(now.duration_since(granted));
            pace.arrival.set(pace.arrival.get().saturating_sub(rest));
        }
    }

    /// When the permit behind `ahead` others comes.
    pub(super) fn when(&self, ahead: usize, now: Instant) -> Instant {
        let Some(pace) = &self.pace else { return now };
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let arrival = pace.arrival.get().max(self.since_base(now)) + pace.period.saturating_mul(ahead);
        (self.base + arrival.saturating_sub(pace.tolerance())).max(now)
    }

    /// Empties it now, and keeps it so until `time`: the first permit comes one period later.
    pub(super) fn empty_until(&mut self, time: Instant, now: Instant) {
        self.emptied = now;
        if let Some(pace) = &self.pace {
            let empty = self.since_base(time) + pace.period * pace.burst;
            pace.arrival.set(pace.arrival.get().max(empty));
        }
    }

    /// Slows down to this part of the full pace, burst and rate alike, or back up. What was spent stays spent: the
    /// limiter is made anew over the same state.
    pub(super) fn slow_to(&mut self, factor: f64) {
        let (Some(full), Some(pace)) = (&self.full, &mut self.pace) else { return };
        let period = full.period().div_f64(factor.clamp(f64::EPSILON, 1.0)).max(full.period());
        if (period.as_secs_f64() / pace.period.as_secs_f64() - 1.0).abs() >= PACE_STEP
            || (factor >= 1.0 && period != pace.period)
        {
            let burst = scaled_burst(full.burst(), factor);
            *pace = Pace::new(burst, period, pace.arrival.clone());
        }
    }

    /// Permits that could be taken at once.
    pub(super) fn level(&self, now: Instant) -> f64 {
        let Some(pace) = &self.pace else { return f64::INFINITY };
        let due = pace.arrival.get().saturating_sub(self.since_base(now));
        (f64::from(pace.burst) - due.as_secs_f64() / pace.period.as_secs_f64()).max(0.0)
    }

    /// Permits per second, as it stands.
    pub(super) fn rate(&self) -> Option<f64> {
        self.pace.as_ref().map(|pace| 1.0 / pace.period.as_secs_f64())
    }

    fn since_base(&self, time: Instant) -> Duration {
        time.saturating_duration_since(self.base)
    }
}

impl Pace {
    fn new(burst: u32, period: Duration, arrival: Arrival) -> Self {
        let cells = NonZeroU32::new(burst).expect("an envelope has a burst of 2 or more");
        let quota = Quota::with_period(period).expect("a period is longer than nothing").allow_burst(cells);
        // The new limiter's clock shows zero, so its time begins where the first one's did.
        let limiter = RateLimiter::new(quota, arrival.clone(), Told::default());
        Self { limiter, arrival, burst, period }
    }

    /// How far ahead of its time a permit may be taken.
    fn tolerance(&self) -> Duration {
        self.period * (self.burst - 1)
    }
}

/// Rounded down, but never so low that late timers cost permits.
fn scaled_burst(full: u32, factor: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and `full`")]
    let burst = (f64::from(full) * factor) as u32;
    burst.max(BURST_MIN)
}

/// The limiter's clock: it shows what it was told.
#[derive(Clone, Default)]
struct Told(Cell<Duration>);

impl Clock for Told {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.get())
    }
}

/// The limiter's state, in reach of freeze and give-back: the theoretical arrival time of the next request.
#[derive(Clone, Default)]
struct Arrival(Arc<AtomicU64>);

impl Arrival {
    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, time: Duration) {
        self.0.store(Nanos::from(time).as_u64(), Ordering::Relaxed);
    }
}

impl StateStore for Arrival {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (verdict, arrival) = f(Some(Nanos::from(self.get())))?;
        self.set(arrival.into());
        Ok(verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Limit;
    use super::*;

    const PERIOD: Duration = Duration::from_nanos(58_333_334);

    fn bucket() -> (Bucket, Instant) {
        let now = Instant::now();
        (Bucket::new(Some(Envelope::new(Limit::default()).expect("passes")), now), now)
    }

    /// Takes all that can be taken at `now`.
    fn drain(bucket: &mut Bucket, now: Instant) -> usize {
        std::iter::from_fn(|| bucket.take(now).ok()).count()
    }

    #[test]
    fn it_starts_empty_and_grants_the_first_after_one_period() {
        let (mut bucket, start) = bucket();
        assert_eq!(bucket.take(start), Err(start + PERIOD));
        assert_eq!(bucket.take(start + PERIOD), Ok(()));
        assert_eq!(bucket.take(start + PERIOD), Err(start + PERIOD * 2));
    }

    #[test]
    fn it_holds_no_more_than_its_burst() {
        let (mut bucket, start) = bucket();
        assert_eq!(drain(&mut bucket, start + Duration::from_secs(60)), 20);
    }

    #[test]
    fn it_tells_beforehand_when_each_of_many_will_come() {
        let (mut bucket, start) = bucket();
        let later = start + Duration::from_secs(60);
        let told: Vec<Instant> = (0..50).map(|ahead| bucket.when(ahead, later)).collect();
        let mut now = later;
        for expected in told {
            while let Err(next) = bucket.take(now) {
                now = next;
            }
            assert_eq!(now, expected);
        }
    }

    #[test]
    fn emptied_ahead_of_time_it_grants_nothing_before() {
        let (mut bucket, start) = bucket();
        let thaw = start + Duration::from_secs(70);
        bucket.empty_until(thaw, start);
        assert_eq!(bucket.take(start + Duration::from_secs(60)), Err(thaw + PERIOD));
        assert_eq!(bucket.take(thaw + PERIOD), Ok(()));
        assert_eq!(bucket.take(thaw + PERIOD), Err(thaw + PERIOD * 2));
    }

    #[test]
    fn slowed_down_it_keeps_what_was_spent_and_comes_back_to_the_full_pace() {
        let (mut bucket, start) = bucket();
        let now = start + Duration::from_secs(60);
        assert_eq!(drain(&mut bucket, now), 20);
        bucket.slow_to(0.5);
        assert_eq!(drain(&mut bucket, now + Duration::from_millis(10)), 0);
        let later = now + Duration::from_secs(60);
        assert_eq!(drain(&mut bucket, later), 10);
        assert_eq!(bucket.take(later), Err(later + PERIOD * 2));
        bucket.slow_to(1.0);
        assert_eq!(drain(&mut bucket, later + Duration::from_secs(60)), 20);
    }

    #[test]
    fn what_is_given_back_at_once_can_be_taken_again() {
        let (mut bucket, start) = bucket();
        let now = start + Duration::from_secs(60);
        assert_eq!(drain(&mut bucket, now), 20);
        bucket.give_back(now, now);
        assert_eq!(drain(&mut bucket, now), 1);
    }

    #[test]
    fn what_is_given_back_late_has_drained_meanwhile() {
        let (mut bucket, start) = bucket();
        let now = start + Duration::from_secs(60);
        assert_eq!(bucket.take(now), Ok(()));
        let later = now + Duration::from_secs(5);
        bucket.give_back(now, later);
        assert_eq!(drain(&mut bucket, later), 20);
    }

    #[test]
    fn without_an_envelope_nothing_is_held_back() {
        let now = Instant::now();
        let mut bucket = Bucket::new(None, now);
        assert_eq!(drain_some(&mut bucket, now), 1000);
        assert_eq!(bucket.when(1000, now), now);
    }

    fn drain_some(bucket: &mut Bucket, now: Instant) -> usize {
        std::iter::from_fn(|| bucket.take(now).ok()).take(1000).count()
    }
}
