//! Reads a request's body and wishes, within their limits.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Frame;
use http_body_util::{BodyExt, LengthLimitError, Limited, StreamBody};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::wishes::Wishes;
use super::{Body, Call};
use crate::caller::Caller;
use crate::rejection::Rejection;
use crate::streaming::{BodyError, Streaming};
use crate::target::Target;

/// What a request may be, beyond its head.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest body; it is held, so that it can be sent again.
    pub body_max: usize,
    /// The largest body of an upload route; it is streamed, once.
    pub upload_max: u64,
    /// All held bodies together.
    pub held_bodies_max: usize,
    /// Time for a body to arrive; for a streamed one, between two parts.
    pub body_timeout: Duration,
    /// From accept to the last byte of the answer.
    pub call_timeout: Duration,
    /// Request headers that go upstream beside the standard ones.
    pub forward_headers: Vec<HeaderName>,
}

/// Reads requests into calls, within their limits.
pub struct Intake {
    limits: Limits,
    held: Arc<Semaphore>,
}

/// How long a client should wait when all room for bodies is taken: bodies are released as calls end.
const ROOM_RETRY: Duration = Duration::from_secs(1);

impl Intake {
    /// An intake with an empty budget of held bodies.
    pub fn new(limits: Limits) -> Self {
        let held = Arc::new(Semaphore::new(limits.held_bodies_max.min(Semaphore::MAX_PERMITS)));
        Self { limits, held }
    }

    /// The headers that the operator forwards beside the usual ones.
    pub fn forward_headers(&self) -> &[HeaderName] {
        &self.limits.forward_headers
    }

    /// Reads the body as far as this target needs it, and makes the call. `arrived` starts its deadline.
    pub async fn read<B>(
        &self,
        caller: Caller,
        target: Target,
        head: Parts,
        body: B,
        request_id: HeaderValue,
        arrived: Instant,
    ) -> Result<Call, Rejection>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let base = client_base(&head);
        let body = self.read_body(&target, body, &head.headers).await?;
        let wishes = Wishes::of(&head.headers);
        let wait = wishes.wait.filter(|wait| Duration::from_secs((*wait).into()) < self.limits.call_timeout);
        let patience = wait.map_or(self.limits.call_timeout, |wait| Duration::from_secs(wait.into()));
        let (deadline, timeout) = (arrived + patience, arrived + self.limits.call_timeout);
        let class = caller.class.max(wishes.class);
        let headers = head.headers;
        Ok(Call { caller, target, headers, base, request_id, body, arrived, deadline, timeout, wait, class })
    }

    async fn read_body<B>(&self, target: &Target, body: B, headers: &HeaderMap) -> Result<Body, Rejection>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if body.is_end_stream() {
            return Ok(Body::Empty);
        }
        let max = if target.is_upload() { self.limits.upload_max } else { self.limits.body_max as u64 };
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|size| size > max) {
            return Err(Rejection::BodyTooLarge);
        }
        if target.is_upload() {
            return Ok(Body::Once(Mutex::new(Some(self.streamed(body)))));
        }
        let held = timeout(self.limits.body_timeout, self.hold(body)).await;
        held.unwrap_or(Err(Rejection::BodyTooSlow))
    }

    async fn hold<B>(&self, mut body: B) -> Result<Body, Rejection>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let mut room = None::<OwnedSemaphorePermit>;
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Rejection::BodyBroken)?.into_data() else { continue };
            if bytes.len() + data.len() > self.limits.body_max {
                return Err(Rejection::BodyTooLarge);
            }
            bytes.extend_from_slice(&data);
            let taken = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            if let Some(more) = self.room_for(bytes.len().saturating_sub(taken))? {
                match &mut room {
                    Some(room) => room.merge(more),
                    None => room = Some(more),
                }
            }
        }
        Ok(Body::Held { bytes: bytes.freeze(), room })
    }

    fn room_for(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Rejection> {
        if bytes == 0 {
            return Ok(None);
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.held).try_acquire_many_owned(bytes);
        room.map(Some).map_err(|_| Rejection::HeldBodiesFull(ROOM_RETRY))
    }

    /// A body that is sent while it arrives: bounded in size, and in the time between two parts.
    fn streamed<B>(&self, body: B) -> Streaming
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limited = Limited::new(body, usize::try_from(self.limits.upload_max).unwrap_or(usize::MAX));
        let patience = self.limits.body_timeout;
        StreamBody::new(stream::unfold(Some(limited), move |body| async move {
            let mut body = body?;
            match timeout(patience, body.frame()).await {
                Ok(Some(Ok(frame))) => Some((Ok(frame), Some(body))),
                Ok(Some(Err(error))) => Some((Err::<Frame<Bytes>, _>(broken(&*error)), None)),
                Ok(None) => None,
                Err(_elapsed) => Some((Err(BodyError::Stalled), None)),
            }
        }))
        .boxed_unsync()
    }
}

fn broken(error: &(dyn std::error::Error + Send + Sync + 'static)) -> BodyError {
    if error.is::<LengthLimitError>() { BodyError::TooLarge } else { BodyError::Broken }
}

/// What the client called us: the guard has seen that it is one of our names.
fn client_base(head: &Parts) -> String {
    let host = head.uri.authority().map(http::uri::Authority::as_str);
    let host = host.or_else(|| head.headers.get(header::HOST).and_then(|h| h.to_str().ok()));
    ["http://", host.unwrap_or("localhost")].concat()
}
