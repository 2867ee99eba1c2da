//! Which entry goes when there is no room: S3-FIFO, with a trial before the main queue and a small
//! queue whose length is learnt.
//!
//! Most keys of a real workload are asked for once and never again. So a new entry first passes
//! through a *small* queue. If nobody asked for it by the time it reaches the end, it goes, having
//! cost the others little: a scan flushes the small queue and nothing else. Its key is remembered
//! for a while as a *ghost*. An entry that was used in the small queue, and one that comes back
//! while it is a ghost, is a *candidate* for the *main* queue, which holds the rest. There, an
//! entry that is looked at goes around again, once for each time that it was asked for (up to
//! three), and makes way when it comes by with no use left.
//!
//! S3-FIFO lets every candidate in. Then a loop longer than the room runs through the main queue
//! as well, and each entry goes shortly before it is asked for. So here a candidate stands trial:
//! it is let in once an entry at main's end makes way, and refused once [`RIVALS`] of them have
//! turned out to be in use, each having paid with one of its uses. Of a loop main then keeps what
//! it has, and that part hits, which is the most that any policy can do. An entry that has a use
//! left but was not asked for since the last look is no rival: it pays as well, and the next is
//! looked at. So when the pattern changes, main resists for one turn, a third as many candidates
//! as it has entries, and gives way from then on.
//!
//! How long the small queue should be differs most of all: a hundredth of the room is best for
//! loops and for what is popular in the long run, a half or more for what is asked for again
//! soon or never. [`Share`] learns it from what comes back.
//!
//! Where there are no candidates, as in a loop many times longer than the room, main would never
//! fill. So while it is short of its share, one in [`FILL`] of the unused that leave the small
//! queue moves on instead; they are the first to make way.
//!
//! A hit writes one small counter and moves nothing. An eviction is O(1) amortised, since every
//! turn of an entry has been paid for by a hit; it is also bounded outright: after
//! [`PATIENCE`] turns the next in line goes, used or not. There is no chance in it: the same calls
//! choose the same victims.
//!
//! Lengths of queues are measured in *weight*: one an entry, or more where what it takes of the bound
//! is more. The policy knows neither keys nor values, nor when there is room.
//!
//! The sources are Yang et al., "FIFO queues are all you need for cache eviction" (SOSP 2023), for
//! the queues; Einziger et al., "TinyLFU" (ACM ToS 2017), for the thought that a newcomer must be
//! worth more than whom it displaces; Qureshi et al., "Adaptive insertion policies" (ISCA 2007),
//! for keeping a part of what thrashes and for letting in one of many. The trial is our own.

use core::sync::atomic::{AtomicU8, Ordering};

use super::fifo::{Fifo, Linked, Links};
use super::ghosts::Ghosts;
use super::share::Share;
use super::slab::Id;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

/// What the policy keeps of an entry.
#[derive(Debug)]
pub(super) struct Rank {
    /// Of its key's hash what is kept, which its owner may read too.
    pub(super) hash: u32,
    pub(super) links: Links,
    weight: u16,
    queue: Queue,
    uses: Uses,
}

/// How often an entry was asked for, up to [`MOST`](Uses::MOST), less what it has paid with; and
/// how much of that was left when it was last looked at. Two bits each, as a record has one byte.
#[derive(Debug, Default)]
struct Uses(AtomicU8);

impl Rank {
    pub(super) fn new(hash: u32) -> Self {
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
pub(super) trait Residents: Linked {
    fn rank(&mut self, id: Id) -> Option<&mut Rank>;
}

#[derive(Debug)]
pub(super) struct Policy {
    small: Line,
    main: Line,
    len: u32,
    ghosts: Ghosts,
    share: Share,
    /// How many unused entries have left the small queue since one of them filled main.
    unused: u8,
}

#[derive(Debug)]
struct Line {
    fifo: Fifo,
    weight: u64,
}

impl Policy {
    pub(super) const fn new() -> Self {
        let (small, main) = (Line::new(), Line::new());
        Self { small, main, len: 0, ghosts: Ghosts::new(), share: Share::new(), unused: 0 }
    }

    /// Takes in an entry whose rank is new.
    pub(super) fn insert(&mut self, all: &mut impl Residents, id: Id, weight: u64) {
        let Some(rank) = all.rank(id) else { return };
        rank.weight = narrow(weight);
        let queue = match self.ghosts.take(rank.hash) {
            Some(absence) => {
                self.share.learn(absence, self.len);
                let mut patience = PATIENCE;
                if self.admits(all, &mut patience) { Queue::Main } else { Queue::Small }
            }
            None => Queue::Small,
        };
        self.len += 1;
        self.push(all, id, queue);
    }

    /// Lets go of an entry.
    pub(super) fn remove(&mut self, all: &mut impl Residents, id: Id) {
        self.unlink(all, id);
        self.len = self.len.saturating_sub(1);
    }

    /// Notes that the entry at `id` was at another number before.
    pub(super) fn moved(&mut self, all: &mut impl Residents, id: Id) {
        let Some(rank) = all.rank(id) else { return };
        let queue = rank.queue;
        self.line(queue).fifo.moved(all, id);
    }

    /// Notes that an entry was asked for.
    #[inline]
    pub(super) fn hit(&self, rank: &Rank) {
        rank.uses.add();
    }

    /// Notes that an entry weighs something else now.
    pub(super) fn reweigh(&mut self, all: &mut impl Residents, id: Id, weight: u64) {
        let Some(rank) = all.rank(id) else { return };
        let old = core::mem::replace(&mut rank.weight, narrow(weight));
        let (new, queue) = (rank.weight, rank.queue);
        let line = self.line(queue);
        line.weight = line.weight.saturating_sub(u64::from(old)).saturating_add(u64::from(new));
    }

    /// Chooses the entry that should go next, other than `spared`, and leaves it to the caller to
    /// remove it. None if there is no other.
    pub(super) fn victim(&mut self, all: &mut impl Residents, spared: Id) -> Option<Id> {
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
        let small_is_long = self.share.is_reached(self.small.weight, self.total());
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
        if !self.share.is_reached(rest, self.total()) {
            return false;
        }
        self.unused = (self.unused + 1) % FILL;
        self.unused == 0
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
