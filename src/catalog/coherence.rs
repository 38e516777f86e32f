//! Which write drops which answer, and which answers stay: the built-in table against two lists of pairs.

use super::*;

const DROPS: &str = include_str!("../../tests/data/drops.txt");
const STAYS: &str = include_str!("../../tests/data/stays.txt");

fn tags(catalog: &Catalog, method: &Method, path: &str) -> (Vec<Tag>, Changes) {
    let Found::Known(found) = catalog.lookup(method, path) else { panic!("{method} {path} is unknown") };
    (found.reads(), found.changes())
}

/// Whether the write, `METHOD /api…` without `/api`, makes the stored answer of the path out of date.
fn drops(catalog: &Catalog, write: &str, read: &str) -> bool {
    let (method, path) = write.split_once(' ').unwrap();
    let (_, changes) = tags(catalog, &method.parse().unwrap(), &format!("/api{path}"));
    let (held, _) = tags(catalog, &Method::GET, &format!("/api{read}"));
    match changes {
        Changes::Everything => true,
        Changes::Tags(touched) => touched.iter().any(|tag| held.contains(tag)),
    }
}

/// Blocks of writes, separated by `|`, and below each the answers to hold against them, after `->`.
fn pairs(blocks: &'static str) -> Vec<(&'static str, &'static str)> {
    let (mut writes, mut complete, mut pairs) = (Vec::new(), false, Vec::new());
    for line in blocks.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(reads) = line.strip_prefix("->") {
            complete = true;
            pairs.extend(writes.iter().flat_map(|write| reads.split_whitespace().map(|read| (*write, read))));
            continue;
        }
        if std::mem::take(&mut complete) {
            writes.clear();
        }
        writes.extend(line.split('|').map(str::trim));
    }
    pairs
}

#[test]
fn a_write_drops_every_answer_it_may_have_changed() {
    let catalog = Catalog::logto();
    for (write, read) in pairs(DROPS) {
        assert!(drops(&catalog, write, read), "{write} leaves GET {read}");
    }
}

#[test]
fn an_answer_that_the_write_does_not_touch_stays() {
    let catalog = Catalog::logto();
    for (write, read) in pairs(STAYS) {
        assert!(!drops(&catalog, write, read), "{write} drops GET {read}");
    }
}

#[test]
fn every_write_and_every_stored_answer_is_in_the_list_of_pairs() {
    let catalog = Catalog::logto();
    let id = |method: &str, path: &str| match catalog.lookup(&method.parse().unwrap(), &format!("/api{path}"))
    {
        Found::Known(found) => found.route().id,
        other => panic!("{method} {path}: {other:?}"),
    };
    let listed: Vec<RouteId> = pairs(DROPS)
        .into_iter()
        .flat_map(|(write, read)| [write.split_once(' ').unwrap(), ("GET", read)])
        .map(|(method, path)| id(method, path))
        .collect();
    for route in
        catalog.routes().filter(|route| route.writes() || route.storable() && route.class != Class::Static)
    {
        assert!(listed.contains(&route.id), "{} {}", route.method, route.template);
    }
}

#[test]
fn an_unknown_write_drops_everything() {
    let catalog = Catalog::logto();
    for path in ["/api/new-feature", "/api/%75sers/u", "/api/users/%ff"] {
        assert_eq!(catalog.lookup(&Method::POST, path).changes(), Changes::Everything);
    }
}

#[test]
fn a_write_through_an_alias_drops_the_same_answers() {
    let catalog = Catalog::logto();
    let (held, _) = tags(&catalog, &Method::GET, "/api/users/abc");
    for alias in ["/api/users/abc/", "/api/USERS/abc", "/api/users/%61bc", "/api/Users/%61%62%63/"] {
        let (reads, changes) =
            (tags(&catalog, &Method::GET, alias).0, tags(&catalog, &Method::PATCH, alias).1);
        assert_eq!(reads, held);
        assert!(matches!(changes, Changes::Tags(touched) if touched.iter().any(|tag| held.contains(tag))));
    }
}
