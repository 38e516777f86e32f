//! The order of the waiting line: no clock, no waiting, only who comes next.
//!
//! Start-time fair queueing (Goyal, Vin, Cheng 1996) on two levels, with unit cost: classes share the line by their
//! weights, callers of a class share its part by theirs, and within a caller it is first come, first served. Each flow
//! carries the virtual time at which its next service may start; whoever may start earliest is served, and the clock of
//! its level moves there. Only service moves a flow's time, so leaving early costs nothing.

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_served;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::caller::Class;

/// How much of the line a class or a caller gets, in relation to the others; at least 1.
pub(super) type Weight = u32;

/// Which line somebody stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// The gateway's own, which goes before everybody: its token.
    Token,
    /// The callers'.
    Call,
}

/// Whose turn it is to be: a caller, in a class, with a weight among the callers of that class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) class: Class,
    pub(super) caller: Arc<str>,
    pub(super) weight: Weight,
}

/// A place in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    /// `None`: the gateway's own lane, which goes before everybody.
    flow: Option<Flow>,
    arrival: u64,
}

/// Virtual time; one service of a flow of weight 1 takes this long.
const SERVICE: u64 = 1 << 24;

/// The waiting line. Entering, leaving and serving cost O(log n).
pub(super) struct Queue<W> {
    own: BTreeMap<u64, W>,
    classes: [Level<W>; Class::ALL.len()],
    weights: [Weight; Class::ALL.len()],
    /// The virtual time of the upper level, and when each class may start next.
    now: u64,
    starts: [u64; Class::ALL.len()],
    arrivals: u64,
}

/// The callers of one class.
struct Level<W> {
    now: u64,
    flows: HashMap<Arc<str>, Callers<W>>,
    /// Those who wait, by the time at which they may start; whoever began to wait first goes first among equals.
    order: BTreeMap<(u64, u64), Arc<str>>,
    waiting: usize,
}

/// One caller's waiters.
struct Callers<W> {
    waiting: BTreeMap<u64, W>,
    /// When its next service may start.
    start: u64,
    weight: Weight,
    /// Its place in `order`, while somebody waits.
    place: Option<(u64, u64)>,
}

impl<W> Queue<W> {
    /// An empty line; `weights` are those of the classes.
    pub(super) fn new(weights: [Weight; Class::ALL.len()]) -> Self {
        let classes =
            Class::ALL.map(|_| Level { now: 0, flows: HashMap::new(), order: BTreeMap::new(), waiting: 0 });
        let starts = [0; Class::ALL.len()];
        Self { own: BTreeMap::new(), classes, weights, now: 0, starts, arrivals: 0 }
    }

    /// Enters the gateway's own lane, before everybody.
    pub(super) fn push_own(&mut self, waiter: W) -> Ticket {
        let arrival = self.arrive();
        self.own.insert(arrival, waiter);
        Ticket { flow: None, arrival }
    }

    /// Enters at the end of a flow.
    pub(super) fn push(&mut self, flow: Flow, waiter: W) -> Ticket {
        let arrival = self.arrive();
        self.enter(&flow, arrival, waiter);
        Ticket { flow: Some(flow), arrival }
    }

    /// In which lane the next one stands.
    pub(super) fn next_lane(&self) -> Lane {
        if self.own.is_empty() { Lane::Call } else { Lane::Token }
    }

    /// Who comes next.
    pub(super) fn pop(&mut self) -> Option<W> {
        if let Some((_, waiter)) = self.own.pop_first() {
            return Some(waiter);
        }
        let class = self.next_class()?;
        self.now = self.starts[class];
        self.starts[class] += step(self.weights[class]);
        self.classes[class].pop()
    }

    /// Leaves early; nobody else notices.
    pub(super) fn leave(&mut self, ticket: &Ticket) -> Option<W> {
        match &ticket.flow {
            None => self.own.remove(&ticket.arrival),
            Some(flow) => self.classes[flow.class as usize].leave(&flow.caller, ticket.arrival),
        }
    }

    /// Moves a waiter to a better class, as if it had stood there from the start.
    pub(super) fn promote(&mut self, ticket: &mut Ticket, class: Class) {
        let Some(flow) = ticket.flow.clone().filter(|flow| class < flow.class) else { return };
        if let Some(waiter) = self.leave(ticket) {
            let flow = Flow { class, ..flow };
            self.enter(&flow, ticket.arrival, waiter);
            ticket.flow = Some(flow);
        }
    }

    /// How many would be served before one who enters this flow now, if nobody else came.
    pub(super) fn ahead_of(&self, flow: &Flow) -> usize {
        let class = flow.class as usize;
        let own_class = self.classes[class].ahead_of(flow);
        let turn = self.starts[class].max(self.now) + own_class as u64 * step(self.weights[class]);
        let others = (0..self.classes.len()).filter(|other| *other != class).map(|other| {
            // Of two classes that may start at the same time the better one is served.
            let end = turn + u64::from(other < class);
            self.classes[other].waiting.min(turns(self.starts[other], self.weights[other], end))
        });
        self.own.len() + own_class + others.sum::<usize>()
    }

    pub(super) fn len(&self) -> usize {
        self.own.len() + self.classes.iter().map(|level| level.waiting).sum::<usize>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait in a class.
    pub(super) fn waiting_in(&self, class: Class) -> usize {
        self.classes[class as usize].waiting
    }

    /// How many of this caller wait, if others wait too: alone, it may have the whole line.
    pub(super) fn crowding(&self, caller: &str) -> usize {
        let own: usize =
            self.classes.iter().filter_map(|level| level.flows.get(caller)).map(|f| f.waiting.len()).sum();
        let all: usize = self.classes.iter().map(|level| level.waiting).sum();
        if own == all { 0 } else { own }
    }

    /// Sends everybody home.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.weights);
    }

    fn arrive(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    fn enter(&mut self, flow: &Flow, arrival: u64, waiter: W) {
        let class = flow.class as usize;
        if self.classes[class].waiting == 0 {
            self.starts[class] = self.starts[class].max(self.now);
        }
        self.classes[class].push(flow, arrival, waiter);
    }

    fn next_class(&self) -> Option<usize> {
        (0..self.classes.len())
            .filter(|class| self.classes[*class].waiting > 0)
            .min_by_key(|class| self.starts[*class])
    }
}

impl<W> Level<W> {
    fn push(&mut self, flow: &Flow, arrival: u64, waiter: W) {
        let callers = self.flows.entry(Arc::clone(&flow.caller)).or_insert_with(|| Callers {
            waiting: BTreeMap::new(),
            start: self.now,
            weight: flow.weight,
            place: None,
        });
        callers.weight = flow.weight.max(1);
        callers.waiting.insert(arrival, waiter);
        self.waiting += 1;
        if callers.place.is_none() {
            callers.start = callers.start.max(self.now);
            callers.place = Some((callers.start, arrival));
            self.order.insert((callers.start, arrival), Arc::clone(&flow.caller));
        }
    }

    fn pop(&mut self) -> Option<W> {
        let (place, caller) = self.order.pop_first()?;
        self.now = place.0;
        let callers = self.flows.get_mut(&caller)?;
        let (_, waiter) = callers.waiting.pop_first()?;
        self.waiting -= 1;
        callers.start = place.0 + step(callers.weight);
        callers.place = callers.waiting.first_key_value().map(|(arrival, _)| (callers.start, *arrival));
        match callers.place {
            Some(place) => {
                self.order.insert(place, caller);
            }
            None => self.forget_idle(),
        }
        Some(waiter)
    }

    fn leave(&mut self, caller: &Arc<str>, arrival: u64) -> Option<W> {
        let callers = self.flows.get_mut(caller)?;
        let waiter = callers.waiting.remove(&arrival)?;
        self.waiting -= 1;
        if callers.waiting.is_empty() {
            if let Some(place) = callers.place.take() {
                self.order.remove(&place);
            }
            self.forget_idle();
        }
        Some(waiter)
    }

    /// A caller who comes back soon must not gain by having been away: its time is kept until the level's has passed it.
    /// Time stands still while everybody served is new: of so many names none is worth its memory.
    fn forget_idle(&mut self) {
        const KEPT: usize = 64;
        if self.flows.len() <= KEPT + 2 * self.order.len() {
            return;
        }
        let now = self.now;
        self.flows.retain(|_, callers| callers.place.is_some() || callers.start > now);
        if self.flows.len() > KEPT / 2 + 2 * self.order.len() {
            self.flows.retain(|_, callers| callers.place.is_some());
        }
    }

    fn ahead_of(&self, flow: &Flow) -> usize {
        let known = self.flows.get(&flow.caller);
        let own = known.map_or(0, |callers| callers.waiting.len());
        let start = known.map_or(self.now, |callers| callers.start.max(self.now));
        let turn = start + own as u64 * step(flow.weight.max(1));
        let others = self.order.values().filter(|caller| **caller != flow.caller);
        let theirs = others.filter_map(|caller| self.flows.get(caller)).map(|callers| {
            // Of two callers that may start at the same time the one that was there first is served.
            callers.waiting.len().min(turns(callers.start, callers.weight, turn + 1))
        });
        own + theirs.sum::<usize>()
    }
}

/// How long one service of a flow takes, in virtual time.
fn step(weight: Weight) -> u64 {
    SERVICE / u64::from(weight)
}

/// How many services begin before `end`, if the first may at `start`.
fn turns(start: u64, weight: Weight, end: u64) -> usize {
    usize::try_from(end.saturating_sub(start).div_ceil(step(weight))).unwrap_or(usize::MAX)
}
