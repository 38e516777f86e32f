//! Pages of lists: which one is asked for, and the headers that lead to the others.

use http::{HeaderName, StatusCode, header};

use super::answer::Refusal;

const SIZE_DEFAULT: usize = 20;
const SIZE_MAX: usize = 100;

/// Whether a list is always cut into pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Paging {
    Always,
    /// Only when `page` or `page_size` is given; the whole list otherwise.
    OnRequest,
}

/// One page of a list, counted from 1.
#[derive(Clone, Copy)]
pub(super) struct Page {
    number: usize,
    size: usize,
}

/// A query string, decoded, in order.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.pairs().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Every key once, at its first place, with its values joined by commas, as Logto's links have them.
    fn joined(&self) -> Vec<(&str, String)> {
        let mut joined: Vec<(&str, String)> = Vec::new();
        for (key, value) in self.pairs() {
            match joined.iter_mut().find(|(name, _)| *name == key) {
                Some((_, values)) => *values = format!("{values},{value}"),
                None => joined.push((key, value.to_owned())),
            }
        }
        joined
    }
}

impl Page {
    /// The page that the query asks for; none when it asks for none and needn't.
    pub(super) fn asked(query: &Query, paging: Paging) -> Result<Option<Self>, Refusal> {
        let joined = query.joined();
        let value = |key: &str| joined.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str());
        if paging == Paging::OnRequest && value("page").is_none() && value("page_size").is_none() {
            return Ok(None);
        }
        let number = positive(value("page"), 1)?;
        let size = positive(value("page_size"), SIZE_DEFAULT)?;
        if size > SIZE_MAX {
            return Err(invalid());
        }
        Ok(Some(Self { number, size }))
    }

    /// The part of the list that is on this page; nothing past the end.
    pub(super) fn of<'l, T>(&self, list: &'l [T]) -> &'l [T] {
        let start = (self.number - 1).saturating_mul(self.size).min(list.len());
        &list[start..(start + self.size).min(list.len())]
    }

    /// `Total-Number` and the `Link` lines. `url` is scheme, host and path.
    pub(super) fn headers(&self, total: usize, url: &str, query: &Query) -> Vec<(HeaderName, String)> {
        let last = total.div_ceil(self.size).max(1);
        let link = |page: usize, relation: &str| {
            (header::LINK, format!("<{url}?{}>; rel=\"{relation}\"", query_with_page(query, page)))
        };
        let mut lines = vec![(HeaderName::from_static("total-number"), total.to_string()), link(1, "first")];
        if self.number > 1 {
            lines.push(link(self.number - 1, "prev"));
        }
        lines.push(link(last, "last"));
        if self.number < last {
            lines.push(link(self.number + 1, "next"));
        }
        lines
    }
}

fn query_with_page(query: &Query, page: usize) -> String {
    let mut pairs = query.joined();
    match pairs.iter_mut().find(|(name, _)| *name == "page") {
        Some((_, value)) => *value = page.to_string(),
        None => pairs.push(("page", page.to_string())),
    }
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn positive(value: Option<&str>, default: usize) -> Result<usize, Refusal> {
    match value {
        None => Ok(default),
        Some(text) => text.trim().parse().ok().filter(|&number| number > 0).ok_or_else(invalid),
    }
}

fn invalid() -> Refusal {
    let message = "The request pagination value is invalid.";
    Refusal::new(StatusCode::BAD_REQUEST, "guard.invalid_pagination", message)
}
