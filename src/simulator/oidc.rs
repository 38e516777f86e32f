//! The token endpoint: `POST /oidc/token` with client credentials, and every way it says no.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, Method, StatusCode, header, request::Parts};
use serde_json::{Value, json};

use super::State;
use super::answer::Answer;
use super::body::Payload;
use super::clock::Moment;
use super::tokens::Grant;

/// Why no token is given.
struct Denial {
    status: StatusCode,
    error: &'static str,
    description: String,
    /// Said when Basic credentials failed.
    challenge: Option<String>,
}

/// Who asks for a token, and how he proves it.
struct Client {
    id: String,
    secret: String,
    by: Proof,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Basic,
    Body,
}

/// Answers everything under `/oidc`.
pub(super) fn answer(state: &mut State, head: &Parts, payload: &Payload, moment: Moment) -> Answer {
    let path = head.uri.path().strip_prefix("/oidc").unwrap_or_default();
    if path != "/token" || head.method != Method::POST {
        return denied(unrecognized(&head.method, path));
    }
    let form = payload.value().unwrap_or_else(|_| json!({}));
    let outcome = token(state, &head.headers, &form, moment);
    let result = if outcome.is_ok() { "Success" } else { "Error" };
    let application = client(&head.headers, &form).map_or(Value::Null, |client| json!(client.id));
    state.store.log("ExchangeTokenBy.ClientCredentials", result, &application, moment.unix_millis());
    outcome.unwrap_or_else(denied)
}

fn token(state: &mut State, headers: &HeaderMap, form: &Value, moment: Moment) -> Result<Answer, Denial> {
    let client = client(headers, form)?;
    authenticate(state, &client, moment)?;
    match form["grant_type"].as_str() {
        Some("client_credentials") => {}
        Some(_) => return Err(bad("unsupported_grant_type", "unsupported grant_type requested")),
        None => return Err(bad("invalid_request", "missing required parameter(s) (grant_type)")),
    }
    match form["resource"].as_str() {
        Some(resource) if resource == state.settings.resource => {}
        Some(_) => return Err(bad("invalid_target", "resource indicator is missing, or unknown")),
        None => {
            return Err(bad("invalid_target", "both `resource` and `organization_id` are not provided"));
        }
    }
    let asks = form["scope"].as_str().is_some_and(|scope| scope.split(' ').any(|word| word == "all"));
    let scope = (asks && state.store.may_manage(&client.id)).then_some("all");
    Ok(granted(state, &client.id, scope, moment))
}

fn granted(state: &mut State, client_id: &str, scope: Option<&str>, moment: Moment) -> Answer {
    let issuer = issuer(state);
    let lifetime = state.settings.token_lifetime;
    let audience = &state.settings.resource;
    let grant = Grant { client_id, issuer: &issuer, audience, scope, lifetime };
    let token = state.tokens.issue(&grant, moment);
    let mut body = json!({ "access_token": token, "expires_in": lifetime.as_secs(), "token_type": "Bearer" });
    if let Some(scope) = scope {
        body["scope"] = json!(scope);
    }
    open(Answer::ok(&body)).with(header::CACHE_CONTROL, "no-store")
}

/// The client as Basic credentials or as fields of the body name it, never both.
fn client(headers: &HeaderMap, form: &Value) -> Result<Client, Denial> {
    let field = |key: &str| form[key].as_str().map(ToOwned::to_owned);
    match (basic(headers), field("client_id"), field("client_secret")) {
        (Some(_), _, Some(_)) => {
            let problem = "client authentication must only be provided using one mechanism";
            Err(bad("invalid_request", problem))
        }
        (Some((id, secret)), _, None) => Ok(Client { id, secret, by: Proof::Basic }),
        (None, Some(id), Some(secret)) => Ok(Client { id, secret, by: Proof::Body }),
        _ => Err(bad("invalid_request", "no client authentication mechanism provided")),
    }
}

/// RFC 6749, 2.3.1: id and secret are form-encoded before they are joined by a colon.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let joined = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let joined = String::from_utf8(joined).ok()?;
    let (id, secret) = joined.split_once(':')?;
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    Some((decode(id), decode(secret)))
}

fn authenticate(state: &State, client: &Client, moment: Moment) -> Result<(), Denial> {
    let Some(secrets) = state.store.secrets.get(&client.id) else {
        return Err(bad("invalid_client", format!("invalid client {}", client.id)));
    };
    let Some(secret) = secrets.iter().find(|secret| secret["value"] == client.secret) else {
        return Err(wrong_secret(client, &issuer(state)));
    };
    match secret["expiresAt"].as_u64() {
        Some(end) if end <= moment.unix_millis() => Err(bad("invalid_request", EXPIRED)),
        _ => Ok(()),
    }
}

fn wrong_secret(client: &Client, issuer: &str) -> Denial {
    let description = "client authentication failed";
    let challenge = (client.by == Proof::Basic).then(|| {
        format!("Basic realm=\"{issuer}\", error=\"invalid_client\", error_description=\"{description}\"")
    });
    let status = StatusCode::UNAUTHORIZED;
    Denial { status, error: "invalid_client", description: description.to_owned(), challenge }
}

const EXPIRED: &str = "client secret has expired";

fn issuer(state: &State) -> String {
    format!("{}/oidc", state.settings.endpoint.trim_end_matches('/'))
}

fn unrecognized(method: &Method, path: &str) -> Denial {
    let description = format!("unrecognized route or not allowed ({method} on {path})");
    Denial { status: StatusCode::NOT_FOUND, error: "invalid_request", description, challenge: None }
}

fn bad(error: &'static str, description: impl Into<String>) -> Denial {
    Denial { status: StatusCode::BAD_REQUEST, error, description: description.into(), challenge: None }
}

fn denied(denial: Denial) -> Answer {
    let Denial { status, error, description, challenge } = denial;
    let code = format!("oidc.{error}");
    let message = match error {
        "invalid_target" => "Invalid resource indicator.".to_owned(),
        _ => format!("An OIDC error occurred: {code}."),
    };
    let body = json!({
        "code": code, "message": message, "error": error, "error_description": description,
    });
    let answer = open(Answer::json(status, &body));
    if status == StatusCode::NOT_FOUND || description == EXPIRED {
        return answer;
    }
    let answer = answer.with(header::CACHE_CONTROL, "no-store");
    match challenge {
        Some(challenge) => answer.with(header::WWW_AUTHENTICATE, challenge),
        None => answer,
    }
}

/// The token endpoint is open to scripts of any origin.
fn open(answer: Answer) -> Answer {
    let exposed = HeaderName::from_static("access-control-expose-headers");
    answer.with(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*").with(exposed, "WWW-Authenticate")
}
