//! The effects of a cache on a real server, seen through a raw connection.

use std::collections::BTreeMap;
use std::time::Duration;

use async_caches::{Error, Remaining, ServerErrorKind};
use serde::Deserialize;

use super::ops::LONG;
use crate::context::{Context, connected};

pub async fn keys_on_the_server_match_the_python_package_byte_for_byte(cx: Context) {
    let cache = cx.cache().await;
    let forum = connected(cx.builder().key_prefix("forum").version(2019)).await;
    let mut raw = cx.raw();
    cache.set("test", 1).await.unwrap();
    cache.set("a:b", 2).version(0).await.unwrap();
    cache.set([0xff, 0, b' '], 3).version("v").await.unwrap();
    forum.set("user:1", 4).await.unwrap();
    let keys: [&[u8]; 4] = [b"::test", b":0:a:b", b":v:\xff\0 ", b"forum:2019:user:1"];
    for (key, n) in keys.iter().zip(1..) {
        assert_eq!(raw.text(&[b"GET", *key]), n.to_string(), "{}", key.escape_ascii());
    }
    assert_eq!(raw.number(&["DBSIZE"]), 4);
}

pub async fn entries_written_by_python_are_read(cx: Context) {
    #[derive(PartialEq, Debug, Deserialize)]
    struct Page {
        a: u8,
        b: (Option<bool>, bool),
        title: String,
    }
    let cache = cx.cache().await;
    let mut raw = cx.raw();
    let text = r#"{"a": 1, "b": [null, true], "title": "J\u00fcrgen \ud83d\ude00\n"}"#;
    raw.call(&["SET", "::page", text, "PX", "60000"]);
    let page = Page { a: 1, b: (None, true), title: "Jürgen \u{1f600}\n".to_owned() };
    assert_eq!(cache.get::<Page>("page").await.unwrap(), Some(page));
    raw.call(&["SET", "forum:7:n", "41"]);
    let forum = connected(cx.builder().key_prefix("forum")).await;
    assert_eq!(forum.incr("n", 1).version(7).await.unwrap(), 42);
    assert_eq!(raw.text(&["GET", "forum:7:n"]), "42");
}

pub async fn values_on_the_server_are_json_text(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", BTreeMap::from([("a", (1, None::<u8>, "é\n"))])).await.unwrap();
    assert_eq!(cx.raw().text(&["GET", "::key"]), r#"{"a":[1,null,"é\n"]}"#);
}

pub async fn timeouts_on_the_server_are_milliseconds(cx: Context) {
    let cache = cx.cache().await;
    let mut raw = cx.raw();
    let mut assert_left = |key: &str, most: i64| {
        let left = raw.number(&["PTTL", key]);
        assert!(left <= most && left > most - 10_000, "{key}: {left}");
    };
    let span = Duration::from_micros(60_000_400);
    cache.set("set", 1).timeout(span).await.unwrap();
    assert_left("::set", 60_001);
    cache.set_raw("raw", "1").timeout(span).await.unwrap();
    assert_left("::raw", 60_001);
    cache.add("add", 1).timeout(span).await.unwrap();
    assert_left("::add", 60_001);
    cache.set_many([("many", 1), ("more", 2)]).timeout(span).await.unwrap();
    assert_left("::many", 60_001);
    assert_left("::more", 60_001);
    cache.get_or_set("load", async { 1 }).timeout(span).await.unwrap();
    assert_left("::load", 60_001);
    assert!(cache.touch("set").timeout(2 * span).await.unwrap());
    assert_left("::set", 120_001);
    assert!(cache.touch("set").await.unwrap());
    assert_eq!(raw.number(&["PTTL", "::set"]), -1);
}

pub async fn remaining_reports_a_timeout_set_by_another_client(cx: Context) {
    let cache = cx.cache().await;
    cx.raw().call(&["SET", "::key", "1", "PX", "60000"]);
    let Remaining::For(left) = cache.remaining("key").await.unwrap() else { panic!() };
    assert!(left <= LONG && left > LONG - Duration::from_secs(10), "{left:?}");
}

pub async fn clear_leaves_other_databases_alone(cx: Context) {
    let cache = cx.cache().await;
    let mut elsewhere = cx.server().raw(0);
    let key = format!("a key beside {}", cx.url());
    elsewhere.call(&["SET", &key, "1"]);
    cx.raw().call(&["SET", "no key of any cache", "1"]);
    cache.set("key", 1).await.unwrap();
    cache.clear().await.unwrap();
    assert_eq!(cx.raw().number(&["DBSIZE"]), 0);
    assert_eq!(elsewhere.number(&["DEL", &key]), 1);
}

pub async fn clear_prefix_keeps_keys_of_other_prefixes(cx: Context) {
    let forum = connected(cx.builder().key_prefix("forum")).await;
    let mut raw = cx.raw();
    for key in ["forum", "forumx", "xforum:", "::forum:", "other"] {
        raw.call(&["SET", key, "1"]);
    }
    raw.call(&["LPUSH", "forum:a list", "1"]);
    raw.call(&["SET", "forum::key", "1"]);
    assert_eq!(forum.clear_prefix().await.unwrap(), 2);
    assert_eq!(raw.number(&["DBSIZE"]), 5);
}

pub async fn reading_a_key_of_another_server_type_is_a_server_error(cx: Context) {
    let cache = cx.cache().await;
    cx.raw().call(&["LPUSH", "::list", "1"]);
    let errors =
        [cache.get::<i32>("list").await.unwrap_err(), cache.incr("list", 1).await.unwrap_err()];
    for error in errors {
        let Error::Server(error) = error else { panic!("{error:?}") };
        assert_eq!(error.kind, ServerErrorKind::WrongType, "{error}");
        assert!(error.to_string().contains("(key: list)"), "{error}");
    }
    // The connection stays in step.
    cache.set("key", 1).await.unwrap();
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
}

pub async fn scripts_that_the_server_forgot_are_loaded_again(cx: Context) {
    let cache = cx.cache().await;
    cache.set("n", 1).await.unwrap();
    for n in 2..5 {
        cx.raw().call(&["SCRIPT", "FLUSH"]);
        assert_eq!(cache.incr("n", 1).await.unwrap(), n);
    }
    cx.raw().call(&["SCRIPT", "FLUSH"]);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let cache = cache.clone();
            cx.spawn(async move { cache.incr("n", 1).await.unwrap() })
        })
        .collect();
    let mut sums = Vec::new();
    for task in tasks {
        sums.push(task.await);
    }
    sums.sort_unstable();
    assert_eq!(sums, (5..21).collect::<Vec<i64>>());
}

pub async fn numbers_at_every_digit_boundary_cross_the_wire(cx: Context) {
    let cache = cx.cache().await;
    for power in 0..19 {
        for near in [-1, 0, 1] {
            let number = 10_i64.pow(power) + near;
            cache.set("n", number).version(number).await.unwrap();
            assert_eq!(cache.get::<i64>("n").version(number).await.unwrap(), Some(number));
            cache.set("zero", 0).await.unwrap();
            assert_eq!(cache.incr("zero", number).await.unwrap(), number);
            assert_eq!(cache.decr("zero", number).await.unwrap(), 0);
            if (1..1_000_000_000_000_000).contains(&number) {
                // If the touch succeeds, the server has taken the number.
                let span = Duration::from_millis(number.unsigned_abs() + 60_000);
                assert!(cache.touch("zero").timeout(span).await.unwrap());
            }
            if number < 2_000_000 {
                let value = vec![b'x'; usize::try_from(number).unwrap()];
                cache.set_raw("blob", value.clone()).await.unwrap();
                assert!(cache.get_raw("blob").await.unwrap().unwrap() == value, "{number}");
            }
            cache.ping().await.unwrap();
        }
    }
}

pub async fn connections_have_a_name_and_are_closed_by_disconnect(cx: Context) {
    let name = cx.url().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let cache = connected(cx.builder().minsize(2).name(name.as_str())).await;
    let mut raw = cx.raw();
    let mut connections = || {
        let named = format!(" name={name} ");
        raw.other_clients().iter().filter(|line| line.contains(&named)).count()
    };
    cx.until("there are two connections", async || connections() == 2).await;
    cache.disconnect().await.unwrap();
    cx.until("there is no connection", async || connections() == 0).await;
    cache.connect().await.unwrap();
    cx.until("there are two connections again", async || connections() == 2).await;
    let clone = cache.clone();
    drop(cache);
    assert_eq!(connections(), 2);
    clone.ping().await.unwrap();
    drop(clone);
    cx.until("no connection is left by dropped caches", async || connections() == 0).await;
}

pub async fn a_hostname_is_resolved(cx: Context) {
    let url = cx.url().replace("127.0.0.1", "localhost");
    assert_ne!(url, cx.url());
    let cache = connected(cx.builder_of(&url)).await;
    cache.set("key", 1).await.unwrap();
    assert_eq!(cx.raw().text(&["GET", "::key"]), "1");
}

pub async fn redis_and_valkey_schemes_are_equivalent(cx: Context) {
    let url = match cx.url().split_once("://") {
        Some(("rediss", rest)) => format!("valkeys://{rest}"),
        Some((_, rest)) => format!("valkey://{rest}"),
        None => unreachable!("a URL has a scheme"),
    };
    let cache = connected(cx.builder_of(&url)).await;
    cache.set("key", 1).await.unwrap();
    assert_eq!(cx.raw().text(&["GET", "::key"]), "1");
}
