//! Transcripts in virtual time: the bytes from the server, and the connection's reactions.

mod blame;
mod greetings;
mod pushes;
mod role;
mod scripts;
mod secrets;
mod stranger;
mod unasked;

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use bytes::Bytes;

use super::*;
use crate::error::{ServerError, ServerErrorKind};
use crate::key::{KeySpace, Names};
use crate::number::Number;
use crate::reply::Reply;
use crate::resp::scan::Limits;
use crate::server::Credentials;
use crate::time::Deadline;
use crate::ttl::Expiry;
use crate::url::{Backend, CacheUrl};

const HELLO: &[u8] = b"%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n\
    $5\r\nproto\r\n:3\r\n";
const SETTLED: &[u8] = b"+OK\r\n+OK\r\n+PONG\r\n";
const RESPONSE: Duration = Duration::from_secs(5);

/// A connection, its buffers and a clock.
struct Desk {
    connection: Connection,
    rx: BytesMut,
    tx: Output,
    now: Instant,
    space: KeySpace,
}

fn setup(url: &str) -> Setup {
    let Backend::Redis(server) = CacheUrl::parse(url).unwrap().backend else { panic!("{url}") };
    Setup {
        credentials: server.credentials,
        database: server.database,
        greeting: Greeting::default(),
        role: Role::Any,
        name: None,
        limits: Limits::default(),
        connect_timeout: Duration::from_secs(2),
        response_timeout: RESPONSE,
        pushes: Pushes::Dropped,
    }
}

impl Desk {
    fn dial(setup: &Setup) -> Self {
        let mut tx = Output::new();
        let now = Instant::from_millis(1_000);
        let connection = Connection::open(setup, now, &mut tx);
        Self { connection, rx: BytesMut::new(), tx, now, space: KeySpace::default() }
    }

    /// A connection that is ready, with nothing left to send.
    fn ready() -> Self {
        let mut desk = Self::dial(&setup("redis://h"));
        assert!(desk.hear(HELLO).is_empty());
        assert!(matches!(desk.hear(SETTLED)[..], [Event::Ready(_)]));
        desk.send();
        desk
    }

    /// All events after the server has sent `bytes`.
    fn hear(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.try_hear(bytes).unwrap()
    }

    fn try_hear(&mut self, bytes: &[u8]) -> Result<Vec<Event>, ConnectionError> {
        self.rx.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(event) = self.connection.poll(&mut self.rx, self.now, &mut self.tx)? {
            events.push(event);
        }
        Ok(events)
    }

    /// Lets time pass, and polls.
    fn wait(&mut self, span: Duration) -> Result<Vec<Event>, ConnectionError> {
        self.now = self.now + span;
        self.try_hear(b"")
    }

    /// The bytes that the connection wants sent; the socket takes all of them.
    fn send(&mut self) -> String {
        let sent = self.tx.split();
        assert_eq!(self.connection.unwritten(), sent.len());
        self.connection.wrote(sent.len());
        assert_eq!(self.connection.unwritten(), 0);
        String::from_utf8_lossy(&sent).into_owned()
    }

    fn submit(&mut self, tag: u64, command: impl Fn(crate::key::Scope<'_>) -> Command<'_>) {
        let expires = self.now + RESPONSE;
        let command = command(self.space.scope(None).unwrap());
        self.connection.submit(&command, Tag(tag), expires, &mut self.tx).unwrap();
    }

    fn get(&mut self, tag: u64) {
        self.submit(tag, |scope| Command::Get(scope.key(b"k")));
    }

    fn incr(&mut self, tag: u64) {
        self.submit(tag, |scope| Command::Incr {
            key: scope.key(b"k"),
            delta: Number::Integer(1),
            start: None,
        });
    }

    fn ping(&mut self, tag: u64) {
        self.submit(tag, |_| Command::Ping);
    }

    fn authenticate(&mut self, user: Option<&str>, password: &str) {
        let credentials = Credentials { username: user.map(Into::into), password: password.into() };
        self.connection.authenticate(&credentials, self.now, &mut self.tx).unwrap();
    }
}

fn value(tag: u64, text: &'static str) -> Event {
    let bytes = Bytes::from_static(text.as_bytes());
    Event::Reply { tag: Tag(tag), answer: Ok(Reply::Value(Some(bytes))) }
}

fn done(tag: u64) -> Event {
    Event::Reply { tag: Tag(tag), answer: Ok(Reply::Done) }
}

#[test]
fn the_handshake_authenticates_in_two_round_trips() {
    let mut setup = setup("redis://user:p%40ss@h/7");
    setup.name = Some("forum".into());
    let mut desk = Desk::dial(&setup);
    assert_eq!(
        desk.send(),
        "*7\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$4\r\nuser\r\n$4\r\np@ss\r\n\
         $7\r\nSETNAME\r\n$5\r\nforum\r\n"
    );
    assert!(desk.hear(HELLO).is_empty());
    let settling = desk.send();
    assert!(settling.starts_with("*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n"), "{settling}");
    assert!(settling.ends_with("*1\r\n$4\r\nPING\r\n"), "{settling}");
    assert!(!desk.connection.is_ready());
    let events = desk.hear(b"+OK\r\n-ERR unknown subcommand\r\n+OK\r\n+PONG\r\n");
    let [Event::Ready(info)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((info.protocol, &*info.server, &*info.version), (3, "redis", "7.0.0"));
}

#[test]
fn a_server_without_hello_is_greeted_in_resp2() {
    let mut setup = setup("redis://:secret@h");
    setup.name = Some("forum".into());
    let mut desk = Desk::dial(&setup);
    desk.send();
    desk.hear(b"-ERR unknown command 'HELLO'\r\n");
    let greeting = desk.send();
    assert!(greeting.starts_with("*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"), "{greeting}");
    assert!(greeting.contains("CLIENT\r\n$7\r\nSETNAME\r\n$5\r\nforum"), "{greeting}");
    let events = desk.hear(b"+OK\r\n+OK\r\n-ERR syntax\r\n-ERR syntax\r\n+PONG\r\n");
    let [Event::Ready(info)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(info.protocol, 2);
}

#[test]
fn wrong_credentials_end_the_handshake_with_a_typed_error() {
    let mut desk = Desk::dial(&setup("redis://:wrong@h"));
    let error = desk.try_hear(b"-WRONGPASS invalid username-password pair\r\n").unwrap_err();
    assert!(
        matches!(&error, ConnectionError::Refused(e) if e.kind == ServerErrorKind::WrongPass),
        "{error}"
    );
    assert!(desk.try_hear(HELLO).unwrap().is_empty(), "a closed connection hears nothing");
}

#[test]
fn a_loading_server_is_not_ready_and_one_that_cannot_persist_is() {
    let mut desk = Desk::dial(&setup("redis://h"));
    desk.hear(HELLO);
    let error = desk.try_hear(b"+OK\r\n+OK\r\n-LOADING Redis is loading\r\n").unwrap_err();
    assert!(
        matches!(&error, ConnectionError::Refused(e) if e.kind == ServerErrorKind::Loading),
        "{error}"
    );
    let mut desk = Desk::dial(&setup("redis://h"));
    desk.hear(HELLO);
    let events = desk.hear(b"+OK\r\n+OK\r\n-MISCONF Redis is configured to save\r\n");
    assert!(matches!(events[..], [Event::Ready(_)]), "{events:?}");
}

#[test]
fn a_server_that_never_answers_hello_is_given_up_at_the_connect_timeout() {
    let mut desk = Desk::dial(&setup("redis://h"));
    let due = desk.connection.deadline().unwrap();
    assert_eq!((due.at, due.why), (desk.now + Duration::from_secs(2), "handshake"));
    assert_eq!(desk.wait(Duration::from_millis(1_999)), Ok(Vec::new()));
    assert_eq!(desk.wait(Duration::from_millis(1)), Err(ConnectionError::NotReadyInTime));
    assert_eq!(desk.connection.deadline(), None);
}

#[test]
fn commands_before_the_handshake_and_after_the_end_are_refused() {
    let mut desk = Desk::dial(&setup("redis://h"));
    let sent = desk.tx.len();
    let expires = desk.now + RESPONSE;
    let refused = desk.connection.submit(&Command::Ping, Tag(1), expires, &mut desk.tx);
    assert_eq!(refused, Err(Refused::NotOpen));
    assert_eq!(desk.tx.len(), sent, "nothing was written");
    let mut desk = Desk::ready();
    desk.connection.close();
    let refused = desk.connection.submit(&Command::Ping, Tag(1), expires, &mut desk.tx);
    assert_eq!(refused, Err(Refused::NotOpen));
}

#[test]
fn each_reply_goes_to_the_command_at_the_front() {
    let mut desk = Desk::ready();
    desk.get(1);
    desk.ping(2);
    desk.get(3);
    assert_eq!(desk.connection.in_flight(), 3);
    assert_eq!(desk.hear(b"$1\r\na\r\n+PO"), [value(1, "a")]);
    assert_eq!(desk.hear(b"NG\r\n$1\r\nb\r\n"), [done(2), value(3, "b")]);
    assert_eq!(desk.connection.in_flight(), 0);
}

#[test]
fn a_null_of_either_protocol_is_a_null_and_the_next_reply_still_arrives() {
    for null in [&b"$-1\r\n"[..], b"*-1\r\n", b"_\r\n"] {
        let mut desk = Desk::ready();
        desk.get(1);
        desk.get(2);
        let events = desk.hear(&[null, b"$1\r\nb\r\n"].concat());
        let absent = Event::Reply { tag: Tag(1), answer: Ok(Reply::Value(None)) };
        assert_eq!(events, [absent, value(2, "b")]);
    }
}

#[test]
fn an_unsolicited_or_misshapen_reply_ends_the_connection() {
    let mut desk = Desk::ready();
    assert_eq!(desk.try_hear(b"$1\r\na\r\n"), Err(ProtocolError::Unasked.into()));
    let mut desk = Desk::ready();
    desk.get(1);
    let error = desk.try_hear(b":5\r\n").unwrap_err();
    assert!(matches!(error, ConnectionError::Protocol(ProtocolError::Unexpected { .. })));
    assert!(matches!(desk.hear(b"$1\r\na\r\n")[..], [Event::Lost { tag: Tag(1), .. }]));
}

#[test]
fn a_late_reply_is_thrown_away_and_the_next_caller_gets_its_own() {
    let mut desk = Desk::ready();
    desk.get(1);
    desk.send();
    assert!(!desk.connection.is_stalled());
    desk.now = desk.now + RESPONSE / 2;
    desk.hear(b"$1"); // something was heard: the server is slow, not silent
    assert_eq!(desk.wait(RESPONSE / 2), Ok([Event::Expired(Tag(1))].into()));
    assert!(desk.connection.is_stalled());
    let overdue = Deadline { at: desk.now + RESPONSE, why: "overdue reply" };
    assert_eq!(desk.connection.deadline(), Some(overdue));
    desk.get(2);
    assert_eq!(desk.hear(b"\r\na\r\n$1\r\nb\r\n"), [value(2, "b")]);
    assert!(!desk.connection.is_stalled());
}

#[test]
fn a_server_silent_for_a_whole_response_timeout_is_unresponsive() {
    let mut desk = Desk::ready();
    desk.now = desk.now + Duration::from_millis(1);
    desk.get(1);
    desk.get(2);
    desk.now = desk.now + RESPONSE;
    let mut poll = || desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx);
    for tag in [Tag(1), Tag(2)] {
        assert_eq!(poll(), Ok(Some(Event::Expired(tag))));
    }
    assert_eq!(poll(), Err(ConnectionError::Unresponsive));
}

#[test]
fn a_trickling_reply_ends_the_connection_at_twice_the_timeout() {
    let mut desk = Desk::ready();
    desk.get(1);
    let mut outcome = desk.try_hear(b"$100\r\n");
    let began = desk.now;
    while outcome.is_ok() {
        desk.now = desk.now + RESPONSE / 10;
        outcome = desk.try_hear(b"x");
    }
    assert_eq!(outcome, Err(ConnectionError::Unresponsive));
    assert_eq!(desk.now, began + RESPONSE * 2);
}

#[test]
fn a_command_with_little_time_left_expires_first_and_ends_no_connection() {
    let mut desk = Desk::ready();
    desk.get(1);
    let soon = desk.now + Duration::from_millis(10);
    let key = desk.space.scope(None).unwrap().key(b"k");
    desk.connection.submit(&Command::Get(key), Tag(2), soon, &mut desk.tx).unwrap();
    assert_eq!(desk.connection.deadline().unwrap().at, soon);
    let events = desk.wait(Duration::from_millis(10)).unwrap();
    assert_eq!(events, [Event::Expired(Tag(2))]);
    assert_eq!(desk.hear(b"$1\r\na\r\n$1\r\nb\r\n"), [value(1, "a")]);
}

#[test]
fn replies_that_arrive_during_an_expiry_skip_no_command() {
    let mut desk = Desk::ready();
    for tag in 0..4 {
        desk.get(tag);
    }
    desk.now = desk.now + RESPONSE;
    let poll = |desk: &mut Desk| desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx);
    assert!(matches!(poll(&mut desk), Ok(Some(Event::Expired(Tag(0))))));
    desk.rx.extend_from_slice(b"$1\r\na\r\n$1\r\nb\r\n");
    let mut told = Vec::new();
    while let Ok(Some(event)) = poll(&mut desk) {
        told.push(event);
    }
    assert_eq!(told[0], value(1, "b"));
    assert!(matches!(told[1], Event::Expired(Tag(2))));
    assert!(matches!(told[2], Event::Expired(Tag(3))));
}

#[test]
fn a_pipeline_may_have_run_once_a_part_of_it_was_written() {
    for (written, may_have_run) in [(0, false), (1, true)] {
        let mut desk = Desk::ready();
        let names: Names = ["a", "b"].into_iter().collect();
        let values = [Bytes::from("1"), Bytes::from("2")];
        let keys = desk.space.scope(None).unwrap().keys(&names);
        let command = Command::SetMany { keys, values: &values, expiry: Expiry::Never };
        desk.connection.submit(&command, Tag(1), desk.now + RESPONSE, &mut desk.tx).unwrap();
        desk.connection.wrote(written);
        desk.connection.close();
        let blame = if may_have_run { Blame::Suspect } else { Blame::Innocent };
        let lost = Event::Lost { tag: Tag(1), may_have_run, blame };
        assert_eq!(desk.hear(b""), [lost]);
    }
}

#[test]
fn a_partly_written_command_cannot_have_run() {
    let mut desk = Desk::ready();
    desk.incr(1);
    let first = desk.tx.len();
    desk.incr(2);
    desk.connection.wrote(desk.tx.len() - 1);
    desk.connection.close();
    assert!(first < desk.tx.len());
    let blame = Blame::Suspect;
    let lost = |tag, may_have_run| Event::Lost { tag: Tag(tag), may_have_run, blame };
    assert_eq!(desk.hear(b":1\r\n"), [lost(1, true), lost(2, false)]);
    assert_eq!(desk.hear(b""), []);
}

#[test]
fn a_pipeline_is_one_command_whose_answer_is_its_first_failure() {
    let names: Names = ["a", "b", "c"].iter().collect();
    let values = [Bytes::from_static(b"1"), Bytes::from_static(b"2"), Bytes::from_static(b"3")];
    let mut desk = Desk::ready();
    for tag in [1, 2] {
        let keys = desk.space.scope(None).unwrap().keys(&names);
        let command = Command::SetMany { keys, values: &values, expiry: Expiry::Never };
        desk.connection.submit(&command, Tag(tag), desk.now + RESPONSE, &mut desk.tx).unwrap();
    }
    assert!(desk.hear(b"+OK\r\n+OK\r\n").is_empty());
    assert_eq!(desk.hear(b"+OK\r\n"), [done(1)]);
    let events = desk.hear(b"+OK\r\n-OOM command not allowed\r\n-ERR later\r\n");
    let oom = ServerError::parse(b"OOM command not allowed");
    assert_eq!(events, [Event::Reply { tag: Tag(2), answer: Err(oom.into()) }]);
}

#[test]
fn asking_directly_precedes_its_command_and_has_its_own_reply() {
    let mut desk = Desk::ready();
    desk.ping(1);
    let key = desk.space.scope(None).unwrap().key(b"k");
    let (get, expires) = (Command::Get(key), desk.now + RESPONSE);
    desk.connection.submit_asking(&get, Tag(2), expires, &mut desk.tx).unwrap();
    desk.connection.submit_asking(&get, Tag(3), expires, &mut desk.tx).unwrap();
    desk.ping(4);
    let (ping, asking) = ("*1\r\n$4\r\nPING\r\n", "*1\r\n$6\r\nASKING\r\n");
    let get = "*2\r\n$3\r\nGET\r\n$3\r\n::k\r\n";
    assert_eq!(desk.send(), [ping, asking, get, asking, get, ping].concat());
    assert_eq!(desk.hear(b"+PONG\r\n+OK\r\n$1\r\nx\r\n"), [done(1), value(2, "x")]);
    // If it is refused, so is the command behind it.
    let moved = ServerError::parse(b"MOVED 1 h:1");
    let events = desk.hear(b"-ERR cluster support disabled\r\n-MOVED 1 h:1\r\n+PONG\r\n");
    assert_eq!(events, [Event::Reply { tag: Tag(3), answer: Err(moved.into()) }, done(4)]);
    assert_eq!(desk.connection.in_flight(), 0);
}

#[test]
fn a_command_behind_asking_is_lost_and_expires_like_any_other() {
    for (written, may_have_run) in [(0, false), (usize::MAX, true)] {
        let mut desk = Desk::ready();
        let key = desk.space.scope(None).unwrap().key(b"k");
        let (get, expires) = (Command::Get(key), desk.now + RESPONSE);
        desk.connection.submit_asking(&get, Tag(1), expires, &mut desk.tx).unwrap();
        desk.connection.wrote(written.min(desk.tx.len()));
        desk.connection.close();
        let blame = if may_have_run { Blame::Suspect } else { Blame::Innocent };
        assert_eq!(desk.hear(b""), [Event::Lost { tag: Tag(1), may_have_run, blame }]);
    }
    let mut desk = Desk::ready();
    let key = desk.space.scope(None).unwrap().key(b"k");
    let soon = desk.now + RESPONSE / 2;
    desk.connection.submit_asking(&Command::Get(key), Tag(1), soon, &mut desk.tx).unwrap();
    assert_eq!(desk.wait(RESPONSE / 2), Ok(Vec::from([Event::Expired(Tag(1))])));
    assert_eq!(desk.hear(b"+OK\r\n$1\r\nx\r\n"), []);
}

#[test]
fn asking_takes_one_command_and_only_on_an_open_connection() {
    let mut desk = Desk::ready();
    let names: Names = ["a", "b"].into_iter().collect();
    let values = [Bytes::from("1"), Bytes::from("2")];
    let expires = desk.now + RESPONSE;
    let keys = desk.space.scope(None).unwrap().keys(&names);
    let one = Command::SetMany { keys: keys.window(0..1), values: &values, expiry: Expiry::Never };
    let two = Command::SetMany { keys, values: &values, expiry: Expiry::Never };
    let mut submit =
        |command| desk.connection.submit_asking(command, Tag(1), expires, &mut desk.tx);
    assert_eq!(submit(&two), Err(Refused::Run));
    assert_eq!(submit(&one), Ok(()));
    desk.connection.close();
    let sent = desk.tx.len();
    let refused = desk.connection.submit_asking(&one, Tag(2), expires, &mut desk.tx);
    assert_eq!((refused, desk.tx.len()), (Err(Refused::NotOpen), sent));
}

#[test]
fn a_connection_is_idle_once_it_is_ready_and_carries_no_call() {
    let mut desk = Desk::dial(&setup("redis://h"));
    assert_eq!(desk.connection.idle_since(), None, "it is not ready");
    desk.hear(HELLO);
    desk.hear(SETTLED);
    assert_eq!(desk.connection.idle_since(), Some(desk.now));
    desk.wait(Duration::from_secs(1)).unwrap();
    desk.get(1);
    assert_eq!(desk.connection.idle_since(), None);
    desk.hear(b"$1\r\na\r\n");
    assert_eq!(desk.connection.idle_since(), Some(desk.now));
}

#[test]
fn unwritten_counts_the_bytes_that_the_socket_has_not_taken() {
    let mut desk = Desk::ready();
    assert_eq!(desk.connection.unwritten(), 0);
    desk.get(1);
    assert_eq!(desk.connection.unwritten(), desk.tx.len());
    desk.connection.wrote(5);
    assert_eq!(desk.connection.unwritten(), desk.tx.len() - 5);
}

#[test]
fn next_value_returns_complete_values_and_no_other_reply() {
    let mut desk = Desk::ready();
    (1..=4).for_each(|tag| desk.get(tag));
    desk.rx.extend_from_slice(b"$1\r\na\r\n$2\r\nbc\r\n_\r\n$1\r");
    let now = desk.now;
    let mut next = || desk.connection.next_value(&mut desk.rx, now);
    assert_eq!(next(), Some((Tag(1), Bytes::from("a"))));
    assert_eq!(next(), Some((Tag(2), Bytes::from("bc"))));
    assert_eq!(next(), None, "it is no value");
    assert_eq!(desk.hear(b""), [Event::Reply { tag: Tag(3), answer: Ok(Reply::Value(None)) }]);
    assert_eq!(desk.connection.next_value(&mut desk.rx, now), None, "it is half of one");
    assert_eq!(desk.hear(b"\nd\r\n"), [value(4, "d")]);
}

#[test]
fn lacks_counts_the_missing_bytes_of_a_blob() {
    let mut desk = Desk::ready();
    desk.get(1);
    assert_eq!(desk.connection.lacks(), 0);
    assert_eq!(desk.hear(b"$1000\r\nabc"), []);
    assert_eq!(desk.connection.lacks(), 997 + 2, "with its end");
    desk.hear(&[&[b'x'; 997][..], b"\r\n"].concat());
    assert_eq!(desk.connection.lacks(), 0);
}

#[test]
fn a_script_is_sent_whole_once_and_again_after_the_server_forgot_it() {
    let mut desk = Desk::ready();
    desk.incr(1);
    desk.incr(2);
    let sent = desk.send();
    assert_eq!(sent.matches("EVAL\r\n").count(), 1, "{sent}");
    assert_eq!(sent.matches("EVALSHA\r\n").count(), 1, "{sent}");
    desk.hear(b"$1\r\n1\r\n$1\r\n2\r\n");
    desk.incr(3);
    let sent = desk.send();
    assert_eq!(sent.matches("EVALSHA\r\n").count(), 1, "still: {sent}");
    desk.hear(b"-NOSCRIPT No matching script\r\n");
    desk.incr(4);
    let sent = desk.send();
    assert_eq!(sent.matches("EVAL\r\n").count(), 1, "{sent}");
}

#[test]
fn an_idle_connection_sends_keepalives() {
    let mut desk = Desk::ready();
    assert_eq!(desk.connection.deadline().unwrap().why, "keepalive");
    assert_eq!(desk.wait(Connection::KEEPALIVE), Ok(Vec::new()));
    assert_eq!(desk.send(), "*1\r\n$4\r\nPING\r\n");
    assert!(desk.connection.idle_since().is_some(), "our own question keeps nobody busy");
    assert_eq!(desk.hear(b"+PONG\r\n"), []);
    desk.wait(Connection::KEEPALIVE).unwrap();
    desk.send();
    assert_eq!(desk.wait(RESPONSE), Err(ConnectionError::Unresponsive));
}

#[test]
fn a_connection_with_pushes_but_no_replies_sends_keepalives() {
    let mut desk = Desk::ready();
    desk.wait(Connection::KEEPALIVE / 2).unwrap();
    assert_eq!(desk.hear(b">1\r\n+news\r\n"), []);
    assert_eq!(desk.wait(Connection::KEEPALIVE / 2), Ok(Vec::new()));
    assert_eq!(desk.send(), "*1\r\n$4\r\nPING\r\n");
}

#[test]
fn an_argument_larger_than_a_server_takes_is_refused_before_anything_is_written() {
    let mut desk = Desk::ready();
    let expires = desk.now + RESPONSE;
    let scope = desk.space.scope(None).unwrap();
    let large = Bytes::from(std::vec![0; encode::MAX_ARGUMENT + 1]);
    let largest = large.slice(1..);
    let set = |value| Command::Set { key: scope.key(b"k"), value, expiry: Expiry::Never };
    let longer = "::".len() + largest.len();
    for (command, len) in [(Command::Get(scope.key(&largest)), longer), (set(&large), large.len())]
    {
        let refused = desk.connection.submit(&command, Tag(1), expires, &mut desk.tx);
        let (len, limit) = (len as u64, encode::MAX_ARGUMENT as u64);
        assert_eq!(refused, Err(Refused::TooLarge { len, limit }));
        assert!(refused.unwrap_err().to_string().contains(&std::format!("{len} bytes")));
        assert!(desk.tx.is_empty());
    }
    assert_eq!(desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx), Ok(None));
    // It is not copied.
    assert_eq!(desk.connection.submit(&set(&largest), Tag(1), expires, &mut desk.tx), Ok(()));
    assert!(desk.tx.len() > largest.len());
}

#[test]
fn a_connection_to_a_demoted_master_ends_after_its_last_reply() {
    let mut desk = Desk::ready();
    desk.wait(Connection::DEMOTED_FROM).unwrap();
    desk.incr(1);
    desk.get(2);
    desk.send();
    let events = desk.hear(b"-READONLY You can't write against a read only replica.\r\n");
    let [Event::Reply { tag: Tag(1), answer: Err(Failure::Server(error)) }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(error.kind, ServerErrorKind::ReadOnly);
    assert!(!desk.connection.is_ready());
    let refused = desk.connection.submit(&Command::Ping, Tag(3), desk.now + RESPONSE, &mut desk.tx);
    assert_eq!(refused, Err(Refused::NotOpen));
    assert_eq!(desk.connection.deadline().unwrap().at, desk.now + RESPONSE);
    desk.rx.extend_from_slice(b"$1\r\nv\r\n");
    let next = desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx);
    assert_eq!(next, Ok(Some(value(2, "v"))));
    assert_eq!(desk.try_hear(b""), Err(ConnectionError::Demoted));
    assert_eq!(desk.connection.deadline(), None);
}

#[test]
fn a_young_connection_to_a_replica_is_kept() {
    let mut desk = Desk::ready();
    desk.wait(Connection::DEMOTED_FROM - Duration::from_millis(1)).unwrap();
    desk.incr(1);
    assert_eq!(desk.hear(b"-READONLY You can't write against a read only replica.\r\n").len(), 1);
    assert!(desk.connection.is_ready());
    desk.get(2);
    assert_eq!(desk.hear(b"$1\r\nv\r\n"), [value(2, "v")]);
}

#[test]
fn reauthentication_is_sent_in_order_with_the_commands() {
    let mut desk = Desk::ready();
    desk.get(1);
    desk.authenticate(Some("alice"), "new");
    desk.get(2);
    assert_eq!(
        desk.send().replace("\r\n", " "),
        "*2 $3 GET $3 ::k *3 $4 AUTH $5 alice $3 new *2 $3 GET $3 ::k "
    );
    let answers = b"$1\r\na\r\n+OK\r\n$1\r\nb\r\n";
    assert_eq!(desk.hear(answers), [value(1, "a"), value(2, "b")]);
    assert!(desk.connection.is_ready());
    desk.authenticate(None, "newer");
    assert_eq!(desk.send().replace("\r\n", " "), "*2 $4 AUTH $5 newer ");
    assert!(desk.connection.idle_since().is_some(), "nobody waits for the answer");
}

#[test]
fn a_refused_reauthentication_ends_the_connection_in_order() {
    let mut desk = Desk::ready();
    desk.authenticate(Some("alice"), "hunter2");
    desk.get(1);
    desk.send();
    assert_eq!(desk.hear(b"-ERR unknown command 'AUTH', with args 'hunter2'\r\n"), []);
    assert!(!desk.connection.is_ready());
    desk.rx.extend_from_slice(b"$1\r\na\r\n");
    let next = desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx);
    assert_eq!(next, Ok(Some(value(1, "a"))));
    let ended = desk.try_hear(b"");
    let Err(ConnectionError::Refused(error)) = &ended else { panic!("{ended:?}") };
    assert_eq!(error.text(), "ERR unknown command");
}

#[test]
fn reauthentication_is_refused_during_the_handshake() {
    let mut desk = Desk::dial(&setup("redis://:old@h"));
    let credentials = Credentials { username: None, password: "new".into() };
    let now = desk.now;
    let refused = desk.connection.authenticate(&credentials, now, &mut desk.tx);
    assert_eq!(refused, Err(Refused::NotOpen));
    assert!(!desk.send().contains("new"));
}

#[test]
fn a_reauthentication_without_a_reply_ends_the_connection() {
    let mut desk = Desk::ready();
    desk.authenticate(None, "new");
    desk.send();
    assert_eq!(desk.wait(RESPONSE), Err(ConnectionError::Unresponsive));
}

#[test]
fn a_command_is_unsent_until_the_socket_has_taken_all_of_it() {
    let mut desk = Desk::ready();
    assert_eq!((desk.connection.in_flight(), desk.connection.unsent()), (0, 0));
    desk.get(1);
    let first = desk.tx.len();
    desk.get(2);
    assert_eq!((desk.connection.in_flight(), desk.connection.unsent()), (2, 2));
    desk.connection.wrote(first - 1);
    assert_eq!(desk.connection.unsent(), 2);
    desk.connection.wrote(1);
    assert_eq!(desk.connection.unsent(), 1);
    desk.connection.wrote(desk.tx.len() - first);
    assert_eq!((desk.connection.in_flight(), desk.connection.unsent()), (2, 0));
    desk.hear(b"_\r\n_\r\n");
    assert_eq!((desk.connection.in_flight(), desk.connection.unsent()), (0, 0));
}
