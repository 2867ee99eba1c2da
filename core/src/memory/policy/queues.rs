//! The two queues of a cache, under one rule for their lengths.
//!
//! A hit writes one small counter and moves nothing. An eviction is O(1) amortised, since every
//! turn of an entry has been paid for by a hit. It is also bounded outright: after [`PATIENCE`]
//! turns the next entry is evicted, used or not. Nothing is random: the same calls choose the same
//! victims.
//!
//! Lengths of queues are measured in *weight*: one per entry, or, if bytes are bounded, more for
//! larger entries. A *heavy* entry weighs more than [`HEAVY`] average ones. It passes through a
//! queue of its own instead of the small one, so that heavy entries displace one another. The
//! oldest heavy entry is looked at once heavy entries have more than an eighth of all weight, and
//! also each time that an eighth of the others' weight was evicted. It is evicted, or goes around
//! if it was used. It is admitted to the main queue only if fewer than [`RIVALS`] of the entries
//! that it would displace at main's end are in use; at most [`PATIENCE`] of these are looked at.

use core::sync::atomic::{AtomicU8, Ordering};

use crate::memory::fifo::{Fifo, Linked, Links};
use crate::memory::ghosts::Ghosts;
use crate::memory::share::QueueShare;
use crate::memory::slab::Id;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
mod weight;

use self::weight::Weight;

/// The policy's data on one entry.
#[derive(Debug)]
pub(in crate::memory) struct Rank {
    /// The part of the key's hash that is kept; the entry's owner may read it too.
    pub(in crate::memory) hash: u32,
    pub(in crate::memory) links: Links,
    weight: Weight,
    queue: Queue,
    uses: Uses,
}

/// The uses of an entry, up to [`MOST`](Uses::MOST): a request adds one, and a look takes one. Also
/// the number that was left after the last look. Two bits each, so that both take one byte.
#[derive(Debug, Default)]
struct Uses(AtomicU8);

impl Rank {
    pub(in crate::memory) fn new(hash: u32) -> Self {
        let uses = Uses::default();
        Self { hash, links: Links::NONE, weight: Weight::NONE, queue: Queue::Small, uses }
    }

    /// How many uses it has left.
    pub(in crate::memory) fn uses(&self) -> u8 {
        self.uses.0.load(Ordering::Relaxed) & Uses::MOST
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Queue {
    Small,
    Heavy,
    Main,
}

/// The result of a look at the entry at main's end.
enum Look {
    /// The entry makes way, or main is empty.
    Free,
    /// The entry was requested since the last look, and has gone around.
    InUse,
    /// The entry was not requested since, but had a use left and has gone around.
    Idle,
}

/// Gives access to the ranks of entries.
pub(in crate::memory) trait Residents: Linked {
    fn rank(&mut self, id: Id) -> Option<&mut Rank>;
}

/// How long the small queue is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::memory) enum QueueRule {
    /// As long as was learnt from keys that came back.
    Learnt,
    /// This many hundredths of the room.
    Fixed(u8),
}

#[derive(Debug)]
pub(in crate::memory) struct Queues {
    small: Line,
    heavy: Line,
    main: Line,
    /// The weight of other entries that were evicted since the oldest heavy one was looked at.
    worn: u64,
    /// Entries of at least this weight do not count in the queues' shares once they are in main.
    outsized: u64,
    proven: u64,
    len: u32,
    ghosts: Ghosts,
    share: QueueShare,
    rule: QueueRule,
    /// How many unused entries have left the small queue since one of them filled main.
    unused: u8,
}

#[derive(Debug)]
struct Line {
    fifo: Fifo,
    weight: u64,
}

impl Queues {
    pub(in crate::memory) fn new(rule: QueueRule, outsized: u64) -> Self {
        let (small, heavy, main) = (Line::new(), Line::new(), Line::new());
        let (ghosts, share) = (Ghosts::new(), QueueShare::new());
        let (worn, proven) = (0, 0);
        Self { small, heavy, main, worn, outsized, proven, len: 0, ghosts, share, rule, unused: 0 }
    }

    /// The weight of outsized entries in the main queue: each is a large part of what a shard may
    /// hold.
    pub(super) fn proven(&self) -> u64 {
        self.proven
    }

    /// Adds an entry whose rank is new.
    pub(in crate::memory) fn insert(&mut self, all: &mut impl Residents, id: Id, weight: u64) {
        let Some(rank) = all.rank(id) else { return };
        rank.weight = Weight::of(weight);
        let (hash, weight) = (rank.hash, rank.weight.get());
        let first = if self.is_heavy(weight) { Queue::Heavy } else { Queue::Small };
        let queue = match self.ghosts.take(hash) {
            Some(absence) => {
                if self.rule == QueueRule::Learnt {
                    self.share.learn(absence, self.len);
                }
                let mut patience = PATIENCE;
                if self.admits(all, weight, &mut patience) { Queue::Main } else { first }
            }
            None => first,
        };
        self.len += 1;
        self.push(all, id, queue);
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Follows this rule from now on, with a share that a shadow has learnt.
    pub(super) fn follow(&mut self, rule: QueueRule, share: QueueShare) {
        self.rule = rule;
        self.share = share;
    }

    /// The small queue's share, as learnt so far.
    pub(super) fn share(&self) -> QueueShare {
        self.share.clone()
    }

    /// Notes that the entry now at `id` had another number before.
    pub(in crate::memory) fn moved(&mut self, all: &mut impl Residents, id: Id) {
        let Some(rank) = all.rank(id) else { return };
        let queue = rank.queue;
        self.line(queue).fifo.moved(all, id);
    }

    /// Removes an entry.
    pub(in crate::memory) fn remove(&mut self, all: &mut impl Residents, id: Id) {
        self.unlink(all, id);
        self.len = self.len.saturating_sub(1);
        self.ghosts.follow(self.len);
    }

    /// Notes that an entry was requested.
    #[inline]
    pub(in crate::memory) fn hit(&self, rank: &Rank) {
        rank.uses.add();
    }

    /// Notes that an entry has another weight now.
    pub(in crate::memory) fn reweigh(&mut self, all: &mut impl Residents, id: Id, weight: u64) {
        let Some(rank) = all.rank(id) else { return };
        let old = core::mem::replace(&mut rank.weight, Weight::of(weight));
        let (new, queue) = (rank.weight.get(), rank.queue);
        self.lighten(queue, old.get());
        self.weigh(queue, new);
        if new > old.get() && self.is_heavy(new) {
            // Its uses were of a much smaller value.
            let Some(rank) = all.rank(id) else { return };
            rank.uses = Uses::default();
            self.shift(all, id, Queue::Heavy);
        }
    }

    /// Moves an entry that was requested before it was stored to the main queue, with as many uses
    /// as an entry can have.
    pub(super) fn promote(&mut self, all: &mut impl Residents, id: Id) {
        if let Some(rank) = all.rank(id) {
            rank.uses = Uses(AtomicU8::new(Uses::MOST));
        }
        self.shift(all, id, Queue::Main);
    }

    /// Chooses the next entry to evict, other than `spared`, for an entry of weight `coming`. The
    /// caller removes it. `None` if there is no other entry.
    pub(in crate::memory) fn victim(
        &mut self,
        all: &mut impl Residents,
        spared: Id,
        coming: u64,
    ) -> Option<Id> {
        let coming = if self.is_heavy(coming) { coming } else { 0 };
        let mut patience = PATIENCE;
        loop {
            let queue = self.due(spared, coming);
            let id = self.line(queue).fifo.oldest();
            let rank = all.rank(id)?;
            let (hash, weight) = (rank.hash, rank.weight.get());
            if id == spared {
                if self.len == 1 {
                    return None;
                }
                self.shift(all, id, if queue == Queue::Heavy { queue } else { Queue::Main });
                continue;
            }
            let goes = match queue {
                Queue::Small => patience == 0 || self.leaves(all, id, &mut patience),
                Queue::Heavy => {
                    self.worn = 0;
                    patience == 0 || self.drops(all, id, &mut patience)
                }
                Queue::Main => patience == 0 || matches!(self.look(all), Look::Free),
            };
            if goes {
                if queue != Queue::Main {
                    self.ghosts.note(hash, self.len);
                }
                if queue != Queue::Heavy && !self.heavy.fifo.is_empty() {
                    self.worn = self.worn.saturating_add(weight);
                }
                return Some(id);
            }
            patience = patience.saturating_sub(1);
        }
    }

    /// The queue whose oldest entry is next: the heavy one if it is too long or a look at it is
    /// due, else the small one if it has its share or main is empty, else main.
    fn due(&self, spared: Id, coming: u64) -> Queue {
        let is_none = |line: &Line| line.fifo.is_empty() || line.fifo.is_only(spared);
        let light = self.light();
        let most = self.total() / HEAVY_PART;
        let heavy_is_long = match coming {
            0 => self.heavy.weight > most && !self.heavy.fifo.is_single(),
            coming => self.heavy.weight.saturating_add(coming) > most,
        };
        let rest_is_none = is_none(&self.main) && is_none(&self.small);
        let heavy_is_due = heavy_is_long || self.worn > light / HEAVY_PART || rest_is_none;
        if heavy_is_due && !is_none(&self.heavy) {
            return Queue::Heavy;
        }
        let small_is_long = self.is_reached(self.small.weight);
        if is_none(&self.main) || (small_is_long && !self.small.fifo.is_empty()) {
            Queue::Small
        } else {
            Queue::Main
        }
    }

    /// Whether to evict the oldest heavy entry. If not, it has moved on to the main queue, or
    /// around.
    fn drops(&mut self, all: &mut impl Residents, id: Id, patience: &mut u32) -> bool {
        let Some(rank) = all.rank(id) else { return true };
        let weight = rank.weight.get();
        if !rank.uses.take() {
            return true;
        }
        let to = if self.admits(all, weight, patience) { Queue::Main } else { Queue::Heavy };
        self.shift(all, id, to);
        false
    }

    /// Whether to evict the oldest entry of the small queue. If not, it has moved on to the main
    /// queue.
    fn leaves(&mut self, all: &mut impl Residents, id: Id, patience: &mut u32) -> bool {
        let Some(rank) = all.rank(id) else { return true };
        let weight = rank.weight.get();
        let is_used = rank.uses.take();
        let moves_on =
            if is_used { self.admits(all, weight, patience) } else { self.fills(weight) };
        if moves_on {
            if is_used {
                self.share.earn();
            }
            self.shift(all, id, Queue::Main);
        }
        !moves_on
    }

    /// Whether a candidate of this weight may enter the main queue.
    fn admits(&mut self, all: &mut impl Residents, weight: u64, patience: &mut u32) -> bool {
        let is_heavy = self.is_heavy(weight);
        if is_heavy && !self.outdoes(all, weight) {
            self.wear(all, patience);
            return false;
        }
        let mut rivals = RIVALS;
        while rivals > 0 && *patience > 0 {
            match self.look(all) {
                Look::Free => return true,
                Look::InUse => rivals -= 1,
                Look::Idle => {}
            }
            *patience -= 1;
        }
        rivals > 0
    }

    /// Whether a heavy candidate would displace only few entries that are in use.
    fn outdoes(&self, all: &mut impl Residents, weight: u64) -> bool {
        let (mut id, mut displaced, mut rivals) = (self.main.fifo.oldest(), 0_u64, 0);
        for _ in 0..PATIENCE {
            let Some(rank) = all.rank(id) else { break };
            rivals += u32::from(rank.uses.has_any());
            displaced = displaced.saturating_add(rank.weight.get());
            id = rank.links.newer();
            if rivals >= RIVALS || displaced >= weight {
                break;
            }
        }
        rivals < RIVALS
    }

    /// Makes the entries at main's end pay for the refusal of a heavy candidate, up to the first
    /// one that has no use left, while the patience lasts.
    fn wear(&mut self, all: &mut impl Residents, patience: &mut u32) {
        while *patience > 0 && !matches!(self.look(all), Look::Free) {
            *patience -= 1;
        }
    }

    /// Whether an entry of this weight is heavy: it takes as much room as many others.
    fn is_heavy(&self, weight: u64) -> bool {
        weight.saturating_mul(self.len.into()) > self.total().saturating_mul(HEAVY)
    }

    /// Looks at the entry at main's end, and takes one of its uses.
    fn look(&mut self, all: &mut impl Residents) -> Look {
        let id = self.main.fifo.oldest();
        let Some(rank) = all.rank(id) else { return Look::Free };
        let look = rank.uses.look();
        if !matches!(look, Look::Free) {
            self.shift(all, id, Queue::Main);
        }
        look
    }

    /// Whether an unused entry of this weight, the oldest of the small queue, is to fill the main
    /// queue.
    fn fills(&mut self, weight: u64) -> bool {
        let rest = self.small.weight.saturating_sub(weight);
        if !self.is_reached(rest) {
            return false;
        }
        self.unused = (self.unused + 1) % FILL;
        self.unused == 0
    }

    fn is_reached(&self, small: u64) -> bool {
        match self.rule {
            QueueRule::Learnt => self.share.is_reached(small, self.light()),
            QueueRule::Fixed(percent) => {
                u128::from(small) * 100 >= u128::from(self.light()) * u128::from(percent)
            }
        }
    }

    /// The weight of the small and the main queue without outsized entries.
    fn light(&self) -> u64 {
        self.small.weight.saturating_add(self.main.weight).saturating_sub(self.proven)
    }

    fn total(&self) -> u64 {
        let light = self.small.weight.saturating_add(self.main.weight);
        light.saturating_add(self.heavy.weight)
    }

    /// Moves an entry to the beginning of a queue.
    fn shift(&mut self, all: &mut impl Residents, id: Id, queue: Queue) {
        self.unlink(all, id);
        self.push(all, id, queue);
    }

    fn push(&mut self, all: &mut impl Residents, id: Id, queue: Queue) {
        let Some(rank) = all.rank(id) else { return };
        rank.queue = queue;
        let weight = rank.weight.get();
        self.weigh(queue, weight);
        self.line(queue).fifo.push(all, id);
    }

    fn unlink(&mut self, all: &mut impl Residents, id: Id) {
        let Some(rank) = all.rank(id) else { return };
        let (queue, weight) = (rank.queue, rank.weight.get());
        self.lighten(queue, weight);
        self.line(queue).fifo.remove(all, id);
    }

    fn weigh(&mut self, queue: Queue, weight: u64) {
        if queue == Queue::Main && weight >= self.outsized {
            self.proven = self.proven.saturating_add(weight);
        }
        let line = self.line(queue);
        line.weight = line.weight.saturating_add(weight);
    }

    fn lighten(&mut self, queue: Queue, weight: u64) {
        if queue == Queue::Main && weight >= self.outsized {
            self.proven = self.proven.saturating_sub(weight);
        }
        let line = self.line(queue);
        line.weight = line.weight.saturating_sub(weight);
    }

    fn line(&mut self, queue: Queue) -> &mut Line {
        match queue {
            Queue::Small => &mut self.small,
            Queue::Heavy => &mut self.heavy,
            Queue::Main => &mut self.main,
        }
    }
}

impl Uses {
    const MOST: u8 = 3;

    /// Lookups do this at the same time, without a lock; it does no harm if a use gets lost.
    #[inline]
    fn add(&self) {
        let both = self.0.load(Ordering::Relaxed);
        if both & Self::MOST < Self::MOST {
            self.0.store(both + 1, Ordering::Relaxed);
        }
    }

    fn has_any(&mut self) -> bool {
        *self.0.get_mut() & Self::MOST > 0
    }

    /// Takes all uses. Returns whether there was one.
    fn take(&mut self) -> bool {
        core::mem::take(self.0.get_mut()) & Self::MOST > 0
    }

    /// Takes one use, if there is one.
    fn look(&mut self) -> Look {
        let both = self.0.get_mut();
        let (uses, left) = (*both & Self::MOST, *both >> 2);
        let Some(rest) = uses.checked_sub(1) else { return Look::Free };
        *both = rest << 2 | rest;
        if uses > left { Look::InUse } else { Look::Idle }
    }
}

impl Line {
    const fn new() -> Self {
        Self { fifo: Fifo::new(), weight: 0 }
    }
}

/// How many entries in use refuse a candidate. With more of them the entries of a loop would be
/// looked at more often than they are asked for.
const RIVALS: u32 = 3;
/// One in this many unused entries fills a main queue that is short of its share.
const FILL: u8 = 32;
/// A heavy entry weighs more than this many average ones.
const HEAVY: u64 = 16;
/// One in this many parts of all weight is for heavy entries.
const HEAVY_PART: u64 = 8;
/// How many entries may go around again before one is evicted in any case.
const PATIENCE: u32 = 64;
