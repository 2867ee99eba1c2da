//! The events of a cluster, and their times: blocks of slots that move, masters that fail over to
//! their replicas or die, nodes that are taken out.
//!
//! There is one change at a time: a change that is due while another is under way is skipped. In
//! some seeds, however, nodes fail over while a block moves. A node that takes no part in a change
//! learns of it some time later.

use std::time::Duration;

use async_caches::runtime::Instant;
use async_caches_conformance::random::Random;

use crate::agenda::Event;
use crate::cluster::{Cluster, Moving, Standing};
use crate::ledger::Window;
use crate::world::State;

/// A seed's plan for a cluster.
#[derive(Clone, Debug)]
pub(crate) struct ClusterPlan {
    pub(crate) masters: usize,
    /// How many masters have no slots to begin with.
    pub(crate) idle: usize,
    pub(crate) replicas: bool,
    pub(crate) starts: Vec<u16>,
    /// Whether no node serves any key while some keys have no node.
    pub(crate) whole: bool,
    /// How many nanoseconds a node takes at most to learn of a change.
    pub(crate) gossip: u64,
    /// How many nanoseconds pass at most between two keys that are moved.
    pub(crate) step: u64,
    pub(crate) turns: Vec<(Instant, Turn)>,
    /// Whether replicas know which keys their masters are moving, so that masters may fail over
    /// during a move.
    pub(crate) modern: bool,
    /// Whether callers read from replicas.
    pub(crate) reads: bool,
    /// Whether callers use mostly operations for many keys.
    pub(crate) batches: bool,
    /// Whether nodes redirect most callers to unused addresses, each to another one.
    pub(crate) lies: bool,
}

/// An event of a cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Turn {
    /// A block moves to another master, if it may. Numbers beyond the last block stand for blocks
    /// that have keys.
    Move { block: usize, to: usize },
    /// A master and its replica swap roles, and no data is lost.
    ChangePlaces { block: usize },
    /// The master of a block dies. Its replica takes over a while later, and the old master returns
    /// as its replica.
    Die { block: usize, silent: bool },
    /// The replica of the master of a block is away for a while.
    LoseReplica { block: usize, silent: bool },
    /// A master that serves no slot is forgotten by the others.
    Forget,
    /// One key of the moving block is moved or, if it has none left, the block itself.
    Go,
    /// The old owner of the block learns that it has lost the block.
    LetGo,
    /// A node learns of the changes.
    Hear(usize),
    /// A replica takes the place of its master, which is dead.
    Promote(usize),
    /// A node returns.
    Return(usize),
    /// Replicas copy the data of their masters.
    Copy,
}

impl ClusterPlan {
    /// Draws the events of a cluster until `until`. `other` is another generator, for parts that
    /// were added later, so that seeds in the files of seeds still mean the same.
    pub(crate) fn draw(random: &mut Random, other: &mut Random, until: Instant) -> Self {
        let masters = 2 + random.below(2) as usize;
        let replicas = random.below(3) > 0;
        let blocks = 4 + random.below(5);
        let any = |random: &mut Random| Instant::from_nanos(random.below(until.as_nanos()));
        let mut turns: Vec<_> = (0..2 + random.below(10))
            .map(|_| {
                let at = any(random);
                let block = random.below(4 * blocks) as usize;
                let to = random.below(masters as u64) as usize;
                let turn = match random.below(8) {
                    0..4 => Turn::Move { block, to },
                    4 => Turn::ChangePlaces { block },
                    5 | 6 => Turn::Die { block, silent: random.below(3) == 0 },
                    _ => Turn::Forget,
                };
                (at, turn)
            })
            .collect();
        turns.push((Instant::ORIGIN, Turn::Copy));
        let reads = replicas && other.below(3) == 0;
        if reads {
            turns.extend((0..other.below(4)).map(|_| {
                let block = other.below(4 * blocks) as usize;
                (any(other), Turn::LoseReplica { block, silent: other.below(3) == 0 })
            }));
        }
        Self {
            masters,
            idle: if masters > 2 && random.below(3) == 0 { 1 } else { 0 },
            replicas,
            starts: (1..blocks).map(|_| random.below(16_384) as u16).collect(),
            whole: random.below(2) == 0,
            gossip: [1_000_000, 100_000_000, 1_000_000_000][random.below(3) as usize],
            step: [1_000_000, 50_000_000, 400_000_000][random.below(3) as usize],
            turns,
            modern: other.below(2) == 0,
            reads,
            batches: other.below(4) == 0,
            lies: other.below(8) == 0,
        }
    }

    /// The cluster at the start.
    pub(crate) fn cluster(&self) -> Cluster {
        let mut cluster = Cluster::new(self.masters, self.idle, self.replicas, self.starts.clone());
        cluster.whole = self.whole;
        cluster.modern = self.modern;
        cluster
    }
}

impl State {
    /// An event of the cluster happens.
    pub(crate) fn turn(&mut self, turn: Turn) {
        let Some(mut cluster) = self.cluster.take() else { return };
        if turn != Turn::Copy {
            self.log.add(self.now, || format!("cluster: {turn:?}"));
        }
        let is_free = cluster.moving.is_none() && cluster.dead.is_none();
        let may_fail = is_free || cluster.modern && cluster.dead.is_none();
        match turn {
            Turn::Move { block, to } if is_free => {
                let block = self.block(&cluster, block);
                self.begin_to_move(&mut cluster, block, to);
            }
            Turn::ChangePlaces { block } if may_fail => {
                let master = cluster.owners[self.block(&cluster, block)];
                if let Some(replica) = self.replica_there(&cluster, master) {
                    self.copy_data(master, replica);
                    self.take_over(&mut cluster, master, replica);
                    cluster.follow(master, replica);
                    cluster.hear(master);
                }
            }
            Turn::Die { block, silent } if may_fail => {
                let master = cluster.owners[self.block(&cluster, block)];
                if self.replica_there(&cluster, master).is_some() {
                    self.go_down(master, silent);
                    cluster.dead = Some(master);
                    self.ledger.windows.push(Window { from: self.now, until: Instant::MAX });
                    let after = 100 + self.random.below(1_500);
                    let at = self.now + Duration::from_millis(after);
                    self.agenda.note(at, Event::Turned(Turn::Promote(master)));
                }
            }
            Turn::Forget if is_free => {
                let idle = |at: &usize| {
                    cluster.nodes[*at] == Standing::Master && !cluster.owners.contains(at)
                };
                let settled = cluster.views.iter().all(|view| *view == cluster.owners);
                let node = (0..cluster.nodes.len()).find(idle).filter(|_| settled);
                if let Some(node) = node {
                    cluster.nodes[node] = Standing::Forgotten;
                }
            }
            Turn::Move { .. } | Turn::ChangePlaces { .. } | Turn::Die { .. } | Turn::Forget => {}
            Turn::LoseReplica { block, silent } => {
                let master = cluster.owners[self.block(&cluster, block)];
                if let Some(replica) = self.replica_there(&cluster, master).filter(|_| is_free) {
                    self.go_down(replica, silent);
                    let back = self.now + Duration::from_millis(self.random.below(3_000));
                    self.agenda.note(back, Event::Turned(Turn::Return(replica)));
                    if silent {
                        let window = Window { from: self.now, until: back + UNNOTICED };
                        self.ledger.windows.push(window);
                    }
                }
            }
            Turn::Go => self.go(&mut cluster),
            Turn::LetGo => self.let_go_of_block(&mut cluster),
            Turn::Hear(node) => {
                cluster.hear(node);
                if cluster.nodes[node] == Standing::Returning && !self.nodes[node].down {
                    let master = self.nodes[node].replaced_by;
                    cluster.follow(node, master);
                }
            }
            Turn::Promote(master) => {
                if let Some(replica) = cluster.replica_of(master) {
                    self.take_over(&mut cluster, master, replica);
                    cluster.dead = None;
                    cluster.nodes[master] = Standing::Returning;
                    self.nodes[master].replaced_by = replica;
                    if let Some(window) = self.ledger.windows.last_mut() {
                        // A silent node is noticed by a caller that asks it, or by the next map.
                        let silent = self.nodes[master].silent;
                        window.until = self.now + if silent { UNNOTICED } else { RECOVERY };
                    }
                    let after = Duration::from_millis(self.random.below(3_000));
                    self.agenda.note(self.now + after, Event::Turned(Turn::Return(master)));
                }
            }
            Turn::Return(node) => {
                self.nodes[node].down = false;
                let at = self.now + Duration::from_nanos(1 + self.random.below(self.gossip()));
                self.agenda.note(at, Event::Turned(Turn::Hear(node)));
            }
            Turn::Copy => {
                self.copy(&cluster);
                let at = self.now + Duration::from_micros(500 + self.random.below(20_000));
                if self.is_foul() {
                    self.agenda.note(at, Event::Turned(Turn::Copy));
                }
            }
        }
        self.cluster = Some(cluster);
    }

    fn block(&self, cluster: &Cluster, drawn: usize) -> usize {
        if drawn < cluster.blocks() {
            return drawn;
        }
        let keys = &self.ledger.keys;
        cluster.block_of(&keys[drawn % keys.len()].wire)
    }

    fn gossip(&self) -> u64 {
        self.plan.cluster.as_ref().map_or(1, |plan| plan.gossip)
    }

    fn begin_to_move(&mut self, cluster: &mut Cluster, block: usize, to: usize) {
        let from = cluster.owners[block];
        // Masters may have swapped roles with their replicas since.
        let masters = cluster.nodes.iter().enumerate();
        let mut masters = masters.filter(|(_, node)| **node == Standing::Master);
        let Some((to, _)) = masters.nth(to) else { return };
        if from != to {
            cluster.moving = Some(Moving { block, from, to, handed: false });
            self.go_on();
        }
    }

    /// The replica of a node, if it has one that is up.
    fn replica_there(&self, cluster: &Cluster, master: usize) -> Option<usize> {
        cluster.replica_of(master).filter(|replica| !self.nodes[*replica].down)
    }

    /// Moves the next key, or the block itself; or nothing, while one of the two nodes is down.
    fn go(&mut self, cluster: &mut Cluster) {
        let Some(Moving { block, from, to, .. }) = cluster.moving else { return };
        if self.nodes[from].down || self.nodes[to].down {
            return self.go_on();
        }
        let mut gone = self.nodes[from].model.keys();
        gone.retain(|key| cluster.block_of(key) == block);
        if let Some(key) = gone.first() {
            if let Some(entry) = self.nodes[from].model.take(key) {
                self.nodes[to].model.put(key.clone(), entry);
            }
            return self.go_on();
        }
        cluster.give(block, to);
        cluster.moving = Some(Moving { block, from, to, handed: true });
        self.note_let_go();
    }

    /// The old owner learns that it has lost the block, as soon as it is up.
    fn let_go_of_block(&mut self, cluster: &mut Cluster) {
        let Some(Moving { from, .. }) = cluster.moving else { return };
        if self.nodes[from].down {
            return self.note_let_go();
        }
        cluster.moving = None;
        cluster.hear(from);
        self.spread(cluster);
    }

    fn note_let_go(&mut self) {
        let at = self.now + Duration::from_micros(self.random.below(20_000));
        self.agenda.note(at, Event::Turned(Turn::LetGo));
    }

    fn go_on(&mut self) {
        let step = self.plan.cluster.as_ref().map_or(1, |plan| plan.step);
        let at = self.now + Duration::from_nanos(self.random.below(step));
        self.agenda.note(at, Event::Turned(Turn::Go));
    }

    fn take_over(&mut self, cluster: &mut Cluster, master: usize, replica: usize) {
        cluster.replace(master, replica);
        self.spread(cluster);
    }

    /// Lets every node learn of the change in time.
    fn spread(&mut self, cluster: &Cluster) {
        for node in 0..cluster.nodes.len() {
            let at = self.now + Duration::from_nanos(self.random.below(self.gossip()));
            if cluster.nodes[node] != Standing::Returning {
                self.agenda.note(at, Event::Turned(Turn::Hear(node)));
            }
        }
    }

    fn copy_data(&mut self, from: usize, to: usize) {
        let data = self.nodes[from].model.data();
        self.nodes[to].model.replace(data);
    }

    /// Copies the data of all masters to their replicas, unless one of the two is down.
    fn copy(&mut self, cluster: &Cluster) {
        for (node, standing) in cluster.nodes.iter().enumerate() {
            if let Standing::ReplicaOf(master) = standing
                && !self.nodes[*master].down
                && !self.nodes[node].down
            {
                self.copy_data(*master, node);
            }
        }
    }
}

/// How long a silent node may go unnoticed.
const UNNOTICED: Duration = Duration::from_secs(95);
/// How soon after a promotion writes succeed.
const RECOVERY: Duration = Duration::from_secs(2);
