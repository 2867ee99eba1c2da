//! Frames as other decoders read them. If the scanner finds a complete frame, nested up to 64 deep,
//! our decoder, the `redis` crate and `redis-protocol` must read the same tree from it, in RESP2
//! and RESP3.
//!
//! Known differences, for which the other decoder is not asked:
//!
//! * `redis` requires lines to be UTF-8, and reads blob errors and verbatim strings lossily. It
//!   requires a push to begin with a string, and accepts no push inside another frame.
//! * `redis-protocol` takes `$-1` and `*-1` for the start of a stream in RESP3, keeps maps and sets
//!   without their order, and refuses elements that it cannot use as keys there.
//! * Both are laxer about numbers, and neither has limits; a frame that our scanner refuses is not
//!   compared at all.
#![no_main]

use async_caches_core::error::ProtocolError;
use async_caches_core::resp::decode::{self, FramePart};
use async_caches_core::resp::kind::Kind;
use async_caches_core::resp::scan::{Limits, Scanner};
use libfuzzer_sys::fuzz_target;
use redis::Value;
use redis_protocol::resp2::types::OwnedFrame as Resp2;
use redis_protocol::resp3::types::OwnedFrame as Resp3;
use redis_protocol::{resp2, resp3};

fuzz_target!(|bytes: &[u8]| {
    let mut scanner = Scanner::new(Limits { depth: 64, ..Limits::default() });
    let mut rest = bytes;
    while let Ok(Some(len)) = scanner.scan(rest) {
        let frame = &rest[..len];
        match decode::first(frame).and_then(|part| own(&part)) {
            Ok(own) => compare(frame, &own),
            // A well-framed frame that makes no sense.
            Err(error) => assert!(matches!(error, ProtocolError::Malformed(_)), "{error}"),
        }
        rest = &rest[len..];
    }
});

fn compare(frame: &[u8], own: &Tree) {
    if str::from_utf8(frame).is_ok() && !own.has_odd_push(true) {
        match redis::parse_redis_value(frame) {
            Ok(value) => assert_eq!(&of_redis(value), own, "{:?}", frame.escape_ascii()),
            Err(error) => assert!(may_fail(frame), "{error}: {}", frame.escape_ascii()),
        }
    }
    if let Ok(Some((value, end))) = resp2::decode::decode(frame)
        && end == frame.len()
    {
        assert_eq!(&of_resp2(value), own, "{:?}", frame.escape_ascii());
    }
    let has_resp2_null = [b"$-1", b"*-1"].iter().any(|null| has(frame, *null));
    if !has_resp2_null
        && !own.has_unordered()
        && let Ok(Some((value, end))) = resp3::decode::complete::decode(frame)
    {
        assert_eq!(end, frame.len());
        assert_eq!(&of_resp3(value), own, "{:?}", frame.escape_ascii());
    }
}

/// A frame without its attributes. Frames that are not the reply to any of our commands are reduced
/// to their kind.
#[derive(PartialEq, Debug)]
enum Tree {
    Null,
    Integer(i64),
    Blob(Vec<u8>),
    Simple(Vec<u8>),
    Error,
    Boolean(bool),
    Other(Kind),
    Many(Kind, Vec<Tree>),
}

impl Tree {
    fn parts(&self) -> &[Tree] {
        if let Self::Many(_, parts) = self { parts } else { &[] }
    }

    /// Whether there is a push inside another frame, or one that does not begin with a string.
    fn has_odd_push(&self, top: bool) -> bool {
        let odd = match self {
            Self::Many(Kind::Push, parts) => {
                !top || !matches!(parts.first(), Some(Self::Blob(_) | Self::Simple(_)))
            }
            _ => false,
        };
        odd || self.parts().iter().any(|part| part.has_odd_push(false))
    }

    fn has_unordered(&self) -> bool {
        matches!(self, Self::Many(Kind::Map | Kind::Set, _))
            || self.parts().iter().any(Self::has_unordered)
    }
}

fn own(part: &FramePart<'_>) -> Result<Tree, ProtocolError> {
    if part.is_null() {
        return Ok(Tree::Null);
    }
    let bytes = || part.bytes().expect("it has text").to_vec();
    Ok(match part.kind() {
        Kind::Integer => Tree::Integer(part.integer().expect("it is one")),
        Kind::Blob => Tree::Blob(bytes()),
        Kind::Simple => Tree::Simple(bytes()),
        Kind::Boolean => Tree::Boolean(part.boolean().expect("it is one")),
        Kind::Error | Kind::BlobError => {
            assert!(part.error().is_some());
            Tree::Error
        }
        kind @ (Kind::Array | Kind::Map | Kind::Set | Kind::Push) => {
            let parts = part.elements().expect("it has elements");
            let count = parts.remaining();
            let parts: Vec<_> = parts.map(|part| own(&part?)).collect::<Result<_, _>>()?;
            assert_eq!(parts.len(), count);
            Tree::Many(kind, parts)
        }
        kind @ (Kind::Double | Kind::Verbatim | Kind::BigNumber) => Tree::Other(kind),
        kind @ (Kind::Null | Kind::Attribute) => panic!("{kind:?}"),
    })
}

/// Whether the frame, or an attribute in it, may contain a double, a verbatim string or a push,
/// whose text the scanner may accept and `redis` refuse.
fn may_fail(frame: &[u8]) -> bool {
    frame.iter().any(|byte| b",=>".contains(byte))
}

fn of_redis(value: Value) -> Tree {
    let many = |kind, parts: Vec<Value>| {
        Tree::Many(kind, parts.into_iter().map(of_redis).collect::<Vec<_>>())
    };
    match value {
        Value::Nil => Tree::Null,
        Value::Int(number) => Tree::Integer(number),
        Value::BulkString(bytes) => Tree::Blob(bytes),
        Value::SimpleString(text) => Tree::Simple(text.into_bytes()),
        Value::Okay => Tree::Simple(b"OK".to_vec()),
        Value::Boolean(is) => Tree::Boolean(is),
        Value::ServerError(_) => Tree::Error,
        Value::Double(_) => Tree::Other(Kind::Double),
        Value::VerbatimString { .. } => Tree::Other(Kind::Verbatim),
        Value::BigNumber(_) => Tree::Other(Kind::BigNumber),
        Value::Array(parts) => many(Kind::Array, parts),
        Value::Set(parts) => many(Kind::Set, parts),
        Value::Map(pairs) => {
            many(Kind::Map, pairs.into_iter().flat_map(|(key, value)| [key, value]).collect())
        }
        Value::Attribute { data, .. } => of_redis(*data),
        Value::Push { kind, data } => {
            // This loses whether it was a blob or a line; our decoder keeps the difference.
            let mut parts = vec![Tree::Blob(kind.to_string().into_bytes())];
            parts.extend(data.into_iter().map(of_redis));
            Tree::Many(Kind::Push, parts)
        }
        other => panic!("{other:?} is new"),
    }
}

fn of_resp2(value: Resp2) -> Tree {
    match value {
        Resp2::SimpleString(text) => Tree::Simple(text),
        Resp2::Error(_) => Tree::Error,
        Resp2::Integer(number) => Tree::Integer(number),
        Resp2::BulkString(bytes) => Tree::Blob(bytes),
        Resp2::Array(parts) => Tree::Many(Kind::Array, parts.into_iter().map(of_resp2).collect()),
        Resp2::Null => Tree::Null,
    }
}

fn of_resp3(value: Resp3) -> Tree {
    let many = |kind, parts: Vec<Resp3>| {
        Tree::Many(kind, parts.into_iter().map(of_resp3).collect::<Vec<_>>())
    };
    match value {
        Resp3::BlobString { data, .. } => Tree::Blob(data),
        Resp3::SimpleString { data, .. } => Tree::Simple(data),
        Resp3::BlobError { .. } | Resp3::SimpleError { .. } => Tree::Error,
        Resp3::Boolean { data, .. } => Tree::Boolean(data),
        Resp3::Null => Tree::Null,
        Resp3::Number { data, .. } => Tree::Integer(data),
        Resp3::Double { .. } => Tree::Other(Kind::Double),
        Resp3::BigNumber { .. } => Tree::Other(Kind::BigNumber),
        Resp3::VerbatimString { .. } => Tree::Other(Kind::Verbatim),
        Resp3::Array { data, .. } => many(Kind::Array, data),
        Resp3::Push { data, .. } => many(Kind::Push, data),
        other => panic!("{other:?} is no frame that a server sends"),
    }
}

fn has(frame: &[u8], part: &[u8]) -> bool {
    frame.windows(part.len()).any(|window| window == part)
}
