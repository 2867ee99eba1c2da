//! Counts of a store's hits and misses: exact, by many threads at once, without a lock.
//!
//! A count that all threads add to is a cache line that they take from one another, and each
//! addition is an atomic read-modify-write. So a tally has many counts. A thread takes a lane for
//! its lifetime, and only it writes to that lane's counts, with just a load and a store. When a
//! lane is given back, its next owner sees all earlier writes, so no count is lost. Threads without
//! a lane share one, with the costlier atomic additions.
//!
//! A tally knows no store. Its parts come from `crate::sync`, so that a test can replace them.

use std::marker::PhantomData;

use async_caches_core::memory::Lookups;

use crate::sync::{AtomicU64, Ordering};

/// The counts of one store.
#[derive(Debug)]
pub(crate) struct Tally {
    counts: Box<[Counts]>,
}

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
}

/// The lanes that are taken, one bit each.
#[derive(Debug)]
pub(crate) struct Lanes(AtomicU64);

/// A thread's right to some counts of every tally. It cannot be shared between threads.
#[derive(Debug)]
pub(crate) struct Lane<'l> {
    lanes: &'l Lanes,
    /// `None` for the shared lane.
    own: Option<u8>,
    alone: PhantomData<*const ()>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { counts: (0..=LANES).map(|_| Counts::default()).collect() }
    }

    #[inline]
    pub(crate) fn add(&self, lane: &Lane<'_>, lookups: Lookups) {
        let Lookups { hits, misses } = lookups;
        if let Some(counts) = lane.own.and_then(|own| self.counts.get(usize::from(own))) {
            let add = |count: &AtomicU64, more| {
                count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
            };
            add(&counts.hits, hits);
            add(&counts.misses, misses);
        } else if let Some(counts) = self.counts.last() {
            counts.hits.fetch_add(hits, Ordering::Relaxed);
            counts.misses.fetch_add(misses, Ordering::Relaxed);
        }
    }

    /// The sum over all lanes; while they are in use, at slightly different moments.
    pub(crate) fn sum(&self) -> Lookups {
        let sum = |which: fn(&Counts) -> &AtomicU64| {
            let counts = self.counts.iter().map(|counts| which(counts).load(Ordering::Relaxed));
            counts.fold(0, u64::wrapping_add)
        };
        Lookups { hits: sum(|counts| &counts.hits), misses: sum(|counts| &counts.misses) }
    }
}

impl Lanes {
    /// Lanes, all free: `taken` is zero, which not every kind of atomic can be made of in a
    /// constant.
    pub(crate) const fn with(taken: AtomicU64) -> Self {
        Self(taken)
    }

    /// The shared lane.
    pub(crate) fn shared(&self) -> Lane<'_> {
        Lane { lanes: self, own: None, alone: PhantomData }
    }

    /// Takes a free lane, or else the shared one.
    pub(crate) fn take(&self) -> Lane<'_> {
        let free = |taken: u64| (taken != u64::MAX).then(|| taken.trailing_ones());
        let take = |taken| Some(taken | (1 << free(taken)?));
        // The writes of the lane's former owner are visible from now on.
        let before = self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, take);
        let own = before.ok().and_then(free).and_then(|bit| u8::try_from(bit).ok());
        Lane { lanes: self, own, alone: PhantomData }
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        if let Some(own) = self.own {
            self.lanes.0.fetch_and(!(1 << own), Ordering::Release);
        }
    }
}

/// One lane for each bit of the set of those taken.
const LANES: u32 = u64::BITS;
