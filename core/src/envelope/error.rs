//! What can be wrong with an envelope: in the facts that a caller gives, and in stored bytes.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use thiserror::Error;

use super::fields::SchemaId;
use super::limits::{MAX_TAG_LEN, MAX_TAGS, MAX_VALIDATOR_LEN};
use crate::shown::Shown;

/// Facts that no envelope can hold.
///
/// ```
/// use async_caches_core::envelope::{EnvelopeError, Stamp, Tags};
///
/// let error = Tags::new([("org:7", Stamp(1)), ("org:7", Stamp(1))]).unwrap_err();
/// assert_eq!(error, EnvelopeError::RepeatedTag { name: "org:7".into() });
/// assert_eq!(error.to_string(), "the tag \"org:7\" is given twice");
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// There are more than [`MAX_TAGS`] tags.
    #[error("an entry has at most {MAX_TAGS} tags")]
    TooManyTags,
    /// A tag's name is longer than [`MAX_TAG_LEN`].
    #[error("the tag \"{name}\" is longer than {MAX_TAG_LEN} bytes")]
    LongTag {
        /// The name, escaped and cut to a sane length.
        name: Box<str>,
    },
    /// Two tags have the same name.
    #[error("the tag \"{name}\" is given twice")]
    RepeatedTag {
        /// The name, escaped and cut to a sane length.
        name: Box<str>,
    },
    /// The validator is longer than [`MAX_VALIDATOR_LEN`].
    #[error("the validator has {len} bytes, but at most {MAX_VALIDATOR_LEN} are stored")]
    LongValidator {
        /// Its length in bytes.
        len: usize,
    },
}

/// The name of a tag as an error shows it.
pub(super) fn shown(name: &[u8]) -> Box<str> {
    Shown(&String::from_utf8_lossy(name), 64).to_string().into()
}

/// Why a stored envelope is a miss. It is the reason in an event, and no error of a caller.
///
/// The bytes are checked in the order of these variants, and the first defect is reported. Damaged
/// bytes may look like any of them.
///
/// ```
/// use async_caches_core::envelope::{CodecId, Decoded, Defect, EntryId, Envelope, Millis, decode};
/// use bytes::Bytes;
///
/// let mut stored = Vec::new();
/// Envelope::new(CodecId::JSON, EntryId(7), Millis::ZERO).encode(b"[1]", &mut stored);
/// stored[59] ^= 1;
/// let Decoded::Unreadable(defect) = decode(&Bytes::from(stored), None) else { panic!() };
/// assert_eq!(defect, Defect::Checksum);
/// assert_eq!(defect.to_string(), "the checksum does not match");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Defect {
    /// Another version of the format.
    #[error("version {0} of the format is not known")]
    Version(u8),
    /// Flags that a reader must understand, and that this one does not know.
    #[error("the flags {0:#04x} are not known")]
    Flags(u8),
    /// The bytes end too early.
    #[error("the bytes end too early")]
    Truncated,
    /// There are no tags behind the flag for tags, more than [`MAX_TAGS`], or two with one name.
    #[error("the tags are malformed")]
    Tags,
    /// The validator is longer than [`MAX_VALIDATOR_LEN`].
    #[error("the validator is too long")]
    Validator,
    /// As many bytes follow the checksum.
    #[error("{0} bytes follow the checksum")]
    Trailing(usize),
    /// The bytes are not those that were written.
    #[error("the checksum does not match")]
    Checksum,
    /// The envelope is in order, but its schema is not the one that the caller wanted.
    #[error("the schema is {}, which is not the wanted one", .found.0)]
    Schema {
        /// The schema of the entry.
        found: SchemaId,
    },
}
