//! The connections of a pool, each in its phase. The cost of a query about all of them does not
//! depend on their number, except if it lists them in order.

use alloc::collections::{BTreeMap, BTreeSet};

use super::phase::{ConnectionId, PooledPhase};
use crate::time::Instant;
use crate::work::Work;

/// Connections by their names, which are in the order in which they were dialled.
#[derive(Debug)]
pub(super) struct Connections {
    phases: BTreeMap<ConnectionId, PooledPhase>,
    open: BTreeSet<ConnectionId>,
    /// When open connections become too old, for those that ever do.
    ages: BTreeSet<(Instant, ConnectionId)>,
    dialling: usize,
    /// How many connections were looked at.
    visited: Work,
}

impl Connections {
    pub(super) const fn new() -> Self {
        Self {
            phases: BTreeMap::new(),
            open: BTreeSet::new(),
            ages: BTreeSet::new(),
            dialling: 0,
            visited: Work::new(),
        }
    }

    /// Moves a connection to a phase, out of its old one.
    pub(super) fn put(&mut self, id: ConnectionId, phase: PooledPhase) {
        self.remove(id);
        match phase {
            PooledPhase::Dialling => self.dialling += 1,
            PooledPhase::Open { until, .. } => {
                self.open.insert(id);
                if until < Instant::MAX {
                    self.ages.insert((until, id));
                }
            }
            PooledPhase::Closing => {}
        }
        self.phases.insert(id, phase);
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<PooledPhase> {
        self.visited.count();
        let phase = self.phases.remove(&id)?;
        match phase {
            PooledPhase::Dialling => self.dialling -= 1,
            PooledPhase::Open { until, .. } => {
                self.open.remove(&id);
                self.ages.remove(&(until, id));
            }
            PooledPhase::Closing => {}
        }
        Some(phase)
    }

    pub(super) fn contains(&self, id: ConnectionId) -> bool {
        self.visited.count();
        self.phases.contains_key(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.phases.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.phases.is_empty()
    }

    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    pub(super) fn dialling(&self) -> usize {
        self.dialling
    }

    /// How many are closing.
    pub(super) fn closing(&self) -> usize {
        self.len() - self.open() - self.dialling
    }

    /// The open connections below `before`, or all if that is `None`, from the last one dialled to
    /// the first.
    pub(super) fn open_before(
        &self,
        before: Option<ConnectionId>,
    ) -> impl Iterator<Item = ConnectionId> + '_ {
        let before = before.unwrap_or(ConnectionId(u64::MAX));
        self.open.range(..before).rev().inspect(|_| self.visited.count()).copied()
    }

    /// Marks all as closing.
    pub(super) fn close_all(&mut self) {
        self.ages.clear();
        self.dialling = 0;
        for phase in self.phases.values_mut() {
            self.visited.count();
            *phase = PooledPhase::Closing;
        }
        self.open.clear();
    }

    /// The connection that has been too old for longest.
    pub(super) fn too_old(&self, now: Instant) -> Option<ConnectionId> {
        let old = self.ages.range(..=(now, ConnectionId(u64::MAX)));
        old.map(|(_, id)| *id).next()
    }

    /// When the next connection becomes too old.
    pub(super) fn next_age(&self, now: Instant) -> Option<Instant> {
        let mut later = self.ages.range((now, ConnectionId(u64::MAX))..);
        later.find(|(until, _)| *until > now).map(|(until, _)| *until)
    }

    #[cfg(test)]
    pub(super) fn ages(&self) -> impl Iterator<Item = Instant> {
        self.ages.iter().map(|(until, _)| *until)
    }

    #[cfg(test)]
    pub(super) fn visited(&self) -> u64 {
        self.visited.steps()
    }
}
