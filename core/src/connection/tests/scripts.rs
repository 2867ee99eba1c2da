//! A server whose user may run no scripts.

use super::*;

const NOPERM: &[u8] = b"-NOPERM User u has no permissions to run the 'eval' command\r\n";
const PERSIST: &str = "*2\r\n$7\r\nPERSIST\r\n$3\r\n::k\r\n";
const EXISTS: &str = "*2\r\n$6\r\nEXISTS\r\n$3\r\n::k\r\n";
const ASKING: &str = "*1\r\n$6\r\nASKING\r\n";

#[derive(Clone, Copy)]
enum How {
    Forever,
    Persist,
    Asking,
}

impl Desk {
    fn touch(&mut self, tag: u64, how: How) {
        let key = self.space.scope(None).unwrap().key(b"k");
        let forever = Command::Touch { key, expiry: Expiry::Never };
        let (tag, expires) = (Tag(tag), self.now + RESPONSE);
        let connection = &mut self.connection;
        match how {
            How::Forever => connection.submit(&forever, tag, expires, &mut self.tx),
            How::Persist => connection.submit(&Command::Persist(key), tag, expires, &mut self.tx),
            How::Asking => connection.submit_asking(&forever, tag, expires, &mut self.tx),
        }
        .unwrap();
    }
}

fn flag(tag: u64, found: bool) -> Event {
    Event::Reply { tag: Tag(tag), answer: Ok(Reply::Flag(found)) }
}

fn refused(tag: u64, text: &[u8]) -> Event {
    Event::Reply { tag: Tag(tag), answer: Err(ServerError::parse(text).into()) }
}

/// A connection on which a script was refused.
fn scriptless() -> Desk {
    let mut desk = Desk::ready();
    desk.touch(1, How::Forever);
    assert!(desk.send().contains("EVAL"));
    assert_eq!(desk.hear(NOPERM), [refused(1, &NOPERM[1..NOPERM.len() - 2])]);
    desk
}

#[test]
fn a_script_that_was_refused_is_not_sent_again_on_that_connection() {
    let mut desk = scriptless();
    desk.touch(2, How::Forever);
    desk.touch(3, How::Persist);
    assert_eq!(desk.send(), [PERSIST, EXISTS, PERSIST, EXISTS].concat());
    assert_eq!(desk.hear(b":0\r\n:1\r\n:1\r\n:0\r\n"), [flag(2, true), flag(3, false)]);
    let mut other = Desk::ready();
    other.touch(1, How::Forever);
    assert!(other.send().contains("EVAL"), "another connection may be another user's");
}

#[test]
fn an_error_of_either_command_is_the_answer() {
    let mut desk = scriptless();
    desk.touch(2, How::Forever);
    assert_eq!(desk.hear(b"-NOPERM persist\r\n:1\r\n"), [refused(2, b"NOPERM persist")]);
    desk.touch(3, How::Forever);
    assert_eq!(desk.hear(b":1\r\n-NOPERM exists\r\n"), [refused(3, b"NOPERM exists")]);
    desk.touch(4, How::Forever);
    assert_eq!(desk.hear(b"-MOVED 1 h:1\r\n-MOVED 1 h:1\r\n"), [refused(4, b"MOVED 1 h:1")]);
}

#[test]
fn each_of_the_two_commands_has_asking_in_front_of_it() {
    let mut desk = Desk::ready();
    desk.touch(1, How::Asking);
    assert!(desk.send().contains("EVAL"), "no script was refused yet");
    assert_eq!(desk.hear(&[b"+OK\r\n", NOPERM].concat()).len(), 1);
    desk.touch(2, How::Asking);
    assert_eq!(desk.send(), [ASKING, PERSIST, ASKING, EXISTS].concat());
    assert_eq!(desk.hear(b"+OK\r\n:0\r\n+OK\r\n:1\r\n"), [flag(2, true)]);
    desk.touch(3, How::Asking);
    assert_eq!(desk.hear(b"+OK\r\n:1\r\n+OK\r\n-ASK 1 h:1\r\n"), [refused(3, b"ASK 1 h:1")]);
    assert_eq!(desk.connection.in_flight(), 0);
}

#[test]
fn a_read_behind_a_refused_write_does_not_count_as_run() {
    let mut desk = Desk::dial(&Setup { role: Role::Master, ..setup("redis://h") });
    desk.hear(b"%2\r\n+proto\r\n:3\r\n+role\r\n+master\r\n");
    assert!(matches!(desk.hear(SETTLED)[..], [Event::Ready(_)]));
    desk.send();
    desk.touch(1, How::Persist);
    desk.send();
    desk.rx.extend_from_slice(b"-READONLY no\r\n:1\r\n");
    let event = desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx);
    let blame = Blame::Innocent;
    assert_eq!(event, Ok(Some(Event::Lost { tag: Tag(1), may_have_run: false, blame })));
}
