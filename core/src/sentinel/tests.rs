//! Transcripts of real sentinels (Redis 7.0.15), in virtual time, and bytes that no sentinel would
//! send.

use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use bytes::BytesMut;

use super::*;
use crate::cluster::address::Address;
use crate::error::{ConnectionError, ProtocolError, ServerErrorKind};
use crate::resp::output::Output;
use crate::server::{Credentials, Endpoint};
use crate::time::Instant;

const MASTER: &[u8] = b"*2\r\n$9\r\n127.0.0.1\r\n$5\r\n27110\r\n";
const SUBSCRIBED: &[u8] = b"*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n";
const UNSUBSCRIBED: &[u8] = b"*3\r\n$11\r\nunsubscribe\r\n$14\r\n+switch-master\r\n:0\r\n";
const SWITCHED: &[u8] = b"*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$40\r\n\
    mymaster 127.0.0.1 27110 127.0.0.1 27111\r\n";
/// Two other sentinels: one as a sentinel describes it, and one shortened.
const OTHERS: &[u8] = b"*2\r\n*28\r\n$4\r\nname\r\n$40\r\n1840b1c471f7b1a65dbd476128029086f20f1028\
    \r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$4\r\nport\r\n$5\r\n27123\r\n$5\r\nrunid\r\n$40\r\n\
    1840b1c471f7b1a65dbd476128029086f20f1028\r\n$5\r\nflags\r\n$8\r\nsentinel\r\n$21\r\n\
    link-pending-commands\r\n$1\r\n0\r\n$13\r\nlink-refcount\r\n$1\r\n1\r\n$14\r\n\
    last-ping-sent\r\n$1\r\n0\r\n$18\r\nlast-ok-ping-reply\r\n$2\r\n39\r\n$15\r\n\
    last-ping-reply\r\n$2\r\n39\r\n$23\r\ndown-after-milliseconds\r\n$3\r\n500\r\n$18\r\n\
    last-hello-message\r\n$3\r\n327\r\n$12\r\nvoted-leader\r\n$1\r\n?\r\n$18\r\n\
    voted-leader-epoch\r\n$1\r\n0\r\n*4\r\n$2\r\nip\r\n$3\r\n::1\r\n$4\r\nport\r\n$5\r\n27121\r\n";

/// A watch, its buffers and a clock.
struct Desk {
    watch: Watch,
    rx: BytesMut,
    tx: Output,
    now: Instant,
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn place(host: &str, port: u16) -> Endpoint {
    Endpoint::Tcp { host: host.into(), port }
}

fn master(port: u16) -> WatchEvent {
    WatchEvent::Master(place("127.0.0.1", port))
}

fn others() -> WatchEvent {
    WatchEvent::Sentinels(vec![place("127.0.0.1", 27_123), place("::1", 27_121)])
}

fn setup(password: Option<&str>) -> WatchSetup {
    let credentials =
        password.map(|password| Credentials { username: None, password: password.into() });
    WatchSetup {
        credentials,
        service: "mymaster".into(),
        connect_timeout: Watch::PATIENCE * 2,
        response_timeout: Watch::PATIENCE / 2,
    }
}

impl Desk {
    fn open(setup: WatchSetup) -> Self {
        let mut tx = Output::new();
        let watch = Watch::open(setup, at(1_000), &mut tx);
        Self { watch, rx: BytesMut::new(), tx, now: at(1_000) }
    }

    /// A watch that listens, with nothing left to send.
    fn listening() -> Self {
        let mut desk = Self::open(setup(None));
        desk.sent();
        let said = [MASTER, OTHERS, SUBSCRIBED].concat();
        assert_eq!(desk.hear(&said), Ok(vec![master(27_110), others()]));
        desk
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<Vec<WatchEvent>, ConnectionError> {
        self.rx.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(event) = self.watch.poll(&mut self.rx, self.now, &mut self.tx)? {
            events.push(event);
        }
        Ok(events)
    }

    /// Lets time pass until there is something to do.
    fn wait(&mut self) -> Result<Vec<WatchEvent>, ConnectionError> {
        self.now = self.watch.deadline().expect("it waits for something").at.max(self.now);
        self.hear(b"")
    }

    /// The commands to be sent, their words separated by spaces.
    fn sent(&mut self) -> Vec<String> {
        let sent = String::from_utf8(self.tx.split().to_vec()).unwrap();
        let requests = sent.split('*').skip(1);
        let words = |request: &str| {
            let words: Vec<_> = request.split("\r\n").skip(2).step_by(2).collect();
            words.join(" ").trim_end().to_string()
        };
        requests.map(words).collect()
    }
}

#[test]
fn one_write_asks_a_sentinel_for_the_master_and_its_changes() {
    let mut desk = Desk::open(setup(None));
    assert_eq!(
        desk.sent(),
        [
            "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster",
            "SENTINEL SENTINELS mymaster",
            "SUBSCRIBE +switch-master",
        ]
    );
    assert_eq!(desk.hear(MASTER), Ok(vec![master(27_110)]));
    assert_eq!(desk.hear(OTHERS), Ok(vec![others()]));
    assert_eq!(desk.hear(SUBSCRIBED), Ok(vec![]));
    assert_eq!(desk.hear(SWITCHED), Ok(vec![master(27_111)]));
    assert!(desk.sent().is_empty());
}

#[test]
fn replies_of_a_sentinel_are_read_at_any_split() {
    let said = [MASTER, OTHERS, SUBSCRIBED, SWITCHED, SWITCHED].concat();
    let events = [master(27_110), others(), master(27_111), master(27_111)];
    for cut in 0..said.len() {
        let mut desk = Desk::open(setup(None));
        let mut heard = desk.hear(&said[..cut]).unwrap();
        heard.extend(desk.hear(&said[cut..]).unwrap());
        assert_eq!(heard, events, "{cut}");
    }
    let mut desk = Desk::open(setup(None));
    let heard = said.iter().flat_map(|byte| desk.hear(&[*byte]).unwrap());
    assert_eq!(heard.collect::<Vec<_>>(), events);
}

#[test]
fn a_switch_of_another_service_is_ignored() {
    let mut desk = Desk::listening();
    let other = b"*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$17\r\nother a 1 b 2 3 4\r\n";
    assert_eq!(desk.hear(other), Ok(vec![]));
    assert_eq!(desk.hear(SWITCHED), Ok(vec![master(27_111)]));
}

#[test]
fn a_sentinel_that_is_trusted_is_asked_again_after_the_keepalive() {
    let mut desk = Desk::listening();
    let asked_at = desk.now;
    assert_eq!(desk.wait(), Ok(vec![]));
    assert_eq!(desk.now, asked_at + Watch::KEEPALIVE);
    assert_eq!(
        desk.sent(),
        [
            "UNSUBSCRIBE +switch-master",
            "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster",
            "SENTINEL SENTINELS mymaster",
            "SUBSCRIBE +switch-master",
        ]
    );
    // Messages that arrive in between are read too.
    let said = [SWITCHED, UNSUBSCRIBED, MASTER, OTHERS, SUBSCRIBED].concat();
    assert_eq!(desk.hear(&said), Ok(vec![master(27_111), master(27_110), others()]));
    assert_eq!(desk.watch.deadline().unwrap().at, desk.now + Watch::KEEPALIVE);
}

#[test]
fn in_doubt_a_sentinel_is_asked_at_once_and_then_at_a_bounded_rate() {
    let mut desk = Desk::listening();
    desk.now = desk.now + Watch::KEEPALIVE / 2;
    desk.watch.doubt();
    assert_eq!(desk.hear(b""), Ok(vec![]));
    let mut times = 0;
    let until = desk.now + Watch::KEEPALIVE / 2;
    while desk.now < until {
        let sent = desk.sent();
        assert_eq!(sent.len(), 3, "{sent:?}");
        times += 1;
        (0..10).for_each(|_| desk.watch.doubt());
        let said = [UNSUBSCRIBED, MASTER, SUBSCRIBED].concat();
        assert_eq!(desk.hear(&said), Ok(vec![master(27_110)]));
        assert!(desk.sent().is_empty(), "not again before its time");
        assert_eq!(desk.wait(), Ok(vec![]));
    }
    assert_eq!(times, (Watch::KEEPALIVE / 2).as_millis() / Watch::IN_DOUBT.as_millis());
    desk.watch.trust();
    desk.sent();
    desk.hear(&[UNSUBSCRIBED, MASTER, SUBSCRIBED].concat()).unwrap();
    assert!(desk.watch.deadline().unwrap().at > desk.now + Watch::KEEPALIVE / 2);
}

#[test]
fn a_sentinel_that_does_not_answer_in_time_is_left() {
    let mut desk = Desk::open(setup(None));
    assert_eq!(desk.watch.deadline().unwrap().at, at(1_000) + Watch::PATIENCE, "not for longer");
    desk.hear(MASTER).unwrap();
    assert_eq!(desk.wait(), Err(ConnectionError::NotReadyInTime));
    assert_eq!(desk.watch.deadline(), None);
    assert_eq!(desk.hear(OTHERS), Ok(vec![]), "nothing more comes of it");
    let mut desk = Desk::listening();
    assert_eq!(desk.wait(), Ok(vec![]));
    let asked_at = desk.now;
    assert_eq!(desk.wait(), Err(ConnectionError::Unresponsive));
    assert_eq!(desk.now, asked_at + Watch::PATIENCE / 2, "as short as a response may take");
}

#[test]
fn a_service_that_a_sentinel_does_not_know_is_an_error_that_names_it() {
    let mut desk = Desk::open(setup(None));
    let error = desk.hear(b"*-1\r\n-ERR No such master with that name\r\n").unwrap_err();
    assert_eq!(error, ConnectionError::UnknownService { service: "mymaster".into() });
    assert!(error.to_string().contains("mymaster"));
}

#[test]
fn a_sentinel_is_sent_the_credentials_and_no_error_shows_them() {
    let mut desk = Desk::open(setup(Some("hunter2")));
    assert_eq!(desk.sent().first().map(String::as_str), Some("AUTH hunter2"));
    assert_eq!(desk.hear(&[b"+OK\r\n", MASTER].concat()), Ok(vec![master(27_110)]));
    let mut desk = Desk::open(setup(Some("hunter2")));
    let error = desk.hear(b"-WRONGPASS invalid username-password pair hunter2\r\n").unwrap_err();
    let ConnectionError::Refused(refused) = &error else { panic!("{error:?}") };
    assert_eq!(refused.kind, ServerErrorKind::WrongPass);
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    let mut desk = Desk::open(setup(None));
    let error = desk.hear(b"-NOAUTH Authentication required.\r\n").unwrap_err();
    let ConnectionError::Refused(refused) = error else { panic!("{error:?}") };
    assert_eq!(refused.kind, ServerErrorKind::NoAuth);
}

#[test]
fn an_unexpected_reply_ends_the_watch() {
    let cases: [(&[u8], &[u8]); 12] = [
        (b"", b"+OK\r\n"),
        (b"", b"*1\r\n$1\r\na\r\n"),
        (b"", b"*2\r\n$1\r\na\r\n$1\r\n0\r\n"),
        (b"", b"*2\r\n$3\r\na\r\n\r\n$4\r\n6379\r\n"),
        (b"", SWITCHED),
        (MASTER, b"*1\r\n:1\r\n"),
        (&[], b"HTTP/1.1 400 Bad Request\r\n"),
        (&[], b"*2000000\r\n"),
        (&[], b"$1000000\r\n"),
        (&[], b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"),
        (&[], b"*-2\r\n"),
        (MASTER, UNSUBSCRIBED),
    ];
    for (before, said) in cases {
        let mut desk = Desk::open(setup(None));
        desk.hear(before).unwrap();
        let outcome = desk.hear(said);
        assert!(matches!(outcome, Err(ConnectionError::Protocol(_))), "{said:?}: {outcome:?}");
        assert_eq!(desk.hear(MASTER), Ok(vec![]));
    }
    for said in [
        MASTER,
        SUBSCRIBED,
        b"*3\r\n$7\r\nmessage\r\n$6\r\n+sdown\r\n$1\r\nm\r\n",
        b"*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$14\r\nmymaster a 1 b\r\n",
    ] {
        let outcome = Desk::listening().hear(said);
        assert!(matches!(outcome, Err(ConnectionError::Protocol(_))), "{said:?}: {outcome:?}");
    }
    let mut desk = Desk::open(setup(None));
    let unasked = [MASTER, OTHERS, SUBSCRIBED, b"*0\r\n"].concat();
    assert_eq!(desk.hear(&unasked), Err(ProtocolError::Unasked.into()));
}

#[test]
fn no_part_of_a_password_is_in_an_error_of_a_sentinel() {
    let secret = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(5);
    for quoted in [&*secret, &secret[..128], &secret[30..50]] {
        let said = format!("-ERR unknown command 'AUTH' '{quoted}'\r\n");
        for good in [&b""[..], b"+OK\r\n"] {
            let mut desk = Desk::open(setup(Some(&secret)));
            let outcome = desk.hear(&[good, said.as_bytes()].concat());
            let shown = format!("{outcome:?} {:?} {:?}", desk.watch, desk.tx);
            assert!(matches!(outcome, Err(ConnectionError::Refused(_))), "{shown}");
            assert!(!shown.contains("12345") && !shown.contains("uvwx"), "{shown}");
        }
    }
}

const NOPERM: &[u8] = b"-NOPERM this user has no permissions to run the 'subscribe' command\r\n";

#[test]
fn a_sentinel_that_refuses_subscriptions_is_polled() {
    for refusal in [NOPERM, b"-ERR unknown command 'SUBSCRIBE'\r\n"] {
        let mut desk = Desk::open(setup(None));
        desk.sent();
        let said = [MASTER, OTHERS, refusal].concat();
        assert_eq!(desk.hear(&said), Ok(vec![master(27_110), others(), WatchEvent::Polled]));
        for _ in 0..3 {
            let before = desk.now;
            assert_eq!(desk.wait(), Ok(Vec::new()));
            assert_eq!(desk.now.since(before), Watch::POLLED);
            assert_eq!(
                desk.sent(),
                ["SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", "SENTINEL SENTINELS mymaster"]
            );
            let answers = [MASTER, OTHERS].concat();
            assert_eq!(desk.hear(&answers), Ok(vec![master(27_110), others()]), "told once");
        }
        desk.watch.doubt();
        assert_eq!(desk.wait(), Ok(Vec::new()));
        assert_eq!(desk.sent(), ["SENTINEL GET-MASTER-ADDR-BY-NAME mymaster"]);
    }
}

#[test]
fn a_sentinel_that_does_not_name_the_others_is_still_used() {
    let mut desk = Desk::open(setup(None));
    desk.sent();
    let said = [MASTER, NOPERM, SUBSCRIBED].concat();
    assert_eq!(desk.hear(&said), Ok(vec![master(27_110)]));
    assert!(desk.hear(SWITCHED).unwrap().contains(&master(27_111)));
}

#[test]
fn a_sentinel_that_withholds_the_master_or_wants_credentials_is_left() {
    for said in [
        &[NOPERM][..],
        &[MASTER, b"-NOAUTH Authentication required.\r\n"],
        &[MASTER, OTHERS, b"-NOAUTH Authentication required.\r\n"],
    ] {
        let mut desk = Desk::open(setup(None));
        assert!(matches!(desk.hear(&said.concat()), Err(ConnectionError::Refused(_))), "{said:?}");
    }
}

#[test]
fn addresses_from_a_sentinel_are_translated() {
    let outside = |told: Address| match told.host() {
        "127.0.0.1" => Address::new("gate", told.port() + 1).unwrap(),
        _ => told,
    };
    let named =
        [master(27_110), others(), WatchEvent::Polled].map(|event| event.translated(&outside));
    let sentinels = vec![place("gate", 27_124), place("::1", 27_121)];
    let expected = [
        WatchEvent::Master(place("gate", 27_111)),
        WatchEvent::Sentinels(sentinels),
        WatchEvent::Polled,
    ];
    assert_eq!(named, expected);
    assert_eq!(others().translated(&core::convert::identity), others());
}
