//! Whatever is written, reading ends with an answer.

use proptest::prelude::*;

use super::Setup;
use crate::config::Config;
use crate::config::reader::Reader;

fn every_key() -> Vec<String> {
    let mut reader = Reader::without_sources();
    let _ = Config::read(&mut reader);
    reader.keys().iter().map(|key| key.path.clone()).collect()
}

/// Texts that resemble what keys take, and texts that resemble nothing.
fn text() -> impl Strategy<Value = String> {
    let like_a_value =
        "(https?://)?[a-z@:\\[\\]./?#é]{0,8}(:[0-9]{0,6})?|[0-9]{0,21} ?[a-zA-Z]{0,3}|-?[0-9.e]{1,9}|off";
    prop_oneof![like_a_value, ".{0,30}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_for_any_key_is_taken_or_refused(text in text()) {
        for key in every_key() {
            let told = Setup::enough("").flag(&key, &text).load().err();
            let blamed = told.is_none_or(|problems| problems.iter().all(|problem| problem.key.is_some()));
            prop_assert!(blamed, "{key} = {text}");
        }
    }

    #[test]
    fn any_file_is_taken_or_refused(lines in prop::collection::vec("(\\[?[a-z.\"]{1,8}\\]?)?( ?= ?[\"\\[{]?.{0,8}[\"\\]}]?)?", 0..6)) {
        if let Err(problems) = Setup::enough(&lines.join("\n")).load() {
            prop_assert!(problems.iter().count() > 0 && !problems.to_string().is_empty());
        }
    }
}
