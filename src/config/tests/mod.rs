//! What users write, and what they are told.

mod anything;
mod mistakes;
mod reading;
mod secrets;

use std::path::PathBuf;

use super::{Config, Loaded, Problem, Problems, Sources};

/// The three settings that are enough.
const ENOUGH: [(&str, &str); 3] = [
    ("LOGTO_ENDPOINT", "https://acme.logto.app"),
    ("LOGTO_APP_ID", "the-app"),
    ("LOGTO_APP_SECRET", "the-app-secret"),
];

/// A configuration file and whatever else the sources hold; the file lives as long as this.
struct Setup {
    folder: tempfile::TempDir,
    env: Vec<(String, String)>,
    flags: Vec<(String, String)>,
}

impl Setup {
    /// The three variables, and this file.
    fn enough(file: &str) -> Self {
        Self::file(file).env(&ENOUGH)
    }

    /// This file, and nothing else.
    fn file(text: &str) -> Self {
        let setup = Self { folder: tempfile::tempdir().unwrap(), env: Vec::new(), flags: Vec::new() };
        setup.write("gateway.toml", text);
        setup
    }

    fn env(mut self, variables: &[(&str, &str)]) -> Self {
        self.env.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.flags.push((key.to_owned(), value.to_owned()));
        self
    }

    /// A further file beside the configuration.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn load(&self) -> Result<Loaded, Problems> {
        let file = Some(self.folder.path().join("gateway.toml"));
        Config::load(Sources { file, env: self.env.clone(), flags: self.flags.clone() })
    }

    fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn config(&self) -> Config {
        self.loaded().config
    }

    fn problems(&self) -> Problems {
        self.load().err().expect("a mistake is found")
    }

    fn only_problem(&self) -> Problem {
        let problems = self.problems();
        assert_eq!(problems.iter().count(), 1, "{problems}");
        problems.iter().next().unwrap().clone()
    }
}
