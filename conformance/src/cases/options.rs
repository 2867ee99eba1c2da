//! URLs and builder options: which one wins, and the errors of wrong ones.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use async_caches::{Error, Remaining};

use super::ops::LONG;
use super::timeouts::assert_within;
use crate::context::{Context, connected};

pub async fn the_builder_beats_the_url(cx: Context) {
    let url =
        "locmem://the-builder-beats-the-url?timeout=1000&version=1&key_prefix=url&max_entries=1";
    let cache = connected(
        cx.builder_of(url).timeout(LONG).version(2).key_prefix("builder").max_entries(10),
    )
    .await;
    cache.set_many([("a", 1), ("b", 2)]).await.unwrap();
    assert_eq!(cache.get_many::<i32>(["a", "b"]).version(2).await.unwrap(), [Some(1), Some(2)]);
    assert_eq!(cache.get::<i32>("a").version(1).await.unwrap(), None);
    assert_within(cache.remaining("a").await.unwrap(), LONG, "a");
    let plain = connected(
        cx.builder_of("locmem://the-builder-beats-the-url").key_prefix("builder").max_entries(10),
    )
    .await;
    assert!(plain.contains("a").version(2).await.unwrap());
}

pub async fn options_of_the_url_apply_unless_the_builder_sets_them(cx: Context) {
    let url = "locmem://the-url-speaks?timeout=60&version=1&key_prefix=url";
    let cache = connected(cx.builder_of(url)).await;
    cache.set("key", 1).await.unwrap();
    assert_within(cache.remaining("key").await.unwrap(), LONG, "key");
    let other = connected(cx.builder_of("locmem://the-url-speaks").key_prefix("url")).await;
    assert!(other.contains("key").version(1).await.unwrap());
    other.set("key", 1).await.unwrap();
    assert_eq!(other.remaining("key").await.unwrap(), Remaining::Forever);
}

/// Each row is a URL and the words that its error must contain.
pub async fn a_wrong_url_is_an_error_that_names_the_part_at_fault(cx: Context) {
    let table = [
        ("", &["scheme"][..]),
        ("localhost", &["scheme"]),
        ("rediss+unix:///run/redis.sock", &["rediss+unix", "TLS", "unix"]),
        ("rediss://localhost?tls_cert=/a.pem", &["tls_cert", "tls_key"]),
        ("redis://localhost?tls_ca=/ca.pem", &["tls_ca", "TLS", "rediss://"]),
        ("dummy://?tls_server_name=a%20b", &["tls_server_name", "a b"]),
        ("reddis://localhost", &["reddis", "redis"]),
        ("locmem://name?timout=1", &["timout", "timeout"]),
        ("locmem://name?tll=1", &["tll", "ttl"]),
        ("locmem://name?max_size=1", &["max_size", "maxsize"]),
        ("locmem://name?prefix=a", &["prefix", "key_prefix"]),
        ("locmem://name?utterly=1", &["utterly"]),
        ("locmem://name?timeout=1&ttl=1", &["timeout"]),
        ("locmem://name?timeout=1&timeout=1", &["timeout"]),
        ("locmem://name?timeout=soon", &["timeout", "soon"]),
        ("locmem://name?timeout=-1", &["timeout", "-1"]),
        ("locmem://name?timeout=", &["timeout"]),
        ("locmem://name?version=a:b", &["version", "a:b"]),
        ("locmem://name?key_prefix=a%3Ab", &["prefix", "a:b"]),
        ("dummy://?minsize=many", &["minsize", "many"]),
        ("redis://localhost?minsize=3&maxsize=2", &["minsize", "maxsize", "3", "2"]),
        ("redis://localhost?minsize=11", &["minsize", "maxsize", "11", "10"]),
        ("redis://localhost?maxsize=0", &["maxsize"]),
        ("redis://localhost?connect_timeout=0", &["connect_timeout"]),
        ("redis://localhost?response_timeout=0", &["response_timeout"]),
        ("redis://localhost?name=two%20words", &["name", "two words"]),
        ("redis://localhost:port", &["port"]),
        ("redis://localhost:99999", &["port"]),
        ("redis://localhost/first", &["database", "first"]),
        ("redis+unix://host/path", &["path", "host"]),
    ];
    for (url, parts) in table {
        let error = cx.builder_of(url).build().err().unwrap_or_else(|| panic!("{url} was taken"));
        let text = error.to_string();
        for part in parts {
            assert!(text.contains(part), "{url}: {text:?} does not say {part:?}");
        }
    }
}

pub async fn a_wrong_option_of_the_builder_is_an_error_that_names_it(cx: Context) {
    let new = || cx.builder_of("redis://localhost");
    let table = [
        (new().minsize(3).maxsize(2), "minsize"),
        (new().maxsize(0), "maxsize"),
        (new().key_prefix("a:b"), "a:b"),
        (new().version("a:b"), "a:b"),
        (new().connect_timeout(Duration::ZERO), "connect_timeout"),
        (new().response_timeout(Duration::ZERO), "response_timeout"),
        (new().max_entries(0), "max_entries"),
        (new().max_bytes(0), "max_bytes"),
        (new().name("two words"), "two words"),
    ];
    for (builder, part) in table {
        let error = builder.build().err().unwrap_or_else(|| panic!("{part} was taken"));
        assert!(error.to_string().contains(part), "{error} does not say {part}");
    }
}

pub async fn a_default_timeout_of_zero_is_an_error_in_the_url_and_the_builder(cx: Context) {
    let builders = [
        cx.builder_of("dummy://?timeout=0"),
        cx.builder_of("dummy://?ttl=0.0"),
        cx.builder_of("locmem://zero?timeout=0"),
        cx.builder_of("redis://localhost?timeout=0"),
        cx.builder_of("dummy://").timeout(Duration::ZERO),
        cx.builder_of("redis://localhost").timeout(Duration::ZERO),
    ];
    for builder in builders {
        let error = builder.build().unwrap_err();
        assert!(matches!(error, Error::ZeroTimeout), "{error:?}");
    }
    let long = cx.builder_of("dummy://").timeout(Duration::MAX).build().unwrap_err();
    assert!(matches!(long, Error::TimeoutTooLong), "{long:?}");
}

pub async fn a_password_is_in_no_error_about_a_url(cx: Context) {
    let urls = [
        "redis://user:hunter2@localhost:port/0",
        "redis://user:hunter2@local host/0",
        "redis://:hunter2@localhost/first",
        "redis://:hunter2@localhost/0?timout=1",
        "redis://:hunter2@localhost/0?minsize=9&maxsize=1",
        "redis://:hunter2%zz@localhost",
        "redis://:hunter2#@localhost",
        "redis://:hunter2/@localhost",
        "redis://:a@hunter2@localhost",
        "reddis://:hunter2@localhost",
        ":hunter2@localhost",
        "hunter2:hunter2@localhost",
    ];
    for url in urls {
        let Err(error) = cx.builder_of(url).build() else { continue };
        let shown = format!("{error} {error:?} {error:#?}");
        assert!(!shown.contains("hunter2"), "{url}: {shown}");
    }
}

/// Whether it connects or not, the client sends a TLS handshake or nothing.
pub async fn a_tls_url_never_sends_plain_text(cx: Context) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut heard = [0; 1024];
        let len = connection.read(&mut heard).unwrap();
        heard[..len].to_vec()
    });
    for scheme in ["rediss", "valkeys"] {
        let url = format!("{scheme}://:hunter2@{address}");
        let builder = cx.builder_of(&url).connect_timeout(Duration::from_millis(200));
        let error = cx.within(LONG, scheme, builder.connect()).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    // This connection ends the thread if the cache never dialled.
    drop(TcpStream::connect(address));
    let heard = heard.join().unwrap();
    assert!(heard.is_empty() || heard.starts_with(HANDSHAKE), "{}", heard.escape_ascii());
}

pub async fn tls_options_do_not_affect_backends_without_connections(cx: Context) {
    for url in ["dummy://", "locmem://options-of-tls"] {
        let url = format!("{url}?tls_ca=/no/such/file&tls_server_name=cache.example");
        let cache = connected(cx.builder_of(&url)).await;
        cache.set("key", 1).await.unwrap();
    }
}

pub async fn a_password_is_in_no_debug_output(cx: Context) {
    let builder = cx.builder_of("redis://user:hunter2@localhost/3").name("worker");
    assert!(!format!("{builder:?} {builder:#?}").contains("hunter2"));
    let cache = builder.build().unwrap();
    assert!(!format!("{cache:?} {cache:#?}").contains("hunter2"));
}

pub async fn without_an_adapter_only_backends_in_memory_open(_: Context) {
    async_caches::open("dummy://").unwrap();
    async_caches::open("locmem://without-an-adapter").unwrap();
    for url in [
        "redis://:hunter2@localhost",
        "valkey://localhost",
        "redis+unix:///run/redis.sock",
        "redis-cluster://:hunter2@localhost",
        "redis-sentinel://:hunter2@localhost/service",
    ] {
        let error = async_caches::open(url).unwrap_err();
        assert!(matches!(error, Error::NoRuntime { .. }), "{error:?}");
        let text = error.to_string();
        let (scheme, _) = url.split_once("://").unwrap();
        assert!(text.starts_with(&format!("{scheme}://")), "{text}");
        for adapter in ["async-caches-tokio", "async-caches-async-std", "async-caches-smol"] {
            assert!(text.contains(adapter), "{text}");
        }
        assert!(!text.contains("hunter2"));
    }
}

pub async fn a_cache_opened_without_an_adapter_works_on_this_runtime(_: Context) {
    let cache = async_caches::open("locmem://opened-without-an-adapter?timeout=60").unwrap();
    cache.connect().await.unwrap();
    cache.set("key", 1).await.unwrap();
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
    assert_within(cache.remaining("key").await.unwrap(), LONG, "key");
    cache.disconnect().await.unwrap();
}

/// The start of a TLS record with a handshake (RFC 8446, 5.1).
const HANDSHAKE: &[u8] = &[22, 3];
