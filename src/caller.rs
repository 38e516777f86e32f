//! Who asks: a caller's name and the class its calls wait in.

use std::sync::Arc;

/// Who asks. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name in logs and metrics; `anonymous` while nobody is configured.
    pub name: Arc<str>,
}

impl Caller {
    /// Everybody on loopback while no caller is configured.
    pub fn anonymous() -> Self {
        Self { name: Arc::from("anonymous") }
    }
}
