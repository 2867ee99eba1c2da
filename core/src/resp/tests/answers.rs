//! Every answer to every command, from replies that `redis-protocol` writes, cut at every byte.

use core::num::NonZeroU64;
use core::time::Duration;
use std::collections::BTreeSet;
use std::vec::Vec;
use std::{format, vec};

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::types::BytesFrame as Frame2;
use redis_protocol::resp3::types::{BytesFrame as Frame3, VerbatimStringFormat};

use super::commands::{KINDS, kind};
use super::greetings::{NOW, SECOND, Server, greet, setup};
use super::replies::{
    array, blob, blob_error, double, error, line, map, number, push, verbatim, with, written,
    written2,
};
use crate::command::{Command, TopologyForm};
use crate::connection::{Connection, Event, Greeting, Setup, Tag};
use crate::error::{NumberError, ServerError};
use crate::key::{KeySpace, Names};
use crate::number::Number;
use crate::reply::{Answer, Remaining, Reply};
use crate::resp::output::Output;
use crate::ttl::Expiry;

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
