//! Suggestions: which of the known words the caller probably meant.

use alloc::vec::Vec;

/// The known word that is nearest to `word`: one that differs by few edits, or that contains it
/// or is contained in it. `None` if no word is near.
pub(crate) fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_ascii_lowercase().replace('-', "_");
    let by_edits = known
        .iter()
        .map(|&other| (edits(word.as_bytes(), other.as_bytes()), other))
        .filter(|&(edits, other)| edits <= other.len().div_ceil(4))
        .min();
    let by_part = || {
        let part = |other: &str| other.contains(&word) || word.contains(other);
        known.iter().copied().filter(|other| word.len() >= 3 && part(other)).max_by_key(|w| w.len())
    };
    by_edits.map(|(_, other)| other).or_else(by_part)
}

/// How many bytes must be inserted, removed or replaced to make `a` out of `b` (Levenshtein).
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut above_left = i;
        let mut left = i + 1;
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, y) in cells.zip(b) {
            let replaced = above_left + usize::from(x != y);
            above_left = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Longer words are not worth a comparison, whose cost is quadratic.
const LONGEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (a, b, count) in
            [("", "", 0), ("", "ab", 2), ("ab", "", 2), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(edits(a.as_bytes(), b.as_bytes()), count, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let known = &["timeout", "ttl", "key_prefix", "minsize", "maxsize", "response_timeout"];
        for (word, suggestion) in [
            ("timout", Some("timeout")),
            ("TTL", Some("ttl")),
            ("tll", Some("ttl")),
            ("prefix", Some("key_prefix")),
            ("key-prefix", Some("key_prefix")),
            ("max_size", Some("maxsize")),
            ("mansize", Some("maxsize")),
            ("password", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), suggestion, "{word}");
        }
        let long = |len| nearest(&std::format!("{:x<len$}", "timeout"), known);
        assert_eq!((long(LONGEST), long(LONGEST + 1)), (Some("timeout"), None));
    }
}
