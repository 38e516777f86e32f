//! The keys of `[log]`: what is logged, and for whom.

use tracing::level_filters::LevelFilter;

use super::parse::one_of;
use super::reader::Reader;
use crate::observe::LogRequests;

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is logged.
    pub level: LevelFilter,
    /// For whom.
    pub format: Format,
    /// Which requests get a line.
    pub requests: LogRequests,
}

/// For whom the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Whoever reads it: people on a terminal, programs otherwise.
    Auto,
    /// People.
    Human,
    /// Programs.
    Json,
}

const LEVELS: [(&str, LevelFilter); 5] = [
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// `[log]`
pub(super) fn log(r: &mut Reader) -> Log {
    let formats = [("auto", Format::Auto), ("human", Format::Human), ("json", Format::Json)];
    let requests = [
        ("writes+errors", LogRequests::WritesAndErrors),
        ("all", LogRequests::All),
        ("errors", LogRequests::Errors),
        ("off", LogRequests::Off),
    ];
    Log {
        level: r
            .key("log.level", "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"")
            .or("info", one_of(LEVELS)),
        format: r
            .key("log.format", "\"human\", \"json\", or \"auto\": human on a terminal, JSON otherwise")
            .or("auto", one_of(formats)),
        requests: r
            .key(
                "log.requests",
                "Which requests get a line: \"writes+errors\", \"all\", \"errors\" or \"off\"",
            )
            .or("writes+errors", one_of(requests)),
    }
}
