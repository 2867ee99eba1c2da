//! The memory that an entry of the in-memory store takes: little more than its contents, whatever
//! their size.
//!
//! This is the only test in its program, because it counts all allocations of the program.

use std::cell::RefCell;

use async_caches_core::command::Command;
use async_caches_core::key::KeySpace;
use async_caches_core::memory::{Seed, Shard, Shards, execute};
use async_caches_core::time::Instant;
use async_caches_core::ttl::Expiry;
use bytes::Bytes;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The most bytes that an entry takes besides its key and value: its records, its share of the
/// table, and the unused rest of its block.
const OVERHEAD: usize = 200;
const ENTRIES: usize = 500;

#[test]
fn an_entry_has_a_small_memory_overhead() {
    for (name_len, lens) in [(5, 0..600), (250, 0..300)] {
        for len in lens {
            let taken = taken(name_len, len);
            let held = "::".len() + name_len + len;
            assert!(taken <= held + OVERHEAD, "{taken} bytes for an entry of {held}");
        }
    }
}

/// The average number of bytes that an entry takes, for names and values of these lengths.
fn taken(name_len: usize, len: usize) -> usize {
    let (space, value) = (KeySpace::default(), vec![b'v'; len]);
    let scope = space.scope(None).expect("no version, no colon");
    let (store, seed) = (One(RefCell::new(Shard::new(None, None))), Seed::new(1));
    let before = ALLOCATOR.current_usage();
    for number in 0..ENTRIES {
        let name = format!("{number:0name_len$}");
        // A copy that only the store keeps.
        let value = Bytes::copy_from_slice(&value);
        let key = scope.key(name.as_bytes());
        let set = Command::Set { key, value: &value, expiry: Expiry::Never };
        execute(&store, &seed, &set, Instant::ORIGIN).expect("it is set");
    }
    (ALLOCATOR.current_usage() - before) / ENTRIES
}

struct One(RefCell<Shard>);

impl Shards for One {
    fn count(&self) -> usize {
        1
    }

    fn read<R>(&self, _: usize, f: impl FnOnce(&Shard) -> R) -> R {
        f(&self.0.borrow())
    }

    fn with<R>(&self, _: usize, f: impl FnOnce(&mut Shard) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }
}
