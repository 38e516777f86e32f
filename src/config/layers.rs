//! The layers of settings, one above the other: command line, environment, file.

use std::collections::BTreeMap;

use super::file::Given;
use super::problem::Origin;
use super::sources::{PREFIX, SEPARATOR, spelled, variable};
use super::value::Value;

/// What was written, by whom; whether it means anything is not known here.
pub(super) struct Layers {
    flags: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    file: Vec<(String, Given)>,
}

impl Layers {
    /// An empty variable is as good as none: that is how compose files pass on what isn't set.
    pub(super) fn new(
        flags: Vec<(String, String)>,
        env: Vec<(String, String)>,
        file: Vec<(String, Given)>,
    ) -> Self {
        let env = env.into_iter().filter(|(_, text)| !text.is_empty()).collect();
        Self { flags: flags.into_iter().collect(), env, file }
    }

    /// What the highest layer that has the key says.
    pub(super) fn given(&self, key: &str) -> Option<Given> {
        let loose = |text: &String, origin| Given { value: Value::Loose(text.clone()), origin };
        let name = variable(key);
        let flag = self.flags.get(key).map(|text| loose(text, Origin::CommandLine));
        flag.or_else(|| self.env.get(&name).map(|text| loose(text, Origin::Environment(name))))
            .or_else(|| self.file.iter().find(|(path, _)| path == key).map(|(_, given)| given.clone()))
    }

    /// A variable that is no key's.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    /// Whatever was written that is none of `known`.
    pub(super) fn unknown(&self, known: &[&str]) -> Vec<(String, Origin)> {
        let variables: Vec<_> = known.iter().map(|key| variable(key)).collect();
        let in_file = self.file.iter().map(|(key, given)| (key.clone(), given.origin.clone()));
        let in_flags = self.flags.keys().map(|key| (key.clone(), Origin::CommandLine));
        let in_env = self.env.keys().filter(|name| name.contains(SEPARATOR) && !variables.contains(name));
        let in_env = in_env.filter_map(|name| Some((spelled(name)?, Origin::Environment(name.clone()))));
        in_file.chain(in_flags).filter(|(key, _)| !known.contains(&key.as_str())).chain(in_env).collect()
    }

    /// Variables that look like ours and cannot be a key's.
    pub(super) fn injected(&self) -> Vec<&str> {
        let ours = |name: &&str| name.starts_with(PREFIX) && !name.contains(SEPARATOR);
        self.env.keys().map(String::as_str).filter(ours).collect()
    }
}
