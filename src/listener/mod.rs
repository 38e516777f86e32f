//! Accepts connections, speaks HTTP/1.1 and h2c on them, keeps their limits, and drains.

mod connection;
mod socket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::connection::serve_connection;
pub use self::socket::BindError;
use self::socket::{Socket, bind_localhost, bind_tcp, bind_unix};
use crate::metrics::Metrics;
use crate::observe::OutBody;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Both loopbacks, 127.0.0.1 and ::1, on one port.
    Localhost(u16),
    /// One address.
    Tcp(SocketAddr),
    /// A Unix socket, mode 0660.
    Unix(PathBuf),
}

/// Limits of one listener.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connections open at once; further ones wait to be accepted.
    pub connections_max: usize,
    /// Time for a request's head; also how long a connection may idle.
    pub header_timeout: Duration,
    /// Time for which a reader may take nothing.
    pub write_timeout: Duration,
    /// Bytes of a request's head.
    pub headers_max: usize,
    /// An answer that a client has not taken in whole after this time ends its connection.
    pub answer_timeout: Duration,
}

/// Bound sockets, not yet served.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<Socket>,
}

/// How long accepting rests when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
impl Listener {
    /// Binds every address, or none.
    pub async fn bind(addresses: &[Address]) -> Result<Self, BindError> {
        let mut sockets = Vec::new();
        for address in addresses {
            match address {
                Address::Localhost(port) => sockets.extend(bind_localhost(*port).await?),
                Address::Tcp(address) => sockets.push(Socket::Tcp(bind_tcp(*address).await?)),
                Address::Unix(path) => sockets.push(bind_unix(path)?),
            }
        }
        Ok(Self { sockets })
    }

    /// What clients put before a path: `http://127.0.0.1:8480`, or `unix:/run/x.sock`.
    pub fn addresses(&self) -> Vec<String> {
        self.sockets.iter().map(Socket::address).collect()
    }

    /// The first TCP port, for clients on this machine.
    pub fn port(&self) -> Option<u16> {
        self.sockets.iter().find_map(|socket| match socket {
            Socket::Tcp(listener) => listener.local_addr().ok().map(|a| a.port()),
            Socket::Unix(..) => None,
        })
    }

    /// Serves until `stop`, then drains: accepts nothing more, answers every request that was accepted, and returns
    /// when the last connection is closed. Dropped, it closes all of them at once.
    pub async fn serve<S, F>(
        self,
        name: &'static str,
        settings: Settings,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
        service: S,
    ) where
        S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<OutBody>> + Send + 'static,
    {
        let room = Arc::new(Semaphore::new(settings.connections_max));
        let serving = Arc::new(Serving { name, settings, metrics, stop, service });
        let mut accepting = JoinSet::new();
        for socket in self.sockets {
            accepting.spawn(accept(socket, Arc::clone(&serving), Arc::clone(&room)));
        }
        while accepting.join_next().await.is_some() {}
    }
}

/// What all connections of a listener share.
struct Serving<S> {
    name: &'static str,
    settings: Settings,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    service: S,
}

async fn accept<S, F>(socket: Socket, serving: Arc<Serving<S>>, room: Arc<Semaphore>)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<OutBody>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            // Those that the system has accepted for us already are served as well.
            () = serving.stop.cancelled() => match socket.accept().now_or_never() {
                Some(accepted) => accepted,
                None => break,
            },
        };
        match accepted {
            Ok((stream, peer)) => {
                let place = tokio::select! {
                    biased;
                    place = Arc::clone(&room).acquire_owned() => place.expect("nobody closes it"),
                    () = serving.stop.cancelled() => break,
                };
                let serving = Arc::clone(&serving);
                connections.spawn(async move {
                    let _open = serving.metrics.connected(serving.name);
                    serve_connection(stream, peer, &serving).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(listener = serving.name, %error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(socket);
    while connections.join_next().await.is_some() {}
}
