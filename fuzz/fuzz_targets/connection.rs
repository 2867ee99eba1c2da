//! One connection under any calls in any order. The server replies, delays, pushes, splits replies
//! into pieces and, if the input says so, lies.
//!
//! Every accepted command gets exactly one event, by its deadline. Replies come in the order of the
//! commands. After the end there are only `Lost` events, which report correctly whether the command
//! was written. As long as the server did not lie, there is no protocol error, and every `Get` gets
//! the value of its own key.
#![no_main]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use async_caches_core::command::Command;
use async_caches_core::connection::{Connection, Event, Pushes, Setup, Tag, Tracking};
use async_caches_core::error::{ConnectionError, Refused};
use async_caches_core::key::{KeySpace, Names};
use async_caches_core::number::Number;
use async_caches_core::reply::Reply;
use async_caches_core::resp::decode;
use async_caches_core::resp::output::Output;
use async_caches_core::resp::scan::{Limits, Scanner};
use async_caches_core::time::Instant;
use async_caches_core::ttl::Expiry;
use bytes::{Buf, Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut u = Unstructured::new(input);
    let mut setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
    setup.database = 1;
    // Chosen by the parity of the length, so that the inputs in the corpus keep their meaning.
    setup.pushes = match input.len() % 2 {
        0 => Pushes::Dropped,
        _ => Pushes::Told { tracking: Some(Tracking::Read) },
    };
    let mut story = Story::begin(&setup);
    // Running out of input ends the story; it is not an error.
    while !u.is_empty() && story.act(&mut u).is_ok() {}
    story.end();
});

struct Story {
    connection: Connection,
    rx: BytesMut,
    tx: Output,
    now: Instant,
    closed: bool,
    /// Whether the connection reports pushes.
    tells: bool,
    server: Server,
    /// The number of bytes that were sent to the server.
    sent: usize,
    /// The commands in flight, as seen from outside; the connection's own have no tag.
    places: VecDeque<Option<u64>>,
    /// The commands that have had no event yet.
    pending: BTreeMap<u64, Pending>,
    next: u64,
}

struct Pending {
    expires: Instant,
    /// The number of sent bytes from which on this command may have run.
    runs_at: usize,
    is_get: bool,
}

impl Story {
    fn begin(setup: &Setup) -> Self {
        let (now, mut tx) = (Instant::from_millis(1_000), Output::new());
        Self {
            connection: Connection::open(setup, now, &mut tx),
            rx: BytesMut::new(),
            tx,
            now,
            closed: false,
            tells: setup.pushes != Pushes::Dropped,
            server: Server::new(),
            sent: 0,
            places: VecDeque::new(),
            pending: BTreeMap::new(),
            next: 0,
        }
    }

    fn act(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=15_u8)? {
            0..=4 => self.submit(u)?,
            5 | 6 => self.write(usize::MAX),
            7 => self.write(u.arbitrary::<u8>()?.into()),
            8 | 9 => self.read(usize::MAX),
            10 => self.read(u.arbitrary::<u8>()?.into()),
            11 => self.server.mood = u.arbitrary()?,
            12 => self.now = self.now + Duration::from_millis(u.arbitrary::<u16>()?.into()),
            13 => {
                let deadline = self.connection.deadline();
                self.now = deadline.map_or(self.now, |due| self.now.max(due.at));
            }
            14 => match u.arbitrary::<u8>()? {
                0..=127 => self.server.out.extend_from_slice(PUSH),
                128.. => {
                    let len = u.int_in_range(1..=24)?.min(u.len());
                    self.server.out.extend_from_slice(u.bytes(len)?);
                    self.server.lied = true;
                }
            },
            _ => {
                if u.ratio(1, 8)? {
                    self.connection.close();
                    self.closed = true;
                }
            }
        }
        match u.int_in_range(0..=7_u8)? {
            0..=5 => self.poll(),
            6 => {
                self.poll_once();
            }
            _ => {}
        }
        Ok(())
    }

    fn submit(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let tag = self.next;
        self.next += 1;
        let (space, names, values);
        space = KeySpace::default();
        let scope = space.scope(None).expect("no version, no colon");
        let name = format!("k{tag}");
        let key = scope.key(name.as_bytes());
        let count = u.int_in_range(0..=3)?;
        names = (0..count).map(|nth| format!("k{tag}.{nth}")).collect::<Names>();
        values = vec![Bytes::from_static(b"v"); count];
        let (keys, value) = (scope.keys(&names), &Bytes::from_static(b"v"));
        let minute = Expiry::after(Duration::from_secs(60)).expect("not zero");
        let command = match u.int_in_range(0..=17_u8)? {
            0 => Command::GetMany(keys),
            1 => Command::Set { key, value, expiry: minute },
            2 => Command::Add { key, value, expiry: Expiry::Never },
            3 => Command::SetMany { keys, values: &values, expiry: minute },
            4 => Command::Delete(keys),
            5 => Command::Clear,
            6 => Command::Scan { stem: b":", cursor: tag },
            7 => Command::Unlink(&values),
            8 => Command::Touch { key, expiry: minute },
            9 => Command::Touch { key, expiry: Expiry::Never },
            10 => Command::Incr { key, delta: Number::Integer(1), start: None },
            11 => Command::Incr { key, delta: Number::Float(0.5), start: None },
            12 => Command::Contains(key),
            13 => Command::Remaining(key),
            14 => Command::Ping,
            _ => Command::Get(key),
        };
        // Sometimes the deadline is in the past, or never.
        let expires = match u.arbitrary::<u16>()? {
            0 => Instant::ORIGIN,
            u16::MAX => Instant::MAX,
            millis => self.now + Duration::from_millis(millis.into()),
        };
        let before = self.tx.len();
        match self.connection.submit(&command, Tag(tag), expires, &mut self.tx) {
            Ok(()) => {
                assert!(self.connection.is_ready() && self.tx.len() > before);
                // If a command is encoded as several, the first may run before the last one is
                // sent.
                let in_a_row = count > 1 && matches!(command, Command::SetMany { .. });
                let first = if in_a_row { before + 1 } else { self.tx.len() };
                let runs_at = self.sent + first;
                let is_get = matches!(command, Command::Get(_));
                self.pending.insert(tag, Pending { expires, runs_at, is_get });
                self.places.push_back(Some(tag));
            }
            Err(refused) => {
                assert_eq!(refused, Refused::NotOpen);
                assert!(!self.connection.is_ready() && self.tx.len() == before);
            }
        }
        Ok(())
    }

    /// The socket takes up to `most` bytes, and the server replies to each complete request.
    fn write(&mut self, most: usize) {
        let count = most.min(self.tx.len());
        self.server.hear(&self.tx.copy_to_bytes(count));
        self.connection.wrote(count);
        self.sent += count;
    }

    fn read(&mut self, most: usize) {
        let count = most.min(self.server.out.len());
        self.rx.unsplit(self.server.out.split_to(count));
    }

    /// Polls until there are no more events. Afterwards nothing may be overdue.
    fn poll(&mut self) {
        while self.poll_once() {}
        if self.is_due() {
            // A deadline may come without an event, but not again and again.
            while self.poll_once() {}
            assert!(!self.is_due(), "{:?} at {:?}", self.connection.deadline(), self.now);
        }
        let late = self.pending.values().find(|pending| pending.expires <= self.now);
        assert!(late.is_none(), "a command outlives its deadline");
    }

    fn is_due(&self) -> bool {
        self.connection.deadline().is_some_and(|due| due.at <= self.now)
    }

    /// Polls once. Returns whether to poll again.
    fn poll_once(&mut self) -> bool {
        let before = (self.rx.len(), self.tx.len(), self.connection.is_ready());
        let polled = self.connection.poll(&mut self.rx, self.now, &mut self.tx);
        if self.closed {
            assert_eq!((before.0, before.1), (self.rx.len(), self.tx.len()), "it is over");
        } else if before.2 && self.tx.len() > before.1 {
            self.places.push_back(None);
        }
        let more = !matches!(polled, Ok(None));
        match polled {
            Ok(Some(event)) => self.check(event),
            Ok(None) => {}
            Err(error) => {
                assert!(!self.closed, "an end has one error");
                let broken = matches!(error, ConnectionError::Protocol(_));
                assert!(self.server.lied || !broken, "{error}");
                self.closed = true;
            }
        }
        self.count();
        more
    }

    fn check(&mut self, event: Event) {
        match event {
            Event::Ready(_) => assert!(!self.closed && self.places.is_empty()),
            Event::Push(_) => assert!(!self.closed && self.tells),
            Event::Reply { tag: Tag(tag), answer } => {
                assert!(!self.closed);
                let pending = self.take(tag);
                if pending.is_get && !self.server.lied {
                    assert!(pending.runs_at <= self.sent);
                    let own = Bytes::from(format!("::k{tag}"));
                    match answer {
                        Ok(reply) => assert_eq!(reply, Reply::Value(Some(own))),
                        Err(error) => assert!(is_refusal(&error.to_string()), "{error}"),
                    }
                }
                while self.places.pop_front().expect("a reply has a place") != Some(tag) {}
                self.told_all_that_left();
            }
            Event::Expired(Tag(tag)) => {
                assert!(!self.closed);
                assert!(self.take(tag).expires <= self.now);
            }
            Event::Lost { tag: Tag(tag), may_have_run, .. } => {
                assert!(self.closed);
                assert_eq!(self.take(tag).runs_at <= self.sent, may_have_run);
            }
            other => panic!("{other:?} is new"),
        }
    }

    fn take(&mut self, tag: u64) -> Pending {
        self.pending.remove(&tag).expect("one event for each command")
    }

    /// Each command that has left the front of the queue must have had its event before.
    fn count(&mut self) {
        let in_flight = self.connection.in_flight();
        assert!(in_flight <= self.places.len(), "{in_flight} of {}", self.places.len());
        self.places.drain(..self.places.len() - in_flight);
        self.told_all_that_left();
    }

    fn told_all_that_left(&self) {
        let waiting = self.places.iter().flatten();
        let told = self.pending.keys().all(|tag| waiting.clone().any(|other| other == tag));
        assert!(told, "a command left the queue in silence, or out of turn");
    }

    fn end(mut self) {
        self.poll();
        self.connection.close();
        self.closed = true;
        self.poll();
        assert!(self.pending.is_empty(), "commands without an event");
        assert_eq!(self.connection.in_flight(), 0);
        assert_eq!(self.connection.deadline(), None);
    }
}

/// A server that replies to each complete request at once, in the way that `mood` selects.
struct Server {
    scanner: Scanner,
    heard: BytesMut,
    out: BytesMut,
    mood: u8,
    lied: bool,
}

impl Server {
    fn new() -> Self {
        let scanner = Scanner::new(Limits::default());
        Self { scanner, heard: BytesMut::new(), out: BytesMut::new(), mood: 0, lied: false }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        while let Some(len) = self.scanner.scan(&self.heard).expect("requests are frames") {
            let request = self.heard.split_to(len);
            let words: Vec<&[u8]> = decode::elements(&request)
                .expect("requests are arrays")
                .map(|word| word.ok().and_then(|word| word.bytes()).expect("of blobs"))
                .collect();
            self.answer(&words);
        }
    }

    fn answer(&mut self, words: &[&[u8]]) {
        let (unwilling, old) = (self.mood & 1 != 0, self.mood & 2 != 0);
        let null: &[u8] = if old { b"$-1\r\n" } else { b"_\r\n" };
        let count = words.len() - 1;
        match words {
            [b"HELLO", ..] if old => self.say(b"-ERR unknown command 'HELLO'\r\n"),
            [b"HELLO", ..] => self.say(b"%2\r\n+server\r\n+fuzz\r\n+proto\r\n:3\r\n"),
            [b"CLIENT" | b"SELECT", ..] => self.say(b"+OK\r\n"),
            [b"PING"] => self.say(b"+PONG\r\n"),
            [b"EVALSHA", ..] if self.mood & 4 != 0 => self.say(b"-NOSCRIPT none\r\n"),
            _ if unwilling && self.mood & 16 != 0 => self.say(b"-READONLY a replica\r\n"),
            _ if unwilling => self.say(b"-OOM not now\r\n"),
            [b"GET", key] => self.blob(key),
            [b"MGET", keys @ ..] => {
                self.say(format!("*{count}\r\n").as_bytes());
                for (nth, key) in keys.iter().enumerate() {
                    if nth == 1 { self.say(null) } else { self.blob(key) }
                }
            }
            [b"SET", .., b"NX"] if self.mood & 8 != 0 => self.say(null),
            [b"SET" | b"FLUSHDB", ..] => self.say(b"+OK\r\n"),
            [b"UNLINK", ..] => self.say(format!(":{count}\r\n").as_bytes()),
            [b"SCAN", ..] => self.say(b"*2\r\n$1\r\n7\r\n*1\r\n$4\r\n::k1\r\n"),
            [b"EVAL" | b"EVALSHA", _, _, _, _, _] => self.say(b"$1\r\n7\r\n"),
            [b"EVAL" | b"EVALSHA" | b"PEXPIRE" | b"EXISTS" | b"PTTL", ..] => self.say(b":1\r\n"),
            _ => panic!("a request that nobody knows: {words:?}"),
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.say(format!("${}\r\n", bytes.len()).as_bytes());
        self.say(bytes);
        self.say(b"\r\n");
    }
}

fn is_refusal(error: &str) -> bool {
    error.contains("OOM") || error.contains("READONLY")
}

const PUSH: &[u8] = b">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n";
