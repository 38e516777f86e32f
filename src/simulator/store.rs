//! What the simulated tenant holds: tables of entities as Logto shows them, and who is linked to whom.

use std::collections::{BTreeMap, HashMap, HashSet};

use fastrand::Rng;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::links::Links;

/// Rows of a table other than users and logs.
const ROWS_MAX: usize = 10_000;
/// Log rows; beyond it the oldest gives way.
const LOGS_MAX: usize = 10_000;

/// The role that lets an application use the Management API.
pub(super) const MANAGEMENT_ROLE: &str = "avysw6m8i4977vsla0zpj";

/// Everything the tenant holds.
pub(super) struct Store {
    pub(super) users: Table,
    pub(super) roles: Table,
    pub(super) organizations: Table,
    pub(super) organization_roles: Table,
    pub(super) applications: Table,
    pub(super) logs: Table,
    /// User to role.
    pub(super) user_roles: Links,
    /// Application to role.
    pub(super) application_roles: Links,
    /// Organization to user.
    pub(super) members: Links,
    /// Organization and user, joined by a slash, to organization role.
    pub(super) member_roles: Links,
    /// Application to its secrets, as the API lists them.
    pub(super) secrets: HashMap<String, Vec<Value>>,
    /// User to password.
    pub(super) passwords: HashMap<String, String>,
    ids: Rng,
    /// Apart, so that asking for tokens doesn't change the ids of what is created next.
    log_ids: Rng,
}

impl Store {
    /// An empty tenant. Ids come in the same order in every run, so that examples can be repeated.
    pub(super) fn new(users_max: usize) -> Self {
        Self {
            users: Table::new("users", users_max),
            roles: Table::new("roles", ROWS_MAX),
            organizations: Table::new("organizations", ROWS_MAX),
            organization_roles: Table::new("organization_roles", ROWS_MAX),
            applications: Table::new("applications", ROWS_MAX),
            logs: Table::new("logs", LOGS_MAX),
            user_roles: Links::default(),
            application_roles: Links::default(),
            members: Links::default(),
            member_roles: Links::default(),
            secrets: HashMap::new(),
            passwords: HashMap::new(),
            ids: Rng::with_seed(1),
            log_ids: Rng::with_seed(2),
        }
    }

    /// A new id: 12 characters for users and organizations, 21 for everything else.
    pub(super) fn id(&mut self, length: usize) -> String {
        random_id(&mut self.ids, length)
    }

    /// Whether an application holds the role for the Management API.
    pub(super) fn may_manage(&self, application: &str) -> bool {
        self.application_roles.has(application, MANAGEMENT_ROLE)
    }

    /// Writes a row of the audit log.
    pub(super) fn log(&mut self, key: &str, result: &str, application: &Value, now: u64) {
        let id = random_id(&mut self.log_ids, 21);
        let payload = json!({ "key": key, "result": result, "applicationId": application });
        let row =
            json!({ "tenantId": "default", "id": id, "key": key, "payload": payload, "createdAt": now });
        self.logs.push(row);
    }
}

/// A table: rows in the order of their creation, found by id, never more than `max`.
pub(super) struct Table {
    name: &'static str,
    rows: BTreeMap<u64, Value>,
    places: HashMap<String, u64>,
    next: u64,
    max: usize,
}

impl Table {
    fn new(name: &'static str, max: usize) -> Self {
        Self { name, rows: BTreeMap::new(), places: HashMap::new(), next: 0, max }
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.places.contains_key(id)
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Value> {
        self.rows.values().rev()
    }

    /// The rows with these ids, newest first.
    pub(super) fn among(&self, ids: &[String]) -> Vec<&Value> {
        let places: HashSet<u64> = ids.iter().filter_map(|id| self.places.get(id).copied()).collect();
        let mut places: Vec<u64> = places.into_iter().collect();
        places.sort_unstable_by(|a, b| b.cmp(a));
        places.iter().filter_map(|place| self.rows.get(place)).collect()
    }

    pub(super) fn find(&self, id: &str) -> Result<&Value, Refusal> {
        let row = self.places.get(id).and_then(|place| self.rows.get(place));
        row.ok_or_else(|| self.missing(id))
    }

    pub(super) fn find_mut(&mut self, id: &str) -> Result<&mut Value, Refusal> {
        let missing = self.missing(id);
        let place = self.places.get(id);
        place.and_then(|place| self.rows.get_mut(place)).ok_or(missing)
    }

    /// Adds a row, unless the table is full or has its id already.
    pub(super) fn insert(&mut self, row: Value) -> Result<(), Refusal> {
        if self.rows.len() >= self.max {
            let message = format!("The simulator holds at most {} {}.", self.max, self.name);
            return Err(Refusal::beyond_simulation(StatusCode::UNPROCESSABLE_ENTITY, message));
        }
        if self.has(id_of(&row)) {
            return Err(Refusal::already_exists());
        }
        self.push(row);
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &str) -> Result<(), Refusal> {
        let place = self.places.remove(id).ok_or_else(|| self.missing(id))?;
        self.rows.remove(&place);
        Ok(())
    }

    /// Refuses when any of the ids has no row.
    pub(super) fn refuse_unknown(&self, ids: &[String]) -> Result<(), Refusal> {
        ids.iter().try_for_each(|id| self.find(id).map(|_| ()))
    }

    /// Adds a row; a full table loses its oldest.
    fn push(&mut self, row: Value) {
        if self.rows.len() >= self.max
            && let Some((_, oldest)) = self.rows.pop_first()
        {
            self.places.remove(id_of(&oldest));
        }
        self.places.insert(id_of(&row).to_owned(), self.next);
        self.rows.insert(self.next, row);
        self.next += 1;
    }

    fn missing(&self, id: &str) -> Refusal {
        match self.name {
            "users" | "logs" => Refusal::entity_not_found(),
            name => Refusal::no_such_id(name, id),
        }
    }
}

fn random_id(random: &mut Rng, length: usize) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..length).map(|_| char::from(ALPHABET[random.usize(..ALPHABET.len())])).collect()
}

/// The id of a row.
pub(super) fn id_of(row: &Value) -> &str {
    row["id"].as_str().unwrap_or_default()
}

/// Puts the fields of a PATCH into a row.
pub(super) fn merge(row: &mut Value, fields: serde_json::Map<String, Value>) {
    for (key, value) in fields {
        row[key] = value;
    }
}
