//! Answers as bytes: Logto's headers in Logto's order, and bodies that may break off on demand.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header, request::Parts};
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

use super::answer::{Answer, Origin};
use super::clock::Moment;

/// The connection is to be closed without a word.
#[derive(Debug, thiserror::Error)]
#[error("the simulator closes the connection")]
pub(super) struct Reset;

/// How long the first half of a torn body has to leave before the connection closes.
const TEAR_AFTER: Duration = Duration::from_millis(10);

const SECURITY: [(&str, &str); 10] = [
    ("vary", "Accept-Encoding, Origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("strict-transport-security", "max-age=15552000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-download-options", "noopen"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-xss-protection", "0"),
];

/// Whether the connection is used again after this exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    KeepAlive,
    Close,
}

impl Afterwards {
    /// RFC 9112, 9.3: HTTP/1.1 stays open unless told otherwise, HTTP/1.0 closes unless told otherwise.
    pub(super) fn wished_by(head: &Parts) -> Self {
        let says = |word: &str| {
            let values = head.headers.get_all(header::CONNECTION).into_iter();
            values
                .filter_map(|value| value.to_str().ok())
                .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
        };
        let open = if head.version == Version::HTTP_11 { !says("close") } else { says("keep-alive") };
        if open { Self::KeepAlive } else { Self::Close }
    }
}

/// The answer with every header it has on the wire, in order.
pub(super) fn response(answer: Answer, afterwards: Afterwards, moment: Moment) -> Response<Body> {
    let mut headers = HeaderMap::new();
    if answer.origin == Origin::Logto {
        for (name, value) in SECURITY {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
    }
    append(&mut headers, answer.before);
    if let Some(content_type) = answer.content_type {
        append(&mut headers, vec![(header::CONTENT_TYPE, content_type.into_owned())]);
    }
    append(&mut headers, answer.after);
    if answer.origin == Origin::Logto {
        append(&mut headers, vec![(HeaderName::from_static("logto-core-request-id"), request_id())]);
    }
    if !matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(answer.body.len()));
    }
    append(&mut headers, vec![(header::DATE, moment.http_date())]);
    append(&mut headers, connection_lines(afterwards));
    let mut response = Response::new(Body::Whole(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers;
    response
}

/// The same response, of which only half of the body arrives. Nothing arrives of a response without a body.
pub(super) fn torn(response: Response<Body>) -> Result<Response<Body>, Reset> {
    let (head, body) = response.into_parts();
    match body {
        Body::Whole(bytes) if bytes.len() > 1 => {
            let half = Some(bytes.slice(..bytes.len() / 2));
            let pause = Box::pin(tokio::time::sleep(TEAR_AFTER));
            Ok(Response::from_parts(head, Body::Torn { half, pause }))
        }
        _ => Err(Reset),
    }
}

/// A response body: all of it, or its first half and then an error that closes the connection.
pub(super) enum Body {
    Whole(Bytes),
    Torn { half: Option<Bytes>, pause: Pin<Box<Sleep>> },
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Reset;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Torn { half, pause } => {
                if let Some(bytes) = half.take() {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                ready!(pause.as_mut().poll(cx));
                Poll::Ready(Some(Err(Reset)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Torn { .. } => SizeHint::default(),
        }
    }
}

fn append(headers: &mut HeaderMap, lines: Vec<(HeaderName, String)>) {
    for (name, value) in lines {
        // A value with bytes that no header may hold comes from a request; it is left out.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.append(name, value);
        }
    }
}

fn connection_lines(afterwards: Afterwards) -> Vec<(HeaderName, String)> {
    match afterwards {
        Afterwards::KeepAlive => vec![
            (header::CONNECTION, "keep-alive".to_owned()),
            (HeaderName::from_static("keep-alive"), "timeout=5".to_owned()),
        ],
        Afterwards::Close => vec![(header::CONNECTION, "close".to_owned())],
    }
}

fn request_id() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..16).map(|_| char::from(ALPHABET[fastrand::usize(..ALPHABET.len())])).collect()
}
