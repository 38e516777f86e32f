//! An answer before it goes on the wire, and the ways Logto says no.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, StatusCode, header};
use serde_json::{Value, json};

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// An answer: status, body, and the headers that only this answer has.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: Option<Cow<'static, str>>,
    pub(super) body: Bytes,
    /// Headers that stand before `Content-Type`.
    pub(super) before: Vec<(HeaderName, String)>,
    /// Headers that stand after it.
    pub(super) after: Vec<(HeaderName, String)>,
    pub(super) origin: Origin,
}

/// Who answers: it decides which headers every answer carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Logto: security headers and a request id.
    Logto,
    /// What stands in front of it.
    Edge,
}

/// What a handler returns.
pub(super) type Outcome = Result<Answer, Refusal>;

impl Answer {
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, JSON, body.to_string())
    }

    pub(super) fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    pub(super) fn text(status: StatusCode, body: &'static str) -> Self {
        Self::new(status, TEXT, body)
    }

    pub(super) fn html(status: StatusCode, body: &'static str) -> Self {
        Self::new(status, HTML, body)
    }

    /// What koa writes when a handler sets a status and no body.
    pub(super) fn created() -> Self {
        Self::text(StatusCode::CREATED, "Created")
    }

    pub(super) fn no_content() -> Self {
        Self::bare(StatusCode::NO_CONTENT)
    }

    pub(super) fn bare(status: StatusCode) -> Self {
        Self { content_type: None, ..Self::new(status, "", "") }
    }

    pub(super) fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(super) fn internal_error(status: StatusCode) -> Self {
        Self::json(status, &json!({ "message": "Internal server error." }))
    }

    pub(super) fn new(
        status: StatusCode,
        content_type: impl Into<Cow<'static, str>>,
        body: impl Into<Bytes>,
    ) -> Self {
        let content_type = Some(content_type.into());
        Self { status, content_type, body: body.into(), before: vec![], after: vec![], origin: Origin::Logto }
    }

    pub(super) fn at_edge(self) -> Self {
        Self { origin: Origin::Edge, ..self }
    }

    /// Adds a header before `Content-Type`.
    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.before.push((name, value.into()));
        self
    }
}

/// A no, in Logto's words.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// 404 in plain text: no such route, and, by a quirk, a body that is too large.
    NotFound,
    /// A status and a JSON body.
    Error(StatusCode, Value),
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self::Error(status, json!({ "code": code, "message": message.into() }))
    }

    pub(super) fn with_data(status: StatusCode, code: &str, data: &Value, message: &str) -> Self {
        Self::Error(status, json!({ "code": code, "data": data, "message": message }))
    }

    pub(super) fn entity_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "entity.not_found", "The resource does not exist.")
    }

    pub(super) fn no_such_id(table: &str, id: &str) -> Self {
        let message = format!("The {table} with ID `{id}` does not exist.");
        Self::new(StatusCode::NOT_FOUND, "entity.not_exists_with_id", message)
    }

    pub(super) fn foreign_key() -> Self {
        let message = "Cannot find one or more foreign keys. Please check the input and ensure that all \
                       referenced entities exist.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "entity.relation_foreign_key_not_found", message)
    }

    pub(super) fn already_exists() -> Self {
        let message = "The entity already exists. Please check the input and try again.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "entity.unique_integrity_violation", message)
    }

    pub(super) fn invalid_query(details: &str) -> Self {
        let message = format!("Input is invalid. {details}");
        Self::with_data(StatusCode::BAD_REQUEST, "request.invalid_input", &json!({}), &message)
    }

    /// 401 for what the token check rejects; `data` names the reason.
    pub(super) fn unauthorized(data: &Value) -> Self {
        let message = "Unauthorized. Please check credentials and its scope.";
        Self::with_data(StatusCode::UNAUTHORIZED, "auth.unauthorized", data, message)
    }

    pub(super) fn forbidden() -> Self {
        let message = "Forbidden. Please check your user roles and permissions.";
        Self::new(StatusCode::FORBIDDEN, "auth.forbidden", message)
    }

    /// The simulator's own limits; a real Logto says none of this.
    pub(super) fn beyond_simulation(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, "simulator.not_simulated", message)
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found(),
            Refusal::Error(status, body) => Self::json(status, &body),
        }
    }
}

/// 429 as the limiter in front of Logto says it.
pub(super) fn too_many_requests(retry_after: Option<std::time::Duration>) -> Answer {
    let message = "Too many requests. Please try again later.";
    let body = json!({ "code": "request.rate_limited", "message": message });
    let answer = Answer::json(StatusCode::TOO_MANY_REQUESTS, &body).at_edge();
    match retry_after {
        Some(wait) => answer.with(header::RETRY_AFTER, wait.as_millis().div_ceil(1000).to_string()),
        None => answer,
    }
}
