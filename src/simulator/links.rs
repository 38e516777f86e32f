//! Many-to-many relations between entities, by id.

use std::collections::BTreeSet;

/// Pairs of ids, found from either side.
#[derive(Default)]
pub(super) struct Links {
    forth: BTreeSet<(String, String)>,
    back: BTreeSet<(String, String)>,
}

impl Links {
    pub(super) fn has(&self, left: &str, right: &str) -> bool {
        self.forth.contains(&(left.to_owned(), right.to_owned()))
    }

    /// False when the pair was there before.
    pub(super) fn add(&mut self, left: &str, right: &str) -> bool {
        self.back.insert((right.to_owned(), left.to_owned()));
        self.forth.insert((left.to_owned(), right.to_owned()))
    }

    /// False when there was no such pair.
    pub(super) fn remove(&mut self, left: &str, right: &str) -> bool {
        self.back.remove(&(right.to_owned(), left.to_owned()));
        self.forth.remove(&(left.to_owned(), right.to_owned()))
    }

    pub(super) fn rights(&self, left: &str) -> Vec<String> {
        partners(&self.forth, left)
    }

    pub(super) fn lefts(&self, right: &str) -> Vec<String> {
        partners(&self.back, right)
    }

    /// Leaves exactly these partners to `left`.
    pub(super) fn replace(&mut self, left: &str, rights: &[String]) {
        self.forget_left(left);
        for right in rights {
            self.add(left, right);
        }
    }

    pub(super) fn forget_left(&mut self, left: &str) {
        for right in self.rights(left) {
            self.remove(left, &right);
        }
    }

    pub(super) fn forget_right(&mut self, right: &str) {
        for left in self.lefts(right) {
            self.remove(&left, right);
        }
    }
}

fn partners(pairs: &BTreeSet<(String, String)>, id: &str) -> Vec<String> {
    let from = (id.to_owned(), String::new());
    pairs.range(from..).take_while(|(one, _)| one == id).map(|(_, other)| other.clone()).collect()
}
