//! Core beside `redis-protocol`, which shares no code with it: that crate reads every command that
//! core writes, and writes every reply that core reads.
//!
//! Each command and each kind of frame has a row in a table here. Without one, a new command or
//! kind fails to compile ([`named!`]), or fails the test of its table. The fuzz targets `encode`,
//! `replies` and `frames` have no such tables: they take random commands, replies and bytes, and
//! compare how two decoders read them, for as long as they run.

mod answers;
mod commands;
mod greetings;
mod replies;

use std::vec::Vec;

use bytes::BytesMut;
use redis_protocol::resp2::decode::decode_bytes_mut;
use redis_protocol::resp2::encode::extend_encode;
use redis_protocol::resp2::types::BytesFrame;

/// The words of one request.
type Words = Vec<Vec<u8>>;

/// Defines a function that returns the name of an enum's variant, and the list of all those names.
/// It fails to compile if a variant is missing.
macro_rules! named {
    ($name:ident($of:ty), $all:ident: $enum:ident::{$($variant:ident),+ $(,)?}) => {
        pub(super) const $all: &[&str] = &[$(stringify!($variant)),+];

        pub(super) fn $name(of: &$of) -> &'static str {
            match of {
                $($enum::$variant { .. } => stringify!($variant),)+
            }
        }
    };
}
use named;

/// The requests in `sent`, as `redis-protocol` reads them. Asserts that nothing is left over.
fn requests(sent: &[u8]) -> Vec<Words> {
    let (mut rest, mut requests) = (BytesMut::from(sent), Vec::new());
    while !rest.is_empty() {
        let found = decode_bytes_mut(&mut rest).expect("it is a frame");
        let (frame, _, taken) = found.expect("it is whole");
        // The crate does not look at the line end behind a bulk string: write it again, and
        // compare.
        let mut again = BytesMut::new();
        extend_encode(&mut again, &frame, false).unwrap();
        assert!(again == taken, "no canonical form: {}", taken.escape_ascii());
        let BytesFrame::Array(words) = frame else { panic!("no array: {frame:?}") };
        let words = words.iter().map(|word| {
            let BytesFrame::BulkString(bytes) = word else { panic!("no bulk string: {word:?}") };
            bytes.to_vec()
        });
        requests.push(words.collect());
    }
    requests
}

fn words(words: &[&[u8]]) -> Words {
    words.iter().map(|word| word.to_vec()).collect()
}
