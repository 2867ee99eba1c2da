//! Unrequested bytes, and replies larger than the request allows: refused before they are buffered.

use std::vec;

use super::*;

/// The head of a blob of this many bytes, alone or as an element.
fn blob(len: usize) -> Vec<u8> {
    format!("${len}\r\n").into_bytes()
}

/// Heads of frames that declare half a gigabyte, up to the byte that settles it.
fn endless() -> Vec<Vec<u8>> {
    const MANY: usize = 500 << 20;
    let mut heads = vec![
        blob(MANY),
        format!("!{MANY}\r\n").into_bytes(),
        format!("={MANY}\r\n").into_bytes(),
        b"*1000000\r\n".to_vec(),
        b"%500000\r\n".to_vec(),
        b"~1000000\r\n".to_vec(),
    ];
    for outer in [&b"*1\r\n"[..], b"%1\r\n+x\r\n", b"~1\r\n"] {
        heads.push([outer, &blob(MANY)].concat());
    }
    heads
}

/// Such heads of pushes and attributes.
fn unasked() -> Vec<Vec<u8>> {
    let attributes = [&b"|1\r\n+x\r\n"[..], b"|1\r\n", b"|0\r\n|1\r\n+x\r\n*1\r\n"];
    let mut heads: Vec<Vec<u8>> = attributes.map(|head| [head, &blob(500 << 20)].concat()).into();
    heads.push([&b">2\r\n+message\r\n"[..], &blob(500 << 20)].concat());
    heads.push([&b">1\r\n"[..], &blob(500 << 20)].concat());
    heads.push(b">1000000\r\n".to_vec());
    heads.push(b"|500000\r\n".to_vec());
    heads
}

/// How many of these bytes are accepted before an error, when they arrive one by one.
fn taken(desk: &mut Desk, bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| desk.try_hear(&[*byte]).is_err())
}

#[test]
fn nothing_large_is_taken_in_the_handshake() {
    for said in [&[][..], HELLO, &[HELLO, b"+OK\r\n+OK\r\n"].concat()] {
        for head in endless().into_iter().chain(unasked()) {
            let mut desk = Desk::dial(&setup("redis://h"));
            assert!(desk.hear(said).is_empty());
            assert!(taken(&mut desk, &head).is_some(), "{}", head.escape_ascii());
        }
    }
}

#[test]
fn a_reply_behind_the_last_one_of_the_greeting_is_refused() {
    // The outcome of the poll that ends the handshake: after it a caller may submit a command.
    let greet = |behind: &[u8]| {
        let mut desk = Desk::dial(&setup("redis://h"));
        assert!(desk.hear(HELLO).is_empty());
        desk.rx.extend_from_slice(&[SETTLED, behind].concat());
        let mut poll = || desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx).transpose();
        (0..10).find_map(|_| poll()).expect("the handshake ends")
    };
    for first in b"$+:*_,#!=(%~-" {
        assert_eq!(greet(&[*first]), Err(ProtocolError::Unasked.into()));
    }
    for behind in [&b""[..], b">2\r\n+message\r\n+x\r\n", b"|1\r\n+ttl\r\n:1\r\n"] {
        let outcome = greet(behind);
        assert!(matches!(outcome, Ok(Event::Ready(_))), "{outcome:?}");
    }
}

#[test]
fn pushes_without_end_end_the_handshake() {
    let mut desk = Desk::dial(&setup("redis://h"));
    let push = [&b">2\r\n+message\r\n$60000\r\n"[..], &[b'x'; 60_000], b"\r\n"].concat();
    let heard = (0..100).take_while(|_| desk.try_hear(&push).is_ok()).count();
    assert!((10..20).contains(&heard), "{heard} pushes of 60 KB");
}

#[test]
fn an_unsolicited_reply_is_refused_at_its_first_byte() {
    for first in b"$+:*_,#!=(%~-" {
        let mut desk = Desk::ready();
        assert_eq!(desk.try_hear(&[*first]), Err(ProtocolError::Unasked.into()));
        // Behind an attribute as well, since an attribute may stand before a push alone.
        let mut desk = Desk::ready();
        assert_eq!(desk.hear(b"|1\r\n+key\r\n:1\r\n"), []);
        assert_eq!(desk.try_hear(&[*first]), Err(ProtocolError::Unasked.into()));
        // And once every command is answered.
        let mut desk = Desk::ready();
        desk.get(1);
        assert_eq!(desk.hear(b"$1\r\na\r\n"), [value(1, "a")]);
        assert_eq!(desk.try_hear(&[*first]), Err(ProtocolError::Unasked.into()));
    }
    let mut desk = Desk::ready();
    assert_eq!(desk.hear(b"|1\r\n+key\r\n:1\r\n>1\r\n+x\r\n"), []);
}

#[test]
fn a_large_push_or_attribute_is_refused_before_it_is_buffered() {
    for head in unasked() {
        for asked in [false, true] {
            let mut desk = Desk::ready();
            if asked {
                desk.get(1);
            }
            assert!(taken(&mut desk, &head).is_some(), "{}", head.escape_ascii());
        }
    }
    // A flush of many keys is one push.
    let mut keys = b">2\r\n$10\r\ninvalidate\r\n*50000\r\n".to_vec();
    keys.extend_from_slice(&b"$20\r\nprefix:1:key-of-some\r\n".repeat(50_000));
    assert_eq!(Desk::ready().hear(&keys), []);
}

#[test]
fn an_endless_row_of_attributes_is_refused() {
    let mut desk = Desk::ready();
    let row = b"|0\r\n".repeat(2 << 20);
    assert!(row.chunks(1 << 16).any(|some| desk.try_hear(some).is_err()));
}

#[test]
fn a_large_reply_is_refused_for_commands_without_values() {
    let asks: [fn(&mut Desk); 3] = [
        |desk| desk.incr(1),
        |desk| desk.authenticate(None, "other password"),
        |desk| {
            let keepalive = desk.wait(Connection::KEEPALIVE).unwrap();
            assert_eq!(keepalive, []);
            assert!(desk.send().contains("PING"));
        },
    ];
    for ask in asks {
        for head in endless() {
            let mut desk = Desk::ready();
            ask(&mut desk);
            assert!(taken(&mut desk, &head).is_some(), "{}", head.escape_ascii());
        }
    }
    let mut desk = Desk::ready();
    desk.get(1);
    assert_eq!(desk.hear(&blob(500 << 20)), [], "a value may be large");
}
