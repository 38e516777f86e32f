//! What Logto answered before, and whether it still holds.

mod entry;
mod flight;
mod generations;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_asked;
#[cfg(test)]
mod tests_flights;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use self::flight::{Arrival, Flights};
use self::generations::Generations;
use crate::call::{Body as RequestBody, Call};
use crate::catalog::{Changes, Class};
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

/// Some clients' `fetch` sends `no-cache` with every call: one confirmation in this time has to do.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(5);

/// What an answer costs nothing to be told: present on every answer that reached Logto, absent on an edge's page.
const LOGTO_REQUEST_ID: &str = "logto-core-request-id";

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

/// What an attempt must know of the store at the moment it is sent.
pub struct Departure {
    depends: Snapshot,
    /// No write of unknown outcome could still change it at that moment; one since then shows in what it depends on.
    certain: bool,
    /// What Logto is asked to confirm.
    known: Option<Arc<Entry>>,
}

impl Departure {
    /// The validator to send along.
    pub fn validator(&self) -> Option<&http::HeaderValue> {
        self.known.as_deref().and_then(Entry::etag)
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
        if !self.is_storable(call) {
            return Lookup::Bypass(Why::Bypass);
        }
        let wish = Wish::of(&call.headers);
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

    /// Boards the flight that fetches `call`, or starts one. `None`: the answer was too large to share, and somebody
    /// else has it; this call has to be fetched by itself.
    ///
    /// Each passenger keeps its own deadline. The flight goes on without any, once it was sent.
    pub async fn fly<F>(&self, call: &Call, fetch: impl FnOnce() -> F) -> Result<Option<Reply>, Rejection>
    where
        F: Future<Output = Result<Reply, Rejection>> + Send + 'static,
    {
        let depends = self.generations.snapshot(&call.target.reads());
        let may_board = |snapshot: &Snapshot| self.generations.is_current(snapshot);
        let mut seat = self.flights.board(&key(call), depends, may_board, &call.abandoned, fetch);
        if seat.collapsed {
            self.metrics.boarded();
        }
        let arrival = timeout_at(call.deadline, seat.arrival()).await;
        match arrival.unwrap_or(Err(Rejection::DeadlinePassed))? {
            Arrival::Reply(reply) => Ok(Some(reply)),
            Arrival::FetchAlone => Ok(None),
        }
    }

    /// To be called at the moment an attempt is sent: what it reads is compared with what was changed since.
    pub fn depart(&self, call: &Call, known: Option<Arc<Entry>>, now: Instant) -> Departure {
        let reads = if self.is_storable(call) { call.target.reads() } else { Vec::new() };
        let depends = self.generations.snapshot(&reads);
        Departure { certain: self.generations.is_certain(&depends, now), depends, known }
    }

    /// How much of an answer's body is to be taken in before it is learned from; `None` if it streams through.
    pub fn holds(&self, call: &Call) -> Option<usize> {
        (self.is_storable(call) && call.target.method == Method::GET).then_some(self.settings.body_max)
    }

    /// Learns from an attempt: stores what may be stored, drops what a write has changed, and turns a confirmation into
    /// the answer it confirms. To be called before the client sees the outcome.
    pub fn learn(&self, call: &Call, departure: Departure, outcome: Outcome, now: Instant) -> Outcome {
        self.drop_changed(call, &outcome, now);
        match outcome {
            Outcome::Answered(reply) if self.holds(call).is_some() => {
                Outcome::Answered(self.learn_from_read(call, departure, reply, now))
            }
            other => other,
        }
    }

    fn learn_from_read(&self, call: &Call, departure: Departure, reply: Reply, now: Instant) -> Reply {
        let fresh_for = self.ttl(call);
        match (reply.status, reply.body, departure.known) {
            (StatusCode::NOT_MODIFIED, _, Some(known)) => {
                let entry = known.confirmed(&reply.headers, now, fresh_for, departure.depends);
                self.keep(
                    call,
                    entry,
                    Source::Forwarded { why: Why::Stale, confirmed: true, stored: true, collapsed: false },
                    departure.certain,
                )
            }
            (StatusCode::OK, Body::Held(body), known) if may_be_stored(&reply.headers) => {
                let why = if known.is_some() { Why::Stale } else { Why::UriMiss };
                let depends = departure.depends;
                let entry = Entry {
                    status: reply.status,
                    headers: reply.headers,
                    body,
                    fetched: now,
                    fresh_for,
                    depends,
                };
                self.keep(
                    call,
                    entry,
                    Source::Forwarded { why, confirmed: false, stored: true, collapsed: false },
                    departure.certain,
                )
            }
            (status, body, known) => {
                let why = if known.is_some() { Why::Stale } else { Why::UriMiss };
                Reply { status, headers: reply.headers, body, source: Source::forwarded(why) }
            }
        }
    }

    /// Stores `entry` unless what it depends on has changed since it was asked for, or was about to change then.
    fn keep(&self, call: &Call, entry: Entry, source: Source, certain: bool) -> Reply {
        let kept = certain && self.generations.is_current(&entry.depends) && !entry.fresh_for.is_zero();
        let Source::Forwarded { why, confirmed, collapsed, .. } = source else { return entry.reply(source) };
        let reply = entry.reply(Source::Forwarded { why, confirmed, stored: kept, collapsed });
        if kept {
            self.entries.insert(key(call).into(), Arc::new(entry));
        }
        reply
    }

    fn drop_changed(&self, call: &Call, outcome: &Outcome, now: Instant) {
        let effect = effect(outcome);
        if effect == Effect::None {
            return;
        }
        let changes = call.target.changes();
        if changes == Changes::Tags(Vec::new()) {
            return;
        }
        match effect {
            Effect::Unknown => self.generations.doubt(&changes, now + DOUBT),
            Effect::Done | Effect::None => self.generations.advance(&changes),
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
            let language = call.headers.get(header::ACCEPT_LANGUAGE).map_or(&b""[..], |v| v.as_bytes());
            Cow::Owned(format!("{}\n{}", call.target.key(), String::from_utf8_lossy(language)))
        }
        _ => Cow::Borrowed(call.target.key()),
    }
}

/// What an attempt did to Logto's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Surely nothing.
    None,
    /// What was asked, or a part of it.
    Done,
    /// Nobody knows, and it may still be done.
    Unknown,
}

fn effect(outcome: &Outcome) -> Effect {
    match outcome {
        Outcome::Failed(failure) if failure.surely_not_processed() => Effect::None,
        Outcome::Failed(_) => Effect::Unknown,
        Outcome::Answered(reply) if reply.status.is_client_error() => Effect::None,
        Outcome::Answered(reply)
            if reply.status.is_server_error() && !reply.headers.contains_key(LOGTO_REQUEST_ID) =>
        {
            Effect::Unknown
        }
        Outcome::Answered(_) => Effect::Done,
    }
}

/// Logto's answers carry neither; whoever adds them means it.
fn may_be_stored(headers: &HeaderMap) -> bool {
    let forbids = |value: &http::HeaderValue| {
        value.to_str().is_ok_and(|v| directives(v).any(|d| d == "no-store" || d == "private"))
    };
    !headers.contains_key(header::SET_COOKIE) && !headers.get_all(header::CACHE_CONTROL).iter().any(forbids)
}

/// What a client says about stored answers (RFC 9111 §5.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Any,
    NoStore,
    OnlyIfCached,
    /// `no-cache` or `max-age=0`.
    Confirmed,
}

impl Wish {
    fn of(headers: &HeaderMap) -> Self {
        let mut wish = Self::Any;
        for value in headers.get_all(header::CACHE_CONTROL).iter().filter_map(|v| v.to_str().ok()) {
            for directive in directives(value) {
                wish = match directive.as_str() {
                    "no-store" => return Self::NoStore,
                    "only-if-cached" => Self::OnlyIfCached,
                    "no-cache" | "max-age=0" if wish == Self::Any => Self::Confirmed,
                    _ => wish,
                };
            }
        }
        wish
    }

    fn wants_confirmation(self, age: Duration) -> bool {
        self == Self::Confirmed && age >= CONFIRM_INTERVAL
    }
}

fn directives(value: &str) -> impl Iterator<Item = String> {
    value.split(',').map(|d| d.trim().to_ascii_lowercase())
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
