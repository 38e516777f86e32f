//! Accepts connections, speaks HTTP/1.1 and h2c on them, keeps their limits, and drains.

#![expect(clippy::disallowed_methods, reason = "connections are timed")]

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Request, Response, Version, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceBuilder;
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

use crate::connect::Stream;
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

/// No address to listen on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}{}", remedy(.cause))]
pub struct BindError {
    address: String,
    #[source]
    cause: io::Error,
}

impl BindError {
    /// Somebody else listens there.
    pub fn is_taken(&self) -> bool {
        self.cause.kind() == io::ErrorKind::AddrInUse
    }
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            " (another process listens there; stop it, or set listen.data and listen.admin)"
        }
        io::ErrorKind::PermissionDenied => " (not permitted for this user)",
        _ => "",
    }
}

/// Bound sockets, not yet served.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<Socket>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// A body as it leaves: HTTP/1.1's as it is, HTTP/2's watched.
type RimBody = Either<OutBody, UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>>;

/// HTTP/2 streams that one client may have open.
const STREAMS_MAX: u32 = 64;
/// How long accepting rests when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// While draining, how long connections may go on to bring requests that are already on their way.
const DRAIN_GRACE: Duration = Duration::from_millis(250);

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

impl Socket {
    fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => format!("http://{address}"),
                Err(error) => format!("({error})"),
            },
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // It may be gone already; nobody is left to tell.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Some clients try ::1 first, others 127.0.0.1: both must answer, on the same port.
async fn bind_localhost(port: u16) -> Result<Vec<Socket>, BindError> {
    let v4 = bind_tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let port = v4.local_addr().map_or(port, |a| a.port());
    let mut sockets = vec![Socket::Tcp(v4)];
    match bind_tcp(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
        Ok(v6) => sockets.push(Socket::Tcp(v6)),
        Err(error) if error.is_taken() => return Err(error),
        Err(error) => {
            tracing::warn!(%error, "no IPv6 on this host; clients that insist on ::1 will not get through");
        }
    }
    Ok(sockets)
}

async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|cause| BindError { address: address.to_string(), cause })
}

/// A socket that a killed process left behind is replaced; one that answers is not, nor is any other file: connecting
/// to one is refused in the same words.
fn bind_unix(path: &PathBuf) -> Result<Socket, BindError> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let refused = |cause| BindError { address: format!("unix:{}", path.display()), cause };
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket
        && let Err(error) = std::os::unix::net::UnixStream::connect(path)
        && error.kind() == io::ErrorKind::ConnectionRefused
    {
        std::fs::remove_file(path).map_err(refused)?;
    }
    let listener = UnixListener::bind(path).map_err(refused)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(refused)?;
    Ok(Socket::Unix(listener, path.clone()))
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
        let place = tokio::select! {
            biased;
            place = Arc::clone(&room).acquire_owned() => place.expect("nobody closes it"),
            () = serving.stop.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            // Those that the system has accepted for us already are served as well.
            () = serving.stop.cancelled() => match socket.accept().now_or_never() {
                Some(accepted) => accepted,
                None => break,
            },
        };
        match accepted {
            Ok(stream) => {
                let serving = Arc::clone(&serving);
                connections.spawn(async move {
                    let _open = serving.metrics.connected(serving.name);
                    serve_connection(stream, &serving).await;
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

/// One connection, until it is closed by either side, falls silent, or the drain ends it.
async fn serve_connection<S, F>(stream: Stream, serving: &Serving<S>)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<OutBody>> + Send + 'static,
{
    let Settings { header_timeout, write_timeout, .. } = serving.settings;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write_timeout));
    let talk = Arc::new(Talk::default());
    let builder = builder(&serving.settings);
    let service = rim(serving, Arc::clone(&talk));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Box::pin(stream)), service));
    // hyper waits without limit for the bytes that tell HTTP/1.1 from HTTP/2, and lets an HTTP/2 client idle for ever.
    let mut silence = pin!(sleep(header_timeout));
    let mut heard = 0;
    let mut grace = pin!(serving.stop.cancelled().then(|()| sleep(DRAIN_GRACE)));
    let mut open = true;
    loop {
        tokio::select! {
            // How a connection ends is the client's business; the exchanges on it were logged one by one.
            _ended = connection.as_mut() => return,
            () = talk.stuck.cancelled() => return,
            () = silence.as_mut() => {
                let begun = talk.begun.load(Ordering::Relaxed);
                match (begun, talk.under_way.load(Ordering::Relaxed)) {
                    (0, _) => return,
                    (same, 0) if same == heard => connection.as_mut().graceful_shutdown(),
                    _ => heard = begun,
                }
                silence.as_mut().reset(Instant::now() + header_timeout);
            }
            () = grace.as_mut(), if open => {
                connection.as_mut().graceful_shutdown();
                open = false;
            }
        }
    }
}

/// What is said on a connection.
#[derive(Default)]
struct Talk {
    /// Requests so far.
    begun: AtomicU64,
    /// Requests whose answer has not been taken in yet.
    under_way: AtomicU64,
    /// A client does not take its answer in.
    stuck: CancellationToken,
}

/// An answer on its way. hyper does not ask for an HTTP/2 body while its client's window is closed, so nothing that
/// the body itself could measure would ever end it.
struct OnItsWay {
    talk: Arc<Talk>,
    /// Ends with it.
    watch: Option<AbortOnDropHandle<()>>,
}

impl OnItsWay {
    fn begin(talk: Arc<Talk>) -> Self {
        talk.begun.fetch_add(1, Ordering::Relaxed);
        talk.under_way.fetch_add(1, Ordering::Relaxed);
        Self { talk, watch: None }
    }

    /// From now on the answer is the client's to take.
    fn watched(mut self, limit: Duration) -> Self {
        let stuck = self.talk.stuck.clone();
        self.watch = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            sleep(limit).await;
            stuck.cancel();
        })));
        self
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.talk.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

fn builder(settings: &Settings) -> Builder<TokioExecutor> {
    /// Below this hyper refuses to work.
    const BUFFER_MIN: usize = 8192;
    let mut builder = Builder::new(TokioExecutor::new());
    let headers = u32::try_from(settings.headers_max).unwrap_or(u32::MAX);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_buf_size(settings.headers_max.max(BUFFER_MIN));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(headers)
        .keep_alive_interval(settings.header_timeout)
        .keep_alive_timeout(settings.header_timeout);
    builder
}

/// What every request of a listener has in common: credentials are marked, so that no debug output shows them; HTTP/1.1
/// clients are told how long they may idle, and when to come back on a new connection.
fn rim<S, F>(
    serving: &Serving<S>,
    talk: Arc<Talk>,
) -> TowerToHyperService<
    impl tower::Service<
        Request<Incoming>,
        Response = Response<RimBody>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static,
>
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<OutBody>> + Send + 'static,
{
    let Settings { header_timeout, answer_timeout, .. } = serving.settings;
    let idle = HeaderValue::try_from(format!("timeout={}", header_timeout.as_secs())).expect("a number");
    let (service, stop) = (serving.service.clone(), serving.stop.clone());
    let handle = tower::service_fn(move |request: Request<Incoming>| {
        let on_its_way = OnItsWay::begin(Arc::clone(&talk));
        let http1 = request.version() < Version::HTTP_2;
        let (answer, idle, stop) = (service(request), idle.clone(), stop.clone());
        async move {
            let mut response = answer.await;
            if http1 {
                let (name, value) = if stop.is_cancelled() {
                    (header::CONNECTION, HeaderValue::from_static("close"))
                } else {
                    (KEEP_ALIVE, idle)
                };
                response.headers_mut().insert(name, value);
                return Ok(response.map(Either::Left));
            }
            let on_its_way = on_its_way.watched(answer_timeout);
            let watched = move |frame| {
                let _until_the_body_is_dropped = &on_its_way;
                frame
            };
            Ok(response.map(|body| Either::Right(body.map_frame(watched).boxed_unsync())))
        }
    });
    let marked = SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, header::COOKIE]);
    TowerToHyperService::new(ServiceBuilder::new().layer(marked).service(handle))
}
