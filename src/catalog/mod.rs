//! What is known of Logto's routes: how long an answer stays good, what it depends on, what a write changes.
//!
//! The knowledge is one table, `config/logto-routes.toml`, compiled in. Reading order: [`Catalog::lookup`],
//! [`Match`], [`Route`], then `tag.rs` for how reads and changes meet.

mod class;
mod file;
mod path;
mod route;
mod sets;
mod table;
mod tag;

#[cfg(test)]
mod coherence;
#[cfg(test)]
mod complete;
#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use matchit::Router;

pub use class::Class;
pub use route::{Body, Match, Route, RouteId, TemplateId};
pub use tag::{Changes, Tag};

/// The table of routes, ready to be asked. Built once, shared in an `Arc`.
#[derive(Debug)]
pub struct Catalog {
    sets: sets::Sets,
    routes: Vec<Arc<Route>>,
    templates: Vec<Arc<str>>,
    routers: BTreeMap<&'static str, Router<RouteId>>,
    refused: Router<()>,
}

/// What the catalogue says of one request.
#[derive(Debug, Clone)]
pub enum Found {
    /// A route of the Management API.
    Known(Match),
    /// No route that is known: not stored, and a write that succeeds changes everything.
    Unknown {
        /// The path as it came, less one trailing slash.
        canonical: String,
    },
    /// Under `/api`, but made for user tokens, cookies or browsers: not for a gateway.
    NotManagement,
}

/// Why a table of routes can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Not the form of a route table: no TOML, or a key nobody knows.
    #[error("the route table can't be read: {0}")]
    Form(#[from] toml::de::Error),
    /// Read, but the rows don't make sense; every mistake with its route.
    #[error("the route table has mistakes:\n  {}", .0.join("\n  "))]
    Rows(Vec<String>),
}

impl Catalog {
    /// The built-in table, for Logto 1.42.
    pub fn logto() -> Self {
        Self::parse(include_str!("../../config/logto-routes.toml")).expect("a test reads the built-in table")
    }

    /// Reads a table from TOML; its head comment in `config/logto-routes.toml` explains the format.
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        let file: file::File = toml::from_str(text)?;
        table::build(&file).map_err(CatalogError::Rows)
    }

    /// Finds the route of a request. `path` is the raw path, still percent-encoded, without the query.
    pub fn lookup(&self, method: &Method, path: &str) -> Found {
        let path = path::without_slash(path);
        let lower = path::lower(path);
        let below_api = path.starts_with("/api/"); // the prefix itself has one spelling only
        if below_api && self.refused.at(&lower).is_ok() {
            return Found::NotManagement;
        }
        let known = below_api.then(|| self.known(method, path, &lower)).flatten();
        known.map_or_else(|| Found::Unknown { canonical: path.to_owned() }, Found::Known)
    }

    /// Every route, in the order of their ids.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &Arc<Route>> {
        self.routes.iter()
    }

    /// Every path template, in the order of their ids.
    pub fn templates(&self) -> impl ExactSizeIterator<Item = &str> {
        self.templates.iter().map(|template| &**template)
    }

    /// The name of every data set, sorted.
    pub fn sets(&self) -> impl Iterator<Item = &str> {
        self.sets.names()
    }

    /// The tags to touch so that every answer made of this data set, or of a set of this group, is out of
    /// date. `None`: no set and no group has that name.
    pub fn tags_of_set(&self, name: &str) -> Option<Vec<Tag>> {
        self.sets.tags_of(name)
    }

    fn known(&self, method: &Method, path: &str, lower: &str) -> Option<Match> {
        let router = self.routers.get(table::verb(method)?)?;
        let id = *router.at(lower).ok()?.value;
        let route = &self.routes[id.index()];
        let canonical = path::canonical(&route.segments, path)?;
        // A literal matches undecoded only. An encoded one that landed on a parameter must not pass for it.
        let disguised = path.contains('%') && {
            let spelling = path::lower(&canonical);
            self.refused.at(&spelling).is_ok() || router.at(&spelling).is_ok_and(|found| *found.value != id)
        };
        (!disguised).then(|| Match { route: Arc::clone(route), canonical })
    }
}

impl Found {
    /// The one spelling of the path; `None` for what isn't the Management API.
    pub fn canonical(&self) -> Option<&str> {
        match self {
            Self::Known(found) => Some(found.canonical()),
            Self::Unknown { canonical } => Some(canonical),
            Self::NotManagement => None,
        }
    }

    /// What the request changes if it is a write and was sent. An unknown one changes everything.
    pub fn changes(&self) -> Changes {
        match self {
            Self::Known(found) => found.changes(),
            Self::Unknown { .. } => Changes::Everything,
            Self::NotManagement => Changes::Tags(Vec::new()),
        }
    }
}
