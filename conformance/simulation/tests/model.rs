//! The model is right: it gives the same bytes for the same random commands as real servers.
//!
//! `MODEL_SEQUENCES` sets how many sequences of some ten commands each server is given; the default
//! is 10,000. Replies that are known to differ between servers, or from one moment to the next, are
//! compared as far as possible: see `agree`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use async_caches_conformance::frame::{self, Frame, command};
use async_caches_conformance::random::Random;
use async_caches_conformance::request::Request;
use async_caches_conformance::server::{Kind, Server, Setup};
use async_caches_core::script::{DELETE_IF, INCR, PERSIST};
use async_caches_simulation::model::{Model, Session};

type Words = Vec<Vec<u8>>;

/// A server and the model beside it.
struct Pair {
    stream: TcpStream,
    unread: Vec<u8>,
    model: Model,
    session: Session,
}

#[test]
fn the_model_replies_as_redis_does() {
    compare(Kind::Redis);
}

#[test]
fn the_model_replies_as_valkey_does() {
    compare(Kind::Valkey);
}

#[test]
fn the_model_requires_authentication_as_servers_do() {
    let server = Server::start(Kind::Redis, &Setup::default().password("right"));
    let mut random = Random::new(1);
    let mut model = Model::default();
    model.password = Some("right".into());
    for _ in 0..300 {
        let mut pair = Pair::new(&server, model.clone());
        let greetings: Vec<Words> = (0..6).map(|_| greeting(&mut random)).collect();
        pair.exchange(&greetings);
    }
}

fn compare(kind: Kind) {
    let sequences: u64 = match std::env::var("MODEL_SEQUENCES") {
        Ok(number) => number.parse().expect("MODEL_SEQUENCES is a number"),
        Err(_) => 10_000,
    };
    let server = Server::start(kind, &Setup::default());
    let mut pair = Pair::new(&server, Model::default());
    let mut random = Random::new(7);
    let mut left = sequences;
    while left > 0 {
        let batch = left.min(BATCH);
        left -= batch;
        let commands: Vec<Words> = (0..batch).flat_map(|_| sequence(&mut random)).collect();
        pair.exchange(&commands);
    }
}

impl Pair {
    fn new(server: &Server, mut model: Model) -> Self {
        let stream = TcpStream::connect(server.address()).expect("the server is there");
        let session = model.session();
        Self { stream, unread: Vec::new(), model, session }
    }

    /// Sends all commands in one go and compares the replies one by one.
    fn exchange(&mut self, commands: &[Words]) {
        let bytes: Vec<u8> = commands.iter().flat_map(|words| command(words)).collect();
        self.stream.write_all(&bytes).expect("the server reads");
        for words in commands {
            let real = self.reply();
            let mut ours = Vec::new();
            let said = self.model.run(&mut self.session, &Request::of(words), millis());
            said.write(self.session.protocol, &mut ours);
            let shown: Vec<String> =
                words.iter().map(|word| word.escape_ascii().to_string()).collect();
            assert!(
                agree(&words[0], &real, &ours),
                "{shown:?}:\nthe server: {}\nthe model:  {}",
                real.escape_ascii(),
                ours.escape_ascii()
            );
        }
    }

    /// The bytes of the next reply.
    fn reply(&mut self) -> Vec<u8> {
        loop {
            if let Some(len) = frame::length(&self.unread) {
                return self.unread.drain(..len).collect();
            }
            let mut piece = [0; 64 * 1024];
            let count = self.stream.read(&mut piece).expect("the server writes");
            assert!(count > 0, "the server hung up");
            self.unread.extend_from_slice(&piece[..count]);
        }
    }
}

/// Whether two replies to a command of this name agree. They must be the same byte for byte, except
/// for
///
/// * the server's identity and its number of connections, in `HELLO`;
/// * the order in which a scan finds keys;
/// * the rest of a timeout, which may differ by two seconds;
/// * the text after `NOSCRIPT`, which Valkey has shortened.
fn agree(name: &[u8], real: &[u8], ours: &[u8]) -> bool {
    if real == ours {
        return true;
    }
    let parsed = |bytes: &[u8]| Frame::parse(bytes).map(|(frame, _)| frame);
    match (name, parsed(real), parsed(ours)) {
        (b"HELLO", Some(Frame::List(real)), Some(Frame::List(ours))) => {
            let named = |list: &[Frame], name: &str| {
                let at = list.iter().position(|item| *item == Frame::Bulk(name.into()))?;
                list.get(at + 1).cloned()
            };
            ["proto", "mode", "role"].iter().all(|name| named(&real, name) == named(&ours, name))
        }
        (b"SCAN", Some(Frame::List(real)), Some(Frame::List(ours))) => {
            let sorted = |list: &[Frame]| {
                let Some(Frame::List(keys)) = list.get(1) else { return Vec::new() };
                let mut keys: Vec<String> = keys.iter().map(Frame::text).collect();
                keys.sort();
                keys
            };
            real[0] == ours[0] && sorted(&real) == sorted(&ours)
        }
        (b"PTTL", Some(Frame::Integer(real)), Some(Frame::Integer(ours))) => {
            real > 0 && real.abs_diff(ours) < 2_000
        }
        (_, Some(Frame::Error(real)), Some(Frame::Error(ours))) => {
            real.starts_with("NOSCRIPT") && ours.starts_with("NOSCRIPT")
        }
        _ => false,
    }
}

fn sequence(random: &mut Random) -> Vec<Words> {
    let mut commands = vec![words(&["FLUSHDB", "ASYNC"])];
    commands.extend((0..6 + random.below(8)).map(|_| any(random)));
    commands
}

fn any(random: &mut Random) -> Words {
    let (key, other) = (one_of(random, KEYS), one_of(random, KEYS));
    let (value, millis) = (one_of(random, VALUES), one_of(random, MILLIS));
    let delta = one_of(random, DELTAS);
    match random.below(50) {
        0..6 => words(&["GET", key]),
        6..12 => words(&["SET", key, value]),
        12..14 => words(&["SET", key, value, "PX", millis]),
        14 => words(&["SET", key, value, "NX"]),
        15 => words(&["SET", key, value, "PX", millis, "NX"]),
        16 => words(&["MGET", key, other, key]),
        17 | 18 => words(&["UNLINK", key, other]),
        19 => words(&["EXISTS", key, other]),
        20 | 21 => words(&["PTTL", key]),
        22 | 23 => words(&["PEXPIRE", key, millis]),
        24 => words(&["EVAL", PERSIST.source, "1", key]),
        25 => words(&["EVALSHA", PERSIST.digest, "1", key]),
        26..29 => words(&["EVAL", INCR.source, "1", key, "i", delta]),
        29..32 => words(&["EVALSHA", INCR.digest, "1", key, "i", delta]),
        32..35 => words(&["EVALSHA", INCR.digest, "1", key, "f", one_of(random, FLOATS)]),
        35 => words(&["SCAN", "0", "MATCH", one_of(random, PATTERNS), "COUNT", "512"]),
        36 => words(&["PING"]),
        37 => words(&["PING", value]),
        38 => words(&["SELECT", one_of(random, &["0", "1", "4095", "4096", "-1", "x"])]),
        39 if random.below(20) == 0 => words(&["SCRIPT", "FLUSH"]),
        40 => words(one_of(random, WRONG)),
        41 | 42 => greeting(random),
        43 => words(&["EVAL", DELETE_IF.source, "1", key, value]),
        44 | 45 => words(&["EVALSHA", DELETE_IF.digest, "1", key, value]),
        46 => words(&["EVALSHA", INCR.digest, "1", key, "i", delta, one_of(random, FIRSTS)]),
        47 => words(&["EVALSHA", INCR.digest, "1", key, "f", "0.5", one_of(random, FIRSTS)]),
        48 => words(&["EVALSHA", INCR.digest, "1", key, "i", delta, "7", "100000"]),
        _ => words(&["FLUSHDB"]),
    }
}

fn greeting(random: &mut Random) -> Words {
    let greetings: &[&[&str]] = &[
        &["HELLO", "3"],
        &["HELLO", "2"],
        &["HELLO"],
        &["HELLO", "4"],
        &["HELLO", "x"],
        &["HELLO", "3", "AUTH", "default", "right"],
        &["HELLO", "3", "AUTH", "nobody", "right"],
        &["HELLO", "3", "SETNAME", "name"],
        &["HELLO", "3", "NONSENSE"],
        &["AUTH", "right"],
        &["AUTH", "default", "right"],
        &["AUTH", "nobody", "right"],
        &["CLIENT", "SETNAME", "name"],
        &["PING"],
        &["GET", "a"],
    ];
    words(one_of(random, greetings))
}

fn words(words: &[&str]) -> Words {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn one_of<T: Copy>(random: &mut Random, all: &[T]) -> T {
    all[usize::try_from(random.below(all.len() as u64)).unwrap()]
}

fn millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the year 292 million")
}

const BATCH: u64 = 500;
const KEYS: &[&str] = &["a", "b", "p::a", "p:2:a", "p*[q::a", "n", ""];
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-5",
    "41",
    "007",
    "1.5",
    "-0",
    "1e3",
    "0.1",
    " 1",
    "abc",
    "\"text\"",
    "null",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "1e999",
    "1.7e308",
    "123456789012345.6",
    "\r\n$3\r\n",
];
const MILLIS: &[&str] = &["100000", "2000000", "0", "-1", "x", "9223372036854775807", "01", "1.5"];
const DELTAS: &[&str] =
    &["1", "-1", "0", "41", "9223372036854775807", "-9223372036854775808", "9223372036854775808"];
const FIRSTS: &[&str] = &["1", "-5", "0.5", "OVERFLOW", "NOTANINTEGER"];
const FLOATS: &[&str] =
    &["0.5", "-0.5", "1.0", "0.1", "1e308", "-1.5", "0.0", "1e-7", "inf", "NaN"];
const PATTERNS: &[&str] = &["*", "p:*", "p::*", "p\\*\\[q:*", "x*"];
const WRONG: &[&[&str]] = &[
    &["GET"],
    &["GET", "a", "b"],
    &["SET", "a"],
    &["SET", "a", "1", "NONSENSE"],
    &["SET", "a", "1", "PX"],
    &["MGET"],
    &["PTTL"],
    &["PEXPIRE", "a"],
    &["NONSENSE", "a", "b"],
    &["nonsense"],
    &["EVALSHA", "0123456789012345678901234567890123456789", "1", "a"],
    &["SCAN", "x"],
    &["unlink"],
];
