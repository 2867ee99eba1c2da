//! A server that no longer knows the client.

use super::*;

const NOAUTH: &[u8] = b"-NOAUTH Authentication required.\r\n";
const WRONGPASS: &[u8] = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n";

fn authenticated() -> Desk {
    let mut desk = Desk::dial(&setup("redis://:secret@h"));
    assert!(desk.hear(HELLO).is_empty());
    assert!(matches!(desk.hear(SETTLED)[..], [Event::Ready(_)]));
    desk.send();
    desk
}

fn refused(tag: u64, text: &[u8]) -> Event {
    let text = text.strip_prefix(b"-").unwrap().strip_suffix(b"\r\n").unwrap();
    Event::Refused { tag: Tag(tag), error: ServerError::parse(text) }
}

#[test]
fn a_deauthenticated_connection_is_left_and_its_refusals_have_not_run() {
    for refusal in [NOAUTH, WRONGPASS] {
        let mut desk = authenticated();
        desk.get(1);
        desk.incr(2);
        desk.get(3);
        desk.send();
        desk.rx.extend_from_slice(&[refusal, refusal].concat());
        let poll = |desk: &mut Desk| desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx);
        assert_eq!(poll(&mut desk), Ok(Some(refused(1, refusal))));
        assert!(!desk.connection.is_ready(), "it takes no more commands");
        assert_eq!(poll(&mut desk), Ok(Some(refused(2, refusal))));
        desk.rx.extend_from_slice(b"$1\r\nv\r\n");
        assert_eq!(poll(&mut desk), Ok(Some(value(3, "v"))), "what it still answers is taken");
        assert_eq!(poll(&mut desk), Err(ConnectionError::Forgotten));
    }
}

#[test]
fn a_connection_that_is_left_ends_once_the_last_caller_has_given_up() {
    let mut desk = authenticated();
    desk.get(1);
    desk.get(2);
    desk.send();
    assert_eq!(desk.hear(NOAUTH), [refused(1, NOAUTH)]);
    // The server owes another reply, but no caller waits for it any more.
    assert_eq!(desk.wait(RESPONSE), Err(ConnectionError::Forgotten));
}

#[test]
fn a_connection_without_credentials_is_left_if_it_has_answered_before() {
    for answers in [true, false] {
        let mut desk = Desk::ready();
        if answers {
            desk.get(1);
            desk.send();
            assert_eq!(desk.hear(b"$-1\r\n").len(), 1);
        }
        desk.get(2);
        desk.send();
        desk.rx.extend_from_slice(NOAUTH);
        let event = desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx).unwrap();
        assert_eq!(desk.connection.is_ready(), !answers);
        match event {
            Some(Event::Refused { .. }) => assert!(answers),
            Some(Event::Reply { answer: Err(_), .. }) => assert!(!answers),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_permission_that_is_missing_ends_no_connection() {
    let mut desk = authenticated();
    desk.get(1);
    desk.send();
    let events = desk.hear(b"-NOPERM this user has no permissions to run the 'get' command\r\n");
    assert!(matches!(events[..], [Event::Reply { answer: Err(_), .. }]), "{events:?}");
    assert!(desk.connection.is_ready());
}

#[test]
fn a_partly_refused_pipeline_is_reported_to_the_caller() {
    let names: Names = ["a", "b"].into_iter().collect();
    let values = [Bytes::from_static(b"1"), Bytes::from_static(b"2")];
    for (first, is_refused) in [(NOAUTH, true), (&b"+OK\r\n"[..], false)] {
        let mut desk = authenticated();
        let keys = desk.space.scope(None).unwrap().keys(&names);
        let command = Command::SetMany { keys, values: &values, expiry: Expiry::Never };
        desk.connection.submit(&command, Tag(1), desk.now + RESPONSE, &mut desk.tx).unwrap();
        desk.send();
        desk.rx.extend_from_slice(&[first, NOAUTH].concat());
        let event = desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx).unwrap().unwrap();
        assert_eq!(event == refused(1, NOAUTH), is_refused, "{event:?}");
    }
}

#[test]
fn a_refused_keepalive_ends_a_deauthenticated_connection() {
    let mut desk = authenticated();
    assert_eq!(desk.wait(Connection::KEEPALIVE), Ok(Vec::new()));
    desk.send();
    assert_eq!(desk.try_hear(NOAUTH), Err(ConnectionError::Forgotten));
}
