//! Which flight a key has, and how many flights have ended.
//!
//! Keys come from callers who may want them to collide, so they are hashed with the same kind of
//! secret as the keys of a store ([`Seed`]).

use bytes::Bytes;
use hashbrown::HashTable;

use super::FlightId;
use crate::memory::Seed;
use crate::work::Work;

/// The flight of each key that has one.
#[derive(Debug)]
pub(super) struct Index {
    seed: Seed,
    table: HashTable<Entry>,
    /// How many flights have ended, and how many had when the last one of a slot did.
    ended: u64,
    last: [u64; SLOTS],
    /// How many keys were compared.
    pub(super) compared: Work,
}

#[derive(Debug)]
struct Entry {
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

    /// Gives a key that has no flight this one.
    pub(super) fn insert(&mut self, key: Bytes, flight: FlightId) {
        let hash = self.seed.hash_whole(&key);
        self.table.insert_unique(hash, Entry { hash, key, flight }, |entry| entry.hash);
    }

    /// Takes the flight off its key. Reports whether it was the key's.
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

    /// Keeps the entries for which `keep` says so, of keys that start with `stem`.
    pub(super) fn retain_of(&mut self, stem: &[u8], mut keep: impl FnMut(FlightId) -> bool) {
        self.table.retain(|entry| !entry.key.starts_with(stem) || keep(entry.flight));
    }

    /// How many flights have ended.
    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    /// How many flights had ended when the last one of this key did, or of one in the same slot.
    pub(super) fn last_ended(&self, key: &[u8]) -> u64 {
        self.last.get(self.slot(key)).copied().unwrap_or_default()
    }

    fn slot(&self, key: &[u8]) -> usize {
        // The table uses the lower bits and the highest seven.
        let slot = (self.seed.hash_whole(key) >> 32) % SLOTS as u64;
        usize::try_from(slot).unwrap_or_default()
    }
}

/// Ended flights are counted in this many slots, shared by the keys that hash to them: a collision
/// costs one more lookup.
const SLOTS: usize = 64;
