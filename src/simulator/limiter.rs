//! The request limit in front of Logto, and how it counts.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// A limit on requests, token requests included, as Logto Cloud has one in front of every tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limiter {
    /// How many requests pass in one window.
    pub limit: usize,
    /// How long a window is.
    pub window: Duration,
    /// What a refusal announces in `Retry-After`, rounded up to whole seconds; nothing when absent.
    pub retry_after: Option<Duration>,
    /// How requests are counted.
    pub model: Model,
}

/// How a [`Limiter`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Model {
    /// Exactly: no window of the given length, wherever it starts, holds more than the limit.
    /// A refused request doesn't count.
    #[default]
    SlidingWindow,
}

impl Default for Limiter {
    /// Logto Cloud's published limit: 200 requests in 10 seconds.
    fn default() -> Self {
        Self { limit: 200, window: Duration::from_secs(10), retry_after: None, model: Model::default() }
    }
}

/// A limiter at work: the rule, and what it has let through. Holds at most `limit` instants.
pub(super) struct Counter {
    rule: Limiter,
    granted: VecDeque<Instant>,
}

impl Counter {
    pub(super) fn new(rule: Limiter) -> Self {
        Self { rule, granted: VecDeque::new() }
    }

    pub(super) fn admits(&mut self, now: Instant) -> bool {
        match self.rule.model {
            Model::SlidingWindow => self.sliding_window_admits(now),
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.rule.retry_after
    }

    fn sliding_window_admits(&mut self, now: Instant) -> bool {
        while self.granted.front().is_some_and(|&at| now.duration_since(at) >= self.rule.window) {
            self.granted.pop_front();
        }
        let room = self.granted.len() < self.rule.limit;
        if room {
            self.granted.push_back(now);
        }
        room
    }
}
