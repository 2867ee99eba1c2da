//! The scenarios in which every operation is timed.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;

use super::watch::{Longest, Watch};
use crate::memory::caches::{Room, SEED, Store, Who};
use crate::memory::keys::Keys;
use crate::memory::random::Random;
use crate::memory::usage;

/// The result of a scenario.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Outcome {
    pub(crate) longest: Longest,
    pub(crate) took: Duration,
    /// The highest number of entries seen, or the number left over, if the cache reports it.
    pub(crate) entries: Option<u64>,
    /// The highest number of bytes that the cache counted, if it counts them.
    pub(crate) bytes: Option<u64>,
    /// The largest growth of the process.
    pub(crate) grown: u64,
}

/// Fills a cache with entries that all expire at the same instant, and keeps using it from just
/// before that instant: nine gets of these entries, then a set of a new key.
pub(crate) fn mass_expiry(who: Who, keys: Keys, entries: u32) -> Result<Outcome> {
    let before = usage::resident()?;
    let room = Room { entries: Some(u64::from(entries) * 2), timeouts: true };
    let store = who.open(room)?;
    let begin = Instant::now();
    // Long enough to fill the cache on a busy machine.
    let life = Duration::from_nanos(u64::from(entries) * FILLING);
    for id in 0..entries {
        let left = life.saturating_sub(begin.elapsed()).max(Duration::from_millis(1));
        store.set(keys.of(id), value(), Some(left));
    }
    store.settle();
    let grown = usage::resident()?.saturating_sub(before);
    let early = Duration::from_millis(50);
    std::thread::sleep(life.saturating_sub(begin.elapsed() + early));

    let mut random = Random::new(SEED);
    let begin = Instant::now();
    let mut watch = Watch::new();
    for number in 0..entries * 2 {
        let id = random.below(entries);
        if number % 10 < 9 {
            watch.begin();
            let found = store.get(keys.of(id));
            watch.end();
            drop(found);
        } else {
            let value = value();
            watch.begin();
            store.set(keys.of(entries + id), value, Some(life));
            watch.end();
        }
    }
    let longest = watch.longest();
    let (took, bytes) = (begin.elapsed(), store.bytes());
    Ok(Outcome { longest, took, entries: store.entries(), bytes, grown })
}

/// Sets random keys with random timeouts in a cache that has room for few of them.
pub(crate) fn churn(who: Who, keys: Keys, count: u32, sets: u32) -> Result<Outcome> {
    let before = usage::resident()?;
    let store = who.open(Room { entries: Some(CHURN_ROOM), timeouts: true })?;
    let mut random = Random::new(SEED);
    let begin = Instant::now();
    let mut watch = Watch::new();
    let mut most = Outcome {
        longest: Longest::default(),
        took: Duration::ZERO,
        entries: None,
        bytes: None,
        grown: 0,
    };
    for number in 0..sets {
        let (key, value) = (keys.of(random.below(count)), value());
        let timeout = Duration::from_millis(1 + u64::from(random.below(LONGEST)));
        watch.begin();
        store.set(key, value, Some(timeout));
        watch.end();
        if number % SAMPLE == 0 {
            most.note(&*store, before)?;
        }
    }
    most.note(&*store, before)?;
    Ok(Outcome { longest: watch.longest(), took: begin.elapsed(), ..most })
}

impl Outcome {
    fn note(&mut self, store: &dyn Store, before: u64) -> Result<()> {
        self.entries = self.entries.max(store.entries());
        self.bytes = self.bytes.max(store.bytes());
        self.grown = self.grown.max(usage::resident()?.saturating_sub(before));
        Ok(())
    }
}

fn value() -> Bytes {
    Bytes::copy_from_slice(&[b'v'; 64])
}

/// The number of entries that fit in the churn scenario.
pub(crate) const CHURN_ROOM: u64 = 100_000;
/// The nanoseconds that setting one entry may take while filling.
const FILLING: u64 = 4_000;
/// The longest timeout, in milliseconds.
const LONGEST: u32 = 5_000;
const SAMPLE: u32 = 10_000;
