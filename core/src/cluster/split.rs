//! Commands for many keys: split into parts that a node takes, and their answers put together.
//!
//! A server takes several keys in one command only where they are of one slot. So a part is a run of
//! keys of one slot, and parts for one node go out together. Where the slot of a part is being moved
//! its keys may be on two nodes (`TRYAGAIN`): then each key goes by itself, and [`Gather`] does not mind.
//!
//! Nothing of what the caller gave is copied or moved: all is said by places in the caller's order. For
//! a command on many names there is [`Split::names`], which copies names into the order of the
//! parts, of which each is then a window.
//!
//! Writes are sent key by key, as a run of commands has one answer for all of it: which of them a
//! node had redirected could not be told. Of a key that is written twice only the last value is sent; two
//! commands that each may be redirected have no order.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use super::slot::Slot;
use crate::key::{Keys, Names};
use crate::reply::Reply;

/// Places of many keys, in runs of one slot each.
#[derive(Clone, Debug)]
pub struct Split {
    order: Vec<usize>,
    parts: Vec<(Slot, Range<usize>)>,
    /// Places that are not sent, as a later one has the same key.
    repeated: Vec<usize>,
    len: usize,
}

/// Some of many keys, all of one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Their slot.
    pub slot: Slot,
    /// Their places in the caller's order; rising, but for writes.
    pub places: &'a [usize],
    /// Where they lie in [`Split::names`].
    pub range: Range<usize>,
}

impl Split {
    /// Splits keys by their slots. Keys of one slot keep their order.
    #[must_use]
    pub fn of(slots: impl IntoIterator<Item = Slot>) -> Self {
        let slots: Vec<Slot> = slots.into_iter().collect();
        let mut order: Vec<(Slot, usize)> = slots.into_iter().zip(0..).collect();
        order.sort_unstable();
        let len = order.len();
        Self::in_order(order, Vec::new(), len)
    }

    /// Splits keys that are read or removed.
    #[must_use]
    pub fn of_keys(keys: &Keys<'_>) -> Self {
        Self::of(keys.iter().map(|key| Slot::of_key(&key)))
    }

    /// Splits keys that are written: of equal ones only the last is kept. In a part they come in the
    /// order of their names.
    #[must_use]
    pub fn of_writes(keys: &Keys<'_>) -> Self {
        let mut all: Vec<(Slot, &[u8], usize)> = Vec::with_capacity(keys.len());
        all.extend(keys.iter().zip(0..).map(|(key, at)| (Slot::of_key(&key), key.name(), at)));
        all.sort_unstable();
        let (mut order, mut repeated) = (Vec::with_capacity(all.len()), Vec::new());
        let mut ahead = all.iter().peekable();
        while let Some((slot, name, at)) = ahead.next() {
            match ahead.peek() {
                Some((_, next, _)) if next == name => repeated.push(*at),
                Some(_) | None => order.push((*slot, *at)),
            }
        }
        Self::in_order(order, repeated, all.len())
    }

    fn in_order(order: Vec<(Slot, usize)>, repeated: Vec<usize>, len: usize) -> Self {
        let mut parts: Vec<(Slot, Range<usize>)> = Vec::new();
        for (at, (slot, _)) in order.iter().enumerate() {
            match parts.last_mut() {
                Some((last, range)) if last == slot => range.end = at + 1,
                Some(_) | None => parts.push((*slot, at..at + 1)),
            }
        }
        let order = order.into_iter().map(|(_, at)| at).collect();
        Self { order, parts, repeated, len }
    }

    /// The parts, in the order of their slots.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = Part<'_>> {
        self.parts.iter().map(|part| self.part(part))
    }

    /// The parts by the node that each is for: those of one node in one group. Groups come in the
    /// order of their nodes; parts whose node is not known (`None`) in one of their own, first.
    #[must_use]
    pub fn by_node<N: Ord>(
        &self,
        mut node: impl FnMut(Slot) -> Option<N>,
    ) -> Vec<(Option<N>, Vec<Part<'_>>)> {
        let mut parts: Vec<_> =
            self.parts.iter().map(|part| (node(part.0), self.part(part))).collect();
        parts.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut groups: Vec<(Option<N>, Vec<Part<'_>>)> = Vec::new();
        for (node, part) in parts {
            match groups.last_mut() {
                Some((last, group)) if *last == node => group.push(part),
                Some(_) | None => groups.push((node, vec![part])),
            }
        }
        groups
    }

    /// The names of the keys that were split, in the order of the parts: the window
    /// [`Part::range`] of them is a part.
    #[must_use]
    pub fn names(&self, keys: &Keys<'_>) -> Names {
        let all: Vec<&[u8]> = keys.iter().map(|key| key.name()).collect();
        self.order.iter().map(|&at| all.get(at).copied().unwrap_or_default()).collect()
    }

    fn part(&self, (slot, range): &(Slot, Range<usize>)) -> Part<'_> {
        let places = self.order.get(range.clone()).unwrap_or_default();
        Part { slot: *slot, places, range: range.clone() }
    }
}

/// The answers to the parts of a split, put together.
#[derive(Clone, Debug)]
pub struct Gather<E> {
    places: Vec<Place>,
    removed: u64,
    failures: Vec<(Vec<usize>, E)>,
    left: usize,
}

/// What is known of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Open,
    Failed,
    Done(Option<Bytes>),
}

/// An answer does not fit what it answers: another kind of reply, for another number of keys, or for keys
/// that were answered before. Nothing was taken from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an answer does not fit the keys it is for")]
pub struct Misfit;

/// Some of many keys failed.
///
/// Those of which nothing is said were done, and `done` has what came of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partial<T, E> {
    /// What came of the others.
    pub done: T,
    /// The places of keys that failed together, rising as they were asked, and why; in the order in which
    /// they failed.
    pub failed: Vec<(Vec<usize>, E)>,
    /// The places of keys whose answer has not come.
    pub unanswered: Vec<usize>,
}

/// What came of all keys, or of some.
pub type Gathered<T, E> = Result<T, Partial<T, E>>;

impl<E> Gather<E> {
    /// No answers yet.
    #[must_use]
    pub fn new(split: &Split) -> Self {
        let mut places = vec![Place::Open; split.len];
        for &at in &split.repeated {
            if let Some(place) = places.get_mut(at) {
                *place = Place::Done(None);
            }
        }
        let left = split.order.len();
        Self { places, removed: 0, failures: Vec::new(), left }
    }

    /// Takes the answer for the keys at these places: of a [`Part`], or of some of one.
    ///
    /// # Errors
    /// [`Misfit`].
    pub fn take(&mut self, places: &[usize], outcome: Result<Reply, E>) -> Result<(), Misfit> {
        let is_open = |&at: &usize| self.places.get(at) == Some(&Place::Open);
        if places.is_empty() || !places.iter().all(is_open) {
            return Err(Misfit);
        }
        let filled: Vec<Place> = match outcome {
            Ok(Reply::Values(values)) if values.len() == places.len() => {
                values.into_iter().map(Place::Done).collect()
            }
            Ok(Reply::Value(value)) if places.len() == 1 => vec![Place::Done(value)],
            Ok(Reply::Count(count)) if count <= places.len() as u64 => {
                self.removed += count;
                vec![Place::Done(None); places.len()]
            }
            Ok(Reply::Done) => vec![Place::Done(None); places.len()],
            Ok(
                Reply::Values(_)
                | Reply::Value(_)
                | Reply::Count(_)
                | Reply::Flag(_)
                | Reply::Number(_)
                | Reply::Remaining(_)
                | Reply::Scanned { .. }
                | Reply::Topology(_),
            ) => return Err(Misfit),
            Err(error) => {
                self.failures.push((places.to_vec(), error));
                vec![Place::Failed; places.len()]
            }
        };
        for (&at, filled) in places.iter().zip(filled) {
            if let Some(place) = self.places.get_mut(at) {
                let was_open = core::mem::replace(place, filled) == Place::Open;
                self.left = self.left.saturating_sub(was_open.into());
            }
        }
        Ok(())
    }

    /// Whether every key has its answer.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.left == 0
    }

    /// The values in the caller's order, each where there is one.
    ///
    /// # Errors
    /// [`Partial`] where any key failed or has no answer; its place has no value then.
    pub fn values(mut self) -> Gathered<Vec<Option<Bytes>>, E> {
        let take = |place: &mut Place| match place {
            Place::Done(value) => value.take(),
            Place::Open | Place::Failed => None,
        };
        let values = self.places.iter_mut().map(take).collect();
        self.end(values)
    }

    /// How many keys there were, of those that were removed.
    ///
    /// # Errors
    /// [`Partial`] where any failed or has no answer.
    pub fn count(self) -> Gathered<u64, E> {
        let removed = self.removed;
        self.end(removed)
    }

    /// That all keys were written.
    ///
    /// # Errors
    /// [`Partial`] where any failed or has no answer.
    pub fn done(self) -> Gathered<(), E> {
        self.end(())
    }

    fn end<T>(self, done: T) -> Gathered<T, E> {
        let open = self.places.iter().enumerate().filter(|(_, place)| **place == Place::Open);
        let unanswered: Vec<usize> = open.map(|(at, _)| at).collect();
        if self.failures.is_empty() && unanswered.is_empty() {
            return Ok(done);
        }
        Err(Partial { done, failed: self.failures, unanswered })
    }
}

#[cfg(test)]
mod tests;
