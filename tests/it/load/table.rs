//! What the gateway and a naive bucket make of an hour's load, model by model, as a table.

use std::fmt;
use std::thread;
use std::time::Duration;

use logto_gateway::simulator::{Limiter, Model};

use super::line::Pace;
use super::{Hour, Plan};

const SEED: u64 = 1;
/// The phases of the fixed window that are tried, in milliseconds.
const PHASES_MS: [u64; 8] = [0, 1_250, 2_500, 3_750, 5_000, 6_250, 7_500, 8_750];

/// The first two lines of the table.
pub(crate) const HEAD: &str = "\
| Logto counts by | Gateway: sent | refused | of its rate | Naive: sent | refused | Halved: refused | passed | \
with `Retry-After`: refused | passed |
|---|---|---|---|---|---|---|---|---|---|";

/// One line of it.
pub(crate) struct Row {
    pub(crate) model: &'static str,
    pub(crate) sent: u32,
    /// At the worst phase, where there are some.
    pub(crate) refused: u32,
    /// The part of the configured pace that was used.
    pub(crate) share: f64,
    pub(crate) naive_sent: u32,
    pub(crate) naive_refused: u32,
    /// Without `Retry-After`, and with it.
    pub(crate) halved: Option<[Halved; 2]>,
}

/// When Logto allows half of what the gateway believes, after the first episode.
pub(crate) struct Halved {
    /// Of what was sent.
    pub(crate) refused_share: f64,
    /// Of the true limit.
    pub(crate) passed_share: f64,
}

/// All of them, each time the same.
pub(crate) fn rows() -> Vec<Row> {
    thread::scope(|scope| {
        let [gateway, naive] = [Pace::Gateway, Pace::Naive].map(|pace| scope.spawn(move || believed(pace)));
        let halved = [Model::TokenBucket, Model::WeightedTwoWindow].map(|model| {
            let announced = [None, Some(Duration::from_secs(1))];
            (model, announced.map(|retry_after| scope.spawn(move || halved(model, retry_after))))
        });
        let mut halved =
            halved.map(|(model, hours)| (model, Some(hours.map(|hour| hour.join().expect("an hour")))));
        let (gateway, naive) = (gateway.join().expect("an hour"), naive.join().expect("an hour"));
        let row = |(name, models): (&'static str, Vec<Model>)| Row {
            model: name,
            sent: gateway.sent,
            refused: worst(&gateway, &models),
            share: gateway.share(),
            naive_sent: naive.sent,
            naive_refused: worst(&naive, &models),
            halved: halved
                .iter_mut()
                .find(|(model, _)| models.contains(model))
                .and_then(|(_, two)| two.take()),
        };
        models().into_iter().map(row).collect()
    })
}

/// By name; a fixed window may have any phase.
fn models() -> Vec<(&'static str, Vec<Model>)> {
    let phases = PHASES_MS.map(|phase| Model::FixedWindow { phase: Duration::from_millis(phase) });
    vec![
        ("sliding window", vec![Model::SlidingWindow]),
        ("token bucket", vec![Model::TokenBucket]),
        ("fixed window, any phase", phases.to_vec()),
        ("two weighted windows", vec![Model::WeightedTwoWindow]),
        ("window from the first request", vec![Model::FirstRequestWindow]),
    ]
}

fn all_models() -> impl Iterator<Item = Model> {
    models().into_iter().flat_map(|(_, models)| models)
}

/// The limit is as the gateway believes. None of the limiters refuses what the gateway sends, and the naive bucket
/// takes no notice, so all of them can watch the same hour.
fn believed(pace: Pace) -> Hour {
    let limiters = all_models().map(|model| Limiter { model, ..Limiter::default() }).collect();
    Plan { pace, limiters, gap_s: 0.0..30.0, seed: SEED }.run()
}

fn worst(hour: &Hour, models: &[Model]) -> u32 {
    let refused = all_models().zip(&hour.refused).filter(|(model, _)| models.contains(model));
    refused.map(|(_, refused)| *refused).max().unwrap_or(0)
}

/// Without gaps: after one, a limiter lets more through than its rate.
fn halved(model: Model, retry_after: Option<Duration>) -> Halved {
    let limiter = Limiter { limit: 100, retry_after, model, ..Limiter::default() };
    let rate = limiter.limit as f64 / limiter.window.as_secs_f64();
    let hour = Plan { pace: Pace::Gateway, limiters: vec![limiter], gap_s: 0.0..0.0, seed: SEED }.run();
    Halved { refused_share: hour.refused_share(), passed_share: hour.passed_per_s() / rate }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, sent, refused, naive_sent, naive_refused, .. } = self;
        let share = 100.0 * self.share;
        write!(f, "| {model} | {sent} | {refused} | {share:.1} % | {naive_sent} | {naive_refused} |")?;
        match &self.halved {
            Some(two) => two.iter().try_for_each(|halved| write!(f, " {halved} |")),
            None => write!(f, " – | – | – | – |"),
        }
    }
}

impl fmt::Display for Halved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} % | {:.0} %", 100.0 * self.refused_share, 100.0 * self.passed_share)
    }
}
