//! Searching lists: `search`, `search.<field>`, `mode`, `joint` and `isCaseSensitive`.

use http::StatusCode;
use serde_json::Value;

use super::answer::Refusal;
use super::paging::Query;

/// What a query searches for.
pub(super) struct Search<'q> {
    matches: Vec<Match<'q>>,
    joint: Joint,
    case: Case,
}

struct Match<'q> {
    fields: Vec<&'q str>,
    mode: Mode,
    values: Vec<&'q str>,
}

/// The name of no field: `search` and `mode` without one.
const ANY_FIELD: &str = "";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Exact,
    Like,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Joint {
    And,
    Or,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Sensitive,
    Insensitive,
}

impl<'q> Search<'q> {
    /// Reads a query; `fields` are those that a search may name, and all that one without a field looks into.
    pub(super) fn read(query: &'q Query, fields: &[&'q str]) -> Result<Self, Refusal> {
        let joint = match query.get("joint").or_else(|| query.get("jointMode")).unwrap_or("or") {
            "and" => Joint::And,
            "or" | "" => Joint::Or,
            other => {
                let problem = format!("Search joint mode `{other}` is not valid, expect one of and, or.");
                return Err(Refusal::invalid_query(&problem));
            }
        };
        let case = match query.get("isCaseSensitive") {
            Some("true" | "1" | "yes" | "y") => Case::Sensitive,
            _ => Case::Insensitive,
        };
        let modes = modes(query)?;
        let matches =
            wanted(query).into_iter().map(|(field, values)| one_match(field, values, &modes, fields));
        Ok(Self { matches: matches.collect::<Result<_, _>>()?, joint, case })
    }

    pub(super) fn accepts(&self, row: &Value) -> bool {
        match self.joint {
            _ if self.matches.is_empty() => true,
            Joint::And => self.matches.iter().all(|one| one.accepts(row, self.case)),
            Joint::Or => self.matches.iter().any(|one| one.accepts(row, self.case)),
        }
    }
}

impl Match<'_> {
    fn accepts(&self, row: &Value, case: Case) -> bool {
        let texts = self.fields.iter().filter_map(|field| row.get(field)?.as_str());
        texts.map(|text| folded(text, case)).any(|text| {
            self.values.iter().map(|value| folded(value, case)).any(|value| match self.mode {
                Mode::Exact => text == value,
                Mode::Like => like(&value, &text),
            })
        })
    }
}

/// The mode of each field; that of [`ANY_FIELD`] holds for those without one.
fn modes(query: &Query) -> Result<Vec<(&str, Mode)>, Refusal> {
    let pairs = query.pairs().filter_map(|(key, value)| Some((field_of(key, "mode")?, value)));
    pairs.map(|(field, value)| Ok((field, mode(field, value)?))).collect()
}

fn mode(field: &str, value: &str) -> Result<Mode, Refusal> {
    match value {
        "exact" => Ok(Mode::Exact),
        "like" => Ok(Mode::Like),
        "similar_to" | "posix" => {
            let message = format!("The simulator knows the search modes exact and like, not {value}.");
            Err(Refusal::beyond_simulation(StatusCode::NOT_IMPLEMENTED, message))
        }
        other => {
            let whose = match field {
                ANY_FIELD => String::new(),
                field => format!(" for field `{field}`"),
            };
            Err(Refusal::invalid_query(&format!(
                "Search match mode `{other}`{whose} is not valid, expect one of exact, like, similar_to, posix."
            )))
        }
    }
}

/// The searched fields in order, each with all its values.
fn wanted(query: &Query) -> Vec<(&str, Vec<&str>)> {
    let mut wanted: Vec<(&str, Vec<&str>)> = Vec::new();
    for (key, value) in query.pairs() {
        let Some(field) = field_of(key, "search") else { continue };
        match wanted.iter_mut().find(|(name, _)| *name == field) {
            Some((_, values)) => values.push(value),
            None => wanted.push((field, vec![value])),
        }
    }
    wanted
}

fn one_match<'q>(
    field: &'q str,
    values: Vec<&'q str>,
    modes: &[(&str, Mode)],
    fields: &[&'q str],
) -> Result<Match<'q>, Refusal> {
    let mode_of = |name| modes.iter().rev().find(|(field, _)| *field == name).map(|&(_, mode)| mode);
    let mode = mode_of(field).or_else(|| mode_of(ANY_FIELD)).unwrap_or(Mode::Like);
    if mode == Mode::Like && values.len() > 1 {
        let problem = "Only one search value is allowed when search mode is not `exact`.";
        return Err(Refusal::invalid_query(problem));
    }
    if values.iter().any(|value| value.is_empty()) {
        return Err(Refusal::invalid_query("Search value cannot be empty."));
    }
    let fields = match field {
        ANY_FIELD => fields.to_vec(),
        name if fields.contains(&name) => vec![name],
        name => {
            let known = fields.join(", ");
            let problem = format!("Search field `{name}` is not valid, expect one of {known}.");
            return Err(Refusal::invalid_query(&problem));
        }
    };
    Ok(Match { fields, mode, values })
}

/// `search` → no field (an empty one), `search.name` → `name`; `None` for every other key.
fn field_of<'k>(key: &'k str, word: &str) -> Option<&'k str> {
    match key.strip_prefix(word)? {
        "" => Some(ANY_FIELD),
        rest => rest.strip_prefix('.'),
    }
}

fn folded(text: &str, case: Case) -> String {
    match case {
        Case::Sensitive => text.to_owned(),
        Case::Insensitive => text.to_lowercase(),
    }
}

/// SQL's LIKE: `%` is any text, `_` any character. On a mismatch it lets the last `%` take one character more.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut retry) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '_' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star, taken)) = retry else { return false };
                retry = Some((star, taken + 1));
                p = star + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '%')
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn like_knows_any_text_and_any_character() {
        let yes = [("%user1%", "a user10"), ("u_er", "user"), ("%", ""), ("a%b%c", "axxbxbyc"), ("x", "x")];
        let no = [("user", "user1"), ("u_er", "uer"), ("a%b", "a"), ("", "x")];
        assert!(yes.iter().all(|(pattern, text)| like(pattern, text)));
        assert!(!no.iter().any(|(pattern, text)| like(pattern, text)));
    }
}
