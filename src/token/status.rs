//! How things stand with the token, for people and probes to read.

/// How things stand with the token.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Status {
    /// In a word.
    pub state: Condition,
    /// When the token expires, in seconds of Unix time.
    pub expires_at: Option<u64>,
    /// For how long it is good yet.
    pub seconds_left: Option<u64>,
    /// Whether the API has accepted this token.
    pub accepted: bool,
    /// What is wrong, with its remedy.
    pub last_error: Option<String>,
    /// When the next fetch is due, in seconds of Unix time; `None` while one is in flight.
    pub next_try: Option<u64>,
}

/// The token's state in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// There is a token.
    Good,
    /// There is none yet: one is being fetched.
    Fetching,
    /// There is none, and the next try is not due.
    Missing,
    /// There is none, and none is fetched any more.
    Stopped,
}
