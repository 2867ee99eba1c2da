//! Where the callers of one link wait: a slab of places, each with a generation.
//!
//! A place is taken when a command is submitted and freed when both sides are done with it: the
//! link has said what became of the command, and the caller has heard it or gone away. The
//! generation in a tag makes sure that a place used again is not mistaken for the earlier one.

use std::task::{Context, Poll, Waker};

use async_caches_core::connection::Tag;
use async_caches_core::reply::Answer;

/// The places of one link's callers.
#[derive(Debug, Default)]
pub(super) struct Slots {
    places: Vec<Place>,
    free: Vec<u32>,
    unheard: usize,
}

/// What became of a command.
#[derive(Debug)]
pub(super) enum Outcome {
    Answered(Answer),
    Expired,
    Lost { may_have_run: bool },
}

#[derive(Debug)]
struct Place {
    generation: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Free,
    Waiting(Waker),
    Over(Outcome),
    /// The caller went away; whatever comes is thrown away.
    Abandoned,
}

impl Slots {
    /// Takes a place for a caller.
    #[inline]
    pub(super) fn take(&mut self, waker: &Waker) -> Tag {
        let state = State::Waiting(waker.clone());
        let index = if let Some(index) = self.free.pop() {
            self.places[index as usize].state = state;
            index
        } else {
            self.places.push(Place { generation: 0, state });
            u32::try_from(self.places.len() - 1).expect("fewer than 2^32 commands in flight")
        };
        Tag(u64::from(self.places[index as usize].generation) << 32 | u64::from(index))
    }

    /// Frees a place whose command was not submitted after all.
    pub(super) fn give_back(&mut self, tag: Tag) {
        if let Some((index, _)) = self.place(tag) {
            self.free(index);
        }
    }

    /// The link's side: says what became of a command, and answers whom to wake; or gives the
    /// outcome back where nobody wants it, for the link to drop where it may.
    #[inline(always)]
    pub(super) fn settle(&mut self, tag: Tag, outcome: Outcome) -> Result<Waker, Outcome> {
        let Some((index, place)) = self.place(tag) else { return Err(outcome) };
        match std::mem::replace(&mut place.state, State::Free) {
            State::Waiting(waker) => {
                place.state = State::Over(outcome);
                self.unheard += 1;
                Ok(waker)
            }
            State::Abandoned => {
                self.free(index);
                Err(outcome)
            }
            kept @ (State::Free | State::Over(_)) => {
                place.state = kept;
                Err(outcome)
            }
        }
    }

    /// The caller's side: what became of its command, once that is known. Then its place is free.
    #[inline(always)]
    pub(super) fn poll(&mut self, tag: Tag, cx: &Context<'_>) -> Poll<Outcome> {
        let Some((index, place)) = self.place(tag) else {
            return Poll::Ready(Outcome::Lost { may_have_run: true });
        };
        match &mut place.state {
            State::Waiting(waker) => {
                waker.clone_from(cx.waker());
                Poll::Pending
            }
            State::Over(_) | State::Free | State::Abandoned => match self.free(index) {
                State::Over(outcome) => {
                    self.unheard -= 1;
                    Poll::Ready(outcome)
                }
                State::Free | State::Abandoned | State::Waiting(_) => {
                    Poll::Ready(Outcome::Lost { may_have_run: true })
                }
            },
        }
    }

    /// The caller goes away: its place is freed once the link has settled it.
    pub(super) fn abandon(&mut self, tag: Tag) -> Option<Outcome> {
        let (index, place) = self.place(tag)?;
        match std::mem::replace(&mut place.state, State::Abandoned) {
            State::Over(outcome) => {
                self.unheard -= 1;
                self.free(index);
                Some(outcome)
            }
            State::Waiting(_) | State::Abandoned => None,
            State::Free => {
                place.state = State::Free;
                None
            }
        }
    }

    fn place(&mut self, tag: Tag) -> Option<(u32, &mut Place)> {
        let (generation, index) = ((tag.0 >> 32) as u32, tag.0 as u32);
        let place = self.places.get_mut(index as usize)?;
        (place.generation == generation).then_some((index, place))
    }

    /// How many callers were woken and have neither come to hear nor gone away.
    pub(super) fn unheard(&self) -> usize {
        self.unheard
    }

    fn free(&mut self, index: u32) -> State {
        let place = &mut self.places[index as usize];
        place.generation = place.generation.wrapping_add(1);
        self.free.push(index);
        std::mem::replace(&mut place.state, State::Free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_caches_core::reply::Reply;

    fn poll(slots: &mut Slots, tag: Tag) -> Option<Outcome> {
        match slots.poll(tag, &Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    fn done() -> Outcome {
        Outcome::Answered(Ok(Reply::Done))
    }

    #[test]
    fn a_caller_hears_once_what_became_of_its_command() {
        let mut slots = Slots::default();
        let tag = slots.take(Waker::noop());
        assert!(poll(&mut slots, tag).is_none());
        assert!(slots.settle(tag, done()).is_ok());
        assert!(matches!(poll(&mut slots, tag), Some(Outcome::Answered(Ok(Reply::Done)))));
        assert!(matches!(poll(&mut slots, tag), Some(Outcome::Lost { .. })));
    }

    #[test]
    fn a_place_used_again_is_another_place() {
        let mut slots = Slots::default();
        let old = slots.take(Waker::noop());
        assert!(slots.abandon(old).is_none());
        assert!(slots.settle(old, done()).is_err(), "nobody wants an abandoned command's reply");
        let new = slots.take(Waker::noop());
        assert_ne!(old, new);
        assert!(slots.settle(old, done()).is_err(), "a stale tag settles nothing");
        assert!(poll(&mut slots, new).is_none());
        assert_eq!(slots.places.len(), 1, "the place was used again");
    }

    #[test]
    fn an_outcome_nobody_fetched_is_handed_out_on_the_way_out() {
        let mut slots = Slots::default();
        let tag = slots.take(Waker::noop());
        assert!(slots.settle(tag, done()).is_ok());
        assert!(slots.abandon(tag).is_some());
        assert!(slots.abandon(tag).is_none());
    }
}
