//! Single-flight for callers: the core's decisions behind a lock, with wakers.
//!
//! No waker is cloned, woken or dropped under the lock: each of these runs code of a runtime, which
//! may come back to the lock.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_caches_core::command::{Command, CommandKeys};
use async_caches_core::flight::{Clearance, FlightId, Flights, Handles, Seen, Turn};
use async_caches_core::load::Participant;
use async_caches_core::time::{Deadline, Instant};
use async_caches_core::url::Server;
use bytes::Bytes;

use crate::alarm;
use crate::chain::{Chain, Inside, LoadRef};
use crate::registry::{self, Registry};
use crate::runtime::{Runtime, Time, Timer};
use crate::sync::lock;

/// The loads under way in one backend.
#[derive(Debug)]
pub(crate) struct LoadTable {
    /// Distinguishes this table from all others of the process.
    number: u64,
    flights: Mutex<Flights<Waker>>,
    /// Whether a load may be under way. Spares writes the lock if nothing is loading.
    busy: AtomicBool,
    /// How many loads have ended, as the flights last reported. Spares lookups the lock.
    ended: AtomicU64,
    /// Whether the alarm's thread watches the deadlines. Changed under the lock of the flights.
    watched: AtomicBool,
    time: Time,
}

/// A caller's part in a flight. When dropped, the part is given up; a leader's passes to a
/// follower.
#[derive(Debug)]
pub(crate) struct LoadGuard {
    table: Arc<LoadTable>,
    caller: Participant,
    /// Present while the caller follows.
    wait: Option<Box<FollowerWait>>,
}

/// How a follower's wait ends without its leader.
#[derive(Debug)]
struct FollowerWait {
    until: Instant,
    chain: Chain,
    alarm: Alarm,
}

/// Wakes a follower of a simulated cache. The alarm's thread wakes all others.
#[derive(Default)]
struct Alarm(Mutex<Option<Box<dyn Timer>>>);

/// The end of a follower's wait.
#[derive(Debug)]
pub(crate) enum Followed {
    Value(Bytes),
    /// It leads now: the leader went away, or it has waited long enough.
    Lead,
    /// It must not wait, and loads by itself; its value is not stored.
    Alone,
}

impl LoadTable {
    pub(crate) fn new(time: Time, seed: u64) -> Self {
        static TABLES: AtomicU64 = AtomicU64::new(0);
        Self {
            number: TABLES.fetch_add(1, Ordering::Relaxed),
            flights: Mutex::new(Flights::new(seed)),
            busy: AtomicBool::new(false),
            ended: AtomicU64::new(0),
            watched: AtomicBool::new(false),
            time: match time {
                Time::System(_) => Time::System(alarm::clock()),
                Time::Simulated(runtime) => Time::Simulated(runtime),
            },
        }
    }

    /// The table for a server's database, shared by all caches of this process that use it.
    pub(crate) fn of(server: &Server, runtime: &Arc<dyn Runtime>) -> Arc<Self> {
        let name = format!("{}/{}", server.topology, server.database);
        let name = registry::name_at(runtime.manual_clock(), &name);
        LOAD_TABLES.get_or_make(&name, || Self::new(Time::of(runtime), runtime.seed()))
    }

    /// The number of loads that have ended. Must be read before the key is looked up.
    pub(crate) fn seen(&self) -> Seen {
        Seen(self.ended.load(Ordering::Acquire))
    }

    /// Joins the flight of a missed key, or begins one. A follower waits for `wait` at most. `None`
    /// if the key must be looked up again, which needs `seen`.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: &Bytes,
        seen: Option<Seen>,
        wait: Duration,
    ) -> Option<LoadGuard> {
        let now = self.time.now();
        let joined = self.with(|flights, _| Participant::join(flights, key, seen, now, wait));
        joined.map(|caller| LoadGuard {
            table: Arc::clone(self),
            wait: caller.follows().then(|| {
                let (chain, alarm) = (Chain::default(), Alarm::default());
                Box::new(FollowerWait { until: now + wait, chain, alarm })
            }),
            caller,
        })
    }

    /// The time by which the waits of callers are measured.
    pub(crate) fn now(&self) -> Instant {
        self.time.now()
    }

    /// Whether a load may be under way. If not, no write has to wait for one.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst)
    }

    /// Ready once `command` may be sent. A write overrides every load of the keys it writes: such a
    /// load is no longer stored. If a load is being stored just now, the write waits for that.
    pub(crate) fn poll_clear(&self, command: &Command<'_>, cx: &Context<'_>) -> Poll<()> {
        match command.overrides() {
            CommandKeys::One(key) => self.clear([key.to_bytes()], cx),
            CommandKeys::Many(keys) => self.clear(keys.iter().map(|key| key.to_bytes()), cx),
            CommandKeys::Whole(keys) => self.clear(keys.iter().cloned(), cx),
            CommandKeys::Stem(stem) => self.clear_all(stem, cx),
            CommandKeys::All => self.clear_all(b"", cx),
            CommandKeys::None => Poll::Ready(()),
        }
    }

    fn clear(&self, keys: impl IntoIterator<Item = Bytes>, cx: &Context<'_>) -> Poll<()> {
        // Invalidate all of them before waiting for any: no load of a later key may be stored
        // meanwhile.
        let found = self.with(|flights, _| {
            let found = keys.into_iter().map(|key| flights.invalidate(&key));
            found.filter(|found| *found != Clearance::Clear).collect()
        });
        self.poll_end(found, cx)
    }

    fn clear_all(&self, stem: &[u8], cx: &Context<'_>) -> Poll<()> {
        let found = self.with(|flights, _| flights.invalidate_all(stem));
        self.poll_end(vec![found], cx)
    }

    /// Ready once these flights have ended.
    fn poll_end(&self, found: Vec<Clearance>, cx: &Context<'_>) -> Poll<()> {
        let wait = found.into_iter().filter_map(|found| match found {
            Clearance::Storing(id) => Some((id, cx.waker().clone())),
            Clearance::Clear => None,
        });
        let wait: Vec<(FlightId, Waker)> = wait.collect();
        if wait.is_empty() {
            return Poll::Ready(());
        }
        let waits = self.with(|flights, handles| {
            let waits = wait.into_iter().map(|(id, waker)| {
                flights.await_end(id, waker, |kept, new| kept.will_wake(new), handles)
            });
            waits.fold(false, |any, one| any | one)
        });
        if waits { Poll::Pending } else { Poll::Ready(()) }
    }

    fn with<R>(&self, act: impl FnOnce(&mut Flights<Waker>, &mut Handles<Waker>) -> R) -> R {
        let mut handles = Handles::new();
        let mut flights = lock(&self.flights);
        let result = act(&mut flights, &mut handles);
        self.busy.store(!flights.is_empty(), Ordering::SeqCst);
        self.ended.store(flights.seen().0, Ordering::Release);
        drop(flights);
        handles.wake.into_iter().for_each(Waker::wake);
        result
    }
}

impl alarm::Table for LoadTable {
    /// Wakes followers whose wait is over. Returns when the next wait ends. If no follower waits,
    /// the alarm's thread stops watching this table.
    fn expire(&self) -> Option<Deadline> {
        let now = self.time.now();
        self.with(|flights, handles| {
            flights.expire(now, handles);
            let next = flights.deadline();
            self.watched.store(next.is_some(), Ordering::Relaxed);
            next
        })
    }
}

impl LoadGuard {
    /// Whether the caller waits for a leader.
    pub(crate) fn follows(&self) -> bool {
        self.caller.follows()
    }

    /// Ready once the follower has its leader's value, or has to load itself.
    pub(crate) fn poll_follow(&mut self, cx: &mut Context<'_>) -> Poll<Followed> {
        loop {
            let node = self.node();
            match self.table.follow(&mut self.caller, cx) {
                Turn::Wait => {}
                Turn::Lead(_) => {
                    self.wait = None;
                    return Poll::Ready(Followed::Lead);
                }
                Turn::Value(value) => {
                    self.wait = None;
                    return Poll::Ready(Followed::Value(value));
                }
            }
            if let Some(wait) = &mut self.wait {
                match self.table.poll_until(wait, cx) {
                    Poll::Pending if wait.chain.may_wait(node) => return Poll::Pending,
                    Poll::Ready(true) => continue,
                    Poll::Pending | Poll::Ready(false) => {}
                }
            }
            self.leave();
            return Poll::Ready(Followed::Alone);
        }
    }

    /// Counts the code that runs until the guard is dropped as part of this load.
    pub(crate) fn enter(&self) -> Option<Inside> {
        Inside::enter(self.node())
    }

    /// Shares the leader's value. Returns whether the leader must store it too.
    pub(crate) fn share(&mut self, value: Bytes) -> bool {
        let Self { table, caller, .. } = self;
        table.with(|flights, handles| caller.share(flights, value, handles))
    }

    fn node(&self) -> LoadRef {
        LoadRef { table: self.table.number, flight: self.caller.flight() }
    }

    fn leave(&mut self) {
        let Self { table, caller, wait } = self;
        table.with(|flights, handles| caller.leave(flights, handles));
        *wait = None;
    }
}

impl LoadTable {
    /// Returns the next step of a follower.
    fn follow(self: &Arc<Self>, caller: &mut Participant, cx: &Context<'_>) -> Turn {
        let (now, waker) = (self.time.now(), cx.waker().clone());
        let is_system = matches!(self.time, Time::System(_));
        let (turn, unwatched) = self.with(|flights, handles| {
            let turn = caller.follow(flights, now, waker, handles);
            let timed = is_system && turn == Turn::Wait && flights.deadline().is_some();
            (turn, timed && !self.watched.swap(true, Ordering::Relaxed))
        });
        if unwatched {
            let table: Weak<Self> = Arc::downgrade(self);
            alarm::watch(table);
        }
        turn
    }

    /// Ready with `true` once a follower's wait is over, by its own timer. Pending while the timer,
    /// or the alarm's thread, is going to wake it. Ready with `false` if nothing could wake it, as
    /// that thread could not be started.
    fn poll_until(&self, wait: &mut FollowerWait, cx: &mut Context<'_>) -> Poll<bool> {
        if wait.until == Instant::MAX {
            return Poll::Pending;
        }
        match &self.time {
            Time::System(_) if alarm::expect(wait.until) => Poll::Pending,
            Time::System(_) => Poll::Ready(false),
            Time::Simulated(runtime) => {
                let timer = wait.alarm.0.get_mut().unwrap_or_else(PoisonError::into_inner);
                let timer = timer.get_or_insert_with(|| runtime.timer());
                timer.poll_until(Some(wait.until), cx).map(|()| true)
            }
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        self.leave();
    }
}

static LOAD_TABLES: LazyLock<Registry<LoadTable>> = LazyLock::new(Registry::new);
