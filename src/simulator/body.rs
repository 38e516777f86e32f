//! Request bodies: reading them within a limit, and checking them as Logto checks them.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::answer::Refusal;
use super::wire::Reset;

/// The largest body that is read at all.
const BODY_MAX: usize = 20 * 1024 * 1024;
/// The largest JSON body that Logto's parser takes.
const JSON_MAX: usize = 1024 * 1024;
/// The largest form or text that Logto's parser takes.
const FORM_MAX: usize = 56 * 1024;

/// A request body with what its headers say of it.
pub(super) struct Payload {
    content_type: String,
    encoded: bool,
    bytes: Option<Bytes>,
}

/// One field of a body: its name, what it may hold, and whether it must be there.
pub(super) struct Field(pub(super) &'static str, pub(super) Holds, pub(super) Needed);

/// What a field may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    TextOrNull,
    Username,
    Flag,
    NumberOrNull,
    Object,
    Ids,
}

/// Whether a field must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Needed {
    Yes,
    No,
}

impl Payload {
    /// Reads a body to its end. One beyond the limit is remembered as too large.
    pub(super) async fn read(headers: &HeaderMap, body: Incoming) -> Result<Self, Reset> {
        let bytes = match Limited::new(body, BODY_MAX).collect().await {
            Ok(collected) => Some(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => None,
            Err(_client_left) => return Err(Reset),
        };
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
        let encoded = !matches!(text(header::CONTENT_ENCODING), "" | "identity");
        Ok(Self { content_type: content_type.to_ascii_lowercase(), encoded, bytes })
    }

    /// The body as a value: an object when it is empty or of a kind that Logto doesn't parse.
    pub(super) fn value(&self) -> Result<Value, Refusal> {
        let bytes = self.bytes.as_ref().ok_or(Refusal::NotFound)?;
        if self.encoded {
            let message = "The simulator reads no compressed request bodies.";
            return Err(Refusal::beyond_simulation(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let is_json = self.content_type == "application/json" || self.content_type.ends_with("+json");
        let is_form = self.content_type == "application/x-www-form-urlencoded";
        let is_text = self.content_type.starts_with("text/");
        match bytes.len() {
            0 => Ok(json!({})),
            length if is_json && length > JSON_MAX => Err(Refusal::NotFound),
            length if (is_form || is_text) && length > FORM_MAX => Err(Refusal::NotFound),
            _ if is_json => serde_json::from_slice(bytes).map_err(|error| malformed(&error)),
            _ if is_form => Ok(form(bytes)),
            _ if is_text => Ok(Value::String(String::from_utf8_lossy(bytes).into_owned())),
            _ => Ok(json!({})),
        }
    }

    /// The known fields of the body, each as it should be; unknown ones are dropped.
    pub(super) fn fields(&self, known: &[Field]) -> Result<Map<String, Value>, Refusal> {
        let mut object = match self.value()? {
            Value::Object(object) => object,
            other => return Err(wrong_type(None, "object", kind_of(Some(&other)))),
        };
        let mut fields = Map::new();
        for Field(name, holds, needed) in known {
            match object.remove(*name) {
                None if *needed == Needed::No => {}
                found => {
                    fields.insert((*name).to_owned(), checked(name, *holds, found)?);
                }
            }
        }
        Ok(fields)
    }
}

/// The ids under a key that was declared as [`Holds::Ids`].
pub(super) fn ids(fields: &Map<String, Value>, key: &str) -> Vec<String> {
    let list = fields.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|id| id.as_str().map(ToOwned::to_owned)).collect()
}

fn form(bytes: &[u8]) -> Value {
    let pairs = form_urlencoded::parse(bytes).into_owned();
    Value::Object(pairs.map(|(key, value)| (key, Value::String(value))).collect())
}

fn checked(name: &str, holds: Holds, found: Option<Value>) -> Result<Value, Refusal> {
    let kind = kind_of(found.as_ref());
    let (fits, expected) = match holds {
        Holds::Text => (kind == "string", "string"),
        Holds::TextOrNull | Holds::Username => (matches!(kind, "string" | "null"), "string"),
        Holds::Flag => (kind == "boolean", "boolean"),
        Holds::NumberOrNull => (matches!(kind, "number" | "null"), "number"),
        Holds::Object => (kind == "object", "object"),
        Holds::Ids => (kind == "array", "array"),
    };
    let value = found.filter(|_| fits).ok_or_else(|| wrong_type(Some(name), expected, kind))?;
    match (&value, holds) {
        (Value::String(text), Holds::Username) if !is_username(text) => Err(wrong_pattern(name)),
        (Value::Array(items), Holds::Ids) => match items.iter().find(|item| !item.is_string()) {
            Some(item) => Err(wrong_type(Some(name), "string", kind_of(Some(item)))),
            None => Ok(value),
        },
        _ => Ok(value),
    }
}

/// A letter or underscore, then letters, digits and underscores.
fn is_username(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(word) && text.starts_with(|c: char| !c.is_ascii_digit())
}

fn kind_of(value: Option<&Value>) -> &'static str {
    match value {
        None => "undefined",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    }
}

fn malformed(error: &serde_json::Error) -> Refusal {
    let message =
        if error.is_eof() { "Unexpected end of JSON input" } else { "Unexpected token in JSON input" };
    Refusal::Error(StatusCode::BAD_REQUEST, json!({ "message": message }))
}

fn wrong_type(name: Option<&str>, expected: &str, received: &str) -> Refusal {
    let message = match received {
        "undefined" => "Required".to_owned(),
        _ => format!("Expected {expected}, received {received}"),
    };
    let path: Vec<&str> = name.into_iter().collect();
    let issue = json!({
        "code": "invalid_type", "expected": expected, "received": received, "path": path, "message": message,
    });
    let key = name.unwrap_or_default();
    let problem = format!("(invalid_type) Expected {expected} but received {received}.");
    invalid_input(&issue, &format!("Error in key path \"{key}\": {problem}"))
}

fn wrong_pattern(name: &str) -> Refusal {
    let issue =
        json!({ "validation": "regex", "code": "invalid_string", "message": "Invalid", "path": [name] });
    invalid_input(&issue, &format!("Error in key path \"{name}\": (invalid_string) Invalid"))
}

fn invalid_input(issue: &Value, details: &str) -> Refusal {
    let body = json!({
        "code": "guard.invalid_input",
        "data": { "issues": [issue], "name": "ZodError" },
        "details": details,
        "message": "The request body is invalid.",
    });
    Refusal::Error(StatusCode::BAD_REQUEST, body)
}
