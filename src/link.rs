//! Links in answers, mended so that a client can follow them.
//!
//! Logto's `Link` lacks `/api` and names Logto's own host; followed literally it leads to a web page. It also joins
//! repeated query parameters with a comma, which breaks the second page of an advanced search. So each page's link
//! becomes: the client's own base, path and query bytes, with only the page numbers taken from Logto's.

use std::borrow::Cow;

use http::header::{Entry, LINK, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Uri};

/// The parameters that Logto decides; all others are the client's.
const PAGING: [&str; 2] = ["page", "page_size"];

/// What a link is mended with.
pub struct View<'a> {
    /// `host[:port]` of the upstream, whose links are mended; those of others are left alone.
    pub upstream: &'a str,
    /// Scheme and host by which the client knows this gateway.
    pub base: &'a str,
    /// Path and query that the client asked for.
    pub asked: &'a PathAndQuery,
}

/// Mends `Link` (RFC 8288) and `Location` (RFC 9110 §10.2.2).
pub fn mend(headers: &mut HeaderMap, view: &View<'_>) {
    if let Entry::Occupied(mut links) = headers.entry(LINK) {
        for value in links.iter_mut() {
            *value = view.mend_link(value);
        }
    }
    if let Some(location) = headers.get(LOCATION) {
        let moved = location.to_str().ok().and_then(|text| view.ours(text)).map(|uri| view.rebased(&uri));
        if let Some(value) = moved.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(LOCATION, value);
        }
    }
}

impl View<'_> {
    fn mend_link(&self, value: &HeaderValue) -> HeaderValue {
        let mended = value.to_str().ok().map(|text| self.mend_links(text));
        mended.and_then(|text| HeaderValue::try_from(text).ok()).unwrap_or_else(|| value.clone())
    }

    /// One line may hold many links: `<target>; rel="next", <target>; …`.
    fn mend_links(&self, line: &str) -> String {
        let mut out = String::with_capacity(line.len() + 32);
        let mut rest = line;
        while let Some((before, target, after)) = next_target(rest) {
            let parameters = &after[..next_link(after)];
            let mended = self
                .ours(target)
                .map(|uri| if is_page(parameters) { self.page(&uri) } else { self.rebased(&uri) });
            for part in [before, "<", mended.as_deref().unwrap_or(target), ">", parameters] {
                out.push_str(part);
            }
            rest = &after[parameters.len()..];
        }
        out.push_str(rest);
        out
    }

    /// The target as a URI, if it is the upstream's.
    fn ours(&self, target: &str) -> Option<Uri> {
        let uri: Uri = target.parse().ok()?;
        match uri.authority() {
            Some(authority) => authority.as_str().eq_ignore_ascii_case(self.upstream).then_some(uri),
            None => target.starts_with('/').then_some(uri),
        }
    }

    fn rebased(&self, uri: &Uri) -> String {
        format!("{}{}", self.base, uri.path_and_query().map_or("/", PathAndQuery::as_str))
    }

    fn page(&self, theirs: &Uri) -> String {
        let numbers = PAGING.map(|name| pairs(theirs.query()).find(|pair| key(pair) == name));
        let mut given = [false; PAGING.len()];
        let mut page = String::with_capacity(self.base.len() + self.asked.as_str().len() + 32);
        page.push_str(self.base);
        page.push_str(self.asked.path());
        let mut separator = '?';
        let mut add = |pair: &str| {
            page.push(std::mem::replace(&mut separator, '&'));
            page.push_str(pair);
        };
        for pair in pairs(self.asked.query()) {
            let which = PAGING.iter().position(|name| key(pair) == *name);
            match which.and_then(|i| Some((i, numbers[i]?))) {
                Some((i, number)) if !std::mem::replace(&mut given[i], true) => add(number),
                Some(_given_twice) => {}
                None => add(pair),
            }
        }
        for number in (0..PAGING.len()).filter(|i| !given[*i]).filter_map(|i| numbers[i]) {
            add(number);
        }
        page
    }
}

/// The parameters of a query, in the bytes in which they came.
fn pairs(query: Option<&str>) -> impl Iterator<Item = &str> {
    query.unwrap_or("").split('&').filter(|pair| !pair.is_empty())
}

/// Splits at the first `<target>`.
fn next_target(text: &str) -> Option<(&str, &str, &str)> {
    let open = text.find('<')?;
    let close = open + text[open..].find('>')?;
    Some((&text[..open], &text[open + 1..close], &text[close + 1..]))
}

/// Where the parameters of one link end: at a comma outside quotes.
fn next_link(parameters: &str) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in parameters.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    parameters.len()
}

/// Whether a link leads to another page of the same list.
fn is_page(parameters: &str) -> bool {
    parameters.split(';').filter_map(|p| p.trim().split_once('=')).any(|(name, value)| {
        name.trim().eq_ignore_ascii_case("rel")
            && value.trim().trim_matches('"').split(' ').any(|rel| {
                ["first", "prev", "next", "last"].iter().any(|page| rel.eq_ignore_ascii_case(page))
            })
    })
}

fn key(pair: &str) -> Cow<'_, str> {
    match pair.split_once('=').map_or(pair, |(key, _)| key) {
        plain if !plain.bytes().any(|b| matches!(b, b'%' | b'+')) => Cow::Borrowed(plain),
        _ => form_urlencoded::parse(pair.as_bytes()).next().map_or(Cow::Borrowed(""), |(key, _)| key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(asked: &str, link: &str) -> String {
        let asked: PathAndQuery = asked.parse().expect("a path");
        let view = View { upstream: "logto.example:3001", base: "http://localhost:8480", asked: &asked };
        view.mend_links(link)
    }

    #[test]
    fn a_pages_link_is_the_clients_own_request_with_another_page() {
        for (asked, link, expected) in [
            (
                "/api/users?page=2&page_size=20",
                r#"<http://logto.example:3001/users?page=3&page_size=20>; rel="next""#,
                r#"<http://localhost:8480/api/users?page=3&page_size=20>; rel="next""#,
            ),
            (
                "/api/roles",
                r#"<http://logto.example:3001/roles?page=1>; rel="first""#,
                r#"<http://localhost:8480/api/roles?page=1>; rel="first""#,
            ),
            (
                "/api/Users/?search.name=a&search.name=b%2C&joint=or",
                r#"<https://LOGTO.example:3001/Users/?search.name=a%2Cb%2C&joint=or&page=2>; rel="next""#,
                r#"<http://localhost:8480/api/Users/?search.name=a&search.name=b%2C&joint=or&page=2>; rel="next""#,
            ),
            (
                "/api/users?page=1&page=2&p%61ge=3&x=1",
                r"<http://logto.example:3001/users?page=4&x=1>; rel=next",
                r"<http://localhost:8480/api/users?page=4&x=1>; rel=next",
            ),
        ] {
            assert_eq!(mended(asked, link), expected);
        }
    }

    #[test]
    fn many_links_on_one_line_are_each_mended() {
        let line = r#"<http://logto.example:3001/users?page=1>; rel="first"; title="a, <b>", </users?page=2>;rel="next", <https://elsewhere.example/x>; rel="help""#;
        let expected = r#"<http://localhost:8480/api/users?page=1>; rel="first"; title="a, <b>", <http://localhost:8480/api/users?page=2>;rel="next", <https://elsewhere.example/x>; rel="help""#;
        assert_eq!(mended("/api/users", line), expected);
    }

    #[test]
    fn a_link_that_is_no_page_only_changes_its_host() {
        assert_eq!(
            mended("/api/users", r#"<http://logto.example:3001/terms>; rel="terms-of-service""#),
            r#"<http://localhost:8480/terms>; rel="terms-of-service""#
        );
    }

    #[test]
    fn what_is_no_link_is_left_alone() {
        for line in ["", "<", "<no end", "plain", "<:::>; rel=next", r#"<mailto:a@b>; rel="next""#] {
            assert_eq!(mended("/api/users", line), line);
        }
    }

    #[test]
    fn a_redirect_to_the_upstream_comes_back_here() {
        let asked = PathAndQuery::from_static("/api/x");
        let view = View { upstream: "logto.example", base: "http://localhost:8480", asked: &asked };
        let moved = |location: &'static str| {
            let mut headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
            mend(&mut headers, &view);
            headers[LOCATION].to_str().expect("ASCII").to_owned()
        };
        assert_eq!(moved("https://logto.example/api/y?z=1"), "http://localhost:8480/api/y?z=1");
        assert_eq!(moved("https://elsewhere.example/y"), "https://elsewhere.example/y");
    }
}
