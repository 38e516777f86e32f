//! Those who keep a pace: the gateway's own line, and what one would write without thinking twice.

#![expect(clippy::disallowed_methods, reason = "whoever keeps a pace reads the clock")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderValue, Method, Uri};
use logto_gateway::audience::Audience;
use logto_gateway::call::{Body, Call};
use logto_gateway::caller::{Caller, Class};
use logto_gateway::catalog::Catalog;
use logto_gateway::metrics::Metrics;
use logto_gateway::reply::Outcome;
use logto_gateway::target::Target;
use logto_gateway::throttle::{ClassSettings, Envelope, Limit, Permit, Settings, Throttle};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// Longer than anybody waits here.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);

/// Who keeps the pace.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// The gateway's line, with its defaults.
    Gateway,
    /// A bucket of 200, refilled with 20 a second, and nothing else.
    Naive,
}

pub(super) enum Line {
    Gateway { throttle: Throttle, call: Box<Call> },
    Naive(Naive),
}

/// The right to send one request.
pub(super) enum Turn {
    Gateway(Permit),
    Naive,
}

impl Line {
    /// Needs a tokio runtime.
    pub(super) fn start(pace: Pace) -> Arc<Self> {
        Arc::new(match pace {
            Pace::Naive => Self::Naive(Naive::full()),
            Pace::Gateway => {
                let throttle = Throttle::start(settings(), Arc::new(Metrics::new(Vec::new())));
                Self::Gateway { throttle, call: Box::new(patient_call()) }
            }
        })
    }

    pub(super) async fn turn(&self) -> Turn {
        match self {
            Self::Gateway { throttle, call } => {
                let audience = Audience::of_one(call.class, call.deadline);
                Turn::Gateway(throttle.permit(call, &audience).await.unwrap_or_else(|no| panic!("{no}")))
            }
            Self::Naive(bucket) => {
                bucket.permit().await;
                Turn::Naive
            }
        }
    }

    pub(super) fn learn(&self, turn: &mut Turn, outcome: &Outcome) {
        if let (Self::Gateway { throttle, .. }, Turn::Gateway(permit)) = (self, turn) {
            throttle.learn(permit, outcome);
        }
    }

    /// How many the gateway's configured pace lets out from now on for so long.
    pub(super) fn room(&self, span: Duration) -> f64 {
        let Self::Gateway { throttle, .. } = self else { return 0.0 };
        let status = throttle.status();
        let rate = status.rate_max_per_s.expect("there is a limit");
        status.tokens.expect("there is a limit") + rate * span.as_secs_f64()
    }
}

impl Turn {
    /// The request goes out now.
    pub(super) fn spend(&mut self) {
        if let Self::Gateway(permit) = self {
            permit.spend();
        }
    }
}

/// The gateway's defaults, except that nobody is sent home.
fn settings() -> Settings {
    Settings {
        envelope: Some(Envelope::new(Limit::default()).expect("the default passes")),
        waiting_max: 1024,
        waiting_max_per_caller: 256,
        in_flight_max: 64,
        classes: [8, 1].map(|weight| ClassSettings { weight, wait_max: PATIENCE }),
    }
}

fn patient_call() -> Call {
    let (uri, headers, now) = (Uri::from_static("/api/users"), HeaderMap::new(), Instant::now());
    let target = Target::parse(&Method::GET, &uri, &headers, &Catalog::logto()).expect("a good target");
    Call {
        caller: Caller::anonymous(),
        target,
        headers,
        base: String::new(),
        request_id: HeaderValue::from_static("id"),
        body: Body::Empty,
        arrived: now,
        deadline: now + PATIENCE,
        timeout: now + PATIENCE,
        wait: None,
        class: Class::Interactive,
    }
}

/// "200 per 10 s", taken at its word: a bucket of 200, refilled with 20 a second. First come, first served.
pub(crate) struct Naive {
    bucket: RateLimiter<NotKeyed, InMemoryState, Paused, NoOpMiddleware<Nanos>>,
    turn: Mutex<()>,
}

impl Naive {
    pub(crate) fn full() -> Self {
        let quota = Quota::with_period(Duration::from_millis(50)).expect("longer than nothing");
        let quota = quota.allow_burst(NonZeroU32::new(200).expect("more than none"));
        let bucket = RateLimiter::direct_with_clock(quota, Paused(Instant::now()));
        Self { bucket, turn: Mutex::new(()) }
    }

    pub(crate) async fn permit(&self) {
        let _turn = self.turn.lock().await;
        while let Err(early) = self.bucket.check() {
            sleep(early.wait_time_from(self.bucket.clock().now())).await;
        }
    }
}

/// Tokio's time, as governor wants it.
#[derive(Clone)]
struct Paused(Instant);

impl Clock for Paused {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.elapsed())
    }
}
