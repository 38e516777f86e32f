//! The bound of the line, whatever its users do: bursts, pauses, clients that leave, unused permits, restarts.

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::runtime::Builder;
use tokio::time::sleep;

use super::tests::{PERIOD, Waiting, settings, use_up};
use super::*;
use crate::call::sample::get;

const BURST: usize = 20;

#[derive(Debug, Clone)]
enum Step {
    Ask(usize),
    /// Of those who wait, every so-manieth leaves.
    Leave(usize),
    /// Time passes, and the permits that came are used.
    Use(u64),
    /// Time passes, and the permits that came are dropped.
    Waste(u64),
    /// A new gateway takes over, with a line of its own.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..80_usize).prop_map(Step::Ask),
        1 => (1..4_usize).prop_map(Step::Leave),
        3 => (1..3_000_u64).prop_map(Step::Use),
        1 => (1..300_u64).prop_map(Step::Waste),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..40)
}

fn start() -> Throttle {
    Throttle::start(settings(), Arc::new(Metrics::new(Vec::new())))
}

/// When the permits were granted that were used.
async fn used(steps: &[Step]) -> Vec<Instant> {
    let (mut line, call) = (start(), Arc::new(get("/api/users").within(Duration::from_secs(3600)).call()));
    let mut waiting: Vec<Waiting<'static>> = Vec::new();
    let mut used = Vec::new();
    for step in steps {
        match step {
            Step::Ask(callers) => {
                for _ in 0..*callers {
                    let (line, call) = (line.clone(), Arc::clone(&call));
                    waiting.push(Box::pin(async move {
                        line.permit(&call, &Audience::of_one(call.class, call.deadline)).await
                    }));
                }
                used.extend(granted(&mut waiting).into_iter().map(use_up));
            }
            Step::Leave(every) => {
                let mut place = 0;
                waiting.retain(|_| {
                    place += 1;
                    place % every != 0
                });
            }
            Step::Use(millis) => {
                sleep(Duration::from_millis(*millis)).await;
                used.extend(granted(&mut waiting).into_iter().map(use_up));
            }
            Step::Waste(millis) => {
                sleep(Duration::from_millis(*millis)).await;
                drop(granted(&mut waiting));
            }
            Step::Restart => {
                waiting.clear();
                line = start();
            }
        }
    }
    used
}

/// Takes out of the line whoever has got an answer, and returns the permits among these.
fn granted(waiting: &mut Vec<Waiting<'static>>) -> Vec<Permit> {
    let mut permits = Vec::new();
    waiting.retain_mut(|one| match one.now_or_never() {
        Some(answer) => {
            permits.extend(answer);
            false
        }
        None => true,
    });
    permits
}

/// In no span are there more than a burst and one for each period that it holds.
fn first_breach(granted: &[Instant]) -> Option<String> {
    granted.iter().enumerate().find_map(|(first, from)| {
        granted[first..].iter().enumerate().find_map(|(more, to)| {
            let span = *to - *from;
            let most = BURST + usize::try_from(span.as_nanos() / PERIOD.as_nanos()).expect("a short test");
            (more + 1 > most).then(|| format!("{} in {span:?}", more + 1))
        })
    })
}

/// The most in any window of 10 s and half a second of slack.
fn busiest(granted: &[Instant]) -> usize {
    let window = Duration::from_millis(10_500);
    let within = |from: &Instant| granted.iter().filter(|at| *at >= from && **at - *from <= window).count();
    granted.iter().map(within).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_span_holds_more_than_a_burst_and_the_rate_and_no_window_more_than_the_limit(steps in steps()) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let mut granted = runtime.block_on(used(&steps));
        granted.sort_unstable();
        prop_assert_eq!(first_breach(&granted), None);
        prop_assert!(busiest(&granted) <= 200);
    }
}

#[tokio::test(start_paused = true)]
async fn eight_restarts_within_a_window_stay_within_the_limit_of_one() {
    let mut steps = vec![Step::Use(60_000), Step::Ask(300)];
    for _ in 0..8 {
        steps.extend([Step::Use(1_200), Step::Restart, Step::Ask(300)]);
    }
    steps.push(Step::Use(1_200));
    let granted = used(&steps).await;
    assert!(granted.len() > 150, "it is under load: {}", granted.len());
    assert!(busiest(&granted) <= 200);
}
