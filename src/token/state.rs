//! What is known of the token, and what follows from it: pure, told the time.

use std::time::Duration;

use tokio::time::Instant;

use super::error::Again;
use super::note::Note;
use super::timing::{GAP, PAUSE_SLOWLY, PAUSE_SOON, doubled, renew_after, usable};
use super::verdict::Verdict;
use super::{Condition, Grant, Status, Token, TokenError};
use crate::rejection::Rejection;

/// What is known of the token.
pub(super) struct State {
    held: Option<Held>,
    generation: u64,
    fetching: bool,
    due: Instant,
    cause: Cause,
    trouble: Option<Trouble>,
    /// Fetches that failed in a row.
    failures: u32,
    /// Tokens in a row that were refused before any was accepted.
    refusals: u32,
    stopped: bool,
}

struct Held {
    token: Token,
    until: Instant,
    accepted: bool,
}

/// What is wrong at the moment, as it was logged.
struct Trouble {
    text: String,
    ends: Ends,
}

/// What ends a trouble.
#[derive(PartialEq, Eq)]
enum Ends {
    Fetched,
    Accepted,
}

/// Why a token is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Start,
    Due,
    Refused,
}

impl Cause {
    /// The label's value.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Due => "due",
            Self::Refused => "refused",
        }
    }
}

/// What somebody who wants the token is told.
pub(super) enum Answer {
    Token(Token),
    Wait,
    No(Rejection),
}

impl State {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            held: None,
            generation: 0,
            fetching: false,
            due: now,
            cause: Cause::Start,
            trouble: None,
            failures: 0,
            refusals: 0,
            stopped: false,
        }
    }

    pub(super) fn at_hand(&self, now: Instant) -> Option<Token> {
        self.good(now).map(|held| held.token.clone())
    }

    fn good(&self, now: Instant) -> Option<&Held> {
        self.held.as_ref().filter(|held| now < held.until)
    }

    pub(super) fn answer(&self, now: Instant) -> Answer {
        if let Some(token) = self.at_hand(now) {
            return Answer::Token(token);
        }
        match &self.trouble {
            _ if self.stopped => Answer::No(Rejection::Draining),
            Some(trouble) if !self.fetching && now < self.due => {
                Answer::No(Rejection::NoToken { cause: trouble.text.clone(), retry_after: self.due - now })
            }
            _ => Answer::Wait,
        }
    }

    /// When the next fetch is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Until when the token is good.
    pub(super) fn until(&self) -> Option<Instant> {
        self.held.as_ref().map(|held| held.until)
    }

    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.fetching = false;
    }

    /// A fetch begins.
    pub(super) fn begin(&mut self) -> Cause {
        self.fetching = true;
        self.cause
    }

    /// A fetch that was sent at `asked` brought a token.
    pub(super) fn fetched(
        &mut self,
        grant: &Grant,
        asked: Instant,
        now: Instant,
        jitter: f64,
    ) -> Option<Note> {
        let life = usable(grant.life);
        self.generation += 1;
        let token = Token { authorization: grant.authorization.clone(), generation: self.generation };
        self.held = Some(Held { token, until: asked + life, accepted: false });
        self.due = (asked + renew_after(life, jitter)).max(now + GAP);
        self.cause = Cause::Due;
        self.fetching = false;
        self.failures = 0;
        self.relieve(&Ends::Fetched)
    }

    /// A fetch failed.
    pub(super) fn failed(&mut self, error: TokenError, now: Instant, jitter: f64) -> Note {
        let (first, least) = match error.again() {
            Again::Soon(least) => (PAUSE_SOON, least),
            Again::Slowly => (PAUSE_SLOWLY, Duration::ZERO),
        };
        // Jitter only shortens: gateways that lost the same Logto don't come back in step.
        let retry_after = doubled(first, self.failures).mul_f64(1.0 - 0.2 * jitter).max(least);
        self.failures += 1;
        self.fetching = false;
        self.due = now + retry_after;
        let news = self.suffer(error.to_string(), Ends::Fetched);
        Note::Failed { error, retry_after, news }
    }

    /// Whether `learn` would change anything; asked for every call, under a lock that is shared.
    pub(super) fn concerns(&self, token: &Token, verdict: &Verdict) -> bool {
        let held = self.held.as_ref().filter(|held| held.token.generation == token.generation);
        held.is_some_and(|held| match verdict {
            Verdict::Accepted => !held.accepted,
            Verdict::Refused(_) => true,
            Verdict::Unfit => self.trouble.is_none(),
            Verdict::Silent => false,
        })
    }

    pub(super) fn learn(&mut self, token: &Token, verdict: &Verdict, now: Instant) -> Option<Note> {
        if !self.concerns(token, verdict) {
            return None;
        }
        match verdict {
            Verdict::Accepted => self.accepted(),
            Verdict::Refused(_) => self.refused(verdict.complaint(), now),
            Verdict::Unfit => self.unfit(verdict.complaint()),
            Verdict::Silent => None,
        }
    }

    fn accepted(&mut self) -> Option<Note> {
        self.held.as_mut()?.accepted = true;
        self.refusals = 0;
        self.relieve(&Ends::Accepted)
    }

    /// The token is never handed out again. Its successor is fetched at once if it had been good; else a new one is
    /// probably no better, and takes its time.
    fn refused(&mut self, text: String, now: Instant) -> Option<Note> {
        let held = self.held.take()?;
        if now >= held.until {
            return None; // expired on its way: its renewal is due anyway
        }
        self.cause = Cause::Refused;
        if held.accepted {
            self.due = now;
            return Some(Note::Forgotten);
        }
        // A pause that the token endpoint asked for is kept all the same.
        let asked_for = if self.failures > 0 { self.due } else { now };
        self.due = asked_for.max(now + doubled(PAUSE_SOON, self.refusals));
        self.refusals += 1;
        let news = self.suffer(text.clone(), Ends::Accepted);
        Some(Note::Refused { text, retry_after: self.due - now, news })
    }

    fn unfit(&mut self, text: String) -> Option<Note> {
        let news = self.suffer(text.clone(), Ends::Accepted);
        news.then_some(Note::Unfit { text })
    }

    pub(super) fn status(&self, now: Instant, unix: impl Fn(Instant) -> Duration) -> Status {
        let good = self.good(now);
        let state = match self.answer(now) {
            Answer::Token(_) => Condition::Good,
            Answer::Wait => Condition::Fetching,
            Answer::No(_) if self.stopped => Condition::Stopped,
            Answer::No(_) => Condition::Missing,
        };
        Status {
            state,
            expires_at: good.map(|held| unix(held.until).as_secs()),
            seconds_left: good.map(|held| (held.until - now).as_secs()),
            accepted: good.is_some_and(|held| held.accepted),
            last_error: self.trouble.as_ref().map(|trouble| trouble.text.clone()),
            next_try: (!self.fetching && !self.stopped).then(|| unix(self.due).as_secs()),
        }
    }

    /// Whether the trouble is another one than before.
    fn suffer(&mut self, text: String, ends: Ends) -> bool {
        let news = self.trouble.as_ref().is_none_or(|trouble| trouble.text != text);
        self.trouble = Some(Trouble { text, ends });
        news
    }

    fn relieve(&mut self, ends: &Ends) -> Option<Note> {
        self.trouble.take_if(|trouble| trouble.ends == *ends).map(|_| Note::Recovered)
    }
}
