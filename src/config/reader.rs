//! Reads keys. Asking for a key declares it, and whatever was written that nobody asked for is a mistake.

use super::file::{self, USUAL};
use super::layers::Layers;
use super::nearest::nearest;
use super::parse::{Parsed, Wrong, text};
use super::problem::{Origin, Problem};
use super::sources::{Sources, variable};
use super::value::{MASK, Value};
use crate::secret::Secret;

/// The layers, and what was learned from them so far.
pub(super) struct Reader {
    layers: Layers,
    file_is_broken: bool,
    keys: Vec<Key>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

/// A key as the code declares it, and where its value came from.
pub(super) struct Key {
    pub(super) path: String,
    /// One line that says what it is for.
    pub(super) meaning: &'static str,
    /// The default, or an example where there is none.
    pub(super) written: Written,
    /// The value in force, fit to be shown.
    shown: Option<String>,
    origin: Origin,
}

/// What `config/gateway.toml` shows of a key.
pub(super) enum Written {
    /// The value of whoever sets nothing.
    Default(Value),
    /// Nothing that could be right for everybody.
    Example(Value),
    /// Nothing at all.
    Secret,
}

impl Key {
    /// `cache.ttl` of `cache.ttl.rbac`.
    pub(super) fn section(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// `rbac` of `cache.ttl.rbac`.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit_once('.').map_or(&self.path, |(_, name)| name)
    }
}

/// A key by its name and meaning; how it is read follows.
pub(super) struct Named<'r> {
    reader: &'r mut Reader,
    path: String,
    meaning: &'static str,
}

impl Reader {
    pub(super) fn new(sources: Sources) -> Self {
        let (file, problems) = match file::read(sources.file.as_deref()) {
            Ok(file) => (file, Vec::new()),
            Err(problems) => (Vec::new(), problems),
        };
        let layers = Layers::new(sources.flags, sources.env, file);
        let file_is_broken = !problems.is_empty();
        Self { layers, file_is_broken, keys: Vec::new(), problems, warnings: Vec::new() }
    }

    /// Learns which keys there are, and nothing else.
    pub(super) fn without_sources() -> Self {
        let layers = Layers::new(Vec::new(), Vec::new(), Vec::new());
        Self { layers, file_is_broken: false, keys: Vec::new(), problems: Vec::new(), warnings: Vec::new() }
    }

    /// Begins a key, with the line that says what it is for.
    pub(super) fn key(&mut self, path: &str, meaning: &'static str) -> Named<'_> {
        Named { reader: self, path: path.to_owned(), meaning }
    }

    /// The first of these variables that is set; they are no key's.
    pub(super) fn variable(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.layers.variable(name))
    }

    /// Where a key that was asked for is set; `None` if it isn't.
    pub(super) fn origin(&self, path: &str) -> Option<&Origin> {
        let key = self.keys.iter().find(|key| key.path == path)?;
        Some(&key.origin).filter(|origin| !matches!(origin, Origin::Default | Origin::Missing))
    }

    /// Whether nothing of this section is wrong so far, so that it may be judged as a whole.
    pub(super) fn is_sound(&self, section: &str) -> bool {
        let within = |path: &str| path.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
        !self.problems.iter().any(|problem| problem.key.as_deref().is_some_and(within))
    }

    /// Notes what is wrong with a key that was asked for.
    pub(super) fn note(&mut self, path: &str, wrong: Wrong) {
        let key = self.keys.iter().find(|key| key.path == path);
        self.problems.push(Problem {
            key: Some(path.to_owned()),
            value: key.and_then(|key| key.shown.clone()),
            origin: key.map_or(Origin::Missing, |key| key.origin.clone()),
            wrong: wrong.what,
            right: wrong.right,
        });
    }

    /// Notes that a key is missing; a file that can't be read may well hold it.
    pub(super) fn note_missing(&mut self, path: &str, right: impl Into<String>) {
        if !self.file_is_broken {
            self.note(path, Wrong::new("is needed, and there is no default", right));
        }
    }

    /// Notes what is allowed, and perhaps not meant.
    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// Every key that was asked for.
    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Everything that is wrong, and everything that is only strange.
    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<String>) {
        let known: Vec<_> = self.keys.iter().map(|key| key.path.as_str()).collect();
        let strangers = self.layers.unknown(&known);
        self.problems.extend(strangers.into_iter().map(|(path, origin)| unknown(&path, origin, &known)));
        let injected = self.layers.injected().join(", ");
        if !injected.is_empty() {
            self.warn(format!(
                "ignored: {injected}; the variable of a key holds two underscores, as in {}",
                variable("budget.limit")
            ));
        }
        (self.problems, self.warnings)
    }
}

impl Named<'_> {
    /// A key that has a default. A wrong value is noted and reads as the default, so that reading goes on.
    pub(super) fn or<T>(self, default: impl Into<Value>, parse: impl Fn(&Value) -> Parsed<T>) -> T {
        let default = default.into();
        let fallback = parse(&default);
        let value = self.declare(Written::Default(default), &parse);
        value.unwrap_or_else(|| fallback.expect("a default is valid: the tests read each"))
    }

    /// A key that may be left out.
    pub(super) fn optional<T>(self, example: &str, parse: impl Fn(&Value) -> Parsed<T>) -> Option<T> {
        self.declare(Written::Example(example.into()), &parse)
    }

    /// A key that must be set. `None` is noted, so no configuration comes of it.
    pub(super) fn required<T>(self, example: &str, parse: impl Fn(&Value) -> Parsed<T>) -> Option<T> {
        let Self { reader, path, meaning } = self;
        let value = reader.key(&path, meaning).optional(example, parse);
        if reader.origin(&path).is_none() {
            let name = variable(&path);
            reader.note_missing(&path, format!("set {name}, or {path} in {USUAL}, for instance {example:?}"));
        }
        value
    }

    /// A key whose value is never shown, and never taken from the command line, which everybody can read.
    pub(super) fn secret(self) -> Option<Secret> {
        let Self { reader, path, meaning } = self;
        let parse = |value: &Value| text(value).map(Secret::new);
        let value = reader.key(&path, meaning).declare(Written::Secret, &parse);
        if reader.origin(&path) == Some(&Origin::CommandLine) {
            let what = "is a secret, and everybody can read a process's arguments";
            let right = format!("set {}, or name a file by {path}_file", variable(&path));
            reader.note(&path, Wrong::new(what, right));
        }
        value
    }

    fn declare<T>(self, written: Written, parse: &impl Fn(&Value) -> Parsed<T>) -> Option<T> {
        let Self { reader, path, meaning } = self;
        let given = reader.layers.given(&path);
        let (shown, origin) = match (&given, &written) {
            (Some(given), Written::Secret) => (Some(MASK.to_owned()), given.origin.clone()),
            (Some(given), _) => (Some(given.value.to_string()), given.origin.clone()),
            (None, Written::Default(value)) => (Some(value.to_string()), Origin::Default),
            (None, Written::Example(_) | Written::Secret) => (None, Origin::Missing),
        };
        reader.keys.push(Key { path: path.clone(), meaning, written, shown, origin });
        parse(&given?.value).map_err(|wrong| reader.note(&path, wrong)).ok()
    }
}

/// The value isn't shown: a misspelt key may hold a secret.
fn unknown(path: &str, origin: Origin, known: &[&str]) -> Problem {
    let (wrong, right) = if known.iter().any(|key| key.starts_with(&format!("{path}."))) {
        ("is a section, not a key", format!("write [{path}], and its keys below"))
    } else {
        ("is not a key of this version", suggestion(path, &origin, known))
    };
    Problem { key: Some(path.to_owned()), value: None, origin, wrong: wrong.to_owned(), right }
}

/// The nearest key, or one that is called the same in another section.
fn suggestion(path: &str, origin: &Origin, known: &[&str]) -> String {
    let name = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let namesake = || known.iter().copied().find(|key| name(key) == name(path));
    match (nearest(path, known.iter().copied()).or_else(namesake), origin) {
        (Some(key), Origin::Environment(_)) => format!("did you mean {}?", variable(key)),
        (Some(key), _) => format!("did you mean {key}?"),
        (None, _) => format!("{USUAL} names every key"),
    }
}
