//! Prints the outcomes of awaited futures. libtest shows them when a test fails, and CI searches
//! them for the password.
#![allow(clippy::print_stdout, reason = "libtest captures it")]

use std::fmt::{self, Debug, Write};

/// Prints the start of an outcome.
pub(crate) fn tell(what: &str, outcome: &impl Debug) {
    println!("{what}: {}", head(outcome));
}

fn head(outcome: &impl Debug) -> String {
    let mut head = Head(String::new());
    // An error here means that the text was cut off.
    let _ = write!(head, "{outcome:?}");
    head.0
}

struct Head(String);

impl Write for Head {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.0.len() >= MOST {
                return Err(fmt::Error);
            }
            self.0.push(c);
        }
        Ok(())
    }
}

const MOST: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_shown_up_to_a_bound() {
        assert_eq!(head(&Some(1)), "Some(1)");
        assert!((MOST..MOST + 4).contains(&head(&"\u{e9}".repeat(10_000)).len()));
    }
}
