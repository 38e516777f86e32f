//! Families of metrics, made and registered under the gateway's prefix.

use prometheus::core::Collector;
use prometheus::{
    Counter, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

/// From half a millisecond (a hit on a busy machine) to the longest call.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

/// Counts an open connection until it is dropped.
#[must_use]
pub struct Open(IntGauge);

impl Open {
    pub(super) fn count(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

pub(super) fn build_info(r: &Registry) {
    let opts = opts("build_info", "The running build.")
        .const_label("version", env!("CARGO_PKG_VERSION"))
        .const_label("revision", option_env!("LOGTO_GATEWAY_REVISION").unwrap_or("unknown"));
    let gauge = IntGauge::with_opts(opts).expect("a valid name");
    gauge.set(1);
    register(r, gauge);
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("logto_gateway")
}

pub(super) fn register(r: &Registry, family: impl Collector + 'static) {
    r.register(Box::new(family)).expect("every family is registered once");
}

fn registered<C: Collector + Clone + 'static>(r: &Registry, made: prometheus::Result<C>) -> C {
    let family = made.expect("names and labels are literals");
    register(r, family.clone());
    family
}

pub(super) fn counter(r: &Registry, name: &str, help: &str) -> IntCounter {
    registered(r, IntCounter::with_opts(opts(name, help)))
}

pub(super) fn counter_f64(r: &Registry, name: &str, help: &str) -> Counter {
    registered(r, Counter::with_opts(opts(name, help)))
}

pub(super) fn counters(r: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(r, IntCounterVec::new(opts(name, help), labels))
}

pub(super) fn gauge(r: &Registry, name: &str, help: &str) -> Gauge {
    registered(r, Gauge::with_opts(opts(name, help)))
}

pub(super) fn int_gauge(r: &Registry, name: &str, help: &str) -> IntGauge {
    registered(r, IntGauge::with_opts(opts(name, help)))
}

pub(super) fn int_gauges(r: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(r, IntGaugeVec::new(opts(name, help), labels))
}

pub(super) fn histogram(r: &Registry, name: &str, help: &str) -> Histogram {
    registered(r, Histogram::with_opts(HistogramOpts::from(opts(name, help)).buckets(SECONDS.to_vec())))
}

pub(super) fn histogram_vec(r: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    registered(r, HistogramVec::new(HistogramOpts::from(opts(name, help)).buckets(SECONDS.to_vec()), labels))
}
