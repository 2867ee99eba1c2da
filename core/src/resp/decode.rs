//! Reads complete frames: finds what a frame holds, and copies no more than is kept.
//!
//! All functions expect frames that [`scan`](super::scan) found complete, and return a typed error
//! if one is not. Nothing recurses.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use crate::copies::Copies;
use crate::error::{ProtocolError, ServerError};
use crate::shown::Shown;

use super::glance::Blob;
use super::kind::{Kind, Layout};

/// A frame inside a buffer: its kind, and the place of its content. Attributes are left out.
#[derive(Clone, Copy, Debug)]
pub struct FramePart<'a> {
    frame: &'a [u8],
    kind: Kind,
    content: Content,
}

#[derive(Clone, Copy, Debug)]
enum Content {
    Null,
    /// A line's text or a blob's body.
    Bytes {
        start: usize,
        end: usize,
    },
    /// This many frames, the first at `at`.
    Frames {
        count: usize,
        at: usize,
    },
}

impl Content {
    #[inline]
    fn range(self) -> Option<Range<usize>> {
        match self {
            Self::Bytes { start, end } => Some(start..end),
            Self::Null | Self::Frames { .. } => None,
        }
    }
}

/// Reads the complete frame at the start of `frame`, passing over its attributes.
///
/// # Errors
/// [`ProtocolError`] if there is no complete frame.
#[inline]
pub fn first(frame: &[u8]) -> Result<FramePart<'_>, ProtocolError> {
    Ok(part(frame, 0)?.0)
}

/// Whether the complete frame at the start of `frame` is a push, which replies to no command.
#[inline]
#[must_use]
pub fn is_push(frame: &[u8]) -> bool {
    match frame.first() {
        Some(b'>') => true,
        Some(b'|') => first(frame).is_ok_and(|part| part.kind == Kind::Push),
        Some(_) | None => false,
    }
}

/// The error that a server sent, if `frame` is one.
///
/// # Errors
/// [`ProtocolError`] if there is no complete frame.
pub fn error(frame: &[u8]) -> Result<Option<ServerError>, ProtocolError> {
    Ok(first(frame)?.error())
}

/// The top-level elements of the aggregate at the start of `frame`; of a map, keys and values in
/// turn.
///
/// # Errors
/// [`ProtocolError::Unexpected`] if the frame is no aggregate.
pub fn elements(frame: &[u8]) -> Result<Elements<'_>, ProtocolError> {
    let part = first(frame)?;
    part.elements().ok_or_else(|| part.instead_of("an aggregate"))
}

impl<'a> FramePart<'a> {
    /// The kind of the frame; a RESP2 null is a blob or an array.
    #[inline]
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is a null, of either protocol.
    #[inline]
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }

    /// The content of a simple string, a blob or a verbatim string (without its format).
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> Option<&'a [u8]> {
        self.frame.get(self.range()?)
    }

    /// The range of [`bytes`](Self::bytes) in the frame.
    #[inline]
    #[must_use]
    pub fn range(&self) -> Option<Range<usize>> {
        let is_text = matches!(self.kind, Kind::Blob | Kind::Simple | Kind::Verbatim);
        if is_text { self.content.range() } else { None }
    }

    /// The value of an integer.
    #[inline]
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        if self.kind == Kind::Integer { parse(self.raw()?) } else { None }
    }

    /// The value of a boolean.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        if self.kind == Kind::Boolean { Some(self.raw()? == b"t") } else { None }
    }

    /// The error, if this is one.
    #[must_use]
    pub fn error(&self) -> Option<ServerError> {
        let is_error = matches!(self.kind, Kind::Error | Kind::BlobError);
        if is_error { self.raw().map(ServerError::parse) } else { None }
    }

    /// The first error inside this aggregate, at any depth. Errors inside attributes do not count.
    /// Costs a look at each frame in it.
    #[cold]
    pub(crate) fn inner_error(&self) -> Option<ServerError> {
        let Content::Frames { count: mut pending, mut at } = self.content else { return None };
        while pending > 0 {
            let (kind, content, next) = head(self.frame, at).ok()?;
            at = next;
            match content {
                Content::Frames { count, .. } if kind == Kind::Attribute => {
                    at = pass(self.frame, at, count).ok()?;
                    continue;
                }
                Content::Frames { count, .. } => pending = pending.saturating_add(count),
                Content::Null | Content::Bytes { .. } => {
                    let part = FramePart { frame: self.frame, kind, content };
                    if let Some(error) = part.error() {
                        return Some(error);
                    }
                }
            }
            pending -= 1;
        }
        None
    }

    /// The elements of an aggregate; of a map, keys and values in turn.
    #[must_use]
    pub fn elements(&self) -> Option<Elements<'a>> {
        match self.content {
            Content::Frames { count, at } => {
                Some(Elements { frame: self.frame, at, pending: 0, left: count })
            }
            Content::Null | Content::Bytes { .. } => None,
        }
    }

    fn raw(&self) -> Option<&'a [u8]> {
        self.frame.get(self.content.range()?)
    }

    /// The protocol error for this frame in the place of `expected`.
    #[cold]
    pub(crate) fn instead_of(&self, expected: &'static str) -> ProtocolError {
        let found = if self.is_null() { Kind::Null.name() } else { self.kind.name() };
        ProtocolError::Unexpected { found, expected }
    }
}

/// The elements of one aggregate, in order. Frames inside an element are skipped.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    frame: &'a [u8],
    at: usize,
    /// How many frames the last element holds, which are skipped before the next one.
    pending: usize,
    left: usize,
}

impl Elements<'_> {
    /// How many elements are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.left
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<FramePart<'a>, ProtocolError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let read = pass(self.frame, self.at, self.pending).and_then(|at| part(self.frame, at));
        match read {
            Ok((part, next)) => {
                self.at = next;
                self.pending = match part.content {
                    Content::Frames { count, .. } => count,
                    Content::Null | Content::Bytes { .. } => 0,
                };
                Some(Ok(part))
            }
            Err(error) => {
                self.left = 0;
                Some(Err(error))
            }
        }
    }
}

/// A server's description of itself in its reply to HELLO.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Hello {
    /// Its name, such as `redis` or `valkey`; empty if the reply does not contain it.
    pub server: String,
    /// Its version; empty if the reply does not contain it.
    pub version: String,
    /// The version of the protocol that it speaks from now on: 2 or 3.
    pub proto: u8,
    /// `standalone`, `sentinel` or `cluster`, if the reply contains it.
    pub mode: Option<String>,
    /// `master` or `replica`, if the reply contains it.
    pub role: Option<String>,
}

/// Reads the reply to HELLO: a map, or the flat array that RESP2 has in its place.
///
/// Unknown fields are skipped; texts are cut after 64 bytes, and escaped ([`Shown`]).
///
/// # Errors
/// [`ProtocolError::Unexpected`] if it is another frame or does not name a protocol version that
/// this client knows. See [`error`] for the error that may come instead.
pub fn hello(frame: &[u8]) -> Result<Hello, ProtocolError> {
    const EXPECTED: &str = "an answer to HELLO";
    let whole = first(frame)?;
    let is_hello = matches!(whole.kind, Kind::Map | Kind::Array);
    let fields = if is_hello { whole.elements() } else { None };
    let mut fields = fields.ok_or_else(|| whole.instead_of(EXPECTED))?;
    let (mut server, mut version, mut mode, mut role, mut proto) = (None, None, None, None, None);
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let (name, value) = (name?, value?);
        match name.bytes() {
            Some(b"server") => server = value.bytes().map(text),
            Some(b"version") => version = value.bytes().map(text),
            Some(b"mode") => mode = value.bytes().map(text),
            Some(b"role") => role = value.bytes().map(text),
            Some(b"proto") => proto = value.integer(),
            Some(_) | None => {}
        }
    }
    let proto = match proto {
        Some(2) => 2,
        Some(3) => 3,
        Some(_) | None => {
            let found = "an unknown version of the protocol";
            return Err(ProtocolError::Unexpected { found, expected: EXPECTED });
        }
    };
    let (server, version) = (server.unwrap_or_default(), version.unwrap_or_default());
    Ok(Hello { server, version, proto, mode, role })
}

/// A message that a server sent unrequested. Its `Debug` output shows its length and not its
/// content, which may include anything that the server stores.
///
/// ```
/// use async_caches_core::connection::{Invalidated, Push};
/// use bytes::Bytes;
///
/// let frame = Bytes::from_static(b">2\r\n$10\r\ninvalidate\r\n*1\r\n$8\r\n::user:1\r\n");
/// let push = Push { kind: frame.slice(9..19), frame };
/// assert_eq!(push.kind, "invalidate");
/// match push.invalidated() {
///     Some(Invalidated::Keys(keys)) => assert_eq!(keys, [b"::user:1"]),
///     other => panic!("it names a key: {other:?}"),
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Push {
    /// The kind of message, such as `invalidate` or `message`.
    pub kind: Bytes,
    /// The whole frame, with its attributes.
    pub frame: Bytes,
}

/// Reads a push. A small frame is copied, so that keeping it pins no receive buffer.
///
/// # Errors
/// [`ProtocolError::Unexpected`] if it is another frame, or one that does not begin with a string.
pub fn push(frame: Bytes) -> Result<Push, ProtocolError> {
    let kind = check_push(&frame)?;
    let frame = if frame.len() < SLICED_FROM { Bytes::copy_from_slice(&frame) } else { frame };
    Ok(Push { kind: frame.slice(kind), frame })
}

/// The range of a push's kind in its frame. Finds every error that [`push`] does.
///
/// # Errors
/// As [`push`].
pub(crate) fn check_push(frame: &[u8]) -> Result<Range<usize>, ProtocolError> {
    let whole = first(frame)?;
    let elements = if whole.kind == Kind::Push { whole.elements() } else { None };
    let mut elements = elements.ok_or_else(|| whole.instead_of("a push"))?;
    let kind = elements.next().ok_or(ProtocolError::Malformed(Kind::Push.name()))??;
    kind.range().ok_or_else(|| kind.instead_of("the kind of a push"))
}

/// The content of a push of the kind `invalidate`.
///
/// ```
/// use async_caches_core::connection::{Invalidated, Push};
/// use bytes::Bytes;
///
/// let frame = Bytes::from_static(b">2\r\n$10\r\ninvalidate\r\n_\r\n"); // after FLUSHDB
/// let push = Push { kind: Bytes::from("invalidate"), frame };
/// assert!(matches!(push.invalidated(), Some(Invalidated::All)));
/// ```
#[derive(Clone, Debug)]
pub enum Invalidated<'a> {
    /// All keys may have changed: the database was flushed.
    All,
    /// These keys have changed, have expired or were evicted.
    Keys(Vec<&'a [u8]>),
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("len", &self.frame.len()).finish_non_exhaustive()
    }
}

impl Push {
    /// The whole keys that have changed, as `prefix:version:name`, if this is such a push.
    #[must_use]
    pub fn invalidated(&self) -> Option<Invalidated<'_>> {
        if self.kind != "invalidate" {
            return None;
        }
        let said = self.payload().ok()?.next()?.ok()?;
        if said.is_null() {
            return Some(Invalidated::All);
        }
        let keys = said.elements()?.map(|key| key.ok()?.bytes()).collect::<Option<_>>()?;
        Some(Invalidated::Keys(keys))
    }

    /// The payload: all elements behind its kind.
    ///
    /// # Errors
    /// [`ProtocolError`] if [`frame`](Self::frame) is no whole push; a push that [`push`] read is
    /// one.
    pub fn payload(&self) -> Result<Elements<'_>, ProtocolError> {
        let mut elements = elements(&self.frame)?;
        let missing = ProtocolError::Malformed(Kind::Push.name());
        elements.next().ok_or(missing)?.map(|_| elements)
    }
}

/// A value of at least this many bytes is a slice of the receive buffer; a shorter one is a copy.
///
/// A slice keeps the whole block alive that it was read into, so it must be worth it: copying
/// 16 KiB costs about as much as allocating a new block for the next read.
pub const SLICED_FROM: usize = 16 * 1024;

/// Takes `range` out of a frame of `len` bytes at the start of `rx`, and removes the frame from
/// `rx`.
#[inline(always)]
pub(crate) fn take(
    rx: &mut BytesMut,
    len: usize,
    range: Range<usize>,
    copies: &mut Copies,
) -> Bytes {
    if range.len() >= SLICED_FROM {
        rx.split_to(len.min(rx.len())).freeze().slice(range)
    } else {
        let value = copies.copy(rx.get(range).unwrap_or_default());
        rx.advance(len.min(rx.len()));
        value
    }
}

/// Parses a number, with or without a sign, if it fits the type.
#[inline]
pub(super) fn parse<T: core::str::FromStr>(digits: &[u8]) -> Option<T> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// The frame at `at` behind its attributes, and the offset of its first element or of the next
/// frame.
#[inline]
fn part(frame: &[u8], mut at: usize) -> Result<(FramePart<'_>, usize), ProtocolError> {
    loop {
        let (kind, content, next) = head(frame, at)?;
        match content {
            Content::Frames { count, .. } if kind == Kind::Attribute => {
                at = pass(frame, next, count)?;
            }
            Content::Null | Content::Bytes { .. } | Content::Frames { .. } => {
                return Ok((FramePart { frame, kind, content }, next));
            }
        }
    }
}

/// The offset behind `pending` frames from `at` on.
#[inline]
fn pass(frame: &[u8], mut at: usize, mut pending: usize) -> Result<usize, ProtocolError> {
    while pending > 0 {
        let (kind, content, next) = head(frame, at)?;
        at = next;
        if kind != Kind::Attribute {
            pending -= 1;
        }
        if let Content::Frames { count, .. } = content {
            pending = pending.saturating_add(count);
        }
    }
    Ok(at)
}

/// The frame at `at`, and the offset of the next one: for an aggregate, its first element.
#[inline]
fn head(frame: &[u8], at: usize) -> Result<(Kind, Content, usize), ProtocolError> {
    if let Some(blob) = Blob::at(frame, at) {
        let content = Content::Bytes { start: blob.start, end: blob.end };
        return Ok((Kind::Blob, content, blob.next()));
    }
    let byte = *frame.get(at).ok_or(INCOMPLETE)?;
    let kind = Kind::of(byte).ok_or(ProtocolError::UnknownType(byte))?;
    let start = at + 1;
    let line = frame.get(start..).ok_or(INCOMPLETE)?;
    let line = line.iter().position(|&byte| byte == b'\r').and_then(|end| line.get(..end));
    let line = line.ok_or(INCOMPLETE)?;
    let (end, next) = (start + line.len(), start + line.len() + 2);
    let (content, next) = match kind.layout() {
        Layout::Line if kind == Kind::Null => (Content::Null, next),
        Layout::Line => (Content::Bytes { start, end }, next),
        Layout::Blob | Layout::Aggregate { .. } if line == b"-1" => (Content::Null, next),
        Layout::Blob => {
            let len: usize = parse(line).ok_or(ProtocolError::NotANumber(kind.count_name()))?;
            let end = next.checked_add(len).filter(|&end| frame.get(end).is_some());
            let end = end.ok_or(INCOMPLETE)?;
            let start = if kind == Kind::Verbatim { behind_format(frame, next)? } else { next };
            if end < start {
                return Err(ProtocolError::Malformed(kind.name()));
            }
            (Content::Bytes { start, end }, end + 2)
        }
        Layout::Aggregate { width } => {
            let count: usize = parse(line).ok_or(ProtocolError::NotANumber(kind.count_name()))?;
            (Content::Frames { count: count.saturating_mul(width), at: next }, next)
        }
    };
    if next > frame.len() {
        return Err(INCOMPLETE);
    }
    Ok((kind, content, next))
}

/// The offset of a verbatim string's text: behind three letters and a colon.
fn behind_format(frame: &[u8], start: usize) -> Result<usize, ProtocolError> {
    match frame.get(start + 3) {
        Some(b':') => Ok(start + 4),
        Some(_) | None => Err(ProtocolError::Malformed(Kind::Verbatim.name())),
    }
}

fn text(bytes: &[u8]) -> String {
    const KEPT: usize = 64;
    let text = String::from_utf8_lossy(bytes.get(..KEPT).unwrap_or(bytes));
    Shown(&text, KEPT).to_string()
}

const INCOMPLETE: ProtocolError = ProtocolError::Unterminated("a frame");

#[cfg(test)]
mod tests;
