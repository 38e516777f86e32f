//! What follows from Logto's "too many": a pause, one careful try, a lower pace, and the way back up. Told the time.
//!
//! ```text
//!            refused                 the pause is over
//!    Open ────────────▶ Frozen ──────────────────────▶ HalfOpen ── one try at a time ──┐
//!      ▲     (a cut)      ▲                                │ refused (no further cut)  │
//!      │                  └────────────────────────────────┘                           │
//!      └───────────────────────────── answered ────────────────────────────────────────┘
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Envelope;

/// What a pause is when Logto names none; it doubles with each try that is refused.
const PAUSE_DEFAULT: Duration = Duration::from_secs(10);
const PAUSE_DEFAULT_MAX: Duration = Duration::from_secs(40);
/// However short or long a pause Logto asks for: "at once" after a refusal would be the next one.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// What is left of the pace after a cut.
const CUT: f64 = 0.7;
/// How the pace comes back: requests per second, each second.
const RECOVERY_PER_S: f64 = 0.05;
/// Below this pace nothing is cut any more: somebody else must be using the tenant's budget up.
const FACTOR_MIN: f64 = 0.05;
/// So many pages of an edge, over two routes and two callers, are no longer somebody's odd body.
const EDGE_PAGES: usize = 3;
const EDGE_WINDOW: Duration = Duration::from_secs(10);

/// Keeps the pace within what Logto bears.
pub(super) struct Regulator {
    phase: Phase,
    /// The one try is under way. A refusal of an older attempt may freeze the line over it; there is no second one.
    trying: bool,
    /// Attempts sent before the last cut are old news.
    cut_at: Option<Instant>,
    /// The next pause, should Logto name none.
    pause: Duration,
    /// The pace at `paced_at`, as a part of the configured one.
    factor: f64,
    paced_at: Instant,
    /// The configured pace, in requests per second; `None` without a limit.
    full_rate: Option<f64>,
    edge_pages: VecDeque<EdgePage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Frozen { until: Instant },
    HalfOpen,
}

struct EdgePage {
    at: Instant,
    route: usize,
    caller: Arc<str>,
}

/// Whether an attempt may go out now, the bucket willing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Like any other.
    Open,
    /// As the one try after a pause.
    Try,
    /// Not before then.
    Until(Instant),
    /// Not before the try that is under way has ended.
    AfterTheTry,
}

/// What an attempt was, as far as a refusal of it matters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) sent: Instant,
    pub(super) is_try: bool,
}

impl Regulator {
    pub(super) fn new(envelope: Option<&Envelope>, now: Instant) -> Self {
        Self {
            phase: Phase::Open,
            trying: false,
            cut_at: None,
            pause: PAUSE_DEFAULT,
            factor: 1.0,
            paced_at: now,
            full_rate: envelope.map(Envelope::rate),
            edge_pages: VecDeque::new(),
        }
    }

    pub(super) fn gate(&mut self, now: Instant) -> Gate {
        if let Phase::Frozen { until } = self.phase {
            if now < until {
                return Gate::Until(until);
            }
            self.phase = Phase::HalfOpen;
        }
        match self.phase {
            Phase::HalfOpen if self.trying => Gate::AfterTheTry,
            Phase::HalfOpen => Gate::Try,
            Phase::Open | Phase::Frozen { .. } => Gate::Open,
        }
    }

    /// The one try goes out.
    pub(super) fn try_begins(&mut self) {
        self.trying = true;
    }

    /// The one try came to nothing: no answer, or never sent. The next attempt is it.
    pub(super) fn try_vanished(&mut self) {
        self.trying = false;
    }

    /// Logto answered, and its limiter had no objection.
    pub(super) fn answered(&mut self, attempt: Attempt, now: Instant) {
        if !attempt.is_try {
            return;
        }
        self.trying = false;
        if self.phase == Phase::HalfOpen {
            self.phase = Phase::Open;
            self.pause = PAUSE_DEFAULT;
            self.paced_at = now;
        }
    }

    /// Logto's limiter refused. Returns until when nothing goes out, if that is news.
    pub(super) fn refused(
        &mut self,
        attempt: Attempt,
        retry_after: Option<Duration>,
        now: Instant,
    ) -> Option<Instant> {
        self.trying &= !attempt.is_try;
        let is_old_news = self.cut_at.is_some_and(|cut| attempt.sent <= cut);
        match self.phase {
            Phase::Open if is_old_news => return None,
            Phase::Open => self.cut(now),
            Phase::HalfOpen if attempt.is_try => self.pause = (self.pause * 2).min(PAUSE_DEFAULT_MAX),
            Phase::HalfOpen | Phase::Frozen { .. } => {}
        }
        let until = now + retry_after.unwrap_or(self.pause).clamp(PAUSE_MIN, PAUSE_MAX);
        let until = match self.phase {
            Phase::Frozen { until: before } => until.max(before),
            Phase::Open | Phase::HalfOpen => until,
        };
        self.phase = Phase::Frozen { until };
        Some(until)
    }

    /// An edge in front of Logto answered with a page of its own. One caller's odd body must not freeze all; many such
    /// pages mean that the edge has had enough of us.
    pub(super) fn edge_page(
        &mut self,
        attempt: Attempt,
        route: usize,
        caller: &Arc<str>,
        now: Instant,
    ) -> Option<Instant> {
        self.edge_pages.push_back(EdgePage { at: now, route, caller: Arc::clone(caller) });
        while self.edge_pages.len() > 4 * EDGE_PAGES
            || self.edge_pages.front().is_some_and(|page| now.duration_since(page.at) > EDGE_WINDOW)
        {
            self.edge_pages.pop_front();
        }
        let many = self.edge_pages.len() >= EDGE_PAGES
            && self.edge_pages.iter().any(|page| page.route != route)
            && self.edge_pages.iter().any(|page| page.caller != *caller);
        if many { self.refused(attempt, None, now) } else { None }
    }

    /// How much longer nothing goes out.
    pub(super) fn frozen_for(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Frozen { until } => {
                Some(until.saturating_duration_since(now)).filter(|left| !left.is_zero())
            }
            Phase::Open | Phase::HalfOpen => None,
        }
    }

    /// The pace, as a part of the configured one: cut at each episode, recovering while open.
    pub(super) fn factor(&self, now: Instant) -> f64 {
        match (self.phase, self.full_rate) {
            (Phase::Open, Some(full)) => {
                let recovered = RECOVERY_PER_S / full * now.duration_since(self.paced_at).as_secs_f64();
                (self.factor + recovered).min(1.0)
            }
            _ => self.factor,
        }
    }

    fn cut(&mut self, now: Instant) {
        self.factor = (self.factor(now) * CUT).max(FACTOR_MIN);
        self.paced_at = now;
        self.cut_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Limit;
    use super::*;

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn regulator() -> (Regulator, Instant) {
        let now = Instant::now();
        let envelope = Envelope::new(Limit::default()).expect("passes");
        (Regulator::new(Some(&envelope), now), now)
    }

    fn sent(at: Instant) -> Attempt {
        Attempt { sent: at, is_try: false }
    }

    fn tried(at: Instant) -> Attempt {
        Attempt { sent: at, is_try: true }
    }

    #[test]
    fn many_refusals_of_one_episode_make_one_cut() {
        let (mut r, t) = regulator();
        assert_eq!(r.refused(sent(t), None, t + s(1.0)), Some(t + s(11.0)));
        for later in 1..20 {
            r.refused(sent(t + s(0.9)), None, t + s(1.0 + f64::from(later) / 100.0));
        }
        assert!((r.factor(t + s(5.0)) - CUT).abs() < 1e-9);
        assert_eq!(r.gate(t + s(5.0)), Gate::Until(t + s(11.19)));
    }

    #[test]
    fn after_the_pause_exactly_one_try_goes_out() {
        let (mut r, t) = regulator();
        r.refused(sent(t), Some(s(3.0)), t);
        assert_eq!(r.gate(t + s(3.0)), Gate::Try);
        r.try_begins();
        assert_eq!(r.gate(t + s(3.0)), Gate::AfterTheTry);
        r.answered(tried(t + s(3.0)), t + s(3.1));
        assert_eq!(r.gate(t + s(3.1)), Gate::Open);
    }

    #[test]
    fn a_refused_try_pauses_longer_and_cuts_no_further() {
        let (mut r, t) = regulator();
        let mut now = t;
        r.refused(sent(now), None, now);
        for pause in [20.0, 40.0, 40.0] {
            let Gate::Until(until) = r.gate(now) else { panic!("frozen") };
            assert_eq!(r.gate(until), Gate::Try);
            r.try_begins();
            now = until;
            assert_eq!(r.refused(tried(now), None, now), Some(now + s(pause)));
        }
        assert!((r.factor(now) - CUT).abs() < 1e-9);
    }

    #[test]
    fn a_try_that_vanishes_frees_its_place() {
        let (mut r, t) = regulator();
        r.refused(sent(t), Some(s(1.0)), t);
        assert_eq!(r.gate(t + s(1.0)), Gate::Try);
        r.try_begins();
        r.try_vanished();
        assert_eq!(r.gate(t + s(1.0)), Gate::Try);
    }

    #[test]
    fn what_was_sent_before_the_cut_is_old_news_once_the_line_is_open_again() {
        let (mut r, t) = regulator();
        r.refused(sent(t), Some(s(1.0)), t);
        r.gate(t + s(1.0));
        r.try_begins();
        r.answered(tried(t + s(1.0)), t + s(1.1));
        assert_eq!(r.refused(sent(t), None, t + s(1.2)), None);
        assert_eq!(r.gate(t + s(1.2)), Gate::Open);
    }

    #[test]
    fn the_pace_comes_back_slowly_and_no_further_than_it_was() {
        let (mut r, t) = regulator();
        r.refused(sent(t), Some(s(1.0)), t);
        r.gate(t + s(1.0));
        r.try_begins();
        r.answered(tried(t + s(1.0)), t + s(1.0));
        let full = 1.0 / 0.058_333_334;
        assert!((r.factor(t + s(21.0)) * full - (CUT * full + 1.0)).abs() < 1e-6);
        assert!((r.factor(t + s(1000.0)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_pause_is_never_shorter_than_a_second_nor_longer_than_a_minute() {
        let (mut r, t) = regulator();
        assert_eq!(r.refused(sent(t), Some(Duration::ZERO), t), Some(t + s(1.0)));
        let (mut r, t) = regulator();
        assert_eq!(r.refused(sent(t), Some(s(86_400.0)), t), Some(t + s(60.0)));
    }

    #[test]
    fn edge_pages_freeze_only_when_they_come_from_all_sides() {
        let (a, b): (Arc<str>, Arc<str>) = (Arc::from("a"), Arc::from("b"));
        let (mut r, t) = regulator();
        for _ in 0..10 {
            assert_eq!(r.edge_page(sent(t), 1, &a, t), None, "one caller's odd body");
        }
        let (mut r, t) = regulator();
        assert_eq!(r.edge_page(sent(t), 1, &a, t), None);
        assert_eq!(r.edge_page(sent(t), 2, &b, t + s(20.0)), None, "long ago");
        assert_eq!(r.edge_page(sent(t), 1, &b, t + s(21.0)), None);
        assert!(r.edge_page(sent(t), 1, &a, t + s(22.0)).is_some());
    }
}
