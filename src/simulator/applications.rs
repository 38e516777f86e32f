//! Applications and their secrets: `/api/applications`.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Outcome, Refusal};
use super::api::Ask;
use super::body::{Field, Holds, Needed};
use super::paging::Paging;
use super::store::{Store, id_of, merge};

/// What a search looks into when it names no field.
pub(super) const SEARCHED: [&str; 3] = ["id", "name", "description"];

const CREATED: [Field; 6] = [
    Field("name", Holds::Text, Needed::Yes),
    Field("type", Holds::Text, Needed::Yes),
    Field("description", Holds::TextOrNull, Needed::No),
    Field("oidcClientMetadata", Holds::Object, Needed::No),
    Field("customClientMetadata", Holds::Object, Needed::No),
    Field("customData", Holds::Object, Needed::No),
];
const PATCHED: [Field; 5] = [
    Field("name", Holds::Text, Needed::No),
    Field("description", Holds::TextOrNull, Needed::No),
    Field("oidcClientMetadata", Holds::Object, Needed::No),
    Field("customClientMetadata", Holds::Object, Needed::No),
    Field("customData", Holds::Object, Needed::No),
];
const SECRET: [Field; 2] =
    [Field("name", Holds::Text, Needed::Yes), Field("expiresAt", Holds::NumberOrNull, Needed::No)];

/// Secrets of one application.
const SECRETS_MAX: usize = 100;

pub(super) fn list(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let kinds: Vec<&str> =
        ask.query.pairs().filter(|(key, _)| *key == "types").map(|(_, kind)| kind).collect();
    let wanted = |row: &&Value| kinds.is_empty() || kinds.iter().any(|&kind| row["type"] == kind);
    let rows: Vec<&Value> = store.applications.newest_first().filter(wanted).collect();
    ask.list(&rows, Paging::OnRequest, Value::clone)
}

pub(super) fn create(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let fields = ask.payload.fields(&CREATED)?;
    let id = store.id(21);
    let mut row = empty_row(&id, ask.now);
    merge(&mut row, fields);
    store.applications.insert(row.clone())?;
    let secret = store.id(32);
    let secret = secret_row(&id, "Default secret", &secret, &Value::Null, ask.now);
    store.secrets.insert(id, vec![secret]);
    Ok(Answer::ok(&row))
}

pub(super) fn get(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let mut row = store.applications.find(ask.param(0))?.clone();
    row["isAdmin"] = json!(store.may_manage(id_of(&row)));
    Ok(Answer::ok(&row))
}

pub(super) fn update(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let fields = ask.payload.fields(&PATCHED)?;
    let row = store.applications.find_mut(ask.param(0))?;
    merge(row, fields);
    Ok(Answer::ok(row))
}

/// Tokens that the application has already stay valid, as on a real Logto.
pub(super) fn delete(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    store.applications.remove(ask.param(0))?;
    store.secrets.remove(ask.param(0));
    store.application_roles.forget_left(ask.param(0));
    Ok(Answer::no_content())
}

pub(super) fn secrets(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    store.applications.find(ask.param(0))?;
    let secrets = store.secrets.get(ask.param(0)).cloned().unwrap_or_default();
    Ok(Answer::ok(&Value::Array(secrets)))
}

pub(super) fn create_secret(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let fields = ask.payload.fields(&SECRET)?;
    store.applications.find(ask.param(0))?;
    let value = store.id(32);
    let row = secret_from(ask, &fields, &value);
    let secrets = store.secrets.entry(ask.param(0).to_owned()).or_default();
    if secrets.len() >= SECRETS_MAX {
        let message = format!("The simulator holds at most {SECRETS_MAX} secrets of an application.");
        return Err(Refusal::beyond_simulation(StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    if secrets.iter().any(|secret| secret["name"] == row["name"]) {
        let message = "Secret name already exists.";
        let code = "application.secret_name_exists";
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, code, message));
    }
    secrets.push(row.clone());
    Ok(Answer::json(StatusCode::CREATED, &row))
}

pub(super) fn delete_secret(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let secrets = store.secrets.get_mut(ask.param(0)).ok_or_else(Refusal::entity_not_found)?;
    let place = secrets.iter().position(|secret| secret["name"] == ask.param(1));
    secrets.remove(place.ok_or_else(Refusal::entity_not_found)?);
    Ok(Answer::no_content())
}

pub(super) fn empty_row(id: &str, now: u64) -> Value {
    json!({
        "tenantId": "default",
        "id": id,
        "name": null,
        "description": null,
        "type": null,
        "oidcClientMetadata": { "redirectUris": [], "postLogoutRedirectUris": [] },
        "customClientMetadata": {},
        "protectedAppMetadata": null,
        "customData": {},
        "isThirdParty": false,
        "createdAt": now,
    })
}

pub(super) fn secret_row(id: &str, name: &str, value: &str, expires_at: &Value, now: u64) -> Value {
    json!({
        "tenantId": "default",
        "applicationId": id,
        "name": name,
        "value": value,
        "createdAt": now,
        "expiresAt": expires_at,
    })
}

fn secret_from(ask: &Ask<'_>, fields: &Map<String, Value>, value: &str) -> Value {
    let name = fields["name"].as_str().unwrap_or_default();
    let expires_at = fields.get("expiresAt").unwrap_or(&Value::Null);
    secret_row(ask.param(0), name, value, expires_at, ask.now)
}
