//! What a caller sees of the whole way: answers, links, hits, drops.

use std::collections::BTreeSet;

use http::{Method, StatusCode};

use crate::harness::{Plan, request};

#[tokio::test(start_paused = true)]
async fn a_read_needs_no_credentials_and_is_answered_from_the_store_the_second_time() {
    let world = Plan::default().world();
    let first = world.get("/api/users?page_size=5").await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.header("cache-status"), "logto-gateway; fwd=uri-miss; stored");
    assert_eq!(first.json().as_array().map(Vec::len), Some(5));
    let second = world.get("/api/users?page_size=5").await;
    assert_eq!((second.status, second.header("age")), (StatusCode::OK, "0"));
    assert!(second.header("cache-status").starts_with("logto-gateway; hit; ttl="));
    assert_eq!(second.body, first.body);
    assert_eq!(world.received(&Method::GET, "/api/users"), 1);
}

#[tokio::test(start_paused = true)]
async fn following_next_literally_yields_each_user_once() {
    let repeated =
        "?search.username=user1&search.username=user2&search.username=user3&mode.username=exact&page_size=2";
    for (query, users) in [("", 57), ("?page_size=10", 57), (repeated, 3)] {
        let world = Plan::unlimited().world();
        let mut ids = BTreeSet::new();
        let mut total = 0;
        let mut next = Some(format!("http://localhost:8480/api/users{query}"));
        while let Some(url) = next {
            let path = url.strip_prefix("http://localhost:8480").expect("links lead to the gateway");
            let page = world.get(path).await;
            assert_eq!(page.status, StatusCode::OK, "{path}");
            for user in page.json().as_array().expect("a list") {
                total += 1;
                ids.insert(user["id"].as_str().expect("an id").to_owned());
            }
            next = page.link("next");
        }
        assert_eq!((ids.len(), total), (users, users), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_is_seen_by_the_very_next_read() {
    let world = Plan::unlimited().world();
    let before = world.get("/api/users").await;
    let created = world.write(Method::POST, "/api/users", r#"{"username":"newcomer"}"#).await;
    assert_eq!(created.status, StatusCode::OK);
    let after = world.get("/api/users").await;
    assert_ne!(after.header("total-number"), before.header("total-number"));
    assert!(!after.header("cache-status").contains("hit"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_holds_the_answer_is_told_so() {
    let world = Plan::unlimited().world();
    let first = world.get("/api/roles").await;
    let mut again = request(&Method::GET, "/api/roles", "");
    again.headers_mut().insert("if-none-match", first.headers["etag"].clone());
    let answer = world.send(again).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(answer.header("total-number"), first.header("total-number"));
    assert_eq!(world.received(&Method::GET, "/api/roles"), 1);
}
