//! One fetch that many wait for.

use std::collections::HashMap;
use std::collections::hash_map;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, StatusCode};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::effect::may_be_shared;
use super::generations::Snapshot;
use crate::audience::Audience;
use crate::call::Call;
use crate::rejection::Rejection;
use crate::reply::{Body, Reply, Source, Timing};

/// The flights under way, by key. A flight belongs to nobody aboard: it lands though its first passenger has left.
pub(super) struct Flights {
    aloft: Arc<Mutex<HashMap<Box<str>, Arc<Flight>>>>,
    tasks: TaskTracker,
}

struct Flight {
    /// What its answer depends on, as it was when it was made: nobody boards after a change.
    depends: Snapshot,
    landing: watch::Sender<Option<Landing>>,
    /// Those aboard; changed under the lock of `aloft`.
    audience: Arc<Audience>,
}

/// How a flight ended.
#[derive(Clone)]
enum Landing {
    /// Everybody aboard may have it.
    Shared(Arc<Held>),
    /// Its body is too large to be held, or it says that it is meant for one: whoever comes first takes it, the others
    /// fetch for themselves.
    ForOne(Arc<Mutex<Option<Reply>>>),
    Refused(Rejection),
}

/// A reply whose body is held: it can be handed out any number of times.
struct Held {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    source: Source,
    timing: Option<Timing>,
}

/// What a passenger gets.
#[expect(clippy::large_enum_variant, reason = "it is handed over once, and nearly always a reply")]
pub(super) enum Arrival {
    Reply(Reply),
    /// Somebody else took the only one there was.
    FetchAlone,
}

/// A passenger's place; the flight is abandoned when the last one is dropped.
pub(super) struct Seat {
    flight: Arc<Flight>,
    key: Box<str>,
    aloft: Arc<Mutex<HashMap<Box<str>, Arc<Flight>>>>,
    landing: watch::Receiver<Option<Landing>>,
    /// Whether the flight was there already.
    pub(super) collapsed: bool,
}

impl Flights {
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self { aloft: Arc::default(), tasks }
    }

    /// Boards the flight for `key`, or starts it: `fetch` is called for a new one, with those aboard.
    pub(super) fn board<F>(
        &self,
        key: &str,
        depends: Snapshot,
        may_board: impl Fn(&Snapshot) -> bool,
        call: &Call,
        fetch: impl FnOnce(Arc<Audience>) -> F,
    ) -> Seat
    where
        F: Future<Output = Result<Reply, Rejection>> + Send + 'static,
    {
        let mut aloft = lock(&self.aloft);
        if let Some(flight) = aloft.get(key)
            && may_board(&flight.depends)
            && flight.audience.join(call.class, call.deadline)
        {
            return self.seat(flight, key, true);
        }
        let audience = Arc::new(Audience::of_one(call.class, call.deadline));
        let flight =
            Arc::new(Flight { depends, landing: watch::Sender::new(None), audience: Arc::clone(&audience) });
        aloft.insert(key.into(), Arc::clone(&flight));
        drop(aloft);
        self.tasks.spawn(land(Arc::clone(&self.aloft), key.into(), Arc::clone(&flight), fetch(audience)));
        self.seat(&flight, key, false)
    }

    fn seat(&self, flight: &Arc<Flight>, key: &str, collapsed: bool) -> Seat {
        Seat {
            flight: Arc::clone(flight),
            key: key.into(),
            aloft: Arc::clone(&self.aloft),
            landing: flight.landing.subscribe(),
            collapsed,
        }
    }
}

/// Flies to the end. A panic is a refusal for everybody aboard, not a wait without end.
async fn land<F>(
    aloft: Arc<Mutex<HashMap<Box<str>, Arc<Flight>>>>,
    key: Box<str>,
    flight: Arc<Flight>,
    fetch: F,
) where
    F: Future<Output = Result<Reply, Rejection>> + Send,
{
    let fetched = AssertUnwindSafe(fetch).catch_unwind().await;
    let landing = match fetched.unwrap_or(Err(Rejection::Internal)) {
        Ok(Reply { status, headers, body: Body::Held(body), source, timing }) if may_be_shared(&headers) => {
            Landing::Shared(Arc::new(Held { status, headers, body, source, timing }))
        }
        Ok(reply) => Landing::ForOne(Arc::new(Mutex::new(Some(reply)))),
        Err(rejection) => Landing::Refused(rejection),
    };
    take_down(&aloft, &key, &flight);
    flight.landing.send_replace(Some(landing));
}

fn take_down(aloft: &Mutex<HashMap<Box<str>, Arc<Flight>>>, key: &str, flight: &Arc<Flight>) {
    if let hash_map::Entry::Occupied(entry) = lock(aloft).entry(key.into())
        && Arc::ptr_eq(entry.get(), flight)
    {
        entry.remove();
    }
}

impl Seat {
    /// Whether the call is on its way.
    pub(super) fn was_sent(&self) -> bool {
        self.flight.audience.standing().sent
    }

    /// Waits for the landing.
    pub(super) async fn arrival(&mut self) -> Result<Arrival, Rejection> {
        let landed = self.landing.wait_for(Option::is_some).await.map_err(|_| Rejection::Internal)?;
        match landed.as_ref() {
            Some(Landing::Shared(held)) => Ok(Arrival::Reply(held.reply(self.collapsed))),
            Some(Landing::ForOne(reply)) => {
                let first = lock(reply).take();
                Ok(first.map_or(Arrival::FetchAlone, Arrival::Reply))
            }
            // All had left before this passenger boarded.
            Some(Landing::Refused(Rejection::Abandoned)) => Ok(Arrival::FetchAlone),
            Some(Landing::Refused(rejection)) => Err(rejection.clone()),
            None => Err(Rejection::Internal),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut aloft = lock(&self.aloft);
        // Once it was sent it lands, and whoever comes meanwhile may still have it.
        let ends = self.flight.audience.leave() && !self.was_sent();
        if ends && aloft.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            aloft.remove(&self.key);
        }
    }
}

impl Held {
    fn reply(&self, collapsed: bool) -> Reply {
        let source = match self.source {
            Source::Forwarded { why, confirmed, stored, .. } => {
                Source::Forwarded { why, confirmed, stored, collapsed }
            }
            stored @ Source::Stored { .. } => stored,
        };
        Reply {
            status: self.status,
            headers: self.headers.clone(),
            body: Body::Held(self.body.clone()),
            source,
            timing: self.timing,
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
