//! However Logto may count, the gateway's pace is never refused and hardly slower than it has to be.

use std::sync::LazyLock;

use crate::load::table::{HEAD, Row, rows};

/// Hours of simulated load: the tests look at the same ones.
static ROWS: LazyLock<Vec<Row>> = LazyLock::new(rows);

#[test]
fn an_hour_of_greedy_load_is_refused_by_no_limiter_and_uses_the_configured_rate() {
    assert_eq!(ROWS.len(), 5);
    for row in &*ROWS {
        assert!(row.sent > 40_000, "{row}");
        assert_eq!(row.refused, 0, "{row}");
        assert!((0.995..=1.0).contains(&row.share), "{row}");
    }
}

#[test]
fn a_bucket_of_200_and_20_a_second_is_refused_by_at_least_four_of_the_five() {
    let refusing = ROWS.iter().filter(|row| row.naive_refused > 0);
    assert!(refusing.count() >= 4);
}

#[test]
fn before_half_the_limit_it_believes_in_the_gateway_is_seldom_refused_and_uses_most_of_it() {
    let halved: Vec<_> = ROWS.iter().filter_map(|row| row.halved.as_ref()).flatten().collect();
    assert_eq!(halved.len(), 4, "two models, without Retry-After and with it");
    for hour in halved {
        assert!(hour.refused_share > 0.0, "the gateway comes back up to the limit: {hour}");
        assert!(hour.refused_share < 0.01, "{hour}");
        assert!((0.7..=1.0).contains(&hour.passed_share), "{hour}");
    }
}

#[test]
fn readme_shows_the_table_as_it_is_printed() {
    const README: &str = include_str!("../../README.md");
    let lines = ROWS.iter().map(ToString::to_string);
    let table: Vec<String> = std::iter::once(HEAD.to_owned()).chain(lines).collect();
    assert!(README.contains(&table.join("\n")), "cargo bench --bench limiters prints it");
}
