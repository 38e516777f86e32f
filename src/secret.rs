//! A string that doesn't print itself: credentials, tokens, keys.

use zeroize::Zeroizing;

/// A credential. It has neither `Debug` nor `Display`, so that no log line, error or metric can show
/// it by accident, and its memory is overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps `text` as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that has to send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
