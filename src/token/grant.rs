//! What the token endpoint said: a grant, or why there is none.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use super::fetch::ANSWER_MAX;
use super::{Settings, TokenError};
use crate::reply::{Api, Body, Outcome, Reply};

/// A token that claims to live longer is renewed after this all the same.
const LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// An issued token. It has no `Debug`.
pub struct Grant {
    /// `Bearer …`, marked as sensitive.
    pub authorization: HeaderValue,
    /// `expires_in`.
    pub life: Duration,
    /// The scopes granted, if the answer names them.
    pub scope: Option<String>,
}

/// Reads an answer to a request for a token.
pub(super) fn read(settings: &Settings, outcome: &Outcome) -> Result<Grant, TokenError> {
    let reply = match outcome {
        Outcome::Answered(reply) => reply,
        Outcome::Failed(failure) => return Err(TokenError::NoAnswer(failure.clone())),
    };
    if let Some(unavailable) = unavailable(reply, outcome) {
        return Err(unavailable);
    }
    let said = json(reply)?;
    if reply.status == StatusCode::OK {
        granted(settings, &said)
    } else {
        Err(refused(settings, reply.status, &said))
    }
}

fn unavailable(reply: &Reply, outcome: &Outcome) -> Option<TokenError> {
    if reply.status != StatusCode::TOO_MANY_REQUESTS && !reply.status.is_server_error() {
        return None;
    }
    if outcome.logto_error().is_some_and(|e| e.code == "auth.exceed_token_limit") {
        return Some(TokenError::QuotaUsedUp);
    }
    Some(TokenError::Unavailable { status: reply.status.as_u16(), retry_after: reply.retry_after() })
}

fn json(reply: &Reply) -> Result<Value, TokenError> {
    let body = match &reply.body {
        Body::Held(bytes) if bytes.len() <= ANSWER_MAX => bytes,
        _ => return Err(TokenError::TooLarge),
    };
    serde_json::from_slice(body).ok().filter(Value::is_object).ok_or_else(|| TokenError::NotJson {
        status: reply.status.as_u16(),
        content_type: content_type(&reply.headers),
    })
}

fn content_type(headers: &HeaderMap) -> String {
    let named = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    named.map_or_else(|| "no content type".to_owned(), |t| presentable(t, 80))
}

/// A success (RFC 6749 §5.1).
fn granted(settings: &Settings, said: &Value) -> Result<Grant, TokenError> {
    let kind = text(said, "token_type");
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::NotBearer(presentable(kind, 40)));
    }
    let scope = said.get("scope").and_then(Value::as_str).map(str::to_owned);
    if settings.api == Api::Logto && lacks(&settings.scope, scope.as_deref()) {
        return Err(TokenError::NoScope(settings.scope.clone()));
    }
    let authorization = authorization(text(said, "access_token")).ok_or(TokenError::NoToken)?;
    let life = life(said.get("expires_in")).ok_or(TokenError::NoLifetime)?;
    Ok(Grant { authorization, life, scope })
}

/// Whether none of the scopes asked for was granted: Logto leaves out, without an error, what the application's
/// roles don't give.
fn lacks(asked: &str, granted: Option<&str>) -> bool {
    let granted: Vec<&str> = granted.unwrap_or_default().split_whitespace().collect();
    let mut asked = asked.split_whitespace().peekable();
    asked.peek().is_some() && !asked.any(|scope| granted.contains(&scope))
}

fn authorization(token: &str) -> Option<HeaderValue> {
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A number of seconds; some servers write it as a string.
fn life(expires_in: Option<&Value>) -> Option<Duration> {
    let seconds = match expires_in? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<u32>().ok()?.into(),
        _ => return None,
    };
    (seconds >= 1.0).then(|| Duration::from_secs_f64(seconds.min(LIFE_MAX.as_secs_f64())))
}

/// A refusal (RFC 6749 §5.2); Logto's own errors carry `code` and `message` instead.
fn refused(settings: &Settings, status: StatusCode, said: &Value) -> TokenError {
    let code = Some(text(said, "error")).filter(|e| !e.is_empty()).unwrap_or(text(said, "code"));
    let description = text(said, "error_description");
    let app = settings.app_id.clone();
    match code {
        "invalid_client" if status == StatusCode::UNAUTHORIZED => TokenError::WrongSecret(app),
        "invalid_client" => TokenError::UnknownApp(app),
        _ if description == "client secret has expired" => TokenError::SecretExpired(app),
        "invalid_target" => {
            TokenError::InvalidTarget(settings.resource.clone().unwrap_or_else(|| "(none)".to_owned()))
        }
        code => TokenError::Refused {
            status: status.as_u16(),
            code: if code.is_empty() { "without a code".to_owned() } else { presentable(code, 60) },
            description: describe(description, settings.app_secret.expose()),
        },
    }
}

/// ": " and the description, unless it repeats the secret or says nothing.
fn describe(description: &str, secret: &str) -> String {
    let repeats = !secret.is_empty() && description.contains(secret);
    if description.is_empty() || repeats {
        String::new()
    } else {
        format!(": {}", presentable(description, 200))
    }
}

fn text<'a>(said: &'a Value, key: &str) -> &'a str {
    said.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A stranger's words, fit for one line of a log.
fn presentable(text: &str, max: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::script::settings;
    use super::*;

    fn answer(status: u16, body: &str) -> Outcome {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/html"))]);
        let body = Body::Held(Bytes::copy_from_slice(body.as_bytes()));
        Outcome::Answered(Reply::new(StatusCode::from_u16(status).unwrap(), headers, body))
    }

    /// What is said of an answer.
    fn verdict(status: u16, body: &str) -> String {
        match read(&settings(), &answer(status, body)) {
            Ok(grant) => format!("{}s {}", grant.life.as_secs_f64(), grant.scope.unwrap_or_default()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_grant_is_read() {
        let body = |life: &str| {
            format!(r#"{{"access_token":"t","expires_in":{life},"token_type":"bEARER","scope":"all"}}"#)
        };
        for (life, read) in [
            ("3600", "3600s all"),
            ("\"3600\"", "3600s all"),
            ("5", "5s all"),
            ("7.5", "7.5s all"),
            ("1e300", "2592000s all"),
        ] {
            assert_eq!(verdict(200, &body(life)), read);
        }
        for none in ["0", "-5", "\"soon\"", "\"\"", "null", "true", "[]"] {
            assert!(verdict(200, &body(none)).contains("expires_in"), "{none}");
        }
    }

    #[test]
    fn an_answer_that_is_no_grant_is_named_with_its_remedy() {
        for (status, body, says) in [
            (
                401,
                r#"{"error":"invalid_client","error_description":"client authentication failed"}"#,
                "app_secret",
            ),
            (400, r#"{"error":"invalid_client","error_description":"invalid client nope"}"#, "LOGTO_APP_ID"),
            (
                400,
                r#"{"error":"invalid_request","error_description":"client secret has expired"}"#,
                "has expired",
            ),
            (400, r#"{"error":"invalid_target"}"#, "https://default.logto.app/api is unknown"),
            (400, r#"{"error":"invalid_target"}"#, "set upstream.resource"),
            (
                403,
                r#"{"error":"access_denied","error_description":"no\nway"}"#,
                "(403 access_denied: no way)",
            ),
            (400, r#"{"error":"odd","error_description":"you sent s3cret:/ ü"}"#, "refused (400 odd)"),
            (404, r#"{"code":"oidc.invalid_request"}"#, "404 oidc.invalid_request"),
            (400, "{}", "400 without a code"),
            (200, r#"{"access_token":"t","expires_in":9,"token_type":"Bearer"}"#, "lacks a role"),
            (200, r#"{"access_token":"t","expires_in":9,"token_type":"Bearer","scope":""}"#, "lacks a role"),
            (200, r#"{"access_token":"t","expires_in":9,"token_type":"DPoP","scope":"all"}"#, "\"DPoP\""),
            (200, r#"{"access_token":"t","token_type":"Bearer","scope":"all"}"#, "expires_in"),
            (
                200,
                r#"{"access_token":"a b","expires_in":9,"token_type":"Bearer","scope":"all"}"#,
                "access_token",
            ),
            (
                200,
                r#"{"access_token":"ü","expires_in":9,"token_type":"Bearer","scope":"all"}"#,
                "access_token",
            ),
            (200, r#"{"expires_in":9,"token_type":"Bearer","scope":"all"}"#, "access_token"),
            (200, "<html>s3cret", "answered 200 with text/html instead of JSON"),
            (302, "", "answered 302 with text/html instead of JSON"),
            (200, "[]", "instead of JSON"),
            (200, &"x".repeat(ANSWER_MAX + 1), "larger than 64 KiB"),
            (429, r#"{"code":"auth.exceed_token_limit"}"#, "token quota"),
            (429, "<html>", "not available (429)"),
            (503, "<html>", "not available (503)"),
        ] {
            let verdict = verdict(status, body);
            assert!(verdict.contains(says), "{status} {body}: {verdict}");
            assert!(!verdict.contains("s3cret"), "{verdict}");
        }
    }

    #[test]
    fn a_generic_api_may_leave_out_the_scope() {
        let generic = Settings { api: Api::Generic, ..settings() };
        let said = answer(200, r#"{"access_token":"t","expires_in":9,"token_type":"Bearer"}"#);
        assert!(read(&generic, &said).is_ok());
    }
}
