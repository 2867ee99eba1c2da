//! The whole store in virtual time: named cases here, and random sequences of commands in
//! [`model`].

use alloc::string::String;
use core::cell::RefCell;
use core::num::NonZeroU64;
use std::format;
use std::vec;
use std::vec::Vec;

use bytes::Bytes;

use super::body::Own;
use super::shard::{Grant, WriteContext, Yield};
use super::*;
use crate::command::Command;
use crate::command::TopologyForm;
use crate::error::{NumberError, ServerError};
use crate::key::{KeySpace, Names, Scope};
use crate::number::Number;
use crate::reply::{Answer, Remaining, Reply};
use crate::time::Instant;
use crate::ttl::Expiry;

mod families;
mod large;
mod model;

/// Shards for one thread, and a clock.
struct Cells {
    shards: Vec<RefCell<Shard>>,
    seed: Seed,
    space: KeySpace,
    now: Instant,
}

/// The load of a store.
#[derive(PartialEq, Eq, Debug, Default)]
struct Usage {
    entries: u64,
    bytes: u64,
}

impl Shards for Cells {
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

impl Cells {
    fn new(shards: Vec<Shard>) -> Self {
        Self {
            shards: shards.into_iter().map(RefCell::new).collect(),
            seed: Seed::new(0x5eed),
            space: KeySpace::default(),
            now: Instant::ORIGIN,
        }
    }

    fn bounded(max_entries: Option<u64>, max_bytes: Option<u64>) -> Self {
        Self::new(new_shards(Bounds { max_entries, max_bytes }))
    }

    fn scope(&self) -> Scope<'_> {
        self.space.scope(None).unwrap()
    }

    fn run(&self, command: &Command<'_>) -> Answer {
        execute(self, &self.seed, command, self.now)
    }

    fn get(&self, name: &str) -> Option<Bytes> {
        match self.run(&Command::Get(self.scope().key(name.as_bytes()))) {
            Ok(Reply::Value(value)) => value,
            other => panic!("{other:?}"),
        }
    }

    fn set(&self, name: &str, value: impl Into<Bytes>, expiry: Expiry) {
        let (key, value) = (self.scope().key(name.as_bytes()), &value.into());
        assert_eq!(self.run(&Command::Set { key, value, expiry }), Ok(Reply::Done));
    }

    fn add(&self, name: &str, value: impl Into<Bytes>) -> Answer {
        let (key, value) = (self.scope().key(name.as_bytes()), &value.into());
        self.run(&Command::Add { key, value, expiry: Expiry::Never })
    }

    fn incr(&self, name: &str, delta: i128) -> Answer {
        let key = self.scope().key(name.as_bytes());
        self.run(&Command::Incr { key, delta: Number::Integer(delta), start: None })
    }

    fn touch(&self, name: &str) -> Answer {
        let key = self.scope().key(name.as_bytes());
        self.run(&Command::Touch { key, expiry: Expiry::Never })
    }

    fn remaining(&self, name: &str) -> Remaining {
        match self.run(&Command::Remaining(self.scope().key(name.as_bytes()))) {
            Ok(Reply::Remaining(remaining)) => remaining,
            other => panic!("{other:?}"),
        }
    }

    fn usage(&self) -> Usage {
        let Stats { entries, bytes, .. } = stats(self, Lookups::default());
        Usage { entries, bytes }
    }

    /// Every key that begins with `stem`, and the number of steps in which they were found.
    fn scan(&self, stem: &[u8]) -> (Vec<Bytes>, usize) {
        let (mut cursor, mut all) = (0, Vec::new());
        for steps in 1.. {
            match self.run(&Command::Scan { stem, cursor }) {
                Ok(Reply::Scanned { cursor: next, keys }) => {
                    all.extend(keys);
                    cursor = next;
                }
                other => panic!("{other:?}"),
            }
            if cursor == 0 {
                all.sort_unstable();
                return (all, steps);
            }
        }
        unreachable!()
    }

    /// Sweeps until nothing is due. Returns the number of rounds.
    fn sweep(&self) -> usize {
        let mut rounds = 1;
        while sweep(self, self.now).is_some_and(|deadline| deadline.at <= self.now) {
            rounds += 1;
        }
        rounds
    }
}

fn millis(millis: u64) -> Expiry {
    Expiry::Millis(NonZeroU64::new(millis).unwrap())
}

fn one_entry(name: &str, value: usize) -> u64 {
    // The name follows two colons.
    u64::try_from(2 + name.len() + value).unwrap() + ENTRY_OVERHEAD
}

#[test]
fn an_expired_key_can_be_added_again() {
    let mut store = Cells::bounded(None, None);
    store.set("k", "old", millis(10));
    store.now = Instant::from_millis(9);
    assert_eq!(store.add("k", "new"), Ok(Reply::Flag(false)));
    store.now = Instant::from_millis(10);
    assert_eq!(store.add("k", "new"), Ok(Reply::Flag(true)));
    assert_eq!(store.get("k"), Some(Bytes::from("new")));
    assert_eq!(store.remaining("k"), Remaining::Forever);
}

#[test]
fn an_expired_number_cannot_be_added_to() {
    let mut store = Cells::bounded(None, None);
    store.set("n", "41", millis(10));
    store.now = Instant::from_millis(9);
    assert_eq!(store.incr("n", 1), Ok(Reply::Number(Number::Integer(42))));
    assert_eq!(store.remaining("n"), Remaining::For(core::time::Duration::from_millis(1)));
    store.now = Instant::from_millis(10);
    assert_eq!(store.incr("n", 1), Err(NumberError::KeyNotFound.into()));
    assert_eq!(store.get("n"), None);
}

#[test]
fn an_expired_key_cannot_be_touched_back_to_life() {
    let mut store = Cells::bounded(None, None);
    store.set("k", "v", millis(10));
    store.now = Instant::from_millis(10);
    assert_eq!(store.touch("k"), Ok(Reply::Flag(false)));
    assert_eq!(store.get("k"), None);
}

#[test]
fn an_expired_key_is_absent_for_every_other_operation() {
    let fresh = || {
        let mut store = Cells::bounded(None, None);
        store.set("k", "v", millis(10));
        // Within the tick in which it expires, so that the wheel cannot have removed it yet.
        store.now = Instant::from_nanos(500_000);
        store.set("late", "v", millis(10));
        store.now = Instant::from_nanos(10_500_000);
        store
    };
    for name in ["k", "late"] {
        let names: Names = [name].into_iter().collect();
        let store = fresh();
        assert_eq!(store.get(name), None);
        assert_eq!(fresh().remaining(name), Remaining::Absent);
        let contains = Command::Contains(store.scope().key(name.as_bytes()));
        assert_eq!(fresh().run(&contains), Ok(Reply::Flag(false)));
        let many = Command::GetMany(store.scope().keys(&names));
        assert_eq!(fresh().run(&many), Ok(Reply::Values(vec![None])));
        let delete = Command::Delete(store.scope().keys(&names));
        assert_eq!(fresh().run(&delete), Ok(Reply::Count(0)));
        let whole = [store.scope().key(name.as_bytes()).to_bytes()];
        assert_eq!(fresh().run(&Command::Unlink(&whole)), Ok(Reply::Count(0)));
        assert!(fresh().scan(b"").0.is_empty());
    }
}

#[test]
fn an_entry_expires_to_the_nanosecond() {
    let mut store = Cells::bounded(None, None);
    store.now = Instant::from_nanos(123);
    store.set("k", "v", millis(1));
    store.now = Instant::from_nanos(1_000_122);
    assert!(store.get("k").is_some());
    assert_eq!(store.remaining("k"), Remaining::For(core::time::Duration::from_millis(1)));
    store.now = Instant::from_nanos(1_000_123);
    assert_eq!(store.get("k"), None);
}

#[test]
fn a_timeout_past_the_end_of_time_is_cut_to_it_and_stays_a_timeout() {
    let mut store = Cells::bounded(None, None);
    store.set("k", "v", millis(Expiry::MAX_MILLIS));
    store.now = Instant::from_nanos(u64::MAX - 2);
    assert!(matches!(store.remaining("k"), Remaining::For(_)));
    assert!(store.get("k").is_some());
}

#[test]
fn time_does_not_run_backwards() {
    let mut store = Cells::bounded(None, None);
    store.set("k", "v", millis(10));
    store.now = Instant::from_millis(10);
    assert_eq!(store.get("k"), None);
    store.set("k", "w", millis(10));
    store.now = Instant::from_millis(5);
    assert_eq!(store.remaining("k"), Remaining::For(core::time::Duration::from_millis(10)));
}

#[test]
fn cluster_commands_on_a_store_in_memory_are_an_error() {
    let cells = Cells::bounded(None, None);
    for command in [Command::Topology(TopologyForm::Shards), Command::ReadOnly] {
        assert_eq!(cells.run(&command), Err(ServerError::no_cluster().into()));
    }
}

#[test]
fn an_entry_too_large_for_its_shard_is_refused_and_evicts_only_what_it_replaces() {
    let room = 2 * one_entry("a", 10);
    let store = Cells::bounded(None, Some(room));
    store.set("a", vec![b'a'; 10], Expiry::Never);
    store.set("b", vec![b'b'; 10], Expiry::Never);
    let large = vec![b'x'; usize::try_from(room).unwrap()];
    store.set("c", large.clone(), Expiry::Never);
    assert_eq!(store.add("c", large.clone()), Ok(Reply::Flag(false)));
    assert_eq!((store.get("c"), store.usage().entries), (None, 2));
    store.set("a", large, Expiry::Never);
    assert_eq!((store.get("a"), store.usage().entries), (None, 1));
    assert!(store.get("b").is_some());
}

#[test]
fn the_largest_entry_that_fits_alone_is_stored_alone() {
    let room = one_entry("a", 100);
    let store = Cells::bounded(None, Some(room));
    store.set("b", "small", Expiry::Never);
    store.set("a", vec![0; 100], Expiry::Never);
    assert_eq!(store.usage(), Usage { entries: 1, bytes: room });
    store.set("a", vec![0; 101], Expiry::Never);
    assert_eq!(store.usage(), Usage::default());
}

#[test]
fn a_growing_number_makes_room_and_is_removed_if_it_outgrows_the_bound() {
    let store = Cells::bounded(None, Some(one_entry("n", 1) + one_entry("m", 1)));
    store.set("n", "9", Expiry::Never);
    store.set("m", "1", Expiry::Never);
    assert_eq!(store.incr("n", 1), Ok(Reply::Number(Number::Integer(10))));
    assert_eq!((store.get("n"), store.get("m")), (Some(Bytes::from("10")), None));
    let store = Cells::bounded(None, Some(one_entry("n", 1)));
    store.set("n", "9", Expiry::Never);
    assert_eq!(store.incr("n", 1), Ok(Reply::Number(Number::Integer(10))));
    assert_eq!(store.usage(), Usage::default());
}

#[test]
fn a_store_without_room_stores_nothing() {
    for store in [Cells::bounded(Some(0), None), Cells::bounded(None, Some(0))] {
        store.set("k", "v", Expiry::Never);
        assert_eq!(store.add("k", "v"), Ok(Reply::Flag(false)));
        assert_eq!((store.get("k"), store.usage()), (None, Usage::default()));
    }
}

#[test]
fn expired_entries_are_freed_before_live_ones_are_evicted() {
    let one = one_entry("00", 0);
    let mut store = Cells::bounded(None, Some(100 * one));
    store.set("up", "", Expiry::Never);
    for number in 0..99 {
        store.set(&format!("{number:02}"), "", millis(10));
    }
    store.now = Instant::from_millis(10);
    let large = usize::try_from(97 * one).unwrap();
    store.set("up2", vec![0; large], Expiry::Never);
    assert!(store.get("up").is_some() && store.get("up2").is_some());
}

#[test]
fn making_room_moves_few_timers_before_evicting_live_entries() {
    let mut store = Cells::bounded(Some(102), None);
    store.set("oldest", "", Expiry::Never);
    for number in 0..100 {
        store.set(&format!("{number}"), "", millis(100_000));
        if number == 50 {
            store.set("expired", "", millis(99_990));
        }
    }
    store.now = Instant::from_millis(99_999);
    store.set("new", "", Expiry::Never);
    assert_eq!(store.get("oldest"), None);
}

#[test]
fn with_a_byte_bound_a_large_entry_fills_its_queue_like_many_small() {
    let one = one_entry("00", 0);
    let store = Cells::bounded(None, Some(100 * one));
    let large = || vec![0; usize::try_from(93 * one).unwrap()];
    let set_small = |number: u32| store.set(&format!("{number:02}"), "", Expiry::Never);
    store.set("up", large(), Expiry::Never);
    (0..6).for_each(set_small);
    assert_eq!(store.get("up"), None, "it has made room");
    // It has come back, and so is in the main queue. There it does not count towards the share of
    // the small queue, whose oldest entry is evicted.
    store.set("up", large(), Expiry::Never);
    assert_eq!(store.usage().entries, 6);
    set_small(6);
    assert_eq!((store.get("up").is_some(), store.usage().entries), (true, 6));
}

#[test]
fn mass_expiry_is_spread_over_operations_and_invisible_from_the_start() {
    const ENTRIES: u64 = 5000;
    let mut store = Cells::bounded(None, None);
    for number in 0..ENTRIES {
        store.set(&format!("{number}"), "v", millis(100_000));
    }
    store.now = Instant::from_millis(100_000);
    let mut before = store.usage().entries;
    assert_eq!(before, ENTRIES);
    for number in 0..ENTRIES {
        let name = format!("{number}");
        assert_eq!(store.get(&name), None);
        assert_eq!(store.touch(&name), Ok(Reply::Flag(false)));
        let after = store.usage().entries;
        assert!(before - after <= 17, "{} at once", before - after);
        before = after;
    }
    assert_eq!(store.usage(), Usage::default());
}

#[test]
fn an_idle_store_is_swept_clean_in_bounded_rounds() {
    let mut store = Cells::new(vec![Shard::new(None, None)]);
    for number in 0..2000 {
        store.set(&format!("{number}"), "v", millis(1 + number % 1000));
    }
    store.now = Instant::from_millis(1000);
    assert!(store.usage().entries > 256);
    let rounds = store.sweep();
    assert!(rounds > 2, "{rounds} rounds");
    assert_eq!(store.usage(), Usage::default());
    assert_eq!(sweep(&store, store.now), None);
}

#[test]
fn the_deadline_is_never_after_the_next_expiry_and_rarely_before_it() {
    let mut store = Cells::new(vec![Shard::new(None, None)]);
    store.set("k", "v", millis(1_234_567_890));
    let mut wakeups = 0;
    while let Some(deadline) = sweep(&store, store.now) {
        assert!(deadline.at <= Instant::from_millis(1_234_567_890));
        store.now = deadline.at;
        wakeups += 1;
    }
    assert_eq!(store.now, Instant::from_millis(1_234_567_890));
    assert!(wakeups <= 16, "{wakeups} wake-ups");
}

#[test]
fn values_that_a_shard_removes_are_dropped_by_its_caller() {
    let (seed, now) = (Seed::new(1), Instant::ORIGIN);
    let key = seed.hash(b"::k");
    for step in 0..4 {
        let mut shard = Shard::new(None, None);
        let mut dead = Graveyard::new();
        let value = Own::of(&[1; 1000]);
        assert_eq!(shard.insert(key, &value, millis(1), &mut turn(now, &mut dead)), Ok(true));
        drop(value);
        let kept = shard.get(key, || now).unwrap();
        assert!(dead.is_empty() && !kept.is_unique());
        match step {
            0 => assert_eq!(
                shard.insert(key, &Own::of(b""), Expiry::Never, &mut turn(now, &mut dead)),
                Ok(true)
            ),
            1 => assert!(shard.remove(key, now, &mut dead)),
            2 => shard.sweep(Instant::from_millis(1), &mut dead),
            _ => shard.clear(now, &mut dead),
        }
        drop(shard);
        assert!(!kept.is_unique() && !dead.is_empty());
        drop(dead);
        assert!(kept.is_unique());
    }
}

fn turn(now: Instant, dead: &mut Graveyard) -> WriteContext<'_> {
    WriteContext { now, yields: Yield::Fairly, grant: Grant::NotYet, dead }
}

#[test]
fn a_scan_takes_bounded_steps_and_sees_every_key_of_its_stem_once() {
    let store = Cells::new((0..3).map(|_| Shard::new(None, None)).collect());
    let other = KeySpace::new("pre", 1.into()).unwrap();
    let scope = other.scope(None).unwrap();
    let mut wanted = Vec::new();
    for number in 0..2000 {
        let name = format!("pre:{number}");
        store.set(&name, "v", Expiry::Never);
        let key = scope.key(name.as_bytes());
        store.run(&Command::Set { key, value: &Bytes::new(), expiry: Expiry::Never }).unwrap();
        wanted.push(key.to_bytes());
    }
    wanted.sort_unstable();
    let (found, steps) = store.scan(b"pre:");
    assert_eq!(found, wanted);
    assert!(steps >= 4000 / 256, "{steps} steps");
    assert_eq!(store.run(&Command::Unlink(&found)), Ok(Reply::Count(2000)));
    assert_eq!((store.scan(b"pre:").0.len(), store.scan(b"").0.len()), (0, 2000));
}

#[test]
fn a_cursor_that_no_scan_returned_ends_the_scan() {
    let store = Cells::bounded(None, None);
    store.set("k", "v", Expiry::Never);
    for cursor in [u64::MAX, 1 << 60, u64::from(u32::MAX)] {
        let answer = store.run(&Command::Scan { stem: b"", cursor });
        assert!(matches!(answer, Ok(Reply::Scanned { keys, .. }) if keys.is_empty()), "{cursor}");
    }
}

#[test]
fn keys_longer_than_the_scratch_are_keys_like_any_other() {
    let store = Cells::bounded(None, None);
    for length in [0, 125, 126, 127, 128, 1000] {
        let name = String::from_utf8(vec![b'k'; length]).unwrap();
        store.set(&name, format!("{length}"), Expiry::Never);
        assert_eq!(store.get(&name), Some(Bytes::from(format!("{length}"))));
    }
    assert_eq!(store.usage().entries, 6);
}

#[test]
fn the_bounds_determine_the_number_of_shards() {
    let entries = |total| Bounds { max_entries: Some(total), max_bytes: None };
    let bytes = |total| Bounds { max_entries: None, max_bytes: Some(total) };
    let split = |bounds| new_shards(bounds).len();
    for (bounds, shards) in [
        (entries(0), 1),
        (entries(16_383), 1),
        (entries(16_384), 2),
        (entries(u64::MAX), 32),
        (bytes(0), 1),
        ((bytes(32 << 20)), 2),
        (bytes(64 << 20), 4),
        (bytes(u64::MAX), 32),
        (Bounds { max_entries: Some(100), max_bytes: Some(1 << 40) }, 1),
        (Bounds::default(), 32),
    ] {
        assert_eq!(split(bounds), shards, "{bounds:?}");
    }
}

#[test]
fn a_store_holds_exactly_max_entries() {
    for room in [1, 100, 8_192, 8_193, 20_000, 99_999] {
        let bounds = Bounds { max_entries: Some(room), max_bytes: None };
        let store = Cells::new(new_shards(bounds));
        for number in 0..room {
            store.set(&format!("{number}"), "", Expiry::Never);
        }
        assert_eq!(store.usage().entries, room);
        for number in room..room + 1_000 {
            store.set(&format!("{number}"), "", Expiry::Never);
            assert_eq!(store.usage().entries, room);
        }
        assert_eq!(stats(&store, Lookups::default()).evicted, 1_000);
    }
}

#[test]
fn a_bound_on_bytes_is_reached_to_the_last_entry_that_fits() {
    let one = one_entry("000000", 250);
    let room = 32 << 20;
    let store = Cells::bounded(None, Some(room));
    assert!(store.count() > 1);
    for number in 0..room / one {
        store.set(&format!("{number:06}"), vec![0; 250], Expiry::Never);
    }
    assert_eq!(store.usage().entries, room / one);
    assert_eq!(stats(&store, Lookups::default()).evicted, 0);
}

#[test]
fn a_shard_that_holds_less_than_its_part_has_others_make_room() {
    // All present entries are in one shard, and all new ones belong to the other.
    let bounds = Bounds { max_entries: Some(20_000), max_bytes: None };
    let store = Cells::new(new_shards(bounds));
    assert_eq!(store.count(), 2);
    let of = |shard: usize| {
        let is_there = move |name: &String| {
            store_seed().hash(format!("::{name}").as_bytes()).shard(2) == shard
        };
        (0..).map(|number| format!("{number}")).filter(is_there).take(20_000)
    };
    of(0).for_each(|name| store.set(&name, "", Expiry::Never));
    let held = |index: usize| store.shards[index].borrow().stats().entries;
    assert_eq!((held(0), held(1)), (20_000, 0));
    for name in of(1) {
        store.set(&name, "", Expiry::Never);
        assert_eq!(store.usage().entries, 20_000);
        assert!(store.get(&name).is_some());
    }
    assert!((8_750..=11_250).contains(&held(0)), "{}", held(0));
}

fn store_seed() -> Seed {
    Cells::new(Vec::new()).seed
}

#[test]
fn a_value_of_an_eighth_of_the_room_is_kept_whatever_the_room() {
    for room in [1 << 10, 1 << 20, 31 << 20, 64 << 20] {
        let store = Cells::bounded(None, Some(room));
        let large = usize::try_from(room / 8).unwrap();
        for number in 0..20 {
            let name = format!("{number}");
            store.set(&name, vec![7; large], Expiry::Never);
            assert_eq!(store.get(&name).map(|value| value.len()), Some(large), "of {room}");
            assert!(store.usage().bytes <= room);
        }
        assert!(store.usage().entries >= 4);
    }
}

#[test]
fn a_large_value_takes_room_from_all_shards_alike() {
    let room = 64 << 20;
    let store = Cells::bounded(None, Some(room));
    let one = one_entry("000000", 1000);
    for number in 0..room / one {
        store.set(&format!("{number:06}"), vec![0; 1000], Expiry::Never);
    }
    store.set("large", vec![0; 8 << 20], Expiry::Never);
    assert!(store.get("large").is_some());
    let evicted = |shard: &RefCell<Shard>| shard.borrow().stats().evicted * one;
    let most = store.shards.iter().map(evicted).max().unwrap();
    assert!(most < 5 << 20, "{most} bytes from one shard of {}", store.count());
    assert!(store.usage().bytes > room - 2 * one * u64::try_from(store.count()).unwrap());
}

#[test]
fn the_largest_value_that_fits_is_kept_even_with_many_shards() {
    let room = 64 << 20;
    let store = Cells::bounded(None, Some(room));
    for number in 0..1000 {
        store.set(&format!("{number}"), vec![0; 50_000], Expiry::Never);
    }
    let largest = room - 2 * one_entry("large", 0) + one_entry("large", 0) - ENTRY_OVERHEAD;
    let largest = usize::try_from(largest - 100).unwrap();
    store.set("large", vec![0; largest], Expiry::Never);
    assert!(store.get("large").is_some());
    assert_eq!(stats(&store, Lookups::default()).refused, 0);
    store.set("large", vec![0; usize::try_from(room).unwrap()], Expiry::Never);
    assert_eq!(store.get("large"), None);
}

#[test]
fn values_refused_by_any_operation_are_counted() {
    let store = Cells::bounded(None, Some(1000));
    let refused = || stats(&store, Lookups::default()).refused;
    store.set("a", vec![0; 1000], Expiry::Never);
    assert_eq!(refused(), 1);
    assert_eq!(store.add("a", vec![0; 1000]), Ok(Reply::Flag(false)));
    assert_eq!(refused(), 2);
    store.set("a", "1", Expiry::Never);
    assert_eq!(store.add("a", vec![0; 1000]), Ok(Reply::Flag(false)));
    assert_eq!(refused(), 2, "the key was there");
    let none = Cells::bounded(Some(0), None);
    none.set("a", "1", Expiry::Never);
    assert_eq!(stats(&none, Lookups::default()).refused, 1);
}

#[test]
fn tables_shrink_with_the_number_of_entries_in_small_steps() {
    const BURST: u32 = 30_000;
    let mut store = Cells::new(vec![Shard::new(None, None)]);
    for number in 0..BURST {
        store.set(&format!("{number}"), "v", millis(5));
        if number % 150 == 0 {
            store.set(&format!("stays {number}"), "v", millis(100_000));
        }
    }
    store.now = Instant::from_millis(5);
    let sizes = |store: &Cells| store.shards[0].borrow().table_sizes();
    let mut before = sizes(&store);
    assert!(before.0 >= BURST);
    while store.usage().entries > 200 {
        let entries = store.usage().entries;
        assert_eq!(store.get("stays 0"), Some(Bytes::from("v")));
        assert_eq!(store.touch("not there"), Ok(Reply::Flag(false)));
        let (after, gone) =
            (sizes(&store), u32::try_from(entries - store.usage().entries).unwrap());
        assert!(gone <= 16 && before.0 - after.0 <= 4 * gone && before.1 - after.1 <= gone);
        before = after;
        let entries = u32::try_from(store.usage().entries).unwrap();
        assert!(after.0 <= 2 * entries + 256 + 4, "{after:?} for {entries}");
        assert!(after.1 <= entries / 4 + 18, "{after:?} for {entries}");
    }
    let (keys, steps) = store.scan(b"");
    assert_eq!(keys.len(), 200);
    assert!(steps <= 2, "{steps}");
    for number in (0..BURST).step_by(150) {
        assert_eq!(store.get(&format!("stays {number}")), Some(Bytes::from("v")));
    }
    store.now = Instant::from_millis(100_000);
    store.sweep();
    assert_eq!(store.usage(), Usage::default());
}

#[test]
fn an_entry_survives_the_evictions_that_make_room_for_it() {
    // Its number is the last one, so it changes when the evictions make the tables smaller.
    let store = Cells::bounded(None, Some(2000 * one_entry("0000", 0)));
    for number in 0..1999 {
        store.set(&format!("{number:04}"), "", Expiry::Never);
    }
    store.set("last", "", Expiry::Never);
    for len in [1_000, 50_000, 150_000, 200_000] {
        store.set("last", vec![7; len], Expiry::Never);
        assert_eq!(store.get("last").map(|value| value.len()), Some(len));
    }
    assert_eq!(store.scan(b"").0.len(), usize::try_from(store.usage().entries).unwrap());
}

#[test]
fn an_emptied_shard_keeps_small_tables() {
    for cleared in [false, true] {
        let mut store = Cells::new(vec![Shard::new(None, None)]);
        for number in 0..20_000 {
            store.set(&format!("{number}"), "v", millis(5));
        }
        if cleared {
            store.run(&Command::Clear).unwrap();
        } else {
            store.now = Instant::from_millis(5);
            store.sweep();
        }
        let (numbers, buckets) = store.shards[0].borrow().table_sizes();
        assert!(numbers <= 256 && buckets <= 16, "{numbers} and {buckets}");
    }
}
