//! How long an answer stays good when nobody says otherwise: one class for each kind of data.

use std::time::Duration;

/// The kind of data an answer shows, which decides how long it stays good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Users' rights and what they hang on: roles, applications, organizations.
    Rbac,
    /// Tenant configuration.
    Config,
    /// User rows, which a sign-in changes behind our back.
    User,
    /// What the clock changes: counts, invitations that expire.
    Short,
    /// What changes with a release of Logto only.
    Static,
    /// Public answers that need no token.
    Anonymous,
    /// Never stored: the answer is live, private, or the call writes.
    Never,
}

impl Class {
    /// Every class once, in the order of the route table's head comment.
    pub const ALL: [Self; 7] =
        [Self::Rbac, Self::Config, Self::User, Self::Short, Self::Static, Self::Anonymous, Self::Never];

    /// The class as it is written in the route table, in settings and in metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rbac => "rbac",
            Self::Config => "config",
            Self::User => "user",
            Self::Short => "short",
            Self::Static => "static",
            Self::Anonymous => "anonymous",
            Self::Never => "never",
        }
    }

    /// The class of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// How long an answer stays good unless settings say otherwise; `None` for what is never stored.
    pub const fn default_ttl(self) -> Option<Duration> {
        match self {
            Self::Rbac | Self::Anonymous => Some(Duration::from_secs(60)),
            Self::Config => Some(Duration::from_secs(300)),
            Self::User => Some(Duration::from_secs(15)),
            Self::Short => Some(Duration::from_secs(5)),
            Self::Static => Some(Duration::from_secs(3600)),
            Self::Never => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_found_by_its_name() {
        for class in Class::ALL {
            assert_eq!(Class::named(class.name()), Some(class));
        }
        assert_eq!(Class::named("RBAC"), None);
    }

    #[test]
    fn only_never_has_no_lifetime() {
        for class in Class::ALL {
            assert_eq!(class.default_ttl().is_none(), class == Class::Never);
        }
    }
}
