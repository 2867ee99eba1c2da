//! The fields of the header that are more than plain numbers.

use core::time::Duration;

use crate::time::WallTime;

/// Milliseconds in six bytes: a time since the beginning of 1970, or a span.
///
/// A script of a server computes with them exactly, because its numbers are doubles.
///
/// ```
/// use async_caches_core::envelope::Millis;
/// use async_caches_core::time::WallTime;
/// use core::time::Duration;
///
/// assert_eq!(Millis::new(u64::MAX), Millis::MAX);
/// // A time is rounded down and a span up.
/// assert_eq!(Millis::at(WallTime::from_nanos(1_999_999)), Millis::new(1));
/// assert_eq!(Millis::lasting(Duration::from_micros(1_001)), Millis::new(2));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Millis(u64);

impl Millis {
    /// The beginning of 1970, or no span.
    pub const ZERO: Self = Self(0);
    /// 2^48 - 1: a moment in the year 10889, or 8,919 years. As the end of a time it means "never".
    pub const MAX: Self = Self((1 << 48) - 1);

    /// This many milliseconds; [`Millis::MAX`] if `millis` is greater.
    #[must_use]
    pub const fn new(millis: u64) -> Self {
        if millis < Self::MAX.0 { Self(millis) } else { Self::MAX }
    }

    /// The number of milliseconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// A time, rounded down. The last [`WallTime`] becomes [`Millis::MAX`]: both mean "never".
    #[must_use]
    pub const fn at(time: WallTime) -> Self {
        match time.as_nanos() {
            u64::MAX => Self::MAX,
            nanos => Self::new(nanos / 1_000_000),
        }
    }

    /// A span, rounded up, so that a span above zero never becomes zero.
    #[must_use]
    pub fn lasting(span: Duration) -> Self {
        u64::try_from(span.as_nanos().div_ceil(1_000_000)).map_or(Self::MAX, Self::new)
    }

    /// The time this many milliseconds after the beginning of 1970, but no later than the last
    /// [`WallTime`].
    #[must_use]
    pub const fn to_time(self) -> WallTime {
        WallTime::from_millis(self.0)
    }

    /// A span of this many milliseconds.
    #[must_use]
    pub const fn to_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// The six bytes, as they are stored, and as a script writes them by `struct.pack('>I6', n)`.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 6] {
        let [_, _, a, b, c, d, e, f] = self.0.to_be_bytes();
        [a, b, c, d, e, f]
    }

    /// Reads the six bytes. Any six bytes are valid.
    #[must_use]
    pub const fn from_bytes([a, b, c, d, e, f]: [u8; 6]) -> Self {
        Self(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }
}

/// The id of an entry: a random number that each write draws anew. Writers that replace only the
/// entry that they saw compare it.
///
/// ```
/// use async_caches_core::envelope::{CodecId, ENTRY_ID, EntryId, Envelope, Millis};
///
/// let mut stored = Vec::new();
/// Envelope::new(CodecId::BYTES, EntryId(7), Millis::ZERO).encode(b"", &mut stored);
/// assert_eq!(stored[ENTRY_ID], EntryId(7).to_bytes());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryId(pub u64);

impl EntryId {
    /// The eight bytes, as they are stored at [`ENTRY_ID`](super::ENTRY_ID), for a script to
    /// compare.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// The schema of a value: a number that an application changes when its values get another form.
/// See the example of [`Envelope`](super::Envelope).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SchemaId(pub u64);

impl SchemaId {
    /// The value has no schema.
    pub const NONE: Self = Self(0);
}

/// The stamp of a tag or of a prefix: a random number that each invalidation replaces. An entry is
/// valid while its stamps are the current ones. See the example of [`Tags`](super::Tags).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stamp(pub u64);

/// How a payload encodes a value. All numbers are stored and read; a layer above knows which it can
/// decode. See the example of [`Envelope`](super::Envelope).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CodecId(pub u8);

impl CodecId {
    /// The payload is the value: a caller's bytes.
    pub const BYTES: Self = Self(0);
    /// JSON text.
    pub const JSON: Self = Self(1);
}

/// How a payload is compressed. All numbers are stored and read; a layer above knows which it can
/// expand.
///
/// ```
/// use async_caches_core::envelope::{CodecId, CompressionId, EntryId, Envelope, Millis};
///
/// let envelope = Envelope::new(CodecId::JSON, EntryId(7), Millis::ZERO);
/// assert_eq!(envelope.compression, CompressionId::NONE);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CompressionId(pub u8);

impl CompressionId {
    /// The payload is not compressed.
    pub const NONE: Self = Self(0);
}
