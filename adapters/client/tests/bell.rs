//! Tests the bell that wakes the sweeper, in every order in which threads can run and see each
//! other's writes.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use self::bell::{ASLEEP, Bell};
use self::sync::{AtomicU64, Condvar, Mutex, lock};

#[allow(unreachable_pub, dead_code, reason = "it is a module of the crate")]
#[path = "../src/bell.rs"]
mod bell;

/// Replaces what the bell takes from the crate, so that loom explores each of its steps.
mod sync {
    use super::Duration;

    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    /// Time does not pass here: a missed ring means sleeping for ever, which loom reports.
    pub(crate) fn wait<'a, T>(
        wake: &Condvar,
        mut guard: MutexGuard<'a, T>,
        _: Option<Duration>,
        mut holds: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while holds(&mut guard) {
            guard = wake.wait(guard).unwrap();
        }
        guard
    }
}

/// The deadline, behind the lock of its store, and the bell.
struct Store {
    due: Mutex<Option<u64>>,
    bell: Bell,
}

impl Store {
    fn new(due: Option<u64>) -> Arc<Self> {
        let bell = Bell::with(Mutex::new(false), AtomicU64::new(ASLEEP), Condvar::new());
        Arc::new(Self { due: Mutex::new(due), bell })
    }

    fn note(&self, deadline: u64) {
        let mut due = lock(&self.due);
        *due = Some(due.map_or(deadline, |due| due.min(deadline)));
        drop(due);
        self.bell.say(deadline);
    }

    /// Sleeps until it sees that something is due at `wanted`.
    fn watch_for(&self, wanted: u64) {
        loop {
            self.bell.look_around();
            let due = *lock(&self.due);
            if due == Some(wanted) {
                return;
            }
            self.bell.sleep(due.unwrap_or(ASLEEP), None);
        }
    }
}

#[test]
fn a_deadline_noted_while_the_sleeper_falls_asleep_wakes_it() {
    for already_due in [None, Some(100)] {
        loom::model(move || {
            let store = Store::new(already_due);
            let writer = {
                let store = Arc::clone(&store);
                thread::spawn(move || store.note(5))
            };
            store.watch_for(5);
            writer.join().unwrap();
        });
    }
}

#[test]
fn the_earlier_of_two_deadlines_wakes_the_sleeper_in_either_order() {
    // Three threads can run in too many orders to try them all.
    let mut some = loom::model::Builder::new();
    some.preemption_bound = Some(2);
    some.check(|| {
        let store = Store::new(None);
        let writers = [7, 5].map(|deadline| {
            let store = Arc::clone(&store);
            thread::spawn(move || store.note(deadline))
        });
        store.watch_for(5);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
}

#[test]
fn a_notified_sleeper_is_not_notified_again_before_it_looks() {
    loom::model(|| {
        let Store { bell, .. } = &*Store::new(None);
        assert!(bell.say(5));
        assert!(!bell.say(4));
        bell.look_around();
        assert!(bell.say(6));
    });
}
