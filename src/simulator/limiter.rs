//! The request limit in front of Logto, and what it says when it refuses.

use std::time::Duration;

use tokio::time::Instant;

use super::counting::Counting;

/// A limit on requests, token requests included, as Logto Cloud has one in front of every tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limiter {
    /// How many requests pass in one window.
    pub limit: usize,
    /// How long a window is.
    pub window: Duration,
    /// What a refusal announces in `Retry-After` at least, more while everything is blocked; rounded up to whole
    /// seconds; nothing when absent.
    pub retry_after: Option<Duration>,
    /// How requests are counted.
    pub model: Model,
}

/// How a [`Limiter`] counts. Nobody outside knows how Logto Cloud does. A refused request never counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Model {
    /// Exactly: no window of the given length, wherever it starts, holds more than the limit.
    #[default]
    SlidingWindow,
    /// A bucket that holds the limit and is refilled evenly, the limit in each window.
    TokenBucket,
    /// Windows that follow each other, the first one a `phase` after the start.
    FixedWindow {
        /// Less than a window.
        phase: Duration,
    },
    /// Windows that follow each other: the last one's count, by the part of it that a sliding window would still
    /// cover, plus this one's. Over the limit, everything is blocked for 10 s.
    WeightedTwoWindow,
    /// A window opens with the first request after the last one has closed. Over the limit, everything is blocked
    /// for 10 s.
    FirstRequestWindow,
}

/// How long the models that block do so, as firewalls on their lowest plans.
const BLOCK: Duration = Duration::from_secs(10);

impl Default for Limiter {
    /// Logto Cloud's published limit: 200 requests in 10 seconds.
    fn default() -> Self {
        Self { limit: 200, window: Duration::from_secs(10), retry_after: None, model: Model::default() }
    }
}

impl Model {
    fn blocks(self) -> bool {
        matches!(self, Self::WeightedTwoWindow | Self::FirstRequestWindow)
    }
}

/// A limiter at work. Told the time.
#[derive(Debug)]
pub struct Counter {
    rule: Limiter,
    counting: Counting,
    blocked_until: Instant,
}

impl Counter {
    /// A limiter that has counted nothing yet; its windows are counted from `start`.
    pub fn new(rule: Limiter, start: Instant) -> Self {
        let counting = Counting::new(&rule, start);
        Self { rule, counting, blocked_until: start }
    }

    /// Whether a request that arrives now passes. Time never goes back.
    pub fn admits(&mut self, now: Instant) -> bool {
        if now < self.blocked_until {
            return false;
        }
        let passes = self.counting.admits(&self.rule, now);
        if !passes && self.rule.model.blocks() {
            self.blocked_until = now + BLOCK;
        }
        passes
    }

    /// What a refusal announces now.
    pub fn retry_after(&self, now: Instant) -> Option<Duration> {
        let block = self.blocked_until.saturating_duration_since(now);
        self.rule.retry_after.map(|least| least.max(block))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant does")]
mod tests {
    use super::*;

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// A limiter of 4 in 10 s, and its start.
    fn counter(model: Model) -> (Counter, Instant) {
        let start = Instant::now();
        (Counter::new(Limiter { limit: 4, model, ..Limiter::default() }, start), start)
    }

    /// How many of so many requests pass at once.
    fn passes(counter: &mut Counter, at: Instant, requests: usize) -> usize {
        (0..requests).filter(|_| counter.admits(at)).count()
    }

    #[test]
    fn a_sliding_window_forgets_each_request_on_its_own() {
        let (mut counter, start) = counter(Model::SlidingWindow);
        assert_eq!(passes(&mut counter, start, 1), 1);
        assert_eq!(passes(&mut counter, start + s(9.0), 9), 3);
        assert_eq!(passes(&mut counter, start + s(10.0), 9), 1);
        assert_eq!(passes(&mut counter, start + s(19.0), 9), 3);
    }

    #[test]
    fn a_token_bucket_is_full_at_first_and_refilled_evenly_and_not_beyond_its_size() {
        let (mut counter, start) = counter(Model::TokenBucket);
        assert_eq!(passes(&mut counter, start, 9), 4);
        assert_eq!(passes(&mut counter, start + s(2.4), 9), 0);
        assert_eq!(passes(&mut counter, start + s(2.5), 9), 1);
        assert_eq!(passes(&mut counter, start + s(7.5), 9), 2);
        assert_eq!(passes(&mut counter, start + s(100.0), 9), 4);
    }

    #[test]
    fn a_fixed_window_forgets_all_at_its_end_whatever_its_phase() {
        for (phase, end) in [(0.0, 10.0), (3.0, 3.0), (9.5, 9.5)] {
            let (mut counter, start) = counter(Model::FixedWindow { phase: s(phase) });
            let early = start + s(end - 0.1);
            assert_eq!(passes(&mut counter, early, 9), 4);
            assert_eq!(passes(&mut counter, start + s(end), 9), 4);
            assert_eq!(passes(&mut counter, early + s(10.0), 9), 0);
            assert_eq!(passes(&mut counter, early + s(30.0), 9), 4);
        }
    }

    #[test]
    fn two_weighted_windows_count_what_a_sliding_one_would_still_cover() {
        let (mut counter, start) = counter(Model::WeightedTwoWindow);
        assert_eq!(passes(&mut counter, start + s(1.0), 4), 4);
        assert_eq!(passes(&mut counter, start + s(15.0), 2), 2, "half of the last window's 4 are left");
        assert_eq!(passes(&mut counter, start + s(17.5), 1), 1, "a quarter of them");
        assert_eq!(passes(&mut counter, start + s(40.0), 9), 4);
    }

    #[test]
    fn a_window_that_the_first_request_opens_lasts_from_there() {
        let (mut counter, start) = counter(Model::FirstRequestWindow);
        assert_eq!(passes(&mut counter, start + s(7.0), 1), 1);
        assert_eq!(passes(&mut counter, start + s(16.9), 3), 3);
        assert_eq!(passes(&mut counter, start + s(17.0), 4), 4, "it is over");
        assert_eq!(passes(&mut counter, start + s(30.0), 4), 4);
    }

    #[test]
    fn over_the_limit_two_models_block_everything_for_ten_seconds() {
        for model in [Model::WeightedTwoWindow, Model::FirstRequestWindow] {
            let (mut counter, start) = counter(model);
            assert_eq!(passes(&mut counter, start + s(8.0), 5), 4);
            assert_eq!(passes(&mut counter, start + s(17.9), 9), 0, "{model:?}");
            assert!(counter.admits(start + s(18.0)), "refused ones prolong nothing: {model:?}");
        }
    }

    #[test]
    fn a_refusal_announces_no_less_than_the_rest_of_the_block() {
        let start = Instant::now();
        let announced = |model, retry_after| {
            let mut counter =
                Counter::new(Limiter { limit: 0, model, retry_after, ..Limiter::default() }, start);
            counter.admits(start);
            [1.0, 9.5].map(|later| counter.retry_after(start + s(later)))
        };
        assert_eq!(announced(Model::FirstRequestWindow, Some(s(1.0))), [Some(s(9.0)), Some(s(1.0))]);
        assert_eq!(announced(Model::TokenBucket, Some(s(1.0))), [Some(s(1.0)), Some(s(1.0))]);
        assert_eq!(announced(Model::FirstRequestWindow, None), [None, None]);
    }
}
