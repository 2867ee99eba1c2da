//! Framing: finds the end of the first frame in a buffer, under limits.
//!
//! The scanner is an automaton over bytes. Every decision is made at the byte that settles it and
//! depends only on the bytes of this frame up to there, so how the bytes were cut into reads can
//! change neither a frame's length nor an error. It remembers how far it has come. It looks at no
//! byte twice, except at the head of a blob, and skips the body of a blob. Its memory is one count
//! for each open aggregate.
//!
//! The caller declares before a frame begins what may come ([`Scanner::expect`]). A requested value
//! may be large. A reply that only confirms a command may not, and neither may an unrequested
//! frame. Pushes and attributes never may.
//!
//! The scanner checks all that framing needs and all that costs nothing extra: lengths, counts,
//! integers, terminators. It does not know what doubles, attributes or pushes mean, nor which frame
//! answers which command.

use alloc::vec::Vec;

use crate::error::ProtocolError;

use super::glance::Blob;
use super::kind::{Kind, Layout};
pub use super::limits::Limits;

/// The frames that may come next, apart from pushes and attributes, which always may.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Expected {
    /// Any frame within the scanner's limits.
    #[default]
    Any,
    /// A frame within [`Limits::SMALL`] as well.
    Small,
    /// No frame: no reply is pending.
    Nothing,
}

/// Finds where the frame at the start of a growing buffer ends.
#[derive(Debug)]
pub struct Scanner {
    /// The limits of the current frame.
    limits: Limits,
    limited: Limited,
    /// The limits of a large frame, a small one and an unrequested one.
    large: Limits,
    small: Limits,
    unasked: Limits,
    expected: Expected,
    /// How many bytes of the current frame have been read.
    at: usize,
    state: State,
    /// How many frames the innermost open aggregate still lacks; the top level lacks one.
    left: usize,
    /// The same for the aggregates around it; at most `limits.depth` long.
    outer: Vec<usize>,
    /// How many frames all aggregates have declared so far.
    total: usize,
    failed: Option<ProtocolError>,
}

/// Which limits apply to a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Limited {
    Large,
    Small,
    Unasked,
}

/// What the next byte should be.
#[derive(Clone, Copy, Debug)]
enum State {
    /// The first byte of a frame.
    Kind,
    /// Free text or the CR behind it; `len` bytes of it have been seen.
    Text { kind: Kind, len: usize },
    /// `t` or `f`.
    Boolean,
    /// A sign or a digit of an integer, or the CR behind it.
    Number { kind: Kind, sign: Sign, value: u64, len: usize },
    /// The first byte of a length or a count.
    Count { kind: Kind },
    /// The `1` of RESP2's null.
    Minus { kind: Kind },
    /// A further digit of a length or a count, or the CR behind it.
    Digits { kind: Kind, limit: u64, value: u64 },
    /// The CR behind the last byte that may stand on a line.
    Cr { kind: Kind, then: Then },
    /// The LF that ends a line.
    Lf { kind: Kind, then: Then },
    /// `left` bytes of a blob; the last two are its line break.
    Body { kind: Kind, left: usize },
}

/// What a line completes when it ends.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// The frame.
    Complete,
    /// The head of a blob of this length, or of an aggregate that counts so many.
    Open(usize),
}

/// How much of an integer has been seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sign {
    /// Nothing.
    Unseen,
    Plus,
    Minus,
}

impl Scanner {
    /// A scanner at the start of a frame.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        // No buffer is longer, and sums of lengths below it cannot overflow.
        const LONGEST: usize = usize::MAX / 8;
        let limits = Limits {
            elements: limits.elements.min(LONGEST),
            total: limits.total.min(LONGEST),
            blob: limits.blob.min(LONGEST),
            frame: limits.frame.min(LONGEST),
            ..limits
        };
        Self {
            limits,
            limited: Limited::Large,
            large: limits,
            small: limits.min(Limits::SMALL),
            unasked: limits.min(Limits::UNASKED),
            expected: Expected::Any,
            at: 0,
            state: State::Kind,
            left: 1,
            outer: Vec::new(),
            total: 0,
            failed: None,
        }
    }

    /// Declares which frames may come from here on. It has no effect on a frame that has begun,
    /// unless only an attribute in front of it has been seen so far.
    #[inline]
    pub fn expect(&mut self, expected: Expected) {
        self.expected = expected;
    }

    /// Returns the length of the frame at the start of `rx`, or `None` until all of it has arrived.
    ///
    /// At each call, `rx` begins where the current frame begins. Once a length was returned the
    /// caller removes that many bytes, and the next call looks for the next frame. An attribute
    /// is a part of the frame behind it. The cost is that of the bytes not seen before.
    ///
    /// # Errors
    /// [`ProtocolError`] at the first byte that no valid frame within the limits has in its
    /// place, and again at every later call: the bytes that follow cannot be framed.
    #[inline]
    pub fn scan(&mut self, rx: &[u8]) -> Result<Option<usize>, ProtocolError> {
        match self.glance(rx) {
            Some(blob) if self.expected == Expected::Any => Ok(Some(blob.next())),
            Some(_) | None => self.scan_source(rx),
        }
    }

    /// The blob at the start of `rx`, if [`scan`](Self::scan) finds one there at a glance.
    #[inline]
    pub(crate) fn glance(&self, rx: &[u8]) -> Option<Blob> {
        if self.at > 0 || self.failed.is_some() {
            return None;
        }
        Blob::at(rx, 0).filter(|blob| blob.is_within(&self.large))
    }

    /// If the last scan ended inside a blob, how many bytes of the blob and its line break are
    /// missing; else zero.
    #[must_use]
    pub fn lacks(&self) -> usize {
        match self.state {
            State::Body { left, .. } => left,
            State::Kind
            | State::Text { .. }
            | State::Boolean
            | State::Number { .. }
            | State::Count { .. }
            | State::Minus { .. }
            | State::Digits { .. }
            | State::Cr { .. }
            | State::Lf { .. } => 0,
        }
    }

    fn scan_source<S: Source + ?Sized>(&mut self, rx: &S) -> Result<Option<usize>, ProtocolError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let found = self.run(rx);
        if let Err(error) = &found {
            self.failed = Some(error.clone());
        }
        found
    }

    /// All transitions. It passes more than one byte at once only for a whole blob found at a
    /// glance, and in the body of any other blob.
    fn run<S: Source + ?Sized>(&mut self, rx: &S) -> Result<Option<usize>, ProtocolError> {
        self.pass_body(rx.len());
        while let Some(byte) = rx.byte(self.at) {
            if self.outer.is_empty() && matches!(self.state, State::Kind) {
                self.begin(byte)?;
            }
            if byte == b'$'
                && matches!(self.state, State::Kind)
                && let Some(blob) = rx.blob(self.at)
                && blob.is_within(&self.limits)
            {
                self.at = blob.next();
                match self.complete() {
                    Some(len) => return Ok(Some(len)),
                    None => continue,
                }
            }
            self.at += 1;
            self.state = match self.state {
                State::Kind => self.open(byte)?,
                State::Text { kind, len } => match byte {
                    b'\r' => State::Lf { kind, then: Then::Complete },
                    b'\n' => return Err(ProtocolError::Unterminated(kind.name())),
                    _ => State::Text { kind, len: self.lengthen(len)? },
                },
                State::Boolean => match byte {
                    b't' | b'f' => State::Cr { kind: Kind::Boolean, then: Then::Complete },
                    _ => return Err(ProtocolError::Malformed(Kind::Boolean.name())),
                },
                State::Number { kind, sign, value, len } => {
                    self.number(kind, sign, value, len, byte)?
                }
                State::Count { kind } => self.count(kind, byte)?,
                State::Minus { kind } => match byte {
                    b'1' => State::Cr { kind, then: Then::Complete },
                    _ => return Err(ProtocolError::NotANumber(kind.count_name())),
                },
                State::Digits { kind, limit, value } => match byte {
                    b'0'..=b'9' => self.digit(kind, limit, value, byte)?,
                    b'\r' => State::Lf { kind, then: Then::Open(saturated(value)) },
                    _ => return Err(ProtocolError::NotANumber(kind.count_name())),
                },
                State::Cr { kind, then } => match byte {
                    b'\r' => State::Lf { kind, then },
                    _ if kind.layout() == Layout::Line => {
                        return Err(ProtocolError::Unterminated(kind.name()));
                    }
                    _ => return Err(ProtocolError::NotANumber(kind.count_name())),
                },
                State::Lf { kind, then } => match (byte, then) {
                    (b'\n', Then::Open(count)) => match kind.layout() {
                        Layout::Blob => {
                            self.state = self.open_blob(kind, count)?;
                            self.pass_body(rx.len());
                            continue;
                        }
                        Layout::Line => State::Kind,
                        Layout::Aggregate { width } if count > 0 => {
                            self.open_aggregate(kind, count.saturating_mul(width))?
                        }
                        // The frame that the attribute belongs to is still to come.
                        Layout::Aggregate { .. } if kind == Kind::Attribute => State::Kind,
                        Layout::Aggregate { .. } => match self.complete() {
                            Some(len) => return Ok(Some(len)),
                            None => State::Kind,
                        },
                    },
                    (b'\n', Then::Complete) => match self.complete() {
                        Some(len) => return Ok(Some(len)),
                        None => State::Kind,
                    },
                    _ => return Err(ProtocolError::Unterminated(kind.name())),
                },
                State::Body { kind, left } => match (left, byte) {
                    (2, b'\r') => State::Body { kind, left: 1 },
                    (1, b'\n') => match self.complete() {
                        Some(len) => return Ok(Some(len)),
                        None => State::Kind,
                    },
                    _ => return Err(ProtocolError::Unterminated(kind.name())),
                },
            };
        }
        Ok(None)
    }

    /// A frame, or an attribute in front of it, begins with this byte.
    #[inline]
    fn begin(&mut self, byte: u8) -> Result<(), ProtocolError> {
        let limited = match self.expected {
            _ if matches!(byte, b'>' | b'|') => Limited::Unasked,
            Expected::Any => Limited::Large,
            Expected::Small => Limited::Small,
            // A byte that begins no frame is a different error, found later.
            Expected::Nothing if Kind::of(byte).is_some() => return Err(ProtocolError::Unasked),
            Expected::Nothing => Limited::Small,
        };
        if limited != self.limited {
            self.limited = limited;
            self.limits = match limited {
                Limited::Large => self.large,
                Limited::Small => self.small,
                Limited::Unasked => self.unasked,
            };
        }
        Ok(())
    }

    /// Skips as much of a blob's body, without its line break, as lies before `end`.
    #[inline]
    fn pass_body(&mut self, end: usize) {
        if let State::Body { kind, left } = self.state {
            let passed = left.saturating_sub(2).min(end.saturating_sub(self.at));
            self.at += passed;
            self.state = State::Body { kind, left: left - passed };
        }
    }

    #[inline]
    fn open(&self, byte: u8) -> Result<State, ProtocolError> {
        let Some(kind) = Kind::of(byte) else {
            return Err(match byte {
                b';' | b'.' => ProtocolError::Streamed,
                _ => ProtocolError::UnknownType(byte),
            });
        };
        within("a frame's length", self.at, self.limits.frame)?;
        Ok(match kind {
            Kind::Blob | Kind::BlobError | Kind::Verbatim => State::Count { kind },
            Kind::Array | Kind::Map | Kind::Set | Kind::Push | Kind::Attribute => {
                if kind == Kind::Push && !self.outer.is_empty() {
                    let (found, expected) = (kind.name(), "an element");
                    return Err(ProtocolError::Unexpected { found, expected });
                }
                within("a nesting depth", self.outer.len() + 1, self.limits.depth)?;
                State::Count { kind }
            }
            Kind::Simple | Kind::Error | Kind::Double => State::Text { kind, len: 0 },
            Kind::Integer | Kind::BigNumber => {
                State::Number { kind, sign: Sign::Unseen, value: 0, len: 0 }
            }
            Kind::Null => State::Cr { kind, then: Then::Complete },
            Kind::Boolean => State::Boolean,
        })
    }

    #[inline]
    fn count(&self, kind: Kind, byte: u8) -> Result<State, ProtocolError> {
        match byte {
            b'1'..=b'9' => {
                let limit = match kind.layout() {
                    Layout::Line => 0,
                    Layout::Blob => self.limits.blob,
                    Layout::Aggregate { width } => self.limits.elements / width,
                };
                self.digit(kind, limit as u64, 0, byte)
            }
            b'0' => Ok(State::Cr { kind, then: Then::Open(0) }),
            b'-' if matches!(kind, Kind::Blob | Kind::Array) => Ok(State::Minus { kind }),
            b'?' => Err(ProtocolError::Streamed),
            _ => Err(ProtocolError::NotANumber(kind.count_name())),
        }
    }

    #[inline]
    fn digit(&self, kind: Kind, limit: u64, value: u64, byte: u8) -> Result<State, ProtocolError> {
        let value = value.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
        if value > limit {
            return Err(ProtocolError::TooLarge { what: kind.count_name(), value, limit });
        }
        Ok(State::Digits { kind, limit, value })
    }

    /// Takes the next byte of an integer; the protocol lets one begin with a plus sign or zeros.
    fn number(
        &self,
        kind: Kind,
        sign: Sign,
        value: u64,
        len: usize,
        byte: u8,
    ) -> Result<State, ProtocolError> {
        let signed = usize::from(sign != Sign::Unseen);
        match byte {
            b'-' if len == 0 => {
                Ok(State::Number { kind, sign: Sign::Minus, value, len: self.lengthen(len)? })
            }
            b'+' if len == 0 => {
                Ok(State::Number { kind, sign: Sign::Plus, value, len: self.lengthen(len)? })
            }
            b'0'..=b'9' => {
                let len = self.lengthen(len)?;
                let value = value.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
                let limit = match sign {
                    Sign::Minus => i64::MIN.unsigned_abs(),
                    Sign::Plus | Sign::Unseen => i64::MAX.unsigned_abs(),
                };
                if kind == Kind::Integer && value > limit {
                    return Err(ProtocolError::TooLarge { what: kind.name(), value, limit });
                }
                Ok(State::Number { kind, sign, value, len })
            }
            b'\r' if len > signed => Ok(State::Lf { kind, then: Then::Complete }),
            _ => Err(ProtocolError::NotANumber(kind.name())),
        }
    }

    #[inline]
    fn open_blob(&self, kind: Kind, len: usize) -> Result<State, ProtocolError> {
        within("a frame's length", self.at + len, self.limits.frame)?;
        Ok(State::Body { kind, left: len + 2 })
    }

    fn open_aggregate(&mut self, kind: Kind, elements: usize) -> Result<State, ProtocolError> {
        self.total += elements;
        within("a frame's count of elements", self.total, self.limits.total)?;
        if kind != Kind::Attribute {
            self.left -= 1;
        }
        self.outer.push(self.left);
        self.left = elements;
        Ok(State::Kind)
    }

    /// Counts a complete frame, and every aggregate that it completes. Returns the length of the
    /// outermost frame if that is complete.
    #[inline]
    fn complete(&mut self) -> Option<usize> {
        self.left -= 1;
        while self.left == 0 {
            let Some(left) = self.outer.pop() else {
                let len = self.at;
                self.at = 0;
                self.state = State::Kind;
                self.left = 1;
                self.total = 0;
                return Some(len);
            };
            self.left = left;
        }
        None
    }

    #[inline]
    fn lengthen(&self, len: usize) -> Result<usize, ProtocolError> {
        within("a line", len + 1, self.limits.line)?;
        Ok(len + 1)
    }
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// A source of bytes: a slice, or in tests one that counts accesses.
trait Source {
    fn len(&self) -> usize;
    fn byte(&self, at: usize) -> Option<u8>;
    fn blob(&self, at: usize) -> Option<Blob>;
}

impl Source for [u8] {
    #[inline]
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.get(at).copied()
    }

    #[inline]
    fn blob(&self, at: usize) -> Option<Blob> {
        Blob::at(self, at)
    }
}

#[inline]
fn within(what: &'static str, value: usize, limit: usize) -> Result<(), ProtocolError> {
    if value > limit {
        let (value, limit) = (value as u64, limit as u64);
        return Err(ProtocolError::TooLarge { what, value, limit });
    }
    Ok(())
}

fn saturated(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
