//! The waiting line before Logto: who may send when, so that the tenant's limit holds.

#![expect(clippy::disallowed_methods, reason = "whoever keeps a line reads the clock")]

mod bucket;
mod envelope;
mod queue;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_bound;
#[cfg(test)]
mod tests_frozen;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use self::bucket::Bucket;
use self::queue::{Lane, Queue, Ticket};
use crate::call::Call;
use crate::metrics::Metrics;
use crate::rejection::Rejection;
use crate::reply::Outcome;

pub use envelope::{Envelope, EnvelopeError, Limit, Model};

/// How the line is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The pace; `None` when Logto has no limiter.
    pub envelope: Option<Envelope>,
    /// Calls that may wait at once; over it they are refused.
    pub waiting_max: usize,
    /// The longest that a call may wait.
    pub wait_max: Duration,
    /// Calls that may be under way at Logto at once.
    pub in_flight_max: usize,
}

/// How long Logto's 429 freezes the line when it names no time.
const FREEZE_DEFAULT: Duration = Duration::from_secs(10);
/// However long Logto asks for.
const FREEZE_MAX: Duration = Duration::from_secs(60);

/// The room. Clones share one line.
#[derive(Clone)]
pub struct Throttle {
    line: Arc<Line>,
    /// Grants permits as they come; ends with the last clone.
    _driver: Arc<AbortOnDropHandle<()>>,
}

impl Throttle {
    /// An empty bucket and an empty line. Needs a tokio runtime.
    pub fn start(settings: Settings, metrics: Arc<Metrics>) -> Self {
        let state = State {
            bucket: Bucket::new(settings.envelope, Instant::now()),
            queue: Queue::new(),
            in_flight: 0,
            closed: false,
        };
        let line = Arc::new(Line { state: Mutex::new(state), wake: Notify::new(), settings, metrics });
        let driver = tokio::spawn(Arc::clone(&line).drive());
        Self { line, _driver: Arc::new(AbortOnDropHandle::new(driver)) }
    }

    /// Waits for the right to one attempt at `call`, or refuses when its turn would come too late.
    ///
    /// Whoever stops waiting (drops the future) leaves the line, and costs nobody anything.
    pub async fn permit(&self, call: &Call) -> Result<Permit, Rejection> {
        let latest = call.deadline.min(Instant::now() + self.line.settings.wait_max);
        self.line.permit(Lane::Call, latest).await
    }

    /// The same for the gateway's own token: before everybody else.
    pub async fn permit_for_token(&self) -> Result<Permit, Rejection> {
        self.line.permit(Lane::Token, Instant::now() + FREEZE_MAX).await
    }

    /// Learns from an attempt: a refusal of Logto's limiter freezes the line.
    pub fn learn(&self, _permit: &Permit, outcome: &Outcome) {
        let Some(throttled) = outcome.throttled() else { return };
        let now = Instant::now();
        let pause = throttled.retry_after.unwrap_or(FREEZE_DEFAULT).min(FREEZE_MAX);
        let prolonged = self.line.lock().bucket.freeze(now + pause, now);
        self.line.metrics.throttled();
        self.line.metrics.froze(prolonged);
        self.line.wake.notify_one();
        tracing::warn!(
            pause_s = pause.as_secs_f64(),
            "Logto's limiter refused a call; nothing is sent until it thaws"
        );
    }

    /// Sends everybody home and admits nobody any more.
    pub fn close(&self) {
        let mut state = self.line.lock();
        state.closed = true;
        state.queue.clear();
        self.line.metrics.waiting(0);
    }

    /// How much longer nothing is sent because Logto asked for a pause.
    pub fn frozen_for(&self) -> Option<Duration> {
        self.line.lock().bucket.frozen_for(Instant::now())
    }

    /// What it looks like now.
    pub fn status(&self) -> Status {
        let now = Instant::now();
        let state = self.line.lock();
        let envelope = self.line.settings.envelope;
        Status {
            limit: envelope.map(|e| e.limit().requests),
            window_s: envelope.map(|e| e.limit().window.as_secs_f64()),
            rate_per_s: envelope.map(|e| e.rate()),
            burst: envelope.map(|e| e.burst()),
            tokens: envelope.map(|_| state.bucket.level(now)),
            waiting: state.queue.len(),
            in_flight: state.in_flight,
            frozen_for_s: state.bucket.frozen_for(now).map_or(0.0, |d| d.as_secs_f64()),
        }
    }
}

/// What the line looks like; `None` where Logto has no limiter.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Status {
    /// Requests per window that Logto allows.
    pub limit: Option<u32>,
    /// The window, in seconds.
    pub window_s: Option<f64>,
    /// Permits per second.
    pub rate_per_s: Option<f64>,
    /// Permits at once after a pause.
    pub burst: Option<u32>,
    /// Permits that could be taken now.
    pub tokens: Option<f64>,
    /// Calls waiting.
    pub waiting: usize,
    /// Calls under way.
    pub in_flight: usize,
    /// Seconds until a freeze ends.
    pub frozen_for_s: f64,
}

/// The right to one attempt. Dropped without having been used, it goes back to the bucket.
#[must_use = "a permit that is dropped is given back"]
pub struct Permit {
    line: Arc<Line>,
    granted: Instant,
    sent: bool,
}

impl Permit {
    /// The attempt goes out now: the permit is spent, whatever comes of it.
    pub fn spend(&mut self) {
        self.sent = true;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        state.in_flight -= 1;
        if !self.sent {
            state.bucket.give_back(self.granted, Instant::now());
            self.line.metrics.wasted();
        }
        let somebody_waits = !state.queue.is_empty();
        drop(state);
        if somebody_waits {
            self.line.wake.notify_one();
        }
    }
}

struct Line {
    state: Mutex<State>,
    /// Told whenever the driver may have something to do.
    wake: Notify,
    settings: Settings,
    metrics: Arc<Metrics>,
}

struct State {
    bucket: Bucket,
    queue: Queue<oneshot::Sender<Permit>>,
    in_flight: usize,
    closed: bool,
}

/// When the driver has to look again.
enum Next {
    At(Instant),
    WhenTold,
}

impl Line {
    async fn permit(self: &Arc<Self>, lane: Lane, latest: Instant) -> Result<Permit, Rejection> {
        let asked = Instant::now();
        let permit = match self.enter(lane, asked, latest)? {
            Entrance::Granted(permit) => permit,
            Entrance::Waiting(place, granted) => self.wait(place, granted, latest).await?,
        };
        if lane == Lane::Call {
            self.metrics.waited(asked.elapsed());
        }
        Ok(permit)
    }

    /// At the door: a permit if nobody waits and one is free, a place in the line, or a refusal.
    fn enter(self: &Arc<Self>, lane: Lane, now: Instant, latest: Instant) -> Result<Entrance, Rejection> {
        let mut state = self.lock();
        if state.closed {
            return Err(self.refused(Rejection::Draining));
        }
        if now <= latest
            && state.queue.is_empty()
            && state.in_flight < self.settings.in_flight_max
            && state.bucket.take(now).is_ok()
        {
            return Ok(Entrance::Granted(self.grant(&mut state, now)));
        }
        self.admit(&state, lane, now, latest)?;
        let (sender, granted) = oneshot::channel();
        let ticket = state.queue.push(lane, sender);
        self.metrics.waiting(state.queue.len());
        drop(state);
        self.wake.notify_one();
        Ok(Entrance::Waiting(Place { line: Arc::clone(self), ticket }, granted))
    }

    /// The rate is known, so the wait is too: whoever cannot be served in time is told so at once.
    fn admit(&self, state: &State, lane: Lane, now: Instant, latest: Instant) -> Result<(), Rejection> {
        if lane == Lane::Token {
            return Ok(());
        }
        let turn = state.bucket.when(state.queue.ahead_of(lane), now);
        let wait = turn - now;
        let too_long = turn > latest;
        match state.bucket.frozen_for(now) {
            Some(left) if too_long => Err(self.refused(Rejection::Frozen(left))),
            _ if state.queue.len() >= self.settings.waiting_max => {
                Err(self.refused(Rejection::QueueFull(wait)))
            }
            _ if too_long => Err(self.refused(Rejection::WaitTooLong(wait))),
            _ => Ok(()),
        }
    }

    async fn wait(
        &self,
        place: Place,
        granted: oneshot::Receiver<Permit>,
        latest: Instant,
    ) -> Result<Permit, Rejection> {
        let permit = timeout_at(latest, granted).await;
        drop(place);
        match permit {
            Ok(Ok(permit)) if permit.granted <= latest => Ok(permit),
            Ok(Err(_closed)) => Err(self.refused(Rejection::Draining)),
            // After a stall of the machine the permit and the deadline can be found together.
            Ok(Ok(_late)) => Err(self.overdue()),
            Err(_elapsed) => Err(self.overdue()),
        }
    }

    /// The wait was longer than foretold: a freeze came, or Logto was slow to answer those under way.
    fn overdue(&self) -> Rejection {
        let now = Instant::now();
        let state = self.lock();
        self.refused(match state.bucket.frozen_for(now) {
            Some(left) => Rejection::Frozen(left),
            None => Rejection::WaitTooLong(state.bucket.when(state.queue.len(), now) - now),
        })
    }

    fn refused(&self, why: Rejection) -> Rejection {
        self.metrics.refused(why.code());
        why
    }

    async fn drive(self: Arc<Self>) {
        loop {
            let next = self.serve();
            let told = self.wake.notified();
            match next {
                Next::WhenTold => told.await,
                Next::At(time) => tokio::select! { () = told => {}, () = sleep_until(time) => {} },
            }
        }
    }

    /// Grants what can be granted now. A permit is taken first and then given to whoever is next and still there.
    fn serve(self: &Arc<Self>) -> Next {
        let now = Instant::now();
        let mut state = self.lock();
        while !state.queue.is_empty() {
            if state.in_flight >= self.settings.in_flight_max {
                return Next::WhenTold;
            }
            if let Err(time) = state.bucket.take(now) {
                return Next::At(time);
            }
            let waiter = state.queue.pop();
            let permit = self.grant(&mut state, now);
            self.metrics.waiting(state.queue.len());
            // A waiter that is gone already hands the permit back; its drop takes the lock.
            let unused = waiter.and_then(|w| w.send(permit).err());
            drop(state);
            drop(unused);
            state = self.lock();
        }
        Next::WhenTold
    }

    fn grant(self: &Arc<Self>, state: &mut State, now: Instant) -> Permit {
        state.in_flight += 1;
        Permit { line: Arc::clone(self), granted: now, sent: false }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds this lock; if one did, the counters would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Entrance {
    Granted(Permit),
    Waiting(Place, oneshot::Receiver<Permit>),
}

/// A place in the line; left when dropped.
struct Place {
    line: Arc<Line>,
    ticket: Ticket,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        if state.queue.leave(self.ticket).is_some() {
            self.line.metrics.waiting(state.queue.len());
        }
    }
}
