//! The two queues of a cache, under one rule for their lengths.
//!
//! A hit writes one small counter and moves nothing. An eviction is O(1) amortised, since every
//! turn of an entry has been paid for by a hit; it is also bounded outright: after
//! [`PATIENCE`] turns the next in line goes, used or not. There is no chance in it: the same calls
//! choose the same victims.
//!
//! Lengths of queues are measured in *weight*: one an entry, or more where what it takes of the bound
//! is more.

use core::sync::atomic::{AtomicU8, Ordering};

use crate::memory::fifo::{Fifo, Linked, Links};
use crate::memory::ghosts::Ghosts;
use crate::memory::share::Share;
use crate::memory::slab::Id;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

/// What the policy keeps of an entry.
#[derive(Debug)]
pub(in crate::memory) struct Rank {
    /// Of its key's hash what is kept, which its owner may read too.
    pub(in crate::memory) hash: u32,
    pub(in crate::memory) links: Links,
    weight: u16,
    queue: Queue,
    uses: Uses,
}

/// How often an entry was asked for, up to [`MOST`](Uses::MOST), less what it has paid with; and
/// how much of that was left when it was last looked at. Two bits each, as a record has one byte.
#[derive(Debug, Default)]
struct Uses(AtomicU8);

impl Rank {
    pub(in crate::memory) fn new(hash: u32) -> Self {
        let uses = Uses::default();
        Self { hash, links: Links::NONE, weight: 0, queue: Queue::Small, uses }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Queue {
    Small,
    Main,
}

/// What a look at the entry at main's end says.
enum Look {
    /// It makes way, if there is one at all.
    Free,
    /// It was asked for since the last look, and has gone around.
    InUse,
    /// It was not, but had a use left and has gone around.
    Idle,
}

/// Where the ranks of entries are.
pub(in crate::memory) trait Residents: Linked {
    fn rank(&mut self, id: Id) -> Option<&mut Rank>;
}

/// How long the small queue is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::memory) enum Rule {
    /// As long as what comes back has taught.
    Learnt,
    /// So many hundredths of the room.
    Fixed(u8),
}

#[derive(Debug)]
pub(in crate::memory) struct Queues {
    small: Line,
    main: Line,
    len: u32,
    ghosts: Ghosts,
    share: Share,
    rule: Rule,
    /// How many unused entries have left the small queue since one of them filled main.
    unused: u8,
}

#[derive(Debug)]
struct Line {
    fifo: Fifo,
    weight: u64,
}

impl Queues {
    pub(in crate::memory) fn new(rule: Rule) -> Self {
        let (small, main) = (Line::new(), Line::new());
        let (ghosts, share) = (Ghosts::new(), Share::new());
        Self { small, main, len: 0, ghosts, share, rule, unused: 0 }
    }

    /// Takes in an entry whose rank is new.
    pub(in crate::memory) fn insert(&mut self, all: &mut impl Residents, id: Id, weight: u64) {
        let Some(rank) = all.rank(id) else { return };
        rank.weight = narrow(weight);
        let queue = match self.ghosts.take(rank.hash) {
            Some(absence) => {
                if self.rule == Rule::Learnt {
                    self.share.learn(absence, self.len);
                }
                let mut patience = PATIENCE;
                if self.admits(all, &mut patience) { Queue::Main } else { Queue::Small }
            }
            None => Queue::Small,
        };
        self.len += 1;
        self.push(all, id, queue);
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// From now on goes by this rule, and with a share that another has learnt.
    pub(super) fn follow(&mut self, rule: Rule, share: Share) {
        self.rule = rule;
        self.share = share;
    }

    /// What was learnt of the small queue's share.
    pub(super) fn share(&self) -> Share {
        self.share.clone()
    }

    /// Notes that the entry at `id` was at another number before.
    pub(in crate::memory) fn moved(&mut self, all: &mut impl Residents, id: Id) {
        let Some(rank) = all.rank(id) else { return };
        let queue = rank.queue;
        self.line(queue).fifo.moved(all, id);
    }

    /// Lets go of an entry.
    pub(in crate::memory) fn remove(&mut self, all: &mut impl Residents, id: Id) {
        self.unlink(all, id);
        self.len = self.len.saturating_sub(1);
    }

    /// Notes that an entry was asked for.
    #[inline]
    pub(in crate::memory) fn hit(&self, rank: &Rank) {
        rank.uses.add();
    }

    /// Notes that an entry weighs something else now.
    pub(in crate::memory) fn reweigh(&mut self, all: &mut impl Residents, id: Id, weight: u64) {
        let Some(rank) = all.rank(id) else { return };
        let old = core::mem::replace(&mut rank.weight, narrow(weight));
        let (new, queue) = (rank.weight, rank.queue);
        let line = self.line(queue);
        line.weight = line.weight.saturating_sub(u64::from(old)).saturating_add(u64::from(new));
    }

    /// Chooses the entry that should go next, other than `spared`, and leaves it to the caller to
    /// remove it. None if there is no other.
    pub(in crate::memory) fn victim(&mut self, all: &mut impl Residents, spared: Id) -> Option<Id> {
        let mut patience = PATIENCE;
        loop {
            let queue = self.due(spared);
            let id = self.line(queue).fifo.oldest();
            let rank = all.rank(id)?;
            let hash = rank.hash;
            if id == spared {
                if self.len == 1 {
                    return None;
                }
                self.turn(all, id);
                continue;
            }
            let goes = match queue {
                Queue::Small => patience == 0 || self.leaves(all, id, &mut patience),
                Queue::Main => patience == 0 || matches!(self.look(all), Look::Free),
            };
            if goes {
                if queue == Queue::Small {
                    self.ghosts.note(hash, self.len);
                }
                return Some(id);
            }
            patience = patience.saturating_sub(1);
        }
    }

    /// Which queue's oldest entry is next: the small queue's if that has its share, or if main has
    /// none but the spared one.
    fn due(&self, spared: Id) -> Queue {
        let small_is_long = self.is_reached(self.small.weight);
        let main_has_none = self.main.fifo.is_empty() || self.main.fifo.is_only(spared);
        if main_has_none || (small_is_long && !self.small.fifo.is_empty()) {
            Queue::Small
        } else {
            Queue::Main
        }
    }

    /// Whether the oldest entry of the small queue goes; else it has moved on to the main queue.
    fn leaves(&mut self, all: &mut impl Residents, id: Id, patience: &mut u32) -> bool {
        let Some(rank) = all.rank(id) else { return true };
        let weight = u64::from(rank.weight);
        let is_used = rank.uses.take();
        let moves_on = if is_used { self.admits(all, patience) } else { self.fills(weight) };
        if moves_on {
            if is_used {
                self.share.earn();
            }
            self.turn(all, id);
        }
        !moves_on
    }

    /// Whether a candidate may enter the main queue.
    fn admits(&mut self, all: &mut impl Residents, patience: &mut u32) -> bool {
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

    /// Looks at the entry at main's end, and takes one of its uses.
    fn look(&mut self, all: &mut impl Residents) -> Look {
        let id = self.main.fifo.oldest();
        let Some(rank) = all.rank(id) else { return Look::Free };
        let look = rank.uses.look();
        if !matches!(look, Look::Free) {
            self.turn(all, id);
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
            Rule::Learnt => self.share.is_reached(small, self.total()),
            Rule::Fixed(percent) => {
                u128::from(small) * 100 >= u128::from(self.total()) * u128::from(percent)
            }
        }
    }

    fn total(&self) -> u64 {
        self.small.weight.saturating_add(self.main.weight)
    }

    /// Moves an entry to the beginning of the main queue.
    fn turn(&mut self, all: &mut impl Residents, id: Id) {
        self.unlink(all, id);
        self.push(all, id, Queue::Main);
    }

    fn push(&mut self, all: &mut impl Residents, id: Id, queue: Queue) {
        let Some(rank) = all.rank(id) else { return };
        rank.queue = queue;
        let weight = u64::from(rank.weight);
        let line = self.line(queue);
        line.weight = line.weight.saturating_add(weight);
        line.fifo.push(all, id);
    }

    fn unlink(&mut self, all: &mut impl Residents, id: Id) {
        let Some(rank) = all.rank(id) else { return };
        let (queue, weight) = (rank.queue, u64::from(rank.weight));
        let line = self.line(queue);
        line.weight = line.weight.saturating_sub(weight);
        line.fifo.remove(all, id);
    }

    fn line(&mut self, queue: Queue) -> &mut Line {
        match queue {
            Queue::Small => &mut self.small,
            Queue::Main => &mut self.main,
        }
    }
}

impl Uses {
    const MOST: u8 = 3;

    /// Others read and count at the same time; a use more or less that is lost does no harm.
    #[inline]
    fn add(&self) {
        let both = self.0.load(Ordering::Relaxed);
        if both & Self::MOST < Self::MOST {
            self.0.store(both + 1, Ordering::Relaxed);
        }
    }

    /// Forgets all of them; whether there was any.
    fn take(&mut self) -> bool {
        core::mem::take(self.0.get_mut()) & Self::MOST > 0
    }

    /// Pays with one, if there is one.
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

/// A weight past what fits counts as that: it steers the choice, and bounds nothing.
fn narrow(weight: u64) -> u16 {
    u16::try_from(weight).unwrap_or(u16::MAX)
}

/// How many entries in use refuse a candidate. With more of them the entries of a loop would be
/// looked at more often than they are asked for.
const RIVALS: u32 = 3;
/// One in this many fills a main queue that is short of its share.
const FILL: u8 = 32;
/// How many entries may go around again before one goes in any case.
const PATIENCE: u32 = 64;
