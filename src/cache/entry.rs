//! One stored answer: made from a reply, and made into replies.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::time::Instant;

use super::generations::Snapshot;
use crate::reply::{Body, Reply, Source};

/// A stored answer. Immutable: a confirmation or a new fetch makes a new one.
pub struct Entry {
    pub(super) status: StatusCode,
    /// As Logto sent them, without those of the hop.
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) fetched: Instant,
    pub(super) fresh_for: Duration,
    /// What it depends on, as it was when its fetch was sent.
    pub(super) depends: Snapshot,
}

/// What an entry costs beside the bytes of its key, headers and body: the map's node, the counters, the allocator.
const OVERHEAD: usize = 1024;
/// What one header costs beside its bytes: its place in the map and its two shared buffers.
const HEADER_OVERHEAD: usize = 96;

impl Entry {
    /// An answer, copied: what came in one read shares its buffer with whatever came with it, and would keep all of it
    /// in memory.
    pub(super) fn new(
        status: StatusCode,
        headers: &HeaderMap,
        body: &Bytes,
        fetched: Instant,
        fresh_for: Duration,
        depends: Snapshot,
    ) -> Self {
        let (headers, body) = (copied(headers), Bytes::copy_from_slice(body));
        Self { status, headers, body, fetched, fresh_for, depends }
    }

    /// The validator with which Logto can be asked whether it still holds.
    pub fn etag(&self) -> Option<&HeaderValue> {
        self.headers.get(header::ETAG)
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.fetched)
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.age(now) < self.fresh_for
    }

    /// The answer again, out of the store.
    pub fn stored_reply(&self, now: Instant) -> Reply {
        let age = self.age(now);
        let source = Source::Stored { age, left: self.fresh_for.saturating_sub(age) };
        let mut reply = self.reply(source);
        reply.headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
        reply
    }

    pub(super) fn reply(&self, source: Source) -> Reply {
        let body = Body::Held(self.body.clone());
        Reply { source, ..Reply::new(self.status, self.headers.clone(), body) }
    }

    /// The same answer, confirmed by a 304: every header that the 304 carries replaces the stored ones of its name, all
    /// values of it (RFC 9111 §4.3.4). Logto's 304 brings a new `Link` and `Total-Number`, which its ETag doesn't cover.
    pub(super) fn confirmed(
        &self,
        by: &HeaderMap,
        fetched: Instant,
        fresh_for: Duration,
        depends: Snapshot,
    ) -> Self {
        let mut headers = self.headers.clone();
        let by = copied(by);
        // A 304's length would be that of the body it doesn't have.
        for name in by.keys().filter(|name| *name != header::CONTENT_LENGTH) {
            headers.remove(name);
            for value in by.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        Self { status: self.status, headers, body: self.body.clone(), fetched, fresh_for, depends }
    }

    /// Bytes that it takes up, for the bound of the store.
    pub(super) fn weight(&self, key: &str) -> u32 {
        let headers: usize =
            self.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + HEADER_OVERHEAD).sum();
        u32::try_from(key.len() + headers + self.body.len() + OVERHEAD).unwrap_or(u32::MAX)
    }
}

/// The same headers in a buffer of their own, all values in one; the length is that of the body, which is known.
fn copied(headers: &HeaderMap) -> HeaderMap {
    let all: Bytes = headers.values().flat_map(|value| value.as_bytes().iter().copied()).collect();
    let mut copy = HeaderMap::with_capacity(headers.len());
    let mut start = 0;
    for (name, value) in headers {
        let end = start + value.len();
        if let Ok(value) = HeaderValue::from_maybe_shared(all.slice(start..end)) {
            copy.append(name.clone(), value);
        }
        start = end;
    }
    copy.remove(header::CONTENT_LENGTH);
    copy
}
