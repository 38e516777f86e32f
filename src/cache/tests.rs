//! What the store answers, keeps and drops, told the time.

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http_body_util::{BodyExt, StreamBody};

use super::*;
use crate::call::sample::{Sample, ask, get};
use crate::connect::{ConnectError, Origin};
use crate::reply::Failure;

pub(super) struct Store {
    pub(super) cache: Cache,
    start: Instant,
}

pub(super) fn store() -> Store {
    store_with(|_| {})
}

#[expect(clippy::disallowed_methods, reason = "the store is told when it starts")]
pub(super) fn store_with(change: impl FnOnce(&mut Settings)) -> Store {
    let ttl = Class::ALL.map(|class| class.default_ttl().unwrap_or_default());
    let mut settings = Settings { size_max: 1 << 20, body_max: 1000, ttl };
    change(&mut settings);
    let start = Instant::now();
    let cache = Cache::new(settings, Arc::new(Metrics::new(Vec::new())), TaskTracker::new(), start);
    Store { cache, start }
}

impl Store {
    pub(super) fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn lookup(&self, sample: Sample, at: u64) -> Lookup {
        self.cache.lookup(&sample.call(), self.at(at))
    }

    pub(super) fn says(&self, sample: Sample, at: u64) -> &'static str {
        match self.lookup(sample, at) {
            Lookup::Fresh(_) => "fresh",
            Lookup::Stale(_) => "stale",
            Lookup::Miss => "miss",
            Lookup::Bypass(Why::Method) => "write",
            Lookup::Bypass(Why::Bypass) => "never",
            Lookup::Bypass(Why::Request) => "request",
            Lookup::Bypass(Why::UriMiss) => "alone",
            Lookup::Bypass(Why::Stale) => "stale alone",
            Lookup::OnlyIfCached => "only-if-cached",
        }
    }

    fn purpose(&self, call: &Call, at: u64) -> Purpose {
        match self.cache.lookup(call, self.at(at)) {
            Lookup::Stale(entry) => Purpose::Confirm(entry),
            Lookup::Miss | Lookup::Fresh(_) => Purpose::Fill,
            Lookup::Bypass(_) | Lookup::OnlyIfCached => Purpose::Pass,
        }
    }

    /// How much of the answer is taken in.
    pub(super) fn holds(&self, sample: Sample) -> Option<usize> {
        let call = sample.call();
        let departure = self.cache.depart(&call, self.purpose(&call, 0), self.at(0));
        self.cache.holds(&departure)
    }

    /// A call that is sent and answered; the time is that of both.
    pub(super) fn fetch(&self, sample: Sample, at: u64, answer: Outcome) -> Reply {
        let call = sample.call();
        let purpose = self.purpose(&call, at);
        let departure = self.cache.depart(&call, purpose, self.at(at));
        match self.cache.learn(&call, departure, answer, self.at(at)) {
            Outcome::Answered(reply) => reply,
            Outcome::Failed(_) => Reply::new(StatusCode::BAD_GATEWAY, HeaderMap::new(), held("")),
        }
    }

    fn write(&self, method: &Method, uri: &str, at: u64, outcome: Outcome) {
        self.fetch(ask(method, uri), at, outcome);
    }
}

fn held(body: &'static str) -> Body {
    Body::Held(Bytes::from_static(body.as_bytes()))
}

pub(super) fn answered(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Outcome {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_static(value));
    }
    Outcome::Answered(Reply::new(StatusCode::from_u16(status).unwrap(), map, held(body)))
}

pub(super) fn ok(body: &'static str) -> Outcome {
    answered(200, &[("etag", "\"1\""), ("logto-core-request-id", "r")], body)
}

fn is_stored(reply: &Reply) -> bool {
    matches!(reply.source, Source::Forwarded { stored: true, .. })
}

fn body(reply: &Reply) -> &[u8] {
    match &reply.body {
        Body::Held(bytes) => bytes,
        Body::Streaming(_) => b"streaming",
    }
}

#[tokio::test]
async fn an_answer_is_fresh_for_as_long_as_its_class_says_and_stale_from_then_on() {
    for (uri, lifetime) in [
        ("/api/roles/r", 60),
        ("/api/users/u", 15),
        ("/api/dashboard/users/total", 5),
        ("/api/sign-in-exp", 300),
        ("/api/connector-factories", 3600),
    ] {
        let store = store();
        assert_eq!(store.says(get(uri), 0), "miss");
        assert!(is_stored(&store.fetch(get(uri), 100, ok("{}"))), "{uri}");
        let said = [100, 99 + lifetime, 100 + lifetime].map(|at| store.says(get(uri), at));
        assert_eq!(said, ["fresh", "fresh", "stale"], "{uri}");
    }
}

#[tokio::test]
async fn a_stored_answer_tells_its_age_and_how_long_it_stays() {
    let store = store();
    store.fetch(get("/api/users/u"), 0, ok("{}"));
    let Lookup::Fresh(entry) = store.lookup(get("/api/users/u"), 4) else { panic!("it is fresh") };
    let reply = entry.stored_reply(store.at(4));
    assert_eq!(reply.headers["age"], "4");
    let (age, left) = (Duration::from_secs(4), Duration::from_secs(11));
    assert_eq!(reply.source, Source::Stored { age, left });
}

#[tokio::test]
async fn every_spelling_of_a_resource_is_answered_from_one_entry_and_other_queries_are_not() {
    let store = store();
    store.fetch(get("/api/users/u?a=1"), 0, ok("{}"));
    for uri in ["/api/users/u/?a=1", "/api/USERS/u?a=1", "/api/users/%75?a=1"] {
        assert_eq!(store.says(get(uri), 1), "fresh", "{uri}");
    }
    for uri in ["/api/users/u", "/api/users/u?a=2", "/api/users/U?a=1"] {
        assert_eq!(store.says(get(uri), 1), "miss", "{uri}");
    }
}

#[tokio::test]
async fn a_confirmation_replaces_all_values_of_the_headers_it_carries_and_keeps_the_rest() {
    let store = store();
    let first = [
        ("etag", "\"1\""),
        ("link", "<a>; rel=\"first\""),
        ("link", "<b>; rel=\"last\""),
        ("total-number", "57"),
        ("content-type", "application/json"),
        ("content-length", "4"),
    ];
    store.fetch(get("/api/users"), 0, answered(200, &first, "[57]"));
    let confirms = [("link", "<c>; rel=\"last\""), ("total-number", "58"), ("content-length", "0")];
    let reply = store.fetch(get("/api/users"), 20, answered(304, &confirms, ""));
    assert_eq!((reply.status, body(&reply)), (StatusCode::OK, &b"[57]"[..]));
    let Source::Forwarded { why: Why::Stale, confirmed: true, stored: true, .. } = reply.source else {
        panic!("{:?}", reply.source)
    };
    let Lookup::Fresh(entry) = store.lookup(get("/api/users"), 34) else { panic!("fresh from now on") };
    let links: Vec<_> = entry.headers.get_all("link").iter().collect();
    assert_eq!(links, ["<c>; rel=\"last\""]);
    let value = |name| entry.headers[name].to_str().unwrap();
    assert_eq!(["total-number", "content-type", "etag"].map(value), ["58", "application/json", "\"1\""]);
    assert!(!entry.headers.contains_key("content-length"), "the body knows its own");
}

#[tokio::test]
async fn a_write_drops_what_it_changes_and_nothing_else() {
    let reads = ["/api/users/u", "/api/users/v", "/api/users", "/api/roles/r", "/api/sign-in-exp"];
    for (method, uri, left) in [
        (Method::PATCH, "/api/users/u", &["/api/users/v", "/api/roles/r", "/api/sign-in-exp"][..]),
        (Method::PATCH, "/api/USERS/%75/", &["/api/users/v", "/api/roles/r", "/api/sign-in-exp"]),
        (Method::POST, "/api/users", &["/api/users/u", "/api/users/v", "/api/roles/r", "/api/sign-in-exp"]),
        (Method::PATCH, "/api/roles/r", &["/api/sign-in-exp"]),
        (Method::POST, "/api/unheard-of", &[]),
        (Method::DELETE, "/api/unheard-of/x", &[]),
    ] {
        let store = store();
        for read in reads {
            store.fetch(get(read), 0, ok("{}"));
        }
        store.write(&method, uri, 1, answered(204, &[("logto-core-request-id", "r")], ""));
        let fresh: Vec<&str> = reads.into_iter().filter(|read| store.says(get(read), 2) == "fresh").collect();
        assert_eq!(fresh, left, "{method} {uri}");
        for read in reads {
            assert!(is_stored(&store.fetch(get(read), 2, ok("{}"))), "{read} can be stored at once");
        }
    }
}

fn not_connected() -> Outcome {
    let origin = Origin { tls: true, host: "tenant.logto.app".to_owned(), port: 443 };
    Outcome::Failed(Failure::NotConnected(ConnectError::Refused(origin)))
}

#[tokio::test]
async fn a_write_that_surely_failed_drops_nothing() {
    for outcome in [
        not_connected(),
        Outcome::Failed(Failure::NotSent),
        answered(400, &[], ""),
        answered(401, &[], ""),
        answered(404, &[], ""),
        answered(422, &[("logto-core-request-id", "r")], ""),
        answered(429, &[], ""),
    ] {
        let store = store();
        store.fetch(get("/api/users/u"), 0, ok("{}"));
        store.write(&Method::PATCH, "/api/users/u", 1, outcome);
        assert_eq!(store.says(get("/api/users/u"), 2), "fresh");
    }
}

#[tokio::test]
async fn a_write_of_unknown_outcome_drops_and_keeps_what_it_may_change_out_of_the_store_for_two_minutes() {
    for outcome in [
        Outcome::Failed(Failure::Broken),
        Outcome::Failed(Failure::TimedOut(Duration::from_secs(30))),
        Outcome::Failed(Failure::BadReply),
        answered(502, &[], "<html>"),
        answered(503, &[("retry-after", "5")], ""),
    ] {
        let store = store();
        let (changed, other) = (|| get("/api/users/u"), || get("/api/users/v"));
        store.fetch(changed(), 0, ok("{}"));
        store.fetch(other(), 0, ok("{}"));
        store.write(&Method::PATCH, "/api/users/u", 10, outcome);
        assert_eq!((store.says(changed(), 11), store.says(other(), 11)), ("miss", "fresh"));
        for at in [11, 129] {
            assert!(!is_stored(&store.fetch(changed(), at, ok("{}"))));
            assert_eq!(store.says(changed(), at), "miss");
        }
        assert!(is_stored(&store.fetch(changed(), 130, ok("{}"))), "120 s are over");
    }
}

#[tokio::test]
async fn logtos_own_server_error_drops_and_no_more() {
    let store = store();
    store.fetch(get("/api/users/u"), 0, ok("{}"));
    store.write(&Method::PATCH, "/api/users/u", 1, answered(500, &[("logto-core-request-id", "r")], ""));
    assert_eq!(store.says(get("/api/users/u"), 2), "miss");
    assert!(is_stored(&store.fetch(get("/api/users/u"), 2, ok("{}"))));
}

#[tokio::test]
async fn an_answer_asked_for_before_a_write_finished_is_never_stored() {
    let store = store();
    let call = get("/api/users/u").call();
    let departure = store.cache.depart(&call, Purpose::Fill, store.at(0));
    store.write(&Method::PATCH, "/api/users/u", 1, ok("{}"));
    let Outcome::Answered(reply) = store.cache.learn(&call, departure, ok("old"), store.at(2)) else {
        panic!("those aboard have it")
    };
    assert_eq!((is_stored(&reply), body(&reply)), (false, &b"old"[..]));
    assert_eq!(store.says(get("/api/users/u"), 2), "miss");
}

#[tokio::test]
async fn an_answer_asked_for_while_a_write_may_still_take_effect_is_not_stored_though_it_comes_later() {
    let store = store();
    store.write(&Method::PATCH, "/api/users/u", 0, Outcome::Failed(Failure::Broken));
    let call = get("/api/users/u").call();
    let departure = store.cache.depart(&call, Purpose::Fill, store.at(119));
    store.cache.learn(&call, departure, ok("perhaps old"), store.at(125));
    assert_eq!(store.says(get("/api/users/u"), 125), "miss");
}

#[tokio::test]
async fn what_may_not_be_stored_is_not() {
    let tag = ("etag", "\"1\"");
    for answer in [
        answered(200, &[tag, ("cache-control", "max-age=60, No-Store")], "{}"),
        answered(200, &[tag, ("cache-control", "public"), ("cache-control", "private")], "{}"),
        answered(200, &[tag, ("set-cookie", "a=b")], "{}"),
        answered(201, &[tag], "{}"),
        answered(204, &[tag], ""),
        answered(206, &[tag], "{}"),
        answered(301, &[tag], ""),
        answered(401, &[tag], "{}"),
        answered(403, &[tag], "{}"),
        answered(404, &[tag], "{}"),
        answered(429, &[tag], "{}"),
        answered(500, &[tag], "{}"),
    ] {
        let (store, status) = (store(), answer.status());
        assert!(!is_stored(&store.fetch(get("/api/users/u"), 0, answer)));
        assert_eq!(store.says(get("/api/users/u"), 1), "miss", "{status:?}");
    }
}

#[tokio::test]
async fn a_body_too_large_to_be_held_passes_through() {
    let store = store();
    let frames = stream::iter([Ok(http_body::Frame::data(Bytes::from_static(b"large")))]);
    let streaming = Body::Streaming(StreamBody::new(frames).boxed_unsync());
    let large = Outcome::Answered(Reply::new(StatusCode::OK, HeaderMap::new(), streaming));
    assert_eq!(store.holds(get("/api/users")), Some(1000));
    assert_eq!(body(&store.fetch(get("/api/users"), 0, large)), b"streaming");
    assert_eq!(store.says(get("/api/users"), 1), "miss");
}
