//! The protocol from outside: what a client or a server said, RESP2 or RESP3, whole or partial.
//!
//! The crate `redis-protocol` reads and writes it, so that core is not checked by our own hand. A
//! [`Frame`] is a reply reduced to what tests ask of it. A [`Request`] is a
//! command as a server reads it, and a [`ServerReply`] a reply as a server writes it.
//!
//! It trusts its peers (a real server, our own tests) and sets no limits.

use redis_protocol::resp2::types::RangeFrame as Frame2;
use redis_protocol::resp3::types::RangeFrame as Frame3;
use redis_protocol::{resp2, resp3};

use crate::request::Request;
use crate::server_reply::ServerReply;

/// One reply.
#[derive(Clone, PartialEq, Debug)]
pub enum Frame {
    /// A simple string, a big number, a double or a boolean: the text of one line.
    Line(String),
    /// An error, simple or long.
    Error(String),
    /// An integer.
    Integer(i64),
    /// A bulk string, or the text of a verbatim string.
    Bulk(Vec<u8>),
    /// A null of either protocol.
    Null,
    /// An array, a set, a push or, flattened, a map.
    List(Vec<Frame>),
}

impl Frame {
    /// Returns the frame at the start of `bytes` and its length, or `None` if it is not whole yet.
    /// Attributes are a part of the frame behind them, and left out.
    ///
    /// # Panics
    /// On bytes that are not a frame.
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let (frame, length) = find(bytes)?;
        let frame = match frame {
            Found::Resp2(frame) => Self::of_resp2(&frame, bytes),
            Found::Resp3(frame) => Self::of_resp3(&frame, bytes),
        };
        Some((frame, length))
    }

    /// The text of a line, a bulk or an error.
    ///
    /// # Panics
    /// On any other frame.
    pub fn text(&self) -> String {
        match self {
            Self::Line(text) | Self::Error(text) => text.clone(),
            Self::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Integer(_) | Self::Null | Self::List(_) => panic!("no text: {self:?}"),
        }
    }

    fn of_resp2(frame: &Frame2, bytes: &[u8]) -> Self {
        match frame {
            Frame2::SimpleString(range) => Self::Line(text(*range, bytes)),
            Frame2::Error(range) => Self::Error(text(*range, bytes)),
            Frame2::Integer(number) => Self::Integer(*number),
            Frame2::BulkString(range) => Self::Bulk(bytes[range.0..range.1].to_vec()),
            Frame2::Null => Self::Null,
            Frame2::Array(items) => {
                Self::List(items.iter().map(|item| Self::of_resp2(item, bytes)).collect())
            }
        }
    }

    fn of_resp3(frame: &Frame3, bytes: &[u8]) -> Self {
        let of = |frame: &Frame3| Self::of_resp3(frame, bytes);
        match frame {
            Frame3::SimpleString { data, .. } | Frame3::BigNumber { data, .. } => {
                Self::Line(text(*data, bytes))
            }
            Frame3::Double { data, .. } => Self::Line(data.to_string()),
            Frame3::Boolean { data, .. } => Self::Line(if *data { "t" } else { "f" }.into()),
            Frame3::SimpleError { data, .. } | Frame3::BlobError { data, .. } => {
                Self::Error(text(*data, bytes))
            }
            Frame3::Number { data, .. } => Self::Integer(*data),
            Frame3::BlobString { data, .. } | Frame3::VerbatimString { data, .. } => {
                Self::Bulk(bytes[data.0..data.1].to_vec())
            }
            Frame3::Null => Self::Null,
            Frame3::Array { data, .. } | Frame3::Push { data, .. } => {
                Self::List(data.iter().map(of).collect())
            }
            Frame3::Set { data, .. } => Self::List(data.iter().map(of).collect()),
            // The crate keeps the pairs of a map in reverse.
            Frame3::Map { data, .. } => Self::List(
                data.iter().rev().flat_map(|(key, value)| [of(key), of(value)]).collect(),
            ),
            Frame3::ChunkedString(_) | Frame3::Hello { .. } => panic!("no reply: {frame:?}"),
        }
    }
}

/// Returns the length of the frame at the start of `bytes`, or `None` if it is not whole yet.
///
/// # Panics
/// On bytes that are not a frame.
#[must_use]
pub fn length(bytes: &[u8]) -> Option<usize> {
    find(bytes).map(|(_, length)| length)
}

/// A command as a client sends it: an array of bulk strings.
#[must_use]
pub fn command(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    Request::of(words).to_bytes()
}

/// A bulk string.
#[must_use]
pub fn bulk(body: impl AsRef<[u8]>) -> Vec<u8> {
    ServerReply::Bulk(body.as_ref().to_vec().into()).to_bytes(3)
}

enum Found {
    Resp2(Frame2),
    Resp3(Frame3),
}

/// Finds a frame of RESP3, or one of RESP2 with a null, which RESP3 does not have in that form. All
/// other frames of RESP2 are frames of RESP3.
fn find(bytes: &[u8]) -> Option<(Found, usize)> {
    match resp3::decode::complete::decode_range(bytes) {
        Ok(found) => found.map(|(frame, length)| (Found::Resp3(frame), length)),
        Err(error) => match resp2::decode::decode_range(bytes) {
            Ok(found) => found.map(|(frame, length)| (Found::Resp2(frame), length)),
            Err(_) => {
                let shown = &bytes[..bytes.len().min(SHOWN)];
                panic!("no frame: {error}: {}", shown.escape_ascii())
            }
        },
    }
}

fn text((start, end): (usize, usize), bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[start..end]).into_owned()
}

/// How many bytes a panic shows.
const SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_only_once_it_is_whole() {
        let bulk = |text: &str| Frame::Bulk(text.into());
        let line = |text: &str| Frame::Line(text.into());
        for (bytes, frame) in [
            (
                &b"*3\r\n$2\r\nab\r\n$-1\r\n:7\r\n"[..],
                Frame::List(vec![bulk("ab"), Frame::Null, Frame::Integer(7)]),
            ),
            (b"*2\r\n*-1\r\n+OK\r\n", Frame::List(vec![Frame::Null, line("OK")])),
            (
                b"%2\r\n+role\r\n*2\r\n_\r\n#t\r\n+proto\r\n:3\r\n",
                Frame::List(vec![
                    line("role"),
                    Frame::List(vec![Frame::Null, line("t")]),
                    line("proto"),
                    Frame::Integer(3),
                ]),
            ),
            (
                b"|1\r\n+ttl\r\n:1\r\n~2\r\n,1.5\r\n(12\r\n",
                Frame::List(vec![line("1.5"), line("12")]),
            ),
            (b">2\r\n+message\r\n=6\r\ntxt:ab\r\n", Frame::List(vec![line("message"), bulk("ab")])),
            (b"!6\r\nERR\r\nx\r\n", Frame::Error("ERR\r\nx".into())),
            (b"$-1\r\n", Frame::Null),
        ] {
            for cut in 0..bytes.len() {
                assert_eq!(Frame::parse(&bytes[..cut]), None, "{cut}");
            }
            let behind = [bytes, b"+next"].concat();
            assert_eq!(Frame::parse(&behind), Some((frame, bytes.len())));
            assert_eq!(length(&behind), Some(bytes.len()));
        }
    }

    #[test]
    #[should_panic(expected = "no frame")]
    fn bytes_that_begin_no_frame_are_refused() {
        Frame::parse(b"HTTP/1.1 400 Bad Request\r\n");
    }

    #[test]
    fn a_command_is_an_array_of_bulks() {
        assert_eq!(command(&["GET", "a\n"]), b"*2\r\n$3\r\nGET\r\n$2\r\na\n\r\n");
        assert_eq!(bulk(""), b"$0\r\n\r\n");
    }
}
