//! A seed of the store in memory: two caches on one store, beside a map.
//!
//! Every operation that does not load ends in its first poll, and its result must be the map's. A
//! bounded store may have evicted any entry, but every entry that it still has must be the map's.
//! Loads stay open for a while, are overwritten, led by their heirs, and dropped.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_caches::runtime::{BoxFuture, ConnectionTask, Endpoint, Instant, Runtime, Timer};
use async_caches::{Cache, Error, Remaining, Timeout, builder};
use async_caches_conformance::random::Random;

use crate::log::Log;
use crate::run::Report;

/// A clock and seeds: a store in memory needs nothing else of a runtime.
#[derive(Clone, Debug)]
struct Still {
    now: Arc<AtomicU64>,
    seeds: Arc<AtomicU64>,
}

impl Runtime for Still {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Ordering::Relaxed))
    }

    fn seed(&self) -> u64 {
        Random::new(self.seeds.fetch_add(1, Ordering::Relaxed)).below(u64::MAX)
    }

    fn is_simulated(&self) -> bool {
        true
    }

    fn spawn(&self, _: BoxFuture<'static, ()>) {}

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(Never)
    }

    fn dial(&self, _: Endpoint, _: ConnectionTask) {}
}

struct Never;

impl Timer for Never {
    fn poll_until(&mut self, _: Option<Instant>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// The map's entry of a key.
#[derive(Clone, Debug)]
struct Kept {
    value: String,
    until: Option<u64>,
}

/// A load that has not ended.
struct Load {
    key: usize,
    value: String,
    keeps: Keeps,
    future: Pin<Box<dyn Future<Output = Result<String, Error>>>>,
    gate: Rc<Cell<bool>>,
    /// Whether it leads, and whether its value will be stored.
    leads: bool,
    valid: bool,
    flight: u64,
}

#[derive(Clone, Copy)]
struct Keeps {
    timeout: Timeout,
    nanos: Option<u64>,
}

/// Runs a seed. Keeps a log if the caller wants one.
pub(crate) fn run(seed: u64, mut random: Random, keep_log: bool) -> Report {
    let mut story = Story::new(seed, &mut random, keep_log);
    let steps = 20 + random.below(60);
    let mut failure = None;
    for step in 0..steps {
        story.number = step;
        failure = story.step(&mut random).and_then(|()| story.check_bounds()).err();
        if failure.is_some() {
            break;
        }
    }
    let failure = failure.or_else(|| story.finish().err());
    Report { failure, log: story.log.take(), operations: steps as usize, late_stores: 0 }
}

struct Story {
    runtime: Still,
    caches: [Cache; 2],
    map: BTreeMap<usize, Kept>,
    loads: Vec<Load>,
    flights: u64,
    default: Option<u64>,
    max_entries: Option<u64>,
    max_bytes: Option<u64>,
    number: u64,
    log: Log,
}

impl Story {
    fn new(seed: u64, random: &mut Random, keep_log: bool) -> Self {
        let now = Arc::new(AtomicU64::new(1_000_000_000));
        let runtime = Still { now, seeds: Arc::new(AtomicU64::new(seed)) };
        let max_entries = (random.below(3) == 0).then(|| 1 + random.below(6));
        let max_bytes = (random.below(4) == 0).then(|| 100 + random.below(2_000));
        let default = (random.below(2) == 0).then(|| 1 + random.below(3_000));
        // Stores of one name are one store, so each seed has a name of its own.
        let name = STORES.fetch_add(1, Ordering::Relaxed);
        let caches = PREFIXES.map(|prefix| {
            let mut builder = builder(&format!("locmem://simulated-{name}"));
            builder = builder.runtime(runtime.clone()).key_prefix(prefix);
            builder = max_entries.map_or(builder.clone(), |most| builder.max_entries(most));
            builder = max_bytes.map_or(builder.clone(), |most| builder.max_bytes(most));
            builder =
                default.map_or(builder.clone(), |it| builder.timeout(Duration::from_millis(it)));
            builder.build().unwrap_or_else(|error| panic!("the options are good: {error}"))
        });
        caches
            .iter()
            .for_each(|cache| assert!(matches!(now_or_never(cache.connect()), Some(Ok(())))));
        Self {
            runtime,
            caches,
            map: BTreeMap::new(),
            loads: Vec::new(),
            flights: 0,
            default,
            max_entries,
            max_bytes,
            number: 0,
            log: Log::new(keep_log),
        }
    }

    fn step(&mut self, random: &mut Random) -> Result<(), String> {
        if random.below(2) == 0 {
            let most = [1_000, 5_000_000, 2_000_000_000][random.below(3) as usize];
            self.runtime.now.fetch_add(random.below(most), Ordering::Relaxed);
        }
        let (key, verb, keeps) =
            (random.below(KEYS) as usize, random.below(20), self.keeps(random));
        let now = self.now();
        self.map.retain(|_, kept| kept.until.is_none_or(|until| now < until));
        self.log.add(self.runtime.now(), || format!("{verb} on {key}, map {:?}", self.map));
        let (cache, name) = (self.caches[key % 2].clone(), format!("k{}", key / 2));
        let value = format!("v{}", self.number);
        match verb {
            0..5 => {
                let got = done(cache.get::<String>(&name))?;
                self.saw(key, got)?;
            }
            5..8 => {
                let value = if random.below(8) == 0 { value.repeat(200) } else { value };
                done(cache.set(&name, &value).timeout(keeps.timeout))?;
                self.overtake(key);
                self.keep(key, value, keeps);
            }
            8 => {
                let added = done(cache.add(&name, &value).timeout(keeps.timeout))?;
                self.overtake(key);
                match (added, self.map.contains_key(&key)) {
                    (true, true) if !self.may_evict() => return Err(format!("{key}: added twice")),
                    (false, false) if !self.may_refuse() => {
                        return Err(format!("{key}: not added"));
                    }
                    (true, _) => self.keep(key, value, keeps),
                    (false, _) => {}
                }
            }
            9 if self.number.is_multiple_of(2) => {
                let held = self.map.get(&key).map(|kept| kept.value.clone());
                let guess = held.clone().filter(|_| self.number.is_multiple_of(4)).unwrap_or(value);
                let deleted = done(cache.delete_if_equals(&name, &guess))?;
                self.overtake(key);
                let equals = held.is_some_and(|held| held == guess);
                self.agree(key, "deleted if equal", deleted, equals)?;
                if equals {
                    self.map.remove(&key);
                }
            }
            9 | 10 => {
                let deleted = done(cache.delete(&name))?;
                self.overtake(key);
                let was_there = self.map.remove(&key).is_some();
                self.agree(key, "deleted", deleted, was_there)?;
            }
            11 => {
                let touched = done(cache.touch(&name).timeout(keeps.timeout))?;
                self.agree(key, "touched", touched, self.map.contains_key(&key))?;
                let until = self.until(keeps);
                match self.map.get_mut(&key) {
                    Some(kept) if touched => kept.until = until,
                    Some(_) | None => drop(self.map.remove(&key)),
                }
            }
            12 | 13 => self.incr(key, random.below(9) as i64, &cache, &name)?,
            14 => {
                let left = done(cache.remaining(&name))?;
                self.left(key, left)?;
            }
            15 if random.below(8) == 0 => {
                done(cache.clear())?;
                (0..KEYS as usize).for_each(|key| self.overtake(key));
                self.map.clear();
            }
            15 if random.below(4) == 0 => {
                let removed = done(cache.clear_prefix())?;
                let of_prefix = |other: &usize| other % 2 == key % 2;
                (0..KEYS as usize).filter(of_prefix).for_each(|key| self.overtake(key));
                let wanted = self.map.keys().filter(|key| of_prefix(key)).count() as u64;
                self.map.retain(|key, _| !of_prefix(key));
                if removed > wanted || (removed < wanted && !self.may_evict()) {
                    return Err(format!("{removed} removed, not {wanted}"));
                }
            }
            16..18 => self.begin_load(key, value, keeps, &cache, &name)?,
            _ => self.end_load(random)?,
        }
        Ok(())
    }

    fn incr(&mut self, key: usize, delta: i64, cache: &Cache, name: &str) -> Result<(), String> {
        let number = format!("n{name}");
        let key = key + KEYS as usize;
        if !self.map.contains_key(&key) && delta > 4 {
            done(cache.set(&number, delta).timeout(Duration::from_millis(900)))?;
            let until = Some(self.now() + 900_000_000);
            self.map.insert(key, Kept { value: delta.to_string(), until });
            return Ok(());
        }
        if delta == 4 {
            let span = Duration::from_millis(900);
            let sum = done(cache.incr(&number, delta).or_insert(START).timeout(span))?;
            let kept = self.map.get(&key).map(|kept| (kept.value.parse(), kept.until));
            let (before, until) = match kept {
                Some((Ok(before), until)) if sum != START + delta || !self.may_evict() => {
                    (before, until)
                }
                _ => (START, Some(self.now() + 900_000_000)),
            };
            if sum != before + delta {
                return Err(format!("{key}: {before} or nothing, and {delta}, are {sum}"));
            }
            self.map.insert(key, Kept { value: sum.to_string(), until });
            let left = done(cache.remaining(&number))?;
            return self.left(key, left);
        }
        let sum = match now_or_never(cache.incr(&number, delta)) {
            Some(Ok(sum)) => Some(sum),
            Some(Err(Error::KeyNotFound { .. })) => None,
            other => return Err(format!("{key}: {other:?}")),
        };
        let before = self.map.get(&key).and_then(|kept| kept.value.parse::<i64>().ok());
        match (sum, before) {
            (Some(sum), Some(before)) if sum == before + delta => {
                if let Some(kept) = self.map.get_mut(&key) {
                    kept.value = sum.to_string();
                }
                let left = done(cache.remaining(&number))?;
                self.left(key, left)
            }
            (None, _) if before.is_none() || self.may_evict() => {
                self.map.remove(&key);
                Ok(())
            }
            (sum, before) => Err(format!("{key}: {before:?} and {delta} are {sum:?}")),
        }
    }

    fn begin_load(
        &mut self,
        key: usize,
        value: String,
        keeps: Keeps,
        cache: &Cache,
        name: &str,
    ) -> Result<(), String> {
        let gate = Rc::new(Cell::new(false));
        let (cache, name, open, loaded) =
            (cache.clone(), name.to_owned(), Rc::clone(&gate), value.clone());
        let mut future: Pin<Box<dyn Future<Output = Result<String, Error>>>> =
            Box::pin(async move {
                let loader =
                    poll_fn(
                        |_| if open.get() { Poll::Ready(loaded.clone()) } else { Poll::Pending },
                    );
                cache.get_or_set(name, loader).timeout(keeps.timeout).await
            });
        if let Some(got) = now_or_never(future.as_mut()) {
            return self.saw(key, Some(got.map_err(|error| error.to_string())?));
        }
        if self.map.remove(&key).is_some() && !self.may_evict() {
            return Err(format!("{key}: loaded though it was there"));
        }
        let led = self.loads.iter().find(|load| load.key == key && load.leads && load.valid);
        let (leads, flight) = match led {
            Some(leader) => (false, leader.flight),
            None => {
                self.flights += 1;
                (true, self.flights)
            }
        };
        self.loads.push(Load { key, value, keeps, future, gate, leads, valid: true, flight });
        Ok(())
    }

    /// Ends a load, or drops it.
    fn end_load(&mut self, random: &mut Random) -> Result<(), String> {
        if self.loads.is_empty() {
            return Ok(());
        }
        let at = random.below(self.loads.len() as u64) as usize;
        let mut load = self.loads.remove(at);
        let flight = load.flight;
        if !load.leads || random.below(3) == 0 {
            drop(load.future);
            let heir =
                self.loads.iter_mut().find(|other| other.flight == flight).filter(|_| load.leads);
            if let Some(heir) = heir {
                heir.leads = true;
                heir.valid = load.valid;
                if let Some(got) = now_or_never(heir.future.as_mut()) {
                    return Err(format!("{}: an heir has {got:?} before it has loaded", heir.key));
                }
            }
            return Ok(());
        }
        load.gate.set(true);
        let wanted = Some(load.value.clone());
        let got = |future: &mut Load| now_or_never(future.future.as_mut()).and_then(Result::ok);
        if got(&mut load) != wanted {
            return Err(format!("{}: its leader does not get what it loaded", load.key));
        }
        if load.valid {
            self.keep(load.key, load.value.clone(), load.keeps);
        }
        let (mut followers, others): (Vec<Load>, _) =
            std::mem::take(&mut self.loads).into_iter().partition(|other| other.flight == flight);
        self.loads = others;
        if followers.iter_mut().any(|follower| got(follower) != wanted) {
            return Err(format!("{}: a follower does not get what was loaded", load.key));
        }
        Ok(())
    }

    /// Records a write: loads under way are not stored.
    fn overtake(&mut self, key: usize) {
        self.loads.iter_mut().filter(|load| load.key == key).for_each(|load| load.valid = false);
    }

    fn keep(&mut self, key: usize, value: String, keeps: Keeps) {
        let until = self.until(keeps);
        self.map.insert(key, Kept { value, until });
    }

    /// Checks that the store has the map's value of a key, or none if the entry may have been
    /// evicted.
    fn saw(&mut self, key: usize, got: Option<String>) -> Result<(), String> {
        match (got, self.map.get(&key)) {
            (Some(got), Some(kept)) if got == kept.value => Ok(()),
            (None, None) => Ok(()),
            (None, Some(_)) if self.may_evict() => {
                self.map.remove(&key);
                Ok(())
            }
            (got, kept) => Err(format!("{key}: {got:?}, not {kept:?}")),
        }
    }

    fn left(&mut self, key: usize, left: Remaining) -> Result<(), String> {
        let until = self.map.get(&key).map(|kept| kept.until);
        let millis = until.flatten().map(|until| (until - self.now()).div_ceil(1_000_000));
        let wanted = match (until, millis) {
            (None, _) => Remaining::Absent,
            (Some(_), None) => Remaining::Forever,
            (Some(_), Some(millis)) => Remaining::For(Duration::from_millis(millis)),
        };
        if left == Remaining::Absent && self.may_evict() {
            self.map.remove(&key);
        } else if left != wanted {
            return Err(format!("{key}: {left:?} is left, not {wanted:?}"));
        }
        Ok(())
    }

    fn agree(&self, key: usize, what: &str, said: bool, wanted: bool) -> Result<(), String> {
        match said == wanted || (wanted && self.may_evict()) {
            true => Ok(()),
            false => Err(format!("{key}: {what}: {said}, not {wanted}")),
        }
    }

    fn check_bounds(&self) -> Result<(), String> {
        let Some(stats) = self.caches[0].stats() else { return Err("no store".into()) };
        let over = |held, most: Option<u64>| most.is_some_and(|most| held > most);
        let gone = stats.evicted + stats.expired + stats.removed;
        match over(stats.entries, self.max_entries)
            || over(stats.bytes, self.max_bytes)
            || stats.insertions != stats.entries + gone
        {
            true => Err(format!("out of bounds: {stats:?}")),
            false => Ok(()),
        }
    }

    /// Checks that, long afterwards, the memory of expired entries is freed while other keys are
    /// written. A part of the store is freed once one of its own keys is written.
    fn finish(&mut self) -> Result<(), String> {
        self.loads.clear();
        self.runtime.now.fetch_add(10_000_000_000, Ordering::Relaxed);
        let stays = self.map.values().filter(|kept| kept.until.is_none()).count() as u64;
        let held = |caches: &[Cache]| caches[0].stats().map_or(u64::MAX, |stats| stats.entries);
        for other in 0..OTHERS {
            if held(&self.caches) <= stays {
                break;
            }
            done(self.caches[0].delete(format!("other{other}")))?;
        }
        let held = held(&self.caches);
        if held > stays || (held < stays && !self.may_evict()) {
            return Err(format!("{held} entries are left, not {stays}"));
        }
        for cache in &self.caches {
            done(cache.disconnect())?;
        }
        Ok(())
    }

    /// Whether the store may evict entries.
    fn may_evict(&self) -> bool {
        self.max_entries.is_some() || self.max_bytes.is_some()
    }

    fn may_refuse(&self) -> bool {
        self.max_bytes.is_some()
    }

    fn keeps(&self, random: &mut Random) -> Keeps {
        match random.below(3) {
            0 => Keeps { timeout: Timeout::Never, nanos: None },
            1 => Keeps { timeout: Timeout::Default, nanos: self.default.map(|it| it * 1_000_000) },
            _ => {
                let millis = 1 + random.below(4_000);
                let timeout = Duration::from_millis(millis).into();
                Keeps { timeout, nanos: Some(millis * 1_000_000) }
            }
        }
    }

    fn until(&self, keeps: Keeps) -> Option<u64> {
        keeps.nanos.map(|nanos| self.now() + nanos)
    }

    fn now(&self) -> u64 {
        self.runtime.now.load(Ordering::Relaxed)
    }
}

/// The result of an operation in its first poll.
fn done<T>(operation: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    match now_or_never(operation) {
        Some(result) => result.map_err(|error| error.to_string()),
        None => Err("an operation in memory waits".into()),
    }
}

fn now_or_never<F: Future>(operation: F) -> Option<F::Output> {
    match pin!(operation).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

static STORES: AtomicU64 = AtomicU64::new(0);

const PREFIXES: [&str; 2] = ["p", "q"];
const KEYS: u64 = 8;
/// What a number begins with if its key is absent. No number of the map is ever this one, so a sum
/// tells whether it was.
const START: i64 = -9;
/// So many keys that each part of a store has many of them, whatever its seed.
const OTHERS: usize = 10_000;
