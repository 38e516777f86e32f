//! Connections that wait for the next call, newest first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::connect::Connector;
use crate::reply::{BodyError, Failure, Streaming};

/// Logto closes a connection that was idle for five seconds: it is not reused so late that both happen at once.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// So many connections are kept; further ones are closed after use.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// How long an idle connection may take to say that it is ready.
const READY_MAX: Duration = Duration::from_millis(100);

/// Idle connections, and the way to new ones.
pub(super) struct Pool {
    connector: Connector,
    idle: Arc<Mutex<Vec<Idle>>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

struct Connection {
    sender: SendRequest<Streaming>,
    /// Moves the bytes; ends with the connection.
    _driver: AbortOnDropHandle<()>,
}

/// A connection in use. Dropped, it is closed: half an answer may be left on it.
pub(super) struct Lease {
    connection: Connection,
    /// Where it goes back to, if it may serve again.
    home: Option<Arc<Mutex<Vec<Idle>>>>,
}

/// How long an answer is waited for.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    pub(super) until: Instant,
    /// What is said when it was too long.
    pub(super) length: Duration,
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, idle: Arc::default() }
    }

    /// Sends on an idle connection, or on a new one. An idle connection that turns out to be closed before the request
    /// went out is replaced at once: hyper gives the request back, so nothing can be sent twice.
    pub(super) async fn send(
        &self,
        mut request: Request<Streaming>,
        patience: Patience,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        if now() >= patience.until {
            return Err(Failure::TooLate);
        }
        while let Some(connection) = self.reusable().await {
            match self.send_on(connection, request, patience).await {
                Err(Unsent::GivenBack(unsent)) => request = *unsent,
                Err(Unsent::Lost(failure)) => return Err(failure),
                Ok(answered) => return Ok(answered),
            }
        }
        let connection = timeout_at(patience.until, self.connect()).await.unwrap_or(Err(Failure::TooLate))?;
        self.send_on(connection, request, patience).await.map_err(|unsent| match unsent {
            Unsent::GivenBack(_) => Failure::NotSent,
            Unsent::Lost(failure) => failure,
        })
    }

    async fn send_on(
        &self,
        mut connection: Connection,
        request: Request<Streaming>,
        patience: Patience,
    ) -> Result<(Response<Incoming>, Lease), Unsent> {
        match timeout_at(patience.until, connection.sender.try_send_request(request)).await {
            Ok(Ok(response)) => Ok((response, Lease { connection, home: Some(Arc::clone(&self.idle)) })),
            Ok(Err(mut error)) => Err(match error.take_message() {
                Some(request) => Unsent::GivenBack(Box::new(request)),
                None => Unsent::Lost(failure(error.error())),
            }),
            Err(_elapsed) => Err(Unsent::Lost(Failure::TimedOut(patience.length))),
        }
    }

    /// The idle connection used last, as long as it is young and open.
    async fn reusable(&self) -> Option<Connection> {
        loop {
            let mut idle = {
                let mut connections = lock(&self.idle);
                connections.retain(Idle::is_young);
                connections.pop()?
            };
            // Its last answer was read to the end, so it is ready unless it is broken.
            if let Ok(Ok(())) = timeout(READY_MAX, idle.connection.sender.ready()).await {
                return Some(idle.connection);
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let stream = self.connector.connect().await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| Failure::NotSent)?;
        // How it ends is told to whoever waits for an answer on it.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { sender, _driver: AbortOnDropHandle::new(driver) })
    }
}

/// What became of a request that got no answer.
enum Unsent {
    /// Not a byte of it was written.
    GivenBack(Box<Request<Streaming>>),
    Lost(Failure),
}

fn failure(error: &hyper::Error) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(body) = error.downcast_ref::<BodyError>() {
            return Failure::RequestBody(*body);
        }
        cause = error.source();
    }
    if error.is_parse() { Failure::BadReply } else { Failure::Broken }
}

impl Lease {
    /// It serves this once and no more.
    pub(super) fn retire(&mut self) {
        self.home = None;
    }

    /// The answer was read to its end: the connection may serve the next call.
    pub(super) fn give_back(self) {
        let Some(home) = &self.home else { return };
        let mut idle = lock(home);
        if idle.len() < IDLE_CONNECTIONS_MAX && !self.connection.sender.is_closed() {
            idle.push(Idle { connection: self.connection, since: now() });
        }
    }
}

impl Idle {
    fn is_young(&self) -> bool {
        self.since.elapsed() < IDLE_MAX && !self.connection.sender.is_closed()
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a connection has been idle is this pool's business")]
fn now() -> Instant {
    Instant::now()
}

fn lock(idle: &Mutex<Vec<Idle>>) -> MutexGuard<'_, Vec<Idle>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
