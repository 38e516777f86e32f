//! Counters that tell whether what an answer depends on has changed since it was fetched.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::catalog::{Changes, Tag};

/// Counters; more than enough that two tags rarely share one. Where they do, an answer is dropped too many, never one
/// too few.
const SLOTS: usize = 4096;

/// One counter for each data set or member, in a table of fixed size, and one for everything.
pub(super) struct Generations {
    slots: Box<[Slot]>,
    /// The origin of `uncertain_until`.
    base: Instant,
}

#[derive(Default)]
struct Slot {
    generation: AtomicU64,
    /// Until then a write whose outcome nobody knows may still take effect; in milliseconds since `base`.
    uncertain_until: AtomicU64,
}

/// The slot that everything depends on.
const EVERYTHING: usize = SLOTS;

/// The counters as they were at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot(Box<[(usize, u64)]>);

impl Generations {
    pub(super) fn new(base: Instant) -> Self {
        Self { slots: (0..=SLOTS).map(|_| Slot::default()).collect(), base }
    }

    /// The counters of these tags as they are now.
    pub(super) fn snapshot(&self, tags: &[Tag]) -> Snapshot {
        let slots = tags.iter().map(|tag| slot_of(*tag)).chain([EVERYTHING]);
        Snapshot(slots.map(|slot| (slot, self.slots[slot].generation.load(Ordering::Acquire))).collect())
    }

    /// Whether nothing of it has changed since.
    pub(super) fn is_current(&self, snapshot: &Snapshot) -> bool {
        snapshot
            .0
            .iter()
            .all(|(slot, generation)| self.slots[*slot].generation.load(Ordering::Acquire) == *generation)
    }

    /// Whether no write of unknown outcome may still change it.
    pub(super) fn is_certain(&self, snapshot: &Snapshot, now: Instant) -> bool {
        let now = self.millis(now);
        snapshot.0.iter().all(|(slot, _)| self.slots[*slot].uncertain_until.load(Ordering::Acquire) <= now)
    }

    /// Everything that depends on these is out of date.
    pub(super) fn advance(&self, changes: &Changes) {
        for slot in slots_of(changes) {
            self.slots[slot].generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The same, and until `until` it may happen again without a word.
    pub(super) fn doubt(&self, changes: &Changes, until: Instant) {
        for slot in slots_of(changes) {
            self.slots[slot].uncertain_until.fetch_max(self.millis(until), Ordering::AcqRel);
        }
        self.advance(changes);
    }

    fn millis(&self, time: Instant) -> u64 {
        let since: Duration = time.saturating_duration_since(self.base);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

fn slots_of(changes: &Changes) -> Vec<usize> {
    match changes {
        Changes::Everything => vec![EVERYTHING],
        Changes::Tags(tags) => tags.iter().map(|tag| slot_of(*tag)).collect(),
    }
}

fn slot_of(tag: Tag) -> usize {
    usize::try_from(tag.as_u64() % SLOTS as u64).expect("less than SLOTS")
}
