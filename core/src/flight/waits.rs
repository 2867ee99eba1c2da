//! The graph of loads that wait for each other, kept free of circles.
//!
//! A loader may ask the cache for another key, and so wait for a load that another caller leads.
//! The loads of all caches of a process then form a graph. It has an edge from each load that the
//! waiting caller is part of to the load that it waits for. A wait that would close a circle is
//! refused, and its caller loads by itself. As every edge is checked before it is added, there
//! never is a circle.
//!
//! The graph is conservative, not exact. A load counts as waiting while any future that was polled
//! inside it waits, although a loader may wait for several loads and need only one of them. A
//! needless refusal only costs a second load.
//!
//! A check visits each load that can be reached from the load to wait for, and each edge between
//! them, once. A caller outside of all loads adds no edge and needs no visit.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;

use crate::work::Work;

/// The loads that wait. `N` identifies a load among all tables of the process, and is never reused.
///
/// ```
/// use async_caches_core::flight::Waits;
///
/// let mut waits = Waits::new();
/// assert!(waits.begin(&["posts"], "user")); // the loader of `posts` waits for the load of `user`
/// assert!(!waits.begin(&["user"], "posts")); // the reverse would wait for ever
/// waits.end(&["posts"], "user");
/// assert!(waits.is_empty());
/// ```
#[derive(Debug)]
pub struct Waits<N> {
    /// For each load, the loads that it waits for, and how many callers inside it wait for each.
    edges: BTreeMap<N, BTreeMap<N, usize>>,
    visits: Work,
}

impl<N: Copy + Ord> Waits<N> {
    /// Creates an empty graph.
    #[must_use]
    pub const fn new() -> Self {
        Self { edges: BTreeMap::new(), visits: Work::new() }
    }

    /// Whether no load waits for another.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// A caller that is polled `inside` these loads is about to wait for the load `on`. Returns
    /// `false`, and adds no edge, if one of them would then wait for itself; the caller must not
    /// wait. Otherwise [`end`](Self::end) must be called with the same loads when the wait is over.
    #[must_use]
    pub fn begin(&mut self, inside: &[N], on: N) -> bool {
        if self.reaches(on, inside) {
            return false;
        }
        for load in inside {
            *self.edges.entry(*load).or_default().entry(on).or_default() += 1;
        }
        true
    }

    /// Ends a wait for which [`begin`](Self::begin) returned `true`.
    pub fn end(&mut self, inside: &[N], on: N) {
        for load in inside {
            let Some(targets) = self.edges.get_mut(load) else { continue };
            if let Some(callers) = targets.get_mut(&on) {
                *callers -= 1;
                if *callers == 0 {
                    targets.remove(&on);
                }
            }
            if targets.is_empty() {
                self.edges.remove(load);
            }
        }
    }

    /// Whether one of `goals` is `from`, or `from` waits for it, directly or through other loads.
    fn reaches(&self, from: N, goals: &[N]) -> bool {
        let goals: BTreeSet<N> = goals.iter().copied().collect();
        let (mut seen, mut next) = (BTreeSet::from([from]), vec![from]);
        while let Some(load) = next.pop() {
            self.visits.count();
            if goals.contains(&load) {
                return true;
            }
            let targets = self.edges.get(&load).into_iter().flat_map(BTreeMap::keys);
            next.extend(targets.copied().filter(|target| seen.insert(*target)));
        }
        false
    }
}

impl<N: Copy + Ord> Default for Waits<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_does_not_wait_for_itself() {
        let mut waits = Waits::new();
        assert!(!waits.begin(&['a'], 'a'));
        assert!(!waits.begin(&['a', 'b'], 'a'), "nor does a load inside it");
        assert!(!waits.begin(&['a', 'b'], 'b'));
        assert!(waits.is_empty());
    }

    #[test]
    fn rings_of_loads_are_refused_and_chains_are_not() {
        let mut waits = Waits::new();
        assert!(waits.begin(&['a'], 'b'));
        assert!(waits.begin(&['b'], 'c'));
        assert!(!waits.begin(&['b'], 'a'));
        assert!(!waits.begin(&['c'], 'a'), "over three");
        assert!(waits.begin(&['d'], 'a') && waits.begin(&['a'], 'e') && waits.begin(&['d'], 'e'));
    }

    #[test]
    fn the_wait_that_closes_a_ring_is_refused_at_any_length() {
        for length in 1..50_u32 {
            let mut waits = Waits::new();
            for load in 1..length {
                assert!(waits.begin(&[load - 1], load), "{load} of {length}");
            }
            assert!(!waits.begin(&[length - 1], 0), "{length}");
        }
    }

    #[test]
    fn a_caller_inside_several_loads_holds_up_each_of_them() {
        let mut waits = Waits::new();
        assert!(waits.begin(&['a', 'b'], 'c'));
        assert!(!waits.begin(&['c'], 'a'));
        assert!(!waits.begin(&['c'], 'b'));
    }

    #[test]
    fn a_load_may_wait_for_several_at_once() {
        let mut waits = Waits::new();
        assert!(waits.begin(&['a'], 'b') && waits.begin(&['a'], 'c') && waits.begin(&['a'], 'b'));
        assert!(!waits.begin(&['b'], 'a') && !waits.begin(&['c'], 'a'));
        waits.end(&['a'], 'b');
        assert!(!waits.begin(&['b'], 'a'), "another caller inside a still waits for b");
        waits.end(&['a'], 'b');
        assert!(waits.begin(&['b'], 'a'));
        assert!(!waits.begin(&['c'], 'b'), "c would wait for b, b for a, and a for c");
    }

    #[test]
    fn an_edge_vanishes_with_its_wait() {
        let mut waits = Waits::new();
        assert!(waits.begin(&['a', 'b'], 'c'));
        waits.end(&['a', 'b'], 'c');
        waits.end(&['a', 'b'], 'c');
        assert!(waits.is_empty());
        assert!(waits.begin(&['c'], 'a'));
    }

    #[test]
    fn a_check_visits_each_load_once() {
        let mut waits = Waits::new();
        // Layers of ten loads, each of which waits for all of the next: 10^20 paths.
        for layer in 0..20_u32 {
            for (from, to) in (0..10).flat_map(|from| (0..10).map(move |to| (from, to))) {
                assert!(waits.begin(&[layer * 10 + from], (layer + 1) * 10 + to));
            }
        }
        let before = waits.visits.steps();
        assert!(waits.begin(&[1_000], 0));
        assert!(waits.visits.steps() - before <= 210);
    }
}
