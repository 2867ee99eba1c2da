//! Arbitrary bytes as frames. Nothing may panic, recurse or read past a frame. If both the scanner
//! and `redis-protocol` find a frame, they must agree on its end.
#![no_main]

use async_caches_core::command::Command;
use async_caches_core::command::TopologyForm;
use async_caches_core::copies::Copies;
use async_caches_core::key::{KeySpace, Names};
use async_caches_core::number::Number;
use async_caches_core::resp::answer::Expect;
use async_caches_core::resp::decode;
use async_caches_core::resp::scan::{Limits, Scanner};
use async_caches_core::ttl::Expiry;
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use redis_protocol::resp3::decode::complete;

fuzz_target!(|bytes: &[u8]| {
    let _ = decode::first(bytes);
    let _ = decode::hello(bytes);
    let _ =
        decode::push(Bytes::copy_from_slice(bytes)).map(|push| push.payload().map(Iterator::count));

    // `redis-protocol` recurses, and sanitizers leave less room on the stack.
    let mut scanner = Scanner::new(Limits { depth: 8, ..Limits::default() });
    let mut rest = bytes;
    while let Ok(Some(len)) = scanner.scan(rest) {
        assert!(0 < len && len <= rest.len(), "a frame of {len} bytes in {}", rest.len());
        let frame = &rest[..len];
        let holds_resp2_null = [b"$-1\r\n", b"*-1\r\n"]
            .iter()
            .any(|null| frame.windows(5).any(|window| window == *null));
        if !holds_resp2_null && let Ok(Some((_, end))) = complete::decode_range(frame) {
            assert_eq!(end, len, "the scanner and the decoder disagree");
        }
        assert_eq!(decode::is_push(rest), decode::is_push(frame));
        if let Ok(elements) = decode::elements(frame) {
            let expected = elements.remaining();
            assert!(elements.count() <= expected);
        }
        if let Ok(push) = decode::push(Bytes::copy_from_slice(frame)) {
            let _ = push.payload().map(Iterator::count);
        }
        read(rest, len);
        rest = &rest[len..];
    }
});

/// Reads the first `len` bytes as the reply to every command; each must consume exactly those.
fn read(rest: &[u8], len: usize) {
    let space = KeySpace::default();
    let Ok(scope) = space.scope(None) else { return };
    let names: Names = ["a", "b"].iter().collect();
    let (key, value, expiry) = (scope.key(b"k"), &Bytes::new(), Expiry::Never);
    for command in [
        Command::Get(key),
        Command::GetMany(scope.keys(&names)),
        Command::Set { key, value, expiry },
        Command::Add { key, value, expiry },
        Command::Delete(scope.keys(&names)),
        Command::Scan { stem: b"", cursor: 0 },
        Command::Touch { key, expiry },
        Command::Persist(key),
        Command::Incr { key, delta: Number::Integer(1), start: None },
        Command::Incr { key, delta: Number::Float(1.0), start: None },
        Command::Remaining(key),
        Command::Ping,
        Command::Topology(TopologyForm::Slots),
        Command::ReadOnly,
    ] {
        let mut rx = BytesMut::from(rest);
        let _ = Expect::of(&command).read(&mut rx, len, &mut Copies::default());
        assert_eq!(rx, rest[len..], "{command:?} took more or less than its reply");
    }
}
