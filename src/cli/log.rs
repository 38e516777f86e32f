//! The log: for people on a terminal, as JSON for everybody else, and never in the way.

use std::io::IsTerminal;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Format, Log};

/// Lines that wait for a slow reader of our output; further ones are dropped and counted.
const LINES_MAX: usize = 8192;

/// Writes the lines that are left when it is dropped.
pub(super) struct Logging {
    _flush: WorkerGuard,
    dropped: tracing_appender::non_blocking::ErrorCounter,
}

impl Logging {
    /// How many lines were dropped so far, as a function to be asked later.
    pub(super) fn lines_dropped(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let counter = self.dropped.clone();
        move || counter.dropped_lines() as u64
    }
}

/// Starts the log of the whole process. A blocked pipe never stalls a request: a thread of its own writes.
pub(super) fn start(log: &Log) -> Logging {
    let (writer, flush) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_MAX).finish(std::io::stdout());
    let dropped = writer.error_counter();
    let terminal = std::io::stdout().is_terminal();
    let for_people = match log.format {
        Format::Json => false,
        Format::Human => true,
        Format::Auto => terminal,
    };
    if for_people {
        human(log.level, writer, terminal);
    } else {
        json(log.level, writer);
    }
    Logging { _flush: flush, dropped }
}

fn human(level: LevelFilter, writer: NonBlocking, colours: bool) {
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(writer);
    lines.with_ansi(colours).with_target(false).compact().init();
}

fn json(level: LevelFilter, writer: NonBlocking) {
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(writer);
    lines.json().flatten_event(true).with_current_span(false).with_span_list(false).with_target(false).init();
}
