//! What README tells in tables is what the code says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use logto_gateway::catalog::Class;
use logto_gateway::metrics::{AttemptKind, CacheResult, Metrics};
use logto_gateway::rejection::{MethodFault, Rejection};

const README: &str = include_str!("../../README.md");

/// The cells of every table row below this heading, the table's own head left out.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = README.split_once(&format!("\n## {heading}\n")).expect("README has this heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    rows.skip(1).map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

#[test]
fn readme_lists_the_metrics_that_there_are_with_their_help() {
    let metrics = Metrics::new(vec!["/api/users".to_owned()]);
    // Families whose labels are only known at run time show from their first use.
    metrics.answered(Some(0), 200, CacheResult::Hit, Duration::ZERO);
    metrics.caller_ended("anonymous", "ok");
    metrics.spent("anonymous", AttemptKind::Call);
    let is_ours = |name: &str| name.starts_with("logto_gateway_");
    let families: BTreeMap<String, String> =
        metrics.families().into_iter().filter(|(name, _)| is_ours(name)).collect();
    let told: BTreeMap<String, String> = rows("Metrics")
        .iter()
        .map(|row| (format!("logto_gateway_{}", code(row[0])), row[2].to_owned()))
        .collect();
    assert_eq!(told, families);
}

#[test]
fn readme_lists_the_labels_that_each_metric_has() {
    let metrics = Metrics::new(vec!["/api/users".to_owned()]);
    metrics.answered(Some(0), 200, CacheResult::Hit, Duration::ZERO);
    metrics.caller_ended("anonymous", "ok");
    metrics.spent("anonymous", AttemptKind::Call);
    let text = String::from_utf8(metrics.text()).expect("text");
    for row in rows("Metrics") {
        let name = format!("logto_gateway_{}", code(row[0]));
        let sample = text.lines().find(|line| {
            let rest = line.strip_prefix(&name).unwrap_or_default();
            ["{", " ", "_bucket", "_sum"].iter().any(|next| rest.starts_with(next))
        });
        let sample = sample.unwrap_or_else(|| panic!("{name} has no sample"));
        let labels =
            sample.split_once('{').map_or("", |(_, rest)| rest.split_once('}').map_or("", |(l, _)| l));
        let shown: BTreeSet<&str> = labels
            .split("\",")
            .filter_map(|l| l.split('=').next())
            .filter(|l| !["", "le"].contains(l))
            .collect();
        let told: BTreeSet<&str> = row[1].split(", ").map(code).filter(|l| !l.is_empty()).collect();
        assert_eq!(told, shown, "{name}");
    }
}

#[test]
fn readme_lists_every_response_of_the_gateways_own() {
    let told: BTreeSet<(&str, &str)> =
        rows("The gateway's own responses").iter().map(|row| (row[0], code(row[1]))).collect();
    let samples = rejections();
    let forms: Vec<(String, &str)> =
        samples.iter().map(|r| (r.status().as_u16().to_string(), r.code())).collect();
    let made: BTreeSet<(&str, &str)> = forms.iter().map(|(status, code)| (status.as_str(), *code)).collect();
    assert_eq!(told, made);
}

#[test]
fn readme_lists_how_long_each_class_of_answers_stays_good() {
    let told: BTreeMap<&str, &str> =
        rows("How stale can which read be, and why").iter().map(|row| (code(row[0]), row[1])).collect();
    let made: BTreeMap<&str, String> = Class::ALL
        .into_iter()
        .map(|class| {
            (
                class.name(),
                class.default_ttl().map_or("not stored".to_owned(), |t| format!("{} s", t.as_secs())),
            )
        })
        .collect();
    assert_eq!(told, made.iter().map(|(class, ttl)| (*class, ttl.as_str())).collect());
}

/// One of each kind.
fn rejections() -> Vec<Rejection> {
    let soon = Duration::from_secs(1);
    let all = vec![
        Rejection::AmbiguousPath(""),
        Rejection::Malformed(""),
        Rejection::Method(MethodFault::Refused),
        Rejection::Method(MethodFault::Unknown),
        Rejection::FromBrowser(""),
        Rejection::Host,
        Rejection::Guarded,
        Rejection::AnonymousDenied,
        Rejection::NotTheApi,
        Rejection::NoSuchPage,
        Rejection::NotManagementApi,
        Rejection::BodyTooSlow,
        Rejection::BodyTooLarge,
        Rejection::BodyBroken,
        Rejection::Crowded,
        Rejection::HeldBodiesFull(soon),
        Rejection::QueueFull(soon),
        Rejection::WaitTooLong(soon),
        Rejection::Frozen(soon),
        Rejection::NoToken { cause: String::new(), retry_after: soon },
        Rejection::Abandoned,
        Rejection::Draining,
        Rejection::Unreachable { cause: String::new(), proxy_error: "dns_error" },
        Rejection::Broken,
        Rejection::BadReply,
        Rejection::UpstreamTimeout(soon),
        Rejection::DeadlinePassed,
        Rejection::NotStored,
        Rejection::Internal,
    ];
    all.iter().for_each(is_listed_above);
    all
}

/// Does not compile when there is another kind: add it here, to the list above and to README.
fn is_listed_above(rejection: &Rejection) {
    match rejection {
        Rejection::AmbiguousPath(_)
        | Rejection::Malformed(_)
        | Rejection::Method(MethodFault::Refused | MethodFault::Unknown)
        | Rejection::FromBrowser(_)
        | Rejection::Host
        | Rejection::Guarded
        | Rejection::AnonymousDenied
        | Rejection::NotTheApi
        | Rejection::NoSuchPage
        | Rejection::NotManagementApi
        | Rejection::BodyTooSlow
        | Rejection::BodyTooLarge
        | Rejection::BodyBroken
        | Rejection::Crowded
        | Rejection::HeldBodiesFull(_)
        | Rejection::QueueFull(_)
        | Rejection::WaitTooLong(_)
        | Rejection::Frozen(_)
        | Rejection::NoToken { .. }
        | Rejection::Abandoned
        | Rejection::Draining
        | Rejection::Unreachable { .. }
        | Rejection::Broken
        | Rejection::BadReply
        | Rejection::UpstreamTimeout(_)
        | Rejection::DeadlinePassed
        | Rejection::NotStored
        | Rejection::Internal => {}
    }
}
