//! Who is let in: no browser's page, no stranger's host name, nobody without the right.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::caller::{Caller, Peer};
use crate::rejection::Rejection;
use crate::target::Target;

/// What callers may do while nobody is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// Reads are free; writes and reads of secrets need an `Authorization` header of any value.
    Guarded,
    /// Everything is free.
    Open,
    /// Nothing is.
    Deny,
}

/// Who is let in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What callers may do while nobody is configured.
    pub anonymous: Anonymous,
    /// Host names by which this gateway may be called, beside the loopback's and the listen addresses, lower-case,
    /// without a port.
    pub hosts: Vec<String>,
}

/// The room.
pub struct Guard {
    settings: Settings,
    anonymous: Caller,
    /// The names that anonymous callers gave themselves.
    names: Mutex<HashSet<Arc<str>>>,
}

/// How a caller may name itself while nobody is configured, for a fair share of the line and for metrics.
const CALLER: HeaderName = HeaderName::from_static("x-caller");
/// A name is a short token.
const NAME_MAX: usize = 64;
/// So many names are told apart; whoever comes later is one of the others.
const NAMES_MAX: usize = 32;
const OTHER: &str = "other";

impl Guard {
    /// Guards as set.
    pub fn new(settings: Settings) -> Self {
        Self { settings, anonymous: Caller::anonymous(), names: Mutex::default() }
    }

    /// Refuses browsers and strangers; called before anything else of the request is looked at.
    pub fn check_origin(&self, head: &Parts) -> Result<(), Rejection> {
        self.check_host(head)?;
        check_browser(&head.headers)?;
        check_upgrade(&head.headers)
    }

    /// Who asks, if they may ask for this.
    pub fn admit(&self, head: &Parts, target: &Target) -> Result<Caller, Rejection> {
        let harmless = !target.is_write() && !target.carries_secrets();
        match self.settings.anonymous {
            Anonymous::Deny => Err(Rejection::AnonymousDenied),
            // Whoever can be tricked into fetching a URL (a service with a hole, an image tag, a form) can't set this
            // header; every client of Logto does.
            Anonymous::Guarded if !harmless && !head.headers.contains_key(header::AUTHORIZATION) => {
                Err(Rejection::Guarded)
            }
            Anonymous::Guarded | Anonymous::Open => Ok(self.named(head)),
        }
    }

    /// The name that an anonymous caller gives itself, else that of its user. It opens no door.
    fn named(&self, head: &Parts) -> Caller {
        let given = head.headers.get(&CALLER).and_then(sane);
        match (given, head.extensions.get::<Peer>()) {
            (Some(name), _) => self.known(name),
            (None, Some(Peer::Unix { uid })) => self.known(&format!("uid-{uid}")),
            (None, Some(Peer::Tcp) | None) => self.anonymous.clone(),
        }
    }

    fn known(&self, name: &str) -> Caller {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(name) {
            return Caller::named(Arc::clone(known));
        }
        if names.len() >= NAMES_MAX {
            return Caller::named(OTHER);
        }
        let name: Arc<str> = Arc::from(name);
        names.insert(Arc::clone(&name));
        Caller::named(name)
    }

    /// A page that rebinds its DNS name to 127.0.0.1 still sends its own name.
    fn check_host(&self, head: &Parts) -> Result<(), Rejection> {
        let mut given = head.headers.get_all(header::HOST).iter();
        let host = match (head.uri.authority(), given.next(), given.next()) {
            (_, _, Some(_)) => return Err(Rejection::Malformed("it has more than one Host header")),
            (Some(authority), _, _) => authority.as_str(),
            (None, Some(host), _) => host.to_str().map_err(|_| Rejection::Host)?,
            (None, None, _) => return Err(Rejection::Malformed("it has no Host header")),
        };
        if self.is_ours(host) { Ok(()) } else { Err(Rejection::Host) }
    }

    fn is_ours(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<std::net::Ipv4Addr>().is_ok_and(|a| a.is_loopback())
            || name == "[::1]"
            || self.settings.hosts.iter().any(|ours| name.eq_ignore_ascii_case(ours))
    }
}

fn sane(name: &HeaderValue) -> Option<&str> {
    let is_plain = |name: &&str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        !name.is_empty() && name.len() <= NAME_MAX && name.bytes().all(plain)
    };
    name.to_str().ok().filter(is_plain)
}

/// The name or address in `host[:port]`, a v6 address in its brackets; nothing else is a host.
fn without_port(host: &str) -> Option<&str> {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let port_is_sane = port.is_empty() || port[1..].parse::<u16>().is_ok();
    (port_is_sane && (port.is_empty() || port.starts_with(':')) && !name.is_empty()).then_some(name)
}

/// Only the site is looked at: Node's fetch sends `Sec-Fetch-Mode: cors` of its own accord.
fn check_browser(headers: &HeaderMap) -> Result<(), Rejection> {
    if headers.contains_key(header::ORIGIN) {
        return Err(Rejection::FromBrowser("it carries an Origin"));
    }
    let foreign = |site: &HeaderValue| !matches!(site.as_bytes(), b"none" | b"same-origin");
    if headers.get_all("sec-fetch-site").iter().any(foreign) {
        return Err(Rejection::FromBrowser("Sec-Fetch-Site names another site"));
    }
    if headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return Err(Rejection::FromBrowser("it is a CORS preflight"));
    }
    Ok(())
}

/// A WebSocket would be a second way in. Any other offer (Java's client offers h2c on every call) may be ignored
/// (RFC 9110 §7.8), and is.
fn check_upgrade(headers: &HeaderMap) -> Result<(), Rejection> {
    let websocket = |value: &HeaderValue| {
        value.to_str().is_ok_and(|v| v.split(',').any(|p| p.trim().eq_ignore_ascii_case("websocket")))
    };
    if headers.get_all(header::UPGRADE).iter().any(websocket) {
        return Err(Rejection::FromBrowser("it asks for a WebSocket"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn guard(anonymous: Anonymous) -> Guard {
        Guard::new(Settings { anonymous, hosts: vec!["gateway.internal".to_owned()] })
    }

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn origin(headers: &[(&str, &str)]) -> Result<(), &'static str> {
        guard(Anonymous::Guarded).check_origin(&head("GET", "/api/users", headers)).map_err(|no| no.code())
    }

    #[test]
    fn loopback_names_and_listed_ones_are_this_gateways() {
        for host in [
            "localhost",
            "LOCALHOST:8480",
            "127.0.0.1:8480",
            "127.8.9.1",
            "[::1]",
            "[::1]:8480",
            "Gateway.Internal:80",
        ] {
            assert_eq!(origin(&[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "0.0.0.0:8480",
            "10.0.0.1",
            "[::2]:8480",
            "localhost:x",
            "",
            ":8480",
            "[::1",
            "localhost:99999",
            "127.0.0.1.evil.example",
            "user@localhost",
            "localhost:8480:1",
        ] {
            assert_eq!(origin(&[("host", host)]), Err("host_not_allowed"), "{host}");
        }
    }

    #[test]
    fn a_request_has_exactly_one_host() {
        assert_eq!(origin(&[]), Err("malformed_request"));
        assert_eq!(origin(&[("host", "localhost"), ("host", "localhost")]), Err("malformed_request"));
    }

    #[test]
    fn the_authority_of_http_2_is_looked_at_like_a_host() {
        let check = |uri| guard(Anonymous::Guarded).check_origin(&head("GET", uri, &[]));
        assert!(check("http://localhost:8480/api/users").is_ok());
        assert_eq!(
            check("http://evil.example/api/users").expect_err("a stranger's name").code(),
            "host_not_allowed"
        );
    }

    #[test]
    fn what_a_browsers_page_sends_is_refused_and_what_nodes_fetch_sends_is_not() {
        let with = |extra: &[(&'static str, &'static str)]| {
            let headers: Vec<_> = [("host", "localhost")].into_iter().chain(extra.iter().copied()).collect();
            origin(&headers)
        };
        for page in [
            [("origin", "https://evil.example")],
            [("origin", "null")],
            [("sec-fetch-site", "cross-site")],
            [("sec-fetch-site", "same-site")],
            [("access-control-request-method", "POST")],
            [("upgrade", "h2c, WebSocket")],
        ] {
            assert_eq!(with(&page), Err("from_browser"), "{page:?}");
        }
        assert_eq!(with(&[("sec-fetch-mode", "cors"), ("accept-language", "*")]), Ok(()));
        assert_eq!(with(&[("sec-fetch-site", "none")]), Ok(()));
        assert_eq!(with(&[("upgrade", "h2c"), ("connection", "Upgrade, HTTP2-Settings")]), Ok(()));
    }

    fn admitted(anonymous: Anonymous, method: &str, uri: &str, headers: &[(&str, &str)]) -> &'static str {
        let head = head(method, uri, headers);
        let target =
            Target::parse(&head.method, &head.uri, &head.headers, &Catalog::logto()).expect("a good target");
        guard(anonymous).admit(&head, &target).map_or_else(|no| no.code(), |_| "passes")
    }

    #[test]
    fn while_nobody_is_configured_reads_are_free_and_the_rest_needs_an_authorization_of_any_value() {
        let guarded = |method, uri, headers: &[_]| admitted(Anonymous::Guarded, method, uri, headers);
        assert_eq!(guarded("GET", "/api/users", &[]), "passes");
        assert_eq!(guarded("HEAD", "/api/users", &[]), "passes");
        for (method, uri) in [
            ("POST", "/api/users"),
            ("DELETE", "/api/users/u"),
            ("GET", "/api/applications"),
            ("GET", "/api/users?includePasswordHash=1"),
            ("GET", "/api/unheard-of"),
        ] {
            assert_eq!(guarded(method, uri, &[]), "authorization_required", "{method} {uri}");
            assert_eq!(guarded(method, uri, &[("authorization", "x")]), "passes", "{method} {uri}");
        }
    }

    #[test]
    fn anonymous_callers_can_be_let_in_or_kept_out_altogether() {
        assert_eq!(admitted(Anonymous::Open, "POST", "/api/users", &[]), "passes");
        assert_eq!(
            admitted(Anonymous::Deny, "GET", "/api/users", &[("authorization", "x")]),
            "anonymous_denied"
        );
    }

    #[test]
    fn anonymous_callers_may_name_themselves_and_no_more_names_are_kept_than_told_apart() {
        let guard = guard(Anonymous::Open);
        let name = |name: &str| guard.named(&head("GET", "/api/users", &[("x-caller", name)])).name;
        assert_eq!(&*name("billing"), "billing");
        for odd in ["", "two words", "a\"b", &"x".repeat(65)] {
            assert_eq!(&*name(odd), "anonymous", "{odd}");
        }
        for n in 1..NAMES_MAX {
            assert_eq!(*name(&format!("service-{n}")), *format!("service-{n}"));
        }
        assert_eq!((&*name("one-too-many"), &*name("billing")), ("other", "billing"));
    }

    #[test]
    fn on_a_unix_socket_whoever_gives_no_name_goes_by_its_user() {
        let guard = guard(Anonymous::Open);
        let mut head = head("GET", "/api/users", &[]);
        head.extensions.insert(Peer::Unix { uid: 1000 });
        assert_eq!(&*guard.named(&head).name, "uid-1000");
        head.headers.insert(CALLER, HeaderValue::from_static("billing"));
        assert_eq!(&*guard.named(&head).name, "billing");
    }
}
