//! Finds the flight of a key, and counts the flights that have ended.
//!
//! Keys come from callers that may want them to collide, so they are hashed with the same kind of
//! secret as the keys of a store ([`Seed`]).

use bytes::Bytes;
use hashbrown::HashTable;

use super::id::FlightId;
use crate::memory::Seed;
use crate::work::Work;

/// The flight of each key that has one.
#[derive(Debug)]
pub(super) struct Index {
    seed: Seed,
    table: HashTable<KeyFlight>,
    /// The number of flights that have ended, and that number when the last flight of each slot
    /// ended.
    ended: u64,
    last: [u64; SLOTS],
    /// The number of keys that were compared.
    pub(super) compared: Work,
}

#[derive(Debug)]
struct KeyFlight {
    hash: u64,
    key: Bytes,
    flight: FlightId,
}

impl Index {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed: Seed::new(seed),
            table: HashTable::new(),
            ended: 0,
            last: [0; SLOTS],
            compared: Work::new(),
        }
    }

    /// The flight of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<FlightId> {
        let hash = self.seed.hash_whole(key);
        let found = self.table.find(hash, |entry| {
            self.compared.count();
            entry.hash == hash && entry.key == key
        });
        found.map(|entry| entry.flight)
    }

    /// Assigns this flight to a key that has no flight.
    pub(super) fn insert(&mut self, key: Bytes, flight: FlightId) {
        let hash = self.seed.hash_whole(&key);
        self.table.insert_unique(hash, KeyFlight { hash, key, flight }, |entry| entry.hash);
    }

    /// Takes the flight off its key. Returns whether the key had this flight.
    pub(super) fn remove(&mut self, key: &[u8], flight: FlightId) -> bool {
        let hash = self.seed.hash_whole(key);
        let entry = self.table.find_entry(hash, |entry| {
            self.compared.count();
            entry.flight == flight && entry.key == key
        });
        entry.map(|entry| entry.remove()).is_ok()
    }

    /// Takes the flight off its key because it has ended, and counts it.
    pub(super) fn end(&mut self, key: &[u8], flight: FlightId) {
        if self.remove(key, flight) {
            self.ended += 1;
            let slot = self.slot(key);
            if let Some(last) = self.last.get_mut(slot) {
                *last = self.ended;
            }
        }
    }

    /// Removes the flights of keys that start with `stem`, except those for which `keep` returns
    /// `true`.
    pub(super) fn retain_of(&mut self, stem: &[u8], mut keep: impl FnMut(FlightId) -> bool) {
        self.table.retain(|entry| !entry.key.starts_with(stem) || keep(entry.flight));
    }

    /// The number of flights that have ended.
    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    /// The number of flights that had ended when the last flight of this key, or of its slot, did.
    pub(super) fn last_ended(&self, key: &[u8]) -> u64 {
        self.last.get(self.slot(key)).copied().unwrap_or_default()
    }

    fn slot(&self, key: &[u8]) -> usize {
        // The table uses the lower bits and the highest seven; the slot comes from the bits
        // between.
        let slot = (self.seed.hash_whole(key) >> 32) % SLOTS as u64;
        usize::try_from(slot).unwrap_or_default()
    }
}

/// The number of slots in which ended flights are counted. Keys that hash to the same slot share
/// it; a collision costs one more lookup.
const SLOTS: usize = 64;
