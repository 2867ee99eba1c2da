//! The optional parts of an envelope: tags and validator, in the bytes that they are stored as.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::cursor::Cursor;
use super::error::{Defect, EnvelopeError, shown};
use super::fields::Stamp;
use super::limits::{MAX_TAGS, MAX_VALIDATOR_LEN};

/// The tags of an entry, each with its stamp: at most 16, no two with the same name. A name is any
/// 0 to 255 bytes. The order is kept.
///
/// Tags are held as they are stored, so reading them allocates nothing. The default is no tags.
///
/// ```
/// use async_caches_core::envelope::{Stamp, StampedTag, Tags};
///
/// let tags = Tags::new([("org:7", Stamp(1)), ("user:1", Stamp(2))])?;
/// assert_eq!(tags.len(), 2);
/// let first = StampedTag { name: b"org:7", stamp: Stamp(1) };
/// assert_eq!(tags.iter().next(), Some(first));
/// # Ok::<(), async_caches_core::envelope::EnvelopeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tags(
    /// Nothing, or the number of tags and the tags.
    Bytes,
);

/// A tag of an entry. See the example of [`Tags`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StampedTag<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The stamp that it had before the value was loaded.
    pub stamp: Stamp,
}

impl Tags {
    /// Creates the tags of an entry, in this order. Copies their names.
    ///
    /// # Errors
    /// [`EnvelopeError::TooManyTags`], [`EnvelopeError::LongTag`] and
    /// [`EnvelopeError::RepeatedTag`].
    pub fn new<N: AsRef<[u8]>>(
        tags: impl IntoIterator<Item = (N, Stamp)>,
    ) -> Result<Self, EnvelopeError> {
        let mut encoded: Vec<u8> = Vec::new();
        let mut count = 0_u8;
        for (name, Stamp(stamp)) in tags {
            let name = name.as_ref();
            let len = u8::try_from(name.len())
                .map_err(|_| EnvelopeError::LongTag { name: shown(name) })?;
            if walk(encoded.get(1..).unwrap_or_default()).any(|earlier| earlier.name == name) {
                return Err(EnvelopeError::RepeatedTag { name: shown(name) });
            }
            count += 1;
            if usize::from(count) > MAX_TAGS {
                return Err(EnvelopeError::TooManyTags);
            }
            if encoded.is_empty() {
                encoded.push(0);
            }
            encoded.extend(stamp.to_be_bytes());
            encoded.push(len);
            encoded.extend_from_slice(name);
        }
        if let Some(first) = encoded.first_mut() {
            *first = count;
        }
        Ok(Self(Bytes::from(encoded.into_boxed_slice())))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.first().copied().map_or(0, usize::from)
    }

    /// Whether the entry has no tags.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tags, in their order.
    pub fn iter(&self) -> impl Iterator<Item = StampedTag<'_>> {
        walk(self.0.get(1..).unwrap_or_default())
    }

    /// The bytes that stand in the envelope.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.0
    }

    /// Reads tags that the flags announced.
    pub(super) fn read(rest: &mut Cursor) -> Result<Self, Defect> {
        let (&count, tags) = rest.peek().split_first().ok_or(Defect::Truncated)?;
        if count == 0 || usize::from(count) > MAX_TAGS {
            return Err(Defect::Tags);
        }
        let mut behind = tags;
        for nth in 0..usize::from(count) {
            let (tag, further) = split(behind).ok_or(Defect::Truncated)?;
            if walk(tags).take(nth).any(|earlier| earlier.name == tag.name) {
                return Err(Defect::Tags);
            }
            behind = further;
        }
        let len = rest.len() - behind.len();
        rest.bytes(len).map(Self)
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The tags at the front of these bytes, up to the first that is not whole.
fn walk(mut bytes: &[u8]) -> impl Iterator<Item = StampedTag<'_>> {
    core::iter::from_fn(move || {
        let (tag, behind) = split(bytes)?;
        bytes = behind;
        Some(tag)
    })
}

/// The tag at the front of these bytes, and the bytes behind it.
fn split(bytes: &[u8]) -> Option<(StampedTag<'_>, &[u8])> {
    let (&stamp, rest) = bytes.split_first_chunk()?;
    let (&len, rest) = rest.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(len))?;
    Some((StampedTag { name, stamp: Stamp(u64::from_be_bytes(stamp)) }, rest))
}

/// What tells a version of a value from others at its source, such as an `ETag`: any 0 to 1,024
/// bytes.
///
/// ```
/// use async_caches_core::envelope::{EnvelopeError, Validator};
///
/// let validator = Validator::new("\"v7\"")?;
/// assert_eq!(validator.as_bytes(), b"\"v7\"");
/// let long = vec![b'v'; 1_025];
/// assert_eq!(Validator::new(long), Err(EnvelopeError::LongValidator { len: 1_025 }));
/// # Ok::<(), EnvelopeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Validator(Bytes);

impl Validator {
    /// Creates a validator of these bytes.
    ///
    /// # Errors
    /// [`EnvelopeError::LongValidator`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, EnvelopeError> {
        let bytes = bytes.into();
        match bytes.len() {
            ..=MAX_VALIDATOR_LEN => Ok(Self(bytes)),
            len => Err(EnvelopeError::LongValidator { len }),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its length, as it stands in the envelope.
    pub(super) fn len(&self) -> u16 {
        u16::try_from(self.0.len()).unwrap_or(u16::MAX)
    }

    /// Reads a validator that the flags announced.
    pub(super) fn read(rest: &mut Cursor) -> Result<Self, Defect> {
        let len = usize::from(u16::from_be_bytes(rest.array()?));
        if len > MAX_VALIDATOR_LEN {
            return Err(Defect::Validator);
        }
        rest.bytes(len).map(Self)
    }
}
