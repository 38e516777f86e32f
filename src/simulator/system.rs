//! What a Logto tells anybody, and its audit log.
#![expect(clippy::unnecessary_wraps, reason = "the table of routes wants every handler in one form")]

use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::api::Ask;
use super::paging::Paging;
use super::routes::ROUTES;
use super::store::Store;

/// `GET /status`: alive.
pub(super) fn status(_ask: &Ask<'_>, _store: &mut Store) -> Outcome {
    Ok(Answer::no_content())
}

/// `GET /.well-known/sign-in-exp`: a small part of the real one.
pub(super) fn sign_in_experience(_ask: &Ask<'_>, _store: &mut Store) -> Outcome {
    Ok(Answer::ok(&json!({
        "tenantId": "default",
        "id": "default",
        "color": { "primaryColor": "#6139F6", "isDarkModeEnabled": false, "darkPrimaryColor": "#8768F8" },
        "branding": {},
        "languageInfo": { "autoDetect": true, "fallbackLanguage": "en" },
        "signInMode": "SignInAndRegister",
        "socialConnectors": [],
        "ssoConnectors": [],
        "forgotPassword": { "phone": false, "email": false },
        "isDevelopmentTenant": false,
    })))
}

/// `GET /swagger.json`: the paths that are simulated, and nothing of their schemas.
pub(super) fn swagger(_ask: &Ask<'_>, _store: &mut Store) -> Outcome {
    let mut paths = json!({});
    for route in ROUTES {
        let operations = route.verbs.iter().map(|(method, _)| (method.to_lowercase(), json!({})));
        paths[format!("/api{}", route.template)] = Value::Object(operations.collect());
    }
    let info = json!({ "title": "Logto API references", "version": "simulated" });
    Ok(Answer::ok(&json!({ "openapi": "3.0.1", "info": info, "paths": paths })))
}

/// `GET /logs`: every request for a token.
pub(super) fn logs(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let key = ask.query.get("logKey").unwrap_or_default();
    let found = |row: &&Value| key.is_empty() || row["key"] == key;
    let rows: Vec<&Value> = store.logs.newest_first().filter(found).collect();
    ask.list(&rows, Paging::Always, Value::clone)
}

/// `GET /logs/{id}`
pub(super) fn log(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    store.logs.find(ask.param(0)).map(Answer::ok)
}
