//! An answer on its way to one client: its links mended, its conditions heeded, its failure put into words.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::call::Call;
use crate::link;
use crate::rejection::Rejection;
use crate::reply::{Body, BodyError, Failure, Reply};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What every answer to this client has in common, wherever it came from. `upstream` is Logto's `host[:port]`.
pub fn finished(mut reply: Reply, call: &Call, upstream: &str) -> Reply {
    link::mend(&mut reply.headers, &link::View { upstream, base: &call.base, asked: &call.target.raw });
    if let Some(wait) = call.wait {
        // RFC 7240 §3.
        let applied = HeaderValue::try_from(format!("wait={wait}")).expect("a word and a number");
        reply.headers.append(PREFERENCE_APPLIED, applied);
    }
    if reply.status == StatusCode::OK
        && !call.target.is_write()
        && holds_already(&call.headers, &reply.headers)
    {
        return not_modified(reply);
    }
    if call.target.method == Method::HEAD { without_body(reply) } else { reply }
}

/// HEAD is answered with what GET would say, its length included (RFC 9110 §9.3.2).
fn without_body(mut reply: Reply) -> Reply {
    if let Body::Held(body) = &reply.body
        && !body.is_empty()
    {
        reply.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    Reply { body: Body::Held(Bytes::new()), ..reply }
}

/// Whether the client's `If-None-Match` names this answer (RFC 9110 §13.1.2: weak comparison).
fn holds_already(request: &HeaderMap, answer: &HeaderMap) -> bool {
    let Some(etag) = answer.get(header::ETAG).map(|tag| opaque(tag.as_bytes())) else { return false };
    request.get_all(header::IF_NONE_MATCH).iter().any(|list| {
        list.as_bytes()
            .split(|b| *b == b',')
            .map(<[u8]>::trim_ascii)
            .any(|tag| tag == b"*" || opaque(tag) == etag)
    })
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// RFC 9110 §15.4.5.
fn not_modified(mut reply: Reply) -> Reply {
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
        reply.headers.remove(name);
    }
    Reply { status: StatusCode::NOT_MODIFIED, body: Body::Held(Bytes::new()), ..reply }
}

/// Why there is no answer, as the client is told.
pub fn rejection(failure: Failure) -> Rejection {
    match failure {
        Failure::NotConnected(error) => {
            Rejection::Unreachable { proxy_error: error.proxy_error(), cause: error.to_string() }
        }
        Failure::NotSent => Rejection::Unreachable {
            proxy_error: "connection_terminated",
            cause: "the connection closed before the request was sent".to_owned(),
        },
        Failure::RequestBody(BodyError::TooLarge) => Rejection::BodyTooLarge,
        Failure::RequestBody(BodyError::Stalled) => Rejection::BodyTooSlow,
        Failure::RequestBody(BodyError::Broken) => Rejection::BodyBroken,
        Failure::TooLate => Rejection::WaitTooLong(Duration::from_secs(1)),
        Failure::Broken => Rejection::Broken,
        Failure::BadReply => Rejection::BadReply,
        Failure::TimedOut(patience) => Rejection::UpstreamTimeout(patience),
    }
}
