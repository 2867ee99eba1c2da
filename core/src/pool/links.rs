//! The links of a pool, each in its phase. What is asked of all of them costs the same however many
//! there are, or follows from their order.

use alloc::collections::{BTreeMap, BTreeSet};

use super::{LinkId, Phase};
use crate::time::Instant;
use crate::work::Work;

/// Links by their names, which say the order in which they were dialled.
#[derive(Debug)]
pub(super) struct Links {
    phases: BTreeMap<LinkId, Phase>,
    open: BTreeSet<LinkId>,
    /// When open links are too old, for those that ever are.
    ages: BTreeSet<(Instant, LinkId)>,
    dialling: usize,
    /// How many links were looked at.
    visited: Work,
}

impl Links {
    pub(super) const fn new() -> Self {
        Self {
            phases: BTreeMap::new(),
            open: BTreeSet::new(),
            ages: BTreeSet::new(),
            dialling: 0,
            visited: Work::new(),
        }
    }

    /// Puts a link in a phase, the one it was in being over.
    pub(super) fn put(&mut self, id: LinkId, phase: Phase) {
        self.remove(id);
        match phase {
            Phase::Dialling => self.dialling += 1,
            Phase::Open { until, .. } => {
                self.open.insert(id);
                if until < Instant::MAX {
                    self.ages.insert((until, id));
                }
            }
            Phase::Closing => {}
        }
        self.phases.insert(id, phase);
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<Phase> {
        self.visited.count();
        let phase = self.phases.remove(&id)?;
        match phase {
            Phase::Dialling => self.dialling -= 1,
            Phase::Open { until, .. } => {
                self.open.remove(&id);
                self.ages.remove(&(until, id));
            }
            Phase::Closing => {}
        }
        Some(phase)
    }

    pub(super) fn contains(&self, id: LinkId) -> bool {
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

    /// How many are to close.
    pub(super) fn closing(&self) -> usize {
        self.len() - self.open() - self.dialling
    }

    /// Those that are open, from the last one dialled below `before`, or of all, to the first.
    pub(super) fn open_before(&self, before: Option<LinkId>) -> impl Iterator<Item = LinkId> + '_ {
        let before = before.unwrap_or(LinkId(u64::MAX));
        self.open.range(..before).rev().inspect(|_| self.visited.count()).copied()
    }

    /// All are to close.
    pub(super) fn close_all(&mut self) {
        self.ages.clear();
        self.dialling = 0;
        for phase in self.phases.values_mut() {
            self.visited.count();
            *phase = Phase::Closing;
        }
        self.open.clear();
    }

    /// The link that has been too old for longest.
    pub(super) fn too_old(&self, now: Instant) -> Option<LinkId> {
        let old = self.ages.range(..=(now, LinkId(u64::MAX)));
        old.map(|(_, id)| *id).next()
    }

    /// When the next one is too old that is not yet.
    pub(super) fn next_age(&self, now: Instant) -> Option<Instant> {
        let mut later = self.ages.range((now, LinkId(u64::MAX))..);
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
