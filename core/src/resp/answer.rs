//! Replies as answers: which reply a command expects on the wire, and how to read it.
//!
//! A reply is always removed from the receive buffer whole, even if it is refused, so that the next
//! one is read from its start. A well-formed reply of a shape that the command cannot get is a
//! protocol error, as it may belong to another command. If such a reply contains an error, at any
//! depth, that error is the answer instead.
//!
//! This module does not know which reply belongs to which command; the connection counts.

use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use crate::copies::Copies;
use crate::error::{Failure, ProtocolError};
use crate::number::Number;
use crate::reply::{Answer, Remaining, Reply};
use crate::script;

use super::decode::{self, Elements, FramePart};
use super::kind::Kind;
use super::scan::Expected;

/// The reply that a command expects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expect(pub(super) Shape);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// `OK`.
    Done,
    /// `OK`, in reply to credentials.
    Welcome,
    /// `OK`, this many times.
    DoneMany(usize),
    /// `PONG`, which stands for this: see `encode::command` on no keys.
    Pong(Pong),
    /// A blob or a null.
    Value,
    /// This many blobs or nulls.
    Values(usize),
    /// `OK` or a null.
    Added,
    /// 0 or 1.
    Flag,
    /// 0 or 1, of so many commands, of which the last one counts; `ASKING` may stand between them.
    LastFlag(usize),
    /// 0 or 1, from a script.
    ScriptFlag,
    /// A count of at most this many.
    Count(usize),
    /// The new value of an integer, or the status of a refused addition.
    Integer,
    /// The new value of a double, or the status of a refused addition.
    Float,
    /// Milliseconds, -1 or -2.
    Remaining,
    /// A cursor and keys.
    Scanned,
    /// Any array, as it is.
    Topology,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pong {
    Done,
    NoValues,
    None,
}

impl Expect {
    /// One value, or a null.
    pub(crate) const VALUE: Self = Self(Shape::Value);
    /// A confirmation.
    pub(crate) const DONE: Self = Self(Shape::Done);
    /// A confirmation of the credentials.
    pub(crate) const WELCOME: Self = Self(Shape::Welcome);
    /// What [`Command::Persist`](crate::command::Command::Persist) expects.
    pub(crate) const PERSISTED: Self = Self(Shape::LastFlag(2));
    /// The same, with `ASKING` between the two commands.
    pub(crate) const PERSISTED_ASKING: Self = Self(Shape::LastFlag(3));

    /// How many replies the server sends; at least one. Each is read on its own, and the command
    /// is done when all of them have been read.
    #[inline]
    #[must_use]
    pub fn replies(self) -> usize {
        if let Shape::DoneMany(many) | Shape::LastFlag(many) = self.0 { many } else { 1 }
    }

    /// Whether a reply that is no error says that something was changed, if `left` more are to
    /// come.
    pub(crate) fn changed(self, left: usize) -> bool {
        if let Shape::LastFlag(many) = self.0 { left + 1 == many } else { true }
    }

    /// Whether the expected reply is one value, or a null.
    #[inline]
    pub(crate) fn is_value(self) -> bool {
        self.0 == Shape::Value
    }

    /// The frames that may come as this reply: few replies carry a value.
    #[inline]
    pub(crate) fn expected(self) -> Expected {
        match self.0 {
            Shape::Done
            | Shape::Welcome
            | Shape::DoneMany(_)
            | Shape::Pong(_)
            | Shape::Added
            | Shape::Flag
            | Shape::LastFlag(_)
            | Shape::ScriptFlag
            | Shape::Count(_)
            | Shape::Integer
            | Shape::Float
            | Shape::Remaining => Expected::Small,
            Shape::Value | Shape::Values(_) | Shape::Scanned | Shape::Topology => Expected::Any,
        }
    }

    /// Whether its command is sent as a script.
    pub(crate) const fn is_of_a_script(self) -> bool {
        self.0.is_of_a_script()
    }

    /// Reads the frame of `len` bytes at the start of `rx`, as
    /// [`Scanner::scan`](super::scan::Scanner::scan) found it, and removes it from `rx`.
    ///
    /// Values are copied to `copies` or sliced: see [`decode::SLICED_FROM`].
    ///
    /// # Errors
    /// [`ProtocolError`] if the frame is no possible reply to the command; it is removed from `rx`
    /// all the same.
    #[inline]
    pub fn read(
        self,
        rx: &mut BytesMut,
        len: usize,
        copies: &mut Copies,
    ) -> Result<Answer, ProtocolError> {
        let len = len.min(rx.len());
        let frame = rx.get(..len).unwrap_or_default();
        match decode::first(frame).and_then(|part| self.0.read(&part, copies)) {
            Ok(Read::Value(range)) => {
                Ok(Ok(Reply::Value(Some(decode::take(rx, len, range, copies)))))
            }
            Ok(Read::Values(values)) => Ok(Ok(Reply::Values(values.settle(rx, len)))),
            Ok(Read::Whole) => Ok(Ok(Reply::Topology(decode::take(rx, len, 0..len, copies)))),
            Ok(Read::Answer(answer)) => {
                rx.advance(len);
                Ok(answer)
            }
            Err(error) => {
                rx.advance(len);
                Err(error)
            }
        }
    }
}

/// The result of reading a frame that is still in the buffer.
enum Read {
    Value(Range<usize>),
    Values(Values),
    /// The frame as it is.
    Whole,
    Answer(Answer),
}

impl Shape {
    #[inline]
    fn read(self, part: &FramePart<'_>, copies: &mut Copies) -> Result<Read, ProtocolError> {
        if self == Self::Value
            && let Some(range) = value(part)
        {
            return Ok(Read::Value(range));
        }
        if let Some(error) = part.error() {
            return Ok(Read::Answer(Err(Failure::Server(error))));
        }
        let read = match (self, self.answer(part)) {
            (_, Some(answer)) => return Ok(Read::Answer(answer)),
            (Self::Values(many), None) => Values::read(many, part, copies).map(Read::Values),
            (Self::Topology, None) if array(part).is_some() && part.inner_error().is_none() => {
                return Ok(Read::Whole);
            }
            (_, None) => Err(part.instead_of(self.expected())),
        };
        // A proxy puts an error of one of its servers in the place of that server's part of the
        // reply.
        read.or_else(|broken| match part.inner_error() {
            Some(error) => Ok(Read::Answer(Err(Failure::Server(error)))),
            None => Err(broken),
        })
    }

    fn answer(self, part: &FramePart<'_>) -> Option<Answer> {
        let is = |status: &[u8]| part.kind() == Kind::Simple && part.bytes() == Some(status);
        let reply = match self {
            Self::Done | Self::Welcome | Self::DoneMany(_) if is(b"OK") => Reply::Done,
            Self::Added if is(b"OK") => Reply::Flag(true),
            Self::Added if part.is_null() => Reply::Flag(false),
            Self::Pong(pong) if is(b"PONG") => match pong {
                Pong::Done => Reply::Done,
                Pong::NoValues => Reply::Values(Vec::new()),
                Pong::None => Reply::Count(0),
            },
            Self::Value if part.is_null() => Reply::Value(None),
            Self::LastFlag(3..) if is(b"OK") => Reply::Done,
            Self::Flag | Self::LastFlag(_) | Self::ScriptFlag => match part.integer()? {
                0 => Reply::Flag(false),
                1 => Reply::Flag(true),
                _ => return None,
            },
            Self::Count(most) => {
                let count = u64::try_from(part.integer()?).ok()?;
                if count > most as u64 {
                    return None;
                }
                Reply::Count(count)
            }
            Self::Remaining => Reply::Remaining(match part.integer()? {
                -2 => Remaining::Absent,
                -1 => Remaining::Forever,
                left => Remaining::For(Duration::from_millis(u64::try_from(left).ok()?)),
            }),
            Self::Integer | Self::Float if part.kind() == Kind::Simple => {
                return Some(Err(Failure::Number(script::refusal(part.bytes()?)?)));
            }
            Self::Integer => {
                Reply::Number(Number::Integer(decode::parse::<i64>(part.bytes()?)?.into()))
            }
            Self::Float => {
                let sum = decode::parse(part.bytes()?).filter(|sum: &f64| sum.is_finite())?;
                Reply::Number(Number::Float(sum))
            }
            Self::Scanned => scanned(part)?,
            Self::Done
            | Self::Welcome
            | Self::DoneMany(_)
            | Self::Added
            | Self::Pong(_)
            | Self::Value
            | Self::Values(_)
            | Self::Topology => return None,
        };
        Some(Ok(reply))
    }

    const fn is_of_a_script(self) -> bool {
        match self {
            Self::ScriptFlag | Self::Integer | Self::Float => true,
            Self::Done
            | Self::Welcome
            | Self::DoneMany(_)
            | Self::Pong(_)
            | Self::Value
            | Self::Values(_)
            | Self::Added
            | Self::Flag
            | Self::LastFlag(_)
            | Self::Count(_)
            | Self::Remaining
            | Self::Scanned
            | Self::Topology => false,
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Done | Self::Welcome | Self::DoneMany(_) => "OK",
            Self::Pong(_) => "PONG",
            Self::Value => "a value or a null",
            Self::Values(_) => "as many values and nulls as were asked for",
            Self::Added => "OK or a null",
            Self::Flag | Self::LastFlag(_) | Self::ScriptFlag => "0 or 1",
            Self::Count(_) => "a count of the keys that were named",
            Self::Integer | Self::Float => "a sum or the reason why there is none",
            Self::Remaining => "milliseconds, -1 or -2",
            Self::Scanned => "a cursor and keys",
            Self::Topology => "an array",
        }
    }
}

/// Values of which the large ones have yet to be sliced out of the frame.
struct Values {
    values: Vec<Option<Bytes>>,
    large: Vec<(usize, Range<usize>)>,
}

impl Values {
    fn read(many: usize, part: &FramePart<'_>, copies: &mut Copies) -> Result<Self, ProtocolError> {
        let unexpected = || part.instead_of(Shape::Values(many).expected());
        let elements = array(part).filter(|elements| elements.remaining() == many);
        let mut this = Self { values: Vec::with_capacity(many), large: Vec::new() };
        for (index, element) in elements.ok_or_else(unexpected)?.enumerate() {
            let element = element?;
            this.values.push(match value(&element) {
                None if element.is_null() => None,
                None => return Err(element.instead_of(Shape::Value.expected())),
                Some(range) if range.len() < decode::SLICED_FROM => {
                    element.bytes().map(|bytes| copies.copy(bytes))
                }
                Some(range) => {
                    this.large.push((index, range));
                    None
                }
            });
        }
        Ok(this)
    }

    fn settle(mut self, rx: &mut BytesMut, len: usize) -> Vec<Option<Bytes>> {
        if self.large.is_empty() {
            rx.advance(len);
            return self.values;
        }
        let frame = rx.split_to(len).freeze();
        for (index, range) in self.large {
            if let Some(value) = self.values.get_mut(index) {
                *value = Some(frame.slice(range));
            }
        }
        self.values
    }
}

/// The range of a stored value; a status is not one.
#[inline]
fn value(part: &FramePart<'_>) -> Option<Range<usize>> {
    if part.kind() == Kind::Simple { None } else { part.range() }
}

fn scanned(part: &FramePart<'_>) -> Option<Reply> {
    let mut step = array(part)?;
    let (cursor, keys) = (step.next()?.ok()?, step.next()?.ok()?);
    if step.remaining() > 0 {
        return None;
    }
    let cursor = decode::parse(value(&cursor).and(cursor.bytes())?)?;
    let elements = array(&keys)?;
    // The elements have arrived, so their count can be trusted.
    let mut keys = Vec::with_capacity(elements.remaining());
    for key in elements {
        let key = key.ok()?;
        keys.push(value(&key).and(key.bytes()).map(Bytes::copy_from_slice)?);
    }
    Some(Reply::Scanned { cursor, keys })
}

fn array<'a>(part: &FramePart<'a>) -> Option<Elements<'a>> {
    if part.kind() == Kind::Array { part.elements() } else { None }
}

#[cfg(test)]
mod tests;
