//! One route: a path template and a method, with everything the table says about them.

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;

use super::Class;
use super::path::{self, Segment};
use super::tag::{Changes, Dependencies, Tag};

/// A route's place among [`Catalog::routes`](super::Catalog::routes): dense, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub(super) u16);

/// A template's place among [`Catalog::templates`](super::Catalog::templates): dense, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TemplateId(pub(super) u16);

impl RouteId {
    /// The place as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl TemplateId {
    /// The place as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The form of the body a call sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// None, JSON or a form: small enough to be held.
    Ordinary,
    /// Multipart with a file in it.
    Upload,
}

/// One method of one path template.
#[derive(Debug)]
pub struct Route {
    /// Where the route stands in the catalogue.
    pub id: RouteId,
    /// Where its template stands: shared by all methods of a path, good as a metric label.
    pub template_id: TemplateId,
    /// The path with its parameters in braces: `/api/users/{userId}`.
    pub template: Arc<str>,
    /// The method; a HEAD is found as its GET.
    pub method: Method,
    /// How long an answer stays good. A write's class is `never`.
    pub class: Class,
    /// The answer carries a secret in clear, or the call mints a credential.
    pub secret: bool,
    /// The answer depends on Accept-Language.
    pub localised: bool,
    /// An encoded slash or backslash is allowed in the last segment: it is a name chosen by people.
    pub free_name: bool,
    /// The form of the request's body.
    pub body: Body,
    pub(super) segments: Arc<[Segment]>,
    pub(super) reads: Dependencies,
    pub(super) changes: Dependencies,
}

impl Route {
    /// Whether an answer may be stored at all: a GET of a class with a lifetime, without secrets.
    pub fn storable(&self) -> bool {
        self.method == Method::GET && self.class != Class::Never && !self.secret
    }

    /// Whether the call changes what stored answers show: most writes do, and the few GETs that write.
    pub fn writes(&self) -> bool {
        !self.changes.is_empty()
    }
}

/// A request path that a route of the catalogue answers.
#[derive(Debug, Clone)]
pub struct Match {
    pub(super) route: Arc<Route>,
    pub(super) canonical: String,
}

impl Match {
    /// The route that answers.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The one spelling of the path, equal for all its aliases and for nothing else. Still percent-encoded.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The parameters in the order of the path: name, and value decoded once.
    pub fn params(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let places = self.route.segments.iter().enumerate();
        places
            .filter_map(|(place, segment)| Some((segment.parameter()?, path::value(&self.canonical, place))))
    }

    /// The value of the parameter of that name, decoded once.
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.params().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// What the answer depends on: out of date as soon as one of these changed after the fetch began.
    pub fn reads(&self) -> Vec<Tag> {
        self.route.reads.tags(&self.canonical)
    }

    /// What the call changes. Also for the few GETs that write; empty for the others.
    pub fn changes(&self) -> Changes {
        Changes::Tags(self.route.changes.tags(&self.canonical))
    }
}
