//! The waiting callers of one connection: a slab of places, each with a generation.
//!
//! A place is taken when a command is submitted. It is freed when both sides are done with it: the
//! connection has stored the command's outcome, and the caller has taken it or gone away. The
//! generation in a tag ensures that a reused place is not mistaken for the earlier one.

use std::mem;
use std::task::{Poll, Waker};

use async_caches_core::connection::Tag;
use async_caches_core::error::ServerError;
use async_caches_core::reply::{Answer, Reply};
use async_caches_core::retry::Blame;
use bytes::Bytes;

use crate::waker::Spare;

/// The places of one connection's callers.
#[derive(Debug, Default)]
pub(in crate::redis) struct Slots {
    places: Vec<CallerSlot>,
    free: Vec<u32>,
    unheard: usize,
}

/// The outcome of a command.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answered(Answer),
    Expired,
    Lost {
        may_have_run: bool,
        blame: Blame,
    },
    /// The command has not run, as the server no longer accepts our credentials.
    Refused(ServerError),
}

/// The task that waits in a place is not the one that polls.
#[derive(Debug)]
pub(in crate::redis) struct OtherTask;

/// A place. If it has neither a waker nor an outcome, its caller has gone away, and a later outcome
/// is dropped.
#[derive(Debug)]
struct CallerSlot {
    /// The generation of the tag in use; for a free place, of the next tag.
    generation: u32,
    /// Present while the caller waits.
    waker: Option<Waker>,
    /// Present from when it is known until the caller has taken it.
    outcome: Option<Outcome>,
}

impl Slots {
    /// Takes a place for a caller.
    #[inline]
    pub(in crate::redis) fn take(&mut self, waker: Waker) -> Tag {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(CallerSlot { generation: 0, waker: None, outcome: None });
            u32::try_from(self.places.len() - 1).expect("fewer than 2^32 commands in flight")
        });
        let place = &mut self.places[index as usize];
        place.waker = Some(waker);
        Tag(u64::from(place.generation) << 32 | u64::from(index))
    }

    /// Frees a place whose command was not submitted after all. Returns its waker.
    pub(in crate::redis) fn give_back(&mut self, tag: Tag) -> Option<Waker> {
        let (index, place) = self.place(tag)?;
        let waker = place.waker.take();
        self.free(index);
        waker
    }

    /// The connection's side: stores the outcome of a command and returns the waker to wake. If no
    /// caller wants the outcome, it is returned instead, for the connection to drop outside of the
    /// lock.
    #[inline(always)]
    pub(in crate::redis) fn settle(
        &mut self,
        tag: Tag,
        outcome: Outcome,
    ) -> Result<Waker, Outcome> {
        let Some((index, place)) = self.place(tag) else { return Err(outcome) };
        if let Some(waker) = place.waker.take() {
            place.outcome = Some(outcome);
            self.unheard += 1;
            return Ok(waker);
        }
        if place.outcome.is_none() {
            self.free(index);
        }
        Err(outcome)
    }

    /// The caller's side: takes the outcome of its command if it is a value or its absence, and
    /// frees the place. [`poll`](Self::poll) would return the same. Most outcomes are of this kind,
    /// so it is worth moving them as little as possible.
    #[inline(always)]
    pub(in crate::redis) fn take_value(&mut self, tag: Tag) -> Option<Option<Bytes>> {
        let (index, place) = self.place(tag)?;
        let Some(Outcome::Answered(Ok(Reply::Value(value)))) = &mut place.outcome else {
            return None;
        };
        let value = value.take();
        // The rest has nothing to drop.
        mem::forget(place.outcome.take());
        self.heard(index);
        Some(value)
    }

    /// The caller's side: takes the outcome of its command, once it is known, and frees the place.
    ///
    /// # Errors
    /// The outcome is not known yet, and another task would be woken: see [`wait`](Self::wait).
    #[inline(always)]
    pub(in crate::redis) fn poll(
        &mut self,
        tag: Tag,
        waker: &Waker,
    ) -> Result<Poll<Outcome>, OtherTask> {
        let Some((index, place)) = self.place(tag) else { return Ok(Poll::Ready(Self::NOBODYS)) };
        if let Some(outcome) = place.outcome.take() {
            self.heard(index);
            return Ok(Poll::Ready(outcome));
        }
        match &place.waker {
            Some(kept) if kept.will_wake(waker) => Ok(Poll::Pending),
            Some(_) => Err(OtherTask),
            None => Ok(Poll::Ready(Self::NOBODYS)),
        }
    }

    /// The caller's side: replaces the waker of a place that is waiting.
    pub(in crate::redis) fn wait(&mut self, tag: Tag, waker: &mut Spare) {
        if let Some((_, place)) = self.place(tag)
            && place.waker.is_some()
        {
            waker.put(&mut place.waker);
        }
    }

    /// The caller's side: gives up a place. It is freed once the connection has settled it. The
    /// caller drops the returned contents outside of the lock.
    pub(in crate::redis) fn abandon(&mut self, tag: Tag) -> (Option<Waker>, Option<Outcome>) {
        let Some((index, place)) = self.place(tag) else { return (None, None) };
        let (waker, outcome) = (place.waker.take(), place.outcome.take());
        if outcome.is_some() {
            self.heard(index);
        }
        (waker, outcome)
    }

    /// How many callers were woken and have neither taken their outcome nor gone away.
    pub(in crate::redis) fn unheard(&self) -> usize {
        self.unheard
    }

    #[inline]
    fn place(&mut self, tag: Tag) -> Option<(u32, &mut CallerSlot)> {
        let (generation, index) = ((tag.0 >> 32) as u32, tag.0 as u32);
        let place = self.places.get_mut(index as usize)?;
        (place.generation == generation).then_some((index, place))
    }

    #[inline]
    fn heard(&mut self, index: u32) {
        self.unheard -= 1;
        self.free(index);
    }

    #[inline]
    fn free(&mut self, index: u32) {
        let place = &mut self.places[index as usize];
        place.generation = place.generation.wrapping_add(1);
        self.free.push(index);
    }

    /// The outcome of a command of which nothing is known.
    const NOBODYS: Outcome = Outcome::Lost { may_have_run: true, blame: Blame::Innocent };
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Wake};

    use super::*;

    fn poll(slots: &mut Slots, tag: Tag) -> Option<Outcome> {
        match slots.poll(tag, Waker::noop()) {
            Ok(Poll::Ready(outcome)) => Some(outcome),
            Ok(Poll::Pending) | Err(OtherTask) => None,
        }
    }

    fn done() -> Outcome {
        Outcome::Answered(Ok(Reply::Done))
    }

    #[test]
    fn an_outcome_is_returned_once() {
        let mut slots = Slots::default();
        let tag = slots.take(Waker::noop().clone());
        assert!(poll(&mut slots, tag).is_none());
        assert!(slots.settle(tag, done()).is_ok());
        assert!(matches!(poll(&mut slots, tag), Some(Outcome::Answered(Ok(Reply::Done)))));
        assert!(matches!(poll(&mut slots, tag), Some(Outcome::Lost { .. })));
    }

    #[test]
    fn take_value_returns_a_value_once_and_no_other_outcome() {
        let mut slots = Slots::default();
        for value in [None, Some(Bytes::from_static(b"value"))] {
            let tag = slots.take(Waker::noop().clone());
            assert_eq!(slots.take_value(tag), None, "it is to come");
            assert!(slots.settle(tag, Outcome::Answered(Ok(Reply::Value(value.clone())))).is_ok());
            assert_eq!(slots.take_value(tag), Some(value));
            assert_eq!(slots.take_value(tag), None);
            assert_eq!((slots.unheard(), slots.free.len()), (0, 1));
        }
        let tag = slots.take(Waker::noop().clone());
        assert!(slots.settle(tag, done()).is_ok());
        assert_eq!(slots.take_value(tag), None);
        assert!(poll(&mut slots, tag).is_some(), "it is left for those who take anything");
    }

    #[test]
    fn a_reused_place_has_a_new_tag() {
        let mut slots = Slots::default();
        let old = slots.take(Waker::noop().clone());
        assert!(matches!(slots.abandon(old), (Some(_), None)));
        assert!(slots.settle(old, done()).is_err(), "nobody wants an abandoned command's reply");
        let new = slots.take(Waker::noop().clone());
        assert_ne!(old, new);
        assert!(slots.settle(old, done()).is_err(), "a stale tag settles nothing");
        assert!(poll(&mut slots, new).is_none());
        assert_eq!(slots.places.len(), 1, "the place was used again");
    }

    #[test]
    fn abandon_returns_an_outcome_that_was_not_polled() {
        let mut slots = Slots::default();
        let tag = slots.take(Waker::noop().clone());
        assert!(slots.settle(tag, done()).is_ok());
        assert!(matches!(slots.abandon(tag), (None, Some(_))));
        assert!(matches!(slots.abandon(tag), (None, None)));
    }

    #[test]
    fn giving_a_place_back_returns_its_waker() {
        let mut slots = Slots::default();
        let tag = slots.take(Waker::noop().clone());
        assert!(slots.give_back(tag).is_some());
        assert_eq!(slots.free.len(), 1);
    }

    #[test]
    fn a_displaced_waker_is_returned_to_the_caller() {
        struct Task;
        impl Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let mut slots = Slots::default();
        let tag = slots.take(Waker::noop().clone());
        let task = Arc::new(Task);
        let waker = Waker::from(Arc::clone(&task));
        assert!(matches!(slots.poll(tag, &waker), Err(OtherTask)));
        slots.wait(tag, &mut Spare::of(&Context::from_waker(&waker)));
        let mut spare = Spare::of(&Context::from_waker(Waker::noop()));
        slots.wait(tag, &mut spare);
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 2, "it is not dropped in the place");
        drop(spare);
        assert_eq!(Arc::strong_count(&task), 1);
    }
}
