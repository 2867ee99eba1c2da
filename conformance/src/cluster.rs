//! Clusters for tests: masters that share the slots evenly, and replicas.

use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use crate::frame::Frame;
use crate::raw::Raw;
use crate::server::{Kind, Server, Setup};

/// A cluster. Dropping it kills all nodes.
#[derive(Debug)]
pub struct Cluster {
    /// The masters in the order of their slots, and behind them the replicas: of the first master,
    /// of the second, and so on.
    pub nodes: Vec<Server>,
    masters: usize,
}

impl Cluster {
    /// Starts a cluster of this many masters and replicas, and waits until every node reports that
    /// it is whole. A node that is silent for `missed_after` counts as gone.
    ///
    /// # Panics
    /// When such a server is not installed, or the nodes do not start or do not join.
    #[must_use]
    pub fn start(
        kind: Kind,
        setup: &Setup,
        masters: usize,
        replicas: usize,
        missed_after: Duration,
    ) -> Self {
        let missed_after = missed_after.as_millis().to_string();
        let setup = setup.clone().node().with(&[
            "--cluster-node-timeout",
            &missed_after,
            "--repl-diskless-sync-delay",
            "0",
            "--cluster-replica-validity-factor",
            "0",
        ]);
        let nodes = thread::scope(|scope| {
            let start = || scope.spawn(|| Server::start(kind, &setup));
            let started: Vec<_> = (0..masters + replicas).map(|_| start()).collect();
            started.into_iter().map(|node| node.join().expect("it starts")).collect()
        });
        let this = Self { nodes, masters };
        this.meet();
        this
    }

    /// How many slots a cluster has.
    pub const SLOTS: usize = 16_384;

    /// The master that serves a slot to begin with.
    #[must_use]
    pub fn master_of(&self, slot: usize) -> usize {
        slot / self.share()
    }

    /// The URL of the cluster, which names these of its nodes.
    #[must_use]
    pub fn url_of(&self, nodes: &[usize]) -> String {
        let address = |node: &usize| self.nodes[*node].address().to_string();
        let nodes: Vec<_> = nodes.iter().map(address).collect();
        self.nodes[0].reached_by("-cluster", &nodes.join(","))
    }

    /// The URL of the cluster, which names all masters.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(&(0..self.masters).collect::<Vec<_>>())
    }

    /// A raw connection to all nodes that are masters to begin with. A command goes to the node
    /// that has its key.
    ///
    /// # Panics
    /// When a node does not answer.
    #[must_use]
    pub fn raw(&self) -> Raw {
        let mut raw = self.nodes[..self.masters].iter().map(|node| node.raw(0));
        let ports = self.nodes.iter().map(|node| node.address().port());
        let first = raw.next().expect("there is a master");
        first.beside(ports.skip(1).zip(raw).collect())
    }

    /// The cluster's id of a node.
    ///
    /// # Panics
    /// When the node does not answer.
    #[must_use]
    pub fn id(&self, node: usize) -> String {
        self.nodes[node].raw(0).text(&["CLUSTER", "MYID"])
    }

    /// Begins to move a slot from one master to another: from now on keys may be on either.
    ///
    /// # Panics
    /// When a node does not answer, or refuses.
    #[must_use]
    pub fn begin_to_move(&self, slot: usize, from: usize, to: usize) -> Moving {
        let (slot, port) = (slot.to_string(), self.nodes[to].address().port().to_string());
        let (source, target) = (self.id(from), self.id(to));
        let (mut from, mut to) = (self.nodes[from].raw(0), self.nodes[to].raw(0));
        to.call(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
        from.call(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
        Moving { slot, port, target, from, to }
    }

    /// Moves all slots, and their keys, of one master to another, and waits until all nodes know.
    ///
    /// # Panics
    /// When a node does not answer, or refuses.
    pub fn hand_over(&self, from: usize, to: usize) {
        let target = self.id(to);
        let (mut source, mut taker) = (self.nodes[from].raw(0), self.nodes[to].raw(0));
        // Raises the taker's epoch above the other's last announcement. Otherwise that would
        // take back a slot without keys, and the slot would end up with no owner.
        taker.call(&["CLUSTER", "BUMPEPOCH"]);
        for slot in from * self.share()..((from + 1) * self.share()).min(Self::SLOTS) {
            let text = slot.to_string();
            if source.number(&["CLUSTER", "COUNTKEYSINSLOT", &text]) > 0 {
                let mut moving = self.begin_to_move(slot, from, to);
                while moving.step() {}
            }
            let given = ["CLUSTER", "SETSLOT", &text, "NODE", &target];
            taker.call(&given);
            // The source may have learned this already, and follows the taker if this was its last
            // slot.
            let said = source.ask(&given).expect("it answers").text();
            assert!(said == "OK" || said.ends_with("SETSLOT only with masters."), "{said}");
        }
        let source = self.id(from);
        for mut raw in self.nodes.iter().map(|node| node.raw(0)) {
            raw.ask_until("all nodes know that it serves nothing more", NODES, |nodes| {
                let line = nodes.lines().find(|line| line.starts_with(&source));
                // Slots stand behind the eight fields that every node has.
                line.is_some_and(|line| line.split(' ').count() == 8)
            });
            raw.ask_until("all nodes know who serves all slots", INFO, |info| {
                info.contains("cluster_slots_assigned:16384")
            });
        }
    }

    fn share(&self) -> usize {
        Self::SLOTS.div_ceil(self.masters)
    }

    fn meet(&self) {
        let share = self.share();
        let port = self.nodes[0].address().port().to_string();
        let bus = self.nodes[0].bus_port();
        let mut all: Vec<_> = self.nodes.iter().map(|node| node.raw(0)).collect();
        for (at, raw) in all.iter_mut().enumerate() {
            if at < self.masters {
                let (first, end) = (at * share, ((at + 1) * share).min(Self::SLOTS));
                let (first, last) = (first.to_string(), (end - 1).to_string());
                raw.call(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            }
            raw.call(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
            if at > 0 {
                raw.call(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
            }
        }
        let known = format!("cluster_known_nodes:{}", self.nodes.len());
        for raw in &mut all {
            raw.ask_until("the nodes know each other", INFO, |info| info.contains(&known));
        }
        for (at, raw) in all.iter_mut().enumerate().skip(self.masters) {
            let master = self.id((at - self.masters) % self.masters);
            raw.ask_until("a node may follow", &["CLUSTER", "REPLICATE", &master], |said| {
                said == "OK"
            });
            raw.ask_until("a replica has its master's data", &["INFO", "replication"], |info| {
                info.contains("master_link_status:up")
            });
        }
        for raw in &mut all {
            raw.ask_until("the cluster is whole", INFO, |info| {
                info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
            });
        }
        // Each node must also know which of the others are replicas.
        let replicas = self.nodes.len() - self.masters;
        for raw in &mut all {
            raw.ask_until("all know of the replicas", NODES, |nodes| {
                nodes.matches("slave ").count() == replicas
            });
        }
    }
}

/// A slot that is being moved from one node to another.
#[derive(Debug)]
pub struct Moving {
    slot: String,
    port: String,
    target: String,
    from: Raw,
    to: Raw,
}

impl Moving {
    /// Moves up to three keys; returns whether there were any.
    ///
    /// # Panics
    /// When a node does not answer, or refuses.
    pub fn step(&mut self) -> bool {
        let Frame::List(keys) = self.from.call(&["CLUSTER", "GETKEYSINSLOT", &self.slot, "3"])
        else {
            unreachable!("it is a list")
        };
        if keys.is_empty() {
            return false;
        }
        let mut words: Vec<&[u8]> =
            vec![b"MIGRATE", b"127.0.0.1", self.port.as_bytes(), b"", b"0", b"5000", b"KEYS"];
        words.extend(keys.iter().filter_map(|key| match key {
            Frame::Bulk(key) => Some(key.as_slice()),
            _ => None,
        }));
        self.from.call(&words);
        true
    }

    /// Ends the move once all keys are there: from now on the slot is the other node's.
    ///
    /// # Panics
    /// When a node does not answer, or refuses.
    pub fn finish(mut self) {
        self.to.call(&["CLUSTER", "SETSLOT", &self.slot, "NODE", &self.target]);
        self.from.call(&["CLUSTER", "SETSLOT", &self.slot, "NODE", &self.target]);
    }
}

/// The slot of a key.
///
/// # Panics
/// When the server does not answer.
#[must_use]
pub fn slot_of(node: &Server, key: &str) -> usize {
    usize::try_from(node.raw(0).number(&["CLUSTER", "KEYSLOT", key])).expect("it is a slot")
}

/// A cluster that one test has to itself, as a cluster has only one database. It is emptied
/// afterwards and lent to another test.
#[derive(Debug)]
pub(crate) struct Lent {
    kind: Kind,
    cluster: &'static Cluster,
}

static FREE: LazyLock<Mutex<Vec<(Kind, &'static Cluster)>>> = LazyLock::new(Mutex::default);

impl Lent {
    pub(crate) fn new(kind: Kind) -> Self {
        let mut free = FREE.lock().expect("no panic happens under this lock");
        let found = free.iter().position(|(of, _)| *of == kind).map(|at| free.swap_remove(at).1);
        drop(free);
        let cluster = found.unwrap_or_else(|| {
            let setup = Setup::default();
            // Its nodes do not take each other for gone however busy the machine is.
            Box::leak(Box::new(Cluster::start(kind, &setup, 3, 0, Duration::from_secs(60))))
        });
        Self { kind, cluster }
    }

    pub(crate) fn cluster(&self) -> &'static Cluster {
        self.cluster
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        for node in &self.cluster.nodes {
            let mut raw = node.raw(0);
            raw.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            raw.call(&["FLUSHALL"]);
        }
        FREE.lock().expect("no panic happens under this lock").push((self.kind, self.cluster));
    }
}

const NODES: &[&str] = &["CLUSTER", "NODES"];
const INFO: &[&str] = &["CLUSTER", "INFO"];
