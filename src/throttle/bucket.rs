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

use super::Envelope;

/// A token bucket (GCRA) that starts empty, can be frozen, and takes back what was not used.
pub(super) struct Bucket {
    pace: Option<Pace>,
    /// The origin of the bucket's own time.
    base: Instant,
    /// When it was last emptied, and all that had been granted before with it.
    emptied: Instant,
    frozen_until: Option<Instant>,
}

struct Pace {
    limiter: RateLimiter<NotKeyed, Arrival, Told, NoOpMiddleware<Nanos>>,
    /// The limiter's state, shared with it.
    arrival: Arrival,
    envelope: Envelope,
}

impl Bucket {
    /// An empty bucket: the first permit comes one period after `now`, so that the bound holds over any number of
    /// restarts. Without an envelope only a freeze holds anything back.
    pub(super) fn new(envelope: Option<Envelope>, now: Instant) -> Self {
        let pace = envelope.map(|envelope| {
            let burst = NonZeroU32::new(envelope.burst()).expect("an envelope has a burst of 2 or more");
            let quota = Quota::with_period(envelope.period()).expect("a period is longer than nothing");
            let arrival = Arrival::default();
            let limiter = RateLimiter::new(quota.allow_burst(burst), arrival.clone(), Told::default());
            Pace { limiter, arrival, envelope }
        });
        let mut bucket = Self { pace, base: now, emptied: now, frozen_until: None };
        bucket.empty_at(now);
        bucket
    }

    /// Takes a permit, or says when the next one can be taken.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        if self.frozen_until.is_some_and(|thaw| thaw <= now) {
            self.frozen_until = None;
        }
        let told = self.since_base(now);
        match (&self.pace, self.frozen_until) {
            (None, None) => Ok(()),
            (None, Some(thaw)) => Err(thaw),
            (Some(pace), _) => {
                pace.limiter.clock().0.set(told);
                let verdict = pace.limiter.check();
                verdict.map_err(|not_until| self.base + Duration::from(not_until.earliest_possible()))
            }
        }
    }

    /// Takes back a permit that was granted at `granted` and not used.
    ///
    /// Time has drained the bucket since. It drained the unused permit's part too, by at most the time that passed,
    /// so only the rest of one period is given back: the bound holds whatever happened in between. A permit from before
    /// a freeze brings nothing back, since the freeze emptied the bucket.
    pub(super) fn give_back(&mut self, granted: Instant, now: Instant) {
        if let Some(pace) = &self.pace
            && granted > self.emptied
        {
            let rest = pace.envelope.period().saturating_sub(now.duration_since(granted));
            pace.arrival.set(pace.arrival.get().saturating_sub(rest));
        }
    }

    /// When the permit behind `ahead` others comes.
    pub(super) fn when(&self, ahead: usize, now: Instant) -> Instant {
        let thaw = self.frozen_until.unwrap_or(now).max(now);
        let Some(pace) = &self.pace else { return thaw };
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let period = pace.envelope.period();
        let arrival = pace.arrival.get().max(self.since_base(now)) + period.saturating_mul(ahead);
        let earliest = arrival.saturating_sub(period * (pace.envelope.burst() - 1));
        (self.base + earliest).max(thaw)
    }

    /// Nothing goes out before `until`, and then it starts empty. Returns by how much the freeze was prolonged.
    pub(super) fn freeze(&mut self, until: Instant, now: Instant) -> Duration {
        let before = self.frozen_until.unwrap_or(now).max(now);
        if until <= before {
            return Duration::ZERO;
        }
        self.frozen_until = Some(until);
        self.emptied = now;
        self.empty_at(until);
        until - before
    }

    /// How much longer the freeze lasts, if there is one.
    pub(super) fn frozen_for(&self, now: Instant) -> Option<Duration> {
        self.frozen_until.map(|thaw| thaw.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Permits that could be taken at once.
    pub(super) fn level(&self, now: Instant) -> f64 {
        let Some(pace) = &self.pace else { return f64::INFINITY };
        let due = pace.arrival.get().saturating_sub(self.since_base(now));
        (f64::from(pace.envelope.burst()) - due.as_secs_f64() / pace.envelope.period().as_secs_f64()).max(0.0)
    }

    fn empty_at(&mut self, time: Instant) {
        if let Some(pace) = &self.pace {
            let empty = self.since_base(time) + pace.envelope.period() * pace.envelope.burst();
            pace.arrival.set(pace.arrival.get().max(empty));
        }
    }

    fn since_base(&self, time: Instant) -> Duration {
        time.saturating_duration_since(self.base)
    }
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
    fn a_freeze_lets_nothing_out_and_ends_empty() {
        let (mut bucket, start) = bucket();
        let now = start + Duration::from_secs(60);
        assert_eq!(bucket.freeze(now + Duration::from_secs(10), now), Duration::from_secs(10));
        assert_eq!(bucket.freeze(now + Duration::from_secs(4), now), Duration::ZERO);
        let thaw = now + Duration::from_secs(10);
        assert_eq!(bucket.take(thaw), Err(thaw + PERIOD));
        assert_eq!(bucket.take(thaw + PERIOD), Ok(()));
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
    fn without_an_envelope_only_a_freeze_holds_back() {
        let now = Instant::now();
        let mut bucket = Bucket::new(None, now);
        assert_eq!(bucket.take(now), Ok(()));
        bucket.freeze(now + Duration::from_secs(1), now);
        assert_eq!(bucket.take(now), Err(now + Duration::from_secs(1)));
        assert_eq!(bucket.take(now + Duration::from_secs(1)), Ok(()));
    }
}
