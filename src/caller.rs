//! Who asks: a caller's name, its class, and its weight among the others.

use std::sync::Arc;

/// Which line a call waits in. The better one comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Somebody waits for it.
    Interactive,
    /// Nobody does: an import, a nightly job.
    Batch,
}

impl Class {
    /// Every class, best first; `as usize` is the place.
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Batch];

    /// The class as it is written in settings and in metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Batch => "batch",
        }
    }
}

/// Where a connection comes from; a request carries it among its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP: on loopback, one is like another.
    Tcp,
    /// Over a Unix socket, from a process of this user.
    Unix {
        /// The user's number.
        uid: u32,
    },
}

/// Who asks. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name in logs and metrics.
    pub name: Arc<str>,
    /// The class in which its calls wait, unless one of them asks for a lower one.
    pub class: Class,
    /// Its part of the line in relation to other callers of its class; at least 1.
    pub weight: u32,
}

impl Caller {
    /// A caller like any other.
    pub fn named(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), class: Class::Interactive, weight: 1 }
    }

    /// Everybody who doesn't say who they are, while no caller is configured.
    pub fn anonymous() -> Self {
        Self::named("anonymous")
    }
}
