//! Every kind of reply, as `redis-protocol` writes it: whole, cut at every byte, and as the answer to every
//! command.

use core::num::NonZeroU64;
use core::time::Duration;
use std::collections::BTreeSet;
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use redis_protocol::resp2;
use redis_protocol::resp2::types::BytesFrame as Frame2;
use redis_protocol::resp3;
use redis_protocol::resp3::encode::streaming;
use redis_protocol::resp3::types::{
    BytesFrame as Frame3, FrameKind, Resp3Frame, VerbatimStringFormat,
};

use super::commands::{KINDS, kind};
use super::greetings::{NOW, SECOND, Server, greet, setup};
use super::named;
use crate::command::{Command, TopologyForm};
use crate::connection::{Connection, Event, Greeting, Setup, Tag};
use crate::error::{NumberError, ProtocolError, ServerError};
use crate::key::{KeySpace, Names};
use crate::number::Number;
use crate::reply::{Answer, Remaining, Reply};
use crate::resp::decode::{self, Elements, FramePart};
use crate::resp::kind::Kind;
use crate::resp::output::Output;
use crate::resp::scan::Scanner;
use crate::ttl::Expiry;

named!(shape(Kind), SHAPES: Kind::{
    Simple, Error, Integer, Blob, Array, Null, Double, Boolean, BlobError, Verbatim, BigNumber, Map, Set,
    Push, Attribute,
});

fn blob(bytes: impl Into<Bytes>) -> Frame3 {
    Frame3::BlobString { data: bytes.into(), attributes: None }
}

fn line(text: impl Into<Bytes>) -> Frame3 {
    Frame3::SimpleString { data: text.into(), attributes: None }
}

fn error(text: &str) -> Frame3 {
    Frame3::SimpleError { data: text.into(), attributes: None }
}

fn blob_error(text: impl Into<Bytes>) -> Frame3 {
    Frame3::BlobError { data: text.into(), attributes: None }
}

fn number(data: i64) -> Frame3 {
    Frame3::Number { data, attributes: None }
}

fn double(data: f64) -> Frame3 {
    Frame3::Double { data, attributes: None }
}

fn boolean(data: bool) -> Frame3 {
    Frame3::Boolean { data, attributes: None }
}

fn big(digits: impl Into<Bytes>) -> Frame3 {
    Frame3::BigNumber { data: digits.into(), attributes: None }
}

fn verbatim(format: VerbatimStringFormat, text: impl Into<Bytes>) -> Frame3 {
    Frame3::VerbatimString { data: text.into(), format, attributes: None }
}

fn array(data: Vec<Frame3>) -> Frame3 {
    Frame3::Array { data, attributes: None }
}

fn push(data: Vec<Frame3>) -> Frame3 {
    Frame3::Push { data, attributes: None }
}

fn set(data: Vec<Frame3>) -> Frame3 {
    Frame3::Set { data: data.into_iter().collect(), attributes: None }
}

fn map(data: Vec<(Frame3, Frame3)>) -> Frame3 {
    Frame3::Map { data: data.into_iter().collect(), attributes: None }
}

/// The frame with attributes; a null has none.
fn with(mut frame: Frame3, attributes: Vec<(Frame3, Frame3)>) -> Frame3 {
    let _ = frame.add_attributes(attributes.into_iter().collect());
    frame
}

fn written(frame: &Frame3) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    resp3::encode::complete::extend_encode(&mut bytes, frame, false).unwrap();
    bytes.to_vec()
}

fn written2(frame: &Frame2) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    resp2::encode::extend_encode(&mut bytes, frame, false).unwrap();
    bytes.to_vec()
}

/// The form of a frame in RESP2.
fn downgraded(frame: &Frame3) -> Frame2 {
    match frame {
        Frame3::BlobString { data, .. } | Frame3::VerbatimString { data, .. } => {
            Frame2::BulkString(data.clone())
        }
        Frame3::SimpleString { data, .. } => Frame2::SimpleString(data.clone()),
        Frame3::SimpleError { data, .. } => Frame2::Error(data.clone()),
        Frame3::Number { data, .. } => Frame2::Integer(*data),
        Frame3::Null => Frame2::Null,
        Frame3::Array { data, .. } => Frame2::Array(data.iter().map(downgraded).collect()),
        Frame3::Map { data, .. } => Frame2::Array(
            data.iter().flat_map(|(key, value)| [downgraded(key), downgraded(value)]).collect(),
        ),
        Frame3::BlobError { .. }
        | Frame3::Boolean { .. }
        | Frame3::Double { .. }
        | Frame3::BigNumber { .. }
        | Frame3::Set { .. }
        | Frame3::Push { .. }
        | Frame3::Hello { .. }
        | Frame3::ChunkedString(_) => panic!("no reply in RESP2: {frame:?}"),
    }
}

/// Asserts that core finds the end of this frame, whole and cut at every byte.
fn find(frame: &[u8]) {
    let (whole, behind) = (Ok(Some(frame.len())), [frame, b"+next\r\n"].concat());
    assert_eq!(Scanner::default().scan(&behind), whole, "{}", frame.escape_ascii());
    let mut growing = Scanner::default();
    for cut in 0..frame.len() {
        assert_eq!(growing.scan(&frame[..cut]), Ok(None), "{} at {cut}", frame.escape_ascii());
        // All cuts of a frame of usual size, and those in the head and at the end of a large one.
        if cut < 1_000 || cut + 10 > frame.len() {
            let mut scanner = Scanner::default();
            assert_eq!(scanner.scan(&frame[..cut]), Ok(None));
            assert_eq!(scanner.scan(&behind), whole, "{} at {cut}", frame.escape_ascii());
        }
    }
    assert_eq!(growing.scan(frame), whole);
}

/// Asserts that core reads this frame as the other crate means it, and adds the kinds in it to `seen`.
fn compare(frame: &Frame3, part: &FramePart<'_>, seen: &mut BTreeSet<&'static str>) {
    seen.insert(shape(&part.kind()));
    if frame.attributes().is_some() {
        seen.insert(shape(&Kind::Attribute));
    }
    let is = |wanted: Kind| assert_eq!(part.kind(), wanted, "{frame:?}");
    match frame {
        Frame3::BlobString { data, .. } => {
            is(Kind::Blob);
            assert_eq!(part.bytes(), Some(&data[..]));
        }
        Frame3::SimpleString { data, .. } => {
            is(Kind::Simple);
            assert_eq!(part.bytes(), Some(&data[..]));
        }
        Frame3::VerbatimString { data, .. } => {
            is(Kind::Verbatim);
            assert_eq!(part.bytes(), Some(&data[..]));
        }
        Frame3::SimpleError { data, .. } => {
            is(Kind::Error);
            assert_eq!(part.error().unwrap().text(), &**data);
        }
        Frame3::BlobError { data, .. } => {
            is(Kind::BlobError);
            assert_eq!(part.error().unwrap().text(), String::from_utf8_lossy(data));
        }
        Frame3::Number { data, .. } => assert_eq!(part.integer(), Some(*data)),
        Frame3::Boolean { data, .. } => assert_eq!(part.boolean(), Some(*data)),
        // Core passes neither to a caller, and only finds their ends.
        Frame3::Double { .. } => is(Kind::Double),
        Frame3::BigNumber { .. } => is(Kind::BigNumber),
        Frame3::Null => is(Kind::Null),
        Frame3::Array { data, .. } => {
            is(Kind::Array);
            compare_all(data, part, seen);
        }
        Frame3::Push { data, .. } => {
            is(Kind::Push);
            compare_all(data, part, seen);
        }
        Frame3::Set { data, .. } => {
            is(Kind::Set);
            compare_all(data, part, seen);
        }
        Frame3::Map { data, .. } => {
            is(Kind::Map);
            compare_all(data.iter().flat_map(|(key, value)| [key, value]), part, seen);
        }
        Frame3::ChunkedString(_) | Frame3::Hello { .. } => panic!("no reply: {frame:?}"),
    }
    let is_null = matches!(frame, Frame3::Null);
    assert_eq!(part.is_null(), is_null, "{frame:?}");
}

fn compare_all<'a>(
    frames: impl IntoIterator<Item = &'a Frame3>,
    part: &FramePart<'_>,
    seen: &mut BTreeSet<&'static str>,
) {
    let mut elements = elements(part);
    for frame in frames {
        compare(frame, &elements.next().expect("it has as many").unwrap(), seen);
    }
    assert_eq!(elements.remaining(), 0);
}

fn compare2(frame: &Frame2, part: &FramePart<'_>) {
    match frame {
        Frame2::SimpleString(text) => {
            assert_eq!((part.kind(), part.bytes()), (Kind::Simple, Some(&text[..])));
        }
        Frame2::Error(text) => assert_eq!(part.error().unwrap().text(), &**text),
        Frame2::Integer(number) => assert_eq!(part.integer(), Some(*number)),
        Frame2::BulkString(bytes) => {
            assert_eq!((part.kind(), part.bytes()), (Kind::Blob, Some(&bytes[..])));
        }
        Frame2::Null => assert!(part.is_null()),
        Frame2::Array(frames) => {
            assert_eq!(part.kind(), Kind::Array);
            let mut elements = elements(part);
            for frame in frames {
                compare2(frame, &elements.next().expect("it has as many").unwrap());
            }
            assert_eq!(elements.remaining(), 0);
        }
    }
}

fn elements<'a>(part: &FramePart<'a>) -> Elements<'a> {
    part.elements().expect("it is an aggregate")
}

fn check(frame: &Frame3, seen: &mut BTreeSet<&'static str>) {
    let bytes = written(frame);
    find(&bytes);
    assert_eq!(decode::is_push(&bytes), matches!(frame, Frame3::Push { .. }));
    compare(frame, &decode::first(&bytes).unwrap(), seen);
}

fn check2(frame: &Frame2) {
    let bytes = written2(frame);
    find(&bytes);
    compare2(frame, &decode::first(&bytes).unwrap());
}

#[test]
fn every_kind_of_reply_is_read_as_another_encoder_means_it() {
    use VerbatimStringFormat::{Markdown, Text};

    let every_byte: Vec<u8> = (0..=255).collect();
    let mut frames = vec![
        line(""),
        line("OK"),
        line(&b"\0 \xff"[..]),
        error("ERR wrong"),
        error(""),
        error("MOVED 3999 127.0.0.1:6381"),
        number(0),
        number(i64::MAX),
        number(i64::MIN),
        blob(""),
        blob("\r\n"),
        blob("$1\r\na\r\n"),
        blob(every_byte.clone()),
        Frame3::Null,
        boolean(true),
        boolean(false),
        big("0"),
        big("-3492890328409238509324850943850943825024385"),
        blob_error("SYNTAX invalid\r\nsyntax"),
        blob_error(""),
        verbatim(Text, "Some\r\nstring"),
        verbatim(Markdown, ""),
        array(vec![]),
        set(vec![]),
        map(vec![]),
        push(vec![line("invalidate"), Frame3::Null]),
        push(vec![blob("invalidate"), array(vec![blob("a"), blob("\r\n")])]),
        array(vec![array(vec![array(vec![])]), number(1), Frame3::Null, array(vec![blob("")])]),
        set(vec![number(1), line("1"), blob("1"), big("1"), boolean(true), Frame3::Null]),
        map(vec![
            (line("server"), blob("redis")),
            (number(2), map(vec![(blob("\r\n"), set(vec![double(1.5)]))])),
            (Frame3::Null, array(vec![error("ERR inner"), boolean(false)])),
        ]),
    ];
    frames.extend(
        [0.0, -0.0, 1.5, -1e300, f64::MIN_POSITIVE, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]
            .map(double),
    );
    for len in [9, 10, 99, 100, 16 * 1024 - 1, 16 * 1024, 70_000] {
        frames.push(blob(vec![b'\r'; len]));
        frames.push(array((0..len.min(200)).map(|nth| number(nth as i64)).collect()));
    }
    let attributes =
        vec![(line("ttl"), number(3600)), (blob("\r\n"), array(vec![map(vec![]), Frame3::Null]))];
    let plain = frames.clone();
    frames.extend(plain.into_iter().map(|frame| with(frame, attributes.clone())));
    frames.push(array(vec![with(number(1), attributes.clone()), with(blob("a"), attributes)]));
    let mut seen = BTreeSet::new();
    for frame in &frames {
        check(frame, &mut seen);
    }
    for name in SHAPES {
        assert!(seen.contains(name), "there is no row for {name}");
    }
}

#[test]
fn every_kind_of_resp2_reply_is_read_as_another_encoder_means_it() {
    let bulk = |bytes: &'static [u8]| Frame2::BulkString(Bytes::from_static(bytes));
    for frame in [
        Frame2::SimpleString(Bytes::from_static(b"OK")),
        Frame2::Error("WRONGTYPE wrong kind of value".into()),
        Frame2::Integer(i64::MIN),
        bulk(b""),
        bulk(b"\r\n$1\r\na"),
        Frame2::Null,
        Frame2::Array(vec![]),
        Frame2::Array(vec![Frame2::Null, bulk(b"a"), Frame2::Array(vec![Frame2::Integer(7)])]),
    ] {
        check2(&frame);
    }
    // The other null of RESP2, which that crate reads but does not write.
    let other = b"*2\r\n*-1\r\n$-1\r\n";
    find(other);
    let (frame, len) = resp2::decode::decode_bytes(&Bytes::from_static(other)).unwrap().unwrap();
    assert_eq!((&frame, len), (&Frame2::Array(vec![Frame2::Null, Frame2::Null]), other.len()));
    compare2(&frame, &decode::first(other).unwrap());
}

#[test]
fn a_streamed_reply_is_refused() {
    let mut streams = Vec::new();
    for kind in [FrameKind::Array, FrameKind::Map, FrameKind::Set] {
        let mut start = [0; streaming::START_STREAM_ENCODE_LEN];
        streaming::encode_start_aggregate_type(&mut start, 0, kind).unwrap();
        streams.push(start.to_vec());
    }
    let mut start = [0; streaming::START_STREAM_ENCODE_LEN];
    streaming::encode_start_string(&mut start, 0).unwrap();
    streams.push(start.to_vec());
    let mut chunk = [0; 7];
    streaming::encode_string_chunk(&mut chunk, 0, b"a").unwrap();
    streams.push(chunk.to_vec());
    let mut end = [0; streaming::END_STREAM_STRING_ENCODE_LEN];
    streaming::encode_end_string(&mut end, 0).unwrap();
    streams.push(end.to_vec());
    let mut end = [0; streaming::END_STREAM_AGGREGATE_TYPE_ENCODE_LEN];
    streaming::encode_end_aggregate_type(&mut end, 0).unwrap();
    streams.push(end.to_vec());
    for stream in streams {
        let found = Scanner::default().scan(&stream);
        assert_eq!(found, Err(ProtocolError::Streamed), "{}", stream.escape_ascii());
    }
}

/// Commands, the replies to each, and the answer that they make. The whole frame of a topology is
/// the answer, so its bytes are left out.
fn answers<'a>(
    space: &'a KeySpace,
    names: &'a Names,
    values: &'a [Bytes; 2],
) -> Vec<(Command<'a>, Vec<Frame3>, Answer)> {
    let scope = space.scope(None).unwrap();
    let (key, keys, value) = (scope.key(b"k"), scope.keys(names), &values[0]);
    let nothing = keys.window(0..0);
    let soon = Expiry::Millis(NonZeroU64::MIN);
    let (ok, pong) = (|| line("OK"), || line("PONG"));
    let sum = |delta| Command::Incr { key, delta, start: None };
    let (one, half) = (Number::Integer(1), Number::Float(0.5));
    let shards = array(vec![map(vec![
        (blob("slots"), array(vec![number(0), number(16383)])),
        (
            blob("nodes"),
            array(vec![map(vec![(blob("port"), number(6379)), (blob("ip"), blob("::1"))])]),
        ),
    ])]);
    let slots = array(vec![array(vec![
        number(0),
        number(16383),
        array(vec![blob("::1"), number(6379), blob("id"), array(vec![])]),
    ])]);
    let value_of = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    vec![
        (Command::Get(key), vec![blob("v\r\n")], Ok(Reply::Value(value_of("v\r\n")))),
        (Command::Get(key), vec![blob("")], Ok(Reply::Value(value_of("")))),
        (Command::Get(key), vec![Frame3::Null], Ok(Reply::Value(None))),
        (
            Command::Get(key),
            vec![verbatim(VerbatimStringFormat::Text, "t")],
            Ok(Reply::Value(value_of("t"))),
        ),
        (
            Command::GetMany(keys.clone()),
            vec![array(vec![blob("\0"), Frame3::Null])],
            Ok(Reply::Values(vec![value_of("\0"), None])),
        ),
        (Command::GetMany(nothing.clone()), vec![pong()], Ok(Reply::Values(vec![]))),
        (Command::Set { key, value, expiry: soon }, vec![ok()], Ok(Reply::Done)),
        (Command::Add { key, value, expiry: soon }, vec![ok()], Ok(Reply::Flag(true))),
        (Command::Add { key, value, expiry: soon }, vec![Frame3::Null], Ok(Reply::Flag(false))),
        (
            Command::SetMany { keys: keys.clone(), values, expiry: soon },
            vec![ok(), ok()],
            Ok(Reply::Done),
        ),
        (Command::Delete(keys.clone()), vec![number(2)], Ok(Reply::Count(2))),
        (Command::Delete(nothing), vec![pong()], Ok(Reply::Count(0))),
        (Command::Clear, vec![ok()], Ok(Reply::Done)),
        (
            Command::Scan { stem: b"", cursor: 0 },
            vec![array(vec![
                blob("18446744073709551615"),
                array(vec![blob("::a"), blob("::\r\n")]),
            ])],
            Ok(Reply::Scanned {
                cursor: u64::MAX,
                keys: vec![Bytes::from_static(b"::a"), Bytes::from_static(b"::\r\n")],
            }),
        ),
        (Command::Unlink(values), vec![number(1)], Ok(Reply::Count(1))),
        (Command::Touch { key, expiry: soon }, vec![number(1)], Ok(Reply::Flag(true))),
        (Command::Touch { key, expiry: Expiry::Never }, vec![number(0)], Ok(Reply::Flag(false))),
        (Command::Persist(key), vec![number(0), number(1)], Ok(Reply::Flag(true))),
        (sum(one), vec![blob("-42")], Ok(Reply::Number(Number::Integer(-42)))),
        (sum(half), vec![blob("4.25e-7")], Ok(Reply::Number(Number::Float(4.25e-7)))),
        (sum(one), vec![line("ABSENT")], Err(NumberError::KeyNotFound.into())),
        (sum(one), vec![line("NOTANINTEGER")], Err(NumberError::NotAnInteger.into())),
        (Command::DeleteIf { key, value }, vec![number(1)], Ok(Reply::Flag(true))),
        (Command::Contains(key), vec![number(0)], Ok(Reply::Flag(false))),
        (Command::Remaining(key), vec![number(-2)], Ok(Reply::Remaining(Remaining::Absent))),
        (Command::Remaining(key), vec![number(-1)], Ok(Reply::Remaining(Remaining::Forever))),
        (
            Command::Remaining(key),
            vec![number(1500)],
            Ok(Reply::Remaining(Remaining::For(Duration::from_millis(1500)))),
        ),
        (Command::Ping, vec![pong()], Ok(Reply::Done)),
        (Command::Topology(TopologyForm::Shards), vec![shards], Ok(Reply::Topology(Bytes::new()))),
        (Command::Topology(TopologyForm::Slots), vec![slots], Ok(Reply::Topology(Bytes::new()))),
        (Command::ReadOnly, vec![ok()], Ok(Reply::Done)),
    ]
}

/// Asserts that a connection reads these bytes as this answer, wherever they are cut.
fn answer(connection: &mut Connection, command: &Command<'_>, bytes: &[u8], wanted: &Answer) {
    let (mut tx, mut rx) = (Output::new(), BytesMut::new());
    for cut in 0..=bytes.len() {
        connection.submit(command, Tag(7), NOW + SECOND, &mut tx).unwrap();
        connection.wrote(tx.split().len());
        for (nth, piece) in [&bytes[..cut], &bytes[cut..]].into_iter().enumerate() {
            rx.extend_from_slice(piece);
            let is_whole = nth == 1 || cut == bytes.len();
            let event = connection.poll(&mut rx, NOW, &mut tx).unwrap();
            let answered = Event::Reply { tag: Tag(7), answer: wanted.clone() };
            if nth == 1 && cut == bytes.len() {
                assert_eq!(event, None);
            } else {
                let shown = format!("{command:?}: {} at {cut}", bytes.escape_ascii());
                assert_eq!(event, is_whole.then_some(answered), "{shown}");
            }
        }
        assert!(rx.is_empty());
    }
}

#[test]
fn every_answer_is_read_as_another_encoder_means_it() {
    let (space, names) = (KeySpace::default(), ["a", "b"].iter().collect());
    let values = [Bytes::from_static(b"1"), Bytes::from_static(b"2")];
    let server = Server { knows_hello: true, names_role: false };
    let ready = |greeting| greet(&Setup { greeting, ..setup() }, server).0;
    let (mut resp2, mut resp3) = (ready(Greeting::Resp2), ready(Greeting::Resp3));
    let attributes = vec![(line("key-popularity"), map(vec![(blob("a"), double(0.19))]))];
    let message = written(&push(vec![line("invalidate"), array(vec![blob("::a")])]));
    let mut seen = BTreeSet::new();
    for (command, replies, wanted) in answers(&space, &names, &values) {
        seen.insert(kind(&command));
        let of = |bytes: &[u8]| match &wanted {
            Ok(Reply::Topology(_)) => Ok(Reply::Topology(Bytes::copy_from_slice(bytes))),
            wanted => wanted.clone(),
        };
        let bytes: Vec<u8> =
            replies.iter().map(downgraded).flat_map(|two| written2(&two)).collect();
        answer(&mut resp2, &command, &bytes, &of(&bytes));
        let bytes: Vec<u8> = replies.iter().flat_map(written).collect();
        answer(&mut resp3, &command, &bytes, &of(&bytes));
        answer(&mut resp3, &command, &[&message[..], &bytes].concat(), &of(&bytes));
        let noted: Vec<u8> = replies
            .iter()
            .flat_map(|reply| written(&with(reply.clone(), attributes.clone())))
            .collect();
        answer(&mut resp3, &command, &noted, &of(&noted));

        // An error in the place of each reply.
        let text = "OOM command not allowed";
        let wanted = Err(ServerError::parse(text.as_bytes()).into());
        let replies = replies.len();
        let bytes = written2(&Frame2::Error(text.into())).repeat(replies);
        answer(&mut resp2, &command, &bytes, &wanted);
        for frame in [error(text), blob_error(text), with(error(text), attributes.clone())] {
            answer(&mut resp3, &command, &written(&frame).repeat(replies), &wanted);
        }
    }
    for name in KINDS {
        assert!(seen.contains(name), "there is no row for {name}");
    }
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> + Clone {
    let byte =
        prop_oneof![3 => any::<u8>().boxed(), 1 => Just(b'\r').boxed(), 1 => Just(b'\n').boxed()];
    prop::collection::vec(byte, 0..12)
}

fn leaf() -> BoxedStrategy<Frame3> {
    let format =
        prop_oneof![Just(VerbatimStringFormat::Text), Just(VerbatimStringFormat::Markdown)];
    prop_oneof![
        any_bytes().prop_map(blob),
        "[ -~\u{e9}]{0,12}".prop_map(line),
        "[ -~\u{e9}]{0,12}".prop_map(|text| error(&text)),
        any::<i64>().prop_map(number),
        Just(Frame3::Null),
        any::<f64>().prop_map(double),
        any::<bool>().prop_map(boolean),
        "-?[0-9]{1,30}".prop_map(big),
        "[ -~\r\n\u{e9}]{0,12}".prop_map(blob_error),
        (format, any_bytes()).prop_map(|(format, text)| verbatim(format, text)),
    ]
    .boxed()
}

fn attributed(frames: impl Strategy<Value = Frame3> + 'static) -> BoxedStrategy<Frame3> {
    let attributes = prop::collection::vec((leaf(), leaf()), 0..3);
    (frames, prop::option::weighted(0.2, attributes))
        .prop_map(|(frame, attributes)| match attributes {
            Some(attributes) => with(frame, attributes),
            None => frame,
        })
        .boxed()
}

/// Any reply; the keys of a map and the members of a set are no aggregates, as that crate wants it.
fn any_reply() -> impl Strategy<Value = Frame3> {
    let tree = attributed(leaf()).prop_recursive(4, 24, 4, |inner| {
        attributed(prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(array),
            prop::collection::vec((attributed(leaf()), inner), 0..4).prop_map(map),
            prop::collection::vec(attributed(leaf()), 0..4).prop_map(set),
        ])
    });
    let message = attributed(prop::collection::vec(tree.clone(), 1..4).prop_map(push));
    prop_oneof![4 => tree.boxed(), 1 => message]
}

fn any_resp2_reply() -> impl Strategy<Value = Frame2> {
    let leaf = prop_oneof![
        any_bytes().prop_map(|bytes| Frame2::BulkString(bytes.into())),
        "[ -~\u{e9}]{0,12}".prop_map(|text| Frame2::SimpleString(text.into())),
        "[ -~\u{e9}]{0,12}".prop_map(|text| Frame2::Error(text.into())),
        any::<i64>().prop_map(Frame2::Integer),
        Just(Frame2::Null),
    ];
    leaf.prop_recursive(5, 32, 5, |inner| {
        prop::collection::vec(inner, 0..5).prop_map(Frame2::Array)
    })
}

proptest! {
    #[test]
    fn any_reply_is_read_as_another_encoder_means_it(frame in any_reply()) {
        check(&frame, &mut BTreeSet::new());
    }

    #[test]
    fn any_resp2_reply_is_read_as_another_encoder_means_it(frame in any_resp2_reply()) {
        check2(&frame);
    }
}
