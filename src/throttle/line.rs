//! The line at work: one lock, one driver, and a permit for whoever is next and still there.

#![expect(clippy::disallowed_methods, reason = "whoever keeps a line reads the clock")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::bucket::Bucket;
use super::queue::{Lane, Queue};
use super::regulator::{Attempt, Gate, Regulator};
use super::{Permit, Settings, Status, Whom};
use crate::caller::Class;
use crate::metrics::Metrics;
use crate::reply::Quota;

/// What all clones of the room share.
pub(super) struct Line {
    state: Mutex<State>,
    /// Told whenever the driver may have something to do.
    pub(super) wake: Notify,
    pub(super) settings: Settings,
    pub(super) metrics: Arc<Metrics>,
}

pub(super) struct State {
    pub(super) bucket: Bucket,
    pub(super) regulator: Regulator,
    pub(super) queue: Queue<Waiter>,
    in_flight: usize,
    pub(super) closed: bool,
}

/// Gets its permit through here, with what it is for.
pub(super) struct Waiter {
    pub(super) granted: oneshot::Sender<Permit>,
    pub(super) whom: Option<Whom>,
}

/// When the driver has to look again.
pub(super) enum Next {
    At(Instant),
    WhenTold,
}

impl Line {
    pub(super) fn new(settings: Settings, metrics: Arc<Metrics>, now: Instant) -> Self {
        let state = State {
            bucket: Bucket::new(settings.envelope, now),
            regulator: Regulator::new(settings.envelope.as_ref(), now),
            queue: Queue::new(settings.classes.map(|class| class.weight.max(1))),
            in_flight: 0,
            closed: false,
        };
        Self { state: Mutex::new(state), wake: Notify::new(), settings, metrics }
    }

    pub(super) async fn drive(self: Arc<Self>) {
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
            let lane = state.queue.next_lane();
            if let Some(next) = self.next(&mut state, lane, now) {
                return next;
            }
            let Some(waiter) = state.queue.pop() else { break };
            let permit = self.grant(&mut state, now, waiter.whom);
            self.count_waiting(&state);
            // A waiter that is gone already hands the permit back; its drop takes the lock.
            drop(state);
            drop(waiter.granted.send(permit));
            state = self.lock();
        }
        Next::WhenTold
    }

    /// Takes a permit out of the bucket (`None`), or says when to look again.
    pub(super) fn next(&self, state: &mut State, lane: Lane, now: Instant) -> Option<Next> {
        // The token, without which nobody gets anywhere, does not wait for those under way.
        let room = self.settings.in_flight_max + usize::from(lane == Lane::Token);
        if state.in_flight >= room {
            return Some(Next::WhenTold);
        }
        match state.regulator.gate(now) {
            Gate::Until(time) => return Some(Next::At(time)),
            Gate::AfterTheTry => return Some(Next::WhenTold),
            Gate::Open | Gate::Try => {}
        }
        state.bucket.slow_to(state.regulator.factor(now));
        state.bucket.take(now).err().map(Next::At)
    }

    pub(super) fn grant(self: &Arc<Self>, state: &mut State, now: Instant, whom: Option<Whom>) -> Permit {
        state.in_flight += 1;
        let is_try = state.regulator.gate(now) == Gate::Try;
        if is_try {
            state.regulator.try_begins();
        }
        Permit { line: Arc::clone(self), granted: now, sent: None, is_try, whom }
    }

    /// A permit has served, or was not needed after all.
    pub(super) fn take_back(&self, permit: &Permit) {
        let mut state = self.lock();
        state.in_flight -= 1;
        if permit.is_try {
            state.regulator.try_vanished();
        }
        if permit.sent.is_none() {
            state.bucket.give_back(permit.granted, Instant::now());
            self.metrics.wasted();
        }
        let somebody_waits = !state.queue.is_empty();
        drop(state);
        if somebody_waits {
            self.wake.notify_one();
        }
    }

    /// Logto's limiter refused an attempt. Returns how long the pause is, if that is news.
    pub(super) fn refused(&self, attempt: Attempt, retry_after: Option<Duration>) -> Option<Duration> {
        self.metrics.throttled();
        self.pause(|regulator, now| regulator.refused(attempt, retry_after, now))
    }

    /// An edge in front of Logto answered with a page of its own.
    pub(super) fn edge_page(&self, attempt: Attempt, whom: &Whom) -> Option<Duration> {
        self.pause(|regulator, now| regulator.edge_page(attempt, whom.route, &whom.caller, now))
    }

    fn pause(&self, news: impl FnOnce(&mut Regulator, Instant) -> Option<Instant>) -> Option<Duration> {
        let now = Instant::now();
        let mut state = self.lock();
        let before = state.regulator.frozen_for(now).unwrap_or_default();
        let until = news(&mut state.regulator, now)?;
        let factor = state.regulator.factor(now);
        state.bucket.slow_to(factor);
        state.bucket.empty_until(until, now);
        self.metrics.froze((until - now).saturating_sub(before));
        drop(state);
        self.wake.notify_one();
        Some(until - now)
    }

    /// Logto answered an attempt.
    pub(super) fn answered(&self, attempt: Attempt) {
        self.lock().regulator.answered(attempt, Instant::now());
        if attempt.is_try {
            self.wake.notify_one();
        }
    }

    pub(super) fn frozen_for(&self) -> Option<Duration> {
        self.lock().regulator.frozen_for(Instant::now())
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queue.clear();
        self.count_waiting(&state);
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded down, never negative"
    )]
    pub(super) fn quota(&self) -> Option<Quota> {
        let limit = *self.settings.envelope?.limit();
        let now = Instant::now();
        let state = self.lock();
        let (waiting, left) = (state.queue.len(), state.bucket.level(now) as u32);
        let remaining = if waiting > 0 || state.regulator.frozen_for(now).is_some() { 0 } else { left };
        let reset = state.bucket.when(waiting, now) - now;
        Some(Quota { limit: limit.requests, window: limit.window, remaining, reset })
    }

    pub(super) fn status(&self) -> Status {
        let now = Instant::now();
        let state = self.lock();
        let envelope = self.settings.envelope;
        Status {
            limit: envelope.map(|e| e.limit().requests),
            window_s: envelope.map(|e| e.limit().window.as_secs_f64()),
            rate_max_per_s: envelope.map(|e| e.rate()),
            rate_per_s: state.bucket.rate(),
            burst: envelope.map(|e| e.burst()),
            tokens: envelope.map(|_| state.bucket.level(now)),
            waiting: state.queue.len(),
            waiting_batch: state.queue.waiting_in(Class::Batch),
            in_flight: state.in_flight,
            frozen_for_s: state.regulator.frozen_for(now).map_or(0.0, |d| d.as_secs_f64()),
        }
    }

    pub(super) fn count_waiting(&self, state: &State) {
        for class in Class::ALL {
            self.metrics.waiting(class.name(), state.queue.waiting_in(class));
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds this lock; if one did, the counters would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
