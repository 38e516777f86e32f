//! One connection: its protocol, its time-outs, and its end.

#![expect(clippy::disallowed_methods, reason = "connections are timed")]

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method, Request, Response, Version, header};
use http_body::Body as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::time::{Instant, sleep};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceBuilder;
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

use super::{Serving, Settings};
use crate::caller::Peer;
use crate::connect::Stream;
use crate::observe::OutBody;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// A body as it leaves: HTTP/1.1's as it is, HTTP/2's watched.
type RimBody = Either<OutBody, UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>>;

/// HTTP/2 streams that one client may have open.
const STREAMS_MAX: u32 = 64;
/// While draining, how long connections may go on to bring requests that are already on their way.
const DRAIN_GRACE: Duration = Duration::from_millis(250);

/// One connection, until it is closed by either side, falls silent, or the drain ends it.
pub(super) async fn serve_connection<S, F>(stream: Stream, peer: Peer, serving: &Serving<S>)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<OutBody>> + Send + 'static,
{
    let Settings { header_timeout, write_timeout, answer_timeout, .. } = serving.settings;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write_timeout));
    let talk = Arc::new(Talk::default());
    let builder = builder(&serving.settings);
    let service = rim(serving, peer, Arc::clone(&talk));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Box::pin(stream)), service));
    // hyper waits without limit for the bytes that tell HTTP/1.1 from HTTP/2, and lets an HTTP/2 client idle for ever.
    let mut silence = pin!(sleep(header_timeout));
    let (mut heard, mut sent_away) = (0, false);
    let mut grace = pin!(serving.stop.cancelled().then(|()| sleep(DRAIN_GRACE)));
    let mut open = true;
    loop {
        tokio::select! {
            // How a connection ends is the client's business; the exchanges on it were logged one by one.
            _ended = connection.as_mut() => return,
            () = talk.stuck.cancelled() => return,
            () = silence.as_mut() => {
                let begun = talk.begun.load(Ordering::Relaxed);
                let idle = begun == heard && talk.under_way.load(Ordering::Relaxed) == 0;
                if begun == 0 || (sent_away && idle) {
                    return;
                }
                heard = begun;
                if idle {
                    // hyper keeps what an HTTP/2 client has not taken, and the connection with it, without limit.
                    connection.as_mut().graceful_shutdown();
                    sent_away = true;
                }
                let patience = if sent_away { answer_timeout } else { header_timeout };
                silence.as_mut().reset(Instant::now() + patience);
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
    peer: Peer,
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
    let handle = tower::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let on_its_way = OnItsWay::begin(Arc::clone(&talk));
        let (http1, is_head) = (request.version() < Version::HTTP_2, request.method() == Method::HEAD);
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
            if let (false, Some(length @ 1..)) = (is_head, response.body().size_hint().exact()) {
                // A watched body no longer tells its own.
                response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(length));
            }
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
