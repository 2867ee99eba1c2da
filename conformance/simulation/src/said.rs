//! A server's replies: as values, and as bytes of either protocol.

use std::io::Write as _;

use bytes::Bytes;

/// A reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// One line.
    Status(&'static str),
    /// An error: its kind, and the text after it.
    Error(String),
    /// An integer.
    Integer(i64),
    /// A bulk string.
    Bulk(Bytes),
    /// A null.
    Null,
    /// An array.
    List(Vec<Said>),
    /// A map; flattened in RESP2.
    Map(Vec<(Said, Said)>),
}

impl Said {
    /// `OK`.
    pub const OK: Self = Self::Status("OK");

    /// An error of this text.
    #[must_use]
    pub fn error(text: impl Into<String>) -> Self {
        Self::Error(text.into())
    }

    /// A bulk string of this text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Appends the reply as bytes of this protocol, 2 or 3.
    pub fn write(&self, protocol: u8, out: &mut Vec<u8>) {
        match self {
            Self::Status(text) => line(out, '+', text),
            Self::Error(text) => line(out, '-', text),
            Self::Integer(number) => line(out, ':', number),
            Self::Bulk(bytes) => {
                line(out, '$', bytes.len());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Self::Null if protocol == 2 => out.extend_from_slice(b"$-1\r\n"),
            Self::Null => out.extend_from_slice(b"_\r\n"),
            Self::List(items) => {
                line(out, '*', items.len());
                items.iter().for_each(|item| item.write(protocol, out));
            }
            Self::Map(pairs) => {
                match protocol {
                    2 => line(out, '*', 2 * pairs.len()),
                    _ => line(out, '%', pairs.len()),
                }
                for (key, value) in pairs {
                    key.write(protocol, out);
                    value.write(protocol, out);
                }
            }
        }
    }
}

fn line(out: &mut Vec<u8>, kind: char, rest: impl std::fmt::Display) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{kind}{rest}\r\n");
}
