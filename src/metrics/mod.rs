//! Every metric of the gateway: its name, labels and meaning, and the verbs that count.

mod family;
mod words;

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{
    Counter, Encoder, Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry, TextEncoder,
};

pub use self::family::Open;
use self::family::{
    build_info, counter, counter_f64, counters, gauge, histogram, histogram_vec, int_gauge, int_gauges,
    register,
};
pub use self::words::{AttemptKind, CacheResult};

const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// All metrics of one gateway, in a registry of their own.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    /// `requests`, resolved: route × status class × cache result.
    requests_resolved: Vec<OnceLock<IntCounter>>,
    routes: Vec<String>,
    caller_requests: IntCounterVec,
    request_seconds: [Histogram; CacheResult::ALL.len()],
    upstream_requests: IntCounterVec,
    upstream_seconds: Histogram,
    budget_limit: Gauge,
    budget_tokens: Gauge,
    budget_rate: Gauge,
    budget_spent: IntCounterVec,
    permits_wasted: IntCounter,
    log_lines_dropped: IntCounter,
    queue_waiting: IntGaugeVec,
    queue_wait: HistogramVec,
    queue_refused: IntCounterVec,
    upstream_throttled: IntCounter,
    frozen_seconds: Counter,
    token_expiry: Gauge,
    token_refreshes: IntCounterVec,
    cache_entries: IntGauge,
    cache_bytes: IntGauge,
    cache_lookups: IntCounterVec,
    cache_evictions: IntCounterVec,
    calls_saved: IntCounter,
    flights_passengers: IntCounter,
    connections_open: IntGaugeVec,
}

impl Metrics {
    /// All families, registered; `routes` are the values that the label `route` may take, in the order of
    /// their ids ("other" is added).
    pub fn new(routes: Vec<String>) -> Self {
        let r = Registry::new();
        build_info(&r);
        #[cfg(target_os = "linux")]
        register(&r, prometheus::process_collector::ProcessCollector::for_self());
        let seconds = histogram_vec(
            &r,
            "request_duration_seconds",
            "Time from accept to the reply's head.",
            &["cache"],
        );
        let metrics = Self {
            requests: counters(
                &r,
                "requests_total",
                "Requests answered.",
                &["route", "status_class", "cache"],
            ),
            requests_resolved: resolved_slots(routes.len() + 1),
            routes,
            caller_requests: counters(
                &r,
                "caller_requests_total",
                "Requests by caller.",
                &["caller", "outcome"],
            ),
            request_seconds: CacheResult::ALL.map(|c| seconds.with_label_values(&[c.name()])),
            upstream_requests: counters(
                &r,
                "upstream_requests_total",
                "Attempts sent to Logto.",
                &["kind", "status"],
            ),
            upstream_seconds: histogram(
                &r,
                "upstream_duration_seconds",
                "Time from sending to the answer's head.",
            ),
            budget_limit: gauge(&r, "budget_limit", "Requests per window that Logto allows; 0 when off."),
            budget_tokens: gauge(&r, "budget_tokens", "Permits that could be granted at once."),
            budget_rate: gauge(&r, "budget_rate", "Permits granted per second at most."),
            budget_spent: counters(&r, "budget_spent_total", "Permits spent.", &["caller", "kind"]),
            permits_wasted: counter(&r, "permits_wasted_total", "Permits granted and not used."),
            log_lines_dropped: counter(
                &r,
                "log_lines_dropped_total",
                "Log lines dropped because the output was blocked.",
            ),
            queue_waiting: int_gauges(&r, "queue_waiting", "Calls waiting for a permit.", &["class"]),
            queue_wait: histogram_vec(
                &r,
                "queue_wait_seconds",
                "Time that granted calls waited for their permit.",
                &["class"],
            ),
            queue_refused: counters(
                &r,
                "queue_refused_total",
                "Calls refused instead of queued.",
                &["reason"],
            ),
            upstream_throttled: counter(
                &r,
                "upstream_throttled_total",
                "Answers with which Logto's limiter refused.",
            ),
            frozen_seconds: counter_f64(
                &r,
                "frozen_seconds_total",
                "Time for which nothing was sent because Logto asked for a pause.",
            ),
            token_expiry: gauge(
                &r,
                "token_expiry_timestamp_seconds",
                "When the current token expires; 0 without one.",
            ),
            token_refreshes: counters(&r, "token_refreshes_total", "Token fetches.", &["result", "cause"]),
            cache_entries: int_gauge(&r, "cache_entries", "Stored answers."),
            cache_bytes: int_gauge(&r, "cache_bytes", "Bytes of stored answers."),
            cache_lookups: counters(&r, "cache_lookups_total", "Lookups.", &["result"]),
            cache_evictions: counters(
                &r,
                "cache_evictions_total",
                "Entries that left the store.",
                &["reason"],
            ),
            calls_saved: counter(
                &r,
                "calls_saved_total",
                "Requests answered without a call to Logto of their own.",
            ),
            flights_passengers: counter(
                &r,
                "flights_passengers_total",
                "Requests that shared another one's fetch.",
            ),
            connections_open: int_gauges(&r, "connections_open", "Open client connections.", &["listener"]),
            registry: r,
        };
        metrics.start_at_zero();
        metrics
    }

    /// Small families are present from the start, so that a rate over them is never "no data".
    fn start_at_zero(&self) {
        for kind in AttemptKind::ALL {
            for status in ["2xx", "4xx", "5xx", "failed"] {
                self.upstream_requests.with_label_values(&[kind.name(), status]);
            }
        }
        for reason in ["queue_full", "wait_too_long", "frozen", "draining"] {
            self.queue_refused.with_label_values(&[reason]);
        }
        for cause in ["start", "due", "refused"] {
            for result in ["ok", "failed"] {
                self.token_refreshes.with_label_values(&[result, cause]);
            }
        }
        for result in ["hit", "miss", "stale", "bypass"] {
            self.cache_lookups.with_label_values(&[result]);
        }
        for reason in ["size", "expired", "dropped"] {
            self.cache_evictions.with_label_values(&[reason]);
        }
        for class in ["interactive", "batch"] {
            self.queue_waiting.with_label_values(&[class]);
            self.queue_wait.with_label_values(&[class]);
        }
        for listener in ["data", "admin", "health"] {
            self.connections_open.with_label_values(&[listener]);
        }
    }

    /// One request was answered; `route` is the catalogue's template id, `None` for "other".
    pub fn answered(&self, route: Option<usize>, status: u16, cache: CacheResult, took: Duration) {
        self.request_counter(route, status, cache).inc();
        self.request_seconds[cache as usize].observe(took.as_secs_f64());
    }

    fn request_counter(&self, route: Option<usize>, status: u16, cache: CacheResult) -> &IntCounter {
        let route = route.unwrap_or(self.routes.len()).min(self.routes.len());
        let class = usize::from((status / 100).clamp(1, 5)) - 1;
        let slot = (route * STATUS_CLASSES.len() + class) * CacheResult::ALL.len() + cache as usize;
        self.requests_resolved[slot].get_or_init(|| {
            let name = self.routes.get(route).map_or("other", String::as_str);
            self.requests.with_label_values(&[name, STATUS_CLASSES[class], cache.name()])
        })
    }

    /// A caller's request ended with an outcome: `ok`, `refused`, `failed` or `left`.
    pub fn caller_ended(&self, caller: &str, outcome: &str) {
        self.caller_requests.with_label_values(&[caller, outcome]).inc();
    }

    /// One attempt at Logto ended; `status` is `None` when no answer came.
    pub fn attempted(&self, kind: AttemptKind, status: Option<u16>, took: Duration) {
        let status = status.map_or("failed", |s| STATUS_CLASSES[usize::from((s / 100).clamp(1, 5)) - 1]);
        self.upstream_requests.with_label_values(&[kind.name(), status]).inc();
        self.upstream_seconds.observe(took.as_secs_f64());
    }

    /// How the budget stands: requests per window, permits per second and at once; `None` when off.
    pub fn budget(&self, limit: Option<u32>, rate: Option<f64>, tokens: Option<f64>) {
        self.budget_limit.set(limit.map_or(0.0, f64::from));
        self.budget_rate.set(rate.unwrap_or(0.0));
        self.budget_tokens.set(tokens.unwrap_or(0.0));
    }

    /// A permit was used.
    pub fn spent(&self, caller: &str, kind: AttemptKind) {
        self.budget_spent.with_label_values(&[caller, kind.name()]).inc();
    }

    /// A permit was granted and nobody used it.
    pub fn wasted(&self) {
        self.permits_wasted.inc();
    }

    /// Log lines were dropped.
    pub fn log_lines_dropped(&self, total: u64) {
        self.log_lines_dropped.inc_by(total.saturating_sub(self.log_lines_dropped.get()));
    }

    /// So many calls of a class wait for a permit.
    pub fn waiting(&self, class: &str, calls: usize) {
        self.queue_waiting.with_label_values(&[class]).set(i64::try_from(calls).unwrap_or(i64::MAX));
    }

    /// A call of a class was granted its permit after a wait.
    pub fn waited(&self, class: &str, wait: Duration) {
        self.queue_wait.with_label_values(&[class]).observe(wait.as_secs_f64());
    }

    /// A call was refused at the line's door: `queue_full`, `wait_too_long`, `frozen` or `draining`.
    pub fn refused(&self, reason: &str) {
        self.queue_refused.with_label_values(&[reason]).inc();
    }

    /// Logto's limiter refused an attempt.
    pub fn throttled(&self) {
        self.upstream_throttled.inc();
    }

    /// The bucket froze, or its freeze was prolonged, by so much.
    pub fn froze(&self, by: Duration) {
        self.frozen_seconds.inc_by(by.as_secs_f64());
    }

    /// The current token's expiry, in seconds of Unix time.
    pub fn token_expires(&self, at: f64) {
        self.token_expiry.set(at);
    }

    /// A token fetch ended; `cause` is `start`, `due` or `refused`.
    pub fn token_fetched(&self, ok: bool, cause: &str) {
        self.token_refreshes.with_label_values(&[if ok { "ok" } else { "failed" }, cause]).inc();
    }

    /// The store holds so much.
    pub fn stored(&self, entries: u64, bytes: u64) {
        self.cache_entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.cache_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A lookup's result: `hit`, `miss`, `stale` or `bypass`.
    pub fn looked_up(&self, result: CacheResult) {
        self.cache_lookups.with_label_values(&[result.name()]).inc();
    }

    /// An entry left the store: `size`, `expired` or `dropped`.
    pub fn evicted(&self, reason: &str) {
        self.cache_evictions.with_label_values(&[reason]).inc();
    }

    /// A request needed no call of its own.
    pub fn saved(&self) {
        self.calls_saved.inc();
    }

    /// A request boarded another one's fetch.
    pub fn boarded(&self) {
        self.flights_passengers.inc();
    }

    /// A connection is open for as long as the guard lives.
    pub fn connected(&self, listener: &str) -> Open {
        let gauge = self.connections_open.with_label_values(&[listener]);
        Open::count(gauge)
    }

    /// A few totals, for `/status`.
    pub fn totals(&self) -> Totals {
        Totals {
            calls_saved: self.calls_saved.get(),
            permits_wasted: self.permits_wasted.get(),
            throttled: self.upstream_throttled.get(),
            passengers: self.flights_passengers.get(),
        }
    }

    /// The text that Prometheus reads, format 0.0.4.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(16 * 1024);
        // Writing into memory fails only for a family without a name, which registering refuses.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }

    /// The families' names and help texts, for the table in README.
    pub fn families(&self) -> Vec<(String, String)> {
        self.registry.gather().iter().map(|f| (f.name().to_owned(), f.help().to_owned())).collect()
    }
}

/// Totals since the start.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Totals {
    /// Requests answered without a call of their own.
    pub calls_saved: u64,
    /// Permits granted and not used.
    pub permits_wasted: u64,
    /// Refusals of Logto's limiter.
    pub throttled: u64,
    /// Requests that shared another one's fetch.
    pub passengers: u64,
}

fn resolved_slots(routes: usize) -> Vec<OnceLock<IntCounter>> {
    (0..routes * STATUS_CLASSES.len() * CacheResult::ALL.len()).map(|_| OnceLock::new()).collect()
}
