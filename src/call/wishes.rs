//! What a client says of its own urgency; it can only make itself wait longer, or shorter, at nobody else's cost.

use http::{HeaderMap, HeaderName};

use crate::caller::Class;

/// The wishes in a request's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wishes {
    /// `Priority` (RFC 9218 §4.1): an urgency of 5 or more is somebody's background work.
    pub(super) class: Class,
    /// `Prefer: wait` (RFC 7240 §4.3), in seconds.
    pub(super) wait: Option<u32>,
}

const PRIORITY: HeaderName = HeaderName::from_static("priority");
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// From here on it is background work; 3 is the default.
const URGENCY_BATCH: u8 = 5;

impl Wishes {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let urgency = items(headers, &PRIORITY).find_map(|item| value(item, "u")?.parse::<u8>().ok());
        let class = match urgency {
            Some(URGENCY_BATCH..=7) => Class::Batch,
            _ => Class::Interactive,
        };
        // Of a preference given twice the first one counts (RFC 7240 §2).
        let wait = items(headers, &PREFER).find_map(|item| value(item, "wait")?.parse().ok());
        Self { class, wait }
    }
}

fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// The value of `name=value`, its parameters left aside.
fn value<'a>(item: &'a str, name: &str) -> Option<&'a str> {
    let (key, rest) = item.split_once('=')?;
    let value = rest.split(';').next()?.trim().trim_matches('"');
    key.trim().eq_ignore_ascii_case(name).then_some(value)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn wishes(name: &'static str, value: &'static str) -> Wishes {
        Wishes::of(&HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]))
    }

    #[test]
    fn a_low_urgency_is_background_work() {
        for (priority, class) in [
            ("u=5", Class::Batch),
            ("i, u=7", Class::Batch),
            ("u=4", Class::Interactive),
            ("u=0", Class::Interactive),
            ("u=8", Class::Interactive),
            ("u=-1", Class::Interactive),
            ("u", Class::Interactive),
            ("", Class::Interactive),
        ] {
            assert_eq!(wishes("priority", priority).class, class, "{priority}");
        }
    }

    #[test]
    fn a_preferred_wait_is_a_number_of_seconds() {
        for (prefer, wait) in [
            ("wait=10", Some(10)),
            ("respond-async, Wait = 7; x=y", Some(7)),
            ("wait=\"3\"", Some(3)),
            ("wait=1, wait=2", Some(1)),
            ("wait=0", Some(0)),
            ("wait=-1", None),
            ("wait=99999999999", None),
            ("wait", None),
        ] {
            assert_eq!(wishes("prefer", prefer).wait, wait, "{prefer}");
        }
    }
}
