//! How much memory a store with a bound on bytes takes, for several mixtures of values.
//!
//! ```text
//! cargo run --release -p async-caches-core --example resident
//! ```
//!
//! Each mixture runs in a process of its own, which writes several times what fits, and prints the
//! most that it was resident with, beyond what it began with. Reads `/proc`, so it is for Linux.
//! The program fails if a mixture takes more than is documented.
//!
//! Two of them keep the values in plain vectors, without a store: what they take is the
//! allocator's.
#![allow(clippy::print_stdout, clippy::expect_used, clippy::indexing_slicing, reason = "a tool")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::process::Command as Process;

use async_caches_core::memory::{Bounds, Lookups, Seed, Shard, Shards, insert, new_shards, stats};
use async_caches_core::time::Instant;
use async_caches_core::ttl::{Expiry, Timeout};
use bytes::Bytes;

const BOUND: u64 = 64 << 20;
/// What a mixture is called, what stores it, and how many times the bound it may take.
type Mixture = (&'static str, fn(&mut Store), f64);

const MIXTURES: [Mixture; 9] = [
    ("tiny values", tiny, 1.25),
    ("300 bytes of 64 KiB each", slices, 1.25),
    ("vectors with spare capacity", spare, 1.25),
    ("1 MiB values", large, 1.25),
    ("any size at once", any, 1.25),
    ("any size, most of them expired", expired, 1.25),
    ("by turns 100 B, 3 kB, 50 kB, 700 kB", turns, 2.0),
    ("the same in vectors, the oldest goes", queue, f64::MAX),
    ("the same in vectors, a random one goes", bag, f64::MAX),
];

fn main() {
    if let Some(name) = std::env::args().nth(1) {
        let found = MIXTURES.iter().find(|(mixture, ..)| *mixture == name);
        let (_, fill, most) = found.expect("a mixture");
        let mut store = Store::new();
        fill(&mut store);
        store.look();
        let held = stats(&store, Lookups::default());
        println!(
            "{name:40} {:>9} {:>8.1} {:>8.1} {:>6.2}",
            held.entries,
            mib(held.bytes),
            mib(store.most),
            store.ratio(),
        );
        assert!(store.ratio() <= *most, "{name}: more than {most} times the bound");
        return;
    }
    println!("{:40} {:>9} {:>8} {:>8} {:>6}", "mixture", "entries", "counted", "resident", "ratio");
    for (name, ..) in MIXTURES {
        let exe = std::env::current_exe().expect("this program has a path");
        assert!(Process::new(exe).arg(name).status().expect("it runs").success());
    }
}

fn tiny(store: &mut Store) {
    for number in 0..2_000_000_u64 {
        store.set(number, &number.to_le_bytes()[..2], Expiry::Never);
    }
}

fn slices(store: &mut Store) {
    for number in 0..500_000 {
        // A block for each, of which a part is kept.
        let block = Bytes::from(vec![7; 64 << 10]);
        store.set(number, &block.slice(1000..1300), Expiry::Never);
    }
}

fn spare(store: &mut Store) {
    for number in 0..200_000 {
        let mut value = Vec::with_capacity(16 << 10);
        value.resize(1000, 7);
        store.set(number, &Bytes::from(value), Expiry::Never);
    }
}

fn large(store: &mut Store) {
    for number in 0..1_000 {
        store.set(number, &Bytes::from(vec![7; 1 << 20]), Expiry::Never);
    }
}

fn turns(store: &mut Store) {
    for (number, len) in (1..).zip(turns_of()) {
        store.set(number, &vec![7; to_usize(len)], Expiry::Never);
    }
}

/// The values of [`turns`] without any store: the oldest of them goes when the bound is reached.
fn queue(store: &mut Store) {
    vectors(store, |queue, _| queue.pop_front());
}

/// The same, but a random one goes.
fn bag(store: &mut Store) {
    vectors(store, |bag, random| bag.swap_remove_back(to_usize(random) % bag.len()));
}

/// Takes one out, by a random number.
type Goes = fn(&mut VecDeque<Vec<u8>>, u64) -> Option<Vec<u8>>;

fn vectors(store: &mut Store, goes: Goes) {
    let (mut all, mut held, mut number) = (VecDeque::new(), 0, 0_u64);
    for len in turns_of() {
        held += len + OF_A_VECTOR;
        all.push_back(vec![7_u8; to_usize(len)]);
        while held > BOUND {
            held -= goes(&mut all, store.random()).expect("one is left").len() as u64 + OF_A_VECTOR;
        }
        number += 1;
        if number.is_multiple_of(256) {
            store.look();
        }
    }
}

/// What a vector takes beside its bytes: its place in a queue that may be half empty, and the
/// allocator's header.
const OF_A_VECTOR: u64 = 64;

/// Three times: twice as many values of each length as fit.
fn turns_of() -> impl Iterator<Item = u64> {
    let many = |len| core::iter::repeat_n(len, to_usize(2 * BOUND / (len + 200)));
    (0..3).flat_map(move |_| [100, 3_000, 50_000, 700_000].into_iter().flat_map(many))
}

fn any(store: &mut Store) {
    for number in 0..300_000 {
        let len = store.any_len();
        store.set(number, &vec![7; len], Expiry::Never);
    }
}

fn expired(store: &mut Store) {
    for number in 0..300_000 {
        let len = store.any_len();
        let millis = 1 + store.random() % 1000;
        let after = Timeout::After(core::time::Duration::from_millis(millis));
        let expiry = after.resolve(Expiry::Never).expect("it is not zero");
        store.now = Instant::from_millis(number / 10);
        store.set(number, &vec![7; len], expiry);
    }
}

struct Store {
    shards: Vec<RefCell<Shard>>,
    seed: Seed,
    now: Instant,
    state: u64,
    first: u64,
    most: u64,
}

impl Store {
    fn new() -> Self {
        let bounds = Bounds { max_entries: None, max_bytes: Some(BOUND) };
        let shards = new_shards(bounds).into_iter().map(RefCell::new).collect();
        let (seed, now) = (Seed::new(1), Instant::ORIGIN);
        Self { shards, seed, now, state: 1, first: resident(), most: 0 }
    }

    fn set(&mut self, number: u64, value: &[u8], expiry: Expiry) {
        let key = format!("::user:{number}");
        insert(self, self.seed.hash(key.as_bytes()), value, expiry, self.now);
        if number.is_multiple_of(256) {
            self.look();
        }
    }

    fn look(&mut self) {
        self.most = self.most.max(resident().saturating_sub(self.first));
    }

    fn ratio(&self) -> f64 {
        self.most as f64 / BOUND as f64
    }

    /// As many of each magnitude, from a byte to a hundred thousand.
    fn any_len(&mut self) -> usize {
        let most = 1 << (self.random() % 18);
        to_usize(1 + self.random() % most)
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.state >> 33
    }
}

impl Shards for Store {
    fn count(&self) -> usize {
        self.shards.len()
    }

    fn read<R>(&self, index: usize, f: impl FnOnce(&Shard) -> R) -> R {
        f(&self.shards[index].borrow())
    }

    fn with<R>(&self, index: usize, f: impl FnOnce(&mut Shard) -> R) -> R {
        f(&mut self.shards[index].borrow_mut())
    }
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("it counts pages") * 4096
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).expect("it is small")
}
