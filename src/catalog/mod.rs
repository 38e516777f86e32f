//! What is known of Logto's routes.

/// How long answers of a route may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    Rbac,
    Config,
    User,
    Short,
    Static,
    Anonymous,
    Never,
}
impl Class {
    pub const ALL: [Self; 7] =
        [Self::Rbac, Self::Config, Self::User, Self::Short, Self::Static, Self::Anonymous, Self::Never];
    pub fn name(self) -> &'static str {
        ""
    }
    pub fn default_ttl(self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}
