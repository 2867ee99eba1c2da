//! Any commands at any times, on the store and on a map beside it.
//!
//! The map has no bounds. After every command, the keys that the store has evicted are removed from
//! the map too, if the store had a reason to evict. So every reply must be exactly the map's.

use alloc::collections::BTreeMap;
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::command::Start;
use crate::memory::store::shards_of;

#[derive(Clone, Debug)]
enum Act {
    Get(usize),
    GetMany(Vec<usize>),
    Set(usize, Bytes, Expiry),
    /// Sets a value that takes this many percent of the whole room.
    Fill(usize, u64, Expiry),
    SetMany(Vec<usize>, Bytes, Expiry),
    Add(usize, Bytes, Expiry),
    Delete(Vec<usize>),
    Unlink(Vec<usize>),
    Clear,
    ClearStem(usize),
    Touch(usize, Expiry),
    Incr(usize, Number),
    Count(usize, Number, Number, Expiry),
    DeleteIf(usize, Bytes),
    Contains(usize),
    Ping,
    Pass(Duration),
    Sweep,
}

fn keys() -> impl Strategy<Value = usize> {
    0..NAMES.len()
}

fn many() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(keys(), 0..5)
}

fn values() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => (0..120_usize).prop_map(|len| Bytes::from(vec![b'x'; len])),
        1 => (240..400_usize).prop_map(|len| Bytes::from(vec![b'y'; len])),
        4 => (-20..20_i64).prop_map(|number| Bytes::from(format!("{number}"))),
        4 => Just(Bytes::from_static(b"1.5")),
        4 => Just(Bytes::from_static(b"9223372036854775800")),
    ]
}

fn spans() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 1..20_u64, 2 => 1..5000_u64, 1 => (0..54_u32).prop_map(|bit| 1 << bit)]
}

fn expiries() -> impl Strategy<Value = Expiry> {
    prop_oneof![1 => Just(Expiry::Never), 2 => spans().prop_map(millis)]
}

fn numbers() -> impl Strategy<Value = Number> {
    prop_oneof![
        (-100..100_i128).prop_map(Number::Integer),
        (-100..100_i32).prop_map(|quarters| Number::Float(f64::from(quarters) / 4.0)),
    ]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => keys().prop_map(Act::Get),
        1 => many().prop_map(Act::GetMany),
        8 => (keys(), values(), expiries()).prop_map(|(key, value, expiry)| Act::Set(key, value, expiry)),
        2 => (keys(), 85..=101_u64, expiries()).prop_map(|(key, part, expiry)| Act::Fill(key, part, expiry)),
        1 => (many(), values(), expiries()).prop_map(|(keys, value, expiry)| Act::SetMany(keys, value, expiry)),
        4 => (keys(), values(), expiries()).prop_map(|(key, value, expiry)| Act::Add(key, value, expiry)),
        1 => many().prop_map(Act::Delete),
        1 => many().prop_map(Act::Unlink),
        3 => (keys(), expiries()).prop_map(|(key, expiry)| Act::Touch(key, expiry)),
        3 => (keys(), numbers()).prop_map(|(key, delta)| Act::Incr(key, delta)),
        2 => (keys(), numbers(), numbers(), expiries())
            .prop_map(|(key, delta, initial, expiry)| Act::Count(key, delta, initial, expiry)),
        1 => (keys(), values()).prop_map(|(key, value)| Act::DeleteIf(key, value)),
        1 => keys().prop_map(Act::Contains),
        1 => prop_oneof![Just(Act::Clear), (0..STEMS.len()).prop_map(Act::ClearStem), Just(Act::Ping)],
        4 => spans().prop_map(|span| Act::Pass(Duration::from_micros(span * 250))),
        1 => spans().prop_map(|span| Act::Pass(Duration::from_millis(span))),
        1 => Just(Act::Sweep),
    ];
    proptest::collection::vec(act, 200)
}

/// A store without bounds or with tiny ones, of several shards that share them.
#[derive(Clone, Debug)]
struct Shape {
    shards: usize,
    max_entries: Option<u64>,
    max_bytes: Option<u64>,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let entries = proptest::option::of(0..8_u64);
    let bytes = proptest::option::of(prop_oneof![Just(0), 100..2000_u64]);
    (1..4_usize, entries, bytes).prop_map(|(shards, max_entries, max_bytes)| Shape {
        shards,
        max_entries,
        max_bytes,
    })
}

struct Kept {
    value: Bytes,
    until: Option<Instant>,
}

struct Pair {
    shape: Shape,
    store: Cells,
    plain: BTreeMap<Bytes, Kept>,
    /// Whether all entries of the store are live, so that only a lack of room is a reason to evict.
    none_expired: bool,
}

impl Pair {
    fn new(shape: Shape) -> Self {
        let Shape { shards, max_entries, max_bytes } = shape;
        let store = Cells::new(shards_of(Bounds { max_entries, max_bytes }, shards));
        Self { store, shape, plain: BTreeMap::new(), none_expired: true }
    }

    fn act(&mut self, act: &Act) {
        let space = KeySpace::default();
        let scope = space.scope(None).unwrap();
        let key = |index: &usize| scope.key(NAMES[*index]);
        let whole = |index: &usize| key(index).to_bytes();
        let names = |indexes: &[usize]| -> Names { indexes.iter().map(|&i| NAMES[i]).collect() };
        match act {
            Act::Get(index) => {
                let wanted = self.value(&whole(index));
                self.check(&Command::Get(key(index)), &Ok(Reply::Value(wanted)));
            }
            Act::GetMany(indexes) => {
                let wanted = indexes.iter().map(|index| self.value(&whole(index))).collect();
                let names = names(indexes);
                self.check(&Command::GetMany(scope.keys(&names)), &Ok(Reply::Values(wanted)));
            }
            Act::Set(index, value, expiry) => {
                let stored = self.keep(whole(index), value.clone(), self.until(*expiry));
                let command = Command::Set { key: key(index), value, expiry: *expiry };
                self.check_write(&command, &Ok(Reply::Done), stored.as_ref());
            }
            Act::Fill(index, part, expiry) => {
                let value = self.filling(&whole(index), *part);
                self.act(&Act::Set(*index, value, *expiry));
            }
            Act::SetMany(indexes, value, expiry) => {
                let mut stored = None;
                for index in indexes {
                    stored = self.keep(whole(index), value.clone(), self.until(*expiry));
                }
                // On its way through the keys it may run out of room that it has at the end.
                self.none_expired = false;
                let (names, values) = (names(indexes), vec![value.clone(); indexes.len()]);
                let keys = scope.keys(&names);
                let command = Command::SetMany { keys, values: &values, expiry: *expiry };
                self.check_write(&command, &Ok(Reply::Done), stored.as_ref());
            }
            Act::Add(index, value, expiry) => {
                let absent = !self.plain.contains_key(&whole(index));
                let stored = absent
                    .then(|| self.keep(whole(index), value.clone(), self.until(*expiry)))
                    .flatten();
                let command = Command::Add { key: key(index), value, expiry: *expiry };
                self.check_write(&command, &Ok(Reply::Flag(stored.is_some())), stored.as_ref());
            }
            Act::Delete(indexes) => {
                let wanted = self.forget(indexes.iter().map(whole));
                let names = names(indexes);
                self.check(&Command::Delete(scope.keys(&names)), &Ok(Reply::Count(wanted)));
            }
            Act::Unlink(indexes) => {
                let wanted = self.forget(indexes.iter().map(whole));
                let keys: Vec<Bytes> = indexes.iter().map(whole).collect();
                self.check(&Command::Unlink(&keys), &Ok(Reply::Count(wanted)));
            }
            Act::Clear => {
                self.plain.clear();
                self.check(&Command::Clear, &Ok(Reply::Done));
            }
            Act::ClearStem(index) => {
                let stem = STEMS[*index];
                let keys = self.store.scan(stem).0;
                let wanted: Vec<Bytes> =
                    self.plain.keys().filter(|key| key.starts_with(stem)).cloned().collect();
                assert_eq!(keys, wanted);
                let count = self.forget(keys.iter().cloned());
                self.check(&Command::Unlink(&keys), &Ok(Reply::Count(count)));
            }
            Act::Touch(index, expiry) => {
                let until = self.until(*expiry);
                let found = self.plain.get_mut(&whole(index));
                let wanted = found.map(|kept| kept.until = until).is_some();
                let command = Command::Touch { key: key(index), expiry: *expiry };
                self.check(&command, &Ok(Reply::Flag(wanted)));
            }
            Act::Incr(index, delta) => {
                let command = Command::Incr { key: key(index), delta: *delta, start: None };
                let Some(kept) = self.plain.get(&whole(index)) else {
                    self.check(&command, &Err(NumberError::KeyNotFound.into()));
                    return;
                };
                match delta.add_to(&kept.value) {
                    Ok((sum, text)) => {
                        let stored = self.keep(whole(index), text.into(), kept.until);
                        self.check_write(&command, &Ok(Reply::Number(sum)), stored.as_ref());
                    }
                    Err(error) => self.check(&command, &Err(error.into())),
                }
            }
            Act::Count(index, delta, initial, expiry) => {
                let start = Start { initial: *initial, expiry: *expiry };
                let command = Command::Incr { key: key(index), delta: *delta, start: Some(&start) };
                let (stored, until) = match self.plain.get(&whole(index)) {
                    Some(kept) => (kept.value.to_vec(), kept.until),
                    None => (initial.text().unwrap(), self.until(*expiry)),
                };
                match delta.add_to(&stored) {
                    Ok((sum, text)) => {
                        let stored = self.keep(whole(index), text.into(), until);
                        self.check_write(&command, &Ok(Reply::Number(sum)), stored.as_ref());
                    }
                    Err(error) => self.check(&command, &Err(error.into())),
                }
            }
            Act::DeleteIf(index, value) => {
                let equals = self.plain.get(&whole(index)).is_some_and(|kept| kept.value == value);
                if equals {
                    self.plain.remove(&whole(index));
                }
                let command = Command::DeleteIf { key: key(index), value };
                self.check(&command, &Ok(Reply::Flag(equals)));
            }
            Act::Contains(index) => {
                let wanted = self.plain.contains_key(&whole(index));
                self.check(&Command::Contains(key(index)), &Ok(Reply::Flag(wanted)));
            }
            Act::Ping => self.check(&Command::Ping, &Ok(Reply::Done)),
            Act::Pass(span) => self.pass(self.store.now + *span),
            Act::Sweep => {
                // An entry that expires within a tick is found at the tick's end.
                let tick = self.store.now.as_nanos().div_ceil(1_000_000);
                self.pass(Instant::from_millis(tick));
                self.store.sweep();
                self.check_usage();
            }
        }
    }

    fn pass(&mut self, to: Instant) {
        // Time ends before its maximum, so that no deadline saturates.
        self.store.now = to.min(Instant::from_nanos(u64::MAX / 2));
        self.expire();
    }

    fn expire(&mut self) {
        let (now, before) = (self.store.now, self.plain.len());
        self.plain.retain(|_, kept| kept.until.is_none_or(|until| now < until));
        self.none_expired &= self.plain.len() == before;
    }

    fn until(&self, expiry: Expiry) -> Option<Instant> {
        match expiry {
            Expiry::Never => None,
            Expiry::Millis(millis) => Some(self.store.now + Duration::from_millis(millis.get())),
        }
    }

    fn value(&self, key: &Bytes) -> Option<Bytes> {
        self.plain.get(key).map(|kept| kept.value.clone())
    }

    /// Puts an entry into the map unless it is too large. Returns the key if it was stored.
    fn keep(&mut self, key: Bytes, value: Bytes, until: Option<Instant>) -> Option<Bytes> {
        let fits = self.shape.max_bytes.is_none_or(|bound| size(&key, &value) <= bound);
        if fits && self.shape.max_entries != Some(0) {
            self.plain.insert(key.clone(), Kept { value, until });
            Some(key)
        } else {
            self.plain.remove(&key);
            None
        }
    }

    /// A value that takes, together with its key, this many percent of a shard's room.
    fn filling(&self, key: &Bytes, part: u64) -> Bytes {
        let room = self.shape.max_bytes.unwrap_or(1000) * part / 100;
        let small = usize::try_from(room.saturating_sub(ENTRY_OVERHEAD)).unwrap();
        let large = small.saturating_sub(usize::try_from(ENTRY_OVERHEAD).unwrap() + key.len());
        let small = small.saturating_sub(key.len()).min(256);
        Bytes::from(vec![b'z'; if large > 256 { large } else { small }])
    }

    fn forget(&mut self, keys: impl Iterator<Item = Bytes>) -> u64 {
        keys.map(|key| u64::from(self.plain.remove(&key).is_some())).sum()
    }

    /// Runs a command that must not evict.
    fn check(&mut self, command: &Command<'_>, wanted: &Answer) {
        assert_eq!(self.store.run(command), *wanted, "{command:?}");
        assert_eq!(self.lost(), Vec::<Bytes>::new(), "{command:?}");
        self.check_bounds();
    }

    /// Runs a command that may evict, but not the key that it has `stored`.
    fn check_write(&mut self, command: &Command<'_>, wanted: &Answer, stored: Option<&Bytes>) {
        assert_eq!(self.store.run(command), *wanted, "{command:?}");
        let lost = self.lost();
        if self.none_expired && self.all_fits() {
            assert_eq!(lost, Vec::<Bytes>::new(), "{command:?} evicted though there was room");
        }
        let unbounded = self.shape.max_entries.is_none() && self.shape.max_bytes.is_none();
        assert!(!unbounded || lost.is_empty(), "{command:?} evicted without a bound");
        for key in lost {
            assert_ne!(Some(&key), stored, "{command:?}");
            self.plain.remove(&key);
        }
        self.check_bounds();
    }

    /// The keys that are in the map and not in the store. The store must have no others, and the
    /// same expiry for each.
    fn lost(&self) -> Vec<Bytes> {
        let (found, _) = self.store.scan(b"");
        for key in &found {
            let kept = self.plain.get(key).unwrap_or_else(|| panic!("{key:?} should be gone"));
            let name = core::str::from_utf8(&key[2..]).unwrap();
            let wanted = match kept.until {
                None => Remaining::Forever,
                Some(until) => {
                    let nanos = until.since(self.store.now).as_nanos();
                    let millis = u64::try_from(nanos.div_ceil(1_000_000)).unwrap();
                    Remaining::For(Duration::from_millis(millis))
                }
            };
            assert_eq!(self.store.remaining(name), wanted, "{key:?}");
        }
        self.plain.keys().filter(|key| !found.contains(key)).cloned().collect()
    }

    /// Whether everything in the map fits.
    fn all_fits(&self) -> bool {
        let Usage { entries, bytes } = self.wanted_usage();
        self.shape.max_entries.is_none_or(|bound| entries <= bound)
            && self.shape.max_bytes.is_none_or(|bound| bytes <= bound)
    }

    fn wanted_usage(&self) -> Usage {
        let bytes = self.plain.iter().map(|(key, kept)| size(key, &kept.value)).sum();
        Usage { entries: u64::try_from(self.plain.len()).unwrap(), bytes }
    }

    fn check_bounds(&mut self) {
        let stats = stats(&self.store, Lookups::default());
        let Stats { entries, bytes, .. } = stats;
        assert!(self.shape.max_entries.is_none_or(|bound| entries <= bound));
        assert!(self.shape.max_bytes.is_none_or(|bound| bytes <= bound));
        let gone = stats.evicted + stats.expired + stats.removed;
        assert_eq!(stats.insertions, stats.entries + gone, "{stats:?}");
        let (held, wanted) = (self.store.usage(), self.wanted_usage());
        assert!(held.entries >= wanted.entries && held.bytes >= wanted.bytes);
        self.none_expired = held == wanted;
    }

    fn check_usage(&self) {
        assert_eq!(self.store.usage(), self.wanted_usage());
    }

    /// Lets all timers run out, and checks the remaining bytes.
    fn finish(mut self) {
        for index in 0..NAMES.len() {
            self.act(&Act::Get(index));
        }
        self.store.now = Instant::from_nanos(u64::MAX - 2);
        self.expire();
        self.store.sweep();
        self.check_usage();
        assert_eq!(sweep(&self.store, self.store.now), None);
    }
}

fn size(key: &[u8], value: &[u8]) -> u64 {
    let times = if value.len() > 256 { 2 } else { 1 };
    u64::try_from(key.len() + value.len()).unwrap() + times * ENTRY_OVERHEAD
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn the_store_behaves_like_a_map_within_its_bounds(shape in shapes(), acts in acts()) {
        let mut pair = Pair::new(shape);
        for act in &acts {
            pair.act(act);
        }
        pair.finish();
    }
}

const CASES: u32 = 10_000;
const NAMES: [&[u8]; 12] = [
    b"",
    b"a",
    b"b",
    b"c",
    b"d",
    b"e",
    b"ab",
    b"abc",
    b":",
    b"a:b",
    b"\xf0\x9f\xa6\x80",
    b"long long long name",
];
const STEMS: [&[u8]; 4] = [b"", b"::", b"::a", b"x"];
