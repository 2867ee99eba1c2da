//! Servers, and proxies in front of them, that react to a greeting in unusual ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_caches::{Credentials, Error, Protocol};

use crate::context::{Context, connected};
use crate::frame::bulk;
use crate::peer::{Act, Asked, Peer};

/// The replies of a server that speaks RESP2, and knows neither `CLIENT` nor `HELLO`.
fn old(asked: &Asked) -> Act {
    Act::Say(match asked.words[0].as_str() {
        "AUTH" | "SELECT" | "SET" => b"+OK\r\n".to_vec(),
        "PING" => b"+PONG\r\n".to_vec(),
        "GET" => bulk("1"),
        other => format!("-ERR unknown command '{other}'\r\n").into_bytes(),
    })
}

fn name(asked: &Asked) -> &str {
    &asked.words[0]
}

pub async fn a_refusal_of_hello_in_any_words_falls_back_to_resp2(cx: Context) {
    for refusal in [
        "ERR unknown command 'HELLO'",
        "ERR unsupported command `hello`",
        "ERR unknown command `hello`, with args beginning with: `3` ",
        "ERR syntax error",
        "ERR Protocol error",
        "NOPROTO unsupported protocol version",
        "NOPERM this user has no permissions to run the 'hello' command",
        "NOAUTH Authentication required.",
        "invalid request",
        "",
    ] {
        let said = format!("-{refusal}\r\n").into_bytes();
        let peer = Peer::bare(move |asked| match name(asked) {
            "HELLO" => Act::Say(said.clone()),
            _ => old(asked),
        });
        let url = peer.url().replace("://", "://:unknown@");
        let cache = connected(cx.builder_of(&url).maxsize(1)).await;
        assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1), "{refusal}");
        assert_eq!(cache.info().pool().unwrap().servers[0].protocol, 2, "{refusal}");
        assert_eq!(peer.accepted(), 1, "{refusal}");
    }
    for refusal in ["WRONGPASS no", "LOADING it", "DENIED protected", "ERR max number of clients"] {
        let said = format!("-{refusal}\r\n").into_bytes();
        let peer = Peer::bare(move |asked| match name(asked) {
            "HELLO" => Act::Say(said.clone()),
            _ => old(asked),
        });
        let url = peer.url().replace("://", "://:unknown@");
        let refused = cx.builder_of(&url).response_timeout(BRIEF).connect().await;
        assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refusal}: {refused:?}");
    }
}

pub async fn a_hang_up_on_hello_falls_back_to_resp2_at_once(cx: Context) {
    let peer = Peer::bare(|asked| match name(asked) {
        "HELLO" | "CLIENT" => Act::SayAndClose(Vec::new()),
        _ => old(asked),
    });
    let url = peer.url().replace("://", "://:secret@");
    let cache = connected(cx.builder_of(&url).name("web").minsize(1).maxsize(1)).await;
    assert_eq!(peer.accepted(), 2, "one that was hung up on, and one that was not");
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
    let info = cache.info();
    let pool = info.pool().unwrap();
    assert_eq!((pool.servers[0].protocol, pool.failed_dials, pool.lost), (2, 0, 0));
    assert!(pool.last_error.is_none(), "{pool:?}");
}

pub async fn a_server_that_hangs_up_on_every_greeting_is_dialled_with_backoff(cx: Context) {
    let peer = Peer::bare(|_| Act::SayAndClose(Vec::new()));
    let builder = cx.builder_of(&peer.url()).response_timeout(BRIEF);
    assert!(matches!(builder.connect().await, Err(Error::Unavailable { .. })));
    assert_eq!(peer.accepted(), 2, "in all words and in few, and then the backoff");
}

pub async fn a_refused_connection_name_ends_no_connection(cx: Context) {
    for refusal in ["ERR unknown command 'CLIENT'", "NOPERM no permissions", "ERR no such name"] {
        let said = format!("-{refusal}\r\n").into_bytes();
        let peer = Peer::bare(move |asked| match name(asked) {
            "CLIENT" => Act::Say(said.clone()),
            _ => old(asked),
        });
        let url = format!("{}/0?name=web", peer.url());
        let cache = connected(cx.builder_of(&url).maxsize(1)).await;
        assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1), "{refusal}");
        assert_eq!(peer.accepted(), 1, "{refusal}");
    }
}

pub async fn the_protocol_option_determines_the_protocol(cx: Context) {
    let greeted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&greeted);
    let peer = Peer::bare(move |asked| match name(asked) {
        "HELLO" => {
            count.fetch_add(1, Ordering::SeqCst);
            Act::Say(b"-ERR unsupported command\r\n".to_vec())
        }
        "SELECT" => Act::Say(b"-ERR nobody asks for the first database\r\n".to_vec()),
        _ => old(asked),
    });
    let cache = connected(cx.builder_of(&format!("{}/0?protocol=2", peer.url()))).await;
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
    assert_eq!(greeted.load(Ordering::SeqCst), 0, "it is not asked for more than RESP2");
    let builder = cx.builder_of(&peer.url()).protocol(Protocol::Resp3).response_timeout(BRIEF);
    let error = builder.connect().await.unwrap_err();
    assert!(error.with_sources().to_string().contains("RESP3"), "{error:?}");
    assert_eq!(greeted.load(Ordering::SeqCst), 1);
    let error = cx.builder_of("redis://localhost?protocol=4").build().unwrap_err();
    assert!(error.with_sources().to_string().contains("protocol"), "{error:?}");
}

pub async fn no_part_of_a_password_is_shown_if_the_server_quotes_it(cx: Context) {
    let token = "tok-0123456789-abcdefghijklmnopqrstuvwxyz-".repeat(6);
    for (quotes, cut) in
        [("HELLO", 1_000), ("AUTH", 1_000), ("AUTH", 128), ("CLIENT", 64), ("GET", 9)]
    {
        let told = token.clone();
        let peer = Peer::bare(move |asked| {
            if name(asked) == quotes {
                let quoted = &told[..told.len().min(cut)];
                return Act::Say(format!("-ERR unknown command '{quoted}'\r\n").into_bytes());
            }
            match name(asked) {
                "HELLO" => Act::Say(b"-ERR unsupported\r\n".to_vec()),
                _ => old(asked),
            }
        });
        let who = Credentials { username: None, password: token.as_str().into() };
        let builder = cx.builder_of(&peer.url()).maxsize(1).name("web").response_timeout(BRIEF);
        let mut shown = String::new();
        match builder.credentials(who).connect().await {
            Err(error) => shown += &format!("{} {error:?}", error.with_sources()),
            Ok(cache) => {
                let outcome = cache.get::<i32>("key").await;
                shown += &format!("{outcome:?} {cache:?} {:?}", cache.info());
                if let Err(error) = outcome {
                    shown += &error.with_sources().to_string();
                }
            }
        }
        let parts = token.as_bytes().windows(8);
        let mut parts = parts.map(|part| std::str::from_utf8(part).unwrap());
        assert!(!parts.any(|part| shown.contains(part)), "{quotes}: {shown}");
    }
    // Two passwords, both sent before the first is answered.
    let peer = Peer::bare(|asked| match (name(asked), asked.words.get(1).map(String::as_str)) {
        ("AUTH", Some("first-token-first-token")) => Act::Silence,
        ("AUTH", Some(second)) => {
            let both = format!("-ERR first-token-first-token\r\n-ERR {second}\r\n");
            Act::Say(both.into_bytes())
        }
        _ => old(asked),
    });
    let cache = connected(cx.builder_of(&peer.url()).maxsize(1)).await;
    for token in ["first-token-first-token", "second-token-second-token"] {
        cache.reauthenticate(&Credentials { username: None, password: token.into() });
    }
    cx.until("the refusal is known", async || {
        let _ = cache.get::<i32>("key").await;
        cache.info().pool().unwrap().last_error.is_some()
    })
    .await;
    let shown = format!("{:?} {cache:?}", cache.info());
    assert!(!shown.contains("first-to") && !shown.contains("second-t"), "{shown}");
}

const BRIEF: Duration = Duration::from_millis(500);
