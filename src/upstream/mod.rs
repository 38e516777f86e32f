//! The way to Logto: one HTTP/1.1 client with a small pool of connections.

#![expect(clippy::disallowed_methods, reason = "attempts have deadlines")]

mod pool;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout, timeout_at};

use self::pool::{Lease, Patience, Pool};
use crate::call::{Call, body_to_send};
use crate::connect::{Connector, Origin};
use crate::reply::{Body, BodyError, Failure, Outcome, Reply, Streaming, VIA};

/// How Logto is spoken to.
#[derive(Clone)]
pub struct Settings {
    /// Whereto. Its authority is the `Host` of every call: it picks the tenant.
    pub origin: Origin,
    /// From sending to the answer's head, and between two parts of its body.
    pub response_timeout: Duration,
}

/// Error answers are small, and rooms look into them: they are taken in whole up to here.
const ERROR_BODY_MAX: usize = 64 * 1024;

/// Headers that end at the next hop (RFC 9110 §7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// The room. One HTTP/1.1 client: at 17 calls a second HTTP/2 would buy nothing and stall all of them on a dead
/// connection.
pub struct Upstream {
    pool: Pool,
    host: HeaderValue,
    response_timeout: Duration,
    forward_headers: Vec<HeaderName>,
}

impl Upstream {
    /// A client without a connection yet. `forward_headers` go upstream beside the usual ones.
    pub fn new(settings: &Settings, connector: Connector, forward_headers: Vec<HeaderName>) -> Self {
        let host = HeaderValue::try_from(settings.origin.authority())
            .expect("an origin's authority is a header value");
        let pool = Pool::new(connector);
        Self { pool, host, response_timeout: settings.response_timeout, forward_headers }
    }

    /// Sends `call` once and waits for the answer's head; error answers come with their whole body. `deadline` bounds
    /// all of it, a streamed body included.
    pub async fn send(
        &self,
        call: &Call,
        authorization: &HeaderValue,
        validator: Option<&HeaderValue>,
        deadline: Instant,
    ) -> Outcome {
        match self.attempt(call, authorization, validator, deadline).await {
            Ok(reply) => Outcome::Answered(reply),
            Err(failure) => Outcome::Failed(failure),
        }
    }

    async fn attempt(
        &self,
        call: &Call,
        authorization: &HeaderValue,
        validator: Option<&HeaderValue>,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let Some(body) = body_to_send(&call.body) else { return Err(Failure::NotSent) };
        let request = self.request(call, authorization, validator, body);
        let (response, mut lease) = self.pool.send(request, self.patience(call, deadline)).await?;
        if !call.is_replayable() {
            // An upload that is answered early is still being sent: nobody else may wait behind it.
            lease.retire();
        }
        let reply = self.reply(response, lease, deadline);
        if reply.status.is_client_error() || reply.status.is_server_error() {
            return Ok(reply.hold_or_empty(ERROR_BODY_MAX).await);
        }
        Ok(reply)
    }

    /// An upload is answered only after all of it has arrived, which has a bound of its own.
    fn patience(&self, call: &Call, deadline: Instant) -> Patience {
        let now = Instant::now();
        let until = if call.is_replayable() { deadline.min(now + self.response_timeout) } else { deadline };
        Patience { until, length: until.saturating_duration_since(now) }
    }

    fn request(
        &self,
        call: &Call,
        authorization: &HeaderValue,
        validator: Option<&HeaderValue>,
        body: Streaming,
    ) -> Request<Streaming> {
        let mut headers = call.headers_for_upstream(&self.forward_headers);
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::AUTHORIZATION, authorization.clone());
        // One stored answer serves everybody: Logto's one ETag covers all codings.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::VIA, VIA);
        if let Some(etag) = validator {
            headers.insert(header::IF_NONE_MATCH, etag.clone());
        }
        if call.sends_nothing() {
            // RFC 9110 §8.6: some edges ask for it.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
        }
        let mut request = Request::new(body);
        *request.method_mut() = call.target.method.clone();
        *request.uri_mut() = call.target.raw.clone().into();
        *request.headers_mut() = headers;
        request
    }

    fn reply(&self, response: Response<Incoming>, lease: Lease, deadline: Instant) -> Reply {
        let (head, body) = response.into_parts();
        let mut headers = head.headers;
        strip_hop_by_hop(&mut headers);
        if body.is_end_stream() {
            lease.give_back();
            return Reply::new(head.status, headers, Body::Held(Bytes::new()));
        }
        Reply::new(head.status, headers, Body::Streaming(self.streamed(body, lease, deadline)))
    }

    /// The answer's body as it comes, bounded in the time between two parts and altogether. The connection goes back to
    /// the pool with its last part, and is closed when it is dropped before.
    fn streamed(&self, body: Incoming, lease: Lease, deadline: Instant) -> Streaming {
        let patience = self.response_timeout;
        let state = Some((body, lease));
        StreamBody::new(stream::unfold(state, move |state| async move {
            let (mut body, lease) = state?;
            match timeout_at(deadline, timeout(patience, body.frame())).await {
                Ok(Ok(Some(Ok(frame)))) if body.is_end_stream() => {
                    // Whoever sends this on by its length does not ask for more.
                    lease.give_back();
                    Some((Ok(frame), None))
                }
                Ok(Ok(Some(Ok(frame)))) => Some((Ok(frame), Some((body, lease)))),
                Ok(Ok(Some(Err(_)))) => Some((Err::<Frame<Bytes>, _>(BodyError::Broken), None)),
                Ok(Ok(None)) => {
                    lease.give_back();
                    None
                }
                Ok(Err(_)) | Err(_) => Some((Err(BodyError::Stalled), None)),
            }
        }))
        .boxed_unsync()
    }
}

/// Also `Alt-Svc`, which speaks of Logto's own host and would lead clients past this gateway, and a length that a
/// transfer coding overrides (RFC 9112 §6.3): forwarded, it would cut the answer at the wrong place.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    headers.remove(header::ALT_SVC);
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}
