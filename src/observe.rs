//! Every request leaves a trace: one response, one log line, one observation.

/// Which requests get a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRequests {
    /// Writes, and whatever went wrong.
    WritesAndErrors,
    /// Everything.
    All,
    /// What went wrong.
    Errors,
    /// Nothing.
    Off,
}
