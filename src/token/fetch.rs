//! One request for a token and its answer: OAuth's client credentials grant (RFC 6749 §4.4).

use std::convert::Infallible;
use std::future::pending;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::{Bytes, BytesMut};
use form_urlencoded::byte_serialize;
use http::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::grant::{self, Grant};
use super::{Settings, TokenError};
use crate::connect::{Connector, Origin, Stream};
use crate::reply::{Body, Failure, Outcome, Reply};

/// No token comes near this; more isn't read.
pub(super) const ANSWER_MAX: usize = 64 * 1024;

/// Fetches one token.
pub async fn fetch(settings: &Settings, connector: &Connector) -> Result<Grant, TokenError> {
    grant::read(settings, &ask(settings, connector).await)
}

/// Sends the request on a connection of its own. A body longer than `ANSWER_MAX` is cut off just behind it.
pub(super) async fn ask(settings: &Settings, connector: &Connector) -> Outcome {
    let asked = async {
        let stream = connector.connect().await?;
        exchange(stream, request(settings)).await
    };
    match timeout(settings.timeout, asked).await {
        Ok(Ok(reply)) => Outcome::Answered(reply),
        Ok(Err(failure)) => Outcome::Failed(failure),
        Err(_) => Outcome::Failed(Failure::TimedOut(settings.timeout)),
    }
}

fn request(settings: &Settings) -> Request<Full<Bytes>> {
    let authority = Origin::of(&settings.url).map(|o| o.authority()).unwrap_or_default();
    let mut request = Request::new(Full::new(form(settings)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path(settings);
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(authority).unwrap_or(HeaderValue::from_static("")));
    headers.insert(AUTHORIZATION, basic(settings));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers
        .insert(USER_AGENT, HeaderValue::from_static(concat!("logto-gateway/", env!("CARGO_PKG_VERSION"))));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    request
}

fn path(settings: &Settings) -> http::Uri {
    let path = settings.url.path_and_query().cloned();
    path.map_or_else(|| http::Uri::from_static("/"), http::Uri::from)
}

/// Own parameters give way to those of the same name in `extra`.
fn form(settings: &Settings) -> Bytes {
    let own = [
        ("grant_type", Some("client_credentials")),
        ("resource", settings.resource.as_deref()),
        ("scope", Some(settings.scope.as_str()).filter(|s| !s.is_empty())),
        ("audience", settings.audience.as_deref()),
    ];
    let own = own.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let own = own.filter(|(key, _)| !settings.extra.contains_key(*key));
    let extra = settings.extra.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(own.chain(extra)).finish().into()
}

/// HTTP Basic, whose parts are form-encoded first (RFC 6749 §2.3.1). Every Logto takes it, as M2M applications
/// are registered for it; a second way beside it would be refused.
fn basic(settings: &Settings) -> HeaderValue {
    let part = |text: &str| Zeroizing::new(byte_serialize(text.as_bytes()).collect::<String>());
    let pair = Zeroizing::new(format!("{}:{}", *part(&settings.app_id), *part(settings.app_secret.expose())));
    let text = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text).expect("base64 can stand in a header");
    value.set_sensitive(true);
    value
}

async fn exchange(stream: Stream, request: Request<Full<Bytes>>) -> Result<Reply, Failure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failure)?;
    // The connection is driven here, so that it ends with the fetch: nothing is left running.
    let driven = async {
        let _ = connection.await;
        pending::<Infallible>().await
    };
    let answered = async {
        let answer = sender.send_request(request).await.map_err(failure)?;
        let (head, body) = answer.into_parts();
        Ok(Reply::new(head.status, head.headers, Body::Held(held(body).await?)))
    };
    tokio::select! {
        reply = answered => reply,
        never = driven => match never {},
    }
}

async fn held(mut body: Incoming) -> Result<Bytes, Failure> {
    let mut held = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(failure)?.into_data() else { continue };
        let room = ANSWER_MAX + 1 - held.len();
        held.extend_from_slice(&data[..data.len().min(room)]);
        if held.len() > ANSWER_MAX {
            break;
        }
    }
    Ok(held.freeze())
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failure(error: hyper::Error) -> Failure {
    if error.is_parse() { Failure::BadReply } else { Failure::Broken }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::watch;

    use super::super::script::{Says, current, endpoint, settings, start};
    use super::*;
    use crate::reply::Api;

    #[tokio::test(start_paused = true)]
    async fn the_request_is_what_every_logto_takes() {
        let (tokens, endpoint) = start(|_| Says::Grant(3600));
        assert_eq!(current(&tokens).await, "t1");
        let (head, form) = endpoint.last();
        assert_eq!(
            form,
            "grant_type=client_credentials&resource=https%3A%2F%2Fdefault.logto.app%2Fapi&scope=all"
        );
        assert_eq!(head["host"], "tenant.logto.app");
        assert_eq!(head["accept"], "application/json");
        assert_eq!(head["connection"], "close");
        assert_eq!(head["content-type"], "application/x-www-form-urlencoded");
        assert!(head["user-agent"].to_str().unwrap().starts_with("logto-gateway/"));
        // "app+id:s3cret%3A%2F+%C3%BC"
        assert_eq!(head["authorization"], "Basic YXBwK2lkOnMzY3JldCUzQSUyRislQzMlQkM=");
    }

    #[tokio::test(start_paused = true)]
    async fn audience_and_extra_parameters_are_sent() {
        let (endpoint, connector) = endpoint(|_| Says::Grant(3600));
        let extra = BTreeMap::from([("scope".into(), "read write".into()), ("tenant".into(), "7".into())]);
        let audience = Some("api".into());
        let settings = Settings { resource: None, audience, extra, api: Api::Generic, ..settings() };
        let grant = fetch(&settings, &connector).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(grant.life, Duration::from_secs(3600));
        assert_eq!(endpoint.last().1, "grant_type=client_credentials&audience=api&scope=read+write&tenant=7");
    }

    #[tokio::test(start_paused = true)]
    async fn a_huge_answer_is_not_read_to_its_end() {
        let (count, mut written) = watch::channel(0);
        let connector = Connector::memory(move || {
            let (here, mut there) = tokio::io::duplex(16 * 1024);
            let count = count.clone();
            tokio::spawn(async move {
                let _ = there.read(&mut [0; 1024]).await;
                let _ = there.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n").await;
                while there.write_all(&[b' '; 10_000]).await.is_ok() {
                    count.send_modify(|c| *c += 10_000);
                }
            });
            Ok(Box::new(here) as Stream)
        });
        let error = fetch(&settings(), &connector).await.err().expect("no token");
        assert!(error.to_string().contains("larger than 64 KiB"), "{error}");
        assert!(*written.borrow_and_update() < 1_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_breaks_off_or_is_no_http_is_a_failure() {
        for (said, cause) in [
            ("", "the connection broke"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{", "the connection broke"),
            ("SSH-2.0-OpenSSH_9.6\r\n\r\n", "could not be parsed"),
        ] {
            let connector = Connector::memory(move || {
                let (here, mut there) = tokio::io::duplex(1024);
                tokio::spawn(async move {
                    let _ = there.read(&mut [0; 1024]).await;
                    let _ = there.write_all(said.as_bytes()).await;
                });
                Ok(Box::new(here) as Stream)
            });
            let error = fetch(&settings(), &connector).await.err().expect("no token");
            assert!(error.to_string().contains(cause), "{said}: {error}");
        }
    }
}
