//! Pushes between replies, wanted and not.

use super::*;
use crate::connection::{Pushes, Tracking};

const INVALIDATE: &[u8] = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";

/// A connection that is ready and returns pushes.
fn listening() -> Desk {
    let mut desk = Desk::dial(&listens(None));
    assert!(desk.hear(HELLO).is_empty());
    assert!(matches!(desk.hear(SETTLED)[..], [Event::Ready(_)]));
    desk.send();
    desk
}

fn listens(tracking: Option<Tracking>) -> Setup {
    Setup { pushes: Pushes::Told { tracking }, ..setup("redis://h") }
}

fn push(frame: &'static [u8]) -> Event {
    Event::Push(decode::push(Bytes::from_static(frame)).unwrap())
}

#[test]
fn pushes_are_reported_in_order_with_replies() {
    let mut desk = listening();
    desk.get(1);
    desk.get(2);
    let bytes =
        [INVALIDATE, b"$1\r\na\r\n", INVALIDATE, b">1\r\n+x\r\n$1\r\nb\r\n", INVALIDATE].concat();
    let expected = |first, second| {
        [
            push(INVALIDATE),
            value(first, "a"),
            push(INVALIDATE),
            push(b">1\r\n+x\r\n"),
            value(second, "b"),
            push(INVALIDATE),
        ]
    };
    assert_eq!(desk.hear(&bytes), expected(1, 2));
    desk.get(3);
    desk.get(4);
    let events: Vec<_> = bytes.iter().flat_map(|byte| desk.hear(&[*byte])).collect();
    assert_eq!(events, expected(3, 4), "byte by byte too");
}

#[test]
fn unwanted_pushes_are_dropped_and_shift_no_reply() {
    let mut desk = Desk::ready();
    desk.get(1);
    desk.get(2);
    let bytes = [INVALIDATE, b"$1\r\na\r\n", INVALIDATE, INVALIDATE, b"$1\r\nb\r\n", INVALIDATE];
    assert_eq!(desk.hear(&bytes.concat()), [value(1, "a"), value(2, "b")]);
    assert!(desk.rx.is_empty());
}

#[test]
fn a_malformed_push_ends_the_connection_even_if_unwanted() {
    for begin in [Desk::ready, listening] {
        for broken in [&b">0\r\n"[..], b">1\r\n:1\r\n"] {
            let error = begin().try_hear(broken).unwrap_err();
            assert!(matches!(error, ConnectionError::Protocol(_)), "{error:?}");
        }
    }
}

#[test]
fn pushes_before_the_connection_is_ready_are_dropped() {
    let mut desk = Desk::dial(&listens(None));
    let bytes =
        [INVALIDATE, HELLO, INVALIDATE, b"+OK\r\n", INVALIDATE, b"+OK\r\n+PONG\r\n", INVALIDATE];
    let events = desk.hear(&bytes.concat());
    assert!(matches!(events[..], [Event::Ready(_), Event::Push(_)]), "{events:?}");
}

#[test]
fn tracking_is_asked_for_before_the_connection_is_ready() {
    let mut desk = Desk::dial(&listens(Some(Tracking::Read)));
    desk.send();
    desk.hear(HELLO);
    let sent = desk.send();
    let (tracking, ping) = (sent.find("TRACKING"), sent.find("PING"));
    assert!(tracking.is_some() && tracking < ping, "{sent:?}");
    assert_eq!(desk.hear(b"+OK\r\n+OK\r\n+OK\r\n"), []);
    assert!(matches!(desk.hear(b"+PONG\r\n")[..], [Event::Ready(_)]));
}

#[test]
fn a_server_that_refuses_to_track_ends_the_handshake() {
    let mut desk = Desk::dial(&listens(Some(Tracking::Read)));
    desk.hear(HELLO);
    let error = desk.try_hear(b"+OK\r\n+OK\r\n-ERR no tracking\r\n").unwrap_err();
    let ConnectionError::Refused(error) = error else { panic!("{error:?}") };
    assert_eq!(error.text(), "ERR no tracking");
}

#[test]
fn a_server_without_resp3_is_not_asked_to_track() {
    let mut desk = Desk::dial(&listens(Some(Tracking::Read)));
    desk.send();
    let error = desk.try_hear(b"-ERR unknown command 'HELLO'\r\n").unwrap_err();
    assert_eq!(error, ConnectionError::NoPushes);
    let mut desk = Desk::dial(&listens(None));
    assert_eq!(desk.hear(b"-ERR unknown command 'HELLO'\r\n"), [], "it may be silent");
}
