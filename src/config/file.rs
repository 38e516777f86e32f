//! The configuration file as it was written: dotted keys, values, and where they stand.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Origin, Problem};
use super::value::Value;

/// Read when it exists and no other file is named.
pub(super) const USUAL: &str = "config/gateway.toml";

/// A value, and where it stands.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Every key of the file in its order, or what keeps it from being read.
pub(super) fn read(named: Option<&Path>) -> Result<Vec<(String, Given)>, Vec<Problem>> {
    let path = named.unwrap_or(Path::new(USUAL));
    match std::fs::read_to_string(path) {
        Ok(text) => File { path, text: &text }.parse(),
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => Ok(Vec::new()),
        Err(error) => Err(vec![unreadable(path, &error)]),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem {
        key: None,
        value: None,
        origin: Origin::File { path: path.to_owned(), line: 1, column: 1 },
        wrong: format!("the configuration file cannot be read: {error}"),
        right: "name a file that exists, and that this process may read".to_owned(),
    }
}

struct File<'f> {
    path: &'f Path,
    text: &'f str,
}

impl File<'_> {
    fn parse(&self) -> Result<Vec<(String, Given)>, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if !errors.is_empty() {
            let mut problems: Vec<_> = errors.iter().map(|error| self.syntax(error)).collect();
            problems.dedup_by_key(|problem| line(problem)); // what follows on a line is mostly an echo
            return Err(problems);
        }
        let mut found = Vec::new();
        self.flatten("", table.get_ref(), &mut found);
        found.sort_by_key(|(at, _, _)| *at);
        Ok(found.into_iter().map(|(_, key, given)| (key, given)).collect())
    }

    /// Only the message: toml's own `Display` quotes the line, and the line may hold a secret.
    fn syntax(&self, error: &toml::de::Error) -> Problem {
        Problem {
            key: None,
            value: None,
            origin: self.origin(error.span().map_or(0, |span| span.start)),
            wrong: format!("this is not TOML: {}", error.message()),
            right: "mend the syntax; strings, durations and sizes stand in quotes".to_owned(),
        }
    }

    fn flatten(&self, prefix: &str, table: &DeTable<'_>, found: &mut Vec<(usize, String, Given)>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", quoted(name.get_ref()));
            if let DeValue::Table(inner) = value.get_ref() {
                self.flatten(&format!("{key}."), inner, found);
            } else {
                let at = name.span().start;
                found.push((at, key, Given { value: self.value(value), origin: self.origin(at) }));
            }
        }
    }

    fn value(&self, value: &Spanned<DeValue<'_>>) -> Value {
        let as_written = || Value::Other(self.text.get(value.span()).unwrap_or_default().to_owned());
        match value.get_ref() {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| as_written(), Value::Integer),
            DeValue::Float(number) => number.as_str().parse().map_or_else(|_| as_written(), Value::Float),
            DeValue::Array(items) => Value::List(items.iter().map(|item| self.value(item)).collect()),
            DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Table(_) => as_written(),
        }
    }

    fn origin(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Origin::File {
            path: PathBuf::from(self.path),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

fn line(problem: &Problem) -> Option<usize> {
    match problem.origin {
        Origin::File { line, .. } => Some(line),
        _ => None,
    }
}

/// A quoted key with a dot in it is not a key in a section.
fn quoted(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.chars().all(bare) && !name.is_empty() { name.to_owned() } else { format!("{name:?}") }
}
