//! What Logto answered before, and whether it still holds.

use std::time::Duration;

use crate::catalog::Class;

/// How much is kept, and for how long.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes that all stored answers may take, headers and keys included.
    pub size_max: u64,
    /// The largest body that is stored; larger ones are passed through.
    pub body_max: usize,
    /// How long an answer of each class stays fresh, by `Class as usize`; zero: not stored.
    pub ttl: [Duration; Class::ALL.len()],
}
