//! A whole cluster in virtual time, and a client made of a map, its refreshes and the hops of each
//! call. Slots are moved from one node to another, key by key, and nodes learn of it one after
//! another; or a master is lost.
//!
//! A node answers as `getNodeByQuery` in Redis's `src/cluster.c` does.

use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use bytes::Bytes;
use proptest::prelude::*;

use super::address::{Address, Viewpoint};
use super::map::SlotMap;
use super::redirect::{Hops, Next, RedirectKind, TooManyRedirects, Trouble};
use super::refresh::{Refresh, RefreshInput};
use super::slot::Slot;
use super::split::{Gather, Split};
use crate::command::TopologyForm;
use crate::error::{Failure, ServerError};
use crate::reply::{Answer, Reply};
use crate::retry::Random;
use crate::time::Instant;
use core::time::Duration;

const MASTERS: usize = 3;
/// The tags whose slots have keys; no other slots are served.
const TAGS: [&str; 4] = ["{a}", "{b}", "{c}", "{d}"];
const KEYS_EACH: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(10);

/// A cluster. At first all nodes know the slots of every master, and each master has a replica.
struct Cluster {
    nodes: Vec<Node>,
    now: Instant,
    random: Random,
    migration: Option<Migration>,
    /// When a node learns which node serves a slot.
    gossip: Vec<(Instant, usize, Slot, usize)>,
    /// When a replica takes over from its master.
    failover: Option<(Instant, usize, usize)>,
    /// No node is lost before this time: a call survives one loss, but not several.
    next_loss: Instant,
    /// Whether no more slots are moved and no more nodes lost.
    is_calm: bool,
}

#[derive(Default)]
struct Node {
    is_down: bool,
    served: BTreeMap<Slot, usize>,
    migrating: BTreeMap<Slot, usize>,
    importing: BTreeSet<Slot>,
    keys: BTreeSet<String>,
}

struct Migration {
    slot: Slot,
    from: usize,
    to: usize,
    next: Instant,
}

fn slot(key: &str) -> Slot {
    Slot::of(key.as_bytes())
}

fn address(node: usize) -> Address {
    Address::new(&format!("node-{node}"), 1).unwrap()
}

fn node(address: &Address) -> usize {
    address.host().trim_start_matches("node-").parse().unwrap()
}

fn keys() -> impl Iterator<Item = String> {
    TAGS.iter().flat_map(|tag| (0..KEYS_EACH).map(move |nth| format!("{tag}{nth}")))
}

fn refused(text: &str) -> Answer {
    Err(Failure::Server(ServerError::parse(text.as_bytes())))
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let mut nodes: Vec<Node> = (0..2 * MASTERS).map(|_| Node::default()).collect();
        for (at, tag) in TAGS.iter().enumerate() {
            let master = at % MASTERS;
            for node in &mut nodes {
                node.served.insert(slot(tag), master);
            }
            nodes[master].keys.extend(keys().filter(|key| key.starts_with(tag)));
        }
        Self {
            nodes,
            now: Instant::ORIGIN,
            random: Random::new(seed),
            migration: None,
            gossip: Vec::new(),
            failover: None,
            next_loss: Instant::ORIGIN,
            is_calm: false,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.index(end).unwrap()
    }

    fn later(&mut self, millis: u64) -> Instant {
        self.now + self.random.below(Duration::from_millis(millis))
    }

    /// A node's answer, or `None` if it is down.
    fn ask(&self, at: usize, keys: &[&str], asking: bool) -> Option<Answer> {
        let node = &self.nodes[at];
        if node.is_down {
            return None;
        }
        let slot = slot(keys[0]);
        assert!(keys.iter().all(|key| self::slot(key) == slot), "the keys cross slots: {keys:?}");
        let served = node.served[&slot];
        let is_migrating = served == at && node.migrating.contains_key(&slot);
        let is_importing = node.importing.contains(&slot);
        let missing = keys.iter().filter(|key| !node.keys.contains(**key)).count();
        if is_migrating && missing > 0 {
            return Some(match missing < keys.len() {
                true => refused("TRYAGAIN Multiple keys request during rehashing of slot"),
                false => refused(&format!("ASK {slot} {}", address(node.migrating[&slot]))),
            });
        }
        if served != at && !(is_importing && asking) {
            return Some(refused(&format!("MOVED {slot} {}", address(served))));
        }
        if is_importing && keys.len() > 1 && missing > 0 {
            return Some(refused("TRYAGAIN Multiple keys request during rehashing of slot"));
        }
        let value = |key: &&str| node.keys.contains(*key).then(|| Bytes::from((*key).to_string()));
        Some(Ok(Reply::Values(keys.iter().map(value).collect())))
    }

    /// A node's answer to `CLUSTER SLOTS`. Nodes that serve no slot are replicas of every master.
    fn topology(&self, at: usize) -> Option<String> {
        let node = &self.nodes[at];
        let masters = self.masters();
        let idle = (0..self.nodes.len()).filter(|at| !masters.contains(at)).collect::<Vec<_>>();
        let entry = |(slot, served): (&Slot, &usize)| {
            let nodes = [&[*served], &idle[..]].concat();
            let told: String =
                nodes.iter().map(|node| format!("*2\r\n+node-{node}\r\n:1\r\n")).collect();
            format!("*{}\r\n:{slot}\r\n:{slot}\r\n{told}", 2 + nodes.len())
        };
        let entries: String = node.served.iter().map(entry).collect();
        (!node.is_down).then(|| format!("*{}\r\n{entries}", node.served.len()))
    }

    /// All nodes learn which node serves a slot: those of `at_once` now, the others at some time
    /// each.
    fn spread(&mut self, slot: Slot, served: usize, at_once: &[usize]) {
        for at in 0..self.nodes.len() {
            if at_once.contains(&at) {
                self.nodes[at].served.insert(slot, served);
            } else {
                let when = self.later(1_500);
                self.gossip.push((when, at, slot, served));
            }
        }
    }

    /// Lets time pass, in steps of a millisecond.
    fn pass(&mut self, until: Instant) {
        while self.now < until {
            self.now = self.now + Duration::from_millis(1);
            let now = self.now;
            let (due, later) = self.gossip.drain(..).partition(|(when, ..)| *when <= now);
            self.gossip = later;
            let due: Vec<(Instant, usize, Slot, usize)> = due;
            for (_, at, slot, served) in due {
                self.nodes[at].served.insert(slot, served);
            }
            self.step();
        }
    }

    fn step(&mut self) {
        if let Some((when, lost, heir)) = self.failover
            && when <= self.now
        {
            self.failover = None;
            let slots = self.nodes[lost].served.clone();
            self.nodes[heir].keys = core::mem::take(&mut self.nodes[lost].keys);
            for (slot, _) in slots.into_iter().filter(|(_, served)| *served == lost) {
                self.spread(slot, heir, &[heir]);
            }
        }
        match self.migration.take() {
            Some(migration) => self.migrate(migration),
            None if self.is_calm || !self.gossip.is_empty() || self.failover.is_some() => {}
            None => match self.below(600) {
                0 => self.begin_migration(),
                1 if self.next_loss <= self.now => self.lose_master(),
                _ => {}
            },
        }
    }

    fn masters(&self) -> Vec<usize> {
        let serves = |at: &usize| self.nodes[*at].served.values().any(|served| served == at);
        (0..self.nodes.len()).filter(|at| serves(at) && !self.nodes[*at].is_down).collect()
    }

    fn begin_migration(&mut self) {
        let slot = slot(TAGS[self.below(TAGS.len())]);
        let masters = self.masters();
        let from = *masters.iter().find(|at| self.nodes[**at].served[&slot] == **at).unwrap();
        let to = masters[self.below(masters.len())];
        if to == from {
            return;
        }
        self.nodes[to].importing.insert(slot);
        self.nodes[from].migrating.insert(slot, to);
        self.migration = Some(Migration { slot, from, to, next: self.now });
    }

    /// Moves a key, or ends the migration: the new node learns of it first, and the old one soon
    /// after.
    fn migrate(&mut self, mut migration: Migration) {
        let Migration { slot, from, to, next } = migration;
        if next > self.now {
            self.migration = Some(migration);
            return;
        }
        let left = self.nodes[from].keys.iter().find(|key| self::slot(key) == slot).cloned();
        if let Some(key) = left {
            self.nodes[from].keys.remove(&key);
            self.nodes[to].keys.insert(key);
            migration.next = self.later(400);
            self.migration = Some(migration);
        } else if self.nodes[to].importing.remove(&slot) {
            self.nodes[to].served.insert(slot, to);
            migration.next = self.later(20);
            self.migration = Some(migration);
        } else {
            self.nodes[from].migrating.remove(&slot);
            self.spread(slot, to, &[from, to]);
        }
    }

    /// A master goes for good, and a node that serves no slot takes over after a while.
    fn lose_master(&mut self) {
        let masters = self.masters();
        let lost = masters[self.below(masters.len())];
        let idle = |at: &usize| !masters.contains(at) && !self.nodes[*at].is_down;
        let Some(heir) = (0..self.nodes.len()).find(idle) else { return };
        self.nodes[lost].is_down = true;
        self.next_loss = self.now + TIMEOUT;
        self.failover = Some((self.later(3_000), lost, heir));
    }
}

/// The state that a client keeps for all its calls.
struct Client {
    map: SlotMap,
    refresh: Refresh,
    /// A fetch under way: when it is answered, and by which node.
    fetch: Option<(Instant, Address)>,
    seed: u64,
}

/// How a call ended.
#[derive(Debug)]
enum End {
    Values(Vec<Option<Bytes>>),
    Late(Option<Answer>),
    #[allow(dead_code, reason = "it is for a message of a test that fails")]
    Lost(TooManyRedirects),
}

impl Client {
    fn new(seed: u64) -> Self {
        let seeds = (0..MASTERS).map(address).collect();
        let refresh = Refresh::new(seeds, seed, Instant::ORIGIN);
        Self { map: SlotMap::unknown(), refresh, fetch: None, seed }
    }

    /// Lets time pass, and carries out the refreshes that fall due.
    fn pass(&mut self, cluster: &mut Cluster, until: Instant) {
        while cluster.now < until {
            self.pass_until_read(cluster, until);
        }
    }

    /// The same, but stops once the map has been read again.
    fn pass_until_read(&mut self, cluster: &mut Cluster, until: Instant) {
        loop {
            if let Some((when, from)) = &self.fetch
                && *when <= cluster.now
            {
                let view = Viewpoint::as_told(from);
                let read =
                    |frame: String| SlotMap::read(TopologyForm::Slots, frame.as_bytes(), &view);
                match cluster.topology(node(from)).map(read) {
                    Some(outcome) => {
                        self.refresh.handle(RefreshInput::of(&outcome), cluster.now);
                        self.map = outcome.unwrap();
                        self.fetch = None;
                        return;
                    }
                    None => self.refresh.handle(RefreshInput::Failed, cluster.now),
                }
                self.fetch = None;
            }
            if let Some(fetch) = self.refresh.poll(&self.map, cluster.now) {
                self.fetch = Some((cluster.later(20), fetch.from));
            }
            if cluster.now >= until {
                return;
            }
            let next = cluster.now + Duration::from_millis(1);
            cluster.pass(next);
        }
    }

    /// Gets keys of one slot, as one command.
    fn get(&mut self, cluster: &mut Cluster, keys: &[&str]) -> (End, u32) {
        self.seed += 1;
        let mut hops = Hops::new(self.seed);
        let expires = cluster.now + TIMEOUT;
        let mut asked: Option<Address> = None;
        loop {
            let asking = asked.is_some();
            let mapped = self.map.master(slot(keys[0])).map(|node| node.address.clone());
            let to = asked.take().or(mapped);
            let answer = to.as_ref().and_then(|to| cluster.ask(node(to), keys, asking));
            let next = match (&to, &answer) {
                (Some(to), Some(answer)) => {
                    hops.answered(answer, &Viewpoint::as_told(to), cluster.now, expires)
                }
                (Some(_), None) => Ok(hops.troubled(Trouble::Lost, cluster.now, expires)),
                (None, _) => Ok(hops.troubled(Trouble::Uncovered, cluster.now, expires)),
            };
            match next {
                Err(error) => return (End::Lost(error), hops.redirects()),
                Ok(Next::Settle) => {
                    let end = match answer {
                        Some(Ok(Reply::Values(values))) => End::Values(values),
                        other => End::Late(other),
                    };
                    return (end, hops.redirects());
                }
                Ok(Next::Follow { redirect, at }) => {
                    match redirect.kind {
                        RedirectKind::Moved => {
                            self.map.moved(redirect.slot, &redirect.to);
                            self.refresh.handle(RefreshInput::Doubted, cluster.now);
                        }
                        RedirectKind::Ask => asked = Some(redirect.to),
                    }
                    self.pass(cluster, at.max(cluster.now + Duration::from_millis(1)));
                }
                Ok(Next::Wait { at, trouble }) => {
                    if trouble.doubts_the_map() {
                        self.refresh.handle(RefreshInput::Doubted, cluster.now);
                        self.pass_until_read(cluster, at);
                    } else {
                        self.pass(cluster, at);
                    }
                }
            }
        }
    }
}

fn expected(keys: &[&str]) -> Vec<Option<Bytes>> {
    keys.iter().map(|key| Some(Bytes::from((*key).to_string()))).collect()
}

fn few() -> ProptestConfig {
    ProptestConfig { cases: 200, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn a_key_is_found_while_slots_are_moved_and_masters_lost(seed: u64) {
        let mut cluster = Cluster::new(seed);
        let mut client = Client::new(seed);
        let all: Vec<String> = keys().collect();
        let until = cluster.now + Duration::from_secs(20);
        while cluster.now < until {
            let key = &all[cluster.below(all.len())];
            let before = cluster.now;
            match client.get(&mut cluster, &[key.as_str()]) {
                (End::Values(values), redirects) => {
                    prop_assert_eq!(values, expected(&[key.as_str()]));
                    prop_assert!(redirects <= Hops::MAX);
                }
                (end, redirects) => prop_assert!(false, "{key} after {redirects}: {end:?}"),
            }
            prop_assert!(cluster.now.since(before) <= TIMEOUT);
            let pause = cluster.later(100);
            client.pass(&mut cluster, pause);
        }
    }

    #[test]
    fn keys_of_one_command_are_found_once_one_node_has_them_all_again(seed: u64) {
        let mut cluster = Cluster::new(seed);
        let mut client = Client::new(seed);
        cluster.next_loss = Instant::MAX;
        let all: Vec<String> = keys().collect();
        for _ in 0..10 {
            let tag = TAGS[cluster.below(TAGS.len())];
            let keys: Vec<_> = all.iter().map(String::as_str).filter(|key| key.starts_with(tag)).collect();
            let (end, redirects) = client.get(&mut cluster, &keys);
            prop_assert!(matches!(&end, End::Values(values) if *values == expected(&keys)), "{end:?}");
            prop_assert!(redirects <= Hops::MAX);
            let pause = cluster.later(2_000);
            client.pass(&mut cluster, pause);
        }
    }

    #[test]
    fn without_moves_all_keys_are_found_after_at_most_one_redirect(seed: u64) {
        let mut cluster = Cluster::new(seed);
        let mut client = Client::new(seed);
        let unrest = cluster.later(20_000);
        client.pass(&mut cluster, unrest);
        cluster.is_calm = true;
        let calm = cluster.now + Duration::from_secs(10);
        cluster.pass(calm);
        // The client has not learned of the last changes.
        let all: Vec<String> = keys().collect();
        for key in &all {
            let (end, redirects) = client.get(&mut cluster, &[key.as_str()]);
            prop_assert!(matches!(&end, End::Values(values) if *values == expected(&[key])), "{key}: {end:?}");
            prop_assert!(redirects <= 1, "{} redirects", redirects);
        }
        let soon = cluster.now + Refresh::CALM * 2;
        client.pass(&mut cluster, soon);
        for tag in TAGS {
            let keys: Vec<_> = all.iter().map(String::as_str).filter(|key| key.starts_with(tag)).collect();
            let (end, redirects) = client.get(&mut cluster, &keys);
            prop_assert!(matches!(&end, End::Values(values) if *values == expected(&keys)), "{end:?}");
            prop_assert_eq!(redirects, 0, "the map was not put right");
        }
    }

    #[test]
    fn parts_split_over_two_nodes_are_read_key_by_key(seed: u64) {
        let mut cluster = Cluster::new(seed);
        let mut client = Client::new(seed);
        let all: Vec<String> = keys().collect();
        for _ in 0..10 {
            let pause = cluster.later(1_000);
            client.pass(&mut cluster, pause);
            let list: Vec<&str> = (0..8).map(|_| all[cluster.below(all.len())].as_str()).collect();
            let split = Split::of(list.iter().map(|key| slot(key)));
            let mut answers = Gather::<String>::new(&split);
            for part in split.parts() {
                let keys: Vec<&str> = part.places.iter().map(|&at| list[at]).collect();
                match client.get(&mut cluster, &keys).0 {
                    End::Values(values) => answers.take(part.places, Ok(Reply::Values(values))).unwrap(),
                    End::Late(Some(_)) => {
                        for (&at, key) in part.places.iter().zip(keys) {
                            let (End::Values(values), _) = client.get(&mut cluster, &[key]) else {
                                return Err(TestCaseError::fail(format!("{key} is not found")));
                            };
                            answers.take(&[at], Ok(Reply::Values(values))).unwrap();
                        }
                    }
                    end @ (End::Late(None) | End::Lost(_)) => prop_assert!(false, "{end:?}"),
                }
            }
            prop_assert_eq!(answers.values(), Ok(expected(&list)));
        }
    }
}
