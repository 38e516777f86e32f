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
        Reply {
            status: self.status,
            headers: self.headers.clone(),
            body: Body::Held(self.body.clone()),
            source,
        }
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
