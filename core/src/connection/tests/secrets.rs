//! Servers that quote what the client sent, and passwords that look like a server's own words.

use proptest::prelude::*;

use super::*;

/// The ways in which a server quotes a text.
const QUOTES: [fn(&str) -> String; 6] = [
    |text| text.into(),
    |text| {
        format!("ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `{text}`, ")
    },
    |text| {
        format!(
            "ERR {}",
            String::from_utf8_lossy(text.as_bytes().get(..128).unwrap_or(text.as_bytes()))
        )
    },
    |text| format!("WRONGPASS {}", text.escape_debug()),
    |text| format!("NOPERM {}{text}", "x".repeat(ServerError::MAX_TEXT - 20)),
    |text| {
        format!(
            "ERR {}",
            text.chars().rev().skip(1).collect::<Vec<_>>().iter().rev().collect::<String>()
        )
    },
];

/// The frames that an error comes in: alone, within others, in a push and behind an attribute.
fn frames(text: &str) -> [Vec<u8>; 10] {
    let line = text.replace(['\r', '\n'], " ");
    let (blob, len) = (text, text.len());
    [
        format!("-{line}\r\n"),
        format!("!{len}\r\n{blob}\r\n"),
        format!("*1\r\n-{line}\r\n"),
        format!("*2\r\n+OK\r\n*1\r\n!{len}\r\n{blob}\r\n"),
        format!("%1\r\n+proto\r\n-{line}\r\n"),
        format!("%2\r\n+proto\r\n:3\r\n+{line}\r\n+{line}\r\n"),
        format!("~1\r\n-{line}\r\n"),
        format!(">2\r\n+message\r\n-{line}\r\n"),
        format!(">1\r\n${len}\r\n{blob}\r\n"),
        format!("|1\r\n+{line}\r\n-{line}\r\n-{line}\r\n"),
    ]
    .map(String::into_bytes)
}

/// Whether eight characters in a row of the secret are in the text shown.
fn shows(secret: &str, shown: &str) -> bool {
    let starts = secret.char_indices().map(|(at, _)| at);
    let ends = secret.char_indices().map(|(at, _)| at).chain([secret.len()]).skip(8);
    starts.zip(ends).any(|(start, end)| shown.contains(&secret[start..end]))
}

fn with_password(password: &str) -> Setup {
    let credentials = Credentials { username: Some("app".into()), password: password.into() };
    Setup { credentials: Some(credentials), name: Some("n".into()), ..setup("redis://h/7") }
}

/// The outcome of a handshake in which the server sends the good replies and then the bad one.
fn refused(password: &str, good: &[&[u8]], bad: &[u8]) -> (String, bool) {
    let mut desk = Desk::dial(&with_password(password));
    for answer in good {
        desk.hear(answer);
    }
    let outcome = desk.try_hear(bad);
    (format!("{outcome:?} {:?} {:?}", desk.connection, desk.tx), outcome.is_err())
}

fn text(from: char, to: char) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::char::range(from, to), 8..180).prop_map(String::from_iter)
}

const OLD: &[u8] = b"-ERR unknown command 'HELLO'\r\n";
const OK: &[u8] = b"+OK\r\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_part_of_a_password_is_in_an_error_of_the_handshake(
        secret in prop_oneof![text(' ', '~'), text('a', 'z'), text('!', '\u{2fff}')],
    ) {
        for bad in QUOTES.into_iter().flat_map(|quote| frames(&quote(&secret))) {
            for good in [
                &[][..],
                &[OLD],
                &[OLD, OK],
                &[OLD, OK, OK],
                &[OLD, OK, OK, OK, OK, OK],
                &[HELLO],
                &[HELLO, OK, OK, OK],
            ] {
                let (shown, _) = refused(&secret, good, &bad);
                prop_assert!(!shows(&secret, &shown), "{good:?} {shown}");
            }
        }
    }

    #[test]
    fn no_part_of_a_password_is_in_later_nested_replies_or_pushes(
        secret in prop_oneof![text(' ', '~'), text('!', '\u{2fff}')],
        quote in 0..QUOTES.len(),
    ) {
        for bad in frames(&QUOTES[quote](&secret)) {
            for ask in [|_: &mut Desk| {}, |desk: &mut Desk| desk.get(1)] {
                let told = Pushes::Told { tracking: None };
                let mut desk = Desk::dial(&Setup { pushes: told, ..with_password("another one") });
                desk.hear(HELLO);
                desk.hear(b"+OK\r\n+OK\r\n+OK\r\n+PONG\r\n");
                desk.authenticate(None, &secret);
                ask(&mut desk);
                let outcome = desk.try_hear(&[&bad[..], OK].concat());
                let shown = format!("{outcome:?} {:?} {:?}", desk.connection, desk.tx);
                prop_assert!(!shows(&secret, &shown), "{shown}");
            }
        }
    }

    #[test]
    fn no_part_of_a_password_is_in_the_refusal_of_a_reauthentication(
        secrets in prop::collection::vec(text(' ', '~'), 1..4),
        quote in 0..QUOTES.len(),
        quoted in any::<prop::sample::Index>(),
        refused in any::<prop::sample::Index>(),
    ) {
        let mut desk = Desk::dial(&with_password("the first of them"));
        desk.hear(HELLO);
        desk.hear(b"+OK\r\n+OK\r\n+OK\r\n+PONG\r\n");
        for secret in &secrets {
            desk.authenticate(None, secret);
        }
        let text = QUOTES[quote](&secrets[quoted.index(secrets.len())]);
        let refused = refused.index(secrets.len());
        for _ in 0..refused {
            prop_assert_eq!(desk.hear(OK), Vec::new());
        }
        let ended = (refused..secrets.len()).fold(String::new(), |ended, _| {
            format!("{ended}{:?}", desk.try_hear(&frames(&text)[0]))
        });
        prop_assert!(ended.contains("Refused"), "{}", ended);
        let shown = format!("{ended} {:?} {:?}", desk.connection, desk.tx);
        prop_assert!(!secrets.iter().any(|secret| shows(secret, &shown)), "{}", shown);
    }

    #[test]
    fn no_part_of_a_password_is_in_the_error_of_the_next_command(
        secret in text('!', '~'),
        quote in prop::sample::select(std::vec![0_usize, 1, 2, 4, 5]).prop_map(|quote| QUOTES[quote]),
        blob in 0_usize..2,
    ) {
        let mut desk = Desk::ready();
        desk.authenticate(None, &secret);
        desk.get(1);
        desk.hear(OK);
        let events = desk.hear(&frames(&quote(&secret))[blob]);
        prop_assert_eq!(events.len(), 1);
        prop_assert!(!shows(&secret, &format!("{events:?}")), "{:?}", events);
    }
}

#[test]
fn all_secrets_of_a_connection_are_masked_and_not_only_the_last() {
    let mut desk = Desk::ready();
    desk.authenticate(None, "the-first-token");
    desk.authenticate(None, "the-second-token");
    desk.get(1);
    desk.hear(b"+OK\r\n");
    desk.hear(b"-ERR invalid token the-second-token\r\n");
    desk.rx.extend_from_slice(b"-ERR the-first-token was before the-second-token\r\n");
    let next = desk.connection.poll(&mut desk.rx, desk.now, &mut desk.tx);
    assert!(matches!(next, Ok(Some(Event::Reply { .. }))), "{next:?}");
    let ended = desk.try_hear(b"");
    assert!(matches!(ended, Err(ConnectionError::Refused(_))), "{ended:?}");
    let shown = format!("{next:?} {ended:?}");
    assert!(!shown.contains("first") && !shown.contains("second"), "{shown}");
}

#[test]
fn a_password_that_looks_like_a_servers_reply_connects() {
    let long = "x".repeat(10_000);
    for password in [
        "unknown",
        "ERR",
        "HELLO",
        "NOAUTH",
        "WRONGPASS",
        "LOADING",
        "-",
        "a",
        "n",
        "E",
        " ",
        "",
        "command",
        "\r\n",
        "\0",
        "\u{7f}",
        "ERR unknown command",
        "+OK",
        "proto",
        "\u{202e}",
        &long,
    ] {
        let quote = password.replace(['\r', '\n'], " ");
        for refusal in [
            format!(
                "-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' '{quote}' \r\n"
            ),
            format!("-ERR unsupported command `hello` {quote}\r\n"),
            "-NOPROTO unsupported protocol version\r\n".into(),
        ] {
            let mut desk = Desk::dial(&with_password(password));
            desk.send();
            desk.hear(refusal.as_bytes());
            let sent = desk.send();
            let auth = format!("AUTH\r\n$3\r\napp\r\n${}\r\n{password}\r\n", password.len());
            assert!(sent.contains(&auth), "{password:?} {sent}");
            let events = desk.hear(b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+PONG\r\n");
            assert!(matches!(events[..], [Event::Ready(_)]), "{password:?} {refusal:?}");
        }
        let mut desk = Desk::dial(&with_password(password));
        desk.hear(HELLO);
        let events = desk.hear(b"+OK\r\n+OK\r\n+OK\r\n+PONG\r\n");
        assert!(matches!(events[..], [Event::Ready(_)]), "{password:?}");
    }
}

#[test]
fn an_error_that_quotes_no_password_keeps_its_words() {
    let (shown, ended) = refused("hunter2", &[HELLO], b"-ERR DB index is out of range\r\n");
    assert!(ended && shown.contains("ERR DB index is out of range"), "{shown}");
    let wrong = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    let (shown, ended) = refused("hunter2", &[], wrong);
    assert!(ended && shown.contains("invalid username-password pair"), "{shown}");
}

#[test]
fn a_servers_name_and_version_show_no_password() {
    let mut desk = Desk::dial(&with_password("hunter2-hunter2"));
    desk.hear(b"%3\r\n+server\r\n+a hunter2-hunter2\r\n+version\r\n+r2-hunter\r\n+proto\r\n:3\r\n");
    let events = desk.hear(b"+OK\r\n+OK\r\n+OK\r\n+PONG\r\n");
    let [Event::Ready(info)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&*info.server, &*info.version), ("", ""));
}
