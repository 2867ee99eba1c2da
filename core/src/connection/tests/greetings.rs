//! Servers that treat the handshake in ways of their own.

use super::*;

fn greeting(greeting: Greeting, url: &str) -> Setup {
    Setup { greeting, name: Some("web".into()), ..setup(url) }
}

/// The commands to be sent, their words separated by spaces.
fn sent(desk: &mut Desk) -> Vec<String> {
    let sent = desk.send();
    let words = |request: &str| {
        let words: Vec<_> = request.split("\r\n").skip(2).step_by(2).collect();
        words.join(" ").trim_end().to_string()
    };
    sent.split('*').skip(1).map(words).collect()
}

#[test]
fn hello_refused_in_any_words_leads_to_resp2() {
    for refusal in [
        "ERR unknown command `HELLO`",
        "ERR unsupported command `hello`",
        "ERR syntax error",
        "NOPROTO unsupported protocol version",
        "NOPERM no",
        "NOAUTH Authentication required.",
        "BUSY it is",
        "nonsense",
        "",
    ] {
        let mut desk = Desk::dial(&setup("redis://:secret@h"));
        desk.send();
        assert_eq!(desk.try_hear(format!("-{refusal}\r\n").as_bytes()), Ok(Vec::new()));
        assert_eq!(sent(&mut desk)[0], "AUTH secret", "{refusal}");
        let events = desk.hear(b"+OK\r\n-ERR\r\n-ERR\r\n+PONG\r\n");
        let [Event::Ready(info)] = &events[..] else { panic!("{refusal}: {events:?}") };
        assert_eq!(info.protocol, 2);
    }
}

#[test]
fn refusals_that_resp2_would_meet_too_are_final() {
    for refusal in [
        "WRONGPASS no",
        "ERR invalid password",
        "ERR Client sent AUTH, but no password is set",
        "LOADING it",
        "DENIED protected",
        "ERR max number of clients reached",
    ] {
        let mut desk = Desk::dial(&setup("redis://:secret@h"));
        let refused = desk.try_hear(format!("-{refusal}\r\n").as_bytes());
        assert!(matches!(refused, Err(ConnectionError::Refused(_))), "{refusal}: {refused:?}");
    }
    // A client that sent no credentials has none to send again.
    let mut desk = Desk::dial(&setup("redis://h"));
    let refused = desk.try_hear(b"-NOAUTH Authentication required.\r\n");
    assert!(matches!(refused, Err(ConnectionError::Refused(_))), "{refused:?}");
}

#[test]
fn resp2_is_greeted_in_one_round_trip() {
    let mut desk = Desk::dial(&greeting(Greeting::Resp2, "redis://app:secret@h/7"));
    let all = ["AUTH app secret", "CLIENT SETNAME web", "SELECT 7", "PING"];
    assert_eq!(sent(&mut desk), all);
    let events = desk.hear(b"+OK\r\n+OK\r\n+OK\r\n+PONG\r\n");
    let [Event::Ready(info)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((info.protocol, info.unnamed), (2, false));
}

#[test]
fn a_bare_greeting_omits_optional_commands() {
    let mut desk = Desk::dial(&greeting(Greeting::Bare, "redis://:secret@h/0"));
    assert_eq!(sent(&mut desk), ["AUTH secret", "PING"], "and no SELECT of the first database");
    let events = desk.hear(b"+OK\r\n+PONG\r\n");
    let [Event::Ready(info)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((info.protocol, info.unnamed), (2, true));
    let mut desk = Desk::dial(&greeting(Greeting::Bare, "redis://h"));
    assert_eq!(sent(&mut desk), ["PING"]);
}

#[test]
fn a_refused_connection_name_is_ignored() {
    for refusal in ["-ERR unknown command 'CLIENT'\r\n", "-NOPERM no\r\n"] {
        let mut desk = Desk::dial(&greeting(Greeting::Either, "redis://h"));
        desk.hear(b"-ERR unknown command 'HELLO'\r\n");
        desk.hear(refusal.as_bytes());
        let events = desk.hear(b"-ERR no\r\n-ERR no\r\n-NOPERM no\r\n");
        let [Event::Ready(info)] = &events[..] else { panic!("{refusal}: {events:?}") };
        assert!(info.unnamed);
    }
    let mut desk = Desk::dial(&greeting(Greeting::Resp2, "redis://h"));
    let refused = desk.try_hear(b"-NOAUTH Authentication required.\r\n");
    assert!(matches!(refused, Err(ConnectionError::Refused(_))), "that is not about the name");
}

#[test]
fn a_refusal_of_required_resp3_ends_the_connection() {
    for refusal in [
        "-ERR unknown command 'HELLO'\r\n",
        "-NOPROTO unsupported protocol version\r\n",
        "*4\r\n+server\r\n+old\r\n+proto\r\n:2\r\n",
    ] {
        let mut desk = Desk::dial(&greeting(Greeting::Resp3, "redis://h"));
        assert_eq!(desk.try_hear(refusal.as_bytes()), Err(ConnectionError::NoResp3));
    }
    let mut desk = Desk::dial(&greeting(Greeting::Resp3, "redis://:secret@h"));
    let refused = desk.try_hear(b"-WRONGPASS no\r\n");
    assert!(matches!(refused, Err(ConnectionError::Refused(_))), "{refused:?}");
}

#[test]
fn required_resp2_excludes_pushes() {
    let tracking = Some(Tracking::Read);
    let pushes = Pushes::Told { tracking };
    let mut desk = Desk::dial(&Setup { pushes, ..greeting(Greeting::Resp2, "redis://h") });
    assert_eq!(desk.try_hear(b"+OK\r\n+PONG\r\n"), Err(ConnectionError::NoPushes));
}

#[test]
fn in_resp2_the_default_user_is_not_named() {
    for (url, expected) in [
        ("redis://default:secret@h", "AUTH secret"),
        ("redis://:secret@h", "AUTH secret"),
        ("redis://app:secret@h", "AUTH app secret"),
    ] {
        let mut desk = Desk::dial(&setup(url));
        desk.send();
        desk.hear(b"-ERR unknown command 'HELLO'\r\n");
        assert_eq!(sent(&mut desk)[0], expected);
    }
    let mut desk = Desk::ready();
    desk.authenticate(Some("default"), "secret");
    assert_eq!(sent(&mut desk), ["AUTH default secret"], "in RESP3 it is");
}

#[test]
fn hello_reports_whether_a_server_is_a_cluster_node() {
    for (mode, in_cluster) in [
        ("+mode\r\n$7\r\ncluster\r\n", true),
        ("+mode\r\n+standalone\r\n", false),
        ("+mode\r\n+sentinel\r\n", false),
        ("+mode\r\n_\r\n", false),
        ("+role\r\n+cluster\r\n", false),
    ] {
        let mut desk = Desk::dial(&setup("redis://h"));
        desk.hear(format!("%2\r\n{mode}+proto\r\n:3\r\n").as_bytes());
        let events = desk.hear(SETTLED);
        let [Event::Ready(info)] = &events[..] else { panic!("{mode}: {events:?}") };
        assert_eq!(info.in_cluster, in_cluster, "{mode}");
    }
    let mut desk = Desk::dial(&setup("redis://h"));
    desk.hear(b"-ERR unknown command 'HELLO'\r\n");
    let events = desk.hear(SETTLED);
    let [Event::Ready(info)] = &events[..] else { panic!("{events:?}") };
    assert!(!info.in_cluster, "it is not known");
}
