//! Roles: `/api/roles`.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome, Refusal};
use super::api::Ask;
use super::body::{Field, Holds, Needed};
use super::paging::Paging;
use super::search::Search;
use super::store::{Store, id_of, merge};

/// What a search looks into when it names no field.
pub(super) const SEARCHED: [&str; 3] = ["id", "name", "description"];
/// How many users and applications a role in a list shows.
const FEATURED: usize = 3;

const CREATED: [Field; 4] = [
    Field("name", Holds::Text, Needed::Yes),
    Field("description", Holds::Text, Needed::Yes),
    Field("type", Holds::Text, Needed::No),
    Field("isDefault", Holds::Flag, Needed::No),
];
const PATCHED: [Field; 3] = [
    Field("name", Holds::Text, Needed::No),
    Field("description", Holds::Text, Needed::No),
    Field("isDefault", Holds::Flag, Needed::No),
];

pub(super) fn list(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let search = Search::read(&ask.query, &SEARCHED)?;
    let rows: Vec<&Value> = store.roles.newest_first().filter(|row| search.accepts(row)).collect();
    ask.list(&rows, Paging::Always, |row| with_holders(row, store))
}

pub(super) fn create(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let fields = ask.payload.fields(&CREATED)?;
    refuse_taken_name(store, fields.get("name"), "")?;
    let mut row = json!({
        "tenantId": "default",
        "id": store.id(21),
        "name": null,
        "description": null,
        "type": "User",
        "isDefault": false,
    });
    merge(&mut row, fields);
    store.roles.insert(row.clone())?;
    Ok(Answer::ok(&row))
}

pub(super) fn get(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    store.roles.find(ask.param(0)).map(Answer::ok)
}

pub(super) fn update(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let fields = ask.payload.fields(&PATCHED)?;
    refuse_taken_name(store, fields.get("name"), ask.param(0))?;
    let row = store.roles.find_mut(ask.param(0))?;
    merge(row, fields);
    Ok(Answer::ok(row))
}

pub(super) fn delete(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    store.roles.remove(ask.param(0))?;
    store.user_roles.forget_right(ask.param(0));
    store.application_roles.forget_right(ask.param(0));
    Ok(Answer::no_content())
}

/// A role in a list: with the number of its users and applications, and a few of them.
fn with_holders(row: &Value, store: &Store) -> Value {
    let users = store.user_roles.lefts(id_of(row));
    let applications = store.application_roles.lefts(id_of(row));
    let mut row = row.clone();
    row["usersCount"] = json!(users.len());
    row["featuredUsers"] = featured(&store.users.among(&users), &["id", "avatar", "name"]);
    row["applicationsCount"] = json!(applications.len());
    row["featuredApplications"] = featured(&store.applications.among(&applications), &["id", "name", "type"]);
    row
}

fn featured(rows: &[&Value], keys: &[&str]) -> Value {
    let picked = |row: &&Value| -> Value {
        keys.iter().map(|&key| (key.to_owned(), row[key].clone())).collect::<serde_json::Map<_, _>>().into()
    };
    rows.iter().take(FEATURED).map(picked).collect()
}

fn refuse_taken_name(store: &Store, name: Option<&Value>, own: &str) -> Result<(), Refusal> {
    let Some(name) = name.and_then(Value::as_str) else { return Ok(()) };
    if store.roles.newest_first().any(|row| row["name"] == name && id_of(row) != own) {
        let message = format!("This role name {name} is already in use");
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "role.name_in_use", message));
    }
    Ok(())
}
