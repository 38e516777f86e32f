//! What the order of the line promises, against a slow and plain one.

use proptest::prelude::*;

use super::*;

pub(super) const WEIGHTS: [Weight; 2] = [8, 1];

/// A caller of the given number, in a class.
pub(super) fn flow(class: Class, caller: usize, weight: Weight) -> Flow {
    Flow { class, caller: Arc::from(format!("caller {caller}")), weight }
}

/// A waiter of a caller with this number, whose weight follows from it.
fn usual(class: usize, caller: usize) -> Flow {
    flow(Class::ALL[class], caller, [1, 2, 3, 5, 8][caller])
}

#[derive(Debug, Clone)]
enum Step {
    Push { class: usize, caller: usize },
    Pop,
    Leave(usize),
    Promote(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let push = (0..2_usize, 0..5_usize).prop_map(|(class, caller)| Step::Push { class, caller });
    let step = prop_oneof![
        5 => push,
        3 => Just(Step::Pop),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => any::<usize>().prop_map(Step::Promote),
    ];
    proptest::collection::vec(step, 1..200)
}

/// A line whose waiters are numbered, with their tickets.
struct Numbered {
    queue: Queue<usize>,
    tickets: Vec<(usize, Ticket)>,
    entered: usize,
}

impl Numbered {
    fn new() -> Self {
        Self { queue: Queue::new(WEIGHTS), tickets: Vec::new(), entered: 0 }
    }

    fn push(&mut self, flow: Flow) -> usize {
        self.entered += 1;
        let ticket = self.queue.push(flow, self.entered);
        self.tickets.push((self.entered, ticket));
        self.entered
    }

    fn pop(&mut self) -> Option<usize> {
        let served = self.queue.pop()?;
        self.tickets.retain(|(waiter, _)| *waiter != served);
        Some(served)
    }

    fn nth(&self, nth: usize) -> Option<usize> {
        (!self.tickets.is_empty()).then(|| nth % self.tickets.len())
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Push { class, caller } => {
                self.push(usual(*class, *caller));
            }
            Step::Pop => {
                self.pop();
            }
            Step::Leave(nth) => {
                if let Some(place) = self.nth(*nth) {
                    let (_, ticket) = self.tickets.remove(place);
                    self.queue.leave(&ticket);
                }
            }
            Step::Promote(nth) => {
                if let Some(place) = self.nth(*nth) {
                    self.queue.promote(&mut self.tickets[place].1, Class::Interactive);
                }
            }
        }
    }

    fn after(steps: &[Step]) -> Self {
        let mut line = Self::new();
        for step in steps {
            line.take(step);
        }
        line
    }

    fn drained(mut self) -> Vec<usize> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}

/// The rule, written down without any index: everybody in one list, and the times of flows in a map.
#[derive(Default)]
struct Plain {
    waiting: Vec<(usize, Flow)>,
    starts: HashMap<(usize, Arc<str>), u64>,
    nows: [u64; 2],
    class_starts: [u64; 2],
    now: u64,
}

impl Plain {
    fn enter(&mut self, waiter: usize, flow: Flow) {
        let class = flow.class as usize;
        if !self.waiting.iter().any(|(_, other)| other.class == flow.class) {
            self.class_starts[class] = self.class_starts[class].max(self.now);
        }
        if !self.waiting.iter().any(|(_, other)| *other == flow) {
            let start = self.starts.entry((class, Arc::clone(&flow.caller))).or_default();
            *start = (*start).max(self.nows[class]);
        }
        self.waiting.push((waiter, flow));
    }

    fn leave(&mut self, waiter: usize) -> Flow {
        let place = self.waiting.iter().position(|(other, _)| *other == waiter).expect("it waits");
        self.waiting.remove(place).1
    }

    fn start(&self, flow: &Flow) -> u64 {
        self.starts[&(flow.class as usize, Arc::clone(&flow.caller))]
    }

    /// What is wrong with serving this one now; if nothing is, it is served.
    fn serve(&mut self, served: usize) -> Result<(), String> {
        let flow = self.leave(served);
        let class = flow.class as usize;
        let (class_start, start) = (self.class_starts[class], self.start(&flow));
        for (waiter, other) in &self.waiting {
            if self.class_starts[other.class as usize] < class_start {
                return Err(format!("the other class's turn had come before {served}"));
            }
            if other.class == flow.class && self.start(other) < start {
                return Err(format!("{} had its turn before {served}", other.caller));
            }
            if *other == flow && *waiter < served {
                return Err(format!("{waiter} came before {served}"));
            }
        }
        self.now = class_start;
        self.nows[class] = start;
        self.class_starts[class] += SERVICE / u64::from(WEIGHTS[class]);
        let next = start + SERVICE / u64::from(flow.weight);
        self.starts.insert((class, flow.caller), next);
        Ok(())
    }

    /// Follows a step of the real line.
    fn follow(&mut self, line: &mut Numbered, step: &Step) -> Result<(), String> {
        let chosen = match step {
            Step::Leave(nth) | Step::Promote(nth) => line.nth(*nth).map(|place| line.tickets[place].0),
            Step::Push { .. } | Step::Pop => None,
        };
        match (step, chosen) {
            (Step::Push { class, caller }, _) => {
                self.enter(line.push(usual(*class, *caller)), usual(*class, *caller));
            }
            (Step::Pop, _) => match line.pop() {
                Some(served) => self.serve(served)?,
                None if self.waiting.is_empty() => {}
                None => return Err("somebody waits, and nobody is served".to_owned()),
            },
            (Step::Leave(_), Some(waiter)) => {
                line.take(step);
                self.leave(waiter);
            }
            (Step::Promote(_), Some(waiter)) => {
                line.take(step);
                let flow = self.leave(waiter);
                self.enter(waiter, Flow { class: Class::Interactive, ..flow });
            }
            (_, None) => {}
        }
        if line.queue.len() == self.waiting.len() { Ok(()) } else { Err("somebody was lost".to_owned()) }
    }
}

/// How far two flows with these weights were apart at most, in normalised service, while one of them was served.
fn gap(served: impl Iterator<Item = usize>, weights: [Weight; 2]) -> f64 {
    let (mut services, mut lowest, mut highest) = ([0.0, 0.0], 0.0_f64, 0.0_f64);
    for flow in served {
        services[flow] += 1.0 / f64::from(weights[flow]);
        lowest = lowest.min(services[0] - services[1]);
        highest = highest.max(services[0] - services[1]);
    }
    highest - lowest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_is_served_may_start_earliest_and_came_first_within_its_caller(steps in steps()) {
        let (mut line, mut plain) = (Numbered::new(), Plain::default());
        for step in &steps {
            prop_assert_eq!(plain.follow(&mut line, step), Ok(()));
        }
        while !plain.waiting.is_empty() {
            prop_assert_eq!(plain.follow(&mut line, &Step::Pop), Ok(()));
        }
        prop_assert!(line.queue.is_empty());
    }

    #[test]
    fn two_callers_who_always_wait_are_never_further_apart_than_one_service_of_each(
        weights in [1..20_u32, 1..20_u32],
        others in steps(),
    ) {
        let (mut line, mut served) = (Numbered::new(), Vec::new());
        let pair = [0, 1].map(|n| flow(Class::Interactive, 100 + n, weights[n]));
        for step in &others {
            for (n, flow) in pair.iter().enumerate() {
                line.queue.push(flow.clone(), usize::MAX - n);
            }
            if !matches!(step, Step::Pop) {
                line.take(step);
            }
            served.extend(line.queue.pop().map(|waiter| usize::MAX - waiter).filter(|n| *n < 2));
        }
        let most = 1.0 / f64::from(weights[0]) + 1.0 / f64::from(weights[1]);
        prop_assert!(gap(served.into_iter(), weights) <= most + 1e-3);
    }

    #[test]
    fn two_classes_that_always_wait_are_never_further_apart_than_one_service_of_each(
        weights in [1..20_u32, 1..20_u32],
        callers in proptest::collection::vec((0..2_usize, 0..5_usize), 0..300),
    ) {
        let mut queue = Queue::new(weights);
        for class in 0..2 {
            (0..400).for_each(|_| drop(queue.push(usual(class, 0), class)));
        }
        let served = callers.into_iter().map(|(class, caller)| {
            queue.push(usual(class, caller), class);
            queue.pop().expect("hundreds wait")
        });
        let most = 1.0 / f64::from(weights[0]) + 1.0 / f64::from(weights[1]);
        prop_assert!(gap(served, weights) <= most + 1e-3);
    }

    #[test]
    fn nobody_starves_however_many_come_after_it(before in steps(), class in 0..2_usize, caller in 0..5_usize) {
        let mut line = Numbered::after(&before);
        let mine = usual(class, caller);
        let own = line.tickets.iter().filter(|(_, t)| t.flow.as_ref() == Some(&mine)).count();
        let patient = line.push(mine.clone());
        // Of 5 callers with weights of 8 at most none gets more than 8 services for one of mine, and two.
        let in_class = (own + 1) * (1 + 4 * (8 + 2));
        let bound = in_class * if class == 0 { 2 } else { 10 } + 10;
        let others: Vec<Flow> = (0..2).flat_map(|class| (0..5).map(move |n| usual(class, n))).collect();
        others.iter().enumerate().for_each(|(n, other)| drop(line.queue.push(other.clone(), usize::MAX - n)));
        let served = (0..bound).position(|_| {
            let served = line.queue.pop().expect("ten always wait");
            if let Some(again) = others.get(usize::MAX - served) {
                line.queue.push(again.clone(), served);
            }
            served == patient
        });
        prop_assert!(served.is_some(), "not among the next {bound}");
    }

    #[test]
    fn one_who_leaves_costs_nobody_a_place(steps in steps(), leaver in any::<usize>()) {
        let (stayed, mut left) = (Numbered::after(&steps), Numbered::after(&steps));
        prop_assume!(!stayed.tickets.is_empty());
        left.take(&Step::Leave(leaver));
        let (stayed, left) = (stayed.drained(), left.drained());
        prop_assert_eq!(left.len() + 1, stayed.len());
        for (place, waiter) in left.iter().enumerate() {
            let before = stayed.iter().position(|other| other == waiter).expect("it was there");
            prop_assert!(place <= before, "{waiter} was at {before} and is at {place}");
        }
    }

    #[test]
    fn it_tells_beforehand_exactly_how_many_are_served_before_one(
        steps in steps(),
        class in 0..2_usize,
        caller in 0..5_usize,
        own in 0..3_usize,
    ) {
        let mut line = Numbered::after(&steps);
        (0..own).for_each(|n| drop(line.queue.push_own(usize::MAX - n)));
        let told = line.queue.ahead_of(&usual(class, caller));
        let newest = line.push(usual(class, caller));
        let ahead = std::iter::from_fn(|| line.pop()).position(|served| served == newest);
        prop_assert_eq!(ahead, Some(told));
    }
}
