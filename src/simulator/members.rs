//! Who belongs to which organization, and with which roles.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome, Refusal};
use super::api::Ask;
use super::body::{Field, Holds, Needed, ids};
use super::holders::removed;
use super::paging::Paging;
use super::search::Search;
use super::store::{Store, id_of};
use super::users;

const ROLES: &str = "organizationRoleIds";

/// `GET /organizations/{id}/users`
pub(super) fn list(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let organization = ask.param(0);
    store.organizations.find(organization)?;
    let search = Search::read(&ask.query, &users::SEARCHED)?;
    let mut rows = store.users.among(&store.members.rights(organization));
    rows.retain(|row| search.accepts(row));
    ask.list(&rows, Paging::Always, |row| with_roles(row, &place(organization, id_of(row)), store))
}

/// `GET /users/{id}/organizations`, which has no pages
pub(super) fn organizations_of(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let user = ask.param(0);
    store.users.find(user)?;
    let rows = store.organizations.among(&store.members.lefts(user));
    let shown = rows.into_iter().map(|row| with_roles(row, &place(id_of(row), user), store));
    Ok(Answer::ok(&shown.collect()))
}

/// `POST /organizations/{id}/users`
pub(super) fn add(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    for user in checked_users(ask, store)? {
        store.members.add(ask.param(0), &user);
    }
    Ok(Answer::created())
}

/// `PUT /organizations/{id}/users`
pub(super) fn replace(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let organization = ask.param(0);
    let users = checked_users(ask, store)?;
    for gone in store.members.rights(organization).iter().filter(|user| !users.contains(user)) {
        store.member_roles.forget_left(&place(organization, gone));
    }
    store.members.replace(organization, &users);
    Ok(Answer::no_content())
}

/// `DELETE /organizations/{id}/users/{userId}`
pub(super) fn remove(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    store.member_roles.forget_left(&place(ask.param(0), ask.param(1)));
    removed(store.members.remove(ask.param(0), ask.param(1)))
}

/// `GET /organizations/{id}/users/{userId}/roles`
pub(super) fn list_roles(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let place = member(ask, store)?;
    let rows = store.organization_roles.among(&store.member_roles.rights(&place));
    ask.list(&rows, Paging::OnRequest, Value::clone)
}

/// `POST /organizations/{id}/users/{userId}/roles`
pub(super) fn add_roles(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let place = member(ask, store)?;
    for role in checked_roles(ask, store)? {
        store.member_roles.add(&place, &role);
    }
    Ok(Answer::created())
}

/// `PUT /organizations/{id}/users/{userId}/roles`
pub(super) fn replace_roles(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let place = member(ask, store)?;
    let roles = checked_roles(ask, store)?;
    store.member_roles.replace(&place, &roles);
    Ok(Answer::no_content())
}

/// `DELETE /organizations/{id}/users/{userId}/roles/{organizationRoleId}`
pub(super) fn remove_role(ask: &Ask<'_>, store: &mut Store) -> Outcome {
    let place = member(ask, store)?;
    removed(store.member_roles.remove(&place, ask.param(2)))
}

fn place(organization: &str, user: &str) -> String {
    format!("{organization}/{user}")
}

fn member(ask: &Ask<'_>, store: &Store) -> Result<String, Refusal> {
    if store.members.has(ask.param(0), ask.param(1)) {
        return Ok(place(ask.param(0), ask.param(1)));
    }
    let message = "The user must be a member of the organization to proceed.";
    Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "organization.require_membership", message))
}

fn checked_users(ask: &Ask<'_>, store: &Store) -> Result<Vec<String>, Refusal> {
    let fields = ask.payload.fields(&[Field("userIds", Holds::Ids, Needed::Yes)])?;
    let users = ids(&fields, "userIds");
    store.organizations.find(ask.param(0)).map_err(|_| Refusal::foreign_key())?;
    store.users.refuse_unknown(&users).map_err(|_| Refusal::foreign_key())?;
    Ok(users)
}

fn checked_roles(ask: &Ask<'_>, store: &Store) -> Result<Vec<String>, Refusal> {
    let fields = ask.payload.fields(&[Field(ROLES, Holds::Ids, Needed::Yes)])?;
    let roles = ids(&fields, ROLES);
    store.organization_roles.refuse_unknown(&roles).map_err(|_| Refusal::foreign_key())?;
    Ok(roles)
}

/// A user or an organization with the roles that belong to the pair.
fn with_roles(row: &Value, place: &str, store: &Store) -> Value {
    let roles = store.organization_roles.among(&store.member_roles.rights(place));
    let short = |role: &&Value| json!({ "id": role["id"], "name": role["name"] });
    let mut row = row.clone();
    row["organizationRoles"] = roles.iter().map(short).collect();
    row
}
