//! What a request may be, and what of it goes upstream.

use http_body_util::Full;

use super::super::body_to_send;
use super::*;
use crate::catalog::Catalog;

fn limits() -> Limits {
    Limits {
        body_max: 8,
        upload_max: 16,
        held_bodies_max: 10,
        body_timeout: Duration::from_secs(30),
        call_timeout: Duration::from_secs(120),
        forward_headers: vec![HeaderName::from_static("x-extra")],
    }
}

fn parts(uri: &str, headers: &[(&str, &str)]) -> (Target, Parts) {
    let mut request = http::Request::post(uri).header("host", "localhost:8480");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let head = request.body(()).expect("a request").into_parts().0;
    let target =
        Target::parse(&head.method, &head.uri, &head.headers, &Catalog::logto()).expect("a good target");
    (target, head)
}

#[expect(clippy::disallowed_methods, reason = "a call arrives now")]
async fn read<B>(intake: &Intake, uri: &str, headers: &[(&str, &str)], body: B) -> Result<Call, Rejection>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (target, head) = parts(uri, headers);
    let id = HeaderValue::from_static("id");
    intake.read(Caller::anonymous(), target, head, body, id, Instant::now()).await
}

fn chunks(
    parts: &'static [&'static str],
) -> impl http_body::Body<Data = Bytes, Error = BodyError> + Send + Unpin {
    StreamBody::new(stream::iter(parts.iter().map(|p| Ok(Frame::data(Bytes::from_static(p.as_bytes()))))))
}

#[tokio::test]
async fn a_body_is_held_up_to_its_limit() {
    let intake = Intake::new(limits());
    let call = read(&intake, "/api/users", &[], chunks(&["1234", "5678"])).await.expect("8 bytes pass");
    assert!(call.is_replayable());
    assert!(matches!(&call.body, Body::Held { bytes, .. } if bytes == "12345678"));
    drop(call);
    let code = |result: Result<Call, Rejection>| result.err().map(|no| no.code());
    assert_eq!(
        code(read(&intake, "/api/users", &[], chunks(&["1234", "56789"])).await),
        Some("body_too_large")
    );
    let announced = [("content-length", "9")];
    assert_eq!(
        code(read(&intake, "/api/users", &announced, chunks(&["1"])).await),
        Some("body_too_large"),
        "told before it is read"
    );
}

#[tokio::test]
async fn all_held_bodies_together_have_a_budget_which_ended_calls_give_back() {
    let intake = Intake::new(limits());
    let first = read(&intake, "/api/users", &[], chunks(&["12345"])).await.expect("5 of 10");
    let second = read(&intake, "/api/users", &[], chunks(&["123456"])).await;
    assert_eq!(second.err().map(|no| no.code()), Some("held_bodies_full"));
    drop(first);
    assert!(read(&intake, "/api/users", &[], chunks(&["123456"])).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_in_time_is_refused() {
    let intake = Intake::new(limits());
    let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, BodyError>>());
    let refused = read(&intake, "/api/users", &[], never).await;
    assert_eq!(refused.err().map(|no| no.code()), Some("request_too_slow"));
}

#[tokio::test(start_paused = true)]
async fn an_upload_is_streamed_once_within_its_own_limits() {
    let intake = Intake::new(limits());
    let call =
        read(&intake, "/api/user-assets", &[], chunks(&["1234567890", "123456"])).await.expect("passes");
    assert!(!call.is_replayable());
    let sent =
        body_to_send(&call.body).expect("the first attempt has it").collect().await.expect("16 bytes pass");
    assert_eq!(sent.to_bytes().len(), 16);
    assert!(body_to_send(&call.body).is_none(), "a second attempt has nothing to send");
    let longer =
        read(&intake, "/api/user-assets", &[], chunks(&["1234567890", "1234567"])).await.expect("passes");
    assert!(body_to_send(&longer.body).expect("not sent yet").collect().await.is_err());
    let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, BodyError>>());
    let stalled = read(&intake, "/api/user-assets", &[], never).await.expect("passes");
    let error = body_to_send(&stalled.body).expect("not sent yet").collect().await.err();
    assert!(matches!(error, Some(BodyError::Stalled)));
}

#[tokio::test]
async fn only_listed_headers_go_upstream() {
    let intake = Intake::new(limits());
    let sent = [
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("user-agent", "curl"),
        ("traceparent", "00-x"),
        ("x-extra", "1"),
        ("accept-language", "de"),
        ("authorization", "Bearer canary"),
        ("cookie", "canary"),
        ("x-forwarded-host", "canary"),
        ("forwarded", "canary"),
        ("development-user-id", "canary"),
        ("x-http-method-override", "DELETE"),
        ("connection", "x-extra, close"),
        ("if-none-match", "\"x\""),
    ];
    let call = read(&intake, "/api/users", &sent, Full::new(Bytes::new())).await.expect("passes");
    let headers = call.headers_for_upstream(intake.forward_headers());
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let expected =
        ["accept", "accept-language", "content-type", "traceparent", "user-agent", "x-extra", "x-request-id"];
    assert_eq!(names, expected);
}
