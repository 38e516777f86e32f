//! "Did you mean …?"

/// A word that differs by more is another word.
const EDITS_MAX: usize = 3;

/// The known word that `written` most likely stands for.
pub(super) fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|word| (edits(written, word), word))
        .filter(|(edits, word)| *edits <= EDITS_MAX.min(word.len() / 2))
        .min()
        .map(|(_, word)| word)
}

/// Insertions, deletions and substitutions from one word to the other (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_understood_and_another_word_is_not() {
        let known = ["budget.burst", "budget.limit", "listen.data"];
        for (written, meant) in [
            ("budget.brust", Some("budget.burst")),
            ("budgets.burst", Some("budget.burst")),
            ("listen.date", Some("listen.data")),
            ("budget.weather", None),
        ] {
            assert_eq!(nearest(written, known.into_iter()), meant, "{written}");
        }
    }
}
