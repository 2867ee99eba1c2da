//! A watch and its rounds against a sentinel that is honest until it lies.
//!
//! Each byte of the input is an event: see [`Story::happens`]. While the sentinel is honest, the
//! watch fails only by a timeout, however bytes are split and whenever the master changes. Once it
//! has read everything, it knows the current master. Once the sentinel lies, only three things
//! hold: every address can be written in a URL, no number grows without bound, and a watch that has
//! failed stays over.
#![no_main]

use std::collections::VecDeque;

use async_caches_core::error::ConnectionError;
use async_caches_core::resp::decode;
use async_caches_core::resp::output::Output;
use async_caches_core::resp::scan::{Limits, Scanner};
use async_caches_core::sentinel::{Rounds, RoundsInput, Watch, WatchEvent, WatchSetup};
use async_caches_core::time::Instant;
use async_caches_core::url::{Backend, CacheUrl, Credentials, Endpoint, Topology};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut story = Story::begin();
    for (at, byte) in bytes.iter().take(400).enumerate() {
        if *byte == b'!' {
            story.lie(&bytes[at + 1..]);
            break;
        }
        story.happens(*byte);
    }
    story.hear(usize::MAX);
    if story.failed.is_none() && !story.sentinel.lied {
        assert_eq!(story.master, Some(story.sentinel.master), "a change was missed");
    }
});

struct Story {
    watch: Watch,
    rounds: Rounds,
    rx: BytesMut,
    tx: Output,
    now: Instant,
    sentinel: Sentinel,
    /// The bytes that the sentinel has sent and the watch has not read.
    on_its_way: VecDeque<u8>,
    master: Option<u16>,
    failed: Option<ConnectionError>,
}

impl Story {
    fn begin() -> Self {
        let now = Instant::from_millis(1);
        let (credentials, mut tx) =
            (Some(Credentials { username: Some("u".into()), password: "p".into() }), Output::new());
        let mut setup = WatchSetup::new("m", Watch::PATIENCE, Watch::PATIENCE);
        setup.credentials = credentials;
        let mut rounds = Rounds::new(vec![place("given", 1), place("given", 2)], 1);
        rounds.poll(now).expect("the first is asked");
        let watch = Watch::open(setup, now, &mut tx);
        let (sentinel, on_its_way) = (Sentinel::new(), VecDeque::new());
        let rx = BytesMut::new();
        let mut story =
            Self { watch, rounds, rx, tx, now, sentinel, on_its_way, master: None, failed: None };
        story.send();
        story
    }

    fn happens(&mut self, byte: u8) {
        match byte {
            b's' => self.sentinel.switch(),
            b'o' => self.sentinel.others += 1,
            b'O' => self.sentinel.others += 100,
            b'd' => self.watch.doubt(),
            b't' => self.watch.trust(),
            b'a' => self.hear(usize::MAX),
            b'0'..=b'9' => self.hear(usize::from(byte - b'0') + 1),
            b'w' => {
                if let Some(due) = self.watch.deadline() {
                    self.now = self.now.max(due.at);
                    self.hear(0);
                }
            }
            _ => {}
        }
        self.on_its_way.extend(self.sentinel.said.drain(..));
    }

    fn lie(&mut self, bytes: &[u8]) {
        self.sentinel.lied = true;
        self.on_its_way.extend(bytes);
    }

    /// The watch reads up to `count` bytes, and its own bytes are sent.
    fn hear(&mut self, count: usize) {
        let count = count.min(self.on_its_way.len());
        self.rx.extend(self.on_its_way.drain(..count));
        loop {
            match self.watch.poll(&mut self.rx, self.now, &mut self.tx) {
                Ok(None) => break,
                Ok(Some(event)) => self.check(event),
                Err(error) => {
                    let by_time = matches!(
                        error,
                        ConnectionError::NotReadyInTime | ConnectionError::Unresponsive
                    );
                    assert!(by_time || self.sentinel.lied, "{error}");
                    assert_eq!(self.watch.deadline(), None);
                    self.rounds.handle(RoundsInput::Ended, self.now);
                    self.failed = Some(error);
                }
            }
        }
        self.send();
    }

    fn send(&mut self) {
        let sent = self.tx.split();
        assert!(self.failed.is_none() || sent.is_empty());
        self.sentinel.hear(&sent);
        self.on_its_way.extend(self.sentinel.said.drain(..));
    }

    fn check(&mut self, event: WatchEvent) {
        assert!(self.failed.is_none());
        match event {
            WatchEvent::Master(at) => {
                check_place(&at);
                self.master = port(&at);
                self.rounds.handle(RoundsInput::Answered, self.now);
            }
            WatchEvent::Polled => {}
            WatchEvent::Sentinels(others) => {
                assert!(others.len() <= Rounds::MOST);
                others.iter().for_each(check_place);
                self.rounds.handle(RoundsInput::Named(others), self.now);
            }
        }
        let known: Vec<_> = self.rounds.known().collect();
        assert!(known.len() <= Rounds::MOST + 2);
        assert!([1, 2].iter().all(|&given| known.contains(&&place("given", given))));
        let distinct = |one: &Endpoint| known.iter().filter(|other| **other == one).count() == 1;
        assert!(known.iter().all(|one| distinct(one)));
    }
}

/// The address can be written in a URL, which parses to the same address.
fn check_place(place: &Endpoint) {
    let url = CacheUrl::parse(&format!("redis://{place}")).expect("a URL can name it");
    let Backend::Redis(server) = url.backend else { panic!("{place}") };
    assert_eq!(server.topology, Topology::Standalone(place.clone()));
}

fn place(host: &str, port: u16) -> Endpoint {
    Endpoint::Tcp { host: host.into(), port }
}

fn port(place: &Endpoint) -> Option<u16> {
    let Endpoint::Tcp { port, .. } = place else { return None };
    Some(*port)
}

/// A sentinel that replies to each complete request at once.
struct Sentinel {
    scanner: Scanner,
    heard: BytesMut,
    said: Vec<u8>,
    master: u16,
    others: u16,
    known: bool,
    subscribed: bool,
    lied: bool,
}

impl Sentinel {
    fn new() -> Self {
        Self {
            scanner: Scanner::new(Limits::default()),
            heard: BytesMut::new(),
            said: Vec::new(),
            master: 1,
            others: 0,
            known: false,
            subscribed: false,
            lied: false,
        }
    }

    fn switch(&mut self) {
        let old = self.master;
        self.master += 1;
        if self.subscribed {
            let message = format!("m h {old} h {}", self.master);
            let size = message.len();
            self.say("*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n");
            self.say(&format!("${size}\r\n{message}\r\n"));
        }
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
        match words {
            [b"AUTH", b"u", b"p"] => {
                self.known = true;
                self.say("+OK\r\n");
            }
            _ if !self.known => panic!("{words:?} before AUTH"),
            [b"SENTINEL", ..] if self.subscribed => panic!("{words:?} while subscribed"),
            [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", b"m"] => {
                let port = self.master.to_string();
                self.say(&format!("*2\r\n$1\r\nh\r\n${}\r\n{port}\r\n", port.len()));
            }
            [b"SENTINEL", b"SENTINELS", b"m"] => {
                self.say(&format!("*{}\r\n", self.others % 128));
                for n in 0..self.others % 128 {
                    self.say(&format!(
                        "*4\r\n$2\r\nip\r\n$1\r\ns\r\n$4\r\nport\r\n$4\r\n{}\r\n",
                        1000 + n
                    ));
                }
            }
            [b"SUBSCRIBE", b"+switch-master"] => {
                self.subscribed = true;
                self.say("*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n");
            }
            [b"UNSUBSCRIBE", b"+switch-master"] => {
                self.subscribed = false;
                self.say("*3\r\n$11\r\nunsubscribe\r\n$14\r\n+switch-master\r\n:0\r\n");
            }
            _ => panic!("a request that nobody knows: {words:?}"),
        }
    }

    fn say(&mut self, text: &str) {
        self.said.extend_from_slice(text.as_bytes());
    }
}
