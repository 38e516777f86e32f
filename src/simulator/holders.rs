//! Who holds which role: the roles of users and applications, seen from either side.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome, Refusal};
use super::api::Ask;
use super::body::{Field, Holds, Needed, ids};
use super::links::Links;
use super::paging::Paging;
use super::search::Search;
use super::store::{Store, Table};
use super::{applications, roles, users};

/// Who can hold a role.
#[derive(Clone, Copy)]
pub(super) enum Holder {
    User,
    Application,
}

impl Holder {
    fn table(self, store: &Store) -> &Table {
        match self {
            Self::User => &store.users,
            Self::Application => &store.applications,
        }
    }

    fn links(self, store: &Store) -> &Links {
        match self {
            Self::User => &store.user_roles,
            Self::Application => &store.application_roles,
        }
    }

    fn links_mut(self, store: &mut Store) -> &mut Links {
        match self {
            Self::User => &mut store.user_roles,
            Self::Application => &mut store.application_roles,
        }
    }

    /// The type of the roles that it can hold.
    fn role_type(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Application => "MachineToMachine",
        }
    }

    fn searched(self) -> &'static [&'static str] {
        match self {
            Self::User => &users::SEARCHED,
            Self::Application => &applications::SEARCHED,
        }
    }

    fn ids_key(self) -> &'static str {
        match self {
            Self::User => "userIds",
            Self::Application => "applicationIds",
        }
    }

    /// `GET /users/{id}/roles`, `GET /applications/{id}/roles`
    pub(super) fn roles(self, ask: &Ask<'_>, store: &Store) -> Outcome {
        self.table(store).find(ask.param(0))?;
        let search = Search::read(&ask.query, &roles::SEARCHED)?;
        let mut rows = store.roles.among(&self.links(store).rights(ask.param(0)));
        rows.retain(|row| search.accepts(row));
        ask.list(&rows, Paging::Always, Value::clone)
    }

    /// `POST /users/{id}/roles`, `POST /applications/{id}/roles`: roles it has already are passed over.
    pub(super) fn assign(self, ask: &Ask<'_>, store: &mut Store) -> Outcome {
        let role_ids = self.checked_roles(ask, store)?;
        let links = self.links_mut(store);
        let added: Vec<&String> = role_ids.iter().filter(|role| links.add(ask.param(0), role)).collect();
        Ok(Answer::json(StatusCode::CREATED, &json!({ "roleIds": role_ids, "addedRoleIds": added })))
    }

    /// `PUT /users/{id}/roles`, `PUT /applications/{id}/roles`
    pub(super) fn replace(self, ask: &Ask<'_>, store: &mut Store) -> Outcome {
        let role_ids = self.checked_roles(ask, store)?;
        self.links_mut(store).replace(ask.param(0), &role_ids);
        Ok(Answer::ok(&json!({ "roleIds": role_ids })))
    }

    /// `DELETE /users/{id}/roles/{roleId}`, `DELETE /applications/{id}/roles/{roleId}`
    pub(super) fn unassign(self, ask: &Ask<'_>, store: &mut Store) -> Outcome {
        removed(self.links_mut(store).remove(ask.param(0), ask.param(1)))
    }

    /// `GET /roles/{id}/users`, `GET /roles/{id}/applications`
    pub(super) fn of_role(self, ask: &Ask<'_>, store: &Store) -> Outcome {
        store.roles.find(ask.param(0))?;
        let search = Search::read(&ask.query, self.searched())?;
        let mut rows = self.table(store).among(&self.links(store).lefts(ask.param(0)));
        rows.retain(|row| search.accepts(row));
        ask.list(&rows, Paging::Always, Value::clone)
    }

    /// `POST /roles/{id}/users`, `POST /roles/{id}/applications`
    pub(super) fn add_to_role(self, ask: &Ask<'_>, store: &mut Store) -> Outcome {
        let fields = ask.payload.fields(&[Field(self.ids_key(), Holds::Ids, Needed::Yes)])?;
        let holders = ids(&fields, self.ids_key());
        self.refuse_wrong_type(store.roles.find(ask.param(0))?)?;
        if let Some(holder) = holders.iter().find(|id| self.links(store).has(id, ask.param(0))) {
            return Err(self.holds_already(holder));
        }
        self.table(store).refuse_unknown(&holders)?;
        for holder in &holders {
            self.links_mut(store).add(holder, ask.param(0));
        }
        Ok(Answer::created())
    }

    /// `DELETE /roles/{id}/users/{userId}`, `DELETE /roles/{id}/applications/{applicationId}`
    pub(super) fn remove_from_role(self, ask: &Ask<'_>, store: &mut Store) -> Outcome {
        removed(self.links_mut(store).remove(ask.param(1), ask.param(0)))
    }

    /// The roles that a body names: each there, each of the type that this holder can have.
    fn checked_roles(self, ask: &Ask<'_>, store: &Store) -> Result<Vec<String>, Refusal> {
        let fields = ask.payload.fields(&[Field("roleIds", Holds::Ids, Needed::Yes)])?;
        let role_ids = ids(&fields, "roleIds");
        self.table(store).find(ask.param(0))?;
        for id in &role_ids {
            self.refuse_wrong_type(store.roles.find(id)?)?;
        }
        Ok(role_ids)
    }

    fn refuse_wrong_type(self, role: &Value) -> Result<(), Refusal> {
        if role["type"] == self.role_type() {
            return Ok(());
        }
        let (code, message) = match self {
            Self::User => (
                "user.invalid_role_type",
                "Invalid role type, can not assign machine-to-machine role to user.",
            ),
            Self::Application => (
                "application.invalid_role_type",
                "Can not assign user type role to machine to machine application.",
            ),
        };
        Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, code, message))
    }

    fn holds_already(self, holder: &str) -> Refusal {
        let (code, who) = match self {
            Self::User => ("role.user_exists", "user"),
            Self::Application => ("role.application_exists", "application"),
        };
        let message = format!("The {who} id {holder} is already been added to this role");
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }
}

/// 204 for a relation that was there, 404 for one that wasn't.
pub(super) fn removed(was_there: bool) -> Outcome {
    if was_there { Ok(Answer::no_content()) } else { Err(Refusal::entity_not_found()) }
}
