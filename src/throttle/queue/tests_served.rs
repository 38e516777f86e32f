//! Who comes next, case by case.

use super::tests::{WEIGHTS, flow};
use super::*;

/// Serves so many, and counts those of this caller; whenever one of `away` is served, the next one of it comes.
fn services(queue: &mut Queue<usize>, many: usize, away: &[Flow]) -> Vec<usize> {
    let served = (0..many).map(|_| {
        let caller = queue.pop().expect("somebody waits");
        if let Some(flow) = away.iter().find(|flow| *flow.caller == *format!("caller {caller}")) {
            queue.push(flow.clone(), caller);
        }
        caller
    });
    served.collect()
}

fn count(served: &[usize], caller: usize) -> usize {
    served.iter().filter(|one| **one == caller).count()
}

#[test]
fn a_caller_who_is_away_between_its_calls_gains_nothing_by_it() {
    let mut queue = Queue::new(WEIGHTS);
    let (busy, away) = (flow(Class::Interactive, 1, 4), flow(Class::Interactive, 2, 1));
    (0..200).for_each(|_| drop(queue.push(busy.clone(), 1)));
    queue.push(away.clone(), 2);
    let served = services(&mut queue, 100, &[away]);
    assert!(
        (19..=21).contains(&count(&served, 2)),
        "a fifth, as if it had never been away: {}",
        count(&served, 2)
    );
}

#[test]
fn a_caller_who_was_away_for_long_is_owed_nothing_and_owes_nothing() {
    let mut queue = Queue::new(WEIGHTS);
    let (busy, away) = (flow(Class::Interactive, 1, 1), flow(Class::Interactive, 2, 1));
    queue.push(away.clone(), 2);
    (0..200).for_each(|_| drop(queue.push(busy.clone(), 1)));
    services(&mut queue, 100, &[]);
    (0..50).for_each(|_| drop(queue.push(away.clone(), 2)));
    let served = services(&mut queue, 10, &[]);
    assert_eq!(count(&served, 2), 5);
    assert!(served[..2].contains(&2), "its first turn comes at once");
}

#[test]
fn whoever_leaves_before_its_turn_has_used_nothing_up() {
    let mut queue = Queue::new(WEIGHTS);
    let (one, other) = (flow(Class::Interactive, 1, 1), flow(Class::Interactive, 2, 1));
    for _ in 0..50 {
        let ticket = queue.push(one.clone(), 1);
        assert_eq!(queue.leave(&ticket), Some(1));
        assert_eq!(queue.leave(&ticket), None, "nobody leaves twice");
    }
    (0..20).for_each(|_| drop(queue.push(other.clone(), 2)));
    (0..20).for_each(|_| drop(queue.push(one.clone(), 1)));
    assert_eq!(count(&services(&mut queue, 20, &[]), 1), 10);
}

#[test]
fn a_promoted_waiter_stands_where_it_would_have_stood() {
    let mut queue = Queue::new(WEIGHTS);
    let mut first = queue.push(flow(Class::Batch, 1, 1), 1);
    queue.push(flow(Class::Interactive, 1, 1), 2);
    queue.promote(&mut first, Class::Interactive);
    queue.promote(&mut first, Class::Batch);
    assert_eq!((queue.waiting_in(Class::Interactive), queue.waiting_in(Class::Batch)), (2, 0), "and only up");
    assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(1), Some(2), None));
}

#[test]
fn the_gateways_own_lane_goes_before_everybody_and_in_order() {
    let mut queue = Queue::new(WEIGHTS);
    (0..3).for_each(|_| drop(queue.push(flow(Class::Interactive, 1, 1), 9)));
    let tickets: Vec<_> = (0..3).map(|n| queue.push_own(n)).collect();
    assert_eq!(queue.next_lane(), Lane::Token);
    assert_eq!(queue.leave(&tickets[1]), Some(1));
    assert_eq!((queue.pop(), queue.pop()), (Some(0), Some(2)));
    assert_eq!((queue.next_lane(), queue.pop()), (Lane::Call, Some(9)));
}

#[test]
fn what_is_remembered_of_callers_is_bounded_however_many_names_come() {
    let mut queue = Queue::new(WEIGHTS);
    for caller in 0..10_000 {
        queue.push(flow(Class::Interactive, caller, 1), caller);
        assert_eq!(queue.pop(), Some(caller));
    }
    let known = queue.classes[0].flows.len();
    assert!(known <= 128, "{known} names");
}

#[test]
fn a_caller_crowds_only_where_others_wait_too() {
    let mut queue = Queue::new(WEIGHTS);
    (0..10).for_each(|n| drop(queue.push(flow(Class::ALL[n % 2], 1, 1), n)));
    assert_eq!(queue.crowding("caller 1"), 0, "alone it may have the whole line");
    queue.push(flow(Class::Batch, 2, 1), 10);
    assert_eq!((queue.crowding("caller 1"), queue.crowding("caller 2")), (10, 1), "in both classes together");
}
