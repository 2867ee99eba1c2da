//! The kinds of frame that RESP2 and RESP3 know, by their first byte.
//!
//! Streamed strings and aggregates are missing: a server sends them only to a client that
//! asked for them, and this one never does.

/// A kind of frame.
///
/// Source: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `+`: a line of text.
    Simple,
    /// `-`: a line with an error.
    Error,
    /// `:`: an `i64`.
    Integer,
    /// `$`: bytes, or RESP2's null.
    Blob,
    /// `*`: frames in order, or RESP2's null.
    Array,
    /// `_`: null.
    Null,
    /// `,`: a double.
    Double,
    /// `#`: true or false.
    Boolean,
    /// `!`: bytes with an error.
    BlobError,
    /// `=`: bytes with a three-letter format in front.
    Verbatim,
    /// `(`: an integer of any size.
    BigNumber,
    /// `%`: pairs of frames.
    Map,
    /// `~`: frames in no order.
    Set,
    /// `>`: an unrequested message, as frames in order; only at the top level.
    Push,
    /// `|`: pairs of frames with auxiliary data about the frame behind them, of which they are a
    /// part.
    Attribute,
}

/// How a kind of frame is laid out behind its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    /// One line.
    Line,
    /// A line with a length, that many bytes, and a line break.
    Blob,
    /// A line with a count, and `width` frames for each one counted.
    Aggregate { width: usize },
}

impl Kind {
    /// The kind that begins with `byte`, if there is one.
    #[inline]
    #[must_use]
    pub const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            b'$' => Self::Blob,
            b'+' => Self::Simple,
            b':' => Self::Integer,
            b'*' => Self::Array,
            b'_' => Self::Null,
            b'-' => Self::Error,
            b',' => Self::Double,
            b'#' => Self::Boolean,
            b'!' => Self::BlobError,
            b'=' => Self::Verbatim,
            b'(' => Self::BigNumber,
            b'%' => Self::Map,
            b'~' => Self::Set,
            b'>' => Self::Push,
            b'|' => Self::Attribute,
            _ => return None,
        })
    }

    /// Its name in an error, with its article.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Simple => "a simple string",
            Self::Error => "an error",
            Self::Integer => "an integer",
            Self::Blob => "a blob",
            Self::Array => "an array",
            Self::Null => "a null",
            Self::Double => "a double",
            Self::Boolean => "a boolean",
            Self::BlobError => "a blob error",
            Self::Verbatim => "a verbatim string",
            Self::BigNumber => "a big number",
            Self::Map => "a map",
            Self::Set => "a set",
            Self::Push => "a push",
            Self::Attribute => "an attribute",
        }
    }

    #[inline]
    pub(super) const fn layout(self) -> Layout {
        match self {
            Self::Blob | Self::BlobError | Self::Verbatim => Layout::Blob,
            Self::Array | Self::Set | Self::Push => Layout::Aggregate { width: 1 },
            Self::Map | Self::Attribute => Layout::Aggregate { width: 2 },
            Self::Simple
            | Self::Error
            | Self::Integer
            | Self::Null
            | Self::Double
            | Self::Boolean
            | Self::BigNumber => Layout::Line,
        }
    }

    /// The name in an error of the number behind the first byte.
    pub(super) const fn count_name(self) -> &'static str {
        match self.layout() {
            Layout::Line => self.name(),
            Layout::Blob => "a blob's length",
            Layout::Aggregate { .. } => "an aggregate's count",
        }
    }
}
