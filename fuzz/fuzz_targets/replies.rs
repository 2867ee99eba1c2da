//! Well-formed replies of every shape to every command, including scripts. Each must be read as the
//! table below says, or be a protocol error if the table has no entry; and exactly its own bytes
//! must be consumed.
#![no_main]

use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use async_caches_core::command::Command;
use async_caches_core::command::TopologyForm;
use async_caches_core::copies::Copies;
use async_caches_core::error::{Failure, NumberError, ServerError, ServerErrorKind};
use async_caches_core::key::{KeySpace, Names};
use async_caches_core::number::Number;
use async_caches_core::reply::{Answer, Remaining, Reply};
use async_caches_core::resp::answer::Expect;
use async_caches_core::resp::scan::{Limits, Scanner};
use async_caches_core::ttl::Expiry;
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

/// A reply of a server.
#[derive(Arbitrary, Clone, Debug)]
enum Said {
    Status(Status),
    Error(Line),
    BlobError(Vec<u8>),
    Integer(i64),
    Small(i8),
    Blob(Vec<u8>),
    Verbatim(Vec<u8>),
    Digits(i64),
    Double(f64),
    Null(Null),
    Array(#[arbitrary(with = half)] Vec<Said>),
    Scan(u64, Vec<Vec<u8>>),
    Attribute(#[arbitrary(with = half)] Box<Said>),
}

#[derive(Arbitrary, Clone, Debug)]
enum Status {
    Ok,
    Pong,
    Absent,
    NotANumber,
    NotAnInteger,
    Overflow,
    Other(Line),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Null {
    Blob,
    Array,
    Resp3,
}

/// Bytes that fit on a line.
#[derive(Arbitrary, Clone, Debug)]
struct Line(Vec<u8>);

/// A nested value, made from half of the remaining input so that the nesting stays shallow.
fn half<'a, T: Arbitrary<'a>>(u: &mut Unstructured<'a>) -> Result<T> {
    let inside = u.bytes(u.len() / 2)?;
    T::arbitrary(&mut Unstructured::new(inside))
}

fuzz_target!(|input: (Said, [u8; 3])| {
    let (said, behind) = input;
    let mut frame = Vec::new();
    said.put(&mut frame);
    let all = [&frame[..], &behind].concat();
    let len = Scanner::new(Limits::default()).scan(&all).expect("frames").expect("it is whole");
    assert_eq!(len, frame.len());
    let space = KeySpace::default();
    let scope = space.scope(None).expect("no version, no colon");
    let (key, value, expiry) = (scope.key(b"k"), &Bytes::new(), Expiry::Never);
    let (none, two): (Names, Names) = (Names::default(), ["a", "b"].iter().collect());
    let (values, keys) = ([Bytes::new(), Bytes::new()], scope.keys(&two));
    for command in [
        Command::Get(key),
        Command::GetMany(scope.keys(&two)),
        Command::GetMany(scope.keys(&none)),
        Command::Set { key, value, expiry },
        Command::Add { key, value, expiry },
        Command::SetMany { keys, values: &values, expiry },
        Command::Delete(scope.keys(&two)),
        Command::Delete(scope.keys(&none)),
        Command::Unlink(&values),
        Command::Clear,
        Command::Scan { stem: b"", cursor: 0 },
        Command::Touch { key, expiry },
        Command::Persist(key),
        Command::Incr { key, delta: Number::Integer(1), start: None },
        Command::Incr { key, delta: Number::Float(1.0), start: None },
        Command::DeleteIf { key, value },
        Command::Contains(key),
        Command::Remaining(key),
        Command::Ping,
        Command::Topology(TopologyForm::Shards),
        Command::ReadOnly,
    ] {
        let mut rx = BytesMut::from(&all[..]);
        let read = Expect::of(&command).read(&mut rx, len, &mut Copies::default());
        // An error nested in a reply that does not fit the command becomes the command's result.
        let inner = matches!(read, Ok(Err(Failure::Server(_)))) && may_hold_an_error(&frame);
        let means = said.means(&command, &frame);
        assert!(inner || read.ok() == means, "{said:?} to {command:?} is {means:?}");
        assert_eq!(rx, behind[..]);
    }
});

/// Whether a frame contains others, one of which may be an error.
fn may_hold_an_error(frame: &[u8]) -> bool {
    let is_outer = frame.first().is_some_and(|first| b"*%~>|".contains(first));
    is_outer && frame.iter().any(|byte| b"-!".contains(byte))
}

impl Said {
    fn means(&self, command: &Command<'_>, frame: &[u8]) -> Option<Answer> {
        if let Self::Attribute(said) = self {
            return said.means(command, frame);
        }
        if let Self::Error(Line(text)) | Self::BlobError(text) = self {
            let text = if matches!(self, Self::Error(_)) { on_a_line(text) } else { text.clone() };
            let error = ServerError::parse(&text);
            // `NOSCRIPT` is a valid reply only to a script.
            let answers = error.kind != ServerErrorKind::NoScript
                || matches!(
                    command,
                    Command::Incr { .. } | Command::Touch { .. } | Command::DeleteIf { .. }
                );
            return answers.then_some(Err(Failure::Server(error)));
        }
        let reply = match command {
            Command::Get(_) => Reply::Value(self.value()?),
            Command::GetMany(keys) if keys.is_empty() => self.pong(Reply::Values(vec![]))?,
            Command::GetMany(keys) => {
                let Self::Array(said) = self else { return None };
                let values = said.iter().map(Self::value).collect::<Option<Vec<_>>>()?;
                Reply::Values(Some(values).filter(|values| values.len() == keys.len())?)
            }
            Command::Set { .. } | Command::SetMany { .. } | Command::Clear | Command::ReadOnly => {
                self.ok()?
            }
            Command::Topology(_) if matches!(self, Self::Array(_) | Self::Scan(..)) => {
                Reply::Topology(Bytes::copy_from_slice(frame))
            }
            Command::Topology(_) => return None,
            Command::Add { .. } => match self {
                Self::Null(_) => Reply::Flag(false),
                said => said.ok().map(|_| Reply::Flag(true))?,
            },
            Command::Delete(keys) if keys.is_empty() => self.pong(Reply::Count(0))?,
            Command::Delete(_) | Command::Unlink(_) => {
                Reply::Count(u64::try_from(self.integer()?).ok().filter(|count| *count <= 2)?)
            }
            Command::Scan { .. } => self.scanned()?,
            Command::Touch { .. }
            | Command::Persist(_)
            | Command::Contains(_)
            | Command::DeleteIf { .. } => match self.integer()? {
                0 => Reply::Flag(false),
                1 => Reply::Flag(true),
                _ => return None,
            },
            Command::Incr { delta, .. } => return self.sum(*delta),
            Command::Remaining(_) => Reply::Remaining(match self.integer()? {
                -2 => Remaining::Absent,
                -1 => Remaining::Forever,
                left => Remaining::For(Duration::from_millis(left.try_into().ok()?)),
            }),
            Command::Ping => self.pong(Reply::Done)?,
            _ => unreachable!("this target makes no other command"),
        };
        Some(Ok(reply))
    }

    fn ok(&self) -> Option<Reply> {
        matches!(self, Self::Status(Status::Ok)).then_some(Reply::Done).or_else(|| {
            let Self::Status(Status::Other(Line(text))) = self else { return None };
            (on_a_line(text) == b"OK").then_some(Reply::Done)
        })
    }

    fn pong(&self, reply: Reply) -> Option<Reply> {
        match self {
            Self::Status(Status::Pong) => Some(reply),
            Self::Status(Status::Other(Line(text))) if on_a_line(text) == b"PONG" => Some(reply),
            _ => None,
        }
    }

    fn value(&self) -> Option<Option<Bytes>> {
        match self {
            Self::Null(_) => Some(None),
            Self::Blob(bytes) | Self::Verbatim(bytes) => Some(Some(bytes.clone().into())),
            Self::Digits(number) => Some(Some(number.to_string().into())),
            Self::Attribute(said) => said.value(),
            _ => None,
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Small(number) => Some((*number).into()),
            _ => None,
        }
    }

    /// The result of the script that adds.
    fn sum(&self, delta: Number) -> Option<Answer> {
        if let Self::Status(status) = self {
            let error = match status {
                Status::Absent => NumberError::KeyNotFound,
                Status::NotANumber => NumberError::NotANumber,
                Status::NotAnInteger => NumberError::NotAnInteger,
                Status::Overflow => NumberError::Overflow,
                Status::Ok | Status::Pong => return None,
                Status::Other(Line(text)) => match &on_a_line(text)[..] {
                    b"ABSENT" => NumberError::KeyNotFound,
                    b"NOTANUMBER" => NumberError::NotANumber,
                    b"NOTANINTEGER" => NumberError::NotAnInteger,
                    b"OVERFLOW" => NumberError::Overflow,
                    _ => return None,
                },
            };
            return Some(Err(error.into()));
        }
        let text = self.value()??;
        let text = str::from_utf8(&text).ok()?;
        let sum = match delta {
            Number::Integer(_) => Number::Integer(text.parse::<i64>().ok()?.into()),
            Number::Float(_) => {
                Number::Float(text.parse().ok().filter(|sum: &f64| sum.is_finite())?)
            }
        };
        Some(Ok(Reply::Number(sum)))
    }

    fn scanned(&self) -> Option<Reply> {
        let (cursor, keys) = match self {
            Self::Scan(cursor, keys) => (*cursor, keys.iter().cloned().map(Bytes::from).collect()),
            Self::Array(parts) => {
                let [cursor, keys] = &parts[..] else { return None };
                let cursor = str::from_utf8(&cursor.value()??).ok()?.parse().ok()?;
                (cursor, keys.listed()?)
            }
            _ => return None,
        };
        Some(Reply::Scanned { cursor, keys })
    }

    /// The keys in a list.
    fn listed(&self) -> Option<Vec<Bytes>> {
        match self {
            Self::Array(parts) => parts.iter().map(|part| part.value().flatten()).collect(),
            Self::Attribute(said) => said.listed(),
            _ => None,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        let line = |out: &mut Vec<u8>, kind: &str, text: &[u8]| {
            out.extend([kind.as_bytes(), text, b"\r\n"].concat());
        };
        let blob = |out: &mut Vec<u8>, kind: &str, bytes: &[u8]| {
            line(out, kind, bytes.len().to_string().as_bytes());
            line(out, "", bytes);
        };
        match self {
            Self::Status(status) => line(out, "+", &status.text()),
            Self::Error(Line(text)) => line(out, "-", &on_a_line(text)),
            Self::BlobError(text) => blob(out, "!", text),
            Self::Integer(number) => line(out, ":", number.to_string().as_bytes()),
            Self::Small(number) => line(out, ":", number.to_string().as_bytes()),
            Self::Blob(bytes) => blob(out, "$", bytes),
            Self::Verbatim(bytes) => blob(out, "=", &[b"txt:", &bytes[..]].concat()),
            Self::Digits(number) => blob(out, "$", number.to_string().as_bytes()),
            Self::Double(number) => line(out, ",", number.to_string().as_bytes()),
            Self::Null(Null::Blob) => line(out, "$-1", b""),
            Self::Null(Null::Array) => line(out, "*-1", b""),
            Self::Null(Null::Resp3) => line(out, "_", b""),
            Self::Array(parts) => {
                line(out, "*", parts.len().to_string().as_bytes());
                parts.iter().for_each(|part| part.put(out));
            }
            Self::Scan(cursor, keys) => {
                line(out, "*2", b"");
                blob(out, "$", cursor.to_string().as_bytes());
                line(out, "*", keys.len().to_string().as_bytes());
                keys.iter().for_each(|key| blob(out, "$", key));
            }
            Self::Attribute(said) => {
                line(out, "|1\r\n+ttl\r\n:3600", b"");
                said.put(out);
            }
        }
    }
}

impl Status {
    fn text(&self) -> Vec<u8> {
        match self {
            Self::Ok => b"OK".to_vec(),
            Self::Pong => b"PONG".to_vec(),
            Self::Absent => b"ABSENT".to_vec(),
            Self::NotANumber => b"NOTANUMBER".to_vec(),
            Self::NotAnInteger => b"NOTANINTEGER".to_vec(),
            Self::Overflow => b"OVERFLOW".to_vec(),
            Self::Other(Line(text)) => on_a_line(text),
        }
    }
}

fn on_a_line(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect()
}
