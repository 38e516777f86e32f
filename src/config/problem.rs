//! What is wrong with the configuration: every mistake, with its key, its origin and its remedy.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A place in the configuration file, both counted from 1.
    File {
        /** The file. */
        path: PathBuf,
        /** The line of the key. */
        line: usize,
        /** Its column. */
        column: usize,
    },
    /// An environment variable.
    Environment(String),
    /// The command line.
    CommandLine,
    /// Nobody set it; this is the default.
    Default,
    /// Nobody set it, and it has no default.
    Missing,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key; `None` when the file itself is the trouble.
    pub key: Option<String>,
    /// The value as it was written; secrets are masked, values of unknown keys left out.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
    /// What is wrong.
    pub wrong: String,
    /// What would be right.
    pub right: String,
}

/// Every mistake that was found, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub(super) Vec<Problem>);

impl Problems {
    /// The mistakes, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "the configuration has a mistake:")?,
            n => writeln!(f, "the configuration has {n} mistakes:")?,
        }
        self.0.iter().try_for_each(|problem| writeln!(f, "\n{problem}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, origin, wrong, right } = self;
        match (key, value) {
            (Some(key), Some(value)) => writeln!(f, "✗ {key} = {value}  ({origin})")?,
            (Some(key), None) => writeln!(f, "✗ {key}  ({origin})")?,
            (None, _) => writeln!(f, "✗ {origin}")?,
        }
        write!(f, "    {wrong}\n    → {right}")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine => f.write_str("command line"),
            Self::Default => f.write_str("the default"),
            Self::Missing => f.write_str("not set"),
        }
    }
}
