//! A Logto to test and demo against: token endpoint, Management API, limiter, and faults on demand.
//!
//! It answers as a real Logto does on the wire, header for header. It keeps everything in memory, within
//! limits, and its time is tokio's: on paused time and in-memory streams it is exact and never waits. Who
//! drives it from outside orders faults at `/simulator/faults`; `control.rs` says how.

mod answer;
mod api;
mod applications;
mod body;
mod clock;
mod conditional;
mod control;
mod counting;
mod fault;
mod holders;
mod limiter;
mod links;
mod members;
mod oidc;
mod organizations;
mod paging;
mod records;
mod roles;
mod routes;
mod search;
mod seed;
mod settings;
mod store;
mod system;
#[cfg(test)]
mod tests;
mod tokens;
mod users;
mod way;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use self::fault::{Fault, FaultKind};
pub use self::limiter::{Counter, Limiter, Model};
pub use self::records::{Kind, Received};
pub use self::settings::Settings;

use self::clock::{Clock, Moment};
use self::fault::Faults;
use self::records::Records;
use self::store::Store;
use self::tokens::{Tokens, Trust};

/// Node closes a connection a second after the five that it announces in `Keep-Alive`.
const IDLE_MAX: Duration = Duration::from_secs(6);
/// The largest head of a request; beyond it the answer is 431.
const HEAD_MAX: usize = 16 * 1024;
/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A simulated Logto. Clones are the same Logto.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    connections: Arc<Semaphore>,
    state: Mutex<State>,
}

/// Everything that changes.
struct State {
    settings: Settings,
    store: Store,
    tokens: Tokens,
    limiter: Option<Counter>,
    throttled: usize,
    faults: Faults,
    records: Records,
}

impl Simulator {
    /// A fresh tenant.
    pub fn new(settings: Settings) -> Self {
        let clock = Clock::start();
        let state = State {
            store: seed::tenant(&settings, clock.now().unix_millis()),
            tokens: Tokens::new(),
            limiter: settings.limiter.clone().map(|rule| Counter::new(rule, clock.now().at)),
            throttled: 0,
            faults: Faults::default(),
            records: Records::new(settings.records_max),
            settings,
        };
        let connections = Arc::new(Semaphore::new(state.settings.connections_max));
        Self { shared: Arc::new(Shared { clock, connections, state: Mutex::new(state) }) }
    }

    /// Serves every connection that arrives, until it is dropped; its connections end with it.
    pub async fn serve(&self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let simulator = self.clone();
                        connections.spawn(async move { simulator.serve_tcp(stream).await });
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// Serves one HTTP/1.1 connection on any stream, to its end.
    pub async fn serve_connection<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answer = |request| way::answer(self.clone(), request);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_MAX)
            .max_header_size(HEAD_MAX)
            .title_case_headers(true)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service_fn(answer));
        // It fails when the client leaves or a fault closes it: nobody is left to be told.
        connection.await.ok();
    }

    async fn serve_tcp(&self, stream: TcpStream) {
        // Beyond the limit a connection is closed at once.
        let Ok(_seat) = Arc::clone(&self.shared.connections).try_acquire_owned() else { return };
        stream.set_nodelay(true).ok();
        self.serve_connection(stream).await;
    }
}

/// What tests ask it.
impl Simulator {
    /// Every request received, in order, up to the limit of records.
    pub fn received(&self) -> Vec<Received> {
        self.with(|state, _| state.records.rows().cloned().collect())
    }

    /// How many requests of this method had a path that starts with `path`.
    pub fn count(&self, method: &Method, path: &str) -> usize {
        let counts = |row: &&Received| row.method == *method && row.path_and_query.starts_with(path);
        self.with(|state, _| state.records.rows().filter(counts).count())
    }

    /// How many requests the token endpoint has received.
    pub fn token_requests(&self) -> usize {
        self.count(&Method::POST, "/oidc/token")
    }

    /// The most requests, refused ones and token requests included, in any window `[t, t + window)`.
    pub fn busiest_window(&self, window: Duration) -> usize {
        self.with(|state, _| state.records.busiest(window))
    }

    /// How many requests the limiter has refused.
    pub fn throttled(&self) -> usize {
        self.with(|state, _| state.throttled)
    }
}

/// What can be done to it.
impl Simulator {
    /// Every token issued so far is refused from now on, with 401; new ones work.
    pub fn revoke_tokens(&self) {
        self.with(|state, _| state.tokens.revoke());
    }

    /// Refuses every token, fresh ones too, or stops doing so.
    pub fn refuse_tokens(&self, refuse: bool) {
        let trust = if refuse { Trust::Nobody } else { Trust::Issued };
        self.with(|state, _| state.tokens.trust(trust));
    }

    /// Adds a fault; the oldest one that matches a request strikes it.
    pub fn fault(&self, fault: Fault) {
        self.with(|state, _| state.faults.add(fault));
    }

    /// Takes every fault away.
    pub fn clear_faults(&self) {
        self.with(|state, _| state.faults.clear());
    }

    /// Gives the application the role for the Management API, or takes it away. Tokens keep what they have.
    pub fn set_role(&self, has_role: bool) {
        self.with(|state, _| seed::set_role(&mut state.store, &state.settings.app_id, has_role));
    }

    /// Leaves the application with one secret, which doesn't expire.
    pub fn set_secret(&self, secret: &str) {
        self.with(|state, moment| {
            seed::set_secret(&mut state.store, &state.settings.app_id, secret, moment.unix_millis());
        });
    }

    /// Makes every secret of the application expired, or good again.
    pub fn set_secret_expired(&self, expired: bool) {
        self.with(|state, moment| {
            let end = expired.then_some(moment.unix_millis());
            for secret in state.store.secrets.get_mut(&state.settings.app_id).into_iter().flatten() {
                secret["expiresAt"] = end.into();
            }
        });
    }

    /// Puts another limiter in front, which has counted nothing yet, or none.
    pub fn set_limiter(&self, limiter: Option<Limiter>) {
        self.with(|state, moment| state.limiter = limiter.map(|rule| Counter::new(rule, moment.at)));
    }

    /// Changes how long every answer takes.
    pub fn set_latency(&self, latency: Duration) {
        self.with(|state, _| state.settings.latency = latency);
    }

    /// Changes how long tokens live that are issued from now on.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.with(|state, _| state.settings.token_lifetime = lifetime);
    }

    /// The one place where the state is locked; nothing waits inside.
    fn with<T>(&self, act: impl FnOnce(&mut State, Moment) -> T) -> T {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut state, self.shared.clock.now())
    }
}
