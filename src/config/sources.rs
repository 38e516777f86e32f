//! Where settings are written: the command line, the environment, a file. Nothing else reads the environment.

use std::path::PathBuf;

/// Everything that settings are read from; the command line outranks the environment, and that the file.
pub struct Sources {
    /// The file of `--config`, which must exist; without one `config/gateway.toml` is read, if it is there.
    pub file: Option<PathBuf>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Keys and values of the command line, for instance `log.format` and `json`.
    pub flags: Vec<(String, String)>,
}

/// The settings whose variables everybody knows; every other key's variable follows from the key.
const NAMED: [(&str, &str); 4] = [
    ("upstream.endpoint", "LOGTO_ENDPOINT"),
    ("credentials.app_id", "LOGTO_APP_ID"),
    ("credentials.app_secret", "LOGTO_APP_SECRET"),
    ("credentials.app_secret_file", "LOGTO_APP_SECRET_FILE"),
];

/// Every other key's variable begins so.
pub(super) const PREFIX: &str = "LOGTO_GATEWAY_";

/// Stands between sections and keys: Kubernetes injects `LOGTO_GATEWAY_PORT` and the like beside a Service of that name.
pub(super) const SEPARATOR: &str = "__";

impl Sources {
    /// The process's own environment, beside the file and the arguments that the command line named.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let env = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value)));
        Self { file, env: env.filter(|(name, _)| is_ours(name)).collect(), flags }
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with("LOGTO_") || name.to_ascii_lowercase().ends_with("_proxy")
}

/// The variable that sets `key`.
pub(super) fn variable(key: &str) -> String {
    match NAMED.iter().find(|(named, _)| *named == key) {
        Some((_, variable)) => (*variable).to_owned(),
        None => format!("{PREFIX}{}", key.replace('.', SEPARATOR).to_ascii_uppercase()),
    }
}

/// The key that a variable's name spells, whether or not there is one.
pub(super) fn spelled(variable: &str) -> Option<String> {
    let key = variable.strip_prefix(PREFIX)?;
    Some(key.replace(SEPARATOR, ".").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keys_variable_follows_from_its_name_except_for_the_four_that_everybody_knows() {
        for (key, name) in [
            ("upstream.endpoint", "LOGTO_ENDPOINT"),
            ("credentials.app_secret_file", "LOGTO_APP_SECRET_FILE"),
            ("budget.limit", "LOGTO_GATEWAY_BUDGET__LIMIT"),
            ("listen.connections_max", "LOGTO_GATEWAY_LISTEN__CONNECTIONS_MAX"),
            ("cache.ttl.rbac", "LOGTO_GATEWAY_CACHE__TTL__RBAC"),
        ] {
            assert_eq!(variable(key), name);
        }
        assert_eq!(spelled("LOGTO_GATEWAY_CACHE__TTL__RBAC").as_deref(), Some("cache.ttl.rbac"));
    }

    #[test]
    fn of_the_processes_environment_only_our_own_part_is_kept() {
        for (name, ours) in
            [("LOGTO_ENDPOINT", true), ("https_proxy", true), ("NO_PROXY", true), ("PATH", false)]
        {
            assert_eq!(is_ours(name), ours, "{name}");
        }
        let process = Sources::from_process(None, Vec::new());
        assert!(process.env.iter().all(|(name, _)| is_ours(name)));
    }
}
