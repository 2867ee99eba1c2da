//! Encodes commands, straight into the output.
//!
//! Every command has one atomic form on the wire, or is a run of commands that each have one
//! ([`Command::SetMany`], [`Command::Persist`]). Timeouts are sent in milliseconds. All forms exist
//! since Redis 4.0.
//!
//! A server limits only lengths. [`Command::largest_argument`] lets a caller refuse a command that
//! is too long before anything is written: the bytes written are always whole commands.

use core::fmt::{self, Write};

use bytes::Bytes;

use crate::command::{Command, Start, TopologyForm};
use crate::key::{Key, Keys};
use crate::number::Number;
use crate::pattern;
use crate::script::{self, Script};
use crate::ttl::Expiry;

use super::answer::{Expect, Pong, Shape};
use super::output::Output;

/// The most bytes that a server accepts as one argument: Redis's default `proto-max-bulk-len`.
///
/// A server replies to a longer argument with an error and closes the connection, with all that is
/// in flight on it.
pub const MAX_ARGUMENT: usize = 512 << 20;

/// Appends `command` to `tx`.
///
/// [`Expect::of`] the same command describes the reply. No server accepts
/// a command on no keys at all, so it is sent as PING: it still is one round trip with one reply.
///
/// A double that is not finite is sent like any other; the server refuses it as an overflow.
pub fn command(command: &Command<'_>, scripts: &mut Scripts, tx: &mut Output) {
    match command {
        Command::Get(key) => get(tx, key),
        Command::GetMany(keys) => many(tx, b"$4\r\nMGET\r\n", keys.len(), &Whole::Keys(keys)),
        Command::Set { key, value, expiry } => set(tx, key, value, *expiry, b""),
        Command::Add { key, value, expiry } => set(tx, key, value, *expiry, b"$2\r\nNX\r\n"),
        Command::SetMany { keys, values, .. } if keys.is_empty() || values.is_empty() => ping(tx),
        Command::SetMany { keys, values, expiry } => {
            for (key, value) in keys.iter().zip(*values) {
                set(tx, &key, value, *expiry, b"");
            }
        }
        Command::Delete(keys) => many(tx, UNLINK, keys.len(), &Whole::Keys(keys)),
        Command::Unlink(keys) => many(tx, UNLINK, keys.len(), &Whole::Bytes(keys)),
        Command::Clear => tx.put_slice(b"*2\r\n$7\r\nFLUSHDB\r\n$5\r\nASYNC\r\n"),
        Command::Scan { stem, cursor } => scan(tx, stem, *cursor),
        Command::Touch { key, expiry: Expiry::Never } => {
            run(tx, scripts, script::PERSIST, key, &[]);
        }
        Command::Touch { key, expiry: Expiry::Millis(millis) } => {
            let mut digits = itoa::Buffer::new();
            let millis = digits.format(millis.get());
            tx.put_slice(PEXPIRE);
            put_key(tx, key);
            put_blob(tx, millis.as_bytes());
        }
        Command::Persist(key) => persist(tx, key),
        Command::Incr { key, delta, start } => incr(tx, scripts, key, *delta, *start),
        Command::DeleteIf { key, value } => run(tx, scripts, script::DELETE_IF, key, &[value]),
        Command::Contains(key) => keyed(tx, EXISTS, key),
        Command::Remaining(key) => keyed(tx, b"*2\r\n$4\r\nPTTL\r\n", key),
        Command::Ping => ping(tx),
        Command::Topology(TopologyForm::Shards) => {
            tx.put_slice(b"*2\r\n$7\r\nCLUSTER\r\n$6\r\nSHARDS\r\n");
        }
        Command::Topology(TopologyForm::Slots) => {
            tx.put_slice(b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n");
        }
        Command::ReadOnly => tx.put_slice(b"*1\r\n$8\r\nREADONLY\r\n"),
    }
}

impl Expect {
    /// The reply that `command` expects, as it is sent by [`command`].
    #[must_use]
    pub fn of(command: &Command<'_>) -> Self {
        let count = |keys| if keys == 0 { Shape::Pong(Pong::None) } else { Shape::Count(keys) };
        Self(match command {
            Command::Get(_) => Shape::Value,
            Command::GetMany(keys) => match keys.len() {
                0 => Shape::Pong(Pong::NoValues),
                many => Shape::Values(many),
            },
            Command::Set { .. } | Command::Clear | Command::ReadOnly => Shape::Done,
            Command::Add { .. } => Shape::Added,
            Command::SetMany { keys, values, .. } => match keys.len().min(values.len()) {
                0 => Shape::Pong(Pong::Done),
                many => Shape::DoneMany(many),
            },
            Command::Delete(keys) => count(keys.len()),
            Command::Unlink(keys) => count(keys.len()),
            Command::Scan { .. } => Shape::Scanned,
            Command::Touch { expiry: Expiry::Never, .. } | Command::DeleteIf { .. } => {
                Shape::ScriptFlag
            }
            Command::Touch { expiry: Expiry::Millis(_), .. } | Command::Contains(_) => Shape::Flag,
            Command::Persist(_) => return Self::PERSISTED,
            Command::Incr { delta: Number::Integer(_), .. } => Shape::Integer,
            Command::Incr { delta: Number::Float(_), .. } => Shape::Float,
            Command::Remaining(_) => Shape::Remaining,
            Command::Ping => Shape::Pong(Pong::Done),
            Command::Topology(_) => Shape::Topology,
        })
    }
}

/// Appends `ASKING`: it makes a node of a cluster accept the next command although its slot is
/// still being moved to that node.
pub(crate) fn asking(tx: &mut Output) {
    tx.put_slice(b"*1\r\n$6\r\nASKING\r\n");
}

/// Appends a command made of `words`.
pub fn request(tx: &mut Output, words: &[&[u8]]) {
    put_head(tx, words.len());
    for word in words {
        put_blob(tx, word);
    }
}

/// The scripts that one connection has already sent, and may from now on call by their digests.
///
/// A server forgets its scripts on request, and may when it has too many. It then replies
/// `NOSCRIPT` without having run anything.
#[derive(Clone, Debug, Default)]
pub struct Scripts {
    sent: [bool; Script::COUNT],
    /// Whether the server's user may run none.
    refused: bool,
}

impl Scripts {
    /// Makes every script be sent in full at its next use. To be called after `NOSCRIPT`.
    pub fn forget(&mut self) {
        self.sent = Default::default();
    }

    /// What can be sent without a script is from now on: to be called after `NOPERM`.
    pub(crate) fn refuse(&mut self) {
        self.refused = true;
    }

    /// Whether the server's user may run none: then a command goes out as
    /// [`Command::without_script`] returns it.
    pub(crate) fn are_refused(&self) -> bool {
        self.refused
    }

    fn is_sent(&mut self, script: Script) -> bool {
        match self.sent.get_mut(script.index) {
            Some(sent) => core::mem::replace(sent, true),
            None => false,
        }
    }
}

/// Appends a [`Command::Get`], in as few steps as possible, as it is the commonest command.
#[inline(always)]
pub(crate) fn get(tx: &mut Output, key: &Key<'_>) {
    match two_digits(key.len()) {
        Some([tens, ones]) => {
            let mut head = *b"*2\r\n$3\r\nGET\r\n$00\r\n";
            (head[14], head[15]) = (tens, ones);
            tx.put_slice(&head);
        }
        None => {
            tx.put_slice(b"*2\r\n$3\r\nGET\r\n");
            put_any_number(tx, b'$', key.len());
        }
    }
    key.put(tx.end());
    tx.put_slice(b"\r\n");
}

fn persist(tx: &mut Output, key: &Key<'_>) {
    keyed(tx, PERSIST, key);
    keyed(tx, EXISTS, key);
}

/// Appends [`Command::Persist`] with `ASKING` in front of each of its two commands.
pub(crate) fn persist_asking(tx: &mut Output, key: &Key<'_>) {
    for command in [PERSIST, EXISTS] {
        asking(tx);
        keyed(tx, command, key);
    }
}

fn keyed(tx: &mut Output, head: &[u8], key: &Key<'_>) {
    tx.put_slice(head);
    put_key(tx, key);
}

fn set(tx: &mut Output, key: &Key<'_>, value: &Bytes, expiry: Expiry, condition: &[u8]) {
    let mut digits = itoa::Buffer::new();
    let millis = match expiry {
        Expiry::Never => None,
        Expiry::Millis(millis) => Some(digits.format(millis.get())),
    };
    let words = 3 + 2 * usize::from(millis.is_some()) + usize::from(!condition.is_empty());
    put_head(tx, words);
    tx.put_slice(SET);
    put_key(tx, key);
    put_value(tx, value);
    if let Some(millis) = millis {
        tx.put_slice(PX);
        put_blob(tx, millis.as_bytes());
    }
    tx.put_slice(condition);
}

fn incr(
    tx: &mut Output,
    scripts: &mut Scripts,
    key: &Key<'_>,
    delta: Number,
    start: Option<&Start>,
) {
    let (mut digits, mut span) = (itoa::Buffer::new(), itoa::Buffer::new());
    let decimal;
    let (kind, number) = match delta {
        Number::Integer(delta) => (&b"i"[..], digits.format(delta).as_bytes()),
        Number::Float(delta) => {
            decimal = Decimal::of(delta);
            (&b"f"[..], decimal.as_bytes())
        }
    };
    let Some(start) = start else {
        return run(tx, scripts, script::INCR, key, &[kind, number]);
    };
    let first = start.first(delta);
    let first = first.as_ref().map_or_else(|error| script::status(*error), |(_, text)| text);
    match start.expiry {
        Expiry::Never => run(tx, scripts, script::INCR, key, &[kind, number, first]),
        Expiry::Millis(millis) => {
            let millis = span.format(millis.get()).as_bytes();
            run(tx, scripts, script::INCR, key, &[kind, number, first, millis]);
        }
    }
}

/// Whole keys, joined from their parts already or not.
enum Whole<'a> {
    Keys(&'a Keys<'a>),
    Bytes(&'a [Bytes]),
}

fn many(tx: &mut Output, name: &[u8], count: usize, keys: &Whole<'_>) {
    if count == 0 {
        return ping(tx);
    }
    put_head(tx, count + 1);
    tx.put_slice(name);
    match keys {
        Whole::Keys(keys) => keys.iter().for_each(|key| put_key(tx, &key)),
        Whole::Bytes(keys) => keys.iter().for_each(|key| put_blob(tx, key)),
    }
}

fn scan(tx: &mut Output, stem: &[u8], cursor: u64) {
    let mut digits = itoa::Buffer::new();
    let cursor = digits.format(cursor);
    tx.put_slice(SCAN);
    put_blob(tx, cursor.as_bytes());
    tx.put_slice(MATCH);
    put_number(tx, b'$', pattern::len(stem));
    pattern::put(stem, tx.end());
    tx.put_slice(b"\r\n");
    tx.put_slice(COUNT);
}

fn run(tx: &mut Output, scripts: &mut Scripts, script: Script, key: &Key<'_>, args: &[&[u8]]) {
    let (name, body) = match scripts.is_sent(script) {
        true => (&b"$7\r\nEVALSHA\r\n"[..], script.digest),
        false => (&b"$4\r\nEVAL\r\n"[..], script.source),
    };
    let words = 4 + args.len();
    put_head(tx, words);
    tx.put_slice(name);
    put_blob(tx, body.as_bytes());
    tx.put_slice(ONE_KEY);
    put_key(tx, key);
    for arg in args {
        put_blob(tx, arg);
    }
}

fn ping(tx: &mut Output) {
    tx.put_slice(b"*1\r\n$4\r\nPING\r\n");
}

fn put_head(tx: &mut Output, words: usize) {
    put_number(tx, b'*', words);
}

#[inline]
fn put_blob(tx: &mut Output, bytes: &[u8]) {
    put_number(tx, b'$', bytes.len());
    tx.put_slice(bytes);
    tx.put_slice(b"\r\n");
}

fn put_value(tx: &mut Output, value: &Bytes) {
    put_number(tx, b'$', value.len());
    tx.put_value(value);
    tx.put_slice(b"\r\n");
}

fn put_key(tx: &mut Output, key: &Key<'_>) {
    put_number(tx, b'$', key.len());
    key.put(tx.end());
    tx.put_slice(b"\r\n");
}

/// Writes a length or a count on a line of its own. Most have two digits.
#[inline]
fn put_number(tx: &mut Output, kind: u8, number: usize) {
    match two_digits(number) {
        Some([tens, ones]) => tx.put_slice(&[kind, tens, ones, b'\r', b'\n']),
        None => put_any_number(tx, kind, number),
    }
}

#[inline]
fn two_digits(number: usize) -> Option<[u8; 2]> {
    match u8::try_from(number) {
        Ok(number @ 10..100) => Some([b'0' + number / 10, b'0' + number % 10]),
        Ok(_) | Err(_) => None,
    }
}

#[inline(never)]
fn put_any_number(tx: &mut Output, kind: u8, number: usize) {
    tx.put_slice(&[kind]);
    tx.put_slice(itoa::Buffer::new().format(number).as_bytes());
    tx.put_slice(b"\r\n");
}

/// The shortest text that reads back as the same double, which every server's `strtod` reads.
struct Decimal {
    text: [u8; 32],
    len: usize,
}

impl Decimal {
    fn of(number: f64) -> Self {
        let mut this = Self { text: [0; 32], len: 0 };
        // It fits: the longest, such as -2.2250738585072014e-308, have 24 characters.
        let _ = write!(this, "{number:?}");
        this
    }

    fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }
}

impl Write for Decimal {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.text.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

const SET: &[u8] = b"$3\r\nSET\r\n";
const PX: &[u8] = b"$2\r\nPX\r\n";
const UNLINK: &[u8] = b"$6\r\nUNLINK\r\n";
const PEXPIRE: &[u8] = b"*3\r\n$7\r\nPEXPIRE\r\n";
const PERSIST: &[u8] = b"*2\r\n$7\r\nPERSIST\r\n";
const EXISTS: &[u8] = b"*2\r\n$6\r\nEXISTS\r\n";
const SCAN: &[u8] = b"*6\r\n$4\r\nSCAN\r\n";
const MATCH: &[u8] = b"$5\r\nMATCH\r\n";
const COUNT: &[u8] = b"$5\r\nCOUNT\r\n$3\r\n512\r\n";
const ONE_KEY: &[u8] = b"$1\r\n1\r\n";

#[cfg(test)]
mod tests;
