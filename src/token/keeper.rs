//! The task that keeps the token fresh: it sleeps until a fetch is due, and is the only one that fetches.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::clock::{now, unix};
use super::note::Note;
use super::state::{Cause, State};
use super::{Grant, Pay, Settings, TokenError, fetch, grant};
use crate::connect::Connector;
use crate::metrics::Metrics;

/// The task's belongings.
pub(super) struct Keeper {
    source: Arc<Source>,
    metrics: Arc<Metrics>,
    state: Arc<watch::Sender<State>>,
}

/// Where tokens come from.
struct Source {
    settings: Settings,
    connector: Connector,
    pay: Pay,
}

impl Keeper {
    pub(super) fn new(
        settings: Settings,
        connector: Connector,
        metrics: Arc<Metrics>,
        pay: Pay,
        state: Arc<watch::Sender<State>>,
    ) -> Self {
        Self { source: Arc::new(Source { settings, connector, pay }), metrics, state }
    }

    pub(super) async fn keep(self) {
        let mut state = self.state.subscribe();
        loop {
            let due = state.borrow_and_update().due();
            tokio::select! {
                () = sleep_until(due) => self.renew().await,
                _ = state.changed() => {} // perhaps due earlier now
            }
        }
    }

    async fn renew(&self) {
        let mut cause = Cause::Start;
        self.state.send_modify(|state| cause = state.begin());
        // In a task of its own: a panic in there is an error here, and nobody waits in vain.
        let fetched = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&self.source).fetch())).await;
        let fetched = fetched.unwrap_or(Err(TokenError::Internal));
        self.metrics.token_fetched(fetched.is_ok(), cause.name());
        Note::log(self.settle(fetched));
    }

    fn settle(&self, fetched: Result<(Instant, Grant), TokenError>) -> Option<Note> {
        let (mut note, mut fetched) = (None, Some(fetched));
        self.state.send_modify(|state| {
            note = match fetched.take() {
                Some(Ok((asked, grant))) => state.fetched(&grant, asked, now(), fastrand::f64()),
                Some(Err(error)) => Some(state.failed(error, now(), fastrand::f64())),
                None => None,
            };
        });
        if let Some(until) = self.state.borrow().until() {
            self.metrics.token_expires(unix(until).as_secs_f64());
        }
        note
    }
}

/// However the task ends, nobody waits for it any longer.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.state.send_modify(State::stop);
    }
}

impl Source {
    /// Pays for one attempt; the token, and when it was asked for.
    async fn fetch(self: Arc<Self>) -> Result<(Instant, Grant), TokenError> {
        let (tell, told) = oneshot::channel();
        let source = Arc::clone(&self);
        let attempt = Box::pin(async move {
            let asked = now();
            let outcome = fetch::ask(&source.settings, &source.connector).await;
            let read = grant::read(&source.settings, &outcome).map(|grant| (asked, grant));
            let _ = tell.send(read); // the receiver is gone only if the room is
            outcome
        });
        (self.pay)(attempt).await.map_err(TokenError::NoPermit)?;
        told.await.unwrap_or(Err(TokenError::Internal))
    }
}
