//! The order of the waiting line: no clock, no waiting, only who comes next.

use std::collections::BTreeMap;

/// Which line a waiter stands in. Lines are served in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// The gateway's own token, without which nobody else gets anywhere.
    Token,
    /// Callers.
    Call,
}

/// A place in the line, for leaving it early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(Lane, u64);

/// First come, first served, within each lane. Entering, leaving and serving cost O(log n).
pub(super) struct Queue<W> {
    waiting: BTreeMap<Ticket, W>,
    next: u64,
}

impl<W> Queue<W> {
    pub(super) fn new() -> Self {
        Self { waiting: BTreeMap::new(), next: 0 }
    }

    /// Enters at the end of a lane.
    pub(super) fn push(&mut self, lane: Lane, waiter: W) -> Ticket {
        let ticket = Ticket(lane, self.next);
        self.next += 1;
        self.waiting.insert(ticket, waiter);
        ticket
    }

    /// Who comes next.
    pub(super) fn pop(&mut self) -> Option<W> {
        self.waiting.pop_first().map(|(_, waiter)| waiter)
    }

    /// Leaves early; nobody else notices.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<W> {
        self.waiting.remove(&ticket)
    }

    /// How many would be served before one who enters this lane now.
    pub(super) fn ahead_of(&self, lane: Lane) -> usize {
        match lane {
            Lane::Token => self.waiting.range(..Ticket(Lane::Call, 0)).count(),
            Lane::Call => self.waiting.len(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends everybody home.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_served_in_order_of_arrival() {
        let mut queue = Queue::new();
        for name in ["a", "b", "c"] {
            queue.push(Lane::Call, name);
        }
        assert_eq!(
            [queue.pop(), queue.pop(), queue.pop(), queue.pop()],
            [Some("a"), Some("b"), Some("c"), None]
        );
    }

    #[test]
    fn the_token_overtakes_everybody() {
        let mut queue = Queue::new();
        queue.push(Lane::Call, "a");
        assert_eq!(queue.ahead_of(Lane::Token), 0);
        queue.push(Lane::Token, "token");
        assert_eq!((queue.ahead_of(Lane::Token), queue.ahead_of(Lane::Call)), (1, 2));
        assert_eq!(queue.pop(), Some("token"));
    }

    #[test]
    fn who_leaves_is_not_served_and_costs_nobody_a_place() {
        let mut queue = Queue::new();
        queue.push(Lane::Call, "a");
        let b = queue.push(Lane::Call, "b");
        queue.push(Lane::Call, "c");
        assert_eq!(queue.leave(b), Some("b"));
        assert_eq!(queue.leave(b), None);
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some("a"), Some("c"), None]);
    }
}
