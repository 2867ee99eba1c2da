use std::format;
use std::num::NonZeroU64;
use std::string::ToString;
use std::vec;

use proptest::prelude::*;

use crate::command::{Command, TopologyForm};
use crate::error::{NumberError, ServerErrorKind};
use crate::key::{KeySpace, Names};
use crate::resp::scan::Scanner;
use crate::ttl::Expiry;

use super::*;

/// What `expect` reads from `frame` with more bytes behind it. Asserts that it removes exactly
/// `frame`.
fn read(expect: Expect, frame: &str) -> Result<Answer, ProtocolError> {
    let mut rx = BytesMut::from(frame.as_bytes());
    rx.extend_from_slice(b"+next\r\n");
    let len = Scanner::default().scan(&rx).unwrap().unwrap();
    assert_eq!(len, frame.len());
    let answer = expect.read(&mut rx, len, &mut Copies::default());
    assert_eq!(&rx[..], b"+next\r\n", "{frame:?} was not taken off the buffer exactly");
    answer
}

fn reply(shape: Shape, frame: &str) -> Reply {
    read(Expect(shape), frame).unwrap().unwrap()
}

fn unexpected(shape: Shape, frames: &[&str]) {
    for frame in frames {
        let error = read(Expect(shape), frame).unwrap_err();
        assert!(matches!(error, ProtocolError::Unexpected { .. }), "{shape:?} {frame:?}: {error}");
    }
}

const ALL: [Shape; 17] = [
    Shape::Done,
    Shape::DoneMany(2),
    Shape::Pong(Pong::Done),
    Shape::Pong(Pong::NoValues),
    Shape::Pong(Pong::None),
    Shape::Value,
    Shape::Values(2),
    Shape::Added,
    Shape::Flag,
    Shape::LastFlag(2),
    Shape::ScriptFlag,
    Shape::Count(2),
    Shape::Integer,
    Shape::Float,
    Shape::Remaining,
    Shape::Scanned,
    Shape::Topology,
];

#[test]
fn a_reply_of_the_wrong_shape_is_an_error_naming_the_expected_one() {
    for (shape, expected) in [
        (Shape::Done, "OK"),
        (Shape::Pong(Pong::Done), "PONG"),
        (Shape::Value, "a value or a null"),
        (Shape::Values(2), "as many values and nulls as were asked for"),
        (Shape::Added, "OK or a null"),
        (Shape::Flag, "0 or 1"),
        (Shape::Count(2), "a count of the keys that were named"),
        (Shape::Float, "a sum or the reason why there is none"),
        (Shape::Remaining, "milliseconds, -1 or -2"),
        (Shape::Scanned, "a cursor and keys"),
        (Shape::Topology, "an array"),
    ] {
        let error = read(Expect(shape), "#t\r\n").unwrap_err();
        assert_eq!(error.to_string(), format!("a boolean came where {expected} was expected"));
    }
}

#[test]
fn every_command_states_the_shape_and_number_of_its_replies() {
    let space = KeySpace::default();
    let scope = space.scope(None).unwrap();
    let (none, two): (Names, Names) = (Names::default(), ["a", "b"].iter().collect());
    let (none, two) = (scope.keys(&none), scope.keys(&two));
    let (key, value, expiry) = (scope.key(b"k"), &Bytes::from_static(b"v"), Expiry::Never);
    let values = [value.clone(), value.clone()];
    for (command, shape, replies) in [
        (Command::Get(key), Shape::Value, 1),
        (Command::GetMany(two.clone()), Shape::Values(2), 1),
        (Command::GetMany(none.clone()), Shape::Pong(Pong::NoValues), 1),
        (Command::Set { key, value, expiry }, Shape::Done, 1),
        (Command::Add { key, value, expiry }, Shape::Added, 1),
        (Command::SetMany { keys: two.clone(), values: &values, expiry }, Shape::DoneMany(2), 2),
        (Command::SetMany { keys: none.clone(), values: &[], expiry }, Shape::Pong(Pong::Done), 1),
        (Command::Delete(two), Shape::Count(2), 1),
        (Command::Delete(none), Shape::Pong(Pong::None), 1),
        (Command::Unlink(&values), Shape::Count(2), 1),
        (Command::Unlink(&[]), Shape::Pong(Pong::None), 1),
        (Command::Clear, Shape::Done, 1),
        (Command::Scan { stem: b"", cursor: 0 }, Shape::Scanned, 1),
        (Command::Touch { key, expiry: Expiry::Millis(NonZeroU64::MIN) }, Shape::Flag, 1),
        (Command::Touch { key, expiry: Expiry::Never }, Shape::ScriptFlag, 1),
        (Command::Persist(key), Shape::LastFlag(2), 2),
        (Command::Incr { key, delta: Number::Integer(1), start: None }, Shape::Integer, 1),
        (Command::Incr { key, delta: Number::Float(1.0), start: None }, Shape::Float, 1),
        (Command::Contains(key), Shape::Flag, 1),
        (Command::Remaining(key), Shape::Remaining, 1),
        (Command::Ping, Shape::Pong(Pong::Done), 1),
        (Command::Topology(TopologyForm::Slots), Shape::Topology, 1),
        (Command::ReadOnly, Shape::Done, 1),
    ] {
        let expect = Expect::of(&command);
        assert_eq!((expect, expect.replies()), (Expect(shape), replies), "{command:?}");
    }
}

#[test]
fn the_topology_of_a_cluster_is_an_array_and_kept_as_it_is() {
    for frame in ["*0\r\n", "*1\r\n*2\r\n:0\r\n:1\r\n"] {
        assert_eq!(reply(Shape::Topology, frame), Reply::Topology(Bytes::from(frame)));
    }
    unexpected(Shape::Topology, &["+OK\r\n", "*-1\r\n", "%0\r\n", "$1\r\nx\r\n", ":1\r\n"]);
}

#[test]
fn statuses_must_match_exactly() {
    assert_eq!(reply(Shape::Done, "+OK\r\n"), Reply::Done);
    assert_eq!(reply(Shape::DoneMany(3), "+OK\r\n"), Reply::Done);
    assert_eq!(reply(Shape::Pong(Pong::Done), "+PONG\r\n"), Reply::Done);
    assert_eq!(reply(Shape::Pong(Pong::NoValues), "+PONG\r\n"), Reply::Values(vec![]));
    assert_eq!(reply(Shape::Pong(Pong::None), "+PONG\r\n"), Reply::Count(0));
    assert_eq!(reply(Shape::Added, "+OK\r\n"), Reply::Flag(true));
    for null in ["$-1\r\n", "_\r\n", "*-1\r\n"] {
        assert_eq!(reply(Shape::Added, null), Reply::Flag(false));
        unexpected(Shape::Done, &[null]);
    }
    let others = ["+QUEUED\r\n", "+ok\r\n", "$2\r\nOK\r\n", "$4\r\nPONG\r\n", ":1\r\n"];
    unexpected(Shape::Done, &others);
    unexpected(Shape::Added, &others);
    unexpected(Shape::Pong(Pong::Done), &others);
    unexpected(Shape::Done, &["+PONG\r\n"]);
    unexpected(Shape::Pong(Pong::Done), &["+OK\r\n"]);
}

#[test]
fn a_value_is_a_blob_and_a_null_of_either_protocol_is_a_miss() {
    let value = Reply::Value(Some(Bytes::from_static(b"a\r\n")));
    assert_eq!(reply(Shape::Value, "$3\r\na\r\n\r\n"), value);
    assert_eq!(reply(Shape::Value, "|1\r\n+a\r\n+b\r\n$3\r\na\r\n\r\n"), value);
    assert_eq!(reply(Shape::Value, "$0\r\n\r\n"), Reply::Value(Some(Bytes::new())));
    for null in ["$-1\r\n", "_\r\n", "*-1\r\n"] {
        assert_eq!(reply(Shape::Value, null), Reply::Value(None));
    }
    unexpected(
        Shape::Value,
        &["+OK\r\n", ":1\r\n", "*1\r\n$1\r\na\r\n", "#t\r\n", ",1\r\n", "%0\r\n"],
    );
}

#[test]
fn values_are_in_order_and_must_be_as_many_as_the_keys() {
    let two = |a: Option<&'static str>, b: Option<&'static str>| {
        Reply::Values(vec![a.map(Bytes::from), b.map(Bytes::from)])
    };
    assert_eq!(reply(Shape::Values(2), "*2\r\n$1\r\na\r\n$-1\r\n"), two(Some("a"), None));
    assert_eq!(reply(Shape::Values(2), "*2\r\n_\r\n$0\r\n\r\n"), two(None, Some("")));
    unexpected(
        Shape::Values(2),
        &[
            "*1\r\n$1\r\na\r\n",
            "*3\r\n_\r\n_\r\n_\r\n",
            "*0\r\n",
            "*-1\r\n",
            "~2\r\n_\r\n_\r\n",
            "%1\r\n_\r\n_\r\n",
            "*2\r\n:1\r\n_\r\n",
            "*2\r\n_\r\n*1\r\n_\r\n",
            "$1\r\na\r\n",
        ],
    );
}

#[test]
fn a_resp2_null_is_a_null_and_the_next_reply_still_arrives() {
    let mut rx = BytesMut::from(&b"$-1\r\n*2\r\n$-1\r\n*-1\r\n*-1\r\n$1\r\nx\r\n"[..]);
    let mut scanner = Scanner::default();
    for (shape, expected) in [
        (Shape::Value, Reply::Value(None)),
        (Shape::Values(2), Reply::Values(vec![None, None])),
        (Shape::Value, Reply::Value(None)),
        (Shape::Value, Reply::Value(Some("x".into()))),
    ] {
        let len = scanner.scan(&rx).unwrap().unwrap();
        assert_eq!(Expect(shape).read(&mut rx, len, &mut Copies::default()), Ok(Ok(expected)));
    }
    assert!(rx.is_empty());
}

#[test]
fn a_small_value_among_large_ones_pins_no_block() {
    let (small, large) = ("s".repeat(10), "l".repeat(decode::SLICED_FROM));
    let frame = format!("*3\r\n$10\r\n{small}\r\n${}\r\n{large}\r\n$-1\r\n", decode::SLICED_FROM);
    let mut rx = BytesMut::from(frame.as_bytes());
    let block = rx.as_ptr_range();
    let len = rx.len();
    let answer =
        Expect(Shape::Values(3)).read(&mut rx, len, &mut Copies::default()).unwrap().unwrap();
    let Reply::Values(values) = answer else { panic!("{answer:?}") };
    assert_eq!(values, [Some(small.into()), Some(large.into()), None]);
    assert!(!block.contains(&values[0].as_ref().unwrap().as_ptr()));
    assert!(block.contains(&values[1].as_ref().unwrap().as_ptr()), "the large one was copied");
    assert!(rx.is_empty());
}

#[test]
fn flags_and_counts_are_integers_in_their_range() {
    assert_eq!(reply(Shape::Flag, ":0\r\n"), Reply::Flag(false));
    assert_eq!(reply(Shape::Flag, ":1\r\n"), Reply::Flag(true));
    unexpected(Shape::Flag, &[":2\r\n", ":-1\r\n", "+OK\r\n", "_\r\n", "#t\r\n", "$1\r\n1\r\n"]);
    assert_eq!(reply(Shape::Count(2), ":0\r\n"), Reply::Count(0));
    assert_eq!(reply(Shape::Count(2), ":2\r\n"), Reply::Count(2));
    unexpected(Shape::Count(2), &[":3\r\n", ":-1\r\n", "+2\r\n", "_\r\n"]);
}

#[test]
fn remaining_is_absent_forever_or_milliseconds() {
    let left = |frame| {
        let reply = reply(Shape::Remaining, frame);
        let Reply::Remaining(left) = reply else { panic!("{reply:?}") };
        left
    };
    assert_eq!(left(":-2\r\n"), Remaining::Absent);
    assert_eq!(left(":-1\r\n"), Remaining::Forever);
    assert_eq!(left(":0\r\n"), Remaining::For(Duration::ZERO));
    assert_eq!(left(":1500\r\n"), Remaining::For(Duration::from_millis(1500)));
    unexpected(Shape::Remaining, &[":-3\r\n", "+1\r\n", "_\r\n"]);
}

#[test]
fn a_sum_has_the_kind_of_its_delta_and_a_status_is_its_error() {
    assert_eq!(reply(Shape::Integer, "$2\r\n-7\r\n"), Reply::Number(Number::Integer(-7)));
    assert_eq!(reply(Shape::Float, "$2\r\n-7\r\n"), Reply::Number(Number::Float(-7.0)));
    assert_eq!(reply(Shape::Float, "$6\r\n1e+300\r\n"), Reply::Number(Number::Float(1e300)));
    for shape in [Shape::Integer, Shape::Float] {
        for (status, error) in [
            ("ABSENT", NumberError::KeyNotFound),
            ("NOTANUMBER", NumberError::NotANumber),
            ("NOTANINTEGER", NumberError::NotAnInteger),
            ("OVERFLOW", NumberError::Overflow),
        ] {
            let answer = read(Expect(shape), &format!("+{status}\r\n"));
            assert_eq!(answer, Ok(Err(Failure::Number(error))));
        }
        unexpected(
            shape,
            &["+OK\r\n", "$3\r\ninf\r\n", "$3\r\nnan\r\n", "$0\r\n\r\n", "_\r\n", ":1\r\n"],
        );
    }
    unexpected(Shape::Integer, &["$3\r\n1.5\r\n", "$19\r\n9223372036854775808\r\n"]);
}

#[test]
fn a_step_of_a_scan_is_a_cursor_and_keys() {
    assert_eq!(
        reply(Shape::Scanned, "*2\r\n$20\r\n18446744073709551615\r\n*2\r\n$1\r\na\r\n$0\r\n\r\n"),
        Reply::Scanned { cursor: u64::MAX, keys: vec!["a".into(), "".into()] }
    );
    assert_eq!(
        reply(Shape::Scanned, "*2\r\n$1\r\n0\r\n*0\r\n"),
        Reply::Scanned { cursor: 0, keys: vec![] }
    );
    unexpected(
        Shape::Scanned,
        &[
            "*1\r\n$1\r\n0\r\n",
            "*3\r\n$1\r\n0\r\n*0\r\n_\r\n",
            "*2\r\n$2\r\n-1\r\n*0\r\n",
            "*2\r\n:0\r\n*0\r\n",
            "*2\r\n$1\r\n0\r\n_\r\n",
            "*2\r\n$1\r\n0\r\n*1\r\n_\r\n",
            "*2\r\n$1\r\n0\r\n*1\r\n:1\r\n",
            "*0\r\n",
            "_\r\n",
        ],
    );
}

#[test]
fn every_command_may_be_answered_by_a_typed_and_bounded_error() {
    for shape in ALL {
        let answer = read(Expect(shape), "-READONLY You can't\x1b[31m\r\n");
        let Ok(Err(Failure::Server(error))) = answer else { panic!("{shape:?}: {answer:?}") };
        assert_eq!(error.kind, ServerErrorKind::ReadOnly);
        assert!(!format!("{error} {error:?}").contains('\x1b'));
        let blob = format!("!50000\r\nOOM {}\r\n", "x".repeat(49_996));
        let answer = read(Expect(shape), &blob);
        let Ok(Err(Failure::Server(error))) = answer else { panic!("{shape:?}: {answer:?}") };
        assert_eq!(error.kind, ServerErrorKind::OutOfMemory);
        assert!(format!("{error}").len() < 300);
    }
}

#[test]
fn noscript_is_an_answer_to_every_command() {
    for shape in ALL {
        let answer = read(Expect(shape), "-NOSCRIPT No matching script.\r\n");
        let Ok(Err(Failure::Server(error))) = answer else { panic!("{shape:?}: {answer:?}") };
        assert_eq!(error.kind, ServerErrorKind::NoScript, "{shape:?}");
    }
}

#[test]
fn an_error_inside_of_a_reply_is_the_answer_at_any_depth() {
    for shape in ALL {
        for frame in [
            "*2\r\n$1\r\n1\r\n-shard is away\r\n",
            "*2\r\n-shard is away\r\n-ERR other\r\n",
            "*1\r\n!13\r\nshard is away\r\n",
            "*3\r\n$1\r\n1\r\n$1\r\n2\r\n-shard is away\r\n",
            "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nk\r\n-shard is away\r\n",
            "%1\r\n+k\r\n-shard is away\r\n",
            "~2\r\n:1\r\n-shard is away\r\n",
            "*1\r\n%1\r\n*0\r\n~1\r\n*1\r\n-shard is away\r\n",
            "|1\r\n+ttl\r\n-ERR no\r\n*2\r\n|1\r\n+a\r\n*1\r\n-ERR no\r\n:1\r\n-shard is away\r\n",
        ] {
            let answer = read(Expect(shape), frame);
            let Ok(Err(Failure::Server(error))) = answer else {
                panic!("{shape:?}: {frame:?}: {answer:?}")
            };
            assert_eq!(error.text(), "shard is away", "{shape:?}: {frame:?}");
        }
    }
}

#[test]
fn an_error_in_an_attribute_answers_nothing() {
    let frame = "*2\r\n|1\r\n+k\r\n-ERR no\r\n$1\r\n1\r\n$1\r\n2\r\n";
    let Reply::Values(values) = reply(Shape::Values(2), frame) else { panic!() };
    assert_eq!(values, [Some("1".into()), Some("2".into())]);
    unexpected(Shape::Done, &["*1\r\n|1\r\n+k\r\n-ERR no\r\n$1\r\n1\r\n"]);
}

#[test]
fn a_frame_of_no_use_to_any_command_is_unexpected() {
    for shape in ALL {
        unexpected(
            shape,
            &[">1\r\n+message\r\n", ",1.5\r\n", "(1\r\n", "#t\r\n", "%0\r\n", "~0\r\n"],
        );
    }
}

#[test]
fn a_length_past_the_buffer_is_an_error_and_no_panic() {
    for shape in ALL {
        for len in 0..20 {
            let mut rx = BytesMut::from(&b"$5\r\nhello"[..]);
            assert!(Expect(shape).read(&mut rx, len, &mut Copies::default()).is_err());
            assert_eq!(rx.len(), 9_usize.saturating_sub(len));
        }
    }
}

proptest! {
    #[test]
    fn values_are_read_back_whatever_their_bytes_and_sizes(values in prop::collection::vec(
        prop::option::of((0..2 * decode::SLICED_FROM, any::<u8>())), 0..6,
    )) {
        let values: Vec<_> =
            values.into_iter().map(|value| value.map(|(len, byte)| vec![byte; len])).collect();
        let mut rx = BytesMut::from(format!("*{}\r\n", values.len()).as_bytes());
        for value in &values {
            match value {
                None => rx.extend_from_slice(b"$-1\r\n"),
                Some(value) => {
                    rx.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
                    rx.extend_from_slice(value);
                    rx.extend_from_slice(b"\r\n");
                }
            }
        }
        let len = Scanner::default().scan(&rx).unwrap().unwrap();
        let answer = Expect(Shape::Values(values.len())).read(&mut rx, len, &mut Copies::default());
        let values = values.into_iter().map(|value| value.map(Bytes::from)).collect();
        prop_assert_eq!(answer, Ok(Ok(Reply::Values(values))));
        prop_assert!(rx.is_empty());
    }
}
