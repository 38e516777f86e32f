//! What a request is aimed at: its method and path, parsed once and trusted from then on.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Uri, header};
use percent_encoding::percent_decode_str;

use crate::catalog::{Body, Catalog, Changes, Found, Route, Tag};
use crate::rejection::{MethodFault, Rejection};

/// The target of a request that may go through: no path in it can be read in two ways.
#[derive(Debug)]
pub struct Target {
    /// The method.
    pub method: Method,
    /// Path and query as they came; what goes upstream.
    pub raw: PathAndQuery,
    found: Found,
    /// The canonical path, then `?` and the query as it came.
    key: Box<str>,
    path_len: usize,
    carries_secrets: bool,
}

impl Target {
    /// Reads method and URI. Refuses what is no method of the API, what is not under `/api`, and every path that this
    /// gateway and Logto could understand differently.
    pub fn parse(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        catalog: &Catalog,
    ) -> Result<Self, Rejection> {
        check_method(method)?;
        check_form(uri, headers)?;
        let raw = uri.path_and_query().cloned().ok_or(Rejection::Malformed("it has no path"))?;
        if raw.path() != "/api" && !raw.path().starts_with("/api/") {
            return Err(Rejection::NotTheApi);
        }
        let found = catalog.lookup(method, raw.path());
        check_path(raw.path(), matches!(&found, Found::Known(m) if m.route().free_name))?;
        let canonical = found.canonical().ok_or(Rejection::NotManagementApi)?;
        let path_len = canonical.len();
        let key = match raw.query() {
            Some(query) => [canonical, "?", query].concat().into(),
            None => canonical.into(),
        };
        let carries_secrets = asks_for_secrets(&found, raw.query());
        Ok(Self { method: method.clone(), raw, found, key, path_len, carries_secrets })
    }

    /// The catalogue's row, unless the route is unknown.
    pub fn route(&self) -> Option<&Arc<Route>> {
        match &self.found {
            Found::Known(found) => Some(found.route()),
            Found::Unknown { .. } | Found::NotManagement => None,
        }
    }

    /// Equal for all spellings of one resource: `/api/USERS/ID/` and `/api/users/%69D` are `/api/users/ID`.
    pub fn canonical_path(&self) -> &str {
        &self.key[..self.path_len]
    }

    /// The canonical path with the query's bytes: what an answer is stored under.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// It may change something: neither GET nor HEAD (RFC 9110 §9.2.1), or one of the few GETs of Logto that write.
    pub fn is_write(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD) || self.route().is_some_and(|route| route.writes())
    }

    /// The answer may hold secrets in clear, or the call mints a credential. An unknown route counts as such.
    pub fn carries_secrets(&self) -> bool {
        self.carries_secrets
    }

    /// A multipart upload: streamed, not held.
    pub fn is_upload(&self) -> bool {
        self.route().is_some_and(|r| r.body == Body::Upload)
    }

    /// What a stored answer depends on.
    pub fn reads(&self) -> Vec<Tag> {
        match &self.found {
            Found::Known(found) => found.reads(),
            Found::Unknown { .. } | Found::NotManagement => Vec::new(),
        }
    }

    /// What it makes out of date once it was sent; an unknown GET changes nothing, an unknown write everything.
    pub fn changes(&self) -> Changes {
        match (&self.found, self.is_write()) {
            (Found::Unknown { .. }, false) => Changes::Tags(Vec::new()),
            (found, _) => found.changes(),
        }
    }
}

fn check_method(method: &Method) -> Result<(), Rejection> {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => Ok(()),
        Method::CONNECT | Method::TRACE | Method::OPTIONS => Err(Rejection::Method(MethodFault::Refused)),
        _ => Err(Rejection::Method(MethodFault::Unknown)),
    }
}

/// Absolute-form (RFC 9112 §3.2.2) must name the host that `Host` names: otherwise the guard would look at one and
/// this gateway would serve the other.
fn check_form(uri: &Uri, headers: &HeaderMap) -> Result<(), Rejection> {
    match (uri.authority(), headers.get(header::HOST)) {
        (Some(authority), Some(host))
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err(Rejection::Malformed("its target and its Host header name different hosts"))
        }
        _ => Ok(()),
    }
}

/// Splits at `/` first and decodes each segment after, as Logto does.
fn check_path(path: &str, last_is_free_name: bool) -> Result<(), Rejection> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let free_name = last_is_free_name && segments.peek().is_none();
        check_segment(segment, free_name).map_err(Rejection::AmbiguousPath)?;
    }
    Ok(())
}

fn check_segment(segment: &str, free_name: bool) -> Result<(), &'static str> {
    if segment.is_empty() {
        return Err("it has an empty segment");
    }
    // Nearly every segment is made of these alone, which can't be read in two ways.
    if segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
        return Ok(());
    }
    if !escapes_are_whole(segment) {
        return Err("it has a percent sign without two hexadecimal digits");
    }
    let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| "a segment is not UTF-8")?;
    if matches!(&*decoded, "." | "..") {
        return Err("it has a dot segment");
    }
    if decoded.chars().any(char::is_control) {
        return Err("it has a control character");
    }
    if !free_name && decoded.contains(['/', '\\']) {
        return Err("it has an encoded slash or a backslash");
    }
    Ok(())
}

fn escapes_are_whole(segment: &str) -> bool {
    segment.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    })
}

/// By route, or by a query that adds password digests or third-party tokens to an otherwise harmless answer.
fn asks_for_secrets(found: &Found, query: Option<&str>) -> bool {
    const FLAGS: [&str; 2] = ["includePasswordHash", "includeTokenSecret"];
    let by_route = match found {
        Found::Known(found) => found.route().secret,
        Found::Unknown { .. } | Found::NotManagement => true,
    };
    // A name is spelled out, or has an escape in it.
    let may_ask = |q: &&str| q.contains('%') || FLAGS.iter().any(|flag| q.contains(flag));
    by_route
        || query.filter(may_ask).is_some_and(|q| {
            form_urlencoded::parse(q.as_bytes())
                .any(|(key, _)| FLAGS.iter().any(|flag| key.starts_with(flag)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &Method, uri: &str) -> Result<Target, Rejection> {
        let uri: Uri = uri.parse().expect("a URI that hyper would let through");
        Target::parse(method, &uri, &HeaderMap::new(), &Catalog::logto())
    }

    fn code(uri: &str) -> &'static str {
        parse(&Method::GET, uri).map_or_else(|no| no.code(), |_| "passes")
    }

    #[test]
    fn all_spellings_of_a_resource_share_a_key_and_go_upstream_as_they_came() {
        for uri in ["/api/users/ID", "/api/users/ID/", "/api/USERS/ID", "/api/users/%49D"] {
            let target = parse(&Method::GET, uri).expect("passes");
            assert_eq!((target.key(), target.raw.as_str()), ("/api/users/ID", uri));
        }
        let listed = parse(&Method::GET, "/api/Users/?page=2&x=%41").expect("passes");
        assert_eq!((listed.canonical_path(), listed.key()), ("/api/users", "/api/users?page=2&x=%41"));
    }

    #[test]
    fn a_path_that_could_be_read_in_two_ways_is_refused() {
        for uri in [
            "/api//users",
            "/api/./users",
            "/api/../users",
            "/api/users/%2e%2e",
            "/api/users/%2E/roles",
            "/api/users//",
            "/api/users/a%2fb",
            "/api/users/a%5Cb",
            "/api/users/%00",
            "/api/users/%0d%0a",
            "/api/users/%7f",
            "/api/users/%ff",
            "/api/users/%zz",
            "/api/users/%4",
            "/api/users%2F",
        ] {
            assert_eq!(code(uri), "ambiguous_path", "{uri}");
        }
    }

    #[test]
    fn a_free_name_may_hold_a_slash_and_nothing_else_may() {
        assert_eq!(code("/api/users/u%2Fv/personal-access-tokens"), "ambiguous_path");
        let named = |uri| parse(&Method::DELETE, uri).map_or_else(|no| no.code(), |_| "passes");
        assert_eq!(named("/api/users/u/personal-access-tokens/a%2Fb"), "passes");
        assert_eq!(named("/api/users/u%2F/personal-access-tokens/a%2Fb"), "ambiguous_path");
    }

    #[test]
    fn only_the_management_api_is_a_target() {
        for (uri, expected) in [
            ("/", "not_the_api"),
            ("/API/users", "not_the_api"),
            ("//api/users", "not_the_api"),
            ("/apiusers", "not_the_api"),
            ("/oidc/token", "not_the_api"),
            ("/api/my-account", "not_management_api"),
            ("/api/MY-account/sessions", "not_management_api"),
            ("/api/authn/hasura", "not_management_api"),
            ("/api", "passes"),
            ("/api/unheard-of", "passes"),
        ] {
            assert_eq!(code(uri), expected, "{uri}");
        }
    }

    #[test]
    fn methods_that_no_resource_has_are_refused() {
        let code = |method| parse(&method, "/api/users").map_or_else(|no| no.code(), |_| "passes");
        for method in [Method::TRACE, Method::CONNECT, Method::OPTIONS] {
            assert_eq!(code(method), "method_not_allowed");
        }
        assert_eq!(code(Method::from_bytes(b"BREW").expect("a token")), "method_unknown");
    }

    #[test]
    fn an_absolute_target_must_agree_with_its_host() {
        let uri: Uri = "http://localhost:8480/api/users".parse().expect("a URI");
        let parse = |host| {
            let headers = HeaderMap::from_iter([(header::HOST, http::HeaderValue::from_static(host))]);
            Target::parse(&Method::GET, &uri, &headers, &Catalog::logto())
        };
        assert!(parse("LOCALHOST:8480").is_ok());
        assert_eq!(parse("evil.example").expect_err("another host").code(), "malformed_request");
    }

    #[test]
    fn secrets_are_known_by_route_and_by_query() {
        let secret = |method: Method, uri| parse(&method, uri).expect("passes").carries_secrets();
        assert!(!secret(Method::GET, "/api/users"));
        assert!(secret(Method::GET, "/api/users?includePasswordHash=true"));
        assert!(secret(Method::GET, "/api/users/u/identities/github?x=1&include%54okenSecret=1"));
        assert!(secret(Method::GET, "/api/applications"));
        assert!(secret(Method::POST, "/api/applications/a/secrets"));
        assert!(secret(Method::GET, "/api/unheard-of"));
    }

    #[test]
    fn an_unknown_write_changes_everything_and_an_unknown_read_nothing() {
        let changes = |method: Method| parse(&method, "/api/unheard-of").expect("passes").changes();
        assert_eq!(changes(Method::POST), Changes::Everything);
        assert_eq!(changes(Method::GET), Changes::Tags(Vec::new()));
    }
}
