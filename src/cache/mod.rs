//! What Logto answered before, and whether it still holds.

mod effect;
mod entry;
mod flight;
mod generations;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_asked;
#[cfg(test)]
mod tests_flights;
mod wish;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use self::effect::{Effect, effect, may_be_shared};
use self::flight::{Arrival, Flights};
use self::generations::Generations;
use self::wish::Wish;
use crate::audience::Audience;
use crate::call::{Body as RequestBody, Call};
use crate::catalog::Class;
use crate::metrics::{CacheResult, Metrics};
use crate::rejection::Rejection;
use crate::reply::{Body, Outcome, Reply, Source, Why};

pub use entry::Entry;
pub use generations::Snapshot;

/// How much is kept, and for how long.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes that all stored answers may take, headers and keys included.
    pub size_max: u64,
    /// The largest body that is stored; larger ones are passed through.
    pub body_max: usize,
    /// How long an answer of each class stays fresh, by `Class as usize`; zero: not stored.
    pub ttl: [Duration; Class::ALL.len()],
}

/// A write whose outcome is unknown may still take effect until Logto's own socket timeout has passed.
const DOUBT: Duration = Duration::from_secs(120);

/// When to come back after a deadline that passed while a flight was still waiting for its turn.
const LINE_RETRY: Duration = Duration::from_secs(1);

/// The room.
pub struct Cache {
    settings: Settings,
    entries: moka::sync::Cache<Box<str>, Arc<Entry>>,
    generations: Generations,
    flights: Flights,
    metrics: Arc<Metrics>,
}

/// What the store has to say to a call.
pub enum Lookup {
    /// It answers.
    Fresh(Arc<Entry>),
    /// It has something that Logto may confirm.
    Stale(Arc<Entry>),
    /// It has nothing yet.
    Miss,
    /// It is not to be asked, and why.
    Bypass(Why),
    /// It has nothing, and the client wants nothing else.
    OnlyIfCached,
}

/// What an attempt is made for, as far as the store is concerned.
#[derive(Clone)]
pub enum Purpose {
    /// To be stored.
    Fill,
    /// To be confirmed by Logto, or replaced.
    Confirm(Arc<Entry>),
    /// To be passed on.
    Pass,
}

/// What is known of the store at the moment an attempt is sent.
pub struct Departure {
    purpose: Purpose,
    at: Instant,
    depends: Snapshot,
    /// No write of unknown outcome could still change it at that moment; one since then shows in what it depends on.
    certain: bool,
}

impl Departure {
    /// The validator to send along.
    pub fn validator(&self) -> Option<&HeaderValue> {
        match &self.purpose {
            Purpose::Confirm(entry) => entry.etag(),
            Purpose::Fill | Purpose::Pass => None,
        }
    }

    fn why(&self) -> Why {
        match self.purpose {
            Purpose::Confirm(_) => Why::Stale,
            Purpose::Fill | Purpose::Pass => Why::UriMiss,
        }
    }
}

impl Cache {
    /// An empty store. `now` starts its time; flights run on `tasks`.
    pub fn new(settings: Settings, metrics: Arc<Metrics>, tasks: TaskTracker, now: Instant) -> Self {
        let evicted = Arc::clone(&metrics);
        let longest = settings.ttl.iter().max().copied().unwrap_or_default();
        #[expect(clippy::borrowed_box, reason = "the weigher is given a reference to the key's type")]
        let entries = moka::sync::Cache::builder()
            .max_capacity(settings.size_max)
            .weigher(|key: &Box<str>, entry: &Arc<Entry>| entry.weight(key))
            // Entries that a write has put out of date are never asked for again: least recently used, they go first.
            .eviction_policy(EvictionPolicy::lru())
            // Bounds bytes only; what is fresh is decided in `lookup`. Twice, so that what is stale can be confirmed.
            .time_to_live((longest * 2).max(Duration::from_secs(1)))
            .eviction_listener(move |_, _, cause| {
                if let Some(reason) = reason(cause) {
                    evicted.evicted(reason);
                }
            })
            .build();
        let generations = Generations::new(now);
        Self { settings, entries, generations, flights: Flights::new(tasks), metrics }
    }

    /// Whether the store can answer `call`.
    pub fn lookup(&self, call: &Call, now: Instant) -> Lookup {
        let found = self.find(call, now);
        self.metrics.looked_up(match &found {
            Lookup::Fresh(_) => CacheResult::Hit,
            Lookup::Stale(_) => CacheResult::Stale,
            Lookup::Miss | Lookup::OnlyIfCached => CacheResult::Miss,
            Lookup::Bypass(_) => CacheResult::Bypass,
        });
        found
    }

    fn find(&self, call: &Call, now: Instant) -> Lookup {
        if call.target.is_write() {
            return Lookup::Bypass(Why::Method);
        }
        let wish = Wish::of(&call.headers);
        if !self.is_storable(call) {
            return if wish == Wish::OnlyIfCached {
                Lookup::OnlyIfCached
            } else {
                Lookup::Bypass(Why::Bypass)
            };
        }
        if wish == Wish::NoStore || !matches!(call.body, RequestBody::Empty) {
            return Lookup::Bypass(Why::Request);
        }
        let entry = self.entries.get(&*key(call)).filter(|e| self.generations.is_current(&e.depends));
        match entry {
            Some(entry) if entry.is_fresh(now) && !wish.wants_confirmation(entry.age(now)) => {
                Lookup::Fresh(entry)
            }
            _ if wish == Wish::OnlyIfCached => Lookup::OnlyIfCached,
            // HEAD is answered from a stored GET; Logto's answer to it has no ETag and would not help the next one.
            _ if call.target.method == Method::HEAD => Lookup::Bypass(Why::UriMiss),
            Some(entry) => Lookup::Stale(entry),
            None => Lookup::Miss,
        }
    }

    /// Boards the flight that fetches `call`, or starts one: `fetch` is told who waits for it. `None`: the answer could
    /// not be shared, and somebody else has it; this call has to be fetched by itself.
    ///
    /// Each passenger keeps its own deadline. The flight goes on without any, once it was sent.
    pub async fn fly<F>(
        &self,
        call: &Call,
        fetch: impl FnOnce(Arc<Audience>) -> F,
    ) -> Result<Option<Reply>, Rejection>
    where
        F: Future<Output = Result<Reply, Rejection>> + Send + 'static,
    {
        let depends = self.generations.snapshot(&call.target.reads());
        let may_board = |snapshot: &Snapshot| self.generations.is_current(snapshot);
        let mut seat = self.flights.board(&key(call), depends, may_board, call, fetch);
        if seat.collapsed {
            self.metrics.boarded();
        }
        match timeout_at(call.deadline, seat.arrival()).await {
            Ok(Ok(Arrival::Reply(reply))) => Ok(Some(reply)),
            Ok(Ok(Arrival::FetchAlone)) => Ok(None),
            Ok(Err(rejection)) => Err(rejection),
            Err(_elapsed) if seat.was_sent() => Err(Rejection::DeadlinePassed),
            Err(_elapsed) => Err(Rejection::WaitTooLong(LINE_RETRY)),
        }
    }

    /// To be called at the moment an attempt is sent: what it reads is compared with what was changed since.
    pub fn depart(&self, call: &Call, purpose: Purpose, now: Instant) -> Departure {
        let reads = if matches!(purpose, Purpose::Pass) { Vec::new() } else { call.target.reads() };
        let depends = self.generations.snapshot(&reads);
        Departure { certain: self.generations.is_certain(&depends, now), depends, purpose, at: now }
    }

    /// How much of an answer's body is to be taken in before it is learned from; `None` if it streams through.
    pub fn holds(&self, departure: &Departure) -> Option<usize> {
        (!matches!(departure.purpose, Purpose::Pass)).then_some(self.settings.body_max)
    }

    /// Learns from an attempt: stores what may be stored, drops what a write has changed, and turns a confirmation into
    /// the answer it confirms. To be called before the client sees the outcome.
    pub fn learn(&self, call: &Call, departure: Departure, outcome: Outcome, now: Instant) -> Outcome {
        self.drop_changed(call, effect(&outcome), now);
        match (outcome, &departure.purpose) {
            (Outcome::Answered(reply), Purpose::Fill | Purpose::Confirm(_)) => {
                Outcome::Answered(self.learn_from_read(call, departure, reply))
            }
            (other, _) => other,
        }
    }

    /// The attempt came to no end that anybody knows of: it may have done what was asked.
    pub fn lost(&self, call: &Call, now: Instant) {
        self.drop_changed(call, Effect::Unknown, now);
    }

    fn learn_from_read(&self, call: &Call, departure: Departure, reply: Reply) -> Reply {
        let (why, fresh_for) = (departure.why(), self.ttl(call));
        let Departure { purpose, at, depends, certain } = departure;
        let (entry, confirmed) = match (reply.status, reply.body, purpose) {
            (StatusCode::NOT_MODIFIED, _, Purpose::Confirm(known)) => {
                (known.confirmed(&reply.headers, at, fresh_for, depends), true)
            }
            (StatusCode::OK, Body::Held(body), _) => {
                (Entry::new(reply.status, &reply.headers, &body, at, fresh_for, depends), false)
            }
            (status, body, _) => return Reply::new(status, reply.headers, body).because(why),
        };
        let stored = certain
            && may_be_shared(&reply.headers)
            && !fresh_for.is_zero()
            && self.generations.is_current(&entry.depends);
        let answer = entry.reply(Source::Forwarded { why, confirmed, stored, collapsed: false });
        if stored {
            self.entries.insert(key(call).into(), Arc::new(entry));
        }
        answer
    }

    fn drop_changed(&self, call: &Call, effect: Effect, now: Instant) {
        match effect {
            Effect::None => {}
            Effect::Done => self.generations.advance(&call.target.changes()),
            Effect::Unknown => self.generations.doubt(&call.target.changes(), now + DOUBT),
        }
    }

    /// What is stored, in entries and bytes.
    pub fn status(&self) -> Status {
        self.entries.run_pending_tasks();
        Status {
            entries: self.entries.entry_count(),
            bytes: self.entries.weighted_size(),
            bytes_max: self.settings.size_max,
        }
    }

    fn is_storable(&self, call: &Call) -> bool {
        call.target.route().is_some_and(|route| route.storable())
            && !call.target.carries_secrets()
            && !self.ttl(call).is_zero()
            && self.settings.size_max > 0
    }

    fn ttl(&self, call: &Call) -> Duration {
        call.target.route().map_or(Duration::ZERO, |route| self.settings.ttl[route.class as usize])
    }
}

/// What is stored.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Status {
    /// Entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The bound.
    pub bytes_max: u64,
}

/// The URI's one spelling, and the language where the answer depends on it.
fn key(call: &Call) -> Cow<'_, str> {
    match call.target.route() {
        Some(route) if route.localised => {
            let languages = call.headers.get_all(header::ACCEPT_LANGUAGE).iter();
            let languages = languages.map(|line| String::from_utf8_lossy(line.as_bytes()));
            let joined: Vec<Cow<'_, str>> =
                std::iter::once(Cow::Borrowed(call.target.key())).chain(languages).collect();
            Cow::Owned(joined.join("\n"))
        }
        _ => Cow::Borrowed(call.target.key()),
    }
}

fn reason(cause: RemovalCause) -> Option<&'static str> {
    match cause {
        RemovalCause::Size => Some("size"),
        RemovalCause::Expired => Some("expired"),
        RemovalCause::Explicit => Some("dropped"),
        // The same answer, newer.
        RemovalCause::Replaced => None,
    }
}
