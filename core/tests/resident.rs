//! The memory that an in-memory store keeps allocated: never more than its bound on bytes, and less
//! once it holds less.
//!
//! This is the only test in its program, because it counts all allocations of the program. The
//! allocator's own overhead is not counted here: `examples/resident.rs` looks at the whole process.

use std::cell::RefCell;
use std::num::NonZeroU64;
use std::time::Duration;

use async_caches_core::command::Command;
use async_caches_core::memory::{
    Bounds, Lookups, Seed, Shard, Shards, execute, insert, new_shards, stats, sweep,
};
use async_caches_core::time::Instant;
use async_caches_core::ttl::Expiry;
use bytes::Bytes;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const BOUND: usize = 8 << 20;

#[test]
fn a_store_allocates_little_more_than_its_bound() {
    for (name, make) in MIXTURES {
        let store = Store::new(Some(8 << 20));
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let mut written = 0;
        for number in 0.. {
            let value = make(number);
            written += value.len() + 100;
            store.set(number, &value, Expiry::Never);
            drop(value);
            let kept = ALLOCATOR.current_usage() - before;
            assert!(kept <= BOUND + BOUND / 20, "{name}: {kept} bytes after {number}");
            if written > 3 * BOUND {
                break;
            }
        }
        assert!(store.counted() > 3 * BOUND / 4, "{name}: {}", store.counted());
    }
    memory_follows_the_number_of_entries_down();
    a_value_that_is_kept_keeps_nothing_else();
}

type Make = fn(u64) -> Bytes;

const MIXTURES: [(&str, Make); 7] = [
    ("tiny values", |number| Bytes::copy_from_slice(&number.to_le_bytes()[..3])),
    ("small parts of large blocks", |_| Bytes::from(vec![7; 64 << 10]).slice(100..110)),
    ("parts of large blocks", |_| Bytes::from(vec![7; 64 << 10]).slice(100..400)),
    ("spare capacity", |_| {
        let mut value = Vec::with_capacity(16 << 10);
        value.resize(1000, 7);
        Bytes::from(value)
    }),
    ("a mebibyte each", |_| Bytes::from(vec![7; 1 << 20])),
    ("by turns", |number| Bytes::from(vec![7; [100, 3_000, 50_000, 700_000][by_turns(number)]])),
    ("any size", |number| Bytes::from(vec![7; (number * 7919 % (1 << (number % 17))) as usize])),
];

/// A few hundred values of one size, then a few hundred of the next.
fn by_turns(number: u64) -> usize {
    (number / 200 % 4) as usize
}

fn memory_follows_the_number_of_entries_down() {
    let store = Store::new(None);
    let before = ALLOCATOR.current_usage();
    for number in 0..200 {
        store.set(number, b"stays", Expiry::Never);
    }
    let few = ALLOCATOR.current_usage() - before;
    let soon = Expiry::Millis(NonZeroU64::new(10).expect("it is not zero"));
    for number in 200..100_000 {
        store.set(number, b"goes", soon);
    }
    let many = ALLOCATOR.current_usage() - before;
    let later = Instant::ORIGIN + Duration::from_millis(20);
    while sweep(&store, later).is_some_and(|deadline| deadline.at <= later) {}
    assert_eq!(stats(&store, Lookups::default()).entries, 200);
    let left = ALLOCATOR.current_usage() - before;
    // Each shard's tables keep a chunk or two for later entries.
    let kept = store.0.len() * 4 * 512 * 64;
    assert!(left < few + kept && left < many / 2, "{few}, {many}, and {left} are left");
}

fn a_value_that_is_kept_keeps_nothing_else() {
    let store = Store::new(None);
    let before = ALLOCATOR.current_usage();
    for number in 0..1_000 {
        store.set(number, &Bytes::from(vec![7; 100_000]).slice(..10), Expiry::Never);
    }
    let key = store.1.hash(b"::5");
    let kept = store.read(key.shard(store.count()), |shard| shard.get(key, || Instant::ORIGIN));
    assert_eq!(kept.as_ref().map(Bytes::len), Some(10));
    execute(&store, &store.1, &Command::Clear, Instant::ORIGIN).expect("it is cleared");
    drop(store);
    let left = ALLOCATOR.current_usage().saturating_sub(before);
    assert!(left < 200, "{left} bytes for ten");
}

struct Store(Vec<RefCell<Shard>>, Seed);

impl Store {
    fn new(max_bytes: Option<u64>) -> Self {
        let shards = new_shards(Bounds { max_entries: None, max_bytes });
        Self(shards.into_iter().map(RefCell::new).collect(), Seed::new(1))
    }

    fn set(&self, number: u64, value: &[u8], expiry: Expiry) {
        let key = format!("::{number}");
        assert!(insert(self, self.1.hash(key.as_bytes()), value, expiry, Instant::ORIGIN));
    }

    fn counted(&self) -> usize {
        stats(self, Lookups::default()).bytes as usize
    }
}

impl Shards for Store {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn read<R>(&self, index: usize, f: impl FnOnce(&Shard) -> R) -> R {
        f(&self.0[index].borrow())
    }

    fn with<R>(&self, index: usize, f: impl FnOnce(&mut Shard) -> R) -> R {
        f(&mut self.0[index].borrow_mut())
    }
}
