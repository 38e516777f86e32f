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

use self::pool::{Lease, Pool};
use crate::call::{Call, body_to_send};
use crate::connect::{Connector, Origin};
use crate::reply::{Body, BodyError, Failure, Outcome, Reply, Streaming};

/// How Logto is spoken to.
#[derive(Clone)]
pub struct Settings {
    /// Whereto. Its authority is the `Host` of every call: it picks the tenant.
    pub origin: Origin,
    /// From sending to the answer's head, and between two parts of its body.
    pub response_timeout: Duration,
}

/// RFC 9110 §7.6.3.
const VIA: HeaderValue = HeaderValue::from_static("1.1 logto-gateway");

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

    /// Sends `call` once and waits for the answer's head; error answers come with their whole body.
    pub async fn send(
        &self,
        call: &Call,
        authorization: &HeaderValue,
        validator: Option<&HeaderValue>,
    ) -> Outcome {
        match self.attempt(call, authorization, validator).await {
            Ok(reply) => Outcome::Answered(reply),
            Err(failure) => Outcome::Failed(failure),
        }
    }

    async fn attempt(
        &self,
        call: &Call,
        authorization: &HeaderValue,
        validator: Option<&HeaderValue>,
    ) -> Result<Reply, Failure> {
        let Some(body) = body_to_send(&call.body) else { return Err(Failure::NotSent) };
        let request = self.request(call, authorization, validator, body);
        let sent = Instant::now();
        let latest = self.latest(call, sent);
        let (response, lease) = timeout_at(latest, self.pool.send(request))
            .await
            .unwrap_or_else(|_elapsed| Err(Failure::TimedOut(latest - sent)))?;
        let reply = self.reply(response, lease, call.deadline);
        if reply.status.is_client_error() || reply.status.is_server_error() {
            return reply.hold(ERROR_BODY_MAX).await.map_err(|_| Failure::Broken);
        }
        Ok(reply)
    }

    /// An upload is answered only after all of it has arrived, which has a bound of its own.
    fn latest(&self, call: &Call, sent: Instant) -> Instant {
        if call.is_replayable() { call.deadline.min(sent + self.response_timeout) } else { call.deadline }
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
        // Whoever writes no body reads none either: the connection would be lost with every 204.
        let body = if body.is_end_stream() {
            lease.give_back();
            Body::Held(Bytes::new())
        } else {
            Body::Streaming(self.streamed(body, lease, deadline))
        };
        Reply::new(head.status, headers, body)
    }

    /// The answer's body as it comes, bounded in the time between two parts and altogether. The connection goes back to
    /// the pool at its end, and is closed when it is dropped before.
    fn streamed(&self, body: Incoming, lease: Lease, deadline: Instant) -> Streaming {
        let patience = self.response_timeout;
        let state = Some((body, lease));
        StreamBody::new(stream::unfold(state, move |state| async move {
            let (mut body, lease) = state?;
            match timeout_at(deadline, timeout(patience, body.frame())).await {
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

fn strip_hop_by_hop(headers: &mut HeaderMap) {
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
