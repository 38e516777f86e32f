//! From the table as written to the catalogue: every row checked, every mistake told, a router a method.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use matchit::Router;

use super::file::{Entry, File, Row};
use super::path::{self, Segment};
use super::route::{Body, Route, RouteId, TemplateId};
use super::sets::Sets;
use super::{Catalog, Class};

/// Routes are numbered in 16 bits.
const ROWS_MAX: usize = 60_000;

/// Builds the catalogue, or says everything that is wrong with the file.
pub(super) fn build(file: &File) -> Result<Catalog, Vec<String>> {
    if file.entries.iter().map(|entry| entry.rows().count().max(1)).sum::<usize>() > ROWS_MAX {
        return Err(vec![format!("more than {ROWS_MAX} rows; Logto has a few hundred")]);
    }
    let mut problems = Vec::new();
    let mut builder = Builder { sets: Sets::of(file, &mut problems), problems, ..Builder::default() };
    for path in &file.not_management {
        builder.refuse(path);
    }
    for entry in &file.entries {
        builder.add(entry);
    }
    builder.finish()
}

#[derive(Default)]
struct Builder {
    sets: Sets,
    routes: Vec<Arc<Route>>,
    templates: Vec<Arc<str>>,
    /// The template that took each shape first.
    shapes: BTreeMap<String, Arc<str>>,
    routers: BTreeMap<&'static str, Router<RouteId>>,
    refused: Router<()>,
    problems: Vec<String>,
}

impl Builder {
    fn finish(self) -> Result<Catalog, Vec<String>> {
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let Self { sets, routes, templates, routers, refused, .. } = self;
        Ok(Catalog { sets, routes, templates, routers, refused })
    }

    /// Refuses a path and everything below it.
    fn refuse(&mut self, text: &str) {
        let added = path::template(text).and_then(|segments| {
            let shape = shape(&segments);
            let below = self.refused.insert(format!("{shape}/{{*rest}}"), ());
            below.and_then(|()| self.refused.insert(shape, ())).map_err(|_| "appears twice".to_owned())
        });
        if let Err(problem) = added {
            self.problems.push(format!("not_management {text}: {problem}"));
        }
    }

    fn add(&mut self, entry: &Entry) {
        match self.template(entry) {
            Ok(segments) => {
                let template: Arc<str> = entry.path.as_str().into();
                self.templates.push(Arc::clone(&template));
                for (method, row) in entry.rows() {
                    let route = self.route(entry, method, row, &template, &segments);
                    self.insert(route);
                }
            }
            Err(problem) => self.problems.push(format!("{}: {problem}", entry.path)),
        }
    }

    /// The path's segments, if the entry as a whole makes sense.
    fn template(&mut self, entry: &Entry) -> Result<Arc<[Segment]>, String> {
        let segments = path::template(&entry.path)?;
        if entry.free_name && segments.last().and_then(Segment::parameter).is_none() {
            return Err("`free_name` is for a path that ends in a parameter".to_owned());
        }
        if entry.rows().next().is_none() {
            return Err("has no method; add at least one of GET, POST, PUT, PATCH, DELETE".to_owned());
        }
        match self.shapes.insert(shape(&segments), entry.path.as_str().into()) {
            Some(first) => {
                Err(format!("is the same path as {first}; write their methods into one [[route]]"))
            }
            None => Ok(segments.into()),
        }
    }

    fn route(
        &mut self,
        entry: &Entry,
        method: Method,
        row: &Row,
        template: &Arc<str>,
        path: &Arc<[Segment]>,
    ) -> Route {
        let mut mistakes = misplaced(&method, row);
        let class = class(&method, row).unwrap_or_else(|mistake| {
            mistakes.push(mistake);
            Class::Never
        });
        let reads = self.sets.reads(row.reads.as_deref().unwrap_or_default(), path, &mut mistakes);
        let changes = self.sets.changes(row.changes.as_deref().unwrap_or_default(), path, &mut mistakes);
        self.problems.extend(mistakes.into_iter().map(|mistake| format!("{method} {template}: {mistake}")));
        Route {
            id: RouteId(number(self.routes.len())),
            template_id: TemplateId(number(self.templates.len() - 1)),
            template: Arc::clone(template),
            method,
            class,
            secret: row.secret,
            localised: row.localised,
            free_name: entry.free_name,
            body: if row.upload { Body::Upload } else { Body::Ordinary },
            segments: Arc::clone(path),
            reads,
            changes,
        }
    }

    fn insert(&mut self, route: Route) {
        let router = self.routers.entry(verb(&route.method).unwrap_or_default()).or_default();
        match router.insert(shape(&route.segments), route.id) {
            Ok(()) => self.routes.push(Arc::new(route)),
            Err(error) => self.problems.push(format!("{} {}: {error}", route.method, route.template)),
        }
    }
}

/// The class of a row; a write's is `never`.
fn class(method: &Method, row: &Row) -> Result<Class, String> {
    let known = || Class::ALL.map(Class::name).join(", ");
    match (row.class.as_deref(), method == Method::GET) {
        (None, false) => Ok(Class::Never),
        (None, true) => Err(format!("a GET has a `class`: one of {}", known())),
        (Some(_), false) => Err("`class` is for GET; a write is never stored".to_owned()),
        (Some(name), true) => {
            Class::named(name).ok_or_else(|| format!("`{name}` is no class; take one of {}", known()))
        }
    }
}

/// What a row says that its method can't mean, or doesn't say that it must.
fn misplaced(method: &Method, row: &Row) -> Vec<String> {
    let get = method == Method::GET;
    let lasting = !matches!(row.class.as_deref(), Some("static" | "never"));
    let rules = [
        (get && row.upload, "`upload` is for writes; a GET has no body"),
        (
            get && lasting && row.reads.is_none(),
            "a GET says what it `reads`; only static and never may leave it out",
        ),
        (!get && row.reads.is_some(), "`reads` is for GET; a write says what it `changes`"),
        (!get && row.localised, "`localised` is for GET; a write is never stored"),
        (
            !get && row.changes.is_none(),
            "a write says what it `changes`; `changes = []` if nothing that is stored",
        ),
    ];
    rules.into_iter().filter(|(broken, _)| *broken).map(|(_, rule)| rule.to_owned()).collect()
}

/// The template with its parameters named alike, as routers take it: templates of one shape are one path.
fn shape(segments: &[Segment]) -> String {
    segments.iter().fold(String::new(), |mut shape, segment| {
        shape.push('/');
        shape.push_str(match segment {
            Segment::Literal(literal) => literal,
            Segment::Parameter(_) => "{p}",
        });
        shape
    })
}

/// The router a method is looked up in; HEAD shares GET's. `None`: no route has that method.
pub(super) fn verb(method: &Method) -> Option<&'static str> {
    match *method {
        Method::GET | Method::HEAD => Some("GET"),
        Method::POST => Some("POST"),
        Method::PUT => Some("PUT"),
        Method::PATCH => Some("PATCH"),
        Method::DELETE => Some("DELETE"),
        _ => None,
    }
}

fn number(place: usize) -> u16 {
    u16::try_from(place).expect("the number of rows was checked first")
}
