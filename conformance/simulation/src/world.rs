//! The world of one seed: its clock, its network and its ledger behind one lock, and the runtime
//! that lets the client's own code run in it.
//!
//! Wakers may be called under the lock, as they only note which tasks are ready. No other code of
//! the client runs under it.

use std::fmt;
use std::future::{poll_fn, ready};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_caches::runtime::{
    BoxFuture, ConnectionTask, Endpoint, Instant, Runtime, Socket, Timer, WallTime,
};
use async_caches_conformance::random::Random;
use bytes::BytesMut;

use crate::agenda::{Agenda, Event};
use crate::cluster::{Cluster, at_port};
use crate::executor::Ready;
use crate::ledger::{Lazy, Ledger};
use crate::line::Line;
use crate::log::Log;
use crate::plan::Plan;
use crate::pools::Pool;
use crate::race::Races;
use crate::serve::Server;

/// A handle on the world.
#[derive(Clone)]
pub(crate) struct World(Arc<Shared>);

struct Shared {
    /// The clock, for readers without the lock.
    now: AtomicU64,
    ready: Arc<Ready>,
    state: Mutex<State>,
}

/// The contents of the world.
pub(crate) struct State {
    pub(crate) now: Instant,
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    pub(crate) agenda: Agenda,
    pub(crate) lines: Vec<Line>,
    /// The lines that the client has, or is dialling.
    pub(crate) live: Vec<usize>,
    pub(crate) pools: Vec<Pool>,
    pub(crate) races: Races,
    /// The server, or all nodes of the cluster.
    pub(crate) nodes: Vec<Server>,
    pub(crate) cluster: Option<Cluster>,
    pub(crate) ledger: Ledger,
    pub(crate) log: Log,
    pub(crate) scratch: Vec<u8>,
    /// Whether the code that runs is outside of the runtime.
    pub(crate) outside: bool,
    /// Whether the runtime is to be shut down.
    pub(crate) shut_down: bool,
    /// How many unused addresses were named.
    pub(crate) lied: i64,
}

impl World {
    pub(crate) fn new(state: State, ready: Arc<Ready>) -> Self {
        let now = AtomicU64::new(state.now.as_nanos());
        Self(Arc::new(Shared { now, ready, state: Mutex::new(state) }))
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(self.0.now.load(Ordering::Relaxed))
    }

    /// Reads or changes the world.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = lock(&self.0.state);
        let result = act(&mut state);
        self.0.now.store(state.now.as_nanos(), Ordering::Relaxed);
        result
    }

    /// Waits until this time.
    pub(crate) async fn sleep_until(&self, at: Instant) {
        let mut alarm = Alarm::new(self.clone());
        poll_fn(|cx| alarm.poll_until(Some(at), cx)).await;
    }
}

/// The time of day of a cache's process. It is minutes away from that of another, and was set back
/// once, so nothing may depend on it.
pub(crate) fn wall_time(cache: usize, now: Instant) -> WallTime {
    const NOON: WallTime = WallTime::from_millis(946_728_000_000);
    const SET_BACK: Instant = Instant::from_millis(4_000);
    let minutes = |count: usize| Duration::from_secs(60 * count as u64);
    let time = NOON + minutes(7 * cache) + now.since(Instant::ORIGIN);
    if now < SET_BACK { time } else { time.before(minutes(cache + 1)) }
}

/// The runtime of one cache.
#[derive(Clone)]
pub(crate) struct Simulated {
    pub(crate) world: World,
    pub(crate) cache: usize,
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Simulated")
    }
}

impl Runtime for Simulated {
    fn now(&self) -> Instant {
        self.world.now()
    }

    fn wall_time(&self) -> WallTime {
        self.world.with(|state| wall_time(self.cache, state.now))
    }

    /// A pool spawns its keeper and nothing else, once, so a pool begins here. A cluster's pools
    /// begin with their first dial.
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.world.with(|state| {
            let plan = &state.plan.caches[self.cache];
            if state.cluster.is_none() {
                let poisoned = state.plan.poison.is_some();
                let mut pool = Pool::new(self.cache, plan.minsize, plan.maxsize);
                pool.poisoned = poisoned;
                state.pools.push(pool);
            }
        });
        self.world.0.ready.spawn(task);
    }

    fn seed(&self) -> u64 {
        self.world.with(|state| state.random.below(u64::MAX))
    }

    fn is_here(&self) -> bool {
        self.world.with(|state| !state.outside)
    }

    fn is_simulated(&self) -> bool {
        true
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(Alarm::new(self.world.clone()))
    }

    fn dial(&self, to: Endpoint, connection: ConnectionTask) {
        let world = self.world.clone();
        let begun = world.with(|state| {
            if state.cluster.is_some() {
                return Begun::Line(state.dial_node(self.cache, &to));
            }
            let pool = state.pools.iter().rposition(|pool| pool.cache == self.cache);
            let pool = pool.unwrap_or_default();
            match state.plan.resolved() {
                none if none.is_empty() => Begun::Line(state.dial(pool, 0)),
                addresses => Begun::Race(state.race(pool), addresses),
            }
        });
        let alarm = Alarm::new(world.clone());
        match begun {
            Begun::Line(line) => {
                let connect = Held { world, line }.connected();
                self.world.0.ready.spawn(Box::pin(connection.drive(connect, alarm)));
            }
            Begun::Race(race, addresses) => {
                let connect = move |to| {
                    let line = world.with(|state| state.attempt(race, to));
                    Held { world: world.clone(), line }.connected()
                };
                let race = connection.race(ready(Ok(addresses)), connect, alarm);
                self.world.0.ready.spawn(Box::pin(race));
            }
        }
    }
}

/// The client's side of a line. Dropping it closes the line.
pub(crate) struct Held {
    world: World,
    line: usize,
}

/// The start of a dial.
enum Begun {
    Line(usize),
    Race(usize, Vec<SocketAddr>),
}

impl Held {
    async fn connected(self) -> io::Result<Self> {
        poll_fn(|cx| self.world.with(|state| state.poll_dial(self.line, cx.waker()))).await?;
        Ok(self)
    }
}

impl Socket for Held {
    fn poll_read(&mut self, rx: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.world.with(|state| state.read(self.line, rx, cx.waker()))
    }

    fn poll_write(&mut self, tx: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.world.with(|state| state.write(self.line, tx, cx.waker()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.world.with(|state| state.close(self.line));
    }
}

/// An alarm on the world's clock.
pub(crate) struct Alarm {
    world: World,
    id: usize,
}

impl Alarm {
    pub(crate) fn new(world: World) -> Self {
        let id = world.with(|state| state.agenda.alarm());
        Self { world, id }
    }
}

impl Timer for Alarm {
    fn poll_until(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        if at.is_some_and(|at| at <= self.world.now()) {
            return Poll::Ready(());
        }
        self.world.with(|state| {
            let late = if state.plan.late > 0 { state.random.below(state.plan.late) } else { 0 };
            state.agenda.set(self.id, at, cx.waker(), late);
        });
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.world.with(|state| state.agenda.release(self.id));
    }
}

impl State {
    /// Lets an event of the agenda happen.
    pub(crate) fn happen(&mut self, event: Event) {
        match event {
            Event::Alarm(id) => self.agenda.ring(id, self.now),
            Event::Dialled(line) => self.dialled(line),
            Event::Delivered(line, up_to) => self.delivered(line, up_to),
            Event::Arrived(line, up_to) => self.arrived(line, up_to),
            Event::Cut(line) => self.learn_cut(line),
            Event::Resumed => self.resume(),
            Event::Pushed(line) => self.push(line),
            Event::Struck(index) => self.strike(index),
            Event::Turned(turn) => self.turn(turn),
            Event::Due { op, at } => self.due(op, at),
            Event::Raced { race, at } => self.raced(race, at),
            Event::Redial { pool, events, at } => self.redial(pool, events, at),
        }
    }

    /// Dials a node of the cluster for a cache. All its lines to one node count as one pool here:
    /// those of its pool, those of one that is still closing, and one that reads the map.
    fn dial_node(&mut self, cache: usize, to: &Endpoint) -> usize {
        let node = match to {
            Endpoint::Tcp { port, .. } => at_port(*port),
            Endpoint::Unix { .. } => usize::MAX,
        };
        let of = |pool: &Pool| pool.cache == cache && pool.node == node && !pool.over;
        let pool = self.pools.iter().position(of).unwrap_or_else(|| {
            let most = 2 * self.plan.caches[cache].maxsize + 2;
            self.pools.push(Pool::of_node(cache, node, most));
            self.pools.len() - 1
        });
        self.check_addresses(cache);
        self.dial(pool, node)
    }

    /// Checks that a cache, since it was connected, has dialled no more addresses from redirects
    /// than allowed: 64, and one more in each second.
    fn check_addresses(&mut self, cache: usize) {
        let known = self.nodes.len();
        let of_cache = self.pools.iter().filter(|pool| pool.cache == cache && !pool.over);
        let alone = of_cache.filter(|pool| pool.node >= known && pool.node != usize::MAX);
        let since = alone.clone().filter_map(Pool::first_dial).min().unwrap_or(self.now);
        let (dialled, most) = (alone.count() as u64, 65 + self.now.since(since).as_secs());
        if dialled > most {
            let what = format!("cache {cache}: {dialled} addresses of redirects, of {most}");
            self.ledger.fail(what);
        }
    }

    /// Records that a cache has let go of its pool, or is about to.
    pub(crate) fn let_go(&mut self, cache: usize) {
        self.ledger.connected(cache, false);
        self.ledger.caches[cache].lazy = Lazy::No;
        for pool in self.pools.iter_mut().filter(|pool| pool.cache == cache) {
            pool.over = true;
        }
    }

    /// Checks an operation that should be over. If the clock has jumped, it gets its time after
    /// that.
    fn due(&mut self, op: usize, at: Instant) {
        let on_time = self.now.since(at) < crate::ledger::SLACK;
        let again =
            if on_time { self.ledger.due(op) } else { Some(self.now + crate::ledger::SLACK) };
        if let Some(at) = again {
            self.agenda.note(at, Event::Due { op, at });
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
