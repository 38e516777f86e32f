//! What a client says of stored answers.

use std::time::Duration;

use http::{HeaderMap, header};

/// Some clients' `fetch` sends `no-cache` with every call: one confirmation in this time has to do.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(5);

/// What a client says about stored answers (RFC 9111 §5.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Any,
    NoStore,
    OnlyIfCached,
    /// `no-cache` or `max-age=0`.
    Confirmed,
}

impl Wish {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut wish = Self::Any;
        for value in headers.get_all(header::CACHE_CONTROL).iter().filter_map(|v| v.to_str().ok()) {
            for directive in directives(value) {
                wish = match directive.as_str() {
                    "no-store" => return Self::NoStore,
                    "only-if-cached" => Self::OnlyIfCached,
                    "no-cache" | "max-age=0" if wish == Self::Any => Self::Confirmed,
                    _ => wish,
                };
            }
        }
        wish
    }

    pub(super) fn wants_confirmation(self, age: Duration) -> bool {
        self == Self::Confirmed && age >= CONFIRM_INTERVAL
    }
}

pub(super) fn directives(value: &str) -> impl Iterator<Item = String> {
    value.split(',').map(|d| d.trim().to_ascii_lowercase())
}
