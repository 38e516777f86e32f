//! A body that is on its way, a request's or an answer's, and how it can break off.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

/// A body that is on its way.
pub type Streaming = UnsyncBoxBody<Bytes, BodyError>;

/// A streamed body broke off.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum BodyError {
    /// The other side closed or garbled it.
    #[error("the body broke off")]
    Broken,
    /// Nothing came for too long.
    #[error("the body stalled")]
    Stalled,
    /// It is larger than allowed.
    #[error("the body is too large")]
    TooLarge,
}
