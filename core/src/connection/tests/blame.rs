//! Which commands are blamed for the end of their connection.

use super::*;

/// The blame of each command once the connection has closed.
fn blames(desk: &mut Desk) -> Vec<(u64, Blame)> {
    desk.connection.close();
    let lost = |event| {
        let Event::Lost { tag, blame, .. } = event else { panic!("{event:?}") };
        (tag.0, blame)
    };
    desk.hear(b"").into_iter().map(lost).collect()
}

#[test]
fn all_commands_that_have_begun_to_leave_are_suspects() {
    let all_of_it = {
        let mut desk = Desk::ready();
        desk.get(1);
        desk.tx.len()
    };
    for (wrote, blame) in [(0, Blame::Innocent), (1, Blame::Suspect), (all_of_it, Blame::Suspect)] {
        let mut desk = Desk::ready();
        desk.get(1);
        desk.incr(2);
        desk.send();
        desk.get(3);
        desk.get(4);
        desk.connection.wrote(wrote);
        let suspect = Blame::Suspect;
        let all = [(1, suspect), (2, suspect), (3, blame), (4, Blame::Innocent)];
        assert_eq!(blames(&mut desk), all, "{wrote}");
    }
}

#[test]
fn a_malformed_reply_is_the_fault_of_its_own_command_alone() {
    for malformed in [
        &b":5\r\n"[..],
        b"+OK\r\n",
        b"*1\r\n$1\r\n1\r\n",
        b"@\r\n",
        b"$5\r\nabcdefg\r\n",
        b"$99999999999999999999\r\n",
        b":x\r\n",
    ] {
        let mut desk = Desk::ready();
        (1..=3).for_each(|tag| desk.get(tag));
        desk.send();
        assert_eq!(desk.hear(b"$1\r\nv\r\n"), [value(1, "v")]);
        let error = desk.try_hear(malformed).unwrap_err();
        assert!(matches!(error, ConnectionError::Protocol(_)), "{error:?}");
        let told = [(2, Blame::Guilty), (3, Blame::Innocent)];
        assert_eq!(blames(&mut desk), told, "{malformed:?}");
    }
}

#[test]
fn a_malformed_reply_to_an_expired_command_is_no_fault_of_the_next() {
    let mut desk = Desk::ready();
    desk.get(0);
    desk.get(1);
    desk.send();
    desk.now = desk.now + RESPONSE / 2;
    assert_eq!(desk.hear(b"$1\r\nv\r\n"), [value(0, "v")]);
    desk.get(2);
    desk.send();
    assert_eq!(desk.wait(RESPONSE / 2), Ok(Vec::from([Event::Expired(Tag(1))])));
    desk.try_hear(b":5\r\n").unwrap_err();
    assert_eq!(blames(&mut desk), [(2, Blame::Innocent)]);
}

#[test]
fn a_malformed_push_makes_commands_suspect_but_not_guilty() {
    for malformed in [&b">1\r\n:1\r\n"[..], b">x\r\n"] {
        let mut desk = Desk::ready();
        desk.get(1);
        desk.send();
        desk.try_hear(malformed).unwrap_err();
        assert_eq!(blames(&mut desk), [(1, Blame::Suspect)], "{malformed:?}");
    }
}

#[test]
fn a_connection_has_answered_after_any_reply_but_an_outage() {
    for (reply, has_answered) in [
        (&b"$1\r\nv\r\n"[..], true),
        (b"$-1\r\n", true),
        (b"-WRONGTYPE Operation against a key\r\n", true),
        (b"-upstream failure\r\n", false),
        (b"-LOADING Redis is loading the dataset in memory\r\n", false),
    ] {
        let mut desk = Desk::ready();
        assert!(!desk.connection.has_answered(), "greetings are no commands");
        desk.get(1);
        desk.send();
        assert_eq!(desk.hear(reply).len(), 1);
        assert_eq!(desk.connection.has_answered(), has_answered, "{reply:?}");
    }
}
