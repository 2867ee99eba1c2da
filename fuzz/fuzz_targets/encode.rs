//! Any commands in a row. Our decoder and `redis-protocol` must read the encoded bytes as the words
//! that the command stands for, in whatever pieces they are sent.
#![no_main]

use std::num::NonZeroU64;

use arbitrary::{Result, Unstructured};
use async_caches_core::command::TopologyForm;
use async_caches_core::command::{Command, Start};
use async_caches_core::error::NumberError;
use async_caches_core::key::{KeySpace, Names, Version};
use async_caches_core::number::Number;
use async_caches_core::resp::answer::Expect;
use async_caches_core::resp::decode;
use async_caches_core::resp::encode::{self, Scripts};
use async_caches_core::resp::output::Output;
use async_caches_core::resp::scan::{Limits, Scanner};
use async_caches_core::script::{self, Script};
use async_caches_core::ttl::Expiry;
use bytes::{Buf, Bytes};
use libfuzzer_sys::fuzz_target;
use redis_protocol::resp2::decode::decode as other_decode;
use redis_protocol::resp2::types::OwnedFrame;

type Words = Vec<Vec<u8>>;

fuzz_target!(|input: &[u8]| {
    let mut u = Unstructured::new(input);
    let mut story = Story::default();
    // Running out of input ends the story; it is not an error.
    while !u.is_empty() && story.act(&mut u).is_ok() {}
    story.leave(usize::MAX);
    assert!(story.tx.is_empty());
    assert_eq!(read(&story.sent), story.wanted);
});

#[derive(Default)]
struct Story {
    tx: Output,
    scripts: Scripts,
    known: [bool; Script::COUNT],
    sent: Vec<u8>,
    wanted: Vec<Words>,
}

impl Story {
    fn act(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=7_u8)? {
            0 => {
                self.scripts.forget();
                self.known = Default::default();
            }
            1 => self.leave(usize::from(u.arbitrary::<u16>()?)),
            _ => self.write(u)?,
        }
        Ok(())
    }

    /// Sends up to `most` bytes.
    fn leave(&mut self, most: usize) {
        let pieces: Vec<u8> = self.tx.pieces().flatten().copied().collect();
        assert!(self.tx.pieces().all(|piece| !piece.is_empty()));
        let count = most.min(self.tx.len());
        assert_eq!(pieces.len(), self.tx.len());
        self.sent.extend_from_slice(&pieces[..count]);
        self.tx.advance(count);
    }

    fn write(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Ok(space) = KeySpace::new(&text(u)?, Version::from(text(u)?)) else { return Ok(()) };
        let scope = space.scope(None).expect("it has no colon");
        let count = u.int_in_range(0..=3)?;
        let names: Names =
            (0..count).map(|_| bytes(u)).collect::<Result<Vec<_>>>()?.iter().collect();
        let values = (0..count).map(|_| bytes(u).map(Bytes::from)).collect::<Result<Vec<_>>>()?;
        let (name, value, stem) = (bytes(u)?, &Bytes::from(bytes(u)?), bytes(u)?);
        let (key, keys, expiry) = (scope.key(&name), scope.keys(&names), expiry(u)?);
        let delta = if u.arbitrary()? {
            Number::Integer(i128::from(u.arbitrary::<i64>()?) - i128::from(u.arbitrary::<bool>()?))
        } else {
            Number::Float(u.arbitrary()?)
        };
        let initial = if u.arbitrary()? {
            Number::Integer(u.arbitrary::<i64>()?.into())
        } else {
            Number::Float(u.arbitrary()?)
        };
        let start = Start { initial, expiry };
        let command = match u.int_in_range(0..=14_u8)? {
            0 => Command::Get(key),
            1 => Command::GetMany(keys),
            2 => Command::Set { key, value, expiry },
            3 => Command::Add { key, value, expiry },
            4 => Command::SetMany { keys, values: &values, expiry },
            5 => Command::Delete(keys),
            6 => Command::Clear,
            7 => Command::Scan { stem: &stem, cursor: u.arbitrary()? },
            8 => Command::Unlink(&values),
            9 => Command::Touch { key, expiry },
            10 => Command::Incr { key, delta, start: u.arbitrary::<bool>()?.then_some(&start) },
            14 => Command::DeleteIf { key, value },
            11 => Command::Contains(key),
            12 => Command::Remaining(key),
            _ => Command::Ping,
        };
        let wanted = self.wanted(&command);
        assert_eq!(Expect::of(&command).replies(), wanted.len());
        encode::command(&command, &mut self.scripts, &mut self.tx);
        let longest = wanted.iter().flatten().map(Vec::len).max();
        assert!(command.largest_argument() <= longest.unwrap_or(0));
        self.wanted.extend(wanted);
        Ok(())
    }

    /// The requests that a command stands for, according to the servers' documentation.
    fn wanted(&mut self, command: &Command<'_>) -> Vec<Words> {
        let word = |text: &str| text.as_bytes().to_vec();
        let set = |key: Vec<u8>, value: &Bytes, expiry: Expiry| {
            let mut words = vec![word("SET"), key, value.to_vec()];
            if let Expiry::Millis(millis) = expiry {
                words.extend([word("PX"), word(&millis.to_string())]);
            }
            words
        };
        let many = |name: &str, keys: Vec<Vec<u8>>| match keys.is_empty() {
            true => vec![vec![word("PING")]],
            false => vec![[vec![word(name)], keys].concat()],
        };
        match command {
            Command::Get(key) => vec![vec![word("GET"), key.to_bytes().to_vec()]],
            Command::GetMany(keys) => {
                many("MGET", keys.iter().map(|key| key.to_bytes().to_vec()).collect())
            }
            Command::Delete(keys) => {
                many("UNLINK", keys.iter().map(|key| key.to_bytes().to_vec()).collect())
            }
            Command::Unlink(keys) => many("UNLINK", keys.iter().map(|key| key.to_vec()).collect()),
            Command::Set { key, value, expiry } => {
                vec![set(key.to_bytes().to_vec(), value, *expiry)]
            }
            Command::Add { key, value, expiry } => {
                let mut words = set(key.to_bytes().to_vec(), value, *expiry);
                words.push(word("NX"));
                vec![words]
            }
            Command::SetMany { keys, .. } if keys.is_empty() => vec![vec![word("PING")]],
            Command::SetMany { keys, values, expiry } => {
                let pairs = keys.iter().zip(*values);
                pairs.map(|(key, value)| set(key.to_bytes().to_vec(), value, *expiry)).collect()
            }
            Command::Clear => vec![vec![word("FLUSHDB"), word("ASYNC")]],
            Command::Scan { stem, cursor } => {
                let mut pattern = Vec::new();
                for &byte in *stem {
                    if b"*?[]\\".contains(&byte) {
                        pattern.push(b'\\');
                    }
                    pattern.push(byte);
                }
                pattern.push(b'*');
                let (cursor, count) = (word(&cursor.to_string()), word("512"));
                vec![vec![word("SCAN"), cursor, word("MATCH"), pattern, word("COUNT"), count]]
            }
            Command::Touch { key, expiry: Expiry::Never } => {
                vec![self.script(0, script::PERSIST, key.to_bytes().to_vec(), vec![])]
            }
            Command::Touch { key, expiry: Expiry::Millis(millis) } => {
                let millis = word(&millis.to_string());
                vec![vec![word("PEXPIRE"), key.to_bytes().to_vec(), millis]]
            }
            Command::Persist(key) => {
                let key = key.to_bytes().to_vec();
                ["PERSIST", "EXISTS"].map(|name| vec![word(name), key.clone()]).to_vec()
            }
            Command::Incr { key, delta, start } => {
                let mut arguments = match delta {
                    Number::Integer(delta) => vec![word("i"), word(&delta.to_string())],
                    Number::Float(delta) => vec![word("f"), word(&format!("{delta:?}"))],
                };
                if let Some(start) = start {
                    let first = start.first(*delta).map(|(_, text)| text);
                    arguments.push(first.unwrap_or_else(|error| match error {
                        NumberError::NotAnInteger => word("NOTANINTEGER"),
                        _ => word("OVERFLOW"),
                    }));
                    if let Expiry::Millis(millis) = start.expiry {
                        arguments.push(word(&millis.to_string()));
                    }
                }
                vec![self.script(1, script::INCR, key.to_bytes().to_vec(), arguments)]
            }
            Command::DeleteIf { key, value } => {
                let key = key.to_bytes().to_vec();
                vec![self.script(2, script::DELETE_IF, key, vec![value.to_vec()])]
            }
            Command::Contains(key) => vec![vec![word("EXISTS"), key.to_bytes().to_vec()]],
            Command::Remaining(key) => vec![vec![word("PTTL"), key.to_bytes().to_vec()]],
            Command::Ping => vec![vec![word("PING")]],
            Command::Topology(TopologyForm::Shards) => vec![vec![word("CLUSTER"), word("SHARDS")]],
            Command::Topology(TopologyForm::Slots) => vec![vec![word("CLUSTER"), word("SLOTS")]],
            Command::ReadOnly => vec![vec![word("READONLY")]],
            _ => unreachable!("this target makes no other command"),
        }
    }

    /// A script is sent in full the first time, and by its digest from then on.
    fn script(&mut self, nth: usize, script: Script, key: Vec<u8>, arguments: Words) -> Words {
        let (name, body) = match std::mem::replace(&mut self.known[nth], true) {
            true => ("EVALSHA", script.digest),
            false => ("EVAL", script.source),
        };
        let head = [name, body, "1"].map(|word| word.as_bytes().to_vec()).to_vec();
        [head, vec![key], arguments].concat()
    }
}

/// The requests in the sent bytes, as read by two decoders.
fn read(sent: &[u8]) -> Vec<Words> {
    let (mut scanner, mut rest, mut requests) = (Scanner::new(Limits::default()), sent, Vec::new());
    while !rest.is_empty() {
        let len = scanner.scan(rest).expect("it is a frame").expect("it is whole");
        let words = decode::elements(&rest[..len]).expect("it is an array");
        let words = words.map(|word| word.unwrap().bytes().expect("it is a blob").to_vec());
        let words: Words = words.collect();
        let (other, end) = other_decode(rest).expect("it is a frame").expect("it is whole");
        let OwnedFrame::Array(others) = other else { panic!("{other:?}") };
        let others = others.into_iter().map(|word| match word {
            OwnedFrame::BulkString(bytes) => bytes,
            word => panic!("{word:?}"),
        });
        assert_eq!((end, others.collect::<Words>()), (len, words.clone()));
        requests.push(words);
        rest = &rest[len..];
    }
    requests
}

fn bytes(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    // Sometimes a value long enough to be a piece of its own, or one byte shorter.
    Ok(match u.int_in_range(0..=15_u8)? {
        0 => vec![b'x'; Output::SEALED_FROM - 1 + usize::from(u.arbitrary::<bool>()?)],
        _ => {
            let len = u.int_in_range(0..=20)?.min(u.len());
            u.bytes(len)?.to_vec()
        }
    })
}

fn text(u: &mut Unstructured<'_>) -> Result<String> {
    let len = u.int_in_range(0..=5)?.min(u.len());
    Ok(String::from_utf8_lossy(u.bytes(len)?).into_owned())
}

fn expiry(u: &mut Unstructured<'_>) -> Result<Expiry> {
    let millis = u.arbitrary::<u64>()? >> u.int_in_range(11..=63)?;
    Ok(NonZeroU64::new(millis).map_or(Expiry::Never, Expiry::Millis))
}
