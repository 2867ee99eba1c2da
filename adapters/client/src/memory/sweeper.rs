//! The thread that frees expired entries of stores that are no longer written to.
//!
//! One thread serves all stores of the process, from the first timeout on. It keeps no store alive,
//! sleeps while nothing is due, and works at most once a second, in steps that hold a shard's lock
//! for some ten microseconds. If it cannot be started, that is not an error: an expired entry is
//! never returned all the same, and writes free memory as they go along.

use std::sync::{Arc, LazyLock, Once, Weak};
use std::thread;
use std::time::Duration;

use async_caches_core::memory;
use async_caches_core::time::{Deadline, Instant};

use super::locked::{Lent, Locked};
use crate::bell::{ASLEEP, Bell};
use crate::runtime::Clock;
use crate::sync::{AtomicU64, Condvar, Mutex, lock};

/// The clock of all stores, so that their deadlines can be compared.
pub(super) fn clock() -> Clock {
    *CLOCK
}

/// Has the shards of a new store swept until the returned guard is dropped. Costs the same however
/// many stores there are.
pub(super) fn watch(shards: &Arc<[Locked]>) -> Watched {
    let mut stores = lock(&STORES);
    let shards = Some(Arc::downgrade(shards));
    let place = match stores.free.pop() {
        Some(place) => place,
        None => {
            stores.places.push(None);
            stores.places.len() - 1
        }
    };
    stores.places[place] = shards;
    Watched { place }
}

/// A guard; its store is swept while it exists.
#[derive(Debug)]
pub(super) struct Watched {
    place: usize,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut stores = lock(&STORES);
        let gone = stores.places[self.place].take();
        stores.free.push(self.place);
        drop(stores);
        drop(gone);
    }
}

/// The stores that are swept, and the free places among them.
struct Stores {
    places: Vec<Option<Weak<[Locked]>>>,
    free: Vec<usize>,
}

/// Has the sweeper look around at `deadline`, or soon afterwards: an entry stored before this call
/// expires then.
#[inline]
pub(super) fn expect(deadline: Instant) {
    if BELL.say(deadline.as_nanos()) {
        start();
    }
}

#[cold]
fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let _ = thread::Builder::new().name("async-caches-sweeper".into()).spawn(run);
    });
}

fn run() {
    let clock = clock();
    loop {
        BELL.look_around();
        let begun = clock.now();
        let next = sweep_all(begun).map(|deadline| deadline.at.max(begun + REST));
        let span = next.map(|at| at.since(clock.now()));
        BELL.sleep(next.map_or(ASLEEP, Instant::as_nanos), span);
        thread::sleep((begun + REST).since(clock.now()));
    }
}

/// Frees all entries that have expired by `now`, and returns when the next ones expire.
fn sweep_all(now: Instant) -> Option<Deadline> {
    let stores = lock(&STORES).places.clone();
    let shards = stores.iter().flatten().filter_map(Weak::upgrade);
    shards.map(|shards| sweep(&shards, now)).fold(None, Deadline::earlier)
}

fn sweep(shards: &[Locked], now: Instant) -> Option<Deadline> {
    loop {
        match memory::sweep(&Lent(shards), now) {
            Some(deadline) if deadline.at <= now => thread::yield_now(),
            next => return next,
        }
    }
}

static BELL: Bell = Bell::with(Mutex::new(false), AtomicU64::new(ASLEEP), Condvar::new());
static STORES: Mutex<Stores> = Mutex::new(Stores { places: Vec::new(), free: Vec::new() });
static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::start);
const REST: Duration = Duration::from_secs(1);
