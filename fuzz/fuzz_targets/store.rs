//! Any commands at any times, on a small in-memory store and on a map beside it. Every result must
//! be that of the map, except that a store with bounds may have evicted entries. The contents of
//! the store must stay within its bounds.
#![no_main]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use async_caches_core::command::Command;
use async_caches_core::error::NumberError;
use async_caches_core::key::{KeySpace, Names};
use async_caches_core::memory::{Lookups, Seed, Shard, Shards, Stats, execute, stats, sweep};
use async_caches_core::number::Number;
use async_caches_core::reply::{Answer, Reply};
use async_caches_core::time::Instant;
use async_caches_core::ttl::Expiry;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // Running out of input ends the story; it is not an error.
    let _ = run(&mut Unstructured::new(input));
});

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let max_entries = Some(u.int_in_range(0..=8)?).filter(|&bound| bound < 8);
    let max_bytes = Some(u.int_in_range(0..=15)? * 100).filter(|&bound| bound < 1500);
    let count = u.int_in_range(1..=3)?;
    let shards = (0..count).map(|_| RefCell::new(Shard::new(max_entries, max_bytes))).collect();
    let mut pair = Pair {
        store: Cells(shards),
        bounded: max_entries.is_some() || max_bytes.is_some(),
        seed: Seed::new(1),
        now: Instant::ORIGIN,
        map: BTreeMap::new(),
    };
    while !u.is_empty() {
        pair.act(u)?;
        for shard in &pair.store.0 {
            let shard = shard.borrow();
            let Stats { entries, bytes, .. } = shard.stats();
            assert!(max_entries.is_none_or(|bound| entries <= bound));
            assert!(max_bytes.is_none_or(|bound| bytes <= bound));
        }
        let stats = stats(&pair.store, Lookups::default());
        let left = stats.evicted + stats.expired + stats.removed;
        assert_eq!(stats.insertions, stats.entries + left, "{stats:?}");
    }
    Ok(())
}

struct Cells(Vec<RefCell<Shard>>);

impl Shards for Cells {
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

/// The store, and the most that it may contain: the values, and when they expire.
struct Pair {
    store: Cells,
    bounded: bool,
    seed: Seed,
    now: Instant,
    map: BTreeMap<Bytes, (Bytes, Option<Instant>)>,
}

impl Pair {
    fn act(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let space = KeySpace::default();
        let scope = space.scope(None).expect("no version, no colon");
        let act: u8 = u.int_in_range(0..=12)?;
        let name = [b'a' + u.int_in_range(0..=9)?];
        let (key, names): (_, Names) =
            (scope.key(&name), [name, *b"a", name].into_iter().collect());
        let whole = key.to_bytes();
        match act {
            0 | 1 => {
                let (value, expiry) = (&value(u)?, expiry(u)?);
                assert_eq!(self.run(&Command::Set { key, value, expiry }), Ok(Reply::Done));
                self.write(whole, value, self.until(expiry));
            }
            2 => {
                let (value, expiry) = (&value(u)?, expiry(u)?);
                let absent = !self.map.contains_key(&whole);
                let added = self.run(&Command::Add { key, value, expiry });
                assert!(added == Ok(Reply::Flag(absent)) || self.bounded);
                if absent {
                    self.write(whole, value, self.until(expiry));
                }
            }
            3 => {
                let (value, expiry) = (value(u)?, expiry(u)?);
                let (keys, values) = (scope.keys(&names), [value.clone(), value.clone(), value]);
                let set = Command::SetMany { keys, values: &values, expiry };
                assert_eq!(self.run(&set), Ok(Reply::Done));
                self.write(whole, &values[0], self.until(expiry));
                self.write(scope.key(b"a").to_bytes(), &values[0], self.until(expiry));
            }
            4 => {
                let expiry = expiry(u)?;
                let touched = self.run(&Command::Touch { key, expiry });
                let until = self.until(expiry);
                let found = self.map.get_mut(&whole).map(|kept| kept.1 = until).is_some();
                assert_eq!(touched, Ok(Reply::Flag(found)));
            }
            5 => {
                let delta = if u.arbitrary()? {
                    Number::Integer(u.arbitrary::<i8>()?.into())
                } else {
                    Number::Float(f64::from(u.arbitrary::<i8>()?) / 4.0)
                };
                let answer = self.run(&Command::Incr { key, delta, start: None });
                match self.map.get(&whole).cloned() {
                    None => assert_eq!(answer, Err(NumberError::KeyNotFound.into())),
                    Some((value, until)) => match delta.add_to(&value) {
                        Err(error) => assert_eq!(answer, Err(error.into())),
                        Ok((sum, text)) => {
                            assert_eq!(answer, Ok(Reply::Number(sum)));
                            self.write(whole, &text.into(), until);
                        }
                    },
                }
            }
            6 => {
                let wanted = u64::from(self.map.remove(&whole).is_some())
                    + u64::from(self.map.remove(&scope.key(b"a").to_bytes()).is_some());
                let deleted = self.run(&Command::Delete(scope.keys(&names)));
                assert_eq!(deleted, Ok(Reply::Count(wanted)));
            }
            7 => {
                let wanted = u64::from(self.map.remove(&whole).is_some());
                assert_eq!(self.run(&Command::Unlink(&[whole])), Ok(Reply::Count(wanted)));
            }
            8 => self.pass(u64::from(u.int_in_range(0..=255_u8)?) * 300_000),
            9 => self.pass(1 << u.int_in_range(0..=60)?),
            10 => {
                sweep(&self.store, self.now);
            }
            11 => {
                assert_eq!(self.run(&Command::Clear), Ok(Reply::Done));
                self.map.clear();
            }
            _ => assert_eq!(self.run(&Command::Ping), Ok(Reply::Done)),
        }
        self.compare();
        let value = self.map.get(&key.to_bytes()).map(|kept| kept.0.clone());
        assert_eq!(self.run(&Command::Get(key)), Ok(Reply::Value(value)));
        Ok(())
    }

    fn run(&self, command: &Command<'_>) -> Answer {
        execute(&self.store, &self.seed, command, self.now)
    }

    fn until(&self, expiry: Expiry) -> Option<Instant> {
        match expiry {
            Expiry::Never => None,
            Expiry::Millis(millis) => Some(self.now + Duration::from_millis(millis.get())),
        }
    }

    fn write(&mut self, key: Bytes, value: &Bytes, until: Option<Instant>) {
        self.map.insert(key, (value.clone(), until));
        if self.bounded {
            let found = self.scan();
            self.map.retain(|key, _| found.contains(key));
        }
    }

    fn pass(&mut self, nanos: u64) {
        let last = Instant::from_nanos(u64::MAX / 2);
        self.now = (self.now + Duration::from_nanos(nanos)).min(last);
        self.map.retain(|_, kept| kept.1.is_none_or(|until| self.now < until));
    }

    fn compare(&self) {
        let mut found = self.scan();
        found.sort_unstable();
        assert!(found.iter().eq(self.map.keys()), "{found:?} are there, not {:?}", self.map);
    }

    fn scan(&self) -> Vec<Bytes> {
        let (mut from, mut all) = (0, Vec::new());
        loop {
            match self.run(&Command::Scan { stem: b"::", cursor: from }) {
                Ok(Reply::Scanned { cursor, keys }) => {
                    all.extend(keys);
                    from = cursor;
                }
                other => panic!("{other:?}"),
            }
            if from == 0 {
                return all;
            }
        }
    }
}

fn value(u: &mut Unstructured<'_>) -> Result<Bytes> {
    Ok(match u.int_in_range(0..=3_u8)? {
        0 => vec![b'x'; usize::from(u.arbitrary::<u8>()?) * 2].into(),
        1 => u.arbitrary::<i64>()?.to_string().into(),
        2 => u.arbitrary::<f64>()?.to_string().into(),
        _ => Bytes::from_static(b"1"),
    })
}

fn expiry(u: &mut Unstructured<'_>) -> Result<Expiry> {
    let exponent = u.int_in_range(0..=54)?;
    let millis = NonZeroU64::new((1 << exponent) + u.int_in_range(0..=3)?);
    Ok(millis.filter(|_| exponent < 54).map_or(Expiry::Never, Expiry::Millis))
}
