//! A server that must be a master, and is one, is not one, or stops being one.

use std::vec;

use super::*;
use crate::error::ServerErrorKind;

const SAYS: &str = "%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n$4\r\nrole\r\n";
/// The replies of a server that is greeted in RESP2, up to its role.
const OLD: &[u8] = b"-ERR unknown command 'HELLO'\r\n+OK\r\n+OK\r\n";
const READONLY: &[u8] = b"-READONLY You can't write against a read only replica.\r\n";

fn wants_a_master() -> Setup {
    Setup { role: Role::Master, ..setup("redis://h") }
}

fn said(role: &str) -> Vec<u8> {
    format!("{SAYS}${}\r\n{role}\r\n", role.len()).into_bytes()
}

fn master() -> Desk {
    let mut desk = Desk::dial(&wants_a_master());
    assert!(desk.hear(&said("master")).is_empty());
    assert!(matches!(desk.hear(SETTLED)[..], [Event::Ready(_)]));
    desk.send();
    desk
}

#[test]
fn a_master_that_hello_reveals_is_not_asked_for_its_role() {
    let mut desk = Desk::dial(&wants_a_master());
    desk.hear(&said("master"));
    assert!(!desk.send().contains("ROLE"));
    assert!(matches!(desk.hear(SETTLED)[..], [Event::Ready(_)]));
}

#[test]
fn a_replica_that_hello_reveals_is_left_if_a_master_is_needed() {
    let mut desk = Desk::dial(&wants_a_master());
    assert_eq!(desk.try_hear(&said("replica")), Err(ConnectionError::NotMaster));
    let mut desk = Desk::dial(&setup("redis://h"));
    assert_eq!(desk.try_hear(&said("replica")), Ok(Vec::new()), "whoever does not mind");
}

#[test]
fn a_server_whose_hello_names_no_role_is_sent_role() {
    let mut desk = Desk::dial(&wants_a_master());
    desk.send();
    assert!(desk.hear(OLD).is_empty());
    let sent = desk.send();
    assert!(sent.ends_with("*1\r\n$4\r\nROLE\r\n*1\r\n$4\r\nPING\r\n"), "{sent}");
    let events = desk.hear(b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n+PONG\r\n");
    assert!(matches!(events[..], [Event::Ready(_)]), "{events:?}");
    for other in [
        &b"*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:7\r\n"[..],
        b"*2\r\n$8\r\nsentinel\r\n*1\r\n$1\r\nm\r\n",
        b"*0\r\n",
    ] {
        let mut desk = Desk::dial(&wants_a_master());
        let said = [OLD, other].concat();
        assert_eq!(desk.try_hear(&said), Err(ConnectionError::NotMaster), "{other:?}");
    }
    let mut desk = Desk::dial(&wants_a_master());
    let refused = desk.try_hear(&[OLD, b"-NOPERM no ROLE for you\r\n"].concat()).unwrap_err();
    let ConnectionError::Refused(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind, ServerErrorKind::NoPerm);
}

#[test]
fn role_is_not_sent_if_no_role_is_required() {
    let mut desk = Desk::dial(&setup("redis://h"));
    desk.hear(OLD);
    assert!(!desk.send().contains("ROLE"));
}

#[test]
fn readonly_is_sent_before_a_connection_for_reads_is_ready() {
    let reads = Setup { role: Role::Reader, ..setup("redis://h") };
    for (greeting, says) in [(said("replica"), "+OK\r\n+OK\r\n"), (OLD.to_vec(), "")] {
        let mut desk = Desk::dial(&reads);
        desk.send();
        assert!(desk.hear(&greeting).is_empty());
        let sent = desk.send();
        assert!(sent.ends_with("*1\r\n$8\r\nREADONLY\r\n*1\r\n$4\r\nPING\r\n"), "{sent}");
        let events = desk.hear(format!("{says}+OK\r\n+PONG\r\n").as_bytes());
        assert!(matches!(events[..], [Event::Ready(_)]), "{events:?}");
        let mut desk = Desk::dial(&reads);
        desk.hear(&greeting);
        let refusal = format!("{says}-ERR This instance has cluster support disabled\r\n");
        let refused = desk.try_hear(refusal.as_bytes()).unwrap_err();
        assert!(matches!(refused, ConnectionError::Refused(_)), "{refused:?}");
    }
}

#[test]
fn a_demoted_master_is_left_and_its_refused_writes_have_not_run() {
    let mut desk = master();
    (1..=3).for_each(|tag| desk.incr(tag));
    desk.get(4);
    desk.send();
    let blame = Blame::Innocent;
    let lost = |tag| Event::Lost { tag: Tag(tag), may_have_run: false, blame };
    let events = desk.hear(&[b"$1\r\n7\r\n", READONLY].concat());
    let number = Event::Reply { tag: Tag(1), answer: Ok(Reply::Number(Number::Integer(7))) };
    assert_eq!(events, [number, lost(2)]);
    assert!(!desk.connection.is_ready());
    // The replies that it still sends are read, and then it ends.
    desk.rx.extend_from_slice(&[READONLY, b"$1\r\nv\r\n"].concat());
    let poll = |desk: &mut Desk| desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx);
    assert_eq!(poll(&mut desk), Ok(Some(lost(3))));
    assert_eq!(poll(&mut desk), Ok(Some(value(4, "v"))));
    assert_eq!(poll(&mut desk), Err(ConnectionError::Demoted));
}

#[test]
fn a_refused_pipeline_has_not_run_only_if_its_first_command_was_refused() {
    let names: Names = ["a", "b"].into_iter().collect();
    let values = [Bytes::from_static(b"1"), Bytes::from_static(b"2")];
    for (first, lost) in [(READONLY, true), (&b"+OK\r\n"[..], false)] {
        let mut desk = master();
        let keys = desk.space.scope(None).unwrap().keys(&names);
        let command = Command::SetMany { keys, values: &values, expiry: Expiry::Never };
        desk.connection.submit(&command, Tag(1), desk.now + RESPONSE, &mut desk.tx).unwrap();
        desk.send();
        desk.rx.extend_from_slice(&[first, READONLY].concat());
        let event = desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx).unwrap();
        match event {
            Some(Event::Lost { may_have_run: false, .. }) => assert!(lost),
            Some(Event::Reply { answer: Err(Failure::Server(error)), .. }) => {
                assert!(!lost && error.kind == ServerErrorKind::ReadOnly);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_refusal_of_an_expired_write_is_not_reported() {
    let mut desk = master();
    desk.incr(1);
    desk.send();
    assert_eq!(desk.wait(RESPONSE - Duration::from_secs(1)), Ok(Vec::new()));
    assert_eq!(desk.hear(b">1\r\n+news\r\n"), []);
    desk.ping(2);
    assert_eq!(desk.wait(Duration::from_secs(1)), Ok(vec![Event::Expired(Tag(1))]));
    desk.rx.extend_from_slice(&[READONLY, b"+PONG\r\n"].concat());
    let event = desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx);
    assert_eq!(event, Ok(Some(done(2))));
}
