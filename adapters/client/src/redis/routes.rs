//! Which of the open links takes a command, decided by nothing but how busy each is.
//!
//! Commands fill the links from the first on, so that few links do all the work and their batches
//! are large. Those for large values fill them from the last on, so that the two stay apart.

use std::sync::Arc;

use async_caches_core::command::Command;
use async_caches_core::large::LargeKeys;
use async_caches_core::pool::LinkId;

use super::link::{BYTES_OF_A_COMMAND, CLOSED, STALLED, Shared};

/// Links by their names, in the order in which they opened.
pub(super) type Links = Vec<(LinkId, Arc<Shared>)>;

/// What callers see of a pool: the links that take commands, for most of them to find one without
/// asking the pool, nor waiting for each other.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(super) links: Links,
    /// Whether there may be no more of them, however busy they are.
    pub(super) full: bool,
    /// The load from which a link is busy.
    pub(super) busy: usize,
    pub(super) large: Arc<LargeKeys>,
}

/// How much callers may leave to a link, and how many of them may wait for one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Commands of one link without a reply.
    pub(super) in_flight: usize,
    /// Bytes of one link that its socket has not taken; the command that passes it is the last.
    pub(super) queued_bytes: usize,
    /// Callers of all links that wait for one, or for room.
    pub(super) waiting: usize,
}

impl Bounds {
    /// The load from which a link is busy: more links are opened where they may be.
    #[inline]
    pub(super) fn busy(self) -> usize {
        let bytes = self.queued_bytes / BYTES_OF_A_COMMAND;
        BUSY.min(self.in_flight).min(bytes.max(1))
    }
}

impl Routes {
    /// A link to use at once for a command, where there is one and no reason to open more; and
    /// whether the command is for a large value.
    #[inline(always)]
    pub(crate) fn find(&self, command: &Command<'_>) -> Option<(Arc<Shared>, bool)> {
        if self.large.expects(command) {
            return self.find_for_large().map(|link| (link, true));
        }
        let (link, load) = pick(&self.links, self.busy)?;
        (load < self.busy || self.full).then_some((link, false))
    }

    /// Where commands for large values go: the last busy link, or else the last. Others fill the
    /// links from the first on, so the two stay apart; and large values are faster on one
    /// connection than on many, whose buffers no cache of a processor holds together.
    fn find_for_large(&self) -> Option<Arc<Shared>> {
        let loads = self.links.iter().map(|(_, link)| link.load());
        let (_, link) = self.links.get(place_for_large(loads, self.busy)?)?;
        Some(Arc::clone(link))
    }
}

/// The first link that is not busy, so that few links do all the work and their batches are large;
/// where all are, the least busy; and how busy it is.
#[inline(always)]
pub(super) fn pick(links: &Links, busy: usize) -> Option<(Arc<Shared>, usize)> {
    let loads = links.iter().map(|(_, link)| (link, link.load()));
    let free = loads.clone().find(|(_, load)| *load < busy);
    let (link, load) = free.or_else(|| loads.min_by_key(|(_, load)| *load))?;
    (load < CLOSED).then(|| (Arc::clone(link), load))
}

/// The last of these loads that is busy, or else the last that is no reason to stay away.
fn place_for_large(
    loads: impl DoubleEndedIterator<Item = usize> + ExactSizeIterator + Clone,
    busy: usize,
) -> Option<usize> {
    let mut working = loads.enumerate().rev().filter(|(_, load)| *load < STALLED);
    working.clone().find(|(_, load)| *load >= busy).or_else(|| working.next()).map(|(at, _)| at)
}

/// A link with this much to do is busy, if it may have as much.
pub(super) const BUSY: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_go_to_the_last_busy_link_that_works_or_else_to_the_last() {
        let place = |loads: &[usize]| place_for_large(loads.iter().copied(), BUSY);
        assert_eq!(place(&[]), None);
        assert_eq!(place(&[0]), Some(0));
        assert_eq!(place(&[5, 0, 7]), Some(2));
        assert_eq!(place(&[BUSY, BUSY + 9, 7]), Some(1));
        assert_eq!(place(&[BUSY, 3, STALLED]), Some(0));
        assert_eq!(place(&[3, STALLED + BUSY, CLOSED]), Some(0));
        assert_eq!(place(&[STALLED, CLOSED]), None);
    }
}
