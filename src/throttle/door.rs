//! At the door of the line: a permit at once, a place, or a refusal that says when to come back.

#![expect(clippy::disallowed_methods, reason = "whoever waits reads the clock")]

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::line::{Line, State, Waiter};
use super::queue::{Flow, Lane, Ticket};
use super::{Permit, Whom};
use crate::audience::{Audience, Standing};
use crate::rejection::Rejection;

/// What a permit is wanted for.
pub(super) enum Wanted<'a> {
    ForToken { latest: Instant },
    ForCall { flow: Flow, audience: &'a Audience },
}

impl Wanted<'_> {
    fn lane(&self) -> Lane {
        match self {
            Self::ForToken { .. } => Lane::Token,
            Self::ForCall { .. } => Lane::Call,
        }
    }

    /// Nothing is waited for beyond it.
    fn latest(&self, line: &Line, asked: Instant) -> Instant {
        match self {
            Self::ForToken { latest } => *latest,
            Self::ForCall { audience, .. } => line.latest(&audience.standing(), asked),
        }
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

impl Line {
    pub(super) async fn permit(
        self: &Arc<Self>,
        wanted: Wanted<'_>,
        whom: Option<Whom>,
    ) -> Result<Permit, Rejection> {
        let asked = Instant::now();
        match self.enter(&wanted, whom, asked)? {
            Entrance::Granted(permit) => Ok(permit),
            Entrance::Waiting(place, granted) => self.wait(&wanted, place, granted, asked).await,
        }
        .inspect(|_permit| {
            if let Wanted::ForCall { flow, .. } = &wanted {
                self.metrics.waited(flow.class.name(), asked.elapsed());
            }
        })
    }

    /// At the door: a permit if nobody waits and one is free, a place in the line, or a refusal.
    fn enter(
        self: &Arc<Self>,
        wanted: &Wanted<'_>,
        whom: Option<Whom>,
        now: Instant,
    ) -> Result<Entrance, Rejection> {
        let mut state = self.lock();
        if state.closed {
            return Err(self.refuse(Rejection::Draining));
        }
        if now <= wanted.latest(self, now)
            && state.queue.is_empty()
            && self.next(&mut state, wanted.lane(), now).is_none()
        {
            return Ok(Entrance::Granted(self.grant(&mut state, now, whom)));
        }
        let (sender, granted) = oneshot::channel();
        let waiter = Waiter { granted: sender, whom };
        let ticket = match wanted {
            Wanted::ForToken { .. } => state.queue.push_own(waiter),
            Wanted::ForCall { flow, .. } => {
                self.admit(&state, flow, wanted.latest(self, now), now)?;
                state.queue.push(flow.clone(), waiter)
            }
        };
        self.count_waiting(&state);
        drop(state);
        self.wake.notify_one();
        Ok(Entrance::Waiting(Place { line: Arc::clone(self), ticket }, granted))
    }

    /// The rate is known, so the wait is too: whoever cannot be served in time is told so at once.
    fn admit(&self, state: &State, flow: &Flow, latest: Instant, now: Instant) -> Result<(), Rejection> {
        let pause = state.regulator.frozen_for(now);
        let turn = state.bucket.when(state.queue.ahead_of(flow), now).max(now + pause.unwrap_or_default());
        let (wait, too_long) = (turn - now, turn > latest);
        let settings = &self.settings;
        let is_full = state.queue.len() >= settings.waiting_max
            || state.queue.crowding(&flow.caller) >= settings.waiting_max_per_caller;
        match pause {
            Some(left) if too_long || is_full => Err(self.refuse(Rejection::Frozen(left))),
            _ if is_full => Err(self.refuse(Rejection::QueueFull(wait))),
            _ if too_long => Err(self.refuse(Rejection::WaitTooLong(wait))),
            _ => Ok(()),
        }
    }

    /// Nothing is waited for beyond it.
    pub(super) fn latest(&self, standing: &Standing, asked: Instant) -> Instant {
        standing.latest.min(asked + self.settings.classes[standing.class as usize].wait_max)
    }

    async fn wait(
        &self,
        wanted: &Wanted<'_>,
        mut place: Place,
        mut granted: oneshot::Receiver<Permit>,
        asked: Instant,
    ) -> Result<Permit, Rejection> {
        let mut latest = wanted.latest(self, asked);
        let mut audience = match wanted {
            Wanted::ForToken { .. } => None,
            Wanted::ForCall { audience, .. } => Some(audience.watch()),
        };
        loop {
            tokio::select! {
                biased;
                permit = &mut granted => return match permit {
                    Ok(permit) if permit.granted <= latest => Ok(permit),
                    // After a stall of the machine the permit and the deadline can be found together.
                    Ok(_late) => Err(self.overdue()),
                    Err(_closed) => Err(self.refuse(Rejection::Draining)),
                },
                () = sleep_until(latest) => return Err(self.overdue()),
                standing = changed(&mut audience) => {
                    latest = self.latest(&standing, asked);
                    self.lock().queue.promote(&mut place.ticket, standing.class);
                }
            }
        }
    }

    /// The wait was longer than foretold: a freeze came, or Logto was slow to answer those under way.
    fn overdue(&self) -> Rejection {
        let now = Instant::now();
        let state = self.lock();
        self.refuse(match state.regulator.frozen_for(now) {
            Some(left) => Rejection::Frozen(left),
            None => Rejection::WaitTooLong(state.bucket.when(state.queue.len(), now) - now),
        })
    }

    fn refuse(&self, why: Rejection) -> Rejection {
        self.metrics.refused(why.code());
        why
    }
}

/// Waits until those who wait for a call have become others; for ever where there is nobody to join.
async fn changed(audience: &mut Option<watch::Receiver<Standing>>) -> Standing {
    if let Some(audience) = audience
        && audience.changed().await.is_ok()
    {
        return *audience.borrow_and_update();
    }
    std::future::pending().await
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        if state.queue.leave(&self.ticket).is_some() {
            self.line.count_waiting(&state);
        }
    }
}
