//! The data sets and groups of a table, and what a row's words mean: `users`, `users[userId]`, `users[+]`.

use std::collections::{BTreeMap, BTreeSet};

use super::file::File;
use super::path::Segment;
use super::tag::{Dependencies, Tag};

/// Every data set by name; every group by name with its sets.
#[derive(Debug, Default)]
pub(super) struct Sets {
    names: BTreeSet<String>,
    groups: BTreeMap<String, Vec<String>>,
    /// The literal before the parameter that names a set's members: one kind of key for each set.
    keys: BTreeMap<String, Box<str>>,
}

/// One word of a row.
#[derive(Debug, Clone, Copy)]
struct Reference<'t> {
    set: &'t str,
    scope: Scope<'t>,
}

#[derive(Debug, Clone, Copy)]
enum Scope<'t> {
    Whole,
    Member(&'t str),
    New,
}

impl Sets {
    /// Takes the names from the file; a group of unknown sets is a problem.
    pub(super) fn of(file: &File, problems: &mut Vec<String>) -> Self {
        let names: BTreeSet<String> = file.sets.keys().cloned().collect();
        for (group, members) in &file.groups {
            if names.contains(group) {
                problems
                    .push(format!("[groups] {group}: is a data set already; give the group another name"));
            }
            for member in members.iter().filter(|member| !names.contains(*member)) {
                problems.push(format!("[groups] {group}: `{member}` is no data set; name one of [sets]"));
            }
        }
        Self { names, groups: file.groups.clone(), keys: BTreeMap::new() }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The tags that a change of the whole set, or of every set of the group, touches.
    pub(super) fn tags_of(&self, name: &str) -> Option<Vec<Tag>> {
        let mut whole = Dependencies::default();
        self.change_all(name, &mut whole).then(|| whole.tags(""))
    }

    /// What an answer depends on, from its row's words; every mistake is added to the list.
    pub(super) fn reads(
        &mut self,
        words: &[String],
        path: &[Segment],
        mistakes: &mut Vec<String>,
    ) -> Dependencies {
        let mut reads = Dependencies::default();
        mistakes.extend(words.iter().filter_map(|word| self.read(word, path, &mut reads).err()));
        reads
    }

    /// What a write changes, from its row's words; every mistake is added to the list.
    pub(super) fn changes(
        &mut self,
        words: &[String],
        path: &[Segment],
        mistakes: &mut Vec<String>,
    ) -> Dependencies {
        let mut changes = Dependencies::default();
        mistakes.extend(words.iter().filter_map(|word| self.change(word, path, &mut changes).err()));
        changes
    }

    fn read(&mut self, word: &str, path: &[Segment], reads: &mut Dependencies) -> Result<(), String> {
        let Reference { set, scope } = Reference::parse(word)?;
        self.known(set)?;
        match scope {
            Scope::Whole => reads.read_whole(set),
            Scope::Member(name) => reads.read_member(set, self.place(set, name, path)?),
            Scope::New => return Err(format!("`{word}`: only a change can add a member; write `{set}`")),
        }
        Ok(())
    }

    fn change(&mut self, word: &str, path: &[Segment], changes: &mut Dependencies) -> Result<(), String> {
        let Reference { set, scope } = Reference::parse(word)?;
        if matches!(scope, Scope::Whole) && self.change_all(set, changes) {
            return Ok(());
        }
        self.known(set)?;
        match scope {
            Scope::Whole => changes.change_whole(set),
            Scope::Member(name) => changes.change_member(set, self.place(set, name, path)?),
            Scope::New => changes.add_member(set),
        }
        Ok(())
    }

    /// Whether there is a set or a group of that name; if so, all of it changes.
    fn change_all(&self, name: &str, changes: &mut Dependencies) -> bool {
        let group = self.groups.get(name).into_iter().flatten().map(String::as_str);
        let itself = self.names.get(name).map(String::as_str);
        for set in group.chain(itself) {
            changes.change_whole(set);
        }
        itself.is_some() || self.groups.contains_key(name)
    }

    fn known(&self, set: &str) -> Result<(), String> {
        if self.names.contains(set) {
            return Ok(());
        }
        if self.groups.contains_key(set) {
            return Err(format!("`{set}` is a group, good for whole changes only; name one of its sets"));
        }
        Err(format!("`{set}` is no data set; name one of [sets], or add it there"))
    }

    /// Where in the path the member's id stands. Ids of two kinds in one set would never meet: refused.
    fn place(&mut self, set: &str, name: &str, path: &[Segment]) -> Result<usize, String> {
        let Some(place) = path.iter().position(|segment| segment.parameter() == Some(name)) else {
            return Err(format!("`{set}[{name}]`: the path has no parameter `{{{name}}}`"));
        };
        let Some(Segment::Literal(before)) = place.checked_sub(1).map(|before| &path[before]) else {
            return Err(format!("`{set}[{name}]`: no literal stands before `{{{name}}}`; write `{set}`"));
        };
        let key = self.keys.entry(set.to_owned()).or_insert_with(|| before.clone());
        if key == before {
            return Ok(place);
        }
        Err(format!(
            "`{set}[{name}]`: elsewhere members of `{set}` are named after `{key}/`, here after `{before}/`; \
             write `{set}`"
        ))
    }
}

impl<'t> Reference<'t> {
    fn parse(word: &'t str) -> Result<Self, String> {
        let Some((set, rest)) = word.split_once('[') else {
            return Ok(Self { set: word, scope: Scope::Whole });
        };
        match rest.strip_suffix(']') {
            Some("+") => Ok(Self { set, scope: Scope::New }),
            Some(name) if !name.is_empty() => Ok(Self { set, scope: Scope::Member(name) }),
            _ => Err(format!("`{word}`: write `{set}`, `{set}[parameter]` or `{set}[+]`")),
        }
    }
}
