//! The settings: read once from command line, environment and file, and handed to each part as its own.

mod address;
mod budget;
mod cache;
mod door;
mod endpoint;
mod file;
mod layers;
mod listen;
mod log;
mod logto;
mod nearest;
mod parse;
mod problem;
mod reader;
mod reference;
mod sources;
#[cfg(test)]
mod tests;
mod value;

use self::logto::{Logto, logto};
use self::reader::Reader;
use crate::reply::Api;
use crate::{call, connect, guard, retry, throttle, token, upstream};

pub use self::listen::Listen;
pub use self::log::{Format, Log};
pub use self::problem::{Origin, Problem, Problems};
pub use self::reference::reference;
pub use self::sources::Sources;

/// Everything that can be set, parsed. It holds the application's secret, so it has no `Debug`.
#[derive(Clone)]
pub struct Config {
    /// How Logto is spoken to.
    pub upstream: upstream::Settings,
    /// How connections to it are made.
    pub connect: connect::Settings,
    /// What the API behind it is.
    pub api: Api,
    /// How tokens are asked for.
    pub token: token::Settings,
    /// The waiting line.
    pub throttle: throttle::Settings,
    /// The store; with `cache.size_max = "off"` its size is zero.
    pub cache: crate::cache::Settings,
    /// The text of a catalogue of routes that replaces the built-in one.
    pub catalogue: Option<String>,
    /// How often a call is tried.
    pub retry: retry::Settings,
    /// Who is let in.
    pub guard: guard::Settings,
    /// What a request may be.
    pub limits: call::Limits,
    /// Where clients and operators come in.
    pub listen: Listen,
    /// What is logged.
    pub log: Log,
}

/// A configuration without mistakes.
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What is allowed and perhaps not meant, a sentence each.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads all sources, and finds every mistake in them at once.
    pub fn load(sources: Sources) -> Result<Loaded, Problems> {
        let mut reader = Reader::new(sources);
        let config = Self::read(&mut reader);
        let (problems, warnings) = reader.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(Loaded { config, warnings }),
            _ => Err(Problems(problems)),
        }
    }

    /// Asks for every key, so that every mistake is found; `None` is noted as one.
    fn read(r: &mut Reader) -> Option<Self> {
        let logto = logto(r);
        let listen = listen::listen(r);
        let throttle = budget::budget(r);
        let (cache, catalogue) = cache::cache(r);
        let retry = budget::retry(r);
        let guard = door::guard(r);
        let limits = door::limits(r);
        let log = log::log(r);
        let Logto { upstream, connect, token } = logto?;
        let api = token.api;
        Some(Self {
            upstream,
            connect,
            api,
            token,
            throttle,
            cache,
            catalogue,
            retry,
            guard,
            limits,
            listen,
            log,
        })
    }
}
