//! A setting's value as somebody wrote it, before it means anything.

use std::fmt;

/// What stands in for whatever must not be shown.
pub(super) const MASK: &str = "••••";

/// The longest value that is shown in full.
const SHOWN_MAX: usize = 120;

/// A value as written. It may be a secret, so it has no `Debug`; its `Display` is for what isn't.
#[derive(Clone)]
pub(super) enum Value {
    /// A string in the file.
    Text(String),
    /// An integer in the file.
    Integer(i64),
    /// A float in the file.
    Float(f64),
    /// An array in the file.
    List(Vec<Value>),
    /// Anything else in the file, as written: no key wants it.
    Other(String),
    /// A variable or an argument: text, from which the key's type is read.
    Loose(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl fmt::Display for Value {
    /// As TOML; credentials inside a URL are masked, overlong values cut.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Loose(text) => write!(f, "{:?}", shortened(&without_userinfo(text))),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Other(raw) => f.write_str(&shortened(&without_userinfo(raw))),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

/// Up to the last `@` a URL may carry a password.
fn without_userinfo(text: &str) -> String {
    let Some(at) = text.rfind('@') else { return text.to_owned() };
    let start = text[..at].find("://").map_or(0, |scheme| scheme + "://".len());
    format!("{}{MASK}{}", &text[..start], &text[at..])
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_toml() {
        let list = Value::List(vec![Value::from("a"), Value::from(1)]);
        for (value, shown) in [
            (Value::from("10s"), r#""10s""#),
            (Value::Loose("10s".into()), r#""10s""#),
            (Value::from(7), "7"),
            (Value::from(1.0), "1.0"),
            (Value::Other("true".into()), "true"),
            (list, r#"["a", 1]"#),
        ] {
            assert_eq!(value.to_string(), shown);
        }
    }

    #[test]
    fn a_password_inside_a_url_is_never_shown() {
        for url in ["https://me:hunter2@a.logto.app", "me:hunter2@a.logto.app", "https://m:hunter2@x@a/?b=/"]
        {
            let shown = Value::from(url).to_string();
            assert!(!shown.contains("hunter2") && shown.contains(MASK), "{shown}");
        }
    }

    #[test]
    fn a_value_as_long_as_a_book_is_cut() {
        assert!(Value::Loose("é".repeat(100_000)).to_string().len() < 400);
    }
}
