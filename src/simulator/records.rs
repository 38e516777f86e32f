//! What the simulator has received: every request, in order, for tests to look at.

use std::collections::VecDeque;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use tokio::time::Instant;

/// One request that the simulator received, and how it was answered.
#[derive(Clone, Debug)]
pub struct Received {
    /// When its head had been read.
    pub at: Instant,
    /// What it was addressed to.
    pub kind: Kind,
    /// Its method.
    pub method: Method,
    /// Its path and query, as sent.
    pub path_and_query: String,
    /// Its headers, as sent (the token among them: don't print them).
    pub headers: HeaderMap,
    /// The status it was answered with; none while it is unanswered, and when the connection was closed on it.
    pub status: Option<u16>,
}

/// What a request was addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The token endpoint and what else is under `/oidc`.
    Token,
    /// The Management API.
    Api,
    /// Anything else, which a Logto answers with the page of its sign-in experience.
    Page,
}

impl Kind {
    pub(super) fn of(path: &str) -> Self {
        if path.starts_with("/oidc") {
            Self::Token
        } else if path.starts_with("/api") {
            Self::Api
        } else {
            Self::Page
        }
    }
}

/// The newest requests, at most `max` of them.
pub(super) struct Records {
    rows: VecDeque<Received>,
    dropped: usize,
    max: usize,
}

/// Which record a status belongs to: its place in the order of arrival.
#[derive(Clone, Copy)]
pub(super) struct RecordId(usize);

impl Records {
    pub(super) fn new(max: usize) -> Self {
        Self { rows: VecDeque::new(), dropped: 0, max: max.max(1) }
    }

    pub(super) fn arrived(&mut self, head: &http::request::Parts, at: Instant) -> RecordId {
        if self.rows.len() == self.max {
            self.rows.pop_front();
            self.dropped += 1;
        }
        self.rows.push_back(Received {
            at,
            kind: Kind::of(head.uri.path()),
            method: head.method.clone(),
            path_and_query: head.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            headers: copied(&head.headers),
            status: None,
        });
        RecordId(self.dropped + self.rows.len() - 1)
    }

    pub(super) fn answered(&mut self, id: RecordId, status: u16) {
        let place = id.0.checked_sub(self.dropped);
        if let Some(row) = place.and_then(|place| self.rows.get_mut(place)) {
            row.status = Some(status);
        }
    }

    pub(super) fn rows(&self) -> impl DoubleEndedIterator<Item = &Received> {
        self.rows.iter()
    }

    /// The most requests that any window `[t, t + window)` holds.
    pub(super) fn busiest(&self, window: Duration) -> usize {
        let mut first = 0;
        let mut most = 0;
        for (last, row) in self.rows.iter().enumerate() {
            while row.at.duration_since(self.rows[first].at) >= window && first < last {
                first += 1;
            }
            most = most.max(last - first + 1);
        }
        most
    }
}

/// A copy that doesn't keep the connection's read buffer alive, as cloned header values would.
fn copied(headers: &HeaderMap) -> HeaderMap {
    let copy = |value: &HeaderValue| {
        HeaderValue::from_bytes(value.as_bytes()).expect("the bytes of a header value make a header value")
    };
    headers.iter().map(|(name, value)| (name.clone(), copy(value))).fold(
        HeaderMap::new(),
        |mut map, (name, value)| {
            map.append(name, value);
            map
        },
    )
}
