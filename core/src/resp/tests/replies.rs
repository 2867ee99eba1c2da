//! Every kind of frame, as `redis-protocol` writes it: whole and cut at every byte.

use std::collections::BTreeSet;
use std::string::String;
use std::vec;
use std::vec::Vec;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use redis_protocol::resp2;
use redis_protocol::resp2::types::BytesFrame as Frame2;
use redis_protocol::resp3;
use redis_protocol::resp3::encode::streaming;
use redis_protocol::resp3::types::{
    BytesFrame as Frame3, FrameKind, Resp3Frame, VerbatimStringFormat,
};

use super::named;
use crate::error::ProtocolError;
use crate::resp::decode::{self, Elements, FramePart};
use crate::resp::kind::Kind;
use crate::resp::scan::Scanner;

named!(shape(Kind), SHAPES: Kind::{
    Simple, Error, Integer, Blob, Array, Null, Double, Boolean, BlobError, Verbatim, BigNumber, Map, Set,
    Push, Attribute,
});

pub(super) fn blob(bytes: impl Into<Bytes>) -> Frame3 {
    Frame3::BlobString { data: bytes.into(), attributes: None }
}

pub(super) fn line(text: impl Into<Bytes>) -> Frame3 {
    Frame3::SimpleString { data: text.into(), attributes: None }
}

pub(super) fn error(text: &str) -> Frame3 {
    Frame3::SimpleError { data: text.into(), attributes: None }
}

pub(super) fn blob_error(text: impl Into<Bytes>) -> Frame3 {
    Frame3::BlobError { data: text.into(), attributes: None }
}

pub(super) fn number(data: i64) -> Frame3 {
    Frame3::Number { data, attributes: None }
}

pub(super) fn double(data: f64) -> Frame3 {
    Frame3::Double { data, attributes: None }
}

fn boolean(data: bool) -> Frame3 {
    Frame3::Boolean { data, attributes: None }
}

fn big(digits: impl Into<Bytes>) -> Frame3 {
    Frame3::BigNumber { data: digits.into(), attributes: None }
}

pub(super) fn verbatim(format: VerbatimStringFormat, text: impl Into<Bytes>) -> Frame3 {
    Frame3::VerbatimString { data: text.into(), format, attributes: None }
}

pub(super) fn array(data: Vec<Frame3>) -> Frame3 {
    Frame3::Array { data, attributes: None }
}

pub(super) fn push(data: Vec<Frame3>) -> Frame3 {
    Frame3::Push { data, attributes: None }
}

fn set(data: Vec<Frame3>) -> Frame3 {
    Frame3::Set { data: data.into_iter().collect(), attributes: None }
}

pub(super) fn map(data: Vec<(Frame3, Frame3)>) -> Frame3 {
    Frame3::Map { data: data.into_iter().collect(), attributes: None }
}

/// The frame with attributes; a null has none.
pub(super) fn with(mut frame: Frame3, attributes: Vec<(Frame3, Frame3)>) -> Frame3 {
    let _ = frame.add_attributes(attributes.into_iter().collect());
    frame
}

pub(super) fn written(frame: &Frame3) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    resp3::encode::complete::extend_encode(&mut bytes, frame, false).unwrap();
    bytes.to_vec()
}

pub(super) fn written2(frame: &Frame2) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    resp2::encode::extend_encode(&mut bytes, frame, false).unwrap();
    bytes.to_vec()
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

/// Asserts that core reads this frame as the other crate means it, and adds the kinds in it to
/// `seen`.
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
    let noted = array(vec![with(number(1), attributes.clone()), with(blob("a"), attributes)]);
    frames.extend([noted.clone(), array(vec![noted.clone(), noted, number(2)])]);
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
