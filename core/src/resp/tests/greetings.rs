//! The commands that a connection and a watch of a sentinel send by themselves, as `redis-protocol`
//! reads them. Its replies are those that `redis-protocol` writes.

use core::time::Duration;
use std::boxed::Box;
use std::string::ToString;
use std::vec::Vec;
use std::{format, vec};

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2;
use redis_protocol::resp2::types::BytesFrame as Frame2;
use redis_protocol::resp3;
use redis_protocol::resp3::types::BytesFrame as Frame3;

use super::{Words, requests, words};
use crate::command::Command;
use crate::connection::{Connection, Event, Greeting, Pushes, Role, Setup, Tag, Tracking};
use crate::key::KeySpace;
use crate::resp::output::Output;
use crate::sentinel::{Watch, WatchEvent, WatchSetup};
use crate::server::Credentials;
use crate::time::Instant;

pub(super) const NOW: Instant = Instant::from_millis(1_000);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// A server's answers to a greeting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    /// Whether it knows `HELLO`.
    pub(super) knows_hello: bool,
    /// Whether its reply to `HELLO` has its role.
    pub(super) names_role: bool,
}

impl Server {
    fn reply(self, request: &Words) -> BytesMut {
        let text = |text: &'static str| Frame3::BlobString {
            data: Bytes::from_static(text.as_bytes()),
            attributes: None,
        };
        let line = |text: &'static str| Frame2::SimpleString(Bytes::from_static(text.as_bytes()));
        let mut out = BytesMut::new();
        let reply = match &request[0][..] {
            b"HELLO" if self.knows_hello => {
                let number = |data| Frame3::Number { data, attributes: None };
                let mut fields = vec![(text("server"), text("redis")), (text("proto"), number(3))];
                if self.names_role {
                    fields.push((text("role"), text("master")));
                }
                let hello = Frame3::Map { data: fields.into_iter().collect(), attributes: None };
                resp3::encode::complete::extend_encode(&mut out, &hello, false).unwrap();
                return out;
            }
            b"HELLO" => Frame2::Error("ERR unknown command 'HELLO'".into()),
            b"PING" => line("PONG"),
            b"ROLE" => {
                let offset = Frame2::Integer(3_129_659);
                let master = Frame2::BulkString(Bytes::from_static(b"master"));
                Frame2::Array(vec![master, offset, Frame2::Array(vec![])])
            }
            _ => line("OK"),
        };
        resp2::encode::extend_encode(&mut out, &reply, false).unwrap();
        out
    }
}

/// A connection that is ready, and what it sent until then.
pub(super) fn greet(setup: &Setup, server: Server) -> (Connection, Vec<Words>) {
    let (mut tx, mut rx, mut sent) = (Output::new(), BytesMut::new(), Vec::new());
    let mut connection = Connection::open(setup, NOW, &mut tx);
    loop {
        let round = requests(&tx.split());
        assert!(!round.is_empty(), "the connection waits for a reply to nothing");
        for request in &round {
            rx.extend_from_slice(&server.reply(request));
        }
        sent.extend(round);
        match connection.poll(&mut rx, NOW, &mut tx).unwrap() {
            Some(Event::Ready(_)) => return (connection, sent),
            Some(event) => panic!("{event:?}"),
            None => {}
        }
    }
}

/// What it must send, in the order of the two round trips.
fn wanted(setup: &Setup, server: Server) -> Vec<Words> {
    let asks = matches!(setup.greeting, Greeting::Either | Greeting::Resp3);
    let is_resp3 = asks && server.knows_hello;
    let user = setup.credentials.as_ref().and_then(|known| known.username.as_deref());
    let password = setup.credentials.as_ref().map(|known| known.password.expose().as_bytes());
    let name = setup.name.as_deref().map(str::as_bytes);
    let mut all = Vec::new();
    if asks {
        let mut hello = words(&[b"HELLO", b"3"]);
        if let Some(password) = password {
            hello.extend(words(&[b"AUTH", user.unwrap_or("default").as_bytes(), password]));
        }
        if let Some(name) = name {
            hello.extend(words(&[b"SETNAME", name]));
        }
        all.push(hello);
    }
    if !is_resp3 {
        if let Some(password) = password {
            all.push(match user.filter(|user| *user != "default") {
                Some(user) => words(&[b"AUTH", user.as_bytes(), password]),
                None => words(&[b"AUTH", password]),
            });
        }
        if let Some(name) = name.filter(|_| setup.greeting != Greeting::Bare) {
            all.push(words(&[b"CLIENT", b"SETNAME", name]));
        }
    }
    if setup.database > 0 {
        all.push(words(&[b"SELECT", setup.database.to_string().as_bytes()]));
    }
    if asks {
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        all.push(words(&[b"CLIENT", b"SETINFO", b"LIB-NAME", b"async-caches-rs"]));
        all.push(words(&[b"CLIENT", b"SETINFO", b"LIB-VER", version]));
    }
    match setup.role {
        Role::Master if !(is_resp3 && server.names_role) => all.push(words(&[b"ROLE"])),
        Role::Reader => all.push(words(&[b"READONLY"])),
        Role::Master | Role::Any => {}
    }
    match &setup.pushes {
        Pushes::Told { tracking: Some(Tracking::Read) } => {
            all.push(words(&[b"CLIENT", b"TRACKING", b"ON"]));
        }
        Pushes::Told { tracking: Some(Tracking::Broadcast { prefixes }) } => {
            let mut request = words(&[b"CLIENT", b"TRACKING", b"ON", b"BCAST"]);
            for prefix in prefixes {
                request.extend(words(&[b"PREFIX", prefix]));
            }
            all.push(request);
        }
        Pushes::Told { tracking: None } | Pushes::Dropped => {}
    }
    all.push(words(&[b"PING"]));
    all
}

fn credentials(user: Option<&str>, password: &str) -> Credentials {
    Credentials { username: user.map(Into::into), password: password.into() }
}

pub(super) fn setup() -> Setup {
    Setup::new(SECOND, SECOND)
}

#[test]
fn every_greeting_is_read_as_its_words_by_another_decoder() {
    let prefixes: Vec<Box<[u8]>> = vec![b"a:\r\n".as_slice().into(), b"\xff".as_slice().into()];
    let pushes = [
        Pushes::Dropped,
        Pushes::Told { tracking: None },
        Pushes::Told { tracking: Some(Tracking::Read) },
        Pushes::Told { tracking: Some(Tracking::Broadcast { prefixes }) },
    ];
    let known = [
        None,
        Some(credentials(None, "pa\r\nss $1")),
        Some(credentials(Some("default"), &"x".repeat(100))),
        Some(credentials(Some("us\u{e9}r\r\n"), "\0")),
    ];
    let mut checked = 0;
    for greeting in [Greeting::Either, Greeting::Resp3, Greeting::Resp2, Greeting::Bare] {
        for server in [(true, true), (true, false), (false, false)] {
            let server = Server { knows_hello: server.0, names_role: server.1 };
            let is_resp3 =
                server.knows_hello && matches!(greeting, Greeting::Either | Greeting::Resp3);
            if greeting == Greeting::Resp3 && !is_resp3 {
                continue;
            }
            for pushes in &pushes {
                if matches!(pushes, Pushes::Told { tracking: Some(_) }) && !is_resp3 {
                    continue;
                }
                for credentials in &known {
                    for role in [Role::Any, Role::Reader, Role::Master] {
                        for (name, database) in [(None, 0), (Some("n\u{e4}me"), 15)] {
                            let setup = Setup {
                                credentials: credentials.clone(),
                                database,
                                greeting,
                                role,
                                name: name.map(Into::into),
                                pushes: pushes.clone(),
                                ..setup()
                            };
                            let (_, sent) = greet(&setup, server);
                            assert_eq!(sent, wanted(&setup, server), "{setup:?} {server:?}");
                            checked += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(checked > 400, "{checked}");
}

#[test]
fn what_a_ready_connection_adds_is_read_as_its_words_by_another_decoder() {
    let server = Server { knows_hello: true, names_role: true };
    let space = KeySpace::default();
    let key = space.scope(None).unwrap().key(b"\r\n\xff");
    let whole = &b"::\r\n\xff"[..];
    for (greeting, named) in [(Greeting::Resp3, true), (Greeting::Resp2, false)] {
        let (mut connection, _) = greet(&Setup { greeting, ..setup() }, server);
        let mut tx = Output::new();
        let expires = NOW + SECOND;
        for (command, wanted) in [
            (Command::Get(key), vec![words(&[b"ASKING"]), words(&[b"GET", whole])]),
            (
                Command::Persist(key),
                vec![
                    words(&[b"ASKING"]),
                    words(&[b"PERSIST", whole]),
                    words(&[b"ASKING"]),
                    words(&[b"EXISTS", whole]),
                ],
            ),
        ] {
            connection.submit_asking(&command, Tag(1), expires, &mut tx).unwrap();
            assert_eq!(requests(&tx.split()), wanted);
        }
        for (user, wanted) in [
            (None, words(&[b"AUTH", b"p\r\n"])),
            (Some("u\r\n"), words(&[b"AUTH", b"u\r\n", b"p\r\n"])),
            (
                Some("default"),
                if named {
                    words(&[b"AUTH", b"default", b"p\r\n"])
                } else {
                    words(&[b"AUTH", b"p\r\n"])
                },
            ),
        ] {
            connection.authenticate(&credentials(user, "p\r\n"), NOW, &mut tx).unwrap();
            assert_eq!(requests(&tx.split()), [wanted]);
        }
        let (mut connection, _) = greet(&Setup { greeting, ..setup() }, server);
        let later = NOW + Connection::KEEPALIVE;
        assert_eq!(connection.poll(&mut BytesMut::new(), later, &mut tx).unwrap(), None);
        assert_eq!(requests(&tx.split()), [words(&[b"PING"])]);
    }
}

#[test]
fn what_a_watch_asks_a_sentinel_is_read_as_its_words_by_another_decoder() {
    let service = "my m\u{e4}ster\r\n";
    let named = |words: &[&[u8]]| super::words(&[words, &[service.as_bytes()]].concat());
    let (master, sentinels) =
        (named(&[b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME"]), named(&[b"SENTINEL", b"SENTINELS"]));
    let channel = |verb: &[u8]| words(&[verb, b"+switch-master"]);
    let (mut tx, mut rx) = (Output::new(), BytesMut::new());
    let credentials = Some(credentials(Some("u"), "p\r\n"));
    let setup = WatchSetup { credentials, ..WatchSetup::new(service, SECOND, SECOND) };
    let mut watch = Watch::open(setup, NOW, &mut tx);
    let auth = words(&[b"AUTH", b"u", b"p\r\n"]);
    let asked = [auth, master.clone(), sentinels.clone(), channel(b"SUBSCRIBE")];
    assert_eq!(requests(&tx.split()), asked);

    let bulk = |text: &str| Frame2::BulkString(Bytes::copy_from_slice(text.as_bytes()));
    let other = Frame2::Array(["name", "x", "ip", "::1", "port", "2"].map(bulk).into());
    for reply in [
        Frame2::SimpleString(Bytes::from_static(b"OK")),
        Frame2::Array(vec![bulk("10.0.0.1"), bulk("6379")]),
        Frame2::Array(vec![other]),
        Frame2::Array(vec![bulk("subscribe"), bulk("+switch-master"), Frame2::Integer(1)]),
        Frame2::Array(vec![
            bulk("message"),
            bulk("+switch-master"),
            bulk(&format!("{service} 10.0.0.1 6379 10.0.0.2 6380")),
        ]),
    ] {
        resp2::encode::extend_encode(&mut rx, &reply, false).unwrap();
    }
    let mut events = Vec::new();
    while let Some(event) = watch.poll(&mut rx, NOW, &mut tx).unwrap() {
        events.push(match event {
            WatchEvent::Master(place) => place.to_string(),
            WatchEvent::Sentinels(others) => {
                others.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            WatchEvent::Polled => "polled".into(),
        });
    }
    assert_eq!(events, ["10.0.0.1:6379", "[::1]:2", "10.0.0.2:6380"]);
    assert!(tx.is_empty());
    assert_eq!(watch.poll(&mut rx, NOW + Watch::KEEPALIVE, &mut tx).unwrap(), None);
    let asked = [channel(b"UNSUBSCRIBE"), master, sentinels, channel(b"SUBSCRIBE")];
    assert_eq!(requests(&tx.split()), asked);
}
