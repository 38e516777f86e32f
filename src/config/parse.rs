//! From a value as written to a value that means something, or to what is wrong with it.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::nearest::nearest;
use super::value::Value;

/// A meaning, or what is wrong.
pub(super) type Parsed<T> = Result<T, Wrong>;

/// What is wrong with a value, and what would be right.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Continues "this value …".
    pub(super) what: String,
    /// An instruction.
    pub(super) right: String,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, right: impl Into<String>) -> Self {
        Self { what: what.into(), right: right.into() }
    }
}

/// No count needs to be larger, and sums of them stay far from overflow.
pub(super) const MANY: u32 = 1_000_000;

/// Longer than any timer makes sense; tokio's own timers end at two years.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Binary kilobyte.
pub(super) const KIB: u64 = 1024;
/// Binary megabyte.
pub(super) const MIB: u64 = 1024 * KIB;
/// Binary gigabyte.
pub(super) const GIB: u64 = 1024 * MIB;

/// A string that says something.
pub(super) fn text(value: &Value) -> Parsed<String> {
    let (Value::Text(text) | Value::Loose(text)) = value else {
        return Err(Wrong::new("is not a string", "put it in quotes"));
    };
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Wrong::new("is not UTF-8", "write it in UTF-8"));
    }
    if text.trim().is_empty() {
        return Err(Wrong::new("is empty", "give it a value, or leave the key out"));
    }
    Ok(text.trim().to_owned())
}

/// A whole number within `range`.
pub(super) fn count<N: TryFrom<u32>>(range: RangeInclusive<u32>) -> impl Fn(&Value) -> Parsed<N> {
    move |value| {
        let right = || format!("write a whole number from {} to {}", range.start(), range.end());
        let number = match value {
            Value::Integer(number) => Some(*number),
            Value::Loose(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| Wrong::new("is not a whole number", right()))?;
        u32::try_from(number)
            .ok()
            .filter(|n| range.contains(n))
            .and_then(|n| N::try_from(n).ok())
            .ok_or_else(|| Wrong::new("is out of range", right()))
    }
}

/// A number that may have a fraction.
pub(super) fn number(value: &Value) -> Parsed<f64> {
    let number = match value {
        Value::Float(number) => Some(*number),
        Value::Integer(number) => i32::try_from(*number).ok().map(f64::from),
        Value::Loose(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| Wrong::new("is not a number", "write a number, for instance 0.5"))
}

/// A duration, zero included.
pub(super) fn duration(value: &Value) -> Parsed<Duration> {
    const RIGHT: &str = r#"write a number with a unit: "500ms", "10s", "1m" or "1h""#;
    let (number, unit) = quantity(value, "is not a duration", RIGHT)?;
    let length = match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => return Err(Wrong::new(format!("has no unit of time: {}", Value::from(unit)), RIGHT)),
    };
    length
        .filter(|length| *length <= YEAR)
        .ok_or_else(|| Wrong::new("is longer than a year", "write a shorter duration"))
}

/// A duration that takes time.
pub(super) fn positive(value: &Value) -> Parsed<Duration> {
    match duration(value)? {
        Duration::ZERO => Err(Wrong::new("leaves no time at all", "write a duration above zero")),
        length => Ok(length),
    }
}

/// A number of bytes within `range`.
pub(super) fn size<N: TryFrom<u64>>(range: RangeInclusive<u64>) -> impl Fn(&Value) -> Parsed<N> {
    const RIGHT: &str = r#"write a number with a unit: "512B", "16KiB", "64MiB", "1GiB", "1MB""#;
    move |value| {
        let (number, unit) = quantity(value, "is not a size", RIGHT)?;
        let factor = match unit {
            "B" => 1,
            "KiB" => KIB,
            "MiB" => MIB,
            "GiB" => GIB,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return Err(Wrong::new(format!("has no unit of size: {}", Value::from(unit)), RIGHT)),
        };
        let bytes = number.checked_mul(factor).filter(|bytes| range.contains(bytes));
        bytes.and_then(|bytes| N::try_from(bytes).ok()).ok_or_else(|| {
            let right =
                format!("write a size from {} to {}", bytes_text(*range.start()), bytes_text(*range.end()));
            Wrong::new("is out of range", right)
        })
    }
}

/// A size in its largest whole unit.
pub(super) fn bytes_text(bytes: u64) -> String {
    [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or(format!("{bytes}B"), |(unit, name)| format!("{}{name}", bytes / unit))
}

/// `off`, or what `parse` takes.
pub(super) fn off_or<T>(parse: impl Fn(&Value) -> Parsed<T>) -> impl Fn(&Value) -> Parsed<Option<T>> {
    move |value| match value {
        Value::Text(text) | Value::Loose(text) if text.trim() == "off" => Ok(None),
        value => parse(value)
            .map(Some)
            .map_err(|wrong| Wrong { right: format!(r#"{}; or "off""#, wrong.right), ..wrong }),
    }
}

/// One of a few words.
pub(super) fn one_of<T: Copy, const N: usize>(words: [(&'static str, T); N]) -> impl Fn(&Value) -> Parsed<T> {
    move |value| {
        let written = text(value)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == written) {
            return Ok(*meaning);
        }
        let choices: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let right = nearest(&written, words.iter().map(|(word, _)| *word))
            .map_or("write one of these".to_owned(), |word| format!("did you mean {word:?}?"));
        Err(Wrong::new(format!("is not one of {}", choices.join(", ")), right))
    }
}

/// An array of strings, one string, or in a variable several between commas. Every wrong item is told.
pub(super) fn list<T>(item: impl Fn(&str) -> Parsed<T>) -> impl Fn(&Value) -> Parsed<Vec<T>> {
    move |value| {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for written in items(value)? {
            match item(&written) {
                Ok(parsed) => good.push(parsed),
                Err(wrong) => bad.push((Value::Text(written), wrong)),
            }
        }
        let Some((_, first)) = bad.first() else { return Ok(good) };
        let what: Vec<_> =
            bad.iter().map(|(written, wrong)| format!("{written}: it {}", wrong.what)).collect();
        Err(Wrong::new(what.join("; "), &first.right))
    }
}

fn items(value: &Value) -> Parsed<Vec<String>> {
    match value {
        Value::List(items) => items.iter().map(text).collect::<Result<_, _>>().map_err(|wrong| {
            Wrong::new(format!("has an item that {}", wrong.what), "write an array of strings")
        }),
        Value::Loose(several) => {
            Ok(several.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
        }
        one => Ok(vec![text(one)?]),
    }
}

/// The text of a file.
pub(super) fn file_text(value: &Value) -> Parsed<String> {
    String::from_utf8(file_bytes(value)?)
        .map_err(|_| Wrong::new("is a file that is not UTF-8 text", "name a text file"))
}

/// The content of a file.
pub(super) fn file_bytes(value: &Value) -> Parsed<Vec<u8>> {
    let path = PathBuf::from(text(value)?);
    std::fs::read(path).map_err(|error| {
        Wrong::new(format!("cannot be read: {error}"), "name a file that this process may read")
    })
}

/// Digits, then a unit.
fn quantity<'v>(value: &'v Value, what: &str, right: &str) -> Parsed<(u64, &'v str)> {
    let bare = || Wrong::new("is a bare number, without a unit", right);
    let text = match value {
        Value::Text(text) | Value::Loose(text) => text.trim(),
        Value::Integer(_) | Value::Float(_) => return Err(bare()),
        _ => return Err(Wrong::new(what, right)),
    };
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    match digits.parse() {
        Ok(_) if unit.is_empty() => Err(bare()),
        Ok(number) => Ok((number, unit.trim_start())),
        Err(_) => Err(Wrong::new(what, right)),
    }
}
