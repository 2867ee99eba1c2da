//! A queue threaded through things that live elsewhere: each thing has two links, and the queue has
//! the two ends.
//!
//! Every operation is O(1). The queue knows neither what is queued nor which other queues there
//! are. A thing is in at most one queue, and the caller that removes it must name the right one.

use super::slab::Id;

/// A thing's neighbours in its queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    newer: Id,
    older: Id,
}

impl Links {
    pub(super) const NONE: Self = Self { newer: Id::NONE, older: Id::NONE };

    pub(super) fn newer(&self) -> Id {
        self.newer
    }
}

/// Gives access to the links of things.
pub(super) trait Linked {
    fn links(&mut self, id: Id) -> Option<&mut Links>;
}

#[derive(Debug)]
pub(super) struct Fifo {
    newest: Id,
    oldest: Id,
}

impl Fifo {
    pub(super) const fn new() -> Self {
        Self { newest: Id::NONE, oldest: Id::NONE }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.oldest == Id::NONE
    }

    pub(super) fn oldest(&self) -> Id {
        self.oldest
    }

    /// Whether `id` is the only thing in the queue.
    pub(super) fn is_only(&self, id: Id) -> bool {
        id != Id::NONE && self.oldest == id && self.newest == id
    }

    /// Whether the queue contains exactly one thing.
    pub(super) fn is_single(&self) -> bool {
        self.is_only(self.oldest)
    }

    /// Puts `id`, which must not be in a queue, at the end.
    pub(super) fn push(&mut self, all: &mut impl Linked, id: Id) {
        let Some(links) = all.links(id) else { return };
        *links = Links { newer: Id::NONE, older: self.newest };
        match all.links(self.newest) {
            Some(links) => links.newer = id,
            None => self.oldest = id,
        }
        self.newest = id;
    }

    /// Updates the queue after the thing that is now at `id` was given that number.
    pub(super) fn moved(&mut self, all: &mut impl Linked, id: Id) {
        let Some(links) = all.links(id) else { return };
        let Links { newer, older } = *links;
        match all.links(newer) {
            Some(links) => links.older = id,
            None => self.newest = id,
        }
        match all.links(older) {
            Some(links) => links.newer = id,
            None => self.oldest = id,
        }
    }

    /// Removes `id`, which must be in this queue.
    pub(super) fn remove(&mut self, all: &mut impl Linked, id: Id) {
        let Some(links) = all.links(id) else { return };
        let Links { newer, older } = core::mem::replace(links, Links::NONE);
        match all.links(newer) {
            Some(links) => links.older = older,
            None => self.newest = older,
        }
        match all.links(older) {
            Some(links) => links.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::VecDeque;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    impl Linked for Vec<Links> {
        fn links(&mut self, id: Id) -> Option<&mut Links> {
            self.get_mut(usize::try_from(id.number()).unwrap())
        }
    }

    proptest! {
        #[test]
        fn the_fifo_keeps_the_order_of_a_plain_queue(touched in proptest::collection::vec(0..8_u32, 0..100)) {
            let mut all = std::vec![Links::NONE; 8];
            let (mut fifo, mut plain) = (Fifo::new(), VecDeque::new());
            for number in touched {
                match plain.iter().position(|&other| other == number) {
                    Some(index) => {
                        plain.remove(index);
                        fifo.remove(&mut all, Id::new(number));
                    }
                    None => {
                        plain.push_back(number);
                        fifo.push(&mut all, Id::new(number));
                    }
                }
                let mut walked = Vec::new();
                let mut id = fifo.oldest();
                while id != Id::NONE {
                    walked.push(id.number());
                    id = all.links(id).unwrap().newer;
                }
                prop_assert_eq!(&walked, &plain.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(fifo.is_empty(), plain.is_empty());
                prop_assert!(!fifo.is_only(Id::NONE));
                prop_assert_eq!(fifo.is_only(Id::new(number)), plain == [number]);
            }
        }

        #[test]
        fn an_entry_that_moves_keeps_its_place_in_the_queue(len in 1..8_u32, which in 0..8_u32) {
            let mut all = std::vec![Links::NONE; 9];
            let mut fifo = Fifo::new();
            (0..len).for_each(|number| fifo.push(&mut all, Id::new(number)));
            let which = which % len;
            all[8] = core::mem::replace(&mut all[usize::try_from(which).unwrap()], Links::NONE);
            fifo.moved(&mut all, Id::new(8));
            for number in 0..len {
                let wanted = Id::new(if number == which { 8 } else { number });
                prop_assert_eq!(fifo.oldest(), wanted);
                fifo.remove(&mut all, wanted);
            }
            prop_assert!(fifo.is_empty() && fifo.newest == Id::NONE);
        }
    }
}
