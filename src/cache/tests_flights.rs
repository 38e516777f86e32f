//! One fetch that many wait for: who boards, who gets what, and how it ends.

use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{FutureExt, stream};
use http::HeaderMap;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::Notify;

use super::tests::{Store, ok, store};
use super::*;
use crate::call::sample::{ask, get};

type Aboard<'a> = Pin<Box<dyn Future<Output = Result<Option<Reply>, Rejection>> + Send + 'a>>;

/// Flights that take off when they are called for, and land when told.
#[derive(Default)]
struct Airport {
    started: AtomicUsize,
    land: Notify,
    audiences: Mutex<Vec<Arc<Audience>>>,
}

impl Airport {
    fn started(&self) -> usize {
        self.started.load(Ordering::Relaxed)
    }

    /// How many are aboard the flight with this number.
    fn aboard(&self, flight: usize) -> usize {
        self.audiences.lock().unwrap()[flight].standing().size
    }

    async fn fly(
        self: Arc<Self>,
        audience: Arc<Audience>,
        end: fn() -> Result<Reply, Rejection>,
    ) -> Result<Reply, Rejection> {
        self.audiences.lock().unwrap().push(audience);
        self.started.fetch_add(1, Ordering::Relaxed);
        self.land.notified().await;
        end()
    }
}

/// Boards a flight for this call, or starts one that ends like this.
async fn boards<'a>(
    store: &'a Store,
    call: &'a Call,
    airport: &Arc<Airport>,
    end: fn() -> Result<Reply, Rejection>,
) -> Aboard<'a> {
    let airport = Arc::clone(airport);
    let mut aboard: Aboard<'a> = Box::pin(store.cache.fly(call, move |audience| airport.fly(audience, end)));
    assert!((&mut aboard).now_or_never().is_none(), "it has not landed yet");
    tokio::task::yield_now().await;
    aboard
}

fn lands() -> Result<Reply, Rejection> {
    match ok("{}") {
        Outcome::Answered(reply) => Ok(reply),
        Outcome::Failed(_) => Err(Rejection::Internal),
    }
}

fn body(answer: Result<Option<Reply>, Rejection>) -> &'static str {
    match answer.map(|reply| reply.map(|reply| reply.body)) {
        Ok(Some(Body::Held(bytes))) if bytes == "{}" => "whole",
        Ok(Some(Body::Held(_))) => "another",
        Ok(Some(Body::Streaming(_))) => "streaming",
        Ok(None) => "alone",
        Err(no) => no.code(),
    }
}

#[tokio::test(start_paused = true)]
async fn many_who_want_the_same_share_one_fetch_and_know_it() {
    let (store, airport) = (store(), Arc::<Airport>::default());
    let calls: Vec<Call> = (0..50).map(|_| get("/api/users").call()).collect();
    let mut aboard = Vec::new();
    for call in &calls {
        aboard.push(boards(&store, call, &airport, lands).await);
    }
    assert_eq!(airport.started(), 1);
    airport.land.notify_one();
    let collapsed = join_all(aboard).await.into_iter().filter(|answer| {
        let reply = answer.as_ref().ok().and_then(Option::as_ref).expect("an answer");
        matches!(reply.source, Source::Forwarded { collapsed: true, .. })
    });
    assert_eq!(collapsed.count(), 49);
    let next = get("/api/users").call();
    let _aboard = boards(&store, &next, &airport, lands).await;
    assert_eq!(airport.started(), 2, "it is over");
}

#[tokio::test(start_paused = true)]
async fn others_fly_elsewhere() {
    let (store, airport) = (store(), Arc::<Airport>::default());
    let calls = ["/api/users", "/api/users?page=2", "/api/roles"].map(|uri| get(uri).call());
    let mut aboard = Vec::new();
    for call in &calls {
        aboard.push(boards(&store, call, &airport, lands).await);
    }
    assert_eq!(airport.started(), 3);
}

#[tokio::test(start_paused = true)]
async fn nobody_boards_a_flight_that_took_off_before_a_write_and_those_aboard_land() {
    let (store, airport) = (store(), Arc::<Airport>::default());
    let calls = [get("/api/users/u").call(), get("/api/users/u").call(), get("/api/users/u").call()];
    let first = boards(&store, &calls[0], &airport, lands).await;
    store.fetch(ask(&Method::PATCH, "/api/users/u"), 0, ok("{}"));
    let second = boards(&store, &calls[1], &airport, lands).await;
    assert_eq!(airport.started(), 2);
    airport.land.notify_one();
    assert_eq!(body(first.await), "whole");
    let third = boards(&store, &calls[2], &airport, lands).await;
    assert_eq!(airport.started(), 2, "the landing of the old one leaves the new one in the air");
    airport.land.notify_one();
    assert_eq!((body(second.await), body(third.await)), ("whole", "whole"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_on_the_way_is_a_refusal_for_everybody_aboard() {
    let (store, airport) = (store(), Arc::<Airport>::default());
    let calls = [get("/api/users").call(), get("/api/users").call()];
    let first = boards(&store, &calls[0], &airport, || panic!("planted")).await;
    let second = boards(&store, &calls[1], &airport, lands).await;
    airport.land.notify_one();
    assert_eq!((body(first.await), body(second.await)), ("internal", "internal"));
    let next = boards(&store, &calls[0], &airport, lands).await;
    airport.land.notify_one();
    assert_eq!(body(next.await), "whole");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_everybodys() {
    let (store, airport) = (store(), Arc::<Airport>::default());
    let calls = [get("/api/users").call(), get("/api/users").call()];
    let first = boards(&store, &calls[0], &airport, || Err(Rejection::Broken)).await;
    let second = boards(&store, &calls[1], &airport, lands).await;
    airport.land.notify_one();
    assert_eq!((body(first.await), body(second.await)), ("upstream_broken", "upstream_broken"));
}

#[tokio::test(start_paused = true)]
async fn a_flight_is_abandoned_when_its_last_passenger_leaves_and_not_before() {
    let (store, airport) = (store(), Arc::<Airport>::default());
    let calls = [get("/api/users").call(), get("/api/users").call(), get("/api/users").call()];
    let first = boards(&store, &calls[0], &airport, lands).await;
    let second = boards(&store, &calls[1], &airport, lands).await;
    drop(first);
    assert_eq!(airport.aboard(0), 1);
    drop(second);
    assert_eq!(airport.aboard(0), 0);
    let _third = boards(&store, &calls[2], &airport, lands).await;
    assert_eq!((airport.started(), airport.aboard(1)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_was_sent_can_be_boarded_though_all_have_left() {
    let (store, airport) = (store(), Arc::<Airport>::default());
    let calls = [get("/api/users").call(), get("/api/users").call()];
    let first = boards(&store, &calls[0], &airport, lands).await;
    airport.audiences.lock().unwrap()[0].mark_sent();
    drop(first);
    let second = boards(&store, &calls[1], &airport, lands).await;
    assert_eq!((airport.started(), airport.aboard(0)), (1, 1));
    airport.land.notify_one();
    assert_eq!(body(second.await), "whole");
}

#[tokio::test(start_paused = true)]
async fn who_boards_a_flight_that_gives_up_for_want_of_passengers_fetches_alone() {
    let (store, airport) = (store(), Arc::<Airport>::default());
    let call = get("/api/users").call();
    let aboard = boards(&store, &call, &airport, || Err(Rejection::Abandoned)).await;
    airport.land.notify_one();
    assert_eq!(body(aboard.await), "alone");
}

#[expect(clippy::unnecessary_wraps, reason = "one end of a flight among others")]
fn too_large() -> Result<Reply, Rejection> {
    let frames = stream::iter([Ok(http_body::Frame::data(Bytes::from_static(b"large")))]);
    let body = Body::Streaming(StreamBody::new(frames).boxed_unsync());
    Ok(Reply::new(StatusCode::OK, HeaderMap::new(), body))
}

#[tokio::test(start_paused = true)]
async fn a_body_too_large_to_share_goes_to_one_and_the_others_fetch_for_themselves() {
    let (store, airport) = (store(), Arc::<Airport>::default());
    let calls = [get("/api/users").call(), get("/api/users").call(), get("/api/users").call()];
    let mut aboard = Vec::new();
    for call in &calls {
        aboard.push(boards(&store, call, &airport, too_large).await);
    }
    airport.land.notify_one();
    let mut got: Vec<&str> = join_all(aboard).await.into_iter().map(body).collect();
    got.sort_unstable();
    assert_eq!(got, ["alone", "alone", "streaming"]);
}

#[tokio::test(start_paused = true)]
async fn each_passenger_keeps_its_own_deadline() {
    let (store, airport) = (store(), Arc::<Airport>::default());
    let (hasty, patient) =
        (get("/api/users").within(Duration::from_secs(1)).call(), get("/api/users").call());
    let first = boards(&store, &hasty, &airport, lands).await;
    let second = boards(&store, &patient, &airport, lands).await;
    assert_eq!(body(first.await), "wait_too_long", "it was not sent yet");
    airport.land.notify_one();
    assert_eq!(body(second.await), "whole");
}
