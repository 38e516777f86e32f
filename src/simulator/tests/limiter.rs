//! The limiter, and what the simulator remembers of the requests.

use std::time::Duration;

use http::Method;
use tokio::time::sleep;

use super::super::{Kind, Limiter};
use super::*;

fn limited(limit: usize, retry_after: Option<Duration>) -> Simulator {
    let limiter = Limiter { limit, retry_after, ..Limiter::default() };
    Simulator::new(Settings { limiter: Some(limiter), ..Settings::default() })
}

#[tokio::test(start_paused = true)]
async fn a_window_holds_the_limit_token_requests_included() {
    let logto = limited(3, None);
    let token = bearer(&logto).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(get(&logto, &token, "/api/users").await.status, 200);
    assert_eq!(get(&logto, &token, "/api/users").await.status, 200);
    let refused = get(&logto, &token, "/api/users").await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.text(),
        "{\"code\":\"request.rate_limited\",\"message\":\"Too many requests. Please try again later.\"}"
    );
    assert_eq!((refused.header("logto-core-request-id"), refused.header("retry-after")), (None, None));
    sleep(Duration::from_millis(4999)).await;
    assert_eq!(get(&logto, &token, "/api/users").await.status, 429);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(get(&logto, &token, "/api/users").await.status, 200);
    assert_eq!(get(&logto, &token, "/api/users").await.status, 429);
    assert_eq!(logto.throttled(), 3);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_rounded_up_to_seconds() {
    let logto = limited(1, Some(Duration::from_millis(1500)));
    bearer(&logto).await;
    let refused = grant(&logto).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("2")));
    logto.set_limiter(None);
    assert_eq!(grant(&logto).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn requests_are_remembered_and_the_busiest_window_found() {
    let logto = logto();
    let token = bearer(&logto).await;
    for pause in [0, 4, 4, 4, 20] {
        sleep(Duration::from_secs(pause)).await;
        get(&logto, &token, "/api/users?page=1").await;
    }
    assert_eq!(logto.busiest_window(Duration::from_secs(4)), 2);
    assert_eq!(logto.busiest_window(Duration::from_secs(5)), 3);
    assert_eq!(logto.busiest_window(Duration::from_secs(60)), 6);
    assert_eq!(logto.count(&Method::GET, "/api/users"), 5);
    let received = logto.received();
    assert_eq!((received[0].kind, received[1].kind), (Kind::Token, Kind::Api));
    assert_eq!(received[1].headers["authorization"], *token);
    assert_eq!((&*received[1].path_and_query, received[1].status), ("/api/users?page=1", Some(200)));
}
