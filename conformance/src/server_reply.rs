//! A server's replies: as values, and as bytes of either protocol.
//!
//! The crate `redis-protocol` encodes them, so that our decoder is not checked by our own hand. The
//! simulated servers and the scripted [peers](crate::peer) write their replies here.

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::types::BytesFrame as Frame2;
use redis_protocol::resp3::types::BytesFrame as Frame3;
use redis_protocol::{resp2, resp3};

/// A reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerReply {
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
    List(Vec<ServerReply>),
    /// A map; flattened in RESP2.
    Map(Vec<(ServerReply, ServerReply)>),
}

impl ServerReply {
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
    ///
    /// # Panics
    /// Never: every reply has a form in both.
    pub fn write(&self, protocol: u8, out: &mut Vec<u8>) {
        let mut bytes = BytesMut::new();
        let written = match protocol {
            2 => resp2::encode::extend_encode(&mut bytes, &self.resp2(), false),
            _ => resp3::encode::complete::extend_encode(&mut bytes, &self.resp3(), false),
        };
        written.expect("a reply has a form");
        out.extend_from_slice(&bytes);
    }

    /// The reply as bytes of this protocol, 2 or 3.
    #[must_use]
    pub fn to_bytes(&self, protocol: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(protocol, &mut bytes);
        bytes
    }

    fn resp2(&self) -> Frame2 {
        match self {
            Self::Status(text) => Frame2::SimpleString(Bytes::from_static(text.as_bytes())),
            Self::Error(text) => Frame2::Error(text.as_str().into()),
            Self::Integer(number) => Frame2::Integer(*number),
            Self::Bulk(bytes) => Frame2::BulkString(bytes.clone()),
            Self::Null => Frame2::Null,
            Self::List(items) => Frame2::Array(items.iter().map(Self::resp2).collect()),
            Self::Map(pairs) => {
                let items = pairs.iter().flat_map(|(key, value)| [key.resp2(), value.resp2()]);
                Frame2::Array(items.collect())
            }
        }
    }

    fn resp3(&self) -> Frame3 {
        let attributes = None;
        match self {
            Self::Status(text) => {
                Frame3::SimpleString { data: Bytes::from_static(text.as_bytes()), attributes }
            }
            Self::Error(text) => Frame3::SimpleError { data: text.as_str().into(), attributes },
            Self::Integer(number) => Frame3::Number { data: *number, attributes },
            Self::Bulk(bytes) => Frame3::BlobString { data: bytes.clone(), attributes },
            Self::Null => Frame3::Null,
            Self::List(items) => {
                Frame3::Array { data: items.iter().map(Self::resp3).collect(), attributes }
            }
            Self::Map(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| (key.resp3(), value.resp3()));
                Frame3::Map { data: pairs.collect(), attributes }
            }
        }
    }
}
