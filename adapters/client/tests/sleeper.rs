//! Tests the start of a thread that several callers need at once, in every order in which they can
//! run and see each other's writes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use self::bell::{ASLEEP, Bell};
use self::sleeper::Sleeper;
use self::sync::{AtomicBool, AtomicU64, Condvar, Mutex, lock};

#[allow(unreachable_pub, dead_code, reason = "it is a module of the crate")]
#[path = "../src/bell.rs"]
mod bell;
#[allow(unreachable_pub, dead_code, reason = "it is a module of the crate")]
#[path = "../src/sleeper.rs"]
mod sleeper;

/// Replaces what both take from the crate, so that loom explores each of their steps.
mod sync {
    use super::Duration;

    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

fn sleeper() -> Sleeper {
    let bell = Bell::with(Mutex::new(false), AtomicU64::new(ASLEEP), Condvar::new());
    Sleeper::with(bell, AtomicBool::new(false), Mutex::new(()))
}

/// Two callers report their deadlines at once. Returns whether each was told that the thread will
/// see it, and how often the thread was started.
fn two_callers(sleeper: &Arc<Sleeper>, deadlines: [u64; 2], starts: bool) -> ([bool; 2], usize) {
    let count = std::sync::Arc::new(AtomicUsize::new(0));
    let call = |deadline| {
        let (sleeper, count) = (Arc::clone(sleeper), count.clone());
        move || {
            sleeper.expect(deadline, || {
                count.fetch_add(1, Ordering::Relaxed);
                starts
            })
        }
    };
    let other = thread::spawn(call(deadlines[0]));
    let own = call(deadlines[1])();
    ([other.join().unwrap(), own], count.load(Ordering::Relaxed))
}

#[test]
fn the_caller_with_the_later_deadline_waits_while_the_thread_is_started() {
    for deadlines in [[5, 7], [7, 5], [5, 5]] {
        loom::model(move || {
            assert_eq!(two_callers(&Arc::new(sleeper()), deadlines, true), ([true, true], 1));
        });
    }
}

#[test]
fn a_thread_that_cannot_be_started_is_tried_again_by_the_next_caller() {
    loom::model(|| {
        let sleeper = Arc::new(sleeper());
        assert_eq!(two_callers(&sleeper, [5, 7], false), ([false, false], 2));
        assert!(sleeper.expect(9, || true));
        assert!(sleeper.expect(8, || unreachable!("it runs")));
    });
}

#[test]
fn a_thread_started_by_either_caller_sees_the_earlier_deadline() {
    // Three threads can run in too many orders to try them all.
    let mut some = loom::model::Builder::new();
    some.preemption_bound = Some(2);
    some.check(|| {
        let due = Arc::new(Mutex::new(Vec::new()));
        let sleeper = Arc::new(sleeper());
        let call = |deadline| {
            let (due, sleeper) = (Arc::clone(&due), Arc::clone(&sleeper));
            move || {
                lock(&due).push(deadline);
                let thread = (Arc::clone(&due), Arc::clone(&sleeper));
                sleeper.expect(deadline, || {
                    thread::spawn(move || run(&thread.0, thread.1.bell()));
                    true
                })
            }
        };
        let other = thread::spawn(call(5));
        assert!(call(7)());
        assert!(other.join().unwrap());
    });
}

/// The thread, until it has seen the earlier deadline: it would see the later one when it wakes up
/// for that.
fn run(due: &Mutex<Vec<u64>>, bell: &Bell) {
    loop {
        bell.look_around();
        let due = lock(due).clone();
        if due.contains(&5) {
            return;
        }
        bell.sleep(due.into_iter().min().unwrap_or(ASLEEP), None);
    }
}
