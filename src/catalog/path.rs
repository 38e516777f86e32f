//! Paths as Logto reads them: literals in any case, parameters decoded once, one spelling for each resource.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// RFC 3986 §3.3: what a segment may hold as it is (`pchar`). Everything else is percent-encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(Box<str>),
    Parameter(Box<str>),
}

impl Segment {
    /// The parameter's name, if it is one.
    pub(super) fn parameter(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(name) => Some(name),
        }
    }
}

/// Takes a template apart; says what is wrong with it.
pub(super) fn template(text: &str) -> Result<Box<[Segment]>, String> {
    let Some(below) = text.strip_prefix("/api/") else {
        return Err("a path begins with `/api/`".to_owned());
    };
    let api = Ok(Segment::Literal("api".into()));
    let segments: Box<[Segment]> =
        std::iter::once(api).chain(below.split('/').map(template_segment)).collect::<Result<_, _>>()?;
    let names: Vec<&str> = segments.iter().filter_map(Segment::parameter).collect();
    match names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        Some((_, name)) => Err(format!("the parameter `{{{name}}}` appears twice")),
        None => Ok(segments),
    }
}

fn template_segment(text: &str) -> Result<Segment, String> {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
    if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let parameter = is_name(name).then(|| Segment::Parameter(name.into()));
        return parameter
            .ok_or_else(|| format!("`{text}`: a parameter's name is made of letters and digits"));
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    let literal = (!text.is_empty() && text.bytes().all(plain)).then(|| Segment::Literal(text.into()));
    literal
        .ok_or_else(|| format!("`{text}`: a literal is made of lower-case letters, digits, `-`, `.` and `_`"))
}

/// The path less one trailing slash, which Logto ignores. Two slashes are an empty segment and stay.
pub(super) fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').filter(|rest| !rest.ends_with('/')).unwrap_or(path)
}

/// The path in lower case, for matching literals.
pub(super) fn lower(path: &str) -> Cow<'_, str> {
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Owned(path.to_ascii_lowercase());
    }
    Cow::Borrowed(path)
}

/// The one spelling of a path that matches this template: its literals, and each parameter decoded and encoded
/// again. `None` when a parameter is no text (broken encoding, not UTF-8) or a dot segment: no such id exists.
pub(super) fn canonical(template: &[Segment], path: &str) -> Option<String> {
    let mut spelling = String::with_capacity(path.len());
    for (segment, raw) in template.iter().zip(path.split('/').skip(1)) {
        spelling.push('/');
        match segment {
            Segment::Literal(literal) => spelling.push_str(literal),
            Segment::Parameter(_) => spelling.extend(utf8_percent_encode(&decoded(raw)?, ENCODED)),
        }
    }
    Some(spelling)
}

/// A parameter's value as Logto's handler sees it.
fn decoded(raw: &str) -> Option<Cow<'_, str>> {
    let whole = raw.split('%').skip(1).all(|after| {
        let hex = after.as_bytes().iter().take(2).filter(|b| b.is_ascii_hexdigit());
        hex.count() == 2
    });
    let value = percent_decode_str(raw).decode_utf8().ok().filter(|_| whole)?;
    (value != "." && value != "..").then_some(value)
}

/// The segment at this place of a canonical path, still encoded; empty if the path is shorter.
pub(super) fn segment(canonical: &str, place: usize) -> &str {
    canonical.split('/').nth(place + 1).unwrap_or_default()
}

/// The value of a canonical path's segment.
pub(super) fn value(canonical: &str, place: usize) -> Cow<'_, str> {
    percent_decode_str(segment(canonical, place)).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_with_a_mistake_is_told_what_would_be_right() {
        for (text, part) in [
            ("/users", "begins with `/api/`"),
            ("/api/Users", "lower-case"),
            ("/api//users", "lower-case"),
            ("/api/users/{user id}", "letters and digits"),
            ("/api/users/{}", "letters and digits"),
            ("/api/users/{id}/roles/{id}", "appears twice"),
        ] {
            assert!(template(text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn a_parameter_that_is_no_text_has_no_spelling() {
        let users = template("/api/users/{id}").unwrap();
        for raw in ["%zz", "%4", "a%", "%ff", "%c3", ".", "..", "%2e%2E"] {
            assert_eq!(canonical(&users, &format!("/api/users/{raw}")), None, "{raw}");
        }
    }

    #[test]
    fn reserved_characters_of_a_parameter_stay_inside_their_segment() {
        let users = template("/api/users/{id}").unwrap();
        for (raw, spelling) in [
            ("a%2fb", "a%2Fb"),
            ("a%5Cb", "a%5Cb"),
            ("a%25b", "a%25b"),
            ("a%40b", "a@b"),
            ("a%3Fb", "a%3Fb"),
            ("%C3%A9", "%C3%A9"),
            ("é", "%C3%A9"),
        ] {
            assert_eq!(
                canonical(&users, &format!("/api/users/{raw}")).unwrap(),
                format!("/api/users/{spelling}")
            );
        }
    }
}
