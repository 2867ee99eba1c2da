//! Commands for many keys: splits them into parts that a node accepts, and joins the answers.
//!
//! A server accepts several keys in one command only if they are of one slot. So a part is a run of
//! keys of one slot, and parts for one node are sent together. If the slot of a part is being
//! moved, its keys may be on two nodes (`TRYAGAIN`). Then each key goes by itself, which [`Gather`]
//! allows.
//!
//! None of the caller's keys and values is copied or moved: parts are given by places in the
//! caller's order. For a command on many names there is [`Split::names`]. It copies the names into
//! the order of the parts, so that each part is a window of them.
//!
//! Writes are sent key by key. A run of commands has one answer for all of it, which would not show
//! which of the commands a node had redirected. If a key is written twice only the last value is
//! sent, as two commands that each may be redirected have no order.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use super::slot::Slot;
use crate::key::{Keys, Names};
use crate::reply::Reply;

/// The places of many keys, in runs of one slot each.
///
/// ```
/// use async_caches_core::cluster::split::Split;
/// use async_caches_core::key::{KeySpace, Names};
///
/// let space = KeySpace::default();
/// let names: Names = ["{a}1", "{b}1", "{a}2"].iter().collect();
/// let keys = space.scope(None)?.keys(&names);
/// let split = Split::of_keys(&keys);
/// let mut places: Vec<_> = split.parts().map(|part| part.places).collect();
/// places.sort();
/// assert_eq!(places, [&[0, 2][..], &[1]]); // the keys of one slot go together
/// # Ok::<(), async_caches_core::error::KeyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Split {
    order: Vec<usize>,
    parts: Vec<(Slot, Range<usize>)>,
    /// Places that are not sent, as a later place has the same key.
    repeated: Vec<usize>,
    len: usize,
}

/// Some of many keys, all of one slot.
///
/// ```
/// use async_caches_core::cluster::slot::Slot;
/// use async_caches_core::cluster::split::Split;
///
/// let (a, b) = (Slot::of(b"a"), Slot::of(b"b"));
/// let split = Split::of([b, a, b]);
/// let part = split.parts().find(|part| part.slot == b).expect("two keys are in this slot");
/// assert_eq!(part.places, [0, 2]);
/// assert_eq!(part.range.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotPart<'a> {
    /// Their slot.
    pub slot: Slot,
    /// Their places in the caller's order; rising, except for writes.
    pub places: &'a [usize],
    /// Their range in [`Split::names`].
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

    /// Splits keys that are written: of equal keys only the last is kept. In a part they are in the
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
    pub fn parts(&self) -> impl ExactSizeIterator<Item = SlotPart<'_>> {
        self.parts.iter().map(|part| self.part(part))
    }

    /// The parts grouped by the node that each is for. Groups are in the order of their nodes; the
    /// group of parts whose node is not known (`None`) comes first.
    #[must_use]
    pub fn by_node<N: Ord>(
        &self,
        mut node: impl FnMut(Slot) -> Option<N>,
    ) -> Vec<(Option<N>, Vec<SlotPart<'_>>)> {
        let mut parts: Vec<_> =
            self.parts.iter().map(|part| (node(part.0), self.part(part))).collect();
        parts.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut groups: Vec<(Option<N>, Vec<SlotPart<'_>>)> = Vec::new();
        for (node, part) in parts {
            match groups.last_mut() {
                Some((last, group)) if *last == node => group.push(part),
                Some(_) | None => groups.push((node, vec![part])),
            }
        }
        groups
    }

    /// The names of the keys that were split, in the order of the parts: the window
    /// [`SlotPart::range`] of them is a part.
    #[must_use]
    pub fn names(&self, keys: &Keys<'_>) -> Names {
        let all: Vec<&[u8]> = keys.iter().map(|key| key.name()).collect();
        self.order.iter().map(|&at| all.get(at).copied().unwrap_or_default()).collect()
    }

    fn part(&self, (slot, range): &(Slot, Range<usize>)) -> SlotPart<'_> {
        let places = self.order.get(range.clone()).unwrap_or_default();
        SlotPart { slot: *slot, places, range: range.clone() }
    }
}

/// The answers to the parts of a split, joined.
///
/// ```
/// use async_caches_core::cluster::slot::Slot;
/// use async_caches_core::cluster::split::{Gather, Split};
/// use async_caches_core::reply::Reply;
/// use bytes::Bytes;
///
/// let split = Split::of([Slot::of(b"a"), Slot::of(b"b"), Slot::of(b"a")]);
/// let mut gather: Gather<&str> = Gather::new(&split);
/// let ada = Some(Bytes::from("Ada"));
/// gather.take(&[1], Ok(Reply::Values(vec![ada.clone()])))?; // in any order
/// gather.take(&[0, 2], Ok(Reply::Values(vec![None, None])))?;
/// assert!(gather.is_complete());
/// assert_eq!(gather.values(), Ok(vec![None, ada, None])); // in the order of the request
/// # Ok::<(), async_caches_core::cluster::split::Misfit>(())
/// ```
#[derive(Clone, Debug)]
pub struct Gather<E> {
    places: Vec<KeyAnswer>,
    removed: u64,
    failures: Vec<(Vec<usize>, E)>,
    left: usize,
}

/// The state of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
enum KeyAnswer {
    Open,
    Failed,
    Done(Option<Bytes>),
}

/// An answer does not fit its keys: it is another kind of reply, for another number of keys, or for
/// keys that were answered before. Nothing was taken from it.
///
/// ```
/// use async_caches_core::cluster::slot::Slot;
/// use async_caches_core::cluster::split::{Gather, Misfit, Split};
/// use async_caches_core::reply::Reply;
///
/// let mut gather: Gather<&str> = Gather::new(&Split::of([Slot::of(b"a"), Slot::of(b"a")]));
/// let too_few = Ok(Reply::Values(vec![None]));
/// assert_eq!(gather.take(&[0, 1], too_few), Err(Misfit));
/// assert_eq!(gather.take(&[0, 1], Ok(Reply::Values(vec![None, None]))), Ok(()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an answer does not fit the keys it is for")]
pub struct Misfit;

/// Some of many keys failed.
///
/// The keys that are listed neither as failed nor as unanswered succeeded; `done` has their result.
///
/// ```
/// use async_caches_core::cluster::slot::Slot;
/// use async_caches_core::cluster::split::{Gather, Misfit, Split};
/// use async_caches_core::reply::Reply;
///
/// let mut gather = Gather::new(&Split::of([Slot::of(b"a"), Slot::of(b"b"), Slot::of(b"c")]));
/// gather.take(&[0], Ok(Reply::Count(1)))?;
/// gather.take(&[1], Err("the node is away"))?;
/// let partial = gather.count().expect_err("some keys failed");
/// assert_eq!(partial.done, 1); // one key was removed
/// assert_eq!(partial.failed, [(vec![1], "the node is away")]);
/// assert_eq!(partial.unanswered, [2]);
/// # Ok::<(), Misfit>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partial<T, E> {
    /// The result for the other keys.
    pub done: T,
    /// The places of keys that failed together, in the order of the request, and their error; in
    /// the order in which they failed.
    pub failed: Vec<(Vec<usize>, E)>,
    /// The places of keys without an answer.
    pub unanswered: Vec<usize>,
}

/// The result for all keys, or for some.
pub type Gathered<T, E> = Result<T, Partial<T, E>>;

impl<E> Gather<E> {
    /// No answers yet.
    #[must_use]
    pub fn new(split: &Split) -> Self {
        let mut places = vec![KeyAnswer::Open; split.len];
        for &at in &split.repeated {
            if let Some(place) = places.get_mut(at) {
                *place = KeyAnswer::Done(None);
            }
        }
        let left = split.order.len();
        Self { places, removed: 0, failures: Vec::new(), left }
    }

    /// Takes the answer for the keys at these places: of a whole [`SlotPart`], or of some of its
    /// keys.
    ///
    /// # Errors
    /// [`Misfit`] if the answer does not fit the keys.
    pub fn take(&mut self, places: &[usize], outcome: Result<Reply, E>) -> Result<(), Misfit> {
        let is_open = |&at: &usize| self.places.get(at) == Some(&KeyAnswer::Open);
        if places.is_empty() || !places.iter().all(is_open) {
            return Err(Misfit);
        }
        let filled: Vec<KeyAnswer> = match outcome {
            Ok(Reply::Values(values)) if values.len() == places.len() => {
                values.into_iter().map(KeyAnswer::Done).collect()
            }
            Ok(Reply::Value(value)) if places.len() == 1 => vec![KeyAnswer::Done(value)],
            Ok(Reply::Count(count)) if count <= places.len() as u64 => {
                self.removed += count;
                vec![KeyAnswer::Done(None); places.len()]
            }
            Ok(Reply::Done) => vec![KeyAnswer::Done(None); places.len()],
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
                vec![KeyAnswer::Failed; places.len()]
            }
        };
        for (&at, filled) in places.iter().zip(filled) {
            if let Some(place) = self.places.get_mut(at) {
                let was_open = core::mem::replace(place, filled) == KeyAnswer::Open;
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

    /// The values in the caller's order; `None` for each key without one.
    ///
    /// # Errors
    /// [`Partial`] if any key failed or has no answer; its place has no value then.
    pub fn values(mut self) -> Gathered<Vec<Option<Bytes>>, E> {
        let take = |place: &mut KeyAnswer| match place {
            KeyAnswer::Done(value) => value.take(),
            KeyAnswer::Open | KeyAnswer::Failed => None,
        };
        let values = self.places.iter_mut().map(take).collect();
        self.end(values)
    }

    /// How many of the removed keys existed.
    ///
    /// # Errors
    /// [`Partial`] if any key failed or has no answer.
    pub fn count(self) -> Gathered<u64, E> {
        let removed = self.removed;
        self.end(removed)
    }

    /// Succeeds if all keys were written.
    ///
    /// # Errors
    /// [`Partial`] if any key failed or has no answer.
    pub fn done(self) -> Gathered<(), E> {
        self.end(())
    }

    fn end<T>(self, done: T) -> Gathered<T, E> {
        let open = self.places.iter().enumerate().filter(|(_, place)| **place == KeyAnswer::Open);
        let unanswered: Vec<usize> = open.map(|(at, _)| at).collect();
        if self.failures.is_empty() && unanswered.is_empty() {
            return Ok(done);
        }
        Err(Partial { done, failed: self.failures, unanswered })
    }
}

#[cfg(test)]
mod tests;
