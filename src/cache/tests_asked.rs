//! What the store makes of a request's own wishes, of routes that are never stored, and of its bound.

use http::Method;

use super::tests::{answered, ok, store, store_with};
use crate::call::sample::{ask, get};

#[tokio::test]
async fn secrets_and_what_nobody_knows_pass_by_the_store() {
    let store = store();
    for uri in [
        "/api/applications",
        "/api/applications/a/secrets",
        "/api/users?includePasswordHash=true",
        "/api/unheard-of",
        "/api/logs",
    ] {
        assert_eq!(store.says(get(uri), 0), "never", "{uri}");
        store.fetch(get(uri), 0, ok("{}"));
        assert_eq!((store.says(get(uri), 1), store.cache.status().entries), ("never", 0), "{uri}");
        assert_eq!(store.holds(get(uri)), None, "{uri}");
    }
    assert_eq!(store.says(ask(&Method::POST, "/api/users"), 0), "write");
}

#[tokio::test]
async fn without_room_or_lifetime_nothing_is_stored() {
    for store in [store_with(|s| s.size_max = 0), store_with(|s| s.ttl = Default::default())] {
        assert_eq!(store.says(get("/api/users"), 0), "never");
    }
}

#[tokio::test]
async fn a_client_that_wants_a_confirmation_gets_one_in_five_seconds_at_most() {
    let store = store();
    let roles = || get("/api/roles/r");
    store.fetch(roles(), 0, ok("{}"));
    for value in ["no-cache", "max-age=0", "No-Cache, no-transform"] {
        let said = [0, 4, 5, 59].map(|at| store.says(roles().with("cache-control", value), at));
        assert_eq!(said, ["fresh", "fresh", "stale", "stale"], "{value}");
    }
    store.fetch(roles().with("cache-control", "no-cache"), 7, answered(304, &[], ""));
    let said = [7, 11, 12].map(|at| store.says(roles().with("cache-control", "no-cache"), at));
    assert_eq!(said, ["fresh", "fresh", "stale"]);
    assert_eq!(store.says(roles(), 12), "fresh", "others are content with it");
}

#[tokio::test]
async fn a_client_that_wants_only_what_is_stored_gets_that_or_nothing() {
    let store = store();
    let wish = || get("/api/users/u").with("cache-control", "only-if-cached");
    assert_eq!(store.says(wish(), 0), "only-if-cached");
    store.fetch(get("/api/users/u"), 0, ok("{}"));
    assert_eq!([14, 15].map(|at| store.says(wish(), at)), ["fresh", "only-if-cached"]);
    let head = ask(&Method::HEAD, "/api/users/u").with("cache-control", "only-if-cached");
    assert_eq!(store.says(head, 15), "only-if-cached");
}

#[tokio::test]
async fn a_client_that_wants_nothing_stored_and_one_that_sends_a_body_pass_by() {
    let store = store();
    store.fetch(get("/api/users/u"), 0, ok("{}"));
    assert_eq!(store.says(get("/api/users/u").with("cache-control", "no-store"), 1), "request");
    assert_eq!(store.says(get("/api/users/u").with("cache-control", "no-cache, no-store"), 1), "request");
    assert_eq!(store.says(get("/api/users/u").body("{}"), 1), "request");
}

#[tokio::test]
async fn a_head_is_answered_from_a_stored_get_and_never_stored_itself() {
    let store = store();
    let head = || ask(&Method::HEAD, "/api/users/u");
    assert_eq!(store.says(head(), 0), "alone");
    store.fetch(head(), 0, ok(""));
    assert_eq!(store.says(get("/api/users/u"), 0), "miss");
    store.fetch(get("/api/users/u"), 0, ok("{}"));
    assert_eq!([14, 15].map(|at| store.says(head(), at)), ["fresh", "alone"]);
}

#[tokio::test]
async fn each_language_of_a_localised_answer_has_an_entry_of_its_own_and_others_share_one() {
    let store = store();
    let said_in = |uri: &str, language: &str| store.says(get(uri).with("accept-language", language), 1);
    for uri in ["/api/sso-connector-providers", "/api/roles/r"] {
        store.fetch(get(uri).with("accept-language", "de"), 0, ok("{}"));
    }
    let localised = "/api/sso-connector-providers";
    assert_eq!(["de", "en"].map(|language| said_in(localised, language)), ["fresh", "miss"]);
    assert_eq!(store.says(get(localised), 1), "miss");
    assert_eq!(["de", "en"].map(|language| said_in("/api/roles/r", language)), ["fresh", "fresh"]);
}

#[tokio::test]
async fn the_store_never_takes_more_bytes_than_it_may_and_keeps_what_is_used() {
    let store = store_with(|s| s.size_max = 100_000);
    for n in 0..500 {
        store.fetch(get(&format!("/api/users?page={n}")), 0, ok("[1,2,3,4,5,6,7,8,9,0]"));
        // One that is asked for all the time.
        if store.says(get("/api/roles/r"), 0) != "fresh" {
            store.fetch(get("/api/roles/r"), 0, ok("{}"));
        }
        let status = store.cache.status();
        assert!(status.bytes <= 100_000, "{}", status.bytes);
        assert!(n == 0 || status.bytes >= 1024 * status.entries, "each costs more than its body");
    }
    let status = store.cache.status();
    assert!((40..=97).contains(&status.entries), "{}", status.entries);
    assert_eq!([0, 499].map(|n| store.says(get(&format!("/api/users?page={n}")), 0)), ["miss", "fresh"]);
    assert_eq!(store.says(get("/api/roles/r"), 0), "fresh");
}
