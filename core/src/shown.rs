//! Text from outside, made safe to put into a message.

use alloc::string::{String, ToString};
use core::fmt::{self, Write as _};

use crate::secret::Secret;

/// Formats a text for a message: characters that could end a line, reorder it or be invisible are
/// escaped, and text beyond this many characters is cut off.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a str, pub usize);

impl Shown<'_> {
    /// How many characters of another library's messages are shown.
    pub const WORDS: usize = 512;
    /// How many characters of a name or a path are shown.
    pub const NAME: usize = 255;
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, most) = *self;
        let mut chars = text.chars();
        for c in chars.by_ref().take(most) {
            match c {
                '\'' | '"' => f.write_char(c)?,
                // A printable character yields itself.
                c => c.escape_debug().try_for_each(|c| f.write_char(c))?,
            }
        }
        if chars.next().is_some() { f.write_str("...") } else { Ok(()) }
    }
}

/// The name of a store as it is shown. The part before an `@` may be credentials of a URL with a
/// mistaken scheme, so it is masked.
#[must_use]
pub fn name(name: &str) -> String {
    match name.rsplit_once('@') {
        Some((_, rest)) => [Secret::MASK, "@", rest].concat(),
        None => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_forge_or_reorder_a_line_are_escaped() {
        let text = "a\r\nb\u{1b}[31m\u{202e}c\u{2066}\u{2028}\u{feff}\u{200b}\0é\"'";
        let shown = Shown(text, 99).to_string();
        let expected = "a\\r\\nb\\u{1b}[31m\\u{202e}c\\u{2066}\\u{2028}\\u{feff}\\u{200b}\\0é\"'";
        assert_eq!(shown, expected);
    }

    #[test]
    fn long_text_is_truncated() {
        assert_eq!(Shown("abcd", 4).to_string(), "abcd");
        assert_eq!(Shown("abcde", 4).to_string(), "abcd...");
        let long = "\u{202e}".repeat(1 << 20);
        assert!(Shown(&long, Shown::WORDS).to_string().len() < 10 * Shown::WORDS);
    }

    #[test]
    fn possible_credentials_in_a_name_are_masked() {
        assert_eq!(name("default"), "default");
        assert_eq!(name(":secret@x"), "***@x");
        assert_eq!(name("user:se@cret@x/1"), "***@x/1");
    }
}
