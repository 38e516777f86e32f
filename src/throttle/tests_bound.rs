//! The bound of the line, whatever its users do: bursts, pauses, clients that leave, unused permits, refusals, restarts.
//! And its other side: whoever can be served is.

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::runtime::Builder;
use tokio::time::sleep;

use super::tests::{PERIOD, Waiting, now, settings};
use super::tests_frozen::answered;
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
    /// Time passes, and Logto's limiter refuses the first of those that went out, with a pause of so many seconds.
    Refuse(u64, &'static str),
    /// A new gateway takes over, with a line of its own.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..80_usize).prop_map(Step::Ask),
        1 => (1..4_usize).prop_map(Step::Leave),
        3 => (1..3_000_u64).prop_map(Step::Use),
        1 => (1..300_u64).prop_map(Step::Waste),
        1 => (1..300_u64, prop_oneof![Just("0"), Just("1"), Just("7")]).prop_map(|(ms, s)| Step::Refuse(ms, s)),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..40)
}

fn start() -> Throttle {
    Throttle::start(settings(), Arc::new(Metrics::new(Vec::new())))
}

/// What came of some steps.
#[derive(Default)]
struct Story {
    /// When the permits were granted that were used.
    used: Vec<Instant>,
    /// From when until when nothing was to go out.
    pauses: Vec<(Instant, Instant)>,
    /// How the line looked when somebody waited beside a permit that was free.
    idle: Option<String>,
}

impl Story {
    async fn of(steps: &[Step]) -> Self {
        let (mut line, mut waiting, mut story) = (start(), Vec::new(), Self::default());
        let call = Arc::new(get("/api/users").within(Duration::from_secs(3600)).call());
        for step in steps {
            match step {
                Step::Ask(callers) => {
                    waiting.extend((0..*callers).map(|_| ask(&line, &call)));
                    story.uses(&line, granted(&mut waiting));
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
                    story.uses(&line, granted(&mut waiting));
                    story.looks_at(&line, &mut waiting).await;
                }
                Step::Waste(millis) => {
                    sleep(Duration::from_millis(*millis)).await;
                    drop(granted(&mut waiting));
                }
                Step::Refuse(millis, seconds) => {
                    sleep(Duration::from_millis(*millis)).await;
                    let mut permits = granted(&mut waiting);
                    if let Some(refused) = permits.first_mut() {
                        refused.spend();
                        story.used.push(refused.granted);
                        line.learn(refused, &answered(429, Some(seconds), ""));
                        let pause = line.frozen_for().unwrap_or_default();
                        story.pauses.push((now(), now() + pause));
                    }
                    story.uses(&line, permits.into_iter().skip(1).collect());
                }
                Step::Restart => {
                    waiting.clear();
                    line = start();
                    // What was paused was another gateway.
                    story.pauses.iter_mut().for_each(|pause| pause.1 = pause.1.min(now()));
                }
            }
        }
        story.used.sort_unstable();
        story
    }

    fn uses(&mut self, line: &Throttle, permits: Vec<Permit>) {
        for mut permit in permits {
            permit.spend();
            self.used.push(permit.granted);
            line.learn(&mut permit, &answered(200, None, "{}"));
        }
    }

    /// Nobody waits beside a free permit. What is under way here is a try, or what has just gone out.
    async fn looks_at(&mut self, line: &Throttle, waiting: &mut Vec<Waiting<'static>>) {
        sleep(Duration::from_millis(2)).await;
        let status = line.status();
        let free = status.tokens.expect("there is a limit");
        if status.waiting > 0 && status.frozen_for_s == 0.0 && status.in_flight == 0 && free > 1.1 {
            self.idle = Some(format!("{status:?}"));
        }
        self.uses(line, granted(waiting));
    }
}

fn ask(line: &Throttle, call: &Arc<Call>) -> Waiting<'static> {
    let (line, call) = (line.clone(), Arc::clone(call));
    Box::pin(async move { line.permit(&call, &Audience::of_one(call.class, call.deadline)).await })
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

/// The most in any window of this length.
fn busiest(times: &[Instant], window: Duration) -> usize {
    let within = |from: &Instant| times.iter().filter(|at| *at >= from && **at - *from <= window).count();
    times.iter().map(within).max().unwrap_or(0)
}

/// The window of the limit, and how far the network may bunch requests up on their way.
const WINDOW: Duration = Duration::from_secs(10);
const SLACK: Duration = Duration::from_millis(500);

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_span_holds_more_than_a_burst_and_the_rate_and_no_window_more_than_the_limit(
        steps in steps(),
        delays in proptest::collection::vec(0..=500_u64, 1..100),
    ) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let story = runtime.block_on(Story::of(&steps));
        prop_assert_eq!(first_breach(&story.used), None);
        prop_assert!(busiest(&story.used, WINDOW + SLACK) <= 200);
        let late = |(at, delay): (&Instant, &u64)| *at + Duration::from_millis(*delay);
        let received: Vec<Instant> = story.used.iter().zip(delays.iter().cycle()).map(late).collect();
        prop_assert!(busiest(&received, WINDOW.saturating_sub(Duration::from_nanos(1))) <= 200);
        for (from, until) in story.pauses {
            prop_assert!(!story.used.iter().any(|at| from < *at && *at < until), "in a pause");
        }
        prop_assert_eq!(story.idle, None);
    }
}

#[tokio::test(start_paused = true)]
async fn eight_restarts_within_a_window_stay_within_the_limit_of_one() {
    let mut steps = vec![Step::Use(60_000), Step::Ask(300)];
    for _ in 0..8 {
        steps.extend([Step::Use(1_200), Step::Restart, Step::Ask(300)]);
    }
    steps.push(Step::Use(1_200));
    let story = Story::of(&steps).await;
    assert!(story.used.len() > 150, "it is under load: {}", story.used.len());
    assert!(busiest(&story.used, WINDOW + SLACK) <= 200);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_starts_again_every_fifty_milliseconds_sends_no_more_than_one_that_does_not() {
    for millis in [50, 60, 120, 1_000] {
        let again = [Step::Ask(40), Step::Use(millis), Step::Restart];
        let times = usize::try_from(25_000 / millis).expect("a few hundred");
        let story = Story::of(&again.iter().cycle().take(3 * times).cloned().collect::<Vec<_>>()).await;
        assert!(busiest(&story.used, WINDOW + SLACK) <= 200, "{millis}");
        assert_eq!(story.used.is_empty(), millis < 58, "{millis}");
    }
}
