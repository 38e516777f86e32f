//! Access tokens: issuing them, and checking the ones that requests bring.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::answer::Refusal;
use super::clock::Moment;

/// Tokens that are remembered; beyond it the oldest is forgotten, and then has a bad signature.
const TOKENS_MAX: usize = 10_000;

/// What a token is issued for.
pub(super) struct Grant<'g> {
    pub(super) client_id: &'g str,
    pub(super) issuer: &'g str,
    pub(super) audience: &'g str,
    /// Absent when nothing was asked for or nothing is allowed.
    pub(super) scope: Option<&'g str>,
    pub(super) lifetime: Duration,
}

/// Every token issued. A signature is random bytes: what isn't in the table was signed by somebody else.
pub(super) struct Tokens {
    issued: HashMap<String, Issued>,
    order: VecDeque<String>,
    key_id: String,
    trust: Trust,
}

/// Which tokens are believed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    Issued,
    Nobody,
}

struct Issued {
    expires: u64,
    payload: Map<String, Value>,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self { issued: HashMap::new(), order: VecDeque::new(), key_id: random(32), trust: Trust::Issued }
    }

    pub(super) fn issue(&mut self, grant: &Grant<'_>, moment: Moment) -> String {
        let payload = payload(grant, moment.unix_seconds());
        let header = json!({ "alg": "ES384", "typ": "at+jwt", "kid": self.key_id });
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let body = encode(Value::Object(payload.clone()).to_string());
        let token = format!("{}.{body}.{}", encode(header.to_string()), random(96));
        if self.order.len() == TOKENS_MAX {
            let oldest = self.order.pop_front().unwrap_or_default();
            self.issued.remove(&oldest);
        }
        let expires = moment.unix_seconds().saturating_add(grant.lifetime.as_secs());
        self.issued.insert(token.clone(), Issued { expires, payload });
        self.order.push_back(token.clone());
        token
    }

    /// Every token issued so far has a bad signature from now on, as after a change of the signing key.
    pub(super) fn revoke(&mut self) {
        self.issued.clear();
        self.order.clear();
    }

    pub(super) fn trust(&mut self, trust: Trust) {
        self.trust = trust;
    }

    /// Lets a request pass whose token is ours, in time, and has the one scope of the Management API.
    pub(super) fn check(&self, headers: &HeaderMap, moment: Moment) -> Result<(), Refusal> {
        let token = bearer(headers)?;
        let issued = self.issued.get(token).filter(|_| self.trust == Trust::Issued);
        let Some(issued) = issued else {
            let invalid = json!({ "code": "ERR_JWS_INVALID", "name": "JWSInvalid" });
            let unsigned = json!({
                "code": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "name": "JWSSignatureVerificationFailed",
            });
            return Err(Refusal::unauthorized(if looks_like_jwt(token) { &unsigned } else { &invalid }));
        };
        if moment.unix_seconds() >= issued.expires {
            return Err(expired(&issued.payload));
        }
        match issued.payload.get("scope").and_then(Value::as_str) {
            Some(scope) if scope.split(' ').any(|word| word == "all") => Ok(()),
            _ => Err(Refusal::forbidden()),
        }
    }
}

fn payload(grant: &Grant<'_>, now: u64) -> Map<String, Value> {
    let mut payload = Map::new();
    let mut put = |key: &str, value: Value| payload.insert(key.to_owned(), value);
    put("jti", json!(random(32)));
    put("sub", json!(grant.client_id));
    put("iat", json!(now));
    put("exp", json!(now.saturating_add(grant.lifetime.as_secs())));
    if let Some(scope) = grant.scope {
        put("scope", json!(scope));
    }
    put("client_id", json!(grant.client_id));
    put("iss", json!(grant.issuer));
    put("aud", json!(grant.audience));
    payload
}

/// The scheme is compared as it is written: `bearer` isn't `Bearer`.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        let message = "Authorization header is missing.";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "auth.authorization_header_missing", message));
    };
    value.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).ok_or_else(|| {
        let data = json!({ "supportedTypes": ["Bearer"] });
        let code = "auth.authorization_token_type_not_supported";
        Refusal::with_data(StatusCode::UNAUTHORIZED, code, &data, "Authorization type is not supported.")
    })
}

fn looks_like_jwt(token: &str) -> bool {
    let parts: Vec<&str> = token.trim().split('.').collect();
    let decodes = |part: &&str| URL_SAFE_NO_PAD.decode(part).is_ok_and(|bytes| !bytes.is_empty());
    let header = parts.first().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap_or_default();
    let header: Value = serde_json::from_slice(&header).unwrap_or_default();
    parts.len() == 3 && parts.iter().all(decodes) && header.get("alg").is_some()
}

fn expired(payload: &Map<String, Value>) -> Refusal {
    Refusal::unauthorized(&json!({
        "code": "ERR_JWT_EXPIRED",
        "name": "JWTExpired",
        "claim": "exp",
        "reason": "check_failed",
        "payload": payload,
    }))
}

fn random(bytes: usize) -> String {
    let bytes: Vec<u8> = (0..bytes).map(|_| fastrand::u8(..)).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}
