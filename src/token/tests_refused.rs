//! What the room learns from calls: an accepted token, a refused one, and one that never was any good.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::sleep;

use super::script::{Endpoint, Log, Says, current, endpoint, free, metrics, settings, start};
use super::*;
use crate::reply::{Body, Failure, Reply};

fn answered(status: u16, body: &str) -> Outcome {
    let body = Body::Held(Bytes::copy_from_slice(body.as_bytes()));
    Outcome::Answered(Reply::new(StatusCode::from_u16(status).unwrap(), HeaderMap::new(), body))
}

fn unauthorized(code: &str) -> Outcome {
    answered(401, &format!(r#"{{"code":"auth.unauthorized","data":{{"code":"{code}"}}}}"#))
}

fn refusal() -> Outcome {
    unauthorized("ERR_JWS_SIGNATURE_VERIFICATION_FAILED")
}

fn ok() -> Outcome {
    answered(200, "[]")
}

fn granting() -> (Tokens, Arc<Endpoint>) {
    start(|_| Says::Grant(3600))
}

/// A token that the API has accepted.
async fn accepted(tokens: &Tokens) -> Token {
    let token = tokens.current().await.expect("a token");
    tokens.learn(&token, &ok());
    assert!(tokens.status().accepted);
    token
}

#[tokio::test(start_paused = true)]
async fn an_accepted_token_that_is_refused_is_replaced_at_once() {
    let (tokens, endpoint) = granting();
    let token = accepted(&tokens).await;
    let began = now();
    tokens.learn(&token, &refusal());
    assert!(tokens.at_hand().is_none());
    assert_eq!(current(&tokens).await, "t2");
    assert_eq!((now(), endpoint.fetches()), (began, 2));
}

#[tokio::test(start_paused = true)]
async fn many_refusals_of_one_token_cause_one_fetch_and_those_of_an_older_one_none() {
    let (tokens, endpoint) = granting();
    let old = accepted(&tokens).await;
    for _ in 0..50 {
        tokens.learn(&old, &refusal());
    }
    assert_eq!(current(&tokens).await, "t2");
    for _ in 0..50 {
        tokens.learn(&old, &refusal());
        tokens.learn(&old, &ok());
    }
    sleep(Duration::from_secs(600)).await;
    assert_eq!((current(&tokens).await.as_str(), endpoint.fetches()), ("t2", 2));
    assert!(!tokens.status().accepted);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_never_was_accepted_is_not_replaced_in_a_hurry() {
    let (log, _guard) = Log::keep();
    let (tokens, endpoint) = granting();
    for _ in 0..9 {
        while tokens.at_hand().is_none() {
            sleep(Duration::from_millis(10)).await;
        }
        tokens.learn(&tokens.at_hand().unwrap(), &refusal());
        let no = tokens.current().await.err().expect("no token");
        assert!(no.to_string().contains("Logto refuses the tokens it issues (ERR_JWS_"), "{no}");
        assert!(no.to_string().contains("upstream.resource"), "{no}");
        assert!(no.retry_after().unwrap() >= Duration::from_secs(1));
    }
    let rounded: Vec<_> = endpoint.pauses().iter().map(|p| p.floor()).collect();
    assert_eq!(rounded, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
    assert_eq!(log.lines().len(), 1, "{:#?}", log.lines());
    assert!(log.lines()[0].contains("ERROR"));

    sleep(Duration::from_secs(61)).await;
    let token = accepted(&tokens).await;
    assert_eq!(log.lines().len(), 2, "{:#?}", log.lines());
    tokens.learn(&token, &refusal());
    let next = tokens.current().await.expect("at once, for it had been accepted");
    tokens.learn(&next, &refusal());
    let no = tokens.current().await.err().expect("no token");
    assert_eq!(no.retry_after(), Some(Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expired_on_its_way_is_no_complaint() {
    let (tokens, endpoint) = start(|n| if n == 1 { Says::Grant(10) } else { Says::Refused });
    let token = tokens.current().await.expect("a token");
    while endpoint.fetches() == 1 || tokens.at_hand().is_some() {
        sleep(Duration::from_millis(100)).await;
    }
    tokens.learn(&token, &unauthorized("ERR_JWT_EXPIRED"));
    let trouble = tokens.status().last_error.unwrap();
    assert!(trouble.contains("no answer"), "{trouble}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_shorten_a_pause_that_the_endpoint_asked_for() {
    let (tokens, endpoint) =
        start(|n| if n == 1 { Says::Grant(100) } else { Says::Other(429, "", Some("300")) });
    let token = tokens.current().await.expect("a token");
    sleep(Duration::from_secs(92)).await;
    assert_eq!(endpoint.fetches(), 2);
    tokens.learn(&token, &refusal());
    sleep(Duration::from_secs(200)).await;
    assert_eq!(endpoint.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_refused_during_its_renewal_is_replaced_by_that() {
    let (tokens, endpoint) =
        start(|n| if n == 1 { Says::Grant(100) } else { Says::SlowGrant(Duration::from_secs(2), 100) });
    let token = accepted(&tokens).await;
    while endpoint.fetches() == 1 {
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(current(&tokens).await, "t1");
    tokens.learn(&token, &refusal());
    assert_eq!(current(&tokens).await, "t2");
    assert_eq!(endpoint.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn answers_that_say_nothing_of_the_token_teach_nothing() {
    let (tokens, endpoint) = granting();
    let token = tokens.current().await.expect("a token");
    for silent in [
        answered(403, r#"{"code":"auth.forbidden"}"#),
        answered(401, "<html>"),
        answered(404, "Not Found"),
        answered(429, ""),
        answered(502, ""),
        Outcome::Failed(Failure::Broken),
    ] {
        tokens.learn(&token, &silent);
    }
    assert!(!tokens.status().accepted);
    assert_eq!((current(&tokens).await.as_str(), endpoint.fetches()), ("t1", 1));
}

#[tokio::test(start_paused = true)]
async fn claims_that_dont_fit_are_named_once_and_cost_no_fetch() {
    let (log, _guard) = Log::keep();
    let (tokens, endpoint) = granting();
    let token = tokens.current().await.expect("a token");
    for _ in 0..3 {
        tokens.learn(&token, &unauthorized("ERR_JWT_CLAIM_VALIDATION_FAILED"));
    }
    assert_eq!((current(&tokens).await.as_str(), endpoint.fetches()), ("t1", 1));
    assert!(tokens.status().last_error.unwrap().contains("upstream.endpoint"));
    assert_eq!(log.lines().len(), 1, "{:#?}", log.lines());
    tokens.learn(&token, &ok());
    assert_eq!(tokens.status().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn a_generic_api_refuses_with_any_401() {
    let (endpoint, connector) = endpoint(|_| Says::Grant(3600));
    let settings = Settings { api: Api::Generic, ..settings() };
    let tokens = Tokens::start(settings, connector, metrics(), free());
    let token = accepted(&tokens).await;
    tokens.learn(&token, &answered(401, ""));
    assert_eq!((current(&tokens).await.as_str(), endpoint.fetches()), ("t2", 2));
}
