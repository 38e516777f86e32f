//! The users of the tenant: `/api/users` and everything below a user that isn't a role or an organization.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Outcome, Refusal};
use super::api::Ask;
use super::body::{Field, Holds, Needed};
use super::paging::Paging;
use super::search::Search;
use super::store::{Store, id_of, merge};

/// What a search looks into when it names no field.
pub(super) const SEARCHED: [&str; 5] = ["id", "primaryEmail", "primaryPhone", "username", "name"];

const PATCHED: [Field; 7] = [
    Field("username", Holds::Username, Needed::No),
    Field("primaryEmail", Holds::TextOrNull, Needed::No),
    Field("primaryPhone", Holds::TextOrNull, Needed::No),
    Field("name", Holds::TextOrNull, Needed::No),
    Field("avatar", Holds::TextOrNull, Needed::No),
    Field("customData", Holds::Object, Needed::No),
    Field("profile", Holds::Object, Needed::No),
];
const SECRETS: [Field; 2] =
    [Field("password", Holds::Text, Needed::No), Field("passwordDigest", Holds::Text, Needed::No)];

/// Fields that no two users share, and what is said when they would.
const UNIQUE: [(&str, &str, &str); 3] = [
    ("username", "user.username_already_in_use", "This username is already in use."),
    ("primaryEmail", "user.email_already_in_use", "This email is associated with an existing account."),
    (
        "primaryPhone",
        "user.phone_already_in_use",
        "This phone number is associated with an existing account.",
    ),
];

pub(super) fn list(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let search = Search::read(&ask.query, &SEARCHED)?;
    let rows: Vec<&Value> = store.users.newest_first().filter(|row| search.accepts(row)).collect();
    ask.list(&rows, Paging::Always, Value::clone)
}

pub(super) fn create(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let fields = ask.payload.fields(&PATCHED)?;
    let secrets = ask.payload.fields(&SECRETS)?;
    refuse_conflict(store, &fields, "")?;
    let id = store.id(12);
    let mut row = empty_row(&id, ask.now);
    merge(&mut row, fields);
    row["hasPassword"] = json!(!secrets.is_empty());
    store.users.insert(row.clone())?;
    if let Some(password) = secrets.get("password").and_then(Value::as_str) {
        store.passwords.insert(id, password.to_owned());
    }
    Ok(Answer::ok(&row))
}

pub(super) fn get(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    store.users.find(ask.param(0)).map(Answer::ok)
}

pub(super) fn update(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let fields = ask.payload.fields(&PATCHED)?;
    store.users.find(ask.param(0))?;
    refuse_conflict(store, &fields, ask.param(0))?;
    change(ask, store, |row| merge(row, fields)).map(|row| Answer::ok(&row))
}

pub(super) fn delete(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let id = ask.param(0);
    store.users.remove(id)?;
    store.passwords.remove(id);
    store.user_roles.forget_left(id);
    for organization in store.members.lefts(id) {
        store.member_roles.forget_left(&format!("{organization}/{id}"));
    }
    store.members.forget_right(id);
    Ok(Answer::no_content())
}

pub(super) fn custom_data(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    store.users.find(ask.param(0)).map(|row| Answer::ok(&row["customData"]))
}

pub(super) fn update_custom_data(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let body = ask.payload.fields(&[Field("customData", Holds::Object, Needed::Yes)])?;
    let given = body["customData"].as_object().cloned().unwrap_or_default();
    change(ask, store, |row| merge(&mut row["customData"], given)).map(|row| Answer::ok(&row["customData"]))
}

pub(super) fn update_profile(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let body = ask.payload.fields(&[Field("profile", Holds::Object, Needed::Yes)])?;
    let given = body["profile"].as_object().cloned().unwrap_or_default();
    change(ask, store, |row| merge(&mut row["profile"], given)).map(|row| Answer::ok(&row["profile"]))
}

pub(super) fn update_password(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let body = ask.payload.fields(&[Field("password", Holds::Text, Needed::Yes)])?;
    let row = change(ask, store, |row| row["hasPassword"] = json!(true))?;
    let password = body["password"].as_str().unwrap_or_default();
    store.passwords.insert(ask.param(0).to_owned(), password.to_owned());
    Ok(Answer::ok(&row))
}

pub(super) fn verify_password(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let body = ask.payload.fields(&[Field("password", Holds::Text, Needed::Yes)])?;
    store.users.find(ask.param(0))?;
    if store.passwords.get(ask.param(0)).is_some_and(|password| body["password"] == **password) {
        return Ok(Answer::no_content());
    }
    let message = "Incorrect account or password. Please check your input.";
    Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "session.invalid_credentials", message))
}

pub(super) fn has_password(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    store.users.find(ask.param(0)).map(|row| Answer::ok(&json!({ "hasPassword": row["hasPassword"] })))
}

pub(super) fn suspend(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let body = ask.payload.fields(&[Field("isSuspended", Holds::Flag, Needed::Yes)])?;
    change(ask, store, |row| merge(row, body)).map(|row| Answer::ok(&row))
}

/// A user with nothing but an id, as an empty POST makes one.
pub(super) fn empty_row(id: &str, now: u64) -> Value {
    json!({
        "id": id,
        "username": null,
        "primaryEmail": null,
        "primaryPhone": null,
        "name": null,
        "avatar": null,
        "customData": {},
        "identities": {},
        "lastSignInAt": null,
        "createdAt": now,
        "updatedAt": now,
        "profile": {},
        "applicationId": null,
        "cimdClientId": null,
        "isSuspended": false,
        "hasPassword": false,
    })
}

fn change(ask: &Ask<'_>, store: &mut Store, change: impl FnOnce(&mut Value)) -> Result<Value, Refusal> {
    let row = store.users.find_mut(ask.param(0))?;
    change(row);
    row["updatedAt"] = json!(ask.now);
    Ok(row.clone())
}

fn refuse_conflict(store: &Store, fields: &Map<String, Value>, own: &str) -> Result<(), Refusal> {
    for (key, code, message) in UNIQUE {
        let Some(wanted) = fields.get(key).and_then(Value::as_str) else { continue };
        let taken = |row: &Value| row[key].as_str() == Some(wanted) && id_of(row) != own;
        if store.users.newest_first().any(taken) {
            return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, code, message));
        }
    }
    Ok(())
}
