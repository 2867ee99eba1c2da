use std::string::ToString;
use std::vec::Vec;
use std::{format, thread};

use proptest::prelude::*;

use crate::error::ServerErrorKind;
use crate::resp::scan::Scanner;

use super::*;

fn push_of(frame: &'static [u8]) -> Push {
    push(Bytes::from_static(frame)).unwrap()
}

#[test]
fn every_scalar_is_read_and_attributes_are_passed_over() {
    for attribute in
        ["", "|1\r\n+ttl\r\n*1\r\n:1\r\n", "|0\r\n|2\r\n_\r\n+a\r\n_\r\n|1\r\n+\r\n+\r\n+b\r\n"]
    {
        let with = |frame: &str| format!("{attribute}{frame}+next\r\n").into_bytes();
        assert_eq!(first(&with("$3\r\na\r\n\r\n")).unwrap().bytes(), Some(&b"a\r\n"[..]));
        assert_eq!(first(&with("+OK\r\n")).unwrap().bytes(), Some(&b"OK"[..]));
        assert_eq!(first(&with("=6\r\ntxt:ab\r\n")).unwrap().bytes(), Some(&b"ab"[..]));
        assert_eq!(first(&with("=4\r\ntxt:\r\n")).unwrap().bytes(), Some(&b""[..]));
        let two = with("*2\r\n=6\r\ntxt:ab\r\n+c\r\n");
        let two: Vec<_> = elements(&two).unwrap().map(|part| part.unwrap().bytes()).collect();
        assert_eq!(two, [Some(&b"ab"[..]), Some(b"c")]);
        assert_eq!(first(&with(":-12\r\n")).unwrap().integer(), Some(-12));
        assert_eq!(first(&with("#t\r\n")).unwrap().boolean(), Some(true));
        assert_eq!(first(&with("#f\r\n")).unwrap().boolean(), Some(false));
        for null in ["_\r\n", "$-1\r\n", "*-1\r\n"] {
            assert!(first(&with(null)).unwrap().is_null());
        }
        for text in ["-LOADING wait\r\n", "!12\r\nLOADING wait\r\n"] {
            let error = error(&with(text)).unwrap().unwrap();
            assert_eq!((error.kind, error.text()), (ServerErrorKind::Loading, "LOADING wait"));
        }
        assert!(is_push(&with(">1\r\n+x\r\n")));
        assert!(!is_push(&with("*1\r\n+x\r\n")));
    }
    assert!(!is_push(b""));
}

#[test]
fn a_frame_converts_to_no_other_kind() {
    let part = first(b":1\r\n").unwrap();
    assert_eq!((part.bytes(), part.boolean(), part.error()), (None, None, None));
    assert!(part.elements().is_none());
    assert_eq!(first(b"+1\r\n").unwrap().integer(), None);
    assert_eq!(first(b"$-1\r\n").unwrap().bytes(), None);
    assert!(first(b"*-1\r\n").unwrap().elements().is_none());
    let error = elements(b"*-1\r\n").unwrap_err();
    assert_eq!(error.to_string(), "a null came where an aggregate was expected");
}

#[test]
fn elements_are_only_those_of_the_top_level() {
    let frame =
        b"*5\r\n*2\r\n%1\r\n+a\r\n:1\r\n_\r\n|1\r\n+x\r\n*1\r\n+y\r\n$1\r\nb\r\n*0\r\n~-0\r\n";
    let frame = &frame[..frame.len() - 5];
    let frame = [frame, &b"~1\r\n+z\r\n:7\r\n+next\r\n"[..]].concat();
    let parts: Vec<_> = elements(&frame).unwrap().map(Result::unwrap).collect();
    let kinds: Vec<_> = parts.iter().map(FramePart::kind).collect();
    assert_eq!(kinds, [Kind::Array, Kind::Blob, Kind::Array, Kind::Set, Kind::Integer]);
    assert_eq!(parts[0].elements().unwrap().count(), 2);
    assert_eq!(parts[4].integer(), Some(7));
    let map = elements(b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n").unwrap();
    assert_eq!(map.remaining(), 4);
    assert_eq!(map.count(), 4);
}

#[test]
fn elements_end_with_the_first_error() {
    let results: Vec<_> = elements(b"*3\r\n:1\r\n$5\r\nabc\r\n").unwrap().collect();
    assert_eq!(results.len(), 2);
    assert!(results[1].is_err());
}

#[test]
fn a_verbatim_string_without_its_format_is_malformed() {
    for frame in ["=0\r\n\r\n", "=3\r\ntxt\r\n", "=4\r\ntxtx\r\n", "=1\r\n:\r\n:::::"] {
        let malformed = ProtocolError::Malformed("a verbatim string");
        assert_eq!(first(frame.as_bytes()).unwrap_err(), malformed, "{frame:?}");
    }
}

#[test]
fn hello_is_read_from_a_map_and_from_a_flat_array() {
    let fields = "$6\r\nserver\r\n$6\r\nvalkey\r\n$7\r\nversion\r\n$5\r\n9.1.0\r\n$5\r\nproto\r\n:3\r\n\
        $2\r\nid\r\n:7\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n\
        $17\r\navailability_zone\r\n$-1\r\n$7\r\nmodules\r\n*1\r\n%1\r\n+name\r\n*-1\r\n";
    for head in ["%8\r\n", "*16\r\n"] {
        let hello = hello(format!("{head}{fields}").as_bytes()).unwrap();
        assert_eq!((&*hello.server, &*hello.version, hello.proto), ("valkey", "9.1.0", 3));
        assert_eq!(hello.mode.as_deref(), Some("standalone"));
        assert_eq!(hello.role.as_deref(), Some("master"));
    }
    let least = hello(b"*2\r\n+proto\r\n:2\r\n").unwrap();
    assert_eq!((&*least.server, least.proto, least.mode), ("", 2, None));
}

#[test]
fn malformed_replies_to_hello_are_refused() {
    for frame in
        ["+OK\r\n", "%0\r\n", "*-1\r\n", "%1\r\n+proto\r\n:4\r\n", "%1\r\n+proto\r\n+3\r\n"]
    {
        let error = hello(frame.as_bytes()).unwrap_err();
        assert!(matches!(error, ProtocolError::Unexpected { .. }), "{frame:?}: {error}");
    }
    let long = format!("%2\r\n+proto\r\n:3\r\n+server\r\n$100\r\n{}\r\n", "x".repeat(100));
    assert_eq!(hello(long.as_bytes()).unwrap().server.len(), 64);
}

#[test]
fn a_push_has_a_kind_and_a_payload() {
    let push = push_of(b"|1\r\n+a\r\n+b\r\n>3\r\n$7\r\nmessage\r\n+channel\r\n$2\r\nhi\r\n");
    assert_eq!(push.kind, "message");
    let payload: Vec<_> = push.payload().unwrap().map(|part| part.unwrap().bytes()).collect();
    assert_eq!(payload, [Some(&b"channel"[..]), Some(b"hi")]);
}

#[test]
fn an_unsolicited_sunsubscribe_is_a_push_like_any_other() {
    let push = push_of(b">3\r\n$12\r\nsunsubscribe\r\n$-1\r\n:0\r\n");
    assert_eq!(push.kind, "sunsubscribe");
    assert_eq!(push.payload().unwrap().count(), 2);
}

#[test]
fn resp2_nulls_in_a_push_are_nulls_and_swallow_nothing() {
    let push = push_of(b">5\r\n+invalidate\r\n$-1\r\n*2\r\n*-1\r\n:1\r\n_\r\n$5\r\n$-1\r\n\r\n");
    let payload: Vec<_> = push.payload().unwrap().collect::<Result<_, _>>().unwrap();
    let [null, array, other_null, blob] = &payload[..] else { panic!("{payload:?}") };
    assert!(null.is_null() && other_null.is_null());
    let inside: Vec<_> = array.elements().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!((inside[0].is_null(), inside[1].integer()), (true, Some(1)));
    assert_eq!(blob.bytes(), Some(&b"$-1\r\n"[..]));
}

#[test]
fn a_push_is_a_copy_of_its_frame_unless_that_is_large() {
    for (len, sliced) in [(SLICED_FROM - 1, false), (SLICED_FROM, true)] {
        let head = ">2\r\n+x\r\n+";
        let filler = "y".repeat(len - head.len() - 2);
        let frame = Bytes::from(format!("{head}{filler}\r\n"));
        let push = push(frame.clone()).unwrap();
        assert_eq!((push.frame.len(), push.frame.as_ptr() == frame.as_ptr()), (len, sliced));
    }
}

#[test]
fn malformed_pushes_are_refused() {
    for frame in ["*1\r\n+message\r\n", ">0\r\n", ">1\r\n:1\r\n", ">1\r\n$-1\r\n", ">1\r\n", ""] {
        assert!(push(Bytes::copy_from_slice(frame.as_bytes())).is_err(), "{frame:?}");
    }
}

#[test]
fn a_payload_that_was_never_scanned_is_refused_and_overflows_no_stack() {
    let deep = [&b">2\r\n+x\r\n"[..], &b"*1\r\n".repeat(100_000)].concat();
    let payloads = move || {
        let last = |frame: &[u8]| {
            let push = Push { kind: Bytes::new(), frame: Bytes::copy_from_slice(frame) };
            push.payload().and_then(|payload| payload.last().transpose().map(|part| part.is_some()))
        };
        assert_eq!(last(&deep), Ok(true));
        assert!(last(b">2\r\n+x\r\n").is_err());
        assert!(last(b">0\r\n").is_err());
        assert!(last(b"HELLO 3\r\n").is_err());
    };
    thread::Builder::new().stack_size(256 * 1024).spawn(payloads).unwrap().join().unwrap();
}

#[test]
fn a_kept_push_pins_no_receive_buffer() {
    let frame = b">1\r\n+invalidate\r\n";
    let mut rx = BytesMut::with_capacity(1 << 20);
    rx.extend_from_slice(frame);
    let block = rx.as_ptr_range();
    let push = push(rx.split_to(frame.len()).freeze()).unwrap();
    assert!(!block.contains(&push.kind.as_ptr()) && !block.contains(&push.frame.as_ptr()));
}

#[test]
fn small_pieces_are_copied_out_and_large_ones_are_slices() {
    for (len, sliced) in [(10, false), (16_383, false), (16_384, true)] {
        let frame = format!("${len}\r\n{}\r\n", "x".repeat(len));
        let mut rx = BytesMut::with_capacity(1 << 20);
        rx.extend_from_slice(frame.as_bytes());
        rx.extend_from_slice(b"+next\r\n");
        let block = rx.as_ptr_range();
        let range = first(&rx).unwrap().range().unwrap();
        let value = take(&mut rx, frame.len(), range, &mut Copies::default());
        assert_eq!(value.len(), len);
        assert_eq!(block.contains(&value.as_ptr()), sliced);
        assert_eq!(&rx[..], b"+next\r\n");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_or_refused_but_never_panic(bytes in prop::collection::vec(
        prop::sample::select(&b"+-:$*_#!=(%~>|0123456789\r\nabt\xff"[..]), 0..80,
    )) {
        let _ = first(&bytes);
        let _ = is_push(&bytes);
        let _ = error(&bytes);
        let _ = hello(&bytes);
        let _ = elements(&bytes).map(Iterator::count);
        let bytes = Bytes::from(bytes);
        let _ = push(bytes.clone()).map(|push| push.payload().map(Iterator::count));
        let _ = Push { kind: Bytes::new(), frame: bytes }.payload().map(Iterator::count);
    }

    #[test]
    fn a_scanned_blob_is_read_back(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let frame = [format!("${}\r\n", body.len()).as_bytes(), &body, b"\r\n"].concat();
        let mut scanner = Scanner::default();
        prop_assert_eq!(scanner.scan(&frame), Ok(Some(frame.len())));
        prop_assert_eq!(first(&frame).unwrap().bytes(), Some(&body[..]));
    }
}

#[test]
fn an_invalidation_names_its_keys_or_all_and_no_other_push_does() {
    let keys = push_of(b">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\na\r\n$2\r\n\r\n\r\n");
    let Some(Invalidated::Keys(keys)) = keys.invalidated() else { panic!("{keys:?}") };
    assert_eq!(keys, [&b"a"[..], b"\r\n"]);
    for null in [&b">2\r\n+invalidate\r\n_\r\n"[..], b">2\r\n+invalidate\r\n*-1\r\n"] {
        let all = push(Bytes::from_static(null)).unwrap();
        assert!(matches!(all.invalidated(), Some(Invalidated::All)), "{all:?}");
    }
    for other in [
        &b">2\r\n+message\r\n*1\r\n+a\r\n"[..],
        b">1\r\n+invalidate\r\n",
        b">2\r\n+invalidate\r\n:1\r\n",
        b">2\r\n+invalidate\r\n*1\r\n:1\r\n",
    ] {
        let other = push(Bytes::from_static(other)).unwrap();
        assert!(other.invalidated().is_none(), "{other:?}");
    }
}
