//! Values: what a caller stores, as bytes and back.
//!
//! A value is JSON text, so a Python process and this one can read each other's entries. The output
//! of Python's `json.dumps` is read here, including its escapes and spaces; its `NaN` and
//! `Infinity` are not JSON and are refused. A value that could not be read again is refused when it
//! is written, as far as this can be detected without knowing the type that it will be read as.
//! This module knows neither keys nor the raw operations, which store a caller's bytes as they are.

mod readable;

#[cfg(test)]
mod tests;

use core::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::readable::Readable;

/// How a lookup treats an entry that cannot be read as the requested type.
///
/// ```
/// use async_caches_core::options::{Options, Settings, Unreadable};
///
/// assert_eq!(Settings::new(Options::default())?.unreadable, Unreadable::Error);
/// let mut options = Options::default();
/// options.set("unreadable", "miss")?;
/// assert_eq!(Settings::new(options)?.unreadable, Unreadable::Miss);
/// # Ok::<(), async_caches_core::options::OptionError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Unreadable {
    /// An error that names its key and says why.
    #[default]
    Error,
    /// A miss, as if nothing were stored.
    Miss,
}

impl Unreadable {
    /// The words that name the two variants in an option.
    pub const WORDS: &str = "error or miss";

    /// The variant that `word` names.
    pub(crate) fn named(word: &str) -> Option<Self> {
        match word {
            "error" => Some(Self::Error),
            "miss" => Some(Self::Miss),
            _ => None,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Miss => "miss",
        })
    }
}

/// Writes a value as JSON text, in an allocation of exactly its length.
///
/// # Errors
/// If the value's [`Serialize`] fails; if the value is a map with keys that are neither texts nor
/// numbers; if it contains an infinite float or NaN, which JSON cannot represent; or if it is
/// nested deeper than 127, which [`decode`] would refuse.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, serde_json::Error> {
    // A boxed slice has no spare capacity that the store would keep alive.
    serde_json::to_vec(&Readable::new(value)).map(|text| Bytes::from(text.into_boxed_slice()))
}

/// Reads a value from JSON text, and requires that nothing follows it.
///
/// # Errors
/// If the bytes are not JSON, do not fit `T`, are nested deeper than 127, or continue after the
/// value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}
