//! Several servers that are one: keys in slots that move, and nodes that die, leave or fall silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use async_caches::{
    Cache, ClusterInfo, Credentials, Error, LinkError, MapError, NodeInfo, Remaining,
    ServerErrorKind,
};

use super::ops::LONG;
use crate::backend::PASSWORD;
use crate::certificates::Authority;
use crate::cluster::{Cluster, slot_of};
use crate::context::{Context, Task, connected};
use crate::proxy::Proxy;
use crate::sentinels::is_master;
use crate::server::{Kind, Server, Setup, Tls};

pub async fn keys_are_spread_over_all_masters_and_found_from_any_of_them(cx: Context) {
    const KEYS: usize = 300;
    let cache = cx.cache().await;
    let names = || (0..KEYS).map(|n| format!("key{n}"));
    cache.set_many(names().zip(0..)).await.unwrap();
    assert_eq!(cx.raw().number(&["DBSIZE"]), 300);
    let (scheme, rest) = cx.url().split_once("://").expect("it is a URL");
    let (first, others) = rest.split_once(',').expect("there are three");
    let (second, third) = others.split_once(',').expect("there are three");
    for url in [
        format!("{scheme}://{first}"),
        format!("redis+cluster://{second}"),
        format!("valkey-cluster://{third}/0"),
        format!("valkey+cluster://{third},{first}?db=0"),
        format!("redis://{second},{third}?cluster=true"),
    ] {
        let cache = connected(cx.builder_of(&url)).await;
        let read = cache.get_many::<usize>(names()).await.unwrap();
        assert!(read.iter().zip(0..).all(|(read, n)| *read == Some(n)), "{url}");
        let cluster = cluster(&cache);
        assert!(cluster.nodes.iter().all(|node| node.slots > 5_000 && node.pool.open > 0), "{url}");
    }
}

pub async fn each_node_has_a_pool_of_its_own_that_is_opened_when_it_is_needed(cx: Context) {
    let builder = cx.builder().minsize(2).maxsize(3).name("pools");
    let cache = connected(builder).await;
    let info = cluster(&cache);
    assert_eq!((info.nodes.len(), info.maps), (3, 1), "{info:?}");
    assert_eq!(info.nodes.iter().map(|node| node.slots).sum::<usize>(), Cluster::SLOTS);
    assert!(info.nodes.iter().all(|node| node.pool.open + node.pool.dialling == 0), "{info:?}");
    cache.set("key", 1).await.unwrap();
    let used = |info: &ClusterInfo| info.nodes.iter().filter(|node| node.pool.open > 0).count();
    assert_eq!(used(&cluster(&cache)), 1);
    let names = (0..100).map(|n| format!("key{n}"));
    cache.get_many::<i32>(names).await.unwrap();
    let two = |node: &NodeInfo| node.pool.open == 2 && node.pool.idle == 2;
    cx.until("each has two links", async || cluster(&cache).nodes.iter().all(two)).await;
    let info = cluster(&cache);
    for node in &info.nodes {
        assert_eq!((node.failed, node.pool.minsize, node.pool.maxsize), (false, 2, 3), "{node:?}");
        assert_eq!((node.pool.lost, node.pool.failed_dials), (0, 0), "{node:?}");
        assert_eq!(node.pool.servers.len(), 1, "{node:?}");
    }
    assert_eq!((info.waiting, info.held, info.last_error.is_none()), (0, 0, true), "{info:?}");
    let mut raw = cx.raw();
    let mut links = || {
        let clients = raw.other_clients();
        clients.iter().filter(|line| line.contains(" name=pools ")).count()
    };
    assert_eq!(links(), 6);
    cache.disconnect().await.unwrap();
    assert!(cluster(&cache).nodes.is_empty());
    cx.until("there is no link", async || links() == 0).await;
    cache.connect().await.unwrap();
    cache.ping().await.unwrap();
    let clone = cache.clone();
    drop(cache);
    clone.set("key", 2).await.unwrap();
    assert!(links() > 0);
    drop(clone);
    cx.until("no link is left by dropped caches", async || links() == 0).await;
}

pub async fn a_node_of_the_url_that_is_away_is_passed_over(cx: Context) {
    let mut gone: Vec<_> = (0..2).map(|_| Server::start(kind(&cx), &Setup::default())).collect();
    gone.iter_mut().for_each(Server::kill);
    let [one, other] = [0, 1].map(|at| gone[at].address());
    let (_, here) = cx.url().split_once("://").expect("it is a URL");
    let url = format!("redis-cluster://{one},{other},{here}");
    let cache = cx.builder_of(&url).build().unwrap();
    cx.within(PROMPTLY, "connect", cache.connect()).await.unwrap();
    cache.set("key", 1).await.unwrap();
    let url = format!("redis-cluster://{one},{other}");
    let error = cx.within(PROMPTLY, "connect", cx.builder_of(&url).connect()).await.unwrap_err();
    let Error::Unavailable { to, source: LinkError::Node { at, source } } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*to, format!("cluster@{one},{other}"));
    assert!([one, other].iter().any(|gone| gone.to_string() == *at), "{at}");
    assert!(matches!(**source, LinkError::Io(_)) && error.is_retryable(), "{error:?}");
}

pub async fn a_server_that_is_no_cluster_is_an_error_that_says_so(cx: Context) {
    let single = Server::start(kind(&cx), &Setup::default());
    let url = format!("redis-cluster://{}", single.address());
    let error = cx.within(PROMPTLY, "connect", cx.builder_of(&url).connect()).await.unwrap_err();
    let said = error.server_error().expect("the server says why").text();
    assert!(said.contains("cluster support disabled"), "{said}");
    assert!(!error.is_retryable(), "{error:?}");
    let lonely = Server::start(kind(&cx), &Setup::default().node());
    let url = format!("redis-cluster://{}", lonely.address());
    let error = cx.within(PROMPTLY, "connect", cx.builder_of(&url).connect()).await.unwrap_err();
    let Error::Unavailable { source: LinkError::Node { source, .. }, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(matches!(&**source, LinkError::Map(why) if **why == MapError::Empty), "{error:?}");
}

pub async fn all_nodes_are_told_who_we_are(cx: Context) {
    let all = start(&cx, &Setup::default().password(PASSWORD), 3, 0, UNDISTURBED);
    let names = || (0..60).map(|n| format!("key{n}"));
    let cache = connected(cx.builder_of(&all.url())).await;
    cache.set_many(names().zip(0..)).await.unwrap();
    assert!(!format!("{cache:?} {:?}", cache.info()).contains(PASSWORD));
    let wrong = all.url().replace(&all.nodes[0].userinfo(), ":hunter2@");
    for url in [wrong, all.url().replace(&all.nodes[0].userinfo(), "")] {
        let connect = cx.builder_of(&url).connect();
        let error = cx.within(PROMPTLY, "connect", connect).await.unwrap_err();
        let refused = error.server_error().expect("a node says why").kind;
        assert!(matches!(refused, ServerErrorKind::NoAuth | ServerErrorKind::WrongPass));
        assert!(!error.is_retryable() && !format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    // A user who may not ask in the newer form, and is told to each open link.
    for node in &all.nodes {
        node.raw(0).call(&[
            "ACL",
            "SETUSER",
            "app",
            "on",
            ">secret",
            "~*",
            "+@all",
            "-cluster|shards",
        ]);
    }
    let app = Credentials { username: Some("app".to_owned()), password: "secret".into() };
    let limited = connected(cx.builder_of(&all.url()).credentials(app.clone())).await;
    assert_eq!(limited.get::<i32>("key7").await.unwrap(), Some(7));
    cache.reauthenticate(&app);
    let told = async || {
        let mut raw = all.raw();
        let clients = raw.other_clients();
        !clients.is_empty() && clients.iter().all(|line| line.contains(" user=app "))
    };
    cx.until("all links are the other user's", told).await;
    let read = cache.get_many::<i32>(names()).await.unwrap();
    assert!(read.iter().zip(0..).all(|(read, n)| *read == Some(n)));
}

pub async fn a_cluster_over_tls_is_served_by_each_nodes_own_name(cx: Context) {
    let authority = Authority::new();
    // A name, and not the address that nodes tell of each other.
    let tls = Tls { certificate: authority.issue(&["localhost"]), ..Tls::of(&authority) };
    let all = start(&cx, &Setup::default().tls(tls), 3, 0, UNDISTURBED);
    assert!(all.url().starts_with("rediss-cluster://"));
    let url = all.url().replace("127.0.0.1", "localhost");
    let cache = connected(cx.builder_of(&url).response_timeout(BRIEF)).await;
    let error = cx.within(BRIEF + SLACK, "get", cache.get::<i32>("key1")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { source: LinkError::Tls(_), .. }), "{error:?}");
    let named = |host: &str, port| (host.replace("127.0.0.1", "localhost"), port);
    let names = || (0..60).map(|n| format!("key{n}"));
    for builder in [
        cx.builder_of(&url).cluster_address_map(named),
        cx.builder_of(&all.url()).tls_server_name("localhost"),
    ] {
        let cache = connected(builder).await;
        cache.clear().await.unwrap();
        cache.set_many(names().zip(0..)).await.unwrap();
        let read = cache.get_many::<i32>(names()).await.unwrap();
        assert!(read.iter().zip(0..).all(|(read, n)| *read == Some(n)));
        assert_eq!(all.raw().number(&["DBSIZE"]), 60);
    }
}

pub async fn nodes_behind_a_translation_of_addresses_are_reached(cx: Context) {
    let all = start(&cx, &Setup::default(), 3, 0, UNDISTURBED);
    let proxies: Vec<_> = all.nodes.iter().map(|node| Proxy::start(node.address())).collect();
    let ports: Vec<_> = all.nodes.iter().map(|node| node.address().port()).collect();
    let outside: Vec<_> = proxies.iter().map(|proxy| proxy.address().port()).collect();
    let url = format!("redis-cluster://{}", proxies[0].address());
    let builder = cx.builder_of(&url).cluster_address_map(move |host, port| {
        let at = ports.iter().position(|known| *known == port).expect("it is a node's");
        (host.to_owned(), outside[at])
    });
    let cache = connected(builder).await;
    let names = || (0..60).map(|n| format!("key{n}"));
    cache.set_many(names().zip(0..)).await.unwrap();
    let read = cache.get_many::<i32>(names()).await.unwrap();
    assert!(read.iter().zip(0..).all(|(read, n)| *read == Some(n)));
    assert!(proxies.iter().all(|proxy| proxy.accepted() > 0));
    // A redirect tells an address as well.
    let key = key_on(&all, 0);
    all.begin_to_move(slot_of(&all.nodes[0], &whole(&key)), 0, 1).finish();
    let before = proxies[1].replies();
    cache.set(key.as_str(), 1).await.unwrap();
    assert!(proxies[1].replies() > before);
}

pub async fn a_slot_that_nobody_serves_is_an_error_in_time(cx: Context) {
    let setup = Setup::default().with(&["--cluster-require-full-coverage", "no"]);
    let all = start(&cx, &setup, 1, 0, UNDISTURBED);
    let before = connected(cx.builder_of(&all.url()).response_timeout(BRIEF)).await;
    let slot = slot_of(&all.nodes[0], &whole("lost"));
    all.nodes[0].raw(0).call(&["CLUSTER", "DELSLOTS", &slot.to_string()]);
    let error = cx.within(BRIEF + SLACK, "set", before.set("lost", 1)).await.unwrap_err();
    let down = matches!(&error, Error::Server(said) if said.kind == ServerErrorKind::ClusterDown);
    let uncovered = |error: &Error| match error {
        Error::Unavailable { source: LinkError::Uncovered { slot }, .. } => slot.map(usize::from),
        _ => None,
    };
    // Or it was asked once more just before the end.
    let late = matches!(error, Error::Timeout { .. });
    assert!(down || late || uncovered(&error) == Some(slot), "{error:?}");
    assert!(error.is_retryable() && (late || !error.may_have_run()), "{error:?}");
    // One that never knew it.
    let after = connected(cx.builder_of(&all.url()).response_timeout(BRIEF)).await;
    let get = cx.within(BRIEF + SLACK, "get", after.get::<i32>("lost")).await;
    assert_eq!(uncovered(&get.unwrap_err()), Some(slot));
    let many = cx.within(BRIEF + SLACK, "get_many", after.get_many::<i32>(["lost", "found"])).await;
    assert_eq!(uncovered(&many.unwrap_err()), Some(slot));
    let clear = cx.within(BRIEF + SLACK, "clear", after.clear()).await;
    assert_eq!(uncovered(&clear.unwrap_err()), Some(slot));
    for cache in [&before, &after] {
        cache.set("found", 1).await.unwrap();
    }
    // It is served again, and whoever waits for it learns of it.
    let waiting = cx.spawn({
        let cache = connected(cx.builder_of(&all.url())).await;
        async move { cache.set("lost", 2).await }
    });
    cx.sleep(Duration::from_millis(100)).await;
    all.nodes[0].raw(0).call(&["CLUSTER", "ADDSLOTS", &slot.to_string()]);
    cx.within(PROMPTLY, "set", waiting).await.unwrap();
    assert_eq!(after.get::<i32>("lost").await.unwrap(), Some(2));
}

pub async fn two_nodes_that_send_each_other_a_key_are_a_typed_error(cx: Context) {
    let all = start(&cx, &Setup::default(), 2, 0, UNDISTURBED);
    let key = key_on(&all, 0);
    let slot = slot_of(&all.nodes[0], &whole(&key)).to_string();
    let cache = connected(cx.builder_of(&all.url()).response_timeout(BRIEF)).await;
    cache.set(key.as_str(), 1).await.unwrap();
    cache.delete(key.as_str()).await.unwrap();
    for (node, other) in [(0, 1), (1, 0)] {
        all.nodes[node].raw(0).call(&["CLUSTER", "SETSLOT", &slot, "NODE", &all.id(other)]);
    }
    let mut error = Error::NotConnected;
    // Or it was asked once more just before the end.
    for _ in 0..5 {
        error = cx.within(BRIEF + SLACK, "set", cache.set(key.as_str(), 2)).await.unwrap_err();
        if !matches!(error, Error::Timeout { .. }) {
            break;
        }
    }
    let Error::Redirects(redirects) = &error else { panic!("{error:?}") };
    assert_eq!(redirects.slot.to_string(), slot);
    assert!((5..=16).contains(&redirects.redirects), "{error:?}");
    assert!(error.is_retryable() && !error.may_have_run());
    let loaded = cx.within(BRIEF + SLACK, "a load", cache.get_or_set(key.as_str(), async { 3 }));
    assert_eq!(loaded.await.unwrap(), 3);
    all.nodes[0].raw(0).call(&["CLUSTER", "SETSLOT", &slot, "NODE", &all.id(0)]);
    all.nodes[1].raw(0).call(&["CLUSTER", "SETSLOT", &slot, "NODE", &all.id(0)]);
    cache.set(key.as_str(), 4).await.unwrap();
}

pub async fn every_operation_finds_keys_whose_slot_is_being_moved(cx: Context) {
    let all = start(&cx, &Setup::default(), 2, 0, UNDISTURBED);
    let cache = connected(cx.builder_of(&all.url())).await;
    let slot = slot_of(&all.nodes[0], "{m}");
    let from = all.master_of(slot);
    let names: Vec<_> = (0..12).map(|n| format!("{{m}}{n}")).collect();
    cache.set_many(names.iter().zip(0..)).await.unwrap();
    let mut moving = all.begin_to_move(slot, from, 1 - from);
    for step in 0.. {
        every_operation(&cache, &names, step).await;
        if !moving.step() {
            break;
        }
    }
    assert_eq!(cluster(&cache).nodes.iter().map(|node| node.slots).max(), Some(8_192));
    moving.finish();
    every_operation(&cache, &names, 100).await;
    let served = |info: &ClusterInfo| info.nodes.iter().map(|node| node.slots).max();
    assert_eq!(served(&cluster(&cache)), Some(8_193), "the redirect has put the map right");
    assert_eq!(cache.clear_prefix().await.unwrap(), 12);
}

/// Every operation on keys of one slot, each with the answer that there must be.
async fn every_operation(cache: &Cache, names: &[String], step: i32) {
    for (name, n) in names.iter().zip(0..) {
        assert_eq!(cache.get::<i32>(name).await.unwrap(), Some(n), "{name}, {step}");
    }
    let read = cache.get_many::<i32>(names).await.unwrap();
    assert!(read.iter().zip(0..).all(|(read, n)| *read == Some(n)), "{step}: {read:?}");
    let new = |n: i32| format!("{{m}}new{n}");
    cache.set(new(1), step).await.unwrap();
    assert!(!cache.add(new(1), 0).await.unwrap());
    assert!(cache.add(new(2), 0).await.unwrap());
    assert_eq!(cache.incr(new(2), 5).await.unwrap(), 5);
    assert!(cache.touch(new(2)).timeout(LONG).await.unwrap());
    assert!(matches!(cache.remaining(new(2)).await.unwrap(), Remaining::For(_)));
    assert!(cache.contains(new(1)).await.unwrap() && !cache.contains(new(3)).await.unwrap());
    assert_eq!(cache.get_or_set(new(3), async { step }).await.unwrap(), step);
    cache.set_many([(new(4), step), (new(4), 4), (new(5), 5)]).await.unwrap();
    let all = cache.get_many::<i32>((1..=6).map(new)).await.unwrap();
    assert_eq!(all, [Some(step), Some(5), Some(step), Some(4), Some(5), None], "{step}");
    assert_eq!(cache.delete_many((1..=6).map(new)).await.unwrap(), 5, "{step}");
}

pub async fn callers_under_load_get_no_wrong_answer_while_slots_are_moved(cx: Context) {
    let all = Arc::new(start(&cx, &Setup::default(), 3, 0, UNDISTURBED));
    let cache = connected(cx.builder_of(&all.url()).maxsize(2)).await;
    let load = Load::begin(&cx, &cache).await;
    // In a thread of its own: it asks in a way that blocks.
    let moved = {
        let (all, done) = (Arc::clone(&all), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&done);
        let mover = thread::spawn(move || {
            for n in 0..CALLERS {
                let slot = slot_of(&all.nodes[0], &format!("{{own{n}}}"));
                let from = all.master_of(slot);
                let mut moving = all.begin_to_move(slot, from, (from + 1) % 3);
                while moving.step() {
                    thread::sleep(Duration::from_millis(3));
                }
                // Keys that come meanwhile go there at once.
                thread::sleep(Duration::from_millis(3));
                while moving.step() {}
                moving.finish();
            }
            told.store(true, Ordering::Release);
        });
        (mover, done)
    };
    let (mover, done) = moved;
    cx.within(LONG, "slots are moved", async {
        while !done.load(Ordering::Acquire) && !mover.is_finished() {
            cx.sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    mover.join().expect("slots are moved");
    for report in load.end(&cx).await {
        assert!(report.failed.is_empty(), "{report:?}");
        assert_eq!(report.sums, (1..=report.added).collect::<Vec<_>>());
    }
    for node in &all.nodes {
        assert!(node.raw(0).number(&["DBSIZE"]) > 0);
    }
}

pub async fn callers_under_load_survive_the_death_of_a_master(cx: Context) {
    let setup = Setup::default().password(PASSWORD).with(&["--masterauth", PASSWORD]);
    let mut all = start(&cx, &setup, 3, 3, MISSED_AFTER);
    let cache = connected(cx.builder_of(&all.url()).maxsize(2)).await;
    let (lost, other) = (key_on(&all, 0), key_on(&all, 1));
    let load = Load::begin(&cx, &cache).await;
    all.nodes[0].kill();
    let promoted_at = promoted(&cx, &all.nodes[3]).await;
    let wrote = cx.in_time(PATIENCE, "a write", async {
        while cache.set(lost.as_str(), 1).await.is_err() {
            cx.sleep(Duration::from_millis(2)).await;
        }
        Instant::now()
    });
    let took = wrote.await.saturating_duration_since(promoted_at);
    assert!(took < WRITES_WITHIN, "writes were taken {took:?} after the promotion");
    cx.in_time(PROMPTLY, "a write elsewhere", cache.set(other.as_str(), 1)).await.unwrap();
    // Another master changes places with its replica, by agreement.
    cx.until("the replica may be promoted", async || {
        let said = all.nodes[4].raw(0).ask(&["CLUSTER", "FAILOVER"]);
        said.is_ok_and(|said| said.text() == "OK")
    })
    .await;
    promoted(&cx, &all.nodes[4]).await;
    cx.in_time(PATIENCE, "a write", async {
        while cache.set(other.as_str(), 2).await.is_err() {
            cx.sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    for report in load.end(&cx).await {
        assert!(report.added > 0);
        // What the old master acknowledged last may not have reached the new one: once.
        let drops = report.sums.windows(2).filter(|pair| pair[1] <= pair[0]).count();
        assert!(drops <= 1, "{drops} drops in {report:?}");
        let last = report.sums.last().copied().unwrap_or_default();
        assert!(last <= report.added + report.maybe, "{report:?}");
    }
    // What a redirect has not put right yet the next map does.
    let serve = |at: usize| {
        let address = all.nodes[at].address().to_string();
        let is = |node: &NodeInfo| node.pool.endpoint.as_ref().unwrap().to_string() == address;
        cluster(&cache).nodes.into_iter().find(is).map_or(0, |node| node.slots)
    };
    let right = async || serve(3) > 5_000 && serve(4) > 5_000 && serve(0) + serve(1) == 0;
    cx.until("the map is right", right).await;
    cx.within(PROMPTLY, "disconnect", cache.disconnect()).await.unwrap();
}

pub async fn a_node_that_is_taken_out_is_left_and_no_key_is_lost(cx: Context) {
    let mut all = start(&cx, &Setup::default(), 3, 0, UNDISTURBED);
    let cache = connected(cx.builder_of(&all.url())).await;
    let names = || (0..90).map(|n| format!("key{n}"));
    cache.set_many(names().zip(0..)).await.unwrap();
    all.hand_over(2, 0);
    let read = cache.get_many::<i32>(names()).await.unwrap();
    assert!(read.iter().zip(0..).all(|(read, n)| *read == Some(n)), "{read:?}");
    // It is a node still, and serves nothing.
    let left = async || all.nodes[2].raw(0).other_clients().is_empty();
    cx.until("no link to it is left", left).await;
    let gone = all.id(2);
    for node in [0, 1] {
        all.nodes[node].raw(0).call(&["CLUSTER", "FORGET", &gone]);
    }
    all.nodes[2].kill();
    for (name, n) in names().zip(0..) {
        assert_eq!(cache.get::<i32>(&name).await.unwrap(), Some(n), "{name}");
        cache.set(&name, n + 1).await.unwrap();
    }
    let info = cluster(&cache);
    assert_eq!(info.nodes.iter().map(|node| node.slots).sum::<usize>(), Cluster::SLOTS);
    let used = info.nodes.iter().filter(|node| node.slots > 0 && node.pool.open > 0);
    assert_eq!(used.count(), 2, "{info:?}");
}

pub async fn a_cluster_whose_addresses_have_all_changed_is_found_through_the_url(cx: Context) {
    let mut old = start(&cx, &Setup::default(), 2, 0, UNDISTURBED);
    let new = start(&cx, &Setup::default(), 2, 0, UNDISTURBED);
    // As a name in the URL that leads elsewhere.
    let name = Proxy::start(old.nodes[0].address());
    let url = format!("redis-cluster://{}", name.address());
    let cache = connected(cx.builder_of(&url).response_timeout(BRIEF)).await;
    let keys = [key_on(&old, 0), key_on(&old, 1)];
    for key in &keys {
        cache.set(key.as_str(), 1).await.unwrap();
    }
    name.redirect(new.nodes[0].address());
    name.sever();
    old.nodes.iter_mut().for_each(Server::kill);
    for key in &keys {
        let set = async || cache.set(key.as_str(), 2).await.is_ok();
        cx.until("the cluster is found again", set).await;
    }
    assert_eq!(new.raw().number(&["DBSIZE"]), 2);
    let endpoints = cluster(&cache).nodes.into_iter().filter_map(|node| node.pool.endpoint);
    let mut endpoints: Vec<_> = endpoints.map(|endpoint| endpoint.to_string()).collect();
    let mut addresses: Vec<_> = new.nodes.iter().map(|node| node.address().to_string()).collect();
    endpoints.sort();
    addresses.sort();
    assert_eq!(endpoints, addresses);
}

pub async fn a_node_that_falls_silent_holds_up_nobody_elsewhere(cx: Context) {
    let all = start(&cx, &Setup::default(), 3, 0, UNDISTURBED);
    let cache = connected(cx.builder_of(&all.url()).response_timeout(BRIEF)).await;
    let [silent, one, other] = [0, 1, 2].map(|node| key_on(&all, node));
    for key in [&silent, &one, &other] {
        cache.set(key.as_str(), 1).await.unwrap();
    }
    all.nodes[0].stop();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let (cache, key) = (cache.clone(), silent.clone());
            cx.spawn(async move { cache.get::<i32>(key).await })
        })
        .collect();
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < 2 * BRIEF {
        for key in [&one, &other] {
            let get = cx.in_time(BRIEF / 2, "a get elsewhere", cache.get::<i32>(key.as_str()));
            assert_eq!(get.await.unwrap(), Some(1));
            count += 1;
        }
    }
    assert!(count > 100, "{count} gets");
    for task in waiting {
        let error = cx.in_time(BRIEF + SLACK, "a get", task).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
    }
    let all_three = cache.get_many::<i32>([&silent, &one, &other]);
    let error = cx.within(BRIEF + SLACK, "get_many", all_three).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    all.nodes[0].resume();
    let back = async || cache.get::<i32>(silent.as_str()).await.is_ok_and(|read| read == Some(1));
    cx.until("the node is back", back).await;
}

pub async fn replicas_are_read_from_where_that_was_asked_for_and_masters_where_there_are_none(
    cx: Context,
) {
    let mut all = start(&cx, &Setup::default(), 1, 2, UNDISTURBED);
    let names: Vec<_> = (0..20).map(|n| format!("key{n}")).collect();
    let plain = connected(cx.builder_of(&all.url())).await;
    let reading = connected(cx.builder_of(&all.url()).replica_reads(true)).await;
    reading.set_many(names.iter().zip(0..)).await.unwrap();
    let is_there = async || {
        let read = reading.get_many::<i32>(&names).await.unwrap();
        read.iter().zip(0..).all(|(read, n)| *read == Some(n))
    };
    let are_read_from = async || {
        let follows = |node: &NodeInfo| node.slots == 0 && node.pool.open > 0;
        is_there().await && cluster(&reading).nodes.into_iter().filter(follows).count() == 2
    };
    cx.until("replicas have the values", are_read_from).await;
    let commands = ["get", "mget", "exists", "pttl"];
    let reads = |all: &Cluster, node: usize| -> u64 {
        let info = all.nodes[node].raw(0).text(&["INFO", "commandstats"]);
        let calls = |command: &str| {
            let line = format!("cmdstat_{command}:calls=");
            let told = info.lines().find_map(|told| told.strip_prefix(line.as_str()));
            told.and_then(|told| told.split(',').next()?.parse().ok()).unwrap_or(0)
        };
        commands.into_iter().map(calls).sum()
    };
    let before = [0, 1, 2].map(|node| reads(&all, node));
    for (name, n) in names.iter().zip(0..) {
        assert_eq!(reading.get::<i32>(name).await.unwrap(), Some(n));
        assert!(reading.contains(name).await.unwrap());
        assert_eq!(reading.remaining(name).await.unwrap(), Remaining::Forever);
    }
    let after = [0, 1, 2].map(|node| reads(&all, node));
    assert_eq!(after[0], before[0], "the master is not read from");
    assert_eq!(after[1] + after[2] - before[1] - before[2], 60);
    assert!(after[1] > before[1] && after[2] > before[2], "each has some of the slots");
    // Writes are the master's, and so are reads of who did not ask for this.
    reading.set(&names[0], 100).await.unwrap();
    assert_eq!(reading.incr(&names[1], 1).await.unwrap(), 2);
    assert_eq!(plain.get::<i32>(&names[0]).await.unwrap(), Some(100));
    assert_eq!([1, 2].map(|node| reads(&all, node)), after[1..]);
    reading.set(&names[0], 0).await.unwrap();
    reading.set(&names[1], 1).await.unwrap();
    cx.until("replicas have the values", is_there).await;
    // One goes, and then the other.
    for node in [1, 2] {
        all.nodes[node].kill();
        for (name, n) in names.iter().zip(0..) {
            let get = cx.in_time(PROMPTLY, "a get", reading.get::<i32>(name)).await;
            assert_eq!(get.unwrap(), Some(n), "{name}");
        }
    }
    assert!(reads(&all, 0) >= after[0] + 20, "what is left is the master");
    cx.within(RESPONSE, "disconnect", reading.disconnect()).await.unwrap();
}

pub async fn calls_under_way_on_every_node_get_their_answers_at_a_disconnect(cx: Context) {
    let all = start(&cx, &Setup::default(), 3, 0, UNDISTURBED);
    let cache = connected(cx.builder_of(&all.url())).await;
    let keys = [0, 1, 2].map(|node| key_on(&all, node));
    for key in &keys {
        cache.set(key.as_str(), 1).await.unwrap();
    }
    for node in &all.nodes {
        node.raw(0).call(&["CLIENT", "PAUSE", "400", "ALL"]);
    }
    let sums = keys.map(|key| {
        let cache = cache.clone();
        cx.spawn(async move { cache.incr(key, 1).await })
    });
    let in_flight = |node: &NodeInfo| node.pool.in_flight == 1;
    cx.until("all are under way", async || cluster(&cache).nodes.iter().all(in_flight)).await;
    cx.within(RESPONSE, "disconnect", cache.disconnect()).await.unwrap();
    for sum in sums {
        assert_eq!(cx.in_time(PROMPTLY, "incr", sum).await.unwrap(), 2);
    }
}

pub async fn a_cache_that_is_disconnected_while_a_node_is_away_ends_all(cx: Context) {
    let mut all = start(&cx, &Setup::default(), 3, 0, UNDISTURBED);
    let cache = connected(cx.builder_of(&all.url())).await;
    let (dead, silent) = (key_on(&all, 0), key_on(&all, 1));
    for key in [&dead, &silent] {
        cache.set(key.as_str(), 1).await.unwrap();
    }
    all.nodes[0].kill();
    all.nodes[1].stop();
    let waiting: Vec<_> = [dead, silent]
        .into_iter()
        .map(|key| {
            let cache = cache.clone();
            cx.spawn(async move { cache.get::<i32>(key).await })
        })
        .collect();
    cx.sleep(Duration::from_millis(50)).await;
    cx.within(RESPONSE + PROMPTLY, "disconnect", cache.disconnect()).await.unwrap();
    for task in waiting {
        let error = cx.in_time(PROMPTLY, "a get", task).await.unwrap_err();
        let ended = matches!(
            error,
            Error::NotConnected | Error::Timeout { .. } | Error::Disconnected { .. }
        );
        assert!(ended, "{error:?}");
    }
    all.nodes[1].resume();
    cx.until("no link is left", async || all.nodes[1].raw(0).other_clients().is_empty()).await;
}

fn kind(cx: &Context) -> Kind {
    cx.backend().kind().expect("it is a server")
}

fn start(
    cx: &Context,
    setup: &Setup,
    masters: usize,
    replicas: usize,
    missed_after: Duration,
) -> Cluster {
    Cluster::start(kind(cx), setup, masters, replicas, missed_after)
}

fn cluster(cache: &Cache) -> ClusterInfo {
    cache.info().cluster().expect("it is a cluster").clone()
}

/// The whole key of a name, as the server has it.
fn whole(name: &str) -> String {
    format!("::{name}")
}

/// The name of a key that a master serves to begin with.
fn key_on(cluster: &Cluster, master: usize) -> String {
    let names = (0..).map(|n| format!("key-on-{n}"));
    let is_there = |name: &String| {
        cluster.master_of(slot_of(cluster.nodes.last().unwrap(), &whole(name))) == master
    };
    names.into_iter().find(is_there).expect("every master serves many")
}

/// When a replica is seen to be a master.
async fn promoted(cx: &Context, replica: &Server) -> Instant {
    cx.until("the replica is promoted", async || is_master(replica)).await;
    Instant::now()
}

/// Callers that add, set and get keys of one slot each, without a pause, until told to stop. Each
/// operation ends with the right value or a typed error.
struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<Task<Report>>,
}

/// What became of one caller's operations.
#[derive(Debug, Default)]
struct Report {
    /// How often its key was added to for certain, and how often maybe.
    added: i64,
    maybe: i64,
    /// The sums that it was told.
    sums: Vec<i64>,
    failed: Vec<String>,
}

impl Load {
    async fn begin(cx: &Context, cache: &Cache) -> Self {
        let stop = Arc::<AtomicBool>::default();
        for n in 0..CALLERS {
            cache.set(format!("{{own{n}}}sum"), 0).await.unwrap();
            cache.set_many((0..3).map(|at| (format!("{{own{n}}}{at}"), n))).await.unwrap();
            cache.set(format!("far{n}"), n).await.unwrap();
        }
        // They reach the replicas before anything happens.
        cx.sleep(Duration::from_millis(100)).await;
        let caller = |n| cx.spawn(call(cx.clone(), cache.clone(), Arc::clone(&stop), n));
        let callers = (0..CALLERS).map(caller).collect();
        cx.sleep(Duration::from_millis(100)).await;
        Self { stop, callers }
    }

    async fn end(self, cx: &Context) -> Vec<Report> {
        cx.sleep(Duration::from_millis(100)).await;
        self.stop.store(true, Ordering::Relaxed);
        let mut reports = Vec::new();
        for caller in self.callers {
            reports.push(cx.in_time(PATIENCE, "a caller", caller).await);
        }
        reports
    }
}

async fn call(cx: Context, cache: Cache, stop: Arc<AtomicBool>, n: i64) -> Report {
    let own = |what: &str| format!("{{own{n}}}{what}");
    // Of one slot, and one of another.
    let keys = [own("0"), own("1"), own("2"), format!("far{n}")];
    let mut report = Report::default();
    while !stop.load(Ordering::Relaxed) {
        match cx.in_time(LONGEST, "incr", cache.incr(own("sum"), 1)).await {
            Ok(now) => {
                report.added += 1;
                report.sums.push(now);
            }
            Err(error) => {
                report.maybe += i64::from(error.may_have_run());
                report.bear(&cx, &error).await;
            }
        }
        match cx.in_time(LONGEST, "get", cache.get::<i64>(&keys[0])).await {
            Ok(read) => assert_eq!(read, Some(n)),
            Err(error) => report.bear(&cx, &error).await,
        }
        match cx.in_time(LONGEST, "get_many", cache.get_many::<i64>(&keys)).await {
            Ok(read) => assert_eq!(read, [Some(n); 4]),
            Err(error) => report.bear(&cx, &error).await,
        }
        let all = keys.iter().map(|key| (key, n));
        match cx.in_time(LONGEST, "set_many", cache.set_many(all)).await {
            Ok(()) => {}
            Err(error) => report.bear(&cx, &error).await,
        }
    }
    report
}

impl Report {
    /// Checks that an error is one that a change of nodes may bring, and waits a moment before the
    /// next try.
    async fn bear(&mut self, cx: &Context, error: &Error) {
        match error {
            Error::Disconnected { .. } | Error::Unavailable { .. } | Error::Timeout { .. } => {}
            Error::Server(said) => assert_eq!(said.kind, ServerErrorKind::ClusterDown),
            other => panic!("{other:?}"),
        }
        assert!(error.is_retryable(), "{error:?}");
        self.failed.push(error.to_string());
        cx.sleep(Duration::from_millis(2)).await;
    }
}

const CALLERS: i64 = 12;
const BRIEF: Duration = Duration::from_millis(600);
const SLACK: Duration = Duration::from_secs(3);
const PROMPTLY: Duration = Duration::from_secs(4);
/// The response timeout unless told otherwise.
const RESPONSE: Duration = Duration::from_secs(5);
/// The same, and what a busy machine adds to it.
const LONGEST: Duration = Duration::from_secs(8);
const WRITES_WITHIN: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);
const MISSED_AFTER: Duration = Duration::from_secs(1);
const UNDISTURBED: Duration = Duration::from_secs(60);
