//! The Management API: from a request to the route that answers it.

use http::{HeaderMap, Method, StatusCode, header, request::Parts};
use serde_json::Value;

use super::State;
use super::answer::{Answer, Outcome, Refusal};
use super::body::Payload;
use super::clock::Moment;
use super::conditional;
use super::paging::{Page, Paging, Query};
use super::routes::{self, Access};

/// What a handler is asked.
pub(super) struct Ask<'a> {
    pub(super) query: Query,
    pub(super) payload: &'a Payload,
    /// Milliseconds since 1970.
    pub(super) now: u64,
    parameters: Vec<String>,
    /// Where this list seems to be: Logto's links leave out `/api`.
    url: String,
}

/// Answers everything under `/api`. The route comes before the token: an unknown path is 404 to anybody.
pub(super) fn answer(state: &mut State, head: &Parts, payload: &Payload, moment: Moment) -> Answer {
    let path = head.uri.path().strip_prefix("/api").unwrap_or_default();
    let Some((route, parameters)) = routes::find(path) else { return Answer::not_found() };
    if head.method == Method::OPTIONS {
        let mut answer = Answer::text(StatusCode::OK, "");
        answer.after.push((header::ALLOW, route.allow()));
        return answer;
    }
    let Some(handler) = route.handler(head.method.as_str()) else {
        let answer = Answer::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        return answer.with(header::ALLOW, route.allow());
    };
    if route.access == Access::Token
        && let Err(refusal) = state.tokens.check(&head.headers, moment)
    {
        return refusal.into();
    }
    let query = Query::parse(head.uri.query().unwrap_or_default());
    let url = format!("{}{path}", base(head, state.settings.trust_proxy));
    let ask = Ask { query, payload, now: moment.unix_millis(), parameters, url };
    let outcome = handler(&ask, &mut state.store);
    finished(outcome, head)
}

impl Ask<'_> {
    /// The parameter of the path at this place.
    pub(super) fn param(&self, place: usize) -> &str {
        &self.parameters[place]
    }

    /// A list, or the page of it that is asked for.
    pub(super) fn list(&self, rows: &[&Value], paging: Paging, show: impl Fn(&Value) -> Value) -> Outcome {
        let page = Page::asked(&self.query, paging)?;
        let shown = page.map_or(rows, |page| page.of(rows)).iter().map(|row| show(row));
        let mut answer = Answer::ok(&shown.collect());
        if let Some(page) = page {
            answer.after.extend(page.headers(rows.len(), &self.url, &self.query));
        }
        Ok(answer)
    }
}

/// Only what a GET finds has an ETag; a refusal has none, nor has the answer to a HEAD.
fn finished(outcome: Result<Answer, Refusal>, head: &Parts) -> Answer {
    match outcome {
        Ok(answer) if head.method == Method::GET => conditional::tagged(answer, &head.headers),
        Ok(answer) => answer,
        Err(refusal) => refusal.into(),
    }
}

/// Scheme and host as the request has them, which is where Logto believes it is.
fn base(head: &Parts, trust_proxy: bool) -> String {
    let forwarded = |name: &str| first(&head.headers, name).filter(|_| trust_proxy);
    let scheme = forwarded("x-forwarded-proto").unwrap_or("http");
    let own = || head.uri.authority().map(http::uri::Authority::as_str);
    let host = forwarded("x-forwarded-host").or_else(|| first(&head.headers, "host")).or_else(own);
    format!("{scheme}://{}", host.unwrap_or("localhost"))
}

/// The first value of a header that may hold a list.
fn first<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim).filter(|value| !value.is_empty())
}
