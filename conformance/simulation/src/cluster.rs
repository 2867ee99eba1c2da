//! The model of a cluster: the owner of each slot, the nodes that know it, and the reply of a node
//! to a command for a key that it does not serve.
//!
//! Slots lie in a few blocks. There is one truth about the owner of each block, and a view of it in
//! every node. A node that takes part in a change learns of it at once, and any other node later.
//! While a block is moved, its keys go one by one: the old owner redirects commands for keys that
//! are gone (`ASK`), and both nodes reply `TRYAGAIN` if a command's keys are on both sides.
//! Replicas serve reads on connections that have sent `READONLY`. Replicas of Redis 7.0 know
//! nothing of a move, and treat keys that are gone as missing. Those of Valkey 9.1 reply as their
//! masters would, and continue the move if they replace them. All other replies are those of Redis
//! 7.0. The model knows no time, and no keys but those of the commands: [`turns`](crate::turns)
//! decides when something changes.

use async_caches_conformance::request::Request;
use async_caches_conformance::server_reply::ServerReply;
use async_caches_core::cluster::slot::Slot;

use crate::model::Model;
use crate::wire::Wire;

/// A cluster.
pub(crate) struct Cluster {
    /// The first slot of each block.
    starts: Vec<u16>,
    /// The owner of each block.
    pub(crate) owners: Vec<usize>,
    /// The owner of each block, as each node sees it.
    pub(crate) views: Vec<Vec<usize>>,
    /// Whether a node has ever served a block, and whether it has ever followed a node that served
    /// it.
    served: Vec<Vec<bool>>,
    followed: Vec<Vec<bool>>,
    pub(crate) nodes: Vec<Standing>,
    pub(crate) moving: Option<Moving>,
    /// The dead node whose replica has not taken over yet.
    pub(crate) dead: Option<usize>,
    /// Whether no node serves any key while some keys have no node.
    pub(crate) whole: bool,
    /// Whether replicas know which keys their masters are moving.
    pub(crate) modern: bool,
}

/// The standing of a node among the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    Master,
    ReplicaOf(usize),
    /// It is back, and has not learned of the others yet.
    Returning,
    /// The others have been told to forget it.
    Forgotten,
}

/// A block that is being moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Moving {
    pub(crate) block: usize,
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Whether the new owner has learned that it is the owner.
    pub(crate) handed: bool,
}

impl Cluster {
    /// A cluster of this many masters, each with a replica or without, and of blocks that begin at
    /// these slots. The blocks are dealt in turn to all masters but the `idle` ones.
    pub(crate) fn new(masters: usize, idle: usize, replicas: bool, mut starts: Vec<u16>) -> Self {
        starts.push(0);
        starts.sort_unstable();
        starts.dedup();
        let owners: Vec<usize> = (0..starts.len()).map(|block| block % (masters - idle)).collect();
        let mut nodes = vec![Standing::Master; masters];
        if replicas {
            nodes.extend((0..masters).map(Standing::ReplicaOf));
        }
        let views = vec![owners.clone(); nodes.len()];
        let served = vec![vec![false; starts.len()]; nodes.len()];
        let followed = served.clone();
        let mut this = Self {
            starts,
            owners,
            views,
            served,
            followed,
            nodes,
            moving: None,
            dead: None,
            whole: false,
            modern: false,
        };
        this.note_who_serves();
        this
    }

    fn note_who_serves(&mut self) {
        for block in 0..self.blocks() {
            let owner = self.owners[block];
            self.served[owner][block] = true;
            if let Some(replica) = self.replica_of(owner) {
                self.followed[replica][block] = true;
            }
        }
    }

    /// How many blocks there are.
    pub(crate) fn blocks(&self) -> usize {
        self.starts.len()
    }

    /// Whether no cache should have connections to a node any more; `reads` if replicas are read
    /// from.
    pub(crate) fn is_gone(&self, node: usize, reads: bool) -> bool {
        match self.nodes.get(node) {
            Some(Standing::Master) => false,
            Some(Standing::ReplicaOf(_)) => !reads,
            Some(Standing::Returning | Standing::Forgotten) | None => true,
        }
    }

    /// The block that a key is in.
    pub(crate) fn block_of(&self, key: &[u8]) -> usize {
        let slot = Slot::of(key).number();
        self.starts.partition_point(|start| *start <= slot) - 1
    }

    /// Gives a block to a node. The nodes that take part in that know it at once.
    pub(crate) fn give(&mut self, block: usize, to: usize) {
        self.owners[block] = to;
        self.views[to][block] = to;
        self.note_who_serves();
    }

    /// A replica takes the place of its master: it serves the master's blocks, and continues its
    /// move.
    pub(crate) fn replace(&mut self, master: usize, replica: usize) {
        self.nodes[replica] = Standing::Master;
        if let Some(Moving { from, to, .. }) = &mut self.moving {
            for node in [from, to] {
                if *node == master {
                    *node = replica;
                }
            }
        }
        for block in 0..self.blocks() {
            if self.owners[block] == master {
                self.give(block, replica);
            }
        }
    }

    /// A node follows another from now on.
    pub(crate) fn follow(&mut self, node: usize, master: usize) {
        self.nodes[node] = Standing::ReplicaOf(master);
        self.note_who_serves();
    }

    /// A node learns the truth.
    pub(crate) fn hear(&mut self, node: usize) {
        self.views[node].clone_from(&self.owners);
        // The old owner believes that it has the block until it learns otherwise.
        if let Some(moving) = self.moving.filter(|moving| moving.from == node) {
            self.views[node][moving.block] = node;
        }
    }

    /// Whether a node may have been taken for one that serves a key without `ASKING`; `reads` if
    /// the connection only reads.
    pub(crate) fn may_have_answered(&self, node: usize, key: &[u8], reads: bool) -> bool {
        let block = self.block_of(key);
        self.served[node][block] || reads && self.followed[node][block]
    }

    /// The replica of a node, if it has one.
    pub(crate) fn replica_of(&self, master: usize) -> Option<usize> {
        self.nodes.iter().position(|node| *node == Standing::ReplicaOf(master))
    }

    /// The reply of a node that does not run a command; `None` if the node runs it. `asking` is
    /// whether `ASKING` came just before, `reads` whether the connection has sent `READONLY`.
    pub(crate) fn turn_away(
        &self,
        node: usize,
        asked: &Request,
        (asking, reads): (bool, bool),
        model: &mut Model,
        now: i64,
    ) -> Option<ServerReply> {
        if asked.is(0, "ASKING") || asked.is(0, "READONLY") {
            return Some(ServerReply::OK);
        }
        if asked.is(0, "CLUSTER") {
            return Some(self.tell(node, asked.is(1, "SHARDS")));
        }
        let wire = Wire::of(asked)?;
        let replica = matches!(self.nodes[node], Standing::ReplicaOf(_));
        if wire == Wire::Flush && replica {
            return Some(ServerReply::error(READONLY));
        }
        let keys: Vec<&[u8]> = wire.keys_at(asked).map(|at| asked.word(at)).collect();
        let slot = Slot::of(keys.first()?);
        if keys.iter().any(|key| Slot::of(key) != slot) {
            return Some(ServerReply::error(CROSSSLOT));
        }
        if self.nodes[node] == Standing::Returning || (self.whole && self.dead.is_some()) {
            return Some(ServerReply::error(CLUSTERDOWN));
        }
        let (block, number) = (self.block_of(keys[0]), slot.number());
        let redirect = |word: &str, to: usize| {
            Some(ServerReply::error(format!("{word} {number} :{}", port(to))))
        };
        let moving = self.moving.filter(|moving| moving.block == block);
        let missing = keys.iter().filter(|key| !model.holds(key, now)).count();
        let several = keys.iter().any(|key| *key != keys[0]);
        let owner = self.views[node][block];
        let leads = owner == node && !replica;
        let follows =
            reads && wire.changes_nothing() && self.nodes[node] == Standing::ReplicaOf(owner);
        if leads || follows {
            let knows = leads || self.modern;
            let leaves = moving.filter(|moving| moving.from == owner && knows);
            return match leaves {
                Some(_) if missing > 0 && missing < keys.len() => {
                    Some(ServerReply::error(TRYAGAIN))
                }
                Some(moving) if missing > 0 => redirect("ASK", moving.to),
                Some(_) | None => None,
            };
        }
        match moving.filter(|moving| moving.to == node && asking) {
            Some(_) if several && missing > 0 => Some(ServerReply::error(TRYAGAIN)),
            Some(_) => None,
            None => redirect("MOVED", owner),
        }
    }

    /// The map as a node sees it, in the newer form (`SHARDS`) or the older one.
    fn tell(&self, node: usize, shards: bool) -> ServerReply {
        let view = &self.views[node];
        let ends = self.starts.iter().skip(1).map(|start| start - 1).chain([Slot::COUNT - 1]);
        let blocks: Vec<(usize, i64, i64)> = self
            .starts
            .iter()
            .zip(ends)
            .zip(view)
            .map(|((first, last), owner)| (*owner, i64::from(*first), i64::from(last)))
            .collect();
        if !shards {
            let block = |(owner, first, last): (usize, i64, i64)| {
                let host = [
                    ServerReply::text(""),
                    ServerReply::Integer(port(owner)),
                    ServerReply::text(&id(owner)),
                ];
                ServerReply::List(vec![
                    ServerReply::Integer(first),
                    ServerReply::Integer(last),
                    ServerReply::List(host.into()),
                ])
            };
            return ServerReply::List(blocks.into_iter().map(block).collect());
        }
        let known = |at: &usize| {
            let forgotten = matches!(self.nodes[*at], Standing::Forgotten) && *at != node;
            !forgotten && (self.nodes[*at] == Standing::Master || view.contains(at))
        };
        let shard = |at: usize| {
            let mine = blocks.iter().filter(|(owner, ..)| *owner == at);
            let slots = mine.flat_map(|(_, first, last)| [*first, *last]).map(ServerReply::Integer);
            let mut nodes = vec![self.node(at, "master")];
            nodes.extend(self.replica_of(at).map(|replica| self.node(replica, "replica")));
            ServerReply::Map(vec![
                (ServerReply::text("slots"), ServerReply::List(slots.collect())),
                (ServerReply::text("nodes"), ServerReply::List(nodes)),
            ])
        };
        ServerReply::List((0..self.nodes.len()).filter(known).map(shard).collect())
    }

    fn node(&self, at: usize, role: &str) -> ServerReply {
        let fields = [
            ("id", ServerReply::text(&id(at))),
            ("port", ServerReply::Integer(port(at))),
            ("ip", ServerReply::text("127.0.0.1")),
            ("endpoint", ServerReply::text("")),
            ("role", ServerReply::text(role)),
            ("replication-offset", ServerReply::Integer(0)),
            ("health", ServerReply::text("online")),
        ];
        ServerReply::Map(fields.map(|(name, value)| (ServerReply::text(name), value)).into())
    }
}

/// The port on which a node listens.
pub(crate) fn port(node: usize) -> i64 {
    FIRST_PORT + node as i64
}

/// The node that listens on a port.
pub(crate) fn at_port(port: u16) -> usize {
    usize::from(port).wrapping_sub(FIRST_PORT as usize)
}

fn id(node: usize) -> String {
    format!("{node:040x}")
}

const FIRST_PORT: i64 = 7_000;
const READONLY: &str = "READONLY You can't write against a read only replica.";
const CROSSSLOT: &str = "CROSSSLOT Keys in request don't hash to the same slot";
const TRYAGAIN: &str = "TRYAGAIN Multiple keys request during rehashing of slot";
const CLUSTERDOWN: &str = "CLUSTERDOWN The cluster is down";
