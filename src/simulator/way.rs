//! The way of one request: what strikes it before Logto sees it, Logto's answer, what strikes that.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode, Version, header, request::Parts};
use hyper::body::Incoming;

use super::answer::{Answer, too_many_requests};
use super::body::Payload;
use super::clock::Moment;
use super::control;
use super::fault::FaultKind;
use super::records::{Kind, RecordId};
use super::wire::{self, Afterwards, Body, Reset};
use super::{Simulator, State, api, oidc};

/// The page that Logto shows to whatever isn't its API, cut down to a line.
const SIGN_IN_PAGE: &str = "<!doctype html><html><body>Simulated sign-in experience</body></html>\n";
const EDGE_PAGE: &str =
    "<!doctype html><html><head><title>Error</title></head><body>cloudflare</body></html>\n";

/// Answers one request, or closes the connection on it.
pub(super) async fn answer(
    simulator: Simulator,
    request: Request<Incoming>,
) -> Result<Response<Body>, Reset> {
    let (head, body) = request.into_parts();
    let afterwards = Afterwards::wished_by(&head);
    let clock = simulator.shared.clock;
    if let Some(answer) = malformed(&head) {
        return Ok(wire::response(answer, Afterwards::Close, clock.now()));
    }
    if head.uri.path().starts_with("/simulator/") {
        let payload = Payload::read(&head.headers, body).await?;
        let answer = control::answer(&simulator, &head, &payload);
        return Ok(wire::response(answer, afterwards, clock.now()));
    }
    let (record, arrival) = simulator.with(|state, moment| arrive(state, &head, moment));
    let payload = Payload::read(&head.headers, body).await?;
    let (answer, ending) = match arrival {
        Arrival::Throttled(answer) => (answer, Ending::Whole),
        Arrival::Passed(fault) => struck(&simulator, &head, &payload, fault).await?,
    };
    simulator.with(|state, _| state.records.answered(record, answer.status.as_u16()));
    let response = wire::response(answer, afterwards, clock.now());
    match ending {
        Ending::Whole => Ok(response),
        Ending::Torn => wire::torn(response),
    }
}

/// What has happened to a request by the time its head is read.
enum Arrival {
    Throttled(Answer),
    Passed(Option<FaultKind>),
}

/// What happens to an answer on its way out.
enum Ending {
    Whole,
    Torn,
}

fn arrive(state: &mut State, head: &Parts, moment: Moment) -> (RecordId, Arrival) {
    let record = state.records.arrived(head, moment.at);
    if let Some(limiter) = &mut state.limiter
        && !limiter.admits(moment.at)
    {
        state.throttled += 1;
        return (record, Arrival::Throttled(too_many_requests(limiter.retry_after(moment.at))));
    }
    (record, Arrival::Passed(state.faults.strike(&head.method, head.uri.path())))
}

/// The answer to a request that a fault may strike.
async fn struck(
    simulator: &Simulator,
    head: &Parts,
    payload: &Payload,
    fault: Option<FaultKind>,
) -> Result<(Answer, Ending), Reset> {
    let answered = || simulator.with(|state, moment| logto(state, head, payload, moment));
    let latency = simulator.with(|state, _| state.settings.latency);
    let answer = match fault {
        None => late(answered(), latency).await,
        Some(FaultKind::Latency(more)) => late(answered(), latency.saturating_add(more)).await,
        Some(FaultKind::ResetMidBody) => {
            return Ok((late(answered(), latency).await, Ending::Torn));
        }
        Some(FaultKind::CommitThenReset) => {
            late(answered(), latency).await;
            return Err(Reset);
        }
        Some(FaultKind::ResetBeforeReply) => return Err(Reset),
        Some(FaultKind::Hang) => std::future::pending().await,
        Some(FaultKind::Status(status)) => Answer::internal_error(status),
        Some(FaultKind::HtmlPage(status)) => Answer::html(status, EDGE_PAGE).at_edge(),
        Some(FaultKind::TokenAnswer { status, content_type, body }) => {
            Answer::new(status, content_type, body)
        }
    };
    Ok((answer, Ending::Whole))
}

/// The work is done before the wait: who reads or writes meanwhile finds it done.
async fn late(answer: Answer, latency: Duration) -> Answer {
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    answer
}

fn logto(state: &mut State, head: &Parts, payload: &Payload, moment: Moment) -> Answer {
    match Kind::of(head.uri.path()) {
        Kind::Token => oidc::answer(state, head, payload, moment),
        Kind::Api => api::answer(state, head, payload, moment),
        Kind::Page if matches!(head.method, Method::GET | Method::HEAD) => {
            Answer::html(StatusCode::OK, SIGN_IN_PAGE)
        }
        Kind::Page => Answer::not_found(),
    }
}

/// Requests that Node refuses before Logto sees them, and a host that Logto stumbles over.
fn malformed(head: &Parts) -> Option<Answer> {
    let host = head.headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default().trim());
    match host {
        None if head.version == Version::HTTP_11 => Some(refused()),
        Some(host) if host.contains(' ') => Some(Answer::internal_error(StatusCode::INTERNAL_SERVER_ERROR)),
        _ if !is_known(&head.method) => Some(refused()),
        _ => None,
    }
}

fn refused() -> Answer {
    Answer::bare(StatusCode::BAD_REQUEST).at_edge()
}

fn is_known(method: &Method) -> bool {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    known.contains(method)
}
