//! A host name with several addresses, only one of which has a server that greets; and a name whose
//! addresses change while the cache is connected.

use std::collections::BTreeSet;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_caches::{Builder, ConnectionFailure, Error};

use crate::context::{Context, connected};
use crate::peer::{Act, Asked, Peer};
use crate::proxy::Proxy;
use crate::server::{Server, Setup};

pub async fn an_address_that_loses_packets_gives_way_to_the_next(cx: Context) {
    let server = cx.start(&Setup::default());
    let lossy = Proxy::start(server.address());
    lossy.lose_dials();
    let cache = connected(named(&cx, &server, vec![lossy.address(), server.address()])).await;
    assert_serves(&cache).await;
    assert_eq!(lossy.accepted(), 0);
}

pub async fn an_address_that_accepts_and_never_greets_gives_way_to_the_next(cx: Context) {
    let server = cx.start(&Setup::default());
    let deaf = Proxy::start(server.address());
    deaf.hold();
    let start = Instant::now();
    let cache = connected(named(&cx, &server, vec![deaf.address(), server.address()])).await;
    assert!(start.elapsed() < CONNECT, "{:?}", start.elapsed());
    assert_serves(&cache).await;
    assert_eq!(deaf.accepted(), 1);
    // The proxy passed the greeting on, so the server had two clients.
    let mut raw = server.raw(0);
    cx.until("the loser is closed", async || raw.other_clients().len() == 1).await;
    cx.sleep(Duration::from_millis(50)).await;
    assert_eq!(raw.other_clients().len(), 1, "and the winner is kept");
}

pub async fn an_address_that_refuses_or_hangs_up_gives_way_to_the_next_at_once(cx: Context) {
    let server = cx.start(&Setup::default());
    let (gone, closing) = (Proxy::start(server.address()), Proxy::start(server.address()));
    closing.refuse();
    let refusing = gone.address();
    drop(gone);
    let all = vec![refusing, closing.address(), server.address()];
    let cache = connected(named(&cx, &server, all)).await;
    assert_serves(&cache).await;
}

pub async fn a_server_that_hangs_up_on_hello_is_found_among_addresses_that_never_greet(
    cx: Context,
) {
    let words = |asked: &Asked| match asked.words[0].as_str() {
        "HELLO" | "CLIENT" => Act::SayAndClose(Vec::new()),
        "AUTH" | "SELECT" | "SET" => Act::Say(b"+OK\r\n".to_vec()),
        "PING" => Act::Say(b"+PONG\r\n".to_vec()),
        _ => Act::Say(b"$1\r\n1\r\n".to_vec()),
    };
    let (plain, deaf) = (Peer::bare(words), Peer::bare(|_| Act::Silence));
    let addresses = vec![plain.address(), deaf.address(), deaf.address()];
    let builder = cx.builder_of("redis://localhost").connect_timeout(CONNECT).maxsize(1);
    let resolver = move |_: String, _| {
        let addresses = addresses.clone();
        async move { Ok(addresses) }
    };
    let cache = connected(builder.resolver(resolver)).await;
    assert_serves(&cache).await;
}

pub async fn only_the_first_address_is_dialled_if_it_greets(cx: Context) {
    let server = cx.start(&Setup::default());
    let (first, second) = (Proxy::start(server.address()), Proxy::start(server.address()));
    let cache = connected(named(&cx, &server, vec![first.address(), second.address()])).await;
    assert_serves(&cache).await;
    assert_eq!((first.accepted(), second.accepted()), (1, 0));
}

pub async fn the_only_live_address_is_found_within_the_connect_timeout(cx: Context) {
    let server = cx.start(&Setup::default());
    let deaf: Vec<_> = (0..20)
        .map(|index| {
            let proxy = Proxy::start(server.address());
            match index % 2 {
                0 => proxy.vanish(),
                _ => drop(proxy.lose_dials()),
            }
            proxy
        })
        .collect();
    let mut all: Vec<_> = deaf.iter().map(Proxy::address).collect();
    all.push(server.address());
    let cache = connected(named(&cx, &server, all)).await;
    assert_serves(&cache).await;
}

pub async fn a_name_is_resolved_anew_for_each_connection(cx: Context) {
    let (old, new) = (cx.start(&Setup::default()), cx.start(&Setup::default()));
    let (now, asked) = (Arc::new(Mutex::new(vec![old.address()])), Arc::new(AtomicUsize::new(0)));
    let (told, counted) = (Arc::clone(&now), Arc::clone(&asked));
    let builder = cx.builder_of(&url(&old)).connect_timeout(CONNECT);
    let cache = connected(builder.maxsize(1).resolver(move |host: String, _| {
        assert_eq!(host, "localhost");
        counted.fetch_add(1, Ordering::SeqCst);
        let addresses = told.lock().expect("no test panics here").clone();
        async move { Ok(addresses) }
    }))
    .await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    *now.lock().expect("no test panics here") = vec![new.address()];
    drop(old);
    cx.until("the new server is used", async || cache.set("key", 1).await.is_ok()).await;
    assert_eq!(new.raw(0).text(&["GET", "::key"]), "1");
    assert!(asked.load(Ordering::SeqCst) > 1);
}

pub async fn a_name_that_does_not_resolve_is_an_error_that_names_it(cx: Context) {
    let server = cx.start(&Setup::default());
    let failing = || async { Err(io::Error::other("the zone is gone")) };
    let failing = cx.builder_of(&url(&server)).resolver(move |_: String, _| failing());
    let error = failing.connect().await.unwrap_err();
    let Error::Unavailable { source: ConnectionFailure::Name { host, .. }, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(host, "localhost");
    assert!(format!("{error:?}").contains("the zone is gone"), "{error}");
    assert!(error.is_retryable() && !error.may_have_run());

    let error = named(&cx, &server, Vec::new()).connect().await.unwrap_err();
    assert!(format!("{error:?}").contains("it has no address"), "{error}");

    let brief = Duration::from_millis(200);
    let hanging = cx.builder_of(&url(&server)).connect_timeout(brief);
    let hanging = hanging.resolver(|_: String, _| pending::<io::Result<Vec<SocketAddr>>>());
    let start = Instant::now();
    let error = cx.within(CONNECT, "connect", hanging.connect()).await.unwrap_err();
    assert!(start.elapsed() >= brief && error.is_retryable(), "{error:?}");
}

pub async fn an_ip_address_is_not_resolved(cx: Context) {
    let server = cx.start(&Setup::default());
    let resolver = |_: String, _| async { Err(io::Error::other("asked about an IP address")) };
    let cache = connected(cx.builder_of(&server.url(0)).resolver(resolver)).await;
    assert_serves(&cache).await;
}

pub async fn a_connection_past_its_age_is_replaced_and_no_call_fails(cx: Context) {
    let server = cx.start(&Setup::default());
    // With room for a second connection during the replacement, and without.
    for maxsize in [2, 1] {
        let builder = cx.builder_of(&server.url(0)).name("aging").maxsize(maxsize);
        let cache = connected(builder.max_connection_age(Duration::from_millis(100))).await;
        let mut seen = BTreeSet::new();
        cx.until("four connections have served", async || {
            for n in 0..20 {
                cache.set("key", n).await.unwrap();
                assert_eq!(cache.get("key").await.unwrap(), Some(n));
            }
            let now = ids(&server);
            assert!(now.len() <= maxsize, "{now:?}");
            seen.extend(now);
            seen.len() >= 4
        })
        .await;
        assert_eq!(cache.info().pool().map(|pool| pool.lost), Some(0), "none was lost");
        cache.disconnect().await.unwrap();
    }
}

pub async fn a_changed_address_of_a_name_is_followed_within_the_connection_age(cx: Context) {
    let (old, new) = (cx.start(&Setup::default()), cx.start(&Setup::default()));
    let now = Arc::new(Mutex::new(vec![old.address()]));
    let told = Arc::clone(&now);
    let builder = cx.builder_of(&url(&old)).max_connection_age(Duration::from_millis(100));
    let cache = connected(builder.resolver(move |_: String, _| {
        let addresses = told.lock().expect("no test panics here").clone();
        async move { Ok(addresses) }
    }))
    .await;
    cache.set("key", 1).await.unwrap();
    assert_eq!(old.raw(0).text(&["GET", "::key"]), "1");
    // While the name has no address, the connection stays.
    *now.lock().expect("no test panics here") = Vec::new();
    for n in 0..50 {
        cache.set("key", n).await.unwrap();
        cx.sleep(Duration::from_millis(5)).await;
    }
    *now.lock().expect("no test panics here") = vec![new.address()];
    cx.until("the new server is used", async || {
        cache.set("key", 2).await.unwrap();
        new.raw(0).number(&["EXISTS", "::key"]) == 1
    })
    .await;
    cx.until("the old one is left", async || old.raw(0).other_clients().is_empty()).await;
}

fn ids(server: &Server) -> BTreeSet<String> {
    let clients = server.raw(0).other_clients();
    let id = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
    clients.iter().filter(|line| line.contains(" name=aging ")).map(id).collect()
}

/// The builder of a cache for a server whose name has these addresses.
fn named(cx: &Context, server: &Server, addresses: Vec<SocketAddr>) -> Builder {
    let builder = cx.builder_of(&url(server)).connect_timeout(CONNECT).maxsize(1);
    builder.resolver(move |_: String, _| {
        let addresses = addresses.clone();
        async move { Ok(addresses) }
    })
}

fn url(server: &Server) -> String {
    server.url(0).replace("127.0.0.1", "localhost")
}

async fn assert_serves(cache: &async_caches::Cache) {
    cache.set("key", 1).await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some(1));
}

/// Long enough for a busy machine.
const CONNECT: Duration = Duration::from_secs(8);
