//! Organizations and the roles that organizations know: `/api/organizations`, `/api/organization-roles`.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome, Refusal};
use super::api::Ask;
use super::body::{Field, Holds, Needed};
use super::paging::Paging;
use super::store::{Store, merge};

const CREATED: [Field; 4] = [
    Field("name", Holds::Text, Needed::Yes),
    Field("description", Holds::TextOrNull, Needed::No),
    Field("customData", Holds::Object, Needed::No),
    Field("isMfaRequired", Holds::Flag, Needed::No),
];
const PATCHED: [Field; 4] = [
    Field("name", Holds::Text, Needed::No),
    Field("description", Holds::TextOrNull, Needed::No),
    Field("customData", Holds::Object, Needed::No),
    Field("isMfaRequired", Holds::Flag, Needed::No),
];
const ROLE: [Field; 3] = [
    Field("name", Holds::Text, Needed::Yes),
    Field("description", Holds::TextOrNull, Needed::No),
    Field("type", Holds::Text, Needed::No),
];

pub(super) fn list(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let wanted = ask.query.get("q").unwrap_or_default().to_lowercase();
    let holds = |text: &Value| text.as_str().is_some_and(|text| text.to_lowercase().contains(&wanted));
    let found =
        |row: &&Value| wanted.is_empty() || ["id", "name", "description"].iter().any(|k| holds(&row[*k]));
    let rows: Vec<&Value> = store.organizations.newest_first().filter(found).collect();
    ask.list(&rows, Paging::Always, Value::clone)
}

pub(super) fn create(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let fields = ask.payload.fields(&CREATED)?;
    let mut row = json!({
        "tenantId": "default",
        "id": store.id(12),
        "name": null,
        "description": null,
        "customData": {},
        "isMfaRequired": false,
        "color": {},
        "branding": {},
        "customCss": null,
        "createdAt": ask.now,
    });
    merge(&mut row, fields);
    store.organizations.insert(row.clone())?;
    Ok(Answer::json(StatusCode::CREATED, &row))
}

pub(super) fn get(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    store.organizations.find(ask.param(0)).map(Answer::ok)
}

pub(super) fn update(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let fields = ask.payload.fields(&PATCHED)?;
    let row = store.organizations.find_mut(ask.param(0))?;
    merge(row, fields);
    Ok(Answer::ok(row))
}

pub(super) fn delete(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let id = ask.param(0);
    // A DELETE tells what isn't there without its id, other than a GET.
    store.organizations.remove(id).map_err(|_| Refusal::entity_not_found())?;
    for user in store.members.rights(id) {
        store.member_roles.forget_left(&format!("{id}/{user}"));
    }
    store.members.forget_left(id);
    Ok(Answer::no_content())
}

pub(super) fn list_roles(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let rows: Vec<&Value> = store.organization_roles.newest_first().collect();
    ask.list(&rows, Paging::Always, |row| {
        let mut row = row.clone();
        row["scopes"] = json!([]);
        row["resourceScopes"] = json!([]);
        row
    })
}

pub(super) fn create_role(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let fields = ask.payload.fields(&ROLE)?;
    if store.organization_roles.newest_first().any(|row| row["name"] == fields["name"]) {
        return Err(Refusal::already_exists());
    }
    let mut row = json!({
        "tenantId": "default", "id": store.id(21), "name": null, "description": null, "type": "User",
    });
    merge(&mut row, fields);
    store.organization_roles.insert(row.clone())?;
    Ok(Answer::json(StatusCode::CREATED, &row))
}

pub(super) fn get_role(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    store.organization_roles.find(ask.param(0)).map(Answer::ok)
}

pub(super) fn delete_role(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    store.organization_roles.remove(ask.param(0)).map_err(|_| Refusal::entity_not_found())?;
    store.member_roles.forget_right(ask.param(0));
    Ok(Answer::no_content())
}
