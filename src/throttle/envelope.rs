//! The one rule of the budget, as a type: what cannot break Logto's limit can be built, nothing else.

use std::fmt;
use std::time::Duration;

/// How Logto counts. Nobody outside knows for sure, so the default is safe under every known counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Sliding window, fixed window at any phase, weighted two-window, token bucket: all of them.
    Any,
    /// The documented token bucket only, which allows larger bursts and a higher rate.
    TokenBucket,
}

/// What Logto allows, as configured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Requests per window.
    pub requests: u32,
    /// The window.
    pub window: Duration,
    /// How Logto counts.
    pub model: Model,
    /// Requests that may go out at once after a pause.
    pub burst: u32,
    /// Spread of the network's delay: requests may bunch up by so much on their way.
    pub slack: Duration,
    /// This gateway's part of the tenant's budget, above 0 up to 1.
    pub share: f64,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            requests: 200,
            window: Duration::from_secs(10),
            model: Model::Any,
            burst: 20,
            slack: Duration::from_millis(500),
            share: 1.0,
        }
    }
}

/// A burst and a period that stay within a [`Limit`]:
/// - [`Model::Any`]: `burst + (window + slack) / period ≤ limit`. Whoever sends at most `B + r·τ` in any `τ`
///   stays within `B + r·W` for an exact sliding window, a fixed window at any phase and a weighted
///   two-window counter, and never empties a token bucket.
/// - [`Model::TokenBucket`]: `burst ≤ limit / 2` and `1 / period ≤ 0.95 · limit / window`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Envelope {
    limit: Limit,
    burst: u32,
    period: Duration,
}

/// A limit from which no envelope can be built, with the numbers that would pass.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum EnvelopeError {
    /// Zero or less, above one, or not a number.
    #[error("budget.share must be above 0 and at most 1")]
    Share,
    /// No window.
    #[error("budget.window must be longer than nothing")]
    Window,
    /// Nothing is left for a steady rate.
    #[error(
        "a burst of {burst} leaves no rate within {limit} requests per window; a burst of {max} or less would pass"
    )]
    Burst {
        /// The burst asked for, scaled by the share.
        burst: u32,
        /// The limit, scaled by the share.
        limit: f64,
        /// The largest burst that passes.
        max: u32,
    },
    /// The share is so small that not even the smallest bucket fits.
    #[error(
        "{0} requests per window are too few for one gateway: a larger share or fewer gateways would pass"
    )]
    TooSmall(f64),
}

/// With a burst of 1, every late timer is lost for good (97 % of the rate); 2 gives 99.99 %.
pub(super) const BURST_MIN: u32 = 2;

impl Envelope {
    /// Scales `limit` by its share and derives the period.
    pub fn new(limit: Limit) -> Result<Self, EnvelopeError> {
        if !(limit.share > 0.0 && limit.share <= 1.0) {
            return Err(EnvelopeError::Share);
        }
        if limit.window.is_zero() {
            return Err(EnvelopeError::Window);
        }
        let requests = f64::from(limit.requests) * limit.share;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounded down on purpose, never negative"
        )]
        let burst = ((f64::from(limit.burst) * limit.share) as u32).max(BURST_MIN);
        let (burst_max, seconds) = match limit.model {
            Model::Any => (
                (requests - 1.0).floor(),
                (limit.window + limit.slack).as_secs_f64() / (requests - f64::from(burst)),
            ),
            Model::TokenBucket => ((requests / 2.0).floor(), limit.window.as_secs_f64() / (0.95 * requests)),
        };
        if burst_max < f64::from(BURST_MIN) {
            return Err(EnvelopeError::TooSmall(requests));
        }
        if f64::from(burst) > burst_max {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared above")]
            return Err(EnvelopeError::Burst {
                burst,
                limit: requests,
                max: (burst_max / limit.share) as u32,
            });
        }
        Ok(Self { limit, burst, period: rounded_up(seconds) })
    }

    /// What it was built from.
    pub fn limit(&self) -> &Limit {
        &self.limit
    }

    /// Requests that may go out at once after a pause.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Time between two requests of a steady stream.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Requests per second of a steady stream.
    pub fn rate(&self) -> f64 {
        1.0 / self.period.as_secs_f64()
    }

    /// Requests per second of the tenant's limit that this gateway never uses: room for sign-ins.
    pub fn headroom(&self) -> f64 {
        f64::from(self.limit.requests) / self.limit.window.as_secs_f64() - self.rate()
    }
}

/// A period rounded down would break the bound by a hair.
fn rounded_up(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds) + Duration::from_nanos(1)
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} requests/s, bursts of {}, within {} per {:?}; {:.1}/s left for sign-ins and others",
            self.rate(),
            self.burst,
            self.limit.requests,
            self.limit.window,
            self.headroom()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_17_per_second_with_a_burst_of_20() {
        let envelope = Envelope::new(Limit::default()).expect("the default passes");
        assert_eq!(envelope.burst(), 20);
        assert_eq!(envelope.period(), Duration::from_nanos(58_333_334));
    }

    #[test]
    fn without_slack_it_is_18_per_second() {
        let envelope = Envelope::new(Limit { slack: Duration::ZERO, ..Limit::default() }).expect("passes");
        assert!((envelope.rate() - 18.0).abs() < 1e-3);
    }

    #[test]
    fn a_burst_of_the_whole_limit_is_refused_with_one_that_passes() {
        let error =
            Envelope::new(Limit { burst: 200, ..Limit::default() }).expect_err("200 + 20/s is 400 a window");
        assert_eq!(error, EnvelopeError::Burst { burst: 200, limit: 200.0, max: 199 });
        assert!(Envelope::new(Limit { burst: 199, ..Limit::default() }).is_ok());
    }

    #[test]
    fn a_share_scales_limit_and_burst_alike() {
        let half = Envelope::new(Limit { share: 0.5, ..Limit::default() }).expect("passes");
        assert_eq!(half.burst(), 10);
        assert!((half.rate() - 90.0 / 10.5).abs() < 1e-3);
    }

    #[test]
    fn a_share_that_leaves_no_rate_is_refused() {
        for share in [0.0, -1.0, 1.5, f64::NAN] {
            assert_eq!(Envelope::new(Limit { share, ..Limit::default() }), Err(EnvelopeError::Share));
        }
        let error =
            Envelope::new(Limit { share: 0.01, ..Limit::default() }).expect_err("2 requests a window");
        assert_eq!(error, EnvelopeError::TooSmall(2.0));
    }

    #[test]
    fn the_documented_bucket_allows_half_of_it_at_once() {
        let bucket = Limit { model: Model::TokenBucket, burst: 100, ..Limit::default() };
        assert!((Envelope::new(bucket).expect("passes").rate() - 19.0).abs() < 1e-3);
        assert!(Envelope::new(Limit { burst: 101, ..bucket }).is_err());
    }
}
