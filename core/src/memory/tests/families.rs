//! Two families of requests that LRU hits best, and the store beside a model of LRU.
//!
//! Keys that come back once, after up to nine tenths of the room, and sets of keys that fit, each
//! of which takes the place of another. What a small queue and a main one have learnt of the past
//! does not help with either.

use alloc::collections::BTreeMap;

use super::*;
use crate::memory::store::shards_of;

/// A request: a key, and whether it is stored if it is not there.
type Request = (u32, bool);

/// Keys by when they were asked for last.
struct Lru {
    last: BTreeMap<u32, u32>,
    keys: BTreeMap<u32, u32>,
    now: u32,
    room: usize,
}

impl Lru {
    fn ask(&mut self, (key, stores): Request) -> bool {
        self.now += 1;
        let was = self.last.get(&key).copied();
        if let Some(was) = was {
            self.keys.remove(&was);
        } else if !stores {
            return false;
        }
        self.last.insert(key, self.now);
        self.keys.insert(self.now, key);
        if self.keys.len() > self.room {
            let (_, oldest) = self.keys.pop_first().unwrap();
            self.last.remove(&oldest);
        }
        was.is_some()
    }
}

impl Cells {
    fn ask(&self, (key, stores): Request) -> bool {
        let bytes = key.to_le_bytes();
        let key = self.seed.hash(&bytes);
        let get = |shard: &Shard| shard.get(key, || self.now).is_some();
        let found = self.read(key.shard(self.count()), get);
        if !found && stores {
            insert(self, key, b"", Expiry::Never, self.now);
        }
        found
    }
}

/// Hits from twelve times the room in requests on: of the store in hundredths of LRU's.
fn of_lru(store: &Cells, room: usize, requests: &[Request]) -> usize {
    let mut lru = Lru { last: BTreeMap::new(), keys: BTreeMap::new(), now: 0, room };
    let (mut ours, mut hits) = (0, 0);
    for (at, &request) in requests.iter().enumerate() {
        let counts = at >= 12 * room;
        ours += usize::from(store.ask(request) && counts);
        hits += usize::from(lru.ask(request) && counts);
    }
    assert!(hits > room, "{hits} of {}", requests.len());
    ours * 100 / hits
}

/// A store with room for so many entries: in one shard, and in several that share the room.
fn stores(room: usize) -> impl Iterator<Item = Cells> {
    let max_entries = u64::try_from(room).ok();
    let bounds = Bounds { max_entries, max_bytes: None };
    let shards = if room < 2500 { &[1][..] } else { &[1, 3] };
    shards.iter().map(move |&shards| Cells::new(shards_of(bounds, shards)))
}

/// Each key is set, and asked for once more so many requests later.
fn once_more(distance: u32, count: usize, read_through: bool) -> Vec<Request> {
    let apart = (distance / 2).max(1);
    (apart..).flat_map(|key| [(key, true), (key - apart, read_through)]).take(count).collect()
}

/// Sets of so many keys take each other's place, after so many rounds each.
fn sets(size: u32, rounds: u32, count: usize) -> Vec<Request> {
    let set =
        |set| (0..rounds).flat_map(move |_| (set * size..(set + 1) * size).map(|key| (key, true)));
    (0..).flat_map(set).take(count).collect()
}

/// In rooms for so many, of which all keys are in the shadows' sample and of which a part is.
const ROOMS: [usize; 3] = [100, 1000, 2500];
/// So many tenths of the room.
const TENTHS: [usize; 4] = [1, 4, 7, 9];

#[test]
fn keys_that_return_once_within_nine_tenths_of_the_room_hit_as_with_lru() {
    for (room, tenths) in ROOMS.into_iter().flat_map(|room| TENTHS.map(|tenths| (room, tenths))) {
        let distance = u32::try_from(room * tenths / 10).unwrap();
        for read_through in [true, false] {
            for store in stores(room) {
                let hits = of_lru(&store, room, &once_more(distance, 16 * room, read_through));
                assert!(hits >= 95, "{hits} %: {room}, {distance}, {read_through}");
            }
        }
    }
}

#[test]
fn a_key_set_that_replaces_another_hits_as_with_lru() {
    for (room, tenths) in ROOMS.into_iter().flat_map(|room| TENTHS.map(|tenths| (room, tenths))) {
        let size = room * tenths / 10;
        // Each set that is counted ends.
        let count = 5 * size * (16 * room / (5 * size) + 2);
        for store in stores(room) {
            let hits = of_lru(&store, room, &sets(u32::try_from(size).unwrap(), 5, count));
            let shards = store.count();
            assert!(hits >= 95, "{hits} %: {room}, {size}, {shards}");
        }
    }
}
