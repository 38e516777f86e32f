//! The access token: one for everybody, renewed before it expires, replaced when Logto refuses it.

mod clock;
mod error;
mod fetch;
mod grant;
mod keeper;
mod note;
#[cfg(test)]
mod script;
mod state;
mod status;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_refused;
mod timing;
mod verdict;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Uri};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use self::clock::{now, unix};
pub use self::error::TokenError;
pub use self::fetch::fetch;
pub use self::grant::Grant;
use self::keeper::Keeper;
use self::note::Note;
use self::state::{Answer, State};
pub use self::status::{Condition, Status};
use self::verdict::Verdict;
use crate::connect::Connector;
use crate::metrics::Metrics;
use crate::rejection::Rejection;
use crate::reply::{Api, Outcome};
use crate::secret::Secret;

/// A future that can be handed around.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Pays for an attempt and runs it: takes a permit, runs the attempt, and lets the budget learn from its outcome.
pub type Pay = Arc<dyn Fn(BoxFuture<Outcome>) -> BoxFuture<Result<Outcome, Rejection>> + Send + Sync>;

/// Where tokens come from, and what to ask for.
#[derive(Clone)]
pub struct Settings {
    /// The token endpoint, absolute.
    pub url: Uri,
    /// The M2M application.
    pub app_id: String,
    /// Its secret.
    pub app_secret: Secret,
    /// The resource indicator (RFC 8707).
    pub resource: Option<String>,
    /// The scopes, with spaces between; empty for none.
    pub scope: String,
    /// `audience`, which some servers want instead of `resource`.
    pub audience: Option<String>,
    /// Further parameters; they win over the ones above.
    pub extra: BTreeMap<String, String>,
    /// How the API refuses a token.
    pub api: Api,
    /// For a whole fetch: connecting, asking, reading.
    pub timeout: Duration,
}

/// A token to send with a call. It has no `Debug`.
#[derive(Clone)]
pub struct Token {
    /// `Bearer …`, marked as sensitive.
    pub authorization: HeaderValue,
    /// Which one, so that the refusal of an older one is no news.
    generation: u64,
}

/// The one token that everybody shares, and the task that keeps it fresh. Cheap to clone; the task ends with the
/// last clone.
#[derive(Clone)]
pub struct Tokens(Arc<Room>);

struct Room {
    state: Arc<watch::Sender<State>>,
    api: Api,
    metrics: Arc<Metrics>,
    keeper: AbortOnDropHandle<()>,
}

impl Tokens {
    /// Starts the task, which fetches the first token at once. Must be called within a runtime.
    pub fn start(settings: Settings, connector: Connector, metrics: Arc<Metrics>, pay: Pay) -> Self {
        let state = Arc::new(watch::Sender::new(State::new(now())));
        let api = settings.api;
        let keeper = Keeper::new(settings, connector, Arc::clone(&metrics), pay, Arc::clone(&state));
        let keeper = AbortOnDropHandle::new(tokio::spawn(keeper.keep()));
        Self(Arc::new(Room { state, api, metrics, keeper }))
    }

    /// The token: at once if there is one, else after the fetch that is in flight or due. If that failed and the
    /// next is not due yet, a rejection that names the cause.
    pub async fn current(&self) -> Result<Token, Rejection> {
        if let Some(token) = self.at_hand() {
            return Ok(token);
        }
        let mut state = self.0.state.subscribe();
        loop {
            let answer = state.borrow_and_update().answer(now());
            match answer {
                Answer::Token(token) => return Ok(token),
                Answer::No(rejection) => return Err(rejection),
                Answer::Wait => state.changed().await.map_err(|_| Rejection::Draining)?,
            }
        }
    }

    /// The token, if there is one now.
    pub fn at_hand(&self) -> Option<Token> {
        self.0.state.borrow().at_hand(now())
    }

    /// Learns from what became of a call that `token` was sent with.
    pub fn learn(&self, token: &Token, outcome: &Outcome) {
        let verdict = Verdict::of(outcome, self.0.api);
        if !self.0.state.borrow().concerns(token, &verdict) {
            return;
        }
        let mut note = None;
        self.0.state.send_modify(|state| note = state.learn(token, &verdict, now()));
        if matches!(note, Some(Note::Forgotten | Note::Refused { .. })) {
            self.0.metrics.token_expires(0.0);
        }
        Note::log(note);
    }

    /// How things stand, for `/status` and `/ready`; never the token.
    pub fn status(&self) -> Status {
        self.0.state.borrow().status(now(), unix)
    }

    /// Fetches no more. A token that is at hand may still be used.
    pub fn stop(&self) {
        self.0.state.send_modify(State::stop);
        self.0.keeper.abort();
    }
}
