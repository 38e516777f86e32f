//! What is asked: a caller's request, read and ready to be sent as often as it takes.

use std::time::Duration;

use http::HeaderName;

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
