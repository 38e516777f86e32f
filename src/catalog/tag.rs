//! Tags: what an answer depends on and what a write changes, as numbers that can be compared.
//!
//! Each data set has two tags of its own and one for each member:
//!
//! | who | any(set) | every(set) | member(set, x) |
//! |---|---|---|---|
//! | an answer made of the whole set holds | ✓ | | |
//! | an answer made of member x holds | | ✓ | ✓ |
//! | a change of the whole set touches | ✓ | ✓ | |
//! | a change of member x touches | ✓ | | ✓ |
//! | a new member touches | ✓ | | |
//!
//! An answer is out of date as soon as one tag it holds has been touched.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::path;

/// A data set, or one member of it, as a number that is the same all through the process's life.
/// Two tags that collide by chance drop an answer too many, never one too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(u64);

impl Tag {
    /// The number itself, evenly spread over 64 bits: good as an index into a table of counters.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    pub(super) fn any(set: &str) -> Self {
        Self(seed("any", set).finish())
    }

    pub(super) fn every(set: &str) -> Self {
        Self(seed("every", set).finish())
    }
}

/// What a finished write makes out of date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// Nobody knows what the write did: every stored answer is out of date.
    Everything,
    /// Answers that hold one of these are out of date. Empty: the write changes nothing that is stored.
    Tags(Vec<Tag>),
}

/// The tags of one row: those known when the table is read, and those that need a parameter's value.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    fixed: Vec<Tag>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    /// The set is hashed in already; the member's id is still to come.
    seed: DefaultHasher,
    /// Which segment of the path holds the id.
    segment: usize,
}

impl Dependencies {
    /// The answer shows the set as a whole.
    pub(super) fn read_whole(&mut self, set: &str) {
        self.fix(Tag::any(set));
    }

    /// The answer shows the member whose id is in this segment of the path.
    pub(super) fn read_member(&mut self, set: &str, segment: usize) {
        self.fix(Tag::every(set));
        self.members.push(Member { seed: seed("member", set), segment });
    }

    /// Any member may change.
    pub(super) fn change_whole(&mut self, set: &str) {
        self.fix(Tag::any(set));
        self.fix(Tag::every(set));
    }

    /// The member whose id is in this segment of the path changes.
    pub(super) fn change_member(&mut self, set: &str, segment: usize) {
        self.fix(Tag::any(set));
        self.members.push(Member { seed: seed("member", set), segment });
    }

    /// A member is added: lists change, known members don't.
    pub(super) fn add_member(&mut self, set: &str) {
        self.fix(Tag::any(set));
    }

    /// The tags for one canonical path.
    pub(super) fn tags(&self, canonical: &str) -> Vec<Tag> {
        let mut tags = Vec::with_capacity(self.fixed.len() + self.members.len());
        tags.extend_from_slice(&self.fixed);
        tags.extend(self.members.iter().map(|member| member.tag(canonical)));
        tags
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fixed.is_empty()
    }

    fn fix(&mut self, tag: Tag) {
        if !self.fixed.contains(&tag) {
            self.fixed.push(tag);
        }
    }
}

impl Member {
    fn tag(&self, canonical: &str) -> Tag {
        let mut hasher = self.seed.clone();
        path::segment(canonical, self.segment).hash(&mut hasher);
        Tag(hasher.finish())
    }
}

/// `DefaultHasher::new` has fixed keys, so equal words give equal tags wherever they are hashed.
fn seed(kind: &str, set: &str) -> DefaultHasher {
    let mut hasher = DefaultHasher::new();
    kind.hash(&mut hasher);
    set.hash(&mut hasher);
    hasher
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched(
        read: impl Fn(&mut Dependencies),
        change: impl Fn(&mut Dependencies),
        paths: [&str; 2],
    ) -> bool {
        let (mut reads, mut changes) = (Dependencies::default(), Dependencies::default());
        read(&mut reads);
        change(&mut changes);
        let held = reads.tags(paths[0]);
        changes.tags(paths[1]).iter().any(|tag| held.contains(tag))
    }

    #[test]
    fn a_change_reaches_the_readers_the_table_above_says() {
        let whole = |d: &mut Dependencies| d.read_whole("users");
        let member = |d: &mut Dependencies| d.read_member("users", 1);
        let same = ["/users/a", "/users/a"];
        let other = ["/users/a", "/users/b"];
        assert!(touched(whole, |d| d.change_whole("users"), other));
        assert!(touched(whole, |d| d.change_member("users", 1), other));
        assert!(touched(whole, |d| d.add_member("users"), other));
        assert!(touched(member, |d| d.change_whole("users"), other));
        assert!(touched(member, |d| d.change_member("users", 1), same));
        assert!(!touched(member, |d| d.change_member("users", 1), other));
        assert!(!touched(member, |d| d.add_member("users"), same));
    }

    #[test]
    fn sets_do_not_reach_one_another() {
        let read = |d: &mut Dependencies| d.read_member("users", 1);
        assert!(!touched(read, |d| d.change_whole("user-roles"), ["/users/a", "/users/a"]));
        assert!(!touched(read, |d| d.change_member("user-roles", 1), ["/users/a", "/users/a"]));
    }
}
