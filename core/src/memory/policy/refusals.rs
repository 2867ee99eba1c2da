//! The keys whose values were refused for their size lately, and how often each was requested
//! since. There is room for a few; a new one replaces the one that was refused first.
//!
//! Lookups count in place, any number of them at the same time; it does no harm if one gets lost.

use core::sync::atomic::{AtomicU8, Ordering};

#[derive(Debug)]
pub(super) struct Refusals {
    slots: [RefusedKey; SLOTS],
    /// The slots from here on are empty.
    len: usize,
}

#[derive(Debug)]
struct RefusedKey {
    hash: u32,
    asks: AtomicU8,
}

impl Refusals {
    pub(super) const fn new() -> Self {
        let slots = [const { RefusedKey { hash: 0, asks: AtomicU8::new(0) } }; SLOTS];
        Self { slots, len: 0 }
    }

    /// Notes that a value was refused. Its key had been requested `asks` times before. If its value
    /// was refused before, the larger count is kept.
    pub(super) fn note(&mut self, hash: u32, asks: u8) {
        if let Some(refused) = self.find(hash) {
            refused.asks.fetch_max(asks, Ordering::Relaxed);
            return;
        }
        if self.len == SLOTS {
            self.slots.rotate_left(1);
            self.len -= 1;
        }
        if let Some(slot) = self.slots.get_mut(self.len) {
            *slot = RefusedKey { hash, asks: asks.into() };
            self.len += 1;
        }
    }

    /// Notes that a key was requested that is not in the store.
    #[inline]
    pub(super) fn hear(&self, hash: u32) {
        if self.len > 0
            && let Some(refused) = self.find(hash)
        {
            let asks = refused.asks.load(Ordering::Relaxed);
            refused.asks.store(asks.saturating_add(1), Ordering::Relaxed);
        }
    }

    /// How often a key was requested; zero if it is not noted here.
    pub(super) fn asks(&self, hash: u32) -> u8 {
        self.find(hash).map_or(0, |refused| refused.asks.load(Ordering::Relaxed))
    }

    pub(super) fn forget(&mut self, hash: u32) {
        let (noted, _) = self.slots.split_at_mut(self.len.min(SLOTS));
        if let Some(at) = noted.iter().position(|refused| refused.hash == hash) {
            noted.get_mut(at..).into_iter().for_each(|rest| rest.rotate_left(1));
            self.len -= 1;
        }
    }

    fn find(&self, hash: u32) -> Option<&RefusedKey> {
        self.slots.iter().take(self.len).find(|refused| refused.hash == hash)
    }
}

const SLOTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_is_counted_until_forgotten_or_eight_more_are_refused() {
        let mut refusals = Refusals::new();
        refusals.hear(0);
        assert_eq!(refusals.asks(0), 0);
        refusals.note(0, 2);
        (0..3).for_each(|_| refusals.hear(0));
        refusals.note(0, 1);
        assert_eq!((refusals.asks(0), refusals.asks(1)), (5, 0));
        (1..8).for_each(|hash| refusals.note(hash, 1));
        refusals.forget(3);
        assert_eq!((refusals.asks(0), refusals.asks(3), refusals.asks(4)), (5, 0, 1));
        refusals.note(8, 0);
        assert_eq!(refusals.asks(0), 5);
        refusals.note(9, 0);
        assert_eq!((refusals.asks(0), refusals.asks(1)), (0, 1));
        (0..300).for_each(|_| refusals.hear(9));
        assert_eq!(refusals.asks(9), u8::MAX);
    }
}
