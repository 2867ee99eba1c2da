//! Clusters: each node serves some of the slots, and redirects commands for the others.

use std::time::Duration;

use async_caches::{
    Cache, ClusterInfo, ConnectionFailure, Credentials, Error, MapError, NodeInfo, Protocol,
    Remaining, ServerErrorKind,
};

use super::guarded::allow_no_scripts;
use super::ops::LONG;
use crate::backend::PASSWORD;
use crate::certificates::Authority;
use crate::cluster::{Cluster, slot_of};
use crate::context::{Context, connected};
use crate::proxy::Proxy;
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

pub async fn each_node_has_its_own_pool_that_opens_on_demand(cx: Context) {
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
    cx.until("each has two connections", async || cluster(&cache).nodes.iter().all(two)).await;
    let info = cluster(&cache);
    for node in &info.nodes {
        assert_eq!((node.failed, node.pool.minsize, node.pool.maxsize), (false, 2, 3), "{node:?}");
        assert_eq!((node.pool.lost, node.pool.failed_dials), (0, 0), "{node:?}");
        assert_eq!(node.pool.servers.len(), 1, "{node:?}");
    }
    assert_eq!((info.waiting, info.held, info.last_error.is_none()), (0, 0, true), "{info:?}");
    let mut raw = cx.raw();
    let mut connections = || {
        let clients = raw.other_clients();
        clients.iter().filter(|line| line.contains(" name=pools ")).count()
    };
    assert_eq!(connections(), 6);
    cache.disconnect().await.unwrap();
    assert!(cluster(&cache).nodes.is_empty());
    cx.until("there is no connection", async || connections() == 0).await;
    cache.connect().await.unwrap();
    cache.ping().await.unwrap();
    let clone = cache.clone();
    drop(cache);
    clone.set("key", 2).await.unwrap();
    assert!(connections() > 0);
    drop(clone);
    cx.until("no connection is left by dropped caches", async || connections() == 0).await;
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
    let Error::Unavailable { to, source: ConnectionFailure::Node { at, source } } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*to, format!("cluster@{one},{other}"));
    assert!([one, other].iter().any(|gone| gone.to_string() == *at), "{at}");
    assert!(matches!(**source, ConnectionFailure::Io(_)) && error.is_retryable(), "{error:?}");
}

pub async fn a_user_without_scripts_can_remove_timeouts_in_a_cluster(cx: Context) {
    let all = start(&cx, &Setup::default(), 2, 0, UNDISTURBED);
    all.nodes.iter().for_each(|node| allow_no_scripts(node, &[]));
    let url = format!("redis-cluster://plain:pass@{}", all.nodes[0].address());
    let cache = connected(cx.builder_of(&url)).await;
    let slot = slot_of(&all.nodes[0], "{m}");
    let from = all.master_of(slot);
    let names: Vec<_> = (0..9).map(|n| format!("{{m}}{n}")).collect();
    cache.set_many(names.iter().zip(0..)).timeout(LONG).await.unwrap();
    // Some keys are on one node and some on the other, which answers for them if it is asked to.
    let mut moving = all.begin_to_move(slot, from, 1 - from);
    while moving.step() {
        for name in &names {
            assert!(cache.touch(name).forever().await.unwrap(), "{name}");
            assert_eq!(cache.remaining(name).await.unwrap(), Remaining::Forever, "{name}");
            assert!(cache.touch(name).timeout(LONG).await.unwrap(), "{name}");
        }
        assert!(!cache.touch("{m}absent").forever().await.unwrap());
    }
    moving.finish();
    assert!(cache.touch(&names[0]).forever().await.unwrap());
}

pub async fn info_reports_that_a_single_server_is_a_cluster_node(cx: Context) {
    let single = Server::start(kind(&cx), &Setup::default());
    let cache = connected(cx.builder_of(&format!("redis://{}", single.address()))).await;
    assert!(!cache.info().pool().expect("it is one server").in_cluster);
    let all = start(&cx, &Setup::default(), 2, 0, UNDISTURBED);
    let [here, there] = [0, 1].map(|master| key_on(&all, master));
    let url = format!("redis://{}", all.nodes[0].address());
    let cache = cx.builder_of(&url).build().unwrap();
    assert!(!cache.info().pool().expect("it is one server").in_cluster, "it is not known yet");
    cache.connect().await.unwrap();
    assert!(cache.info().pool().expect("it is one server").in_cluster);
    cache.set(here.as_str(), 1).await.unwrap();
    let error = cache.set(there.as_str(), 1).await.unwrap_err();
    let Error::Server(said) = &error else { panic!("{error:?}") };
    assert_eq!(said.kind, ServerErrorKind::Moved, "{said}");
    // In RESP2 the server does not say.
    let cache = connected(cx.builder_of(&url).protocol(Protocol::Resp2)).await;
    assert!(!cache.info().pool().expect("it is one server").in_cluster);
    let cache = connected(cx.builder_of(&all.url())).await;
    cache.set(here.as_str(), 2).await.unwrap();
    assert!(cluster(&cache).nodes.iter().any(|node| node.pool.in_cluster));
}

pub async fn a_cluster_url_to_a_standalone_server_is_an_error(cx: Context) {
    let single = Server::start(kind(&cx), &Setup::default());
    let url = format!("redis-cluster://{}", single.address());
    let error = cx.within(PROMPTLY, "connect", cx.builder_of(&url).connect()).await.unwrap_err();
    let said = error.server_error().expect("the server says why").text();
    assert!(said.contains("cluster support disabled"), "{said}");
    assert!(!error.is_retryable(), "{error:?}");
    let lonely = Server::start(kind(&cx), &Setup::default().node());
    let url = format!("redis-cluster://{}", lonely.address());
    let error = cx.within(PROMPTLY, "connect", cx.builder_of(&url).connect()).await.unwrap_err();
    let Error::Unavailable { source: ConnectionFailure::Node { source, .. }, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(
        matches!(&**source, ConnectionFailure::Map(why) if **why == MapError::Empty),
        "{error:?}"
    );
}

pub async fn every_node_is_sent_the_credentials(cx: Context) {
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
    // A user without permission for `CLUSTER SHARDS`. Open connections change to this user as well.
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
    cx.until("all connections are the other user's", told).await;
    let read = cache.get_many::<i32>(names()).await.unwrap();
    assert!(read.iter().zip(0..).all(|(read, n)| *read == Some(n)));
}

pub async fn each_node_of_a_tls_cluster_is_verified_by_its_name(cx: Context) {
    let authority = Authority::new();
    // The certificate is for a name, and not for the addresses under which nodes report each other.
    let tls = Tls { certificate: authority.issue(&["localhost"]), ..Tls::of(&authority) };
    let all = start(&cx, &Setup::default().tls(tls), 3, 0, UNDISTURBED);
    assert!(all.url().starts_with("rediss-cluster://"));
    let url = all.url().replace("127.0.0.1", "localhost");
    let cache = connected(cx.builder_of(&url).response_timeout(BRIEF)).await;
    let error = cx.within(BRIEF + SLACK, "get", cache.get::<i32>("key1")).await.unwrap_err();
    assert!(
        matches!(error, Error::Unavailable { source: ConnectionFailure::Tls(_), .. }),
        "{error:?}"
    );
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

pub async fn nodes_are_reached_through_the_cluster_address_map(cx: Context) {
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
    // The address in a redirect is translated as well.
    let key = key_on(&all, 0);
    all.begin_to_move(slot_of(&all.nodes[0], &whole(&key)), 0, 1).finish();
    let before = proxies[1].replies();
    cache.set(key.as_str(), 1).await.unwrap();
    assert!(proxies[1].replies() > before);
}

pub async fn a_slot_without_a_node_is_an_error_in_time(cx: Context) {
    let setup = Setup::default().with(&["--cluster-require-full-coverage", "no"]);
    let all = start(&cx, &setup, 1, 0, UNDISTURBED);
    let before = connected(cx.builder_of(&all.url()).response_timeout(BRIEF)).await;
    let slot = slot_of(&all.nodes[0], &whole("lost"));
    all.nodes[0].raw(0).call(&["CLUSTER", "DELSLOTS", &slot.to_string()]);
    let error = cx.within(BRIEF + SLACK, "set", before.set("lost", 1)).await.unwrap_err();
    let down = matches!(&error, Error::Server(said) if said.kind == ServerErrorKind::ClusterDown);
    let uncovered = |error: &Error| match error {
        Error::Unavailable { source: ConnectionFailure::Uncovered { slot }, .. } => {
            slot.map(usize::from)
        }
        _ => None,
    };
    // The last attempt may still be under way at the deadline.
    let late = matches!(error, Error::Timeout { .. });
    assert!(down || late || uncovered(&error) == Some(slot), "{error:?}");
    assert!(error.is_retryable() && (late || !error.may_have_run()), "{error:?}");
    // A cache that never knew a node for the slot.
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
    // The slot is served again, and a waiting call learns of it.
    let waiting = cx.spawn({
        let cache = connected(cx.builder_of(&all.url())).await;
        async move { cache.set("lost", 2).await }
    });
    cx.sleep(Duration::from_millis(100)).await;
    all.nodes[0].raw(0).call(&["CLUSTER", "ADDSLOTS", &slot.to_string()]);
    cx.within(PROMPTLY, "set", waiting).await.unwrap();
    assert_eq!(after.get::<i32>("lost").await.unwrap(), Some(2));
}

pub async fn lost_connections_without_demand_do_not_keep_refreshing_the_map(cx: Context) {
    let all = start(&cx, &Setup::default(), 2, 0, UNDISTURBED);
    let keys = [0, 1].map(|node| key_on(&all, node));
    let cache = connected(cx.builder_of(&all.url()).minsize(0)).await;
    cache.set_many(keys.iter().zip(0..)).await.unwrap();
    let maps = || cluster(&cache).maps;
    let before = maps();
    all.nodes[1].raw(0).call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    cx.until("the loss puts the map in doubt", async || maps() > before).await;
    // Long enough for two more reads of the map.
    cx.sleep(Duration::from_millis(2_500)).await;
    assert!(maps() <= before + 2, "{} maps were read", maps() - before);
    assert_eq!(cache.get::<i32>(&keys[1]).await.unwrap(), Some(1));
}

pub async fn a_map_with_a_newly_uncovered_slot_is_read_once_more(cx: Context) {
    let setup = Setup::default().with(&["--cluster-require-full-coverage", "no"]);
    let all = start(&cx, &setup, 1, 0, UNDISTURBED);
    let cache = connected(cx.builder_of(&all.url()).minsize(0)).await;
    cache.set("key", 1).await.unwrap();
    let maps = || cluster(&cache).maps;
    let before = maps();
    let mut node = all.nodes[0].raw(0);
    node.call(&["CLUSTER", "DELSLOTS", "1"]);
    node.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    cx.until("the loss puts the map in doubt, and then the gap does", async || {
        maps() == before + 2
    })
    .await;
    assert_eq!(cluster(&cache).nodes[0].slots, Cluster::SLOTS - 1);
    cx.sleep(Duration::from_millis(2_500)).await;
    assert_eq!(maps(), before + 2, "a gap that stays is no reason");
}

pub async fn two_nodes_that_redirect_to_each_other_are_a_typed_error(cx: Context) {
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
    // The last attempt may still be under way at the deadline.
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

pub async fn reads_go_to_replicas_on_request_and_to_masters_without_replicas(cx: Context) {
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
    // Writes go to the master, and so do the reads of a cache that did not opt in.
    reading.set(&names[0], 100).await.unwrap();
    assert_eq!(reading.incr(&names[1], 1).await.unwrap(), 2);
    assert_eq!(plain.get::<i32>(&names[0]).await.unwrap(), Some(100));
    assert_eq!([1, 2].map(|node| reads(&all, node)), after[1..]);
    reading.set(&names[0], 0).await.unwrap();
    reading.set(&names[1], 1).await.unwrap();
    cx.until("replicas have the values", is_there).await;
    // One replica dies, and then the other.
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

pub(super) fn kind(cx: &Context) -> Kind {
    cx.backend().kind().expect("it is a server")
}

pub(super) fn start(
    cx: &Context,
    setup: &Setup,
    masters: usize,
    replicas: usize,
    missed_after: Duration,
) -> Cluster {
    Cluster::start(kind(cx), setup, masters, replicas, missed_after)
}

pub(super) fn cluster(cache: &Cache) -> ClusterInfo {
    cache.info().cluster().expect("it is a cluster").clone()
}

/// The whole key of a name, as it is stored on the server.
pub(super) fn whole(name: &str) -> String {
    format!("::{name}")
}

/// The name of a key that a master serves to begin with.
pub(super) fn key_on(cluster: &Cluster, master: usize) -> String {
    let names = (0..).map(|n| format!("key-on-{n}"));
    let is_there = |name: &String| {
        cluster.master_of(slot_of(cluster.nodes.last().unwrap(), &whole(name))) == master
    };
    names.into_iter().find(is_there).expect("every master serves many")
}

pub(super) const BRIEF: Duration = Duration::from_millis(600);
pub(super) const SLACK: Duration = Duration::from_secs(3);
pub(super) const PROMPTLY: Duration = Duration::from_secs(4);
/// The default response timeout.
pub(super) const RESPONSE: Duration = Duration::from_secs(5);
pub(super) const UNDISTURBED: Duration = Duration::from_secs(60);
