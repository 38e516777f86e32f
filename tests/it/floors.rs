//! Who may know whom: every part of the crate stands on a floor, and names only what stands on a lower one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::tokens::{Token, tokens};

/// The parts, from the roof to the ground.
const FLOORS: [&[&str]; 10] = [
    &["secret", "rejection", "metrics", "catalog"],
    &["streaming", "connect", "target", "caller"],
    &["link", "reply", "call", "audience"],
    &["upstream", "token", "throttle", "retry", "delivery", "cache", "guard", "observe"],
    &["gateway"],
    &["simulator", "admin", "listener"],
    &["config"],
    &["app"],
    &["cli"],
    &["main"],
];

#[test]
fn every_part_names_only_parts_of_lower_floors() {
    assert_eq!(complaints(violations), Vec::<String>::new());
}

#[test]
fn every_part_has_a_floor() {
    let parts: BTreeSet<String> = sources().iter().filter_map(|s| s.module.first().cloned()).collect();
    let placed: BTreeSet<String> = FLOORS.iter().flat_map(|f| f.iter()).map(ToString::to_string).collect();
    assert_eq!(parts, placed);
}

#[test]
fn only_connect_opens_connections() {
    let opens = |source: &Source| {
        let names = [&["TcpStream", "connect"][..], &["HttpConnector"], &["TcpSocket"]];
        said(source, &names, |part| ["connect", "simulator", "cli"].contains(&part))
    };
    assert_eq!(complaints(opens), Vec::<String>::new());
}

#[test]
fn only_config_reads_the_environment() {
    let reads = |source: &Source| {
        let names = [&["env", "var"][..], &["env", "vars"], &["env", "var_os"], &["env", "vars_os"]];
        said(source, &names, |part| part == "config")
    };
    assert_eq!(complaints(reads), Vec::<String>::new());
}

#[test]
fn only_metrics_knows_the_library_that_keeps_them() {
    let names = |source: &Source| said(source, &[&["prometheus"]], |part| part == "metrics");
    assert_eq!(complaints(names), Vec::<String>::new());
}

/// A status of Logto's may be compared anywhere. Who puts one on a response of his own is known by name: a rejection,
/// the simulator, and the pages of the operators.
#[test]
fn only_rejections_and_pages_put_a_status_of_their_own_on_a_response() {
    const FAULTS: [&str; 14] = [
        "BAD_REQUEST",
        "FORBIDDEN",
        "NOT_FOUND",
        "METHOD_NOT_ALLOWED",
        "REQUEST_TIMEOUT",
        "PAYLOAD_TOO_LARGE",
        "REQUEST_HEADER_FIELDS_TOO_LARGE",
        "INTERNAL_SERVER_ERROR",
        "NOT_IMPLEMENTED",
        "BAD_GATEWAY",
        "SERVICE_UNAVAILABLE",
        "GATEWAY_TIMEOUT",
        "TOO_MANY_REQUESTS",
        "UNAUTHORIZED",
    ];
    // These tell Logto's own answers apart.
    let judges =
        ["rejection", "simulator", "admin", "reply", "retry", "token", "cache", "observe", "delivery", "cli"];
    let names: Vec<[&str; 2]> = FAULTS.iter().map(|status| ["StatusCode", *status]).collect();
    let names: Vec<&[&str]> = names.iter().map(|name| &name[..]).collect();
    let invents = |source: &Source| said(source, &names, |part| judges.contains(&part));
    assert_eq!(complaints(invents), Vec::<String>::new());
    let answers = |source: &Source| {
        said(source, &[&["status_mut"]], |part| ["observe", "admin", "simulator"].contains(&part))
    };
    let outside_tests = complaints(answers).into_iter().filter(|c| !c.starts_with("token/script.rs"));
    assert_eq!(outside_tests.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_planted_violation_is_found_however_it_is_written() {
    for (file, text, expected) in [
        ("cache/mod.rs", "use crate::throttle::Permit;", vec!["throttle"]),
        ("cache/entry.rs", "fn f() -> crate::token::Token { todo!() }", vec!["token"]),
        ("cache/entry.rs", "use super::super::gateway::Gateway;", vec!["gateway"]),
        ("cache/entry.rs", "use super::{super::retry, Cache};", vec!["retry"]),
        ("guard.rs", "use super::cache;", vec!["cache"]),
        (
            "guard.rs",
            "use crate::{caller::Caller, cache::{Cache, Entry}, retry as again};",
            vec!["cache", "retry"],
        ),
        ("guard.rs", "mod tests { use super::super::observe::Observer; }", vec!["observe"]),
        (
            "guard.rs",
            "mod tests { mod more { fn f() { super::super::super::upstream::f() } } }",
            vec!["upstream"],
        ),
        ("guard.rs", "const A: &str = r#\"\"\"#; use crate::app::App;", vec!["app"]),
        ("metrics.rs", "fn f<'a>(r: &'a crate::rejection::Rejection) {}", vec!["rejection"]),
        ("guard.rs", "use crate::*;", vec!["*"]),
        ("guard.rs", "use crate as all;", vec!["*"]),
        ("admin.rs", "pub(in crate::cli) fn f() {}", vec!["cli"]),
        ("listener.rs", "type A = logto_gateway::config::Config;", vec!["config"]),
        ("guard.rs", "use crate::unheard_of::Thing;", vec!["unheard_of"]),
        ("lib.rs", "fn f() { gateway::f() }", vec![]),
        ("guard.rs", "// use crate::cache;\n/* crate::cache */ const A: &str = \"crate::cache\";", vec![]),
        ("guard.rs", "mod tests { use super::*; use crate::catalog::Catalog; }", vec![]),
        ("cache/entry.rs", "use super::{generations, Cache}; use crate::cache::flight;", vec![]),
        ("cli/run.rs", "use super::log; use crate::app::App;", vec![]),
    ] {
        let found: Vec<String> = violations(&Source::new(Path::new(file), text));
        let named: Vec<&str> = found.iter().filter_map(|complaint| complaint.rsplit(' ').next()).collect();
        assert_eq!(named, expected, "{file}: {text}");
    }
}

/// One file: where it stands, and what it says.
struct Source {
    file: String,
    module: Vec<String>,
    tokens: Vec<Token>,
}

impl Source {
    fn new(file: &Path, text: &str) -> Self {
        let mut module: Vec<String> =
            file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        Self { file: file.display().to_string(), module, tokens: tokens(text) }
    }

    fn part(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    fn word(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn is(&self, at: usize, sign: char) -> bool {
        self.tokens.get(at) == Some(&Token::Sign(sign))
    }

    fn is_path(&self, at: usize) -> bool {
        self.tokens.get(at) == Some(&Token::Path)
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 50, "the sources are where they were");
    let read = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).expect("a source file");
        Source::new(file.strip_prefix(&root).expect("it lies below"), &text)
    };
    files.iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn complaints(check: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    sources().iter().flat_map(check).collect()
}

/// Where a file says one of these names, unless its part may. What is only compiled for tests counts too, except in a
/// file or folder of tests.
fn said(source: &Source, names: &[&[&str]], may: impl Fn(&str) -> bool) -> Vec<String> {
    if may(source.part()) {
        return Vec::new();
    }
    let starts = |name: &&&[&str], at: usize| {
        name.iter().enumerate().all(|(i, word)| {
            source.word(at + 2 * i) == Some(*word) && (i == 0 || source.is_path(at + 2 * i - 1))
        })
    };
    let found = (0..source.tokens.len()).filter_map(|at| names.iter().find(|name| starts(name, at)));
    found.map(|name| format!("{} says {}", source.file, name.join("::"))).collect()
}

/// Every part that a file names and may not.
fn violations(source: &Source) -> Vec<String> {
    let own = source.part();
    let may = |part: &str| match (floor(own), floor(part)) {
        _ if part == own || own == "lib" => true,
        (Some(own), Some(other)) => other < own,
        _ => false,
    };
    let named = parts_named(source).into_iter().filter(|part| !may(part));
    named.map(|part| format!("{} names {part}", source.file)).collect()
}

fn floor(part: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&part))
}

/// The first word below the crate's root of every path that begins with `crate`, `super` or the crate's own name.
fn parts_named(source: &Source) -> Vec<String> {
    let mut named = Vec::new();
    // Modules written inside the file, each with the depth of braces at which it ends.
    let (mut inline, mut depth) = (Vec::new(), 0);
    for at in 0..source.tokens.len() {
        let here = || {
            let inner = inline.iter().map(|(name, _): &(String, usize)| name.clone());
            source.module.iter().cloned().chain(inner).collect::<Vec<_>>()
        };
        let begins = at == 0 || !source.is_path(at - 1);
        match &source.tokens[at] {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => {
                depth -= 1;
                inline.retain(|(_, end)| *end <= depth);
            }
            Token::Word(word) if word == "mod" && source.is(at + 2, '{') => {
                inline.extend(source.word(at + 1).map(|name| (name.to_owned(), depth + 1)));
            }
            Token::Word(word) if begins && (word == "crate" || word == "logto_gateway") => {
                if source.word(at + 1) == Some("as") {
                    named.push("*".to_owned());
                } else if source.is_path(at + 1) {
                    follow(source, at + 2, Vec::new(), &mut named);
                }
            }
            // Inside the braces of a path, `super` goes on from where that path is.
            Token::Word(word) if begins && word == "super" && source.is_path(at + 1) => {
                follow(source, at, here(), &mut named);
            }
            _ => {}
        }
    }
    named
}

/// Walks a path from `at` with `stack` as the module that it has reached, into all branches of its braces.
fn follow(source: &Source, at: usize, mut stack: Vec<String>, named: &mut Vec<String>) -> usize {
    match source.tokens.get(at) {
        Some(Token::Word(word)) if word == "super" || word == "self" => {
            if word == "super" {
                stack.pop();
            }
            if source.is_path(at + 1) { follow(source, at + 2, stack, named) } else { at + 1 }
        }
        Some(Token::Word(word)) => {
            let mut end = at + 1;
            if stack.is_empty() {
                named.push(word.clone());
            }
            stack.push(word.clone());
            if source.is_path(end) {
                end = follow(source, end + 1, stack, named);
            }
            if source.word(end) == Some("as") { end + 2 } else { end }
        }
        Some(Token::Sign('*')) => {
            if stack.is_empty() {
                named.push("*".to_owned());
            }
            at + 1
        }
        Some(Token::Sign('{')) => {
            let mut next = at + 1;
            while !source.is(next, '}') && next < source.tokens.len() {
                next = follow(source, next, stack.clone(), named);
                next += usize::from(source.is(next, ','));
            }
            next + 1
        }
        _ => at + 1,
    }
}
