//! An hour of greedy load on a line, and limiters of all models at the other end of a jittery network. On paused time.

#![expect(clippy::disallowed_methods, reason = "load lasts for a time")]

pub(crate) mod line;
pub(crate) mod table;

use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::{HeaderMap, HeaderValue, StatusCode};
use logto_gateway::reply::{Body, Outcome, Reply};
use logto_gateway::simulator::{Counter, Limiter};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, sleep_until};

use self::line::{Line, Pace, Turn};

const HOUR: Duration = Duration::from_secs(3600);
/// So many always wait, except in the gaps.
const WAITING: usize = 64;
/// Load comes in spans of so many seconds.
const SPAN_S: Range<f64> = 5.0..90.0;
/// What a request takes to Logto at least.
const DELAY: Duration = Duration::from_millis(30);
/// How much longer it may take, in whole milliseconds: as much as the default slack allows.
const JITTER_MS: u64 = 500;
/// What is sent in this time can arrive within a window of 10 s.
const SQUEEZED_MS: u64 = 10_000 + JITTER_MS;

/// An hour to be had. The same one is the same each time.
pub(crate) struct Plan {
    pub(crate) pace: Pace,
    /// As long as none of them refuses anything, each sees what it would see alone.
    pub(crate) limiters: Vec<Limiter>,
    /// Seconds between two spans of load.
    pub(crate) gap_s: Range<f64>,
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Hour {
    pub(crate) sent: u32,
    /// By each limiter.
    pub(crate) refused: Vec<u32>,
    /// How many the configured pace has room for while somebody waits; the gateway's only.
    room: f64,
    /// When there was load.
    spans: Vec<Range<Instant>>,
    first_refusal: Option<Instant>,
    settled: Option<Settled>,
}

/// Since the first episode ended: something that was sent after the first refusal passed.
struct Settled {
    since: Instant,
    sent: u32,
    refused: u32,
}

impl Plan {
    pub(crate) fn run(self) -> Hour {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(self.load())
    }

    async fn load(self) -> Hour {
        let (start, mut dice) = (Instant::now(), Rng::with_seed(self.seed));
        let line = Line::start(self.pace);
        let logto = Arc::new(Mutex::new(Logto::new(self.limiters, start)));
        while start.elapsed() < HOUR {
            let from = Instant::now();
            let until = from + seconds(&mut dice, SPAN_S);
            {
                let hour = &mut lock(&logto).hour;
                hour.room += line.room(until - from);
                hour.spans.push(from..until);
            }
            crowd(&line, &logto, until, &mut dice).await;
            sleep(seconds(&mut dice, self.gap_s.clone())).await;
        }
        // Until the last ones have arrived.
        sleep(Duration::from_secs(1)).await;
        std::mem::take(&mut lock(&logto).hour)
    }
}

/// Until then somebody always waits; whoever still does then leaves.
async fn crowd(line: &Arc<Line>, logto: &Arc<Mutex<Logto>>, until: Instant, dice: &mut Rng) {
    let (start, network) = (Instant::now(), Network::any(dice));
    let mut waiting: FuturesUnordered<_> = (0..WAITING).map(|_| line.turn()).collect();
    let mut over = pin!(sleep_until(until));
    loop {
        let turn = tokio::select! {
            biased;
            () = &mut over => return,
            Some(turn) = waiting.next() => turn,
        };
        waiting.push(line.turn());
        let delay = network.delay(millis(start.elapsed()), dice);
        tokio::spawn(send(Arc::clone(line), Arc::clone(logto), turn, delay));
    }
}

async fn send(line: Arc<Line>, logto: Arc<Mutex<Logto>>, mut turn: Turn, delay: Duration) {
    turn.spend();
    let sent = Instant::now();
    sleep(delay).await;
    let outcome = lock(&logto).judge(sent);
    line.learn(&mut turn, &outcome);
}

/// What the network does to requests for one span of load, always within the slack.
enum Network {
    /// Every delay on its own.
    Scatters,
    /// All that are sent within half a second arrive at once.
    Bunches,
    /// The delay falls, again and again, so that a window receives what was sent in a window and the slack.
    Squeezes,
}

impl Network {
    fn any(dice: &mut Rng) -> Self {
        match dice.u8(0..3) {
            0 => Self::Scatters,
            1 => Self::Bunches,
            _ => Self::Squeezes,
        }
    }

    /// Of a request that is sent so many milliseconds after the span's start.
    fn delay(&self, sent_ms: u64, dice: &mut Rng) -> Duration {
        let jitter = match self {
            Self::Scatters => dice.u64(0..JITTER_MS),
            Self::Bunches => JITTER_MS - sent_ms % JITTER_MS,
            Self::Squeezes => JITTER_MS - JITTER_MS * (sent_ms % SQUEEZED_MS) / SQUEEZED_MS,
        };
        DELAY + Duration::from_millis(jitter)
    }
}

struct Logto {
    limiters: Vec<Counter>,
    hour: Hour,
}

impl Logto {
    fn new(limiters: Vec<Limiter>, start: Instant) -> Self {
        let hour = Hour { refused: vec![0; limiters.len()], ..Hour::default() };
        let limiters = limiters.into_iter().map(|limiter| Counter::new(limiter, start)).collect();
        Self { limiters, hour }
    }

    /// The answer to a request that arrives now; every limiter sees it.
    fn judge(&mut self, sent: Instant) -> Outcome {
        let (now, mut headers, mut status) = (Instant::now(), HeaderMap::new(), StatusCode::OK);
        for (limiter, refused) in self.limiters.iter_mut().zip(&mut self.hour.refused) {
            if !limiter.admits(now) {
                *refused += 1;
                status = StatusCode::TOO_MANY_REQUESTS;
                if let Some(after) = limiter.retry_after(now) {
                    let after = after.as_secs() + u64::from(after.subsec_nanos() > 0);
                    headers.insert("retry-after", HeaderValue::from(after));
                }
            }
        }
        self.hour.count(sent, status == StatusCode::OK, now);
        Outcome::Answered(Reply::new(status, headers, Body::Held(Bytes::new())))
    }
}

impl Hour {
    /// The part of the configured pace that was used while somebody waited.
    pub(crate) fn share(&self) -> f64 {
        f64::from(self.sent) / self.room
    }

    /// The part of what was sent after the first episode that was refused.
    pub(crate) fn refused_share(&self) -> f64 {
        self.settled.as_ref().map_or(0.0, |settled| f64::from(settled.refused) / f64::from(settled.sent))
    }

    /// What passed after the first episode, per second with load.
    pub(crate) fn passed_per_s(&self) -> f64 {
        let Some(settled) = &self.settled else { return 0.0 };
        let under_load =
            self.spans.iter().map(|s| s.end.saturating_duration_since(s.start.max(settled.since)));
        f64::from(settled.sent - settled.refused) / under_load.sum::<Duration>().as_secs_f64()
    }

    fn count(&mut self, sent: Instant, passed: bool, now: Instant) {
        self.sent += 1;
        if !passed {
            self.first_refusal.get_or_insert(now);
        } else if self.settled.is_none() && self.first_refusal.is_some_and(|refusal| sent > refusal) {
            self.settled = Some(Settled { since: sent, sent: 0, refused: 0 });
        }
        if let Some(settled) = self.settled.as_mut().filter(|settled| sent >= settled.since) {
            settled.sent += 1;
            settled.refused += u32::from(!passed);
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("an hour at most")
}

fn seconds(dice: &mut Rng, range: Range<f64>) -> Duration {
    Duration::from_secs_f64(range.start + dice.f64() * (range.end - range.start))
}

fn lock(logto: &Mutex<Logto>) -> MutexGuard<'_, Logto> {
    logto.lock().unwrap_or_else(PoisonError::into_inner)
}
