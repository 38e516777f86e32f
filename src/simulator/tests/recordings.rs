//! Answers compared, line by line, with what a real Logto wrote.

use super::*;

const SECURITY: &str = "Vary: Accept-Encoding, Origin
Cross-Origin-Resource-Policy: same-origin
Origin-Agent-Cluster: ?1
Referrer-Policy: strict-origin-when-cross-origin
Strict-Transport-Security: max-age=15552000; includeSubDomains
X-Content-Type-Options: nosniff
X-Download-Options: noopen
X-Frame-Options: SAMEORIGIN
X-Permitted-Cross-Domain-Policies: none
X-XSS-Protection: 0
";

/// The recorded answer, with what differs from answer to answer blotted out. The case of names doesn't count.
fn assert_like(answer: &str, recorded: &str) {
    assert_eq!(blotted(answer), blotted(recorded));
}

fn blotted(text: &str) -> String {
    let blot = |line: &str| match line.split_once(": ") {
        Some((name, value)) if !line.starts_with('{') => {
            let name = name.to_lowercase();
            let varies = matches!(&*name, "etag" | "date" | "logto-core-request-id" | "content-length");
            let value = if varies { format!("<{}>", value.len()) } else { value.to_owned() };
            format!("{name}: {value}\n")
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(blot).collect()
}

/// Keeps the status line and the headers.
fn head(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").0
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}

fn request(line: &str, token: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost:3001\r\nAuthorization: {token}\r\n\r\n")
}

#[tokio::test(start_paused = true)]
async fn a_page_in_the_middle_has_the_nineteen_headers_in_order() {
    let logto = Simulator::new(Settings { seed_users: 55, ..Settings::default() });
    let token = bearer(&logto).await;
    let answer = raw(&logto, &request("GET /api/users?page=2&page_size=20", &token)).await;
    let recorded = format!(
        "HTTP/1.1 200 OK
{SECURITY}Content-Type: application/json; charset=utf-8
Total-Number: 55
Link: <http://localhost:3001/users?page=1&page_size=20>; rel=\"first\"
Link: <http://localhost:3001/users?page=1&page_size=20>; rel=\"prev\"
Link: <http://localhost:3001/users?page=3&page_size=20>; rel=\"last\"
Link: <http://localhost:3001/users?page=3&page_size=20>; rel=\"next\"
ETag: \"198d-7RkLy+TX/Zi58BVxRC/CAmtwsPE\"
Logto-Core-Request-Id: 9H8e-qdXe_vY-PZ5
Content-Length: 6541
Date: Sun, 22 Nov 2026 13:08:12 GMT
Connection: keep-alive
Keep-Alive: timeout=5
"
    );
    assert_like(head(&answer), &recorded);
}

#[tokio::test(start_paused = true)]
async fn a_304_has_fresh_paging_and_no_content_type() {
    let logto = Simulator::new(Settings { seed_users: 55, ..Settings::default() });
    let token = bearer(&logto).await;
    let line = "GET /api/users?page_size=20&page=1";
    let full = ask(&logto, line, &[("Authorization", &token)], "").await;
    let tag = full.header("etag").unwrap();
    let conditional = format!(
        "{line} HTTP/1.1\r\nHost: localhost:3001\r\nAuthorization: {token}\r\nIf-None-Match: {tag}\r\n\r\n"
    );
    let recorded = format!(
        "HTTP/1.1 304 Not Modified
{SECURITY}Total-Number: 55
Link: <http://localhost:3001/users?page_size=20&page=1>; rel=\"first\"
Link: <http://localhost:3001/users?page_size=20&page=3>; rel=\"last\"
Link: <http://localhost:3001/users?page_size=20&page=2>; rel=\"next\"
ETag: \"198d-RFiRRmzVhmEzWhZMO6saCikuwMk\"
Logto-Core-Request-Id: w0NNdLyX1Hon30IB
Date: Sun, 22 Nov 2026 13:08:12 GMT
Connection: keep-alive
Keep-Alive: timeout=5
"
    );
    let answer = raw(&logto, &conditional).await;
    assert_like(head(&answer), &recorded);
    assert_eq!(body(&answer), "");
}

#[tokio::test(start_paused = true)]
async fn a_token_answer_has_its_headers_and_its_length() {
    let logto = logto();
    let line = "POST /oidc/token HTTP/1.1\r\nHost: localhost:3001";
    let length = GRANT.len();
    let request = format!(
        "{line}\r\nAuthorization: {BASIC}\r\nContent-Type: {FORM}\r\nContent-Length: {length}\r\n\r\n{GRANT}"
    );
    let recorded = format!(
        "HTTP/1.1 200 OK
{SECURITY}Access-Control-Allow-Origin: *
Access-Control-Expose-Headers: WWW-Authenticate
cache-control: no-store
Content-Type: application/json; charset=utf-8
Logto-Core-Request-Id: hS-u2l6SAz_ub7wp
Content-Length: 633
Date: Sun, 22 Nov 2026 13:07:32 GMT
Connection: keep-alive
Keep-Alive: timeout=5
"
    );
    let answer = raw(&logto, &request).await;
    assert_like(head(&answer), &recorded);
    assert!(head(&answer).contains("Content-Length: 633"), "{answer}");
    assert!(body(&answer).starts_with("{\"access_token\":\"ey"));
    assert!(body(&answer).ends_with("\",\"expires_in\":3600,\"token_type\":\"Bearer\",\"scope\":\"all\"}"));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_method_has_allow_before_the_content_type() {
    let logto = logto();
    let answer = raw(&logto, &request("DELETE /api/users", "none")).await;
    let recorded = format!(
        "HTTP/1.1 405 Method Not Allowed
{SECURITY}Allow: POST, HEAD, GET
Content-Type: text/plain; charset=utf-8
Logto-Core-Request-Id: hS-u2l6SAz_ub7wp
Content-Length: 18
Date: Sun, 22 Nov 2026 13:07:32 GMT
Connection: keep-alive
Keep-Alive: timeout=5
"
    );
    assert_like(head(&answer), &recorded);
    assert_eq!(body(&answer), "Method Not Allowed");
}

#[tokio::test(start_paused = true)]
async fn the_role_list_of_a_fresh_tenant_is_the_recorded_one_with_its_tag() {
    let logto = logto();
    let token = bearer(&logto).await;
    let roles = get(&logto, &token, "/api/roles").await;
    assert_eq!(
        roles.text(),
        "[{\"tenantId\":\"default\",\"id\":\"avysw6m8i4977vsla0zpj\",\
         \"name\":\"Logto Management API access\",\
         \"description\":\"This default role grants access to the Logto management API.\",\
         \"type\":\"MachineToMachine\",\"isDefault\":false,\"usersCount\":0,\"featuredUsers\":[],\
         \"applicationsCount\":1,\"featuredApplications\":[{\"id\":\"m2mgateway00000000001\",\
         \"name\":\"Gateway M2M\",\"type\":\"MachineToMachine\"}]}]"
    );
    assert_eq!(roles.header("etag"), Some("\"172-z+66384nScmMnFNenfAEkBpGAhs\""));
    assert_eq!(
        roles.all("link"),
        [
            "<http://localhost:3001/roles?page=1>; rel=\"first\"",
            "<http://localhost:3001/roles?page=1>; rel=\"last\""
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_head_beyond_16_kib_is_431_and_15_kib_pass() {
    let logto = logto();
    let request = |length: usize| {
        let filler = "x".repeat(length);
        format!("GET /api/status HTTP/1.1\r\nHost: localhost:3001\r\nX-Filler: {filler}\r\n\r\n")
    };
    assert!(raw(&logto, &request(17_000)).await.starts_with("HTTP/1.1 431 "));
    assert!(raw(&logto, &request(15_000)).await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test(start_paused = true)]
async fn what_node_refuses_is_400_and_closes() {
    let logto = logto();
    let no_host = "GET /api/status HTTP/1.1\r\n\r\n";
    let odd_method = "BREW /api/status HTTP/1.1\r\nHost: localhost:3001\r\n\r\n";
    let two_lengths =
        "POST /api/users HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx";
    for request in [no_host, odd_method, two_lengths] {
        assert!(raw(&logto, request).await.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{request}");
    }
    let odd_host = "GET /api/status HTTP/1.1\r\nHost: a b\r\n\r\n";
    assert!(raw(&logto, odd_host).await.starts_with("HTTP/1.1 500 "));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_wants_to_close_is_told_so_and_http_1_0_works() {
    let logto = logto();
    let close = "GET /api/status HTTP/1.1\r\nHost: localhost:3001\r\nConnection: close\r\n\r\n";
    let old = "GET /api/status HTTP/1.0\r\n\r\n";
    for request in [close, old] {
        let answer = raw(&logto, request).await;
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
        assert!(!answer.contains("Keep-Alive:"), "{answer}");
    }
}
