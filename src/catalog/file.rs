//! The route table as it is written: TOML in, plain words out, nothing checked yet but the form.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) not_management: Vec<String>,
    /// Each data set, and what it holds in the reader's words.
    pub(super) sets: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) groups: BTreeMap<String, Vec<String>>,
    #[serde(rename = "route")]
    pub(super) entries: Vec<Entry>,
}

/// One template with a row for each method.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) path: String,
    #[serde(default)]
    pub(super) free_name: bool,
    #[serde(rename = "GET")]
    get: Option<Row>,
    #[serde(rename = "POST")]
    post: Option<Row>,
    #[serde(rename = "PUT")]
    put: Option<Row>,
    #[serde(rename = "PATCH")]
    patch: Option<Row>,
    #[serde(rename = "DELETE")]
    delete: Option<Row>,
}

impl Entry {
    /// The rows that are there, GET first.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Method, &Row)> {
        let rows = [
            (Method::GET, &self.get),
            (Method::POST, &self.post),
            (Method::PUT, &self.put),
            (Method::PATCH, &self.patch),
            (Method::DELETE, &self.delete),
        ];
        rows.into_iter().filter_map(|(method, row)| row.as_ref().map(|row| (method, row)))
    }
}

/// What is known of one method of a template.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) class: Option<String>,
    pub(super) reads: Option<Vec<String>>,
    pub(super) changes: Option<Vec<String>>,
    #[serde(default)]
    pub(super) secret: bool,
    #[serde(default)]
    pub(super) localised: bool,
    #[serde(default)]
    pub(super) upload: bool,
}
