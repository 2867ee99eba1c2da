//! The envelope: how an entry is stored if facts are kept beside its value, such as until when it
//! is fresh, its tags, or its validator.
//!
//! An entry without such facts is stored *plain*: its bytes are the value. An envelope begins with
//! the byte 0xC1, which begins neither JSON nor MessagePack. A value that begins with it is always
//! put into an envelope ([`needs_envelope`]). So [`decode`] reads both forms, and needs nothing but
//! the bytes. What cannot be read is [`Decoded::Unreadable`], which a lookup treats as a miss: no
//! bytes of a server are an error, and none panic.
//!
//! # Layout
//!
//! All numbers are unsigned and big-endian. Times are milliseconds since the beginning of 1970, by
//! the clock that decides the expiry of the entry.
//!
//! | offset | bytes | field |
//! |---:|---:|---|
//! | 0 | 1 | 0xC1 |
//! | 1 | 1 | version of the format: 1 |
//! | 2 | 1 | codec ([`CodecId`]) |
//! | 3 | 1 | compression ([`CompressionId`]) |
//! | 4 | 1 | flags: 1 the stamp of the prefix, 2 tags, 4 a validator; a reader refuses any other bit |
//! | 5 | 1 | hints: a reader ignores bits that it does not know |
//! | 6 | 6 | fresh until (milliseconds), not covered by the checksum |
//! | 12 | 6 | stale while revalidate (milliseconds) |
//! | 18 | 6 | stale if error (milliseconds) |
//! | 24 | 8 | entry id |
//! | 32 | 6 | written (milliseconds) |
//! | 38 | 4 | cost of the load (microseconds) |
//! | 42 | 8 | schema |
//! | 50 | 8 | length of the payload |
//! | 58 | 8 | if flag 1: the stamp of the prefix |
//! | | 1 | if flag 2: the number of tags, 1 to 16 |
//! | | 8, 1, 0 to 255 | for each tag: its stamp, the length of its name, its name |
//! | | 2, 0 to 1,024 | if flag 4: the length of the validator, the validator |
//! | | any | the payload |
//! | | 4 | checksum: the CRC-32 of zlib over everything before it but bytes 6 to 11 |
//!
//! # Invariants
//!
//! * The fields that scripts use have fixed places and six or eight bytes. A script reads and
//!   writes six bytes by `struct` as `>I6`: Lua's doubles represent them exactly. It compares the
//!   eight bytes of the entry id as a text. Nothing else needs a script, and none computes a
//!   checksum: that would block the server.
//! * `fresh_until` is the one field that is rewritten in place, so the checksum leaves it out, and
//!   any six bytes are a valid time.
//! * An envelope has one encoding: the bytes that [`decode`] accepts are those that
//!   [`Envelope::encode`] writes for its result.
//! * Decoding allocates nothing. Payload, tags and validator are slices of the bytes received.
//!
//! This module knows no clock, and does not decide whether an entry is fresh: [`freshness`] does,
//! from [`Envelope::meta`]. It does not know what a codec or a compression does: the layer that
//! decodes the payload refuses those that it lacks.
//!
//! [`freshness`]: crate::freshness

mod checksum;
mod cursor;
mod error;
mod fields;
mod limits;
mod parts;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use bytes::Bytes;

use self::cursor::Cursor;
pub use self::error::{Defect, EnvelopeError};
pub use self::fields::{CodecId, CompressionId, EntryId, Millis, SchemaId, Stamp};
pub use self::limits::{MAX_TAG_LEN, MAX_TAGS, MAX_VALIDATOR_LEN};
pub use self::parts::{StampedTag, Tags, Validator};
use crate::freshness::{Meta, Windows};

/// The first byte of every envelope.
pub const MAGIC: u8 = 0xC1;

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u8 = 1;

/// The length of the header in bytes: the fields that every envelope has.
pub const HEADER_LEN: usize = 58;

/// The length of the checksum in bytes, at the end.
pub const CHECKSUM_LEN: usize = 4;

/// Where `fresh_until` stands, for scripts (`SETRANGE`).
pub const FRESH_UNTIL: Range<usize> = 6..12;

/// Where the two windows stand, for scripts: first `stale_while_revalidate`, then `stale_if_error`.
pub const WINDOWS: Range<usize> = 12..24;

/// Where the entry id stands, for scripts.
pub const ENTRY_ID: Range<usize> = 24..32;

/// The facts that are stored beside a value.
///
/// ```
/// use async_caches_core::envelope::{
///     CodecId, Decoded, EntryId, Envelope, Millis, SchemaId, Stamp, Tags, decode,
/// };
/// use bytes::Bytes;
/// use core::time::Duration;
///
/// let now = Millis::new(1_700_000_000_000);
/// let mut envelope = Envelope::new(CodecId::JSON, EntryId(7), now);
/// envelope.fresh_until = Millis::new(now.get() + 60_000);
/// envelope.stale_if_error = Millis::lasting(Duration::from_secs(600));
/// envelope.schema = SchemaId(3);
/// envelope.tags = Tags::new([("org:7", Stamp(99))])?;
///
/// let mut stored = Vec::new();
/// envelope.encode(b"{\"id\":1}", &mut stored);
///
/// let stored = Bytes::from(stored);
/// let payload = Bytes::from_static(b"{\"id\":1}");
/// assert_eq!(decode(&stored, Some(SchemaId(3))), Decoded::Entry { envelope, payload });
/// # Ok::<(), async_caches_core::envelope::EnvelopeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Envelope {
    /// How the payload encodes the value.
    pub codec: CodecId,
    /// How the payload is compressed.
    pub compression: CompressionId,
    /// Bits that a reader may ignore. This version defines none: 0 when an entry is new, and kept
    /// as they are read.
    pub hints: u8,
    /// Until when the entry is fresh, by the clock that decides its expiry.
    /// [`Millis::MAX`] means for ever.
    pub fresh_until: Millis,
    /// How long after that the value may be returned while it is refreshed in the background.
    pub stale_while_revalidate: Millis,
    /// How long after that the value may be returned if a load fails.
    pub stale_if_error: Millis,
    /// The id of this entry. Each write draws a random one.
    pub id: EntryId,
    /// When the entry was written, by the clock that decides its expiry.
    pub written: Millis,
    /// How long the load of the value took, in microseconds. The longest is 71 minutes, and a
    /// longer load is stored as that. 0 if there was no load.
    pub load_micros: u32,
    /// The schema of the value.
    pub schema: SchemaId,
    /// The stamp of the whole prefix, for a cache in which one invalidation can reach all entries.
    pub prefix_stamp: Option<Stamp>,
    /// The tags, with the stamps that they had before the load.
    pub tags: Tags,
    /// What tells this version of the value from others at its source, such as an `ETag`.
    pub validator: Option<Validator>,
}

/// The form in which an entry was stored.
///
/// ```
/// use async_caches_core::envelope::{Decoded, Defect, decode};
/// use bytes::Bytes;
///
/// let plain = Bytes::from_static(b"{\"id\":1}");
/// assert_eq!(decode(&plain, None), Decoded::Plain(plain));
///
/// let newer = Bytes::from_static(b"\xc1\x09 of a format that does not exist yet");
/// assert_eq!(decode(&newer, None), Decoded::Unreadable(Defect::Version(9)));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// Without an envelope: these bytes are the value.
    Plain(Bytes),
    /// In an envelope.
    Entry {
        /// The facts beside the value.
        envelope: Envelope,
        /// The value, encoded and compressed as the envelope says.
        payload: Bytes,
    },
    /// In an envelope that cannot be read, or not as the caller wants it. It is a miss.
    Unreadable(Defect),
}

/// Whether bytes would be taken for an envelope if they were stored plain.
///
/// ```
/// use async_caches_core::envelope::needs_envelope;
///
/// assert!(needs_envelope(b"\xc1 raw"));
/// assert!(!needs_envelope(b"raw \xc1") && !needs_envelope(b""));
/// ```
#[inline]
#[must_use]
pub fn needs_envelope(payload: &[u8]) -> bool {
    payload.first() == Some(&MAGIC)
}

/// Reads a stored entry, plain or in an envelope. See the example of [`Envelope`].
///
/// If the caller `wanted` a schema, an envelope of another schema, or of none, is unreadable. A
/// plain entry has no schema, and is returned whatever the caller wanted.
///
/// Takes time in proportion to the length, for the checksum, and allocates nothing.
#[must_use]
pub fn decode(stored: &Bytes, wanted: Option<SchemaId>) -> Decoded {
    if !needs_envelope(stored) {
        return Decoded::Plain(stored.clone());
    }
    match read(stored, wanted) {
        Ok((envelope, payload)) => Decoded::Entry { envelope, payload },
        Err(defect) => Decoded::Unreadable(defect),
    }
}

fn read(stored: &Bytes, wanted: Option<SchemaId>) -> Result<(Envelope, Bytes), Defect> {
    let mut rest = Cursor::new(stored);
    let [_, version] = rest.array()?;
    if version != VERSION {
        return Err(Defect::Version(version));
    }
    let [codec, compression, flags, hints] = rest.array()?;
    if flags & !KNOWN != 0 {
        return Err(Defect::Flags(flags & !KNOWN));
    }
    let has = |flag| flags & flag != 0;
    let fresh_until = rest.millis()?;
    let stale_while_revalidate = rest.millis()?;
    let stale_if_error = rest.millis()?;
    let id = EntryId(rest.u64()?);
    let written = rest.millis()?;
    let load_micros = u32::from_be_bytes(rest.array()?);
    let schema = SchemaId(rest.u64()?);
    let payload_len = rest.u64()?;
    let prefix_stamp = if has(PREFIX_STAMP) { Some(Stamp(rest.u64()?)) } else { None };
    let tags = if has(TAGS) { Tags::read(&mut rest)? } else { Tags::default() };
    let validator = if has(VALIDATOR) { Some(Validator::read(&mut rest)?) } else { None };
    let payload = rest.bytes(usize::try_from(payload_len).map_err(|_| Defect::Truncated)?)?;
    let checksum = u32::from_be_bytes(rest.array()?);
    if rest.len() > 0 {
        return Err(Defect::Trailing(rest.len()));
    }
    let covered = stored.get(..stored.len() - CHECKSUM_LEN).unwrap_or_default();
    if checksum != checksum_of(covered) {
        return Err(Defect::Checksum);
    }
    if wanted.is_some_and(|wanted| wanted != schema) {
        return Err(Defect::Schema { found: schema });
    }
    let envelope = Envelope {
        codec: CodecId(codec),
        compression: CompressionId(compression),
        hints,
        fresh_until,
        stale_while_revalidate,
        stale_if_error,
        id,
        written,
        load_micros,
        schema,
        prefix_stamp,
        tags,
        validator,
    };
    Ok((envelope, payload))
}

impl Envelope {
    /// Creates an envelope that is fresh for ever, without windows, schema, tags and validator, of
    /// a payload that is not compressed.
    #[must_use]
    pub fn new(codec: CodecId, id: EntryId, written: Millis) -> Self {
        Self {
            codec,
            compression: CompressionId::NONE,
            hints: 0,
            fresh_until: Millis::MAX,
            stale_while_revalidate: Millis::ZERO,
            stale_if_error: Millis::ZERO,
            id,
            written,
            load_micros: 0,
            schema: SchemaId::NONE,
            prefix_stamp: None,
            tags: Tags::default(),
            validator: None,
        }
    }

    /// Appends the bytes to store for this payload to `out`, which keeps the bytes that it has.
    ///
    /// Grows `out` at most once, by [`Envelope::encoded_len`]. Copies the payload, and takes time
    /// in proportion to its length.
    pub fn encode(&self, payload: &[u8], out: &mut Vec<u8>) {
        out.reserve(self.encoded_len(payload.len()));
        let begin = out.len();
        out.extend([MAGIC, VERSION, self.codec.0, self.compression.0, self.flags(), self.hints]);
        for millis in [self.fresh_until, self.stale_while_revalidate, self.stale_if_error] {
            out.extend(millis.to_bytes());
        }
        out.extend(self.id.to_bytes());
        out.extend(self.written.to_bytes());
        out.extend(self.load_micros.to_be_bytes());
        out.extend(self.schema.0.to_be_bytes());
        out.extend((payload.len() as u64).to_be_bytes());
        if let Some(stamp) = self.prefix_stamp {
            out.extend(stamp.0.to_be_bytes());
        }
        out.extend_from_slice(self.tags.encoded());
        if let Some(validator) = &self.validator {
            out.extend(validator.len().to_be_bytes());
            out.extend_from_slice(validator.as_bytes());
        }
        out.extend_from_slice(payload);
        let checksum = checksum_of(out.get(begin..).unwrap_or_default());
        out.extend(checksum.to_be_bytes());
    }

    /// The times of the entry, for [`decide`](crate::freshness::decide). An entry that is fresh
    /// until [`Millis::MAX`] has no timeout. Any other time after the last [`WallTime`] becomes
    /// that one.
    ///
    /// ```
    /// use async_caches_core::envelope::{CodecId, EntryId, Envelope, Millis};
    /// use async_caches_core::freshness::{Stage, Windows};
    /// use async_caches_core::time::WallTime;
    /// use core::time::Duration;
    ///
    /// let now = WallTime::from_millis(1_700_000_000_000);
    /// let mut envelope = Envelope::new(CodecId::JSON, EntryId(7), Millis::at(now));
    /// assert_eq!(envelope.meta().fresh_until, None);
    ///
    /// let minute = Duration::from_secs(60);
    /// envelope.fresh_until = Millis::at(now + minute);
    /// assert_eq!(envelope.meta().stage(now, Windows::ANY), Stage::Fresh);
    /// assert_eq!(envelope.meta().expires(), Some(now + minute));
    /// ```
    ///
    /// [`WallTime`]: crate::time::WallTime
    #[must_use]
    pub fn meta(&self) -> Meta {
        Meta {
            written: self.written.to_time(),
            fresh_until: (self.fresh_until < Millis::MAX).then(|| self.fresh_until.to_time()),
            windows: Windows {
                stale_while_revalidate: self.stale_while_revalidate.to_duration(),
                stale_if_error: self.stale_if_error.to_duration(),
            },
            load_cost: Duration::from_micros(self.load_micros.into()),
        }
    }

    /// How many bytes are stored for a payload of this length: at least [`HEADER_LEN`] +
    /// [`CHECKSUM_LEN`] more than it has.
    #[must_use]
    pub fn encoded_len(&self, payload_len: usize) -> usize {
        let prefix_stamp = if self.prefix_stamp.is_some() { 8 } else { 0 };
        let validator = self.validator.as_ref().map_or(0, |it| 2 + it.as_bytes().len());
        let parts = prefix_stamp + self.tags.encoded().len() + validator;
        (HEADER_LEN + parts + CHECKSUM_LEN).saturating_add(payload_len)
    }

    fn flags(&self) -> u8 {
        let flag = |is_there, flag| if is_there { flag } else { 0 };
        flag(self.prefix_stamp.is_some(), PREFIX_STAMP)
            | flag(!self.tags.is_empty(), TAGS)
            | flag(self.validator.is_some(), VALIDATOR)
    }
}

/// The checksum of an envelope that has these bytes before it.
fn checksum_of(covered: &[u8]) -> u32 {
    let before = covered.get(..FRESH_UNTIL.start).unwrap_or_default();
    let behind = covered.get(FRESH_UNTIL.end..).unwrap_or_default();
    checksum::crc32([before, behind])
}

const PREFIX_STAMP: u8 = 1;
const TAGS: u8 = 1 << 1;
const VALIDATOR: u8 = 1 << 2;
const KNOWN: u8 = PREFIX_STAMP | TAGS | VALIDATOR;
