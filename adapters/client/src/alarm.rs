//! The thread that wakes callers whose wait for a load is over.
//!
//! One thread serves all caches of the process, from the first follower on. It depends on no
//! runtime: a cache may have none, and the one it has may be standing still. It sleeps until the
//! earliest deadline and knows only tables that have followers. In a simulation there is no thread,
//! and followers set alarms of their runtime themselves.

use std::sync::{LazyLock, Weak};
use std::thread;

use async_caches_core::time::{Deadline, Instant};

use crate::bell::{ASLEEP, Bell};
use crate::runtime::Clock;
use crate::sleeper::Sleeper;
use crate::sync::{AtomicBool, AtomicU64, Condvar, Mutex, lock};

/// The clock of all deadlines, so that they can be compared.
pub(crate) fn clock() -> Clock {
    *CLOCK
}

/// A table of callers that wait.
pub(crate) trait Table: Send + Sync {
    /// Wakes followers whose wait is over. Returns when the next wait ends.
    fn expire(&self) -> Option<Deadline>;
}

/// Wakes this table's followers in time, until it has none.
pub(crate) fn watch(table: Weak<dyn Table>) {
    lock(&TABLES).push(table);
}

/// Wakes followers at `deadline`, which their table knew before this call. Returns whether that
/// will happen: false if no thread could be started.
pub(crate) fn expect(deadline: Instant) -> bool {
    SLEEPER.expect(deadline.as_nanos(), || {
        thread::Builder::new().name("async-caches-alarm".into()).spawn(run).is_ok()
    })
}

fn run() {
    let (clock, bell) = (clock(), SLEEPER.bell());
    loop {
        bell.look_around();
        let next = expire_all();
        let span = next.map(|deadline| deadline.at.since(clock.now()));
        bell.sleep(next.map_or(ASLEEP, |deadline| deadline.at.as_nanos()), span);
    }
}

/// Wakes all callers whose wait is over. Returns when the next wait ends.
fn expire_all() -> Option<Deadline> {
    let tables = std::mem::take(&mut *lock(&TABLES));
    let mut next = None;
    for watched in tables {
        let Some(table) = watched.upgrade() else { continue };
        if let Some(deadline) = table.expire() {
            next = Deadline::earlier(next, Some(deadline));
            watch(watched);
        }
    }
    next
}

static SLEEPER: Sleeper = Sleeper::with(
    Bell::with(Mutex::new(false), AtomicU64::new(ASLEEP), Condvar::new()),
    AtomicBool::new(false),
    Mutex::new(()),
);
static TABLES: Mutex<Vec<Weak<dyn Table>>> = Mutex::new(Vec::new());
static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::start);
