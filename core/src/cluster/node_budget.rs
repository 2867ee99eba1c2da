//! How many nodes become known by redirects alone, and how fast new nodes are dialled.
//!
//! # Theory of operation
//!
//! Each node that is dialled is sent the credentials, and costs connections, so a node that lies
//! must not choose how many there are. It can lie in a redirect and in a map:
//!
//! * At most [`NodeBudget::REDIRECTED`] nodes are known from redirects alone at one time, whether
//!   callers find them in the map (`MOVED`) or not (`ASK`). A burst of new ones is free, since a
//!   cluster to which many nodes were just added looks like that; after the burst one more is
//!   accepted each [`NodeBudget::REDIRECT_EVERY`]. A map that names such a node confirms the
//!   redirect, and gives its part of the burst back. So a cluster of any size is followed at the
//!   pace at which its map is read.
//! * [`NodeBudget::DIALS`] nodes may be dialled for the first time at once, which is the
//!   recommended greatest size of a cluster; after that one each [`NodeBudget::DIAL_EVERY`]. So
//!   maps that name ever new nodes are followed at that pace, whatever callers ask for.
//!
//! A caller that finds no room waits: see [`Hops::crowded`](super::redirect::Hops::crowded). This
//! module knows neither nodes nor callers; it counts.

use core::time::Duration;

use super::map::SlotMap;
use crate::time::Instant;

/// How many nodes a client of one cluster may learn of from redirects, and how fast it may dial new
/// ones.
///
/// ```
/// use async_caches_core::cluster::node_budget::NodeBudget;
/// use async_caches_core::time::Instant;
///
/// let now = Instant::ORIGIN;
/// let mut budget = NodeBudget::new(now);
/// let burst = (0..10_000).take_while(|_| budget.dial(now)).count();
/// assert_eq!(burst, NodeBudget::DIALS as usize);
/// assert!(!budget.dial(now)); // the caller waits
/// assert!(budget.dial(now + NodeBudget::DIAL_EVERY));
/// ```
#[derive(Clone, Debug)]
pub struct NodeBudget {
    redirects: Allowance,
    dials: Allowance,
}

/// A number that grows by one at each interval, up to its first value.
#[derive(Clone, Debug)]
struct Allowance {
    left: u32,
    most: u32,
    every: Duration,
    /// Since when it has been growing.
    since: Instant,
}

impl NodeBudget {
    /// How many nodes may be known from redirects alone.
    pub const REDIRECTED: usize = SlotMap::MAX_REDIRECTED;
    /// How long it takes until another one may become known, after a burst of that many.
    pub const REDIRECT_EVERY: Duration = Duration::from_secs(1);
    /// How many nodes may be dialled for the first time in a burst.
    pub const DIALS: u32 = 1024;
    /// How long it takes until another one may be dialled after that: 64 in a second.
    pub const DIAL_EVERY: Duration = Duration::from_micros(15_625);

    /// All of the room is free.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let redirected = u32::try_from(Self::REDIRECTED).unwrap_or(u32::MAX);
        Self {
            redirects: Allowance::new(redirected, Self::REDIRECT_EVERY, now),
            dials: Allowance::new(Self::DIALS, Self::DIAL_EVERY, now),
        }
    }

    /// Whether a redirect may make a node known. If so, takes its part of the room. `known` is how
    /// many nodes are already known from redirects alone.
    pub fn redirect(&mut self, known: usize, now: Instant) -> bool {
        known < Self::REDIRECTED && self.redirects.take(now)
    }

    /// Reports that a map has named this many of the nodes that were known from redirects alone.
    pub fn confirmed(&mut self, nodes: usize) {
        self.redirects.give_back(u32::try_from(nodes).unwrap_or(u32::MAX));
    }

    /// Whether a node may be dialled for the first time. If so, takes its part of the room.
    pub fn dial(&mut self, now: Instant) -> bool {
        self.dials.take(now)
    }
}

impl Allowance {
    fn new(most: u32, every: Duration, now: Instant) -> Self {
        Self { left: most, most, every, since: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        self.grow(now);
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }

    fn give_back(&mut self, count: u32) {
        self.left = self.left.saturating_add(count).min(self.most);
    }

    fn grow(&mut self, now: Instant) {
        let grown = now.since(self.since).as_nanos() / self.every.as_nanos().max(1);
        let grown = u32::try_from(grown).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(grown).min(self.most);
        // A full allowance does not save up time.
        self.since = match self.left == self.most {
            true => now.max(self.since),
            false => self.since + self.every.saturating_mul(grown),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// How many redirects to new nodes are followed at one time, if earlier ones are forgotten.
    fn followed(room: &mut NodeBudget, now: Instant) -> usize {
        (0..1_000).take_while(|_| room.redirect(0, now)).count()
    }

    /// How many nodes are dialled at one time.
    fn dialled(room: &mut NodeBudget, now: Instant) -> usize {
        (0..10_000).take_while(|_| room.dial(now)).count()
    }

    #[test]
    fn no_redirect_is_followed_beyond_64_nodes_known_from_redirects() {
        let mut room = NodeBudget::new(at(0));
        assert!(room.redirect(63, at(0)));
        for known in [64, 65, 10_000, usize::MAX] {
            assert!(!room.redirect(known, at(0)), "{known}");
        }
        assert_eq!(followed(&mut room, at(0)), 63, "what found no room took none");
    }

    #[test]
    fn after_a_burst_one_more_redirect_is_followed_in_a_second() {
        let mut room = NodeBudget::new(at(0));
        assert_eq!(followed(&mut room, at(0)), 64);
        for (now, count) in
            [(999, 0), (1_000, 1), (1_999, 0), (3_500, 2), (3_999, 0), (4_000, 1), (900_000, 64)]
        {
            assert_eq!(followed(&mut room, at(now)), count, "at {now}");
        }
        assert_eq!(followed(&mut room, at(900_999)), 0, "a full second after it was full");
        assert_eq!(followed(&mut room, at(901_000)), 1);
    }

    #[test]
    fn nodes_that_a_map_confirms_free_room_at_once() {
        let mut room = NodeBudget::new(at(0));
        assert_eq!(followed(&mut room, at(0)), 64);
        room.confirmed(10);
        assert_eq!(followed(&mut room, at(0)), 10);
        room.confirmed(usize::MAX);
        assert_eq!(followed(&mut room, at(0)), 64, "and never more than a burst");
    }

    #[test]
    fn a_thousand_nodes_are_dialled_at_once_and_then_64_a_second() {
        let mut room = NodeBudget::new(at(0));
        assert_eq!(dialled(&mut room, at(0)), 1_024);
        let later: usize = (1..=10_000).map(|now| dialled(&mut room, at(now))).sum();
        assert_eq!(later, 640, "in ten seconds");
        assert_eq!(followed(&mut room, at(0)), 64, "which is nothing to redirects");
    }

    #[test]
    fn a_stopped_clock_adds_no_room() {
        let mut room = NodeBudget::new(at(5));
        assert_eq!(dialled(&mut room, at(5)), 1_024);
        assert_eq!(dialled(&mut room, at(0)), 0);
        assert_eq!(dialled(&mut room, Instant::MAX), 1_024);
        assert_eq!(dialled(&mut room, Instant::MAX), 0);
    }
}
