//! What the labels of metrics can say.

/// How the cache had its part in an answer: the label `cache`, and RFC 9211's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum CacheResult {
    /// Answered from the store.
    Hit,
    /// Nothing stored.
    Miss,
    /// Something stored, but no longer fresh.
    Stale,
    /// Shared another caller's fetch.
    Collapsed,
    /// Not a matter for the cache: a write, or a read that is never stored.
    Bypass,
    /// Refused by the gateway before the cache was asked.
    None,
}

impl CacheResult {
    pub(super) const ALL: [Self; 6] =
        [Self::Hit, Self::Miss, Self::Stale, Self::Collapsed, Self::Bypass, Self::None];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Collapsed => "collapsed",
            Self::Bypass => "bypass",
            Self::None => "none",
        }
    }
}

/// What an attempt upstream was for: the label `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptKind {
    /// A caller's call, first attempt.
    Call,
    /// A further attempt at it.
    Retry,
    /// A conditional request for a stored answer.
    Revalidate,
    /// The gateway's own token.
    Token,
}

impl AttemptKind {
    pub(super) const ALL: [Self; 4] = [Self::Call, Self::Retry, Self::Revalidate, Self::Token];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Retry => "retry",
            Self::Revalidate => "revalidate",
            Self::Token => "token",
        }
    }
}
