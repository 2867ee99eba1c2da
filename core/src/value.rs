//! Values: what a caller stores, as bytes and back.
//!
//! A value is JSON text, so a Python process and this one read each other's entries. What
//! Python's `json.dumps` writes is read here, escapes and spaces included; its `NaN` and
//! `Infinity` are not JSON and are refused. A value that could not be read again is refused when it
//! is written, as far as that can be told without knowing the type that it will be read as. This
//! module knows nothing of keys, and nothing of the raw operations that store a caller's bytes as
//! they are.

mod readable;

#[cfg(test)]
mod tests;

use core::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::readable::Readable;

/// What an entry that cannot be read as the type asked for is to a lookup.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Unreadable {
    /// An error that names its key and says why.
    #[default]
    Error,
    /// A miss, as if nothing were stored.
    Miss,
}

impl Unreadable {
    /// The words that name the two in an option.
    pub const WORDS: &str = "error or miss";

    /// What this word names.
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
/// Where the value's [`Serialize`] says no, where it is a map whose keys are neither texts nor
/// numbers, where it holds a float that is infinite or not a number, which JSON cannot write, or
/// where it is nested deeper than 127, which [`decode`] would refuse.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, serde_json::Error> {
    // A boxed slice has no spare capacity for the store to pin.
    serde_json::to_vec(&Readable::new(value)).map(|text| Bytes::from(text.into_boxed_slice()))
}

/// Reads a value from JSON text, all of it.
///
/// # Errors
/// Where the bytes are not JSON, are not one `T`, are nested deeper than 127, or go on after the
/// value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}
