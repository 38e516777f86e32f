//! When a call is tried again, and when it must not be.

/// How often.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Attempts at one call, the first included.
    pub attempts_max: u32,
}
