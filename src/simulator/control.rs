//! The simulator's own endpoints, for those who drive it from outside:
//!
//! - `POST /simulator/faults` adds a fault: `{"kind": "latency", "milliseconds": 500, "path": "/api/users",
//!   "method": "GET", "times": 3}`. `path` (default `/`), `method` (default any) and `times` (default 1) say
//!   which requests it strikes. The kinds: `latency` (`milliseconds`), `status` (`status`, default 500),
//!   `reset-before-reply`, `reset-mid-body`, `hang`, `html-page` (`status`, default 503), `commit-then-reset`,
//!   `token-answer` (`status`, default 200; `contentType`, default `application/json`; `body`).
//! - `DELETE /simulator/faults` takes them all away.
//! - `POST /simulator/revoke-tokens` makes every token issued so far invalid.
//! - `GET /simulator/requests?limit=100` lists the newest requests, newest first (at most 1000).
//!
//! They are outside the API: without a token, never limited, never struck by a fault, not recorded.

use http::{Method, StatusCode, request::Parts};
use serde_json::{Value, json};

use super::Simulator;
use super::answer::Answer;
use super::body::Payload;
use super::fault::Fault;
use super::paging::Query;
use super::records::{Kind, Received};

const REQUESTS_DEFAULT: usize = 100;
const REQUESTS_MAX: usize = 1000;

/// Answers everything under `/simulator/`.
pub(super) fn answer(simulator: &Simulator, head: &Parts, payload: &Payload) -> Answer {
    let answer = match (&head.method, head.uri.path()) {
        (&Method::POST, "/simulator/faults") => add_fault(simulator, payload),
        (&Method::DELETE, "/simulator/faults") => {
            simulator.clear_faults();
            Answer::no_content()
        }
        (&Method::POST, "/simulator/revoke-tokens") => {
            simulator.revoke_tokens();
            Answer::no_content()
        }
        (&Method::GET, "/simulator/requests") => requests(simulator, head.uri.query()),
        _ => Answer::not_found(),
    };
    answer.at_edge()
}

fn add_fault(simulator: &Simulator, payload: &Payload) -> Answer {
    let value = match payload.value() {
        Ok(value) => value,
        Err(refusal) => return refusal.into(),
    };
    match Fault::from_json(&value) {
        Ok(fault) => {
            simulator.fault(fault);
            Answer::no_content()
        }
        Err(problem) => Answer::json(StatusCode::BAD_REQUEST, &json!({ "message": problem })),
    }
}

fn requests(simulator: &Simulator, query: Option<&str>) -> Answer {
    let query = Query::parse(query.unwrap_or_default());
    let limit = query.get("limit").and_then(|text| text.parse().ok()).unwrap_or(REQUESTS_DEFAULT);
    let shown = simulator.with(|state, _| {
        let newest = state.records.rows().rev().take(limit.min(REQUESTS_MAX));
        newest.map(|received| shown(simulator, received)).collect::<Value>()
    });
    Answer::ok(&shown)
}

/// A request without its headers: they hold the token.
fn shown(simulator: &Simulator, received: &Received) -> Value {
    let seconds = simulator.shared.clock.since_start(received.at).as_secs_f64();
    let kind = match received.kind {
        Kind::Token => "token",
        Kind::Api => "api",
        Kind::Page => "page",
    };
    json!({
        "secondsSinceStart": seconds,
        "kind": kind,
        "method": received.method.as_str(),
        "path": received.path_and_query,
        "status": received.status,
    })
}
