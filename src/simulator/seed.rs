//! The tenant as it stands at the start: users, the application that asks for tokens, its role.

use serde_json::{Value, json};

use super::Settings;
use super::store::{MANAGEMENT_ROLE, Store};
use super::{applications, users};

/// A tenant with `user1` to the last seeded user, the last one newest.
pub(super) fn tenant(settings: &Settings, now: u64) -> Store {
    let mut store = Store::new(settings.users_max);
    for number in 1..=settings.seed_users.min(settings.users_max) {
        let id = store.id(12);
        let age = (settings.seed_users - number) as u64;
        store.users.insert(user(&id, number, now - age)).expect("a new id in a table with room");
    }
    store.roles.insert(management_role()).expect("an empty table has room");
    store.applications.insert(gateway(&settings.app_id, now)).expect("an empty table has room");
    set_secret(&mut store, &settings.app_id, &settings.app_secret, now);
    set_role(&mut store, &settings.app_id, settings.has_role);
    store
}

/// Leaves one secret to an application.
pub(super) fn set_secret(store: &mut Store, application: &str, secret: &str, now: u64) {
    let row = applications::secret_row(application, "Default secret", secret, &Value::Null, now);
    store.secrets.insert(application.to_owned(), vec![row]);
}

/// Gives an application the role for the Management API, or takes it away.
pub(super) fn set_role(store: &mut Store, application: &str, has_role: bool) {
    if has_role {
        store.application_roles.add(application, MANAGEMENT_ROLE);
    } else {
        store.application_roles.remove(application, MANAGEMENT_ROLE);
    }
}

fn user(id: &str, number: usize, now: u64) -> Value {
    let mut row = users::empty_row(id, now);
    row["username"] = json!(format!("user{number}"));
    row["primaryEmail"] = json!(format!("user{number}@example.com"));
    row["name"] = json!(format!("User {number}"));
    row
}

fn management_role() -> Value {
    json!({
        "tenantId": "default",
        "id": MANAGEMENT_ROLE,
        "name": "Logto Management API access",
        "description": "This default role grants access to the Logto management API.",
        "type": "MachineToMachine",
        "isDefault": false,
    })
}

fn gateway(id: &str, now: u64) -> Value {
    let mut row = applications::empty_row(id, now);
    row["name"] = json!("Gateway M2M");
    row["type"] = json!("MachineToMachine");
    row
}
