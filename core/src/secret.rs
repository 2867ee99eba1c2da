//! A text that is never printed: a struct that holds one can be logged, compared and cloned safely.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// A password. `Debug` and `Display` print [`Secret::MASK`] in its place.
///
/// ```
/// use async_caches_core::secret::Secret;
///
/// let password = Secret::new("hunter2");
/// assert_eq!(format!("{password} {password:?}"), "*** ***");
/// assert_eq!(password.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// The text that is printed in place of a secret.
    pub const MASK: &'static str = "***";

    /// Wraps a text so that it is not printed.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Whether `text` contains `len` consecutive bytes of the secret; `false` if the secret is
    /// shorter, or if `len` is zero.
    #[must_use]
    pub(crate) fn shows_in(&self, text: &str, len: usize) -> bool {
        let (secret, text) = (self.0.as_bytes(), text.as_bytes());
        len > 0 && secret.windows(len).any(|part| text.windows(len).any(|it| it == part))
    }

    /// The text itself, for the code that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn shows_in_finds_any_part_of_a_secret_of_the_given_length() {
        let secret = Secret::new("hunter2");
        for (text, shows) in [
            ("hunter2", true),
            ("a hunt", true),
            ("ter2", true),
            ("hun ter er2", false),
            ("hun", false),
            ("", false),
        ] {
            assert_eq!(secret.shows_in(text, 4), shows, "{text:?}");
        }
        assert!(!Secret::new("").shows_in("text", 4) && !Secret::new("te").shows_in("text", 4));
        assert!(!secret.shows_in("hunter2", 0) && !secret.shows_in("hunter2", 8));
    }

    #[test]
    fn a_secret_is_exposed_only_by_name() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {secret:#?} {secret:>9}"), "*** *** *** ***");
        assert_eq!(secret.expose(), "hunter2");
    }
}
