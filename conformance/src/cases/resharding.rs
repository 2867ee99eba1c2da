//! A cluster that changes under load: slots that move, and nodes that die, leave, fall silent or
//! change their addresses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use async_caches::{Cache, ClusterInfo, Error, NodeInfo, Remaining, ServerErrorKind};

use super::cluster::{BRIEF, PROMPTLY, RESPONSE, SLACK, UNDISTURBED, cluster, key_on, kind, start};
use super::ops::LONG;
use super::sentinel::promoted;
use crate::backend::PASSWORD;
use crate::cluster::{Cluster, slot_of};
use crate::context::{Context, Task, connected};
use crate::proxy::Proxy;
use crate::server::{Kind, Server, Setup};

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

/// Runs every operation on keys of one slot, and checks its result.
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

pub async fn replicas_are_read_from_while_a_slot_is_moved(cx: Context) {
    let all = start(&cx, &Setup::default(), 2, 2, UNDISTURBED);
    let reading = connected(cx.builder_of(&all.url()).replica_reads(true)).await;
    let slot = slot_of(&all.nodes[0], "{m}");
    let from = all.master_of(slot);
    let names: Vec<_> = (0..12).map(|n| format!("{{m}}{n}")).collect();
    reading.set_many(names.iter().zip(0..)).await.unwrap();
    // Every value is right or missing, read alone and together with the others. Returns whether all
    // of them are there.
    let read = async || {
        let (mut all, mut there) = (reading.get_many::<i32>(&names).await.unwrap(), true);
        for name in &names {
            all.push(reading.get(name).await.unwrap());
            there &= reading.contains(name).await.unwrap();
        }
        let is_right = |(read, n): (&Option<i32>, usize)| read.is_none_or(|read| read == n as i32);
        assert!(all.iter().zip((0..names.len()).cycle()).all(is_right), "{all:?}");
        there && all.into_iter().all(|read| read.is_some())
    };
    let is_replica = |node: &NodeInfo| node.slots == 0 && node.pool.open > 0;
    let from_replica = async || read().await && cluster(&reading).nodes.iter().any(is_replica);
    cx.until("a replica has the values", from_replica).await;
    let mut moving = all.begin_to_move(slot, from, 1 - from);
    while moving.step() {
        // Redis replicas do not know which keys have moved.
        assert!(read().await || kind(&cx) == Kind::Redis);
    }
    moving.finish();
    cx.until("the other replica has the values", read).await;
}

pub async fn callers_under_load_get_no_wrong_answer_while_slots_are_moved(cx: Context) {
    let all = Arc::new(start(&cx, &Setup::default(), 3, 0, UNDISTURBED));
    let cache = connected(cx.builder_of(&all.url()).maxsize(2)).await;
    let load = Load::begin(&cx, &cache).await;
    // In a thread of its own, because raw connections block.
    let mover = thread::spawn({
        let all = Arc::clone(&all);
        move || {
            for n in 0..CALLERS {
                let slot = slot_of(&all.nodes[0], &format!("{{own{n}}}"));
                let from = all.master_of(slot);
                let mut moving = all.begin_to_move(slot, from, (from + 1) % 3);
                while moving.step() {
                    thread::sleep(Duration::from_millis(3));
                }
                // Keys that are stored in the meantime go to the target at once.
                thread::sleep(Duration::from_millis(3));
                while moving.step() {}
                moving.finish();
            }
        }
    });
    cx.until("slots are moved", async || mover.is_finished()).await;
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
    // Another master swaps roles with its replica, by agreement.
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
        // The last writes that the old master acknowledged may not have reached the new one. That
        // can happen once.
        let drops = report.sums.windows(2).filter(|pair| pair[1] <= pair[0]).count();
        assert!(drops <= 1, "{drops} drops in {report:?}");
        let last = report.sums.last().copied().unwrap_or_default();
        assert!(last <= report.added + report.maybe, "{report:?}");
    }
    // The next map corrects the slots that redirects have not corrected yet.
    let serve = |at: usize| {
        let address = all.nodes[at].address().to_string();
        let is = |node: &NodeInfo| node.pool.endpoint.as_ref().unwrap().to_string() == address;
        cluster(&cache).nodes.into_iter().find(is).map_or(0, |node| node.slots)
    };
    let right = async || serve(3) > 5_000 && serve(4) > 5_000 && serve(0) + serve(1) == 0;
    cx.until("the map is right", right).await;
    cx.within(PROMPTLY, "disconnect", cache.disconnect()).await.unwrap();
}

pub async fn a_removed_node_is_left_and_no_key_is_lost(cx: Context) {
    let mut all = start(&cx, &Setup::default(), 3, 0, UNDISTURBED);
    let cache = connected(cx.builder_of(&all.url())).await;
    let names = || (0..90).map(|n| format!("key{n}"));
    cache.set_many(names().zip(0..)).await.unwrap();
    all.hand_over(2, 0);
    let read = cache.get_many::<i32>(names()).await.unwrap();
    assert!(read.iter().zip(0..).all(|(read, n)| *read == Some(n)), "{read:?}");
    // It is still a node, and serves no slot.
    let left = async || all.nodes[2].raw(0).other_clients().is_empty();
    cx.until("no connection to it is left", left).await;
    let gone = all.id(2);
    for node in [0, 1] {
        all.nodes[node].raw(0).call(&["CLUSTER", "FORGET", &gone]);
    }
    all.nodes[2].kill();
    for (name, n) in names().zip(0..) {
        assert_eq!(cache.get::<i32>(&name).await.unwrap(), Some(n), "{name}");
        cache.set(&name, n + 1).await.unwrap();
    }
    let slots = || cluster(&cache).nodes.iter().map(|node| node.slots).sum::<usize>();
    cx.until("who serves each slot is known", async || slots() == Cluster::SLOTS).await;
    let info = cluster(&cache);
    let used = info.nodes.iter().filter(|node| node.slots > 0 && node.pool.open > 0);
    assert_eq!(used.count(), 2, "{info:?}");
}

pub async fn a_cluster_whose_addresses_have_all_changed_is_found_through_the_url(cx: Context) {
    let mut old = start(&cx, &Setup::default(), 2, 0, UNDISTURBED);
    let new = start(&cx, &Setup::default(), 2, 0, UNDISTURBED);
    // The proxy stands for a name in the URL whose address changes.
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

pub async fn a_silent_node_does_not_delay_calls_to_other_nodes(cx: Context) {
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

pub async fn disconnect_waits_for_calls_under_way_on_every_node(cx: Context) {
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

pub async fn disconnect_with_an_unreachable_node_ends_all_calls(cx: Context) {
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
    cx.until("no connection is left", async || all.nodes[1].raw(0).other_clients().is_empty())
        .await;
}

/// Callers that add, set and get keys of one slot each, without a pause, until told to stop. Each
/// operation ends with the right value or a typed error.
struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<Task<Report>>,
}

/// The results of one caller's operations.
#[derive(Debug, Default)]
struct Report {
    /// How many additions ran for certain, and how many may have run.
    added: i64,
    maybe: i64,
    /// The sums that were returned.
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
        // Gives the values time to reach the replicas.
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
    // Three keys of one slot, and one of another.
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
    /// Checks that an error is one that a change of nodes can cause, and waits a moment before the
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
/// The response timeout, plus the delays of a busy machine.
const LONGEST: Duration = Duration::from_secs(8);
const WRITES_WITHIN: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);
const MISSED_AFTER: Duration = Duration::from_secs(1);
