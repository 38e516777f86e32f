//! The token's life: fetched, shared, renewed, and what happens when that fails.

use std::time::Duration;

use tokio::time::{advance, sleep};

use super::script::{Log, Says, WRONG_SECRET, current, endpoint, free, metrics, settings, start};
use super::*;

fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}

#[tokio::test(start_paused = true)]
async fn however_many_wait_there_is_one_fetch() {
    let (tokens, endpoint) = start(|_| Says::SlowGrant(seconds(3.0), 3600));
    assert!(tokens.at_hand().is_none());
    let waiting: Vec<_> =
        (0..100).map(|_| tokens.clone()).map(|t| tokio::spawn(async move { current(&t).await })).collect();
    for waiter in waiting {
        assert_eq!(waiter.await.unwrap(), "t1");
    }
    assert_eq!(endpoint.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_in_the_background_before_it_expires() {
    let (tokens, endpoint) = start(|_| Says::Grant(3600));
    current(&tokens).await;
    sleep(seconds(3100.0)).await;
    assert_eq!((current(&tokens).await.as_str(), endpoint.fetches()), ("t1", 1));
    sleep(seconds(141.0)).await;
    assert_eq!((current(&tokens).await.as_str(), endpoint.fetches()), ("t2", 2));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_begins_at_least_a_minute_before_the_end() {
    let (tokens, endpoint) = start(|_| Says::Grant(300));
    sleep(seconds(2000.0)).await;
    assert!(endpoint.pauses().iter().all(|p| (230.0..=240.0).contains(p)), "{:?}", endpoint.pauses());
    drop(tokens);
}

#[tokio::test(start_paused = true)]
async fn tokens_of_five_seconds_are_never_handed_out_expired() {
    let (tokens, endpoint) = start(|_| Says::SlowGrant(seconds(0.2), 5));
    for _ in 0..600 {
        let token: usize = current(&tokens).await.trim_start_matches('t').parse().unwrap();
        // A JWT may live a second less than promised: it counts whole seconds.
        assert!(now() < endpoint.dialled()[token - 1] + seconds(4.0));
        advance(seconds(0.1)).await;
    }
    assert!(endpoint.fetches() < 20, "{}", endpoint.fetches());
}

#[tokio::test(start_paused = true)]
async fn tokens_of_one_second_dont_make_the_room_spin() {
    let (tokens, endpoint) = start(|_| Says::Grant(1));
    sleep(seconds(10.0)).await;
    assert!(current(&tokens).await.starts_with('t'));
    assert!(endpoint.fetches() <= 11, "{}", endpoint.fetches());
}

#[tokio::test(start_paused = true)]
async fn a_failing_renewal_fails_no_call_while_the_token_is_good() {
    let (tokens, endpoint) = start(|n| if (2..20).contains(&n) { Says::Refused } else { Says::Grant(100) });
    sleep(seconds(98.0)).await;
    assert!(endpoint.fetches() > 1);
    assert_eq!(current(&tokens).await, "t1");
    assert!(tokens.status().last_error.unwrap().contains("refused"));
    sleep(seconds(3.0)).await;
    assert!(tokens.at_hand().is_none());
    let no = tokens.current().await.err().expect("no token");
    assert_eq!(no.code(), "no_token");
    assert!(no.to_string().contains("connection to https://tenant.logto.app refused"), "{no}");
    assert!(no.retry_after().unwrap() <= seconds(60.0));
    sleep(seconds(1200.0)).await;
    assert_eq!(tokens.status().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn outages_are_retried_after_one_second_and_then_less_and_less_often() {
    let (_tokens, endpoint) = start(|n| if n % 2 == 0 { Says::Refused } else { Says::Other(503, "", None) });
    sleep(seconds(400.0)).await;
    let expected = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0];
    for (pause, at_most) in endpoint.pauses().iter().zip(expected) {
        assert!((at_most * 0.79..=at_most * 1.01).contains(pause), "{pause} for {at_most}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_recovery_the_back_off_begins_anew() {
    let (_tokens, endpoint) = start(|n| if n % 5 == 0 { Says::Grant(100) } else { Says::Refused });
    sleep(seconds(130.0)).await;
    let again = &endpoint.pauses()[5..9];
    assert!((0.79..=1.01).contains(&again[0]), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn retry_after_and_a_used_up_quota_are_heeded() {
    for (says, pause, cause) in [
        (("", Some("30")), 30.0, "not available (429)"),
        (("", Some("99999999999")), 600.0, "not available (429)"),
        ((r#"{"code":"auth.exceed_token_limit"}"#, None), 600.0, "token quota is used up"),
    ] {
        let (tokens, endpoint) = start(move |_| Says::Other(429, says.0, says.1));
        let said = current(&tokens).await;
        assert!(said.contains(cause), "{said}");
        sleep(seconds(pause + 1.0)).await;
        assert!((pause..=pause + 0.1).contains(&endpoint.pauses()[0]), "{:?}", endpoint.pauses());
    }
}

#[tokio::test(start_paused = true)]
async fn a_definite_refusal_fails_fast_and_is_tried_again_slowly() {
    let (tokens, endpoint) = start(|n| if n < 8 { WRONG_SECRET } else { Says::Grant(3600) });
    let said = current(&tokens).await;
    assert!(said.contains("no access token for Logto: the token endpoint refuses the secret"), "{said}");
    let began = now();
    assert_eq!(current(&tokens).await, said);
    assert_eq!(now(), began);
    sleep(seconds(300.0)).await;
    assert_eq!(current(&tokens).await, "t8");
    assert!(endpoint.pauses().iter().all(|p| (4.0..=60.1).contains(p)), "{:?}", endpoint.pauses());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_answers_is_a_failure_in_time() {
    let (tokens, _endpoint) = start(|_| Says::Silence);
    let began = now();
    let said = current(&tokens).await;
    assert!(said.contains("no answer within 30s"), "{said}");
    assert!(now() - began < seconds(31.0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_or_a_refused_permit_leaves_nobody_waiting() {
    let no_permit: Pay = Arc::new(|_| Box::pin(async { Err(Rejection::Frozen(seconds(7.0))) }));
    let panics: Pay = Arc::new(|_| Box::pin(async { panic!("planted") }));
    let panics_at_once: Pay = Arc::new(|_| panic!("planted"));
    for (pay, cause) in
        [(no_permit, "asked for a pause"), (panics, "inside the"), (panics_at_once, "inside the")]
    {
        let (_endpoint, connector) = endpoint(|_| Says::Grant(3600));
        let tokens = Tokens::start(settings(), connector, metrics(), pay);
        let said = current(&tokens).await;
        assert!(said.contains(cause), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_handle_or_when_stopped() {
    let pay = free();
    let (_endpoint, connector) = endpoint(|n| if n == 1 { Says::Grant(10) } else { Says::Silence });
    let tokens = Tokens::start(settings(), connector.clone(), metrics(), Arc::clone(&pay));
    current(&tokens).await;
    sleep(seconds(9.5)).await; // a renewal is in flight
    drop(tokens);
    sleep(seconds(0.1)).await;
    assert_eq!(Arc::strong_count(&pay), 1);

    let tokens = Tokens::start(settings(), connector, metrics(), pay);
    let waiter = tokio::spawn({
        let tokens = tokens.clone();
        async move { current(&tokens).await }
    });
    sleep(seconds(1.0)).await;
    tokens.stop();
    assert_eq!(waiter.await.unwrap(), "none: the gateway is stopping");
    assert_eq!(tokens.status().state, Condition::Stopped);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_task_that_is_gone() {
    let (tokens, _endpoint) = start(|_| Says::Silence);
    tokens.0.keeper.abort();
    assert_eq!(current(&tokens).await, "none: the gateway is stopping");
}

#[tokio::test(start_paused = true)]
async fn each_cause_is_logged_once_and_so_is_the_recovery() {
    let (log, _guard) = Log::keep();
    let (tokens, _endpoint) = start(|n| match n {
        1..5 => WRONG_SECRET,
        5..8 => Says::Refused,
        _ => Says::Grant(3600),
    });
    sleep(seconds(300.0)).await;
    assert_eq!(current(&tokens).await, "t8");
    let lines = log.lines();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].contains("ERROR") && lines[0].contains("credentials.app_secret"), "{lines:#?}");
    assert!(lines[1].contains("WARN") && lines[1].contains("refused"), "{lines:#?}");
    assert!(lines[2].contains("INFO") && lines[2].contains("good again"), "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn status_and_metrics_tell_the_state_and_never_the_token() {
    let (_endpoint, connector) = endpoint(|n| if n == 1 { WRONG_SECRET } else { Says::Grant(3600) });
    let metrics = metrics();
    let tokens = Tokens::start(settings(), connector, Arc::clone(&metrics), free());
    assert_eq!(tokens.status().state, Condition::Fetching);
    current(&tokens).await;
    let status = tokens.status();
    assert_eq!((status.state, status.expires_at, status.accepted), (Condition::Missing, None, false));
    assert!(status.next_try.unwrap() > 1_700_000_000 && status.last_error.is_some());
    sleep(seconds(6.0)).await;
    let status = tokens.status();
    assert_eq!((status.state, status.last_error.as_deref()), (Condition::Good, None));
    assert!((3590..3600).contains(&status.seconds_left.unwrap()));
    let shown = serde_json::to_string(&status).unwrap();
    assert!(shown.starts_with(r#"{"state":"good","expires_at":1"#) && !shown.contains("t2"), "{shown}");
    let text = String::from_utf8(metrics.text()).unwrap();
    for line in [
        r#"logto_gateway_token_refreshes_total{cause="start",result="failed"} 1"#,
        r#"logto_gateway_token_refreshes_total{cause="start",result="ok"} 1"#,
        "logto_gateway_token_expiry_timestamp_seconds 1",
    ] {
        assert!(text.contains(line), "{line}");
    }
}
