//! The ways of counting requests against a limit.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::limiter::{Limiter, Model};

/// What has passed, as far as each way of counting remembers it. Holds at most `limit` instants.
#[derive(Debug)]
pub(super) enum Counting {
    Sliding(VecDeque<Instant>),
    Bucket { tokens: f64, filled: Instant },
    Fixed { closes: Instant, count: usize },
    Weighted { opened: Instant, count: usize, before: usize },
    FromFirst { closes: Instant, count: usize },
}

/// Fractions of a request that are rounding and nothing else.
const ROUNDING: f64 = 1e-6;

impl Counting {
    pub(super) fn new(rule: &Limiter, start: Instant) -> Self {
        match rule.model {
            Model::SlidingWindow => Self::Sliding(VecDeque::new()),
            Model::TokenBucket => Self::Bucket { tokens: rule.limit as f64, filled: start },
            Model::FixedWindow { phase } => Self::Fixed { closes: start + phase, count: 0 },
            Model::WeightedTwoWindow => Self::Weighted { opened: start, count: 0, before: 0 },
            Model::FirstRequestWindow => Self::FromFirst { closes: start, count: 0 },
        }
    }

    /// Counts a request if it passes.
    pub(super) fn admits(&mut self, rule: &Limiter, now: Instant) -> bool {
        let Limiter { limit, window, .. } = *rule;
        match self {
            Self::Sliding(passed) => {
                while passed.front().is_some_and(|&at| now.duration_since(at) >= window) {
                    passed.pop_front();
                }
                let room = passed.len() < limit;
                if room {
                    passed.push_back(now);
                }
                room
            }
            Self::Bucket { tokens, filled } => {
                let refill = limit as f64 * parts(now.duration_since(*filled), window);
                (*tokens, *filled) = ((*tokens + refill).min(limit as f64), now);
                let room = *tokens + ROUNDING >= 1.0;
                if room {
                    *tokens -= 1.0;
                }
                room
            }
            Self::Fixed { closes, count } => {
                while now >= *closes {
                    (*closes, *count) = (*closes + window, 0);
                }
                count_up(count, limit)
            }
            Self::Weighted { opened, count, before } => {
                while now >= *opened + window {
                    (*opened, *before, *count) = (*opened + window, *count, 0);
                }
                let still_covered = *before as f64 * (1.0 - parts(now.duration_since(*opened), window));
                let room = still_covered + *count as f64 + 1.0 <= limit as f64 + ROUNDING;
                if room {
                    *count += 1;
                }
                room
            }
            Self::FromFirst { closes, count } => {
                if now >= *closes {
                    (*closes, *count) = (now + window, 0);
                }
                count_up(count, limit)
            }
        }
    }
}

fn count_up(count: &mut usize, limit: usize) -> bool {
    let room = *count < limit;
    if room {
        *count += 1;
    }
    room
}

/// How many windows a time is.
fn parts(time: Duration, window: Duration) -> f64 {
    time.as_secs_f64() / window.as_secs_f64()
}
