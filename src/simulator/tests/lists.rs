//! Lists: pages, links, searches, tags.

use super::*;

async fn links(logto: &Simulator, token: &str, path: &str) -> Vec<String> {
    let reply = get(logto, token, path).await;
    assert_eq!(reply.status, 200, "{path}");
    reply.all("link").into_iter().map(ToOwned::to_owned).collect()
}

fn link(query: &str, relation: &str) -> String {
    format!("<http://localhost:3001/users?{query}>; rel=\"{relation}\"")
}

#[tokio::test(start_paused = true)]
async fn a_walk_over_the_pages_meets_every_user_once() {
    let logto = logto();
    let token = bearer(&logto).await;
    let mut seen = std::collections::HashSet::new();
    let mut next = Some("/users?page_size=10".to_owned());
    while let Some(path) = next {
        let reply = get(&logto, &token, &format!("/api{path}")).await;
        assert_eq!(reply.header("total-number"), Some("57"));
        for user in reply.json().as_array().unwrap() {
            assert!(seen.insert(user["id"].as_str().unwrap().to_owned()));
        }
        let link = reply.all("link").into_iter().find(|line| line.ends_with("rel=\"next\""));
        next = link.map(|line| line.split(['<', '>']).nth(1).unwrap().replace("http://localhost:3001", ""));
    }
    assert_eq!(seen.len(), 57);
}

#[tokio::test(start_paused = true)]
async fn links_are_the_recorded_ones() {
    let logto = Simulator::new(Settings { seed_users: 55, ..Settings::default() });
    let token = bearer(&logto).await;
    let past_the_end = [
        link("page=1&page_size=20", "first"),
        link("page=98&page_size=20", "prev"),
        link("page=3&page_size=20", "last"),
    ];
    assert_eq!(links(&logto, &token, "/api/users?page=99&page_size=20").await, past_the_end);
    let search = "page_size=5&search=%25user1%25";
    let found = [
        link(&format!("page=1&{search}"), "first"),
        link(&format!("page=3&{search}"), "last"),
        link(&format!("page=2&{search}"), "next"),
    ];
    assert_eq!(links(&logto, &token, &format!("/api/users?page=1&{search}")).await, found);
    let repeated = links(&logto, &token, "/api/users?x=1&x=2&page_size=100").await;
    assert_eq!(repeated[0], link("x=1%2C2&page_size=100&page=1", "first"));
    assert_eq!(repeated.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn links_point_to_the_host_that_was_asked_or_the_one_forwarded() {
    let logto = logto();
    let token = bearer(&logto).await;
    let rows: [(&[(&str, &str)], &str); 3] = [
        (&[("Host", "gw.example:8080")], "<http://gw.example:8080/users?page=1>"),
        (&[("X-Forwarded-Host", "a.example, b.example")], "<http://a.example/users?page=1>"),
        (&[("X-Forwarded-Proto", "https")], "<https://localhost:3001/users?page=1>"),
    ];
    for (headers, expected) in rows {
        let headers: Vec<_> = [&[("Authorization", &*token)], headers].concat();
        let reply = ask(&logto, "GET /api/users", &headers, "").await;
        assert!(reply.all("link")[0].starts_with(expected), "{:?}", reply.all("link"));
    }
}

#[tokio::test(start_paused = true)]
async fn bad_pages_are_400() {
    let logto = logto();
    let token = bearer(&logto).await;
    for query in ["page=0", "page=abc", "page=-1", "page_size=101", "page_size=0"] {
        let reply = get(&logto, &token, &format!("/api/users?{query}")).await;
        assert_eq!(reply.status, 400, "{query}");
        assert_eq!(
            reply.text(),
            "{\"code\":\"guard.invalid_pagination\",\"message\":\"The request pagination value is invalid.\"}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn applications_are_paged_only_on_request() {
    let logto = logto();
    let token = bearer(&logto).await;
    let body = "{\"name\":\"second\",\"type\":\"SPA\"}";
    assert_eq!(write(&logto, &token, "POST /api/applications", body).await.status, 200);
    let whole = get(&logto, &token, "/api/applications").await;
    assert_eq!((whole.header("total-number"), whole.header("link")), (None, None));
    assert_eq!(whole.json().as_array().unwrap().len(), 2);
    let page = get(&logto, &token, "/api/applications?page=1&page_size=1").await;
    assert_eq!(page.header("total-number"), Some("2"));
    assert_eq!(page.json().as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn searches_find_what_they_should() {
    let logto = Simulator::new(Settings { seed_users: 55, ..Settings::default() });
    let token = bearer(&logto).await;
    let rows = [
        ("search=%25user1%25", "11"),
        ("search=user1", "1"),
        ("search.username=USER2", "1"),
        ("search.username=USER2&isCaseSensitive=true", "0"),
        ("search.name=%25ser%25&search.username=user1%25", "55"),
        ("search.name=%25ser%25&search.username=user1%25&joint=and", "11"),
        ("search.username=user1&search.username=user2&mode.username=exact", "2"),
        ("search.username=user1&search.username=user2&mode=exact", "2"),
    ];
    for (query, total) in rows {
        let reply = get(&logto, &token, &format!("/api/users?{query}")).await;
        assert_eq!(reply.header("total-number"), Some(total), "{query}");
    }
    let bad = get(&logto, &token, "/api/users?search.name=x&mode.foo=1").await;
    assert_eq!(
        bad.text(),
        "{\"code\":\"request.invalid_input\",\"data\":{},\"message\":\"Input is invalid. Search match mode `1` \
         for field `foo` is not valid, expect one of exact, like, similar_to, posix.\"}"
    );
    for query in ["search.username=a&search.username=b", "search=", "search.nope=1", "joint=xor&search=1"] {
        assert_eq!(get(&logto, &token, &format!("/api/users?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_tag_is_304_unless_the_body_is_wanted() {
    let logto = logto();
    let token = bearer(&logto).await;
    let tag = get(&logto, &token, "/api/users").await.header("etag").unwrap().to_owned();
    let weak = format!("W/{tag}");
    let list = format!("\"x\", {tag}");
    let rows: [(&str, &str, &str, u16); 7] = [
        ("GET", &tag, "", 304),
        ("GET", &weak, "", 304),
        ("GET", &list, "", 304),
        ("GET", "*", "", 304),
        ("GET", "\"other\"", "", 200),
        ("GET", &tag, "no-cache", 200),
        ("HEAD", &tag, "", 200),
    ];
    for (method, wanted, cache_control, status) in rows {
        let headers =
            [("Authorization", &*token), ("If-None-Match", wanted), ("Cache-Control", cache_control)];
        let reply = ask(&logto, &format!("{method} /api/users"), &headers, "").await;
        assert_eq!(reply.status, status, "{method} {wanted} {cache_control}");
        assert_eq!(reply.header("total-number"), Some("57"));
        assert_eq!(reply.header("etag").is_some(), method == "GET");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_has_the_length_of_the_body_and_no_tag() {
    let logto = logto();
    let token = bearer(&logto).await;
    let full = get(&logto, &token, "/api/users").await;
    let head = ask(&logto, "HEAD /api/users", &[("Authorization", &token)], "").await;
    assert_eq!(head.header("content-length"), Some(&*full.body.len().to_string()));
    assert_eq!((head.text(), head.header("etag")), ("", None));
    let missing = ask(&logto, "HEAD /api/users/nope", &[("Authorization", &token)], "").await;
    assert_eq!((missing.status, missing.header("content-length")), (404, Some("68")));
}
