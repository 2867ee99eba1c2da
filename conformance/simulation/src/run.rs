//! One seed, from its plan to its end.
//!
//! First, callers and faults run together, until the faults have stopped and the callers are done.
//! Then nothing happens for as long as a pool may need to notice broken connections. Then every
//! pool must be whole and must serve. At last everything is closed, and nothing may be left.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use async_caches::runtime::{Instant, WallTime};
use async_caches::{Cache, Error, PoolInfo, builder};
use async_caches_conformance::random::Random;

use crate::agenda::{Agenda, Event};
use crate::callers::Caller;
use crate::cluster::{Cluster, port};
use crate::executor::Executor;
use crate::ledger::{Key, Lazy, Ledger, SLACK};
use crate::line::Line;
use crate::log::Log;
use crate::memory;
use crate::model::Model;
use crate::operation::Kind;
use crate::plan::{CachePlan, POISON, Plan};
use crate::race::Races;
use crate::serve::Server;
use crate::turns::ClusterPlan;
use crate::world::{Simulated, State, World, wall_time};

/// The result of a seed.
#[derive(Debug)]
pub struct Report {
    /// The rule that did not hold, if any.
    pub failure: Option<String>,
    /// The log, if it was kept.
    pub log: Vec<String>,
    /// How many operations there were.
    pub operations: usize,
    /// How often the store of a dropped load ran after a later write.
    pub late_stores: usize,
}

/// The kind of a seed. The same number means another story in each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Space {
    /// One server, or the store in memory.
    Server,
    /// A cluster.
    Cluster,
    /// Loads that wait for loads, in memory.
    Loads,
}

/// Runs a seed of this space. Keeps a log if the caller wants one.
#[must_use]
pub fn run_in(space: Space, seed: u64, keep_log: bool) -> Report {
    match space {
        Space::Server => run(seed, keep_log),
        Space::Loads => crate::loads::run(seed, keep_log),
        Space::Cluster => {
            let (mut random, mut other) = (Random::new(seed), Random::new(!seed));
            let plan = Plan::draw_cluster(&mut random, &mut other);
            let mut run = Run::new(plan, random, keep_log);
            run.all();
            run.finish()
        }
    }
}

/// Runs a seed of one server. Keeps a log if the caller wants one.
#[must_use]
pub fn run(seed: u64, keep_log: bool) -> Report {
    let mut random = Random::new(seed);
    if random.below(8) == 0 {
        return memory::run(seed, random, keep_log);
    }
    let mut plan = Plan::draw(&mut random);
    let mut other = Random::new(!seed);
    plan.draw_addresses(&mut other);
    plan.draw_age(&mut other);
    plan.poison(&mut Random::new(seed.rotate_left(32)));
    plan.forget_clients(&mut Random::new(seed.rotate_left(16)));
    plan.draw_beginning(&mut Random::new(seed.rotate_left(48)));
    let mut run = Run::new(plan, random, keep_log);
    run.all();
    run.finish()
}

struct Run {
    executor: Executor,
    world: World,
    caches: Rc<Vec<Cache>>,
    left: Rc<Cell<usize>>,
    random: Random,
    plan: Plan,
}

impl Run {
    fn new(plan: Plan, mut random: Random, keep_log: bool) -> Self {
        let executor = Executor::default();
        let mut log = Log::new(keep_log);
        log.add(Instant::ORIGIN, || format!("{plan:#?}"));
        let mut state = State {
            now: Instant::from_nanos(1_000_000_000),
            plan: plan.clone(),
            random: Random::new(random.below(u64::MAX)),
            agenda: Agenda::default(),
            lines: Vec::new(),
            live: Vec::new(),
            pools: Vec::new(),
            races: Races::default(),
            nodes: nodes(&plan),
            cluster: plan.cluster.as_ref().map(ClusterPlan::cluster),
            ledger: ledger(&plan),
            log,
            scratch: Vec::new(),
            lied: 0,
            outside: false,
            shut_down: false,
        };
        for (index, (at, _)) in plan.strikes.iter().enumerate() {
            let at = state.now + at.since(Instant::ORIGIN);
            state.agenda.note(at, Event::Struck(index));
        }
        for (at, turn) in plan.cluster.iter().flat_map(|cluster| &cluster.turns) {
            let at = state.now + at.since(Instant::ORIGIN);
            state.agenda.note(at, Event::Turned(*turn));
        }
        state.plan.faults_until = state.now + plan.faults_until.since(Instant::ORIGIN);
        let world = World::new(state, executor.ready());
        let caches = Rc::new(caches(&plan, &world));
        Self { executor, world, caches, left: Rc::new(Cell::new(0)), random, plan }
    }

    fn all(&mut self) {
        let until = self.world.with(|state| state.plan.faults_until);
        self.spawn_callers();
        self.drive(until);
        let last = until + LONGEST;
        while self.left.get() > 0 && self.world.now() < last && self.goes_on() {
            self.drive(self.world.now() + Duration::from_secs(1));
        }
        self.expect(self.left.get() == 0, "callers that never come to an end");
        let Plan { response_timeout, connect_timeout, .. } = self.plan;
        let settled = KEEPALIVE + 2 * response_timeout + connect_timeout + BACKOFF + SLACK;
        self.drive(self.world.now() + settled);
        if self.plan.cluster.is_some() {
            // Until the map has been read in the regular interval.
            self.drive(self.world.now() + ROUTINE);
        }
        self.check_health();
        self.probe();
        self.check_health();
        self.check_cluster();
        self.world.with(|state| state.ledger.check_poison());
        self.close();
    }

    /// A cache that is told to connect outside of its runtime says so, and can connect later.
    fn connect_outside(&self, index: usize) {
        self.world.with(|state| state.outside = true);
        let mut connect = pin!(self.caches[index].connect());
        let polled = connect.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.world.with(|state| state.outside = false);
        let refused = matches!(polled, Poll::Ready(Err(Error::NoRuntime { .. })));
        self.expect(refused, "connecting outside of the runtime is no error");
        self.expect(!self.caches[index].is_connected(), "connected outside of the runtime");
    }

    fn spawn_callers(&mut self) {
        for index in 0..self.plan.caches.len() {
            if self.plan.beginning.outside {
                self.connect_outside(index);
            }
            if self.plan.beginning.lazy {
                let connected = self.caches[index].is_connected();
                self.expect(connected, "a cache that connects lazily is not connected");
                self.world.with(|state| {
                    state.ledger.connected(index, true);
                    state.ledger.caches[index].lazy = Lazy::Dials;
                });
            }
        }
        let span = self.plan.faults_until.since(Instant::ORIGIN);
        for index in 0..self.plan.caches.len() {
            let (mut caller, reconnects) = (self.caller(), self.plan.reconnects);
            self.executor.spawn(async move {
                let world = caller.world.clone();
                caller.stay_connected(index).await;
                for _ in 0..reconnects {
                    let pause = Duration::from_nanos(caller.random.below(span.as_nanos() as u64));
                    world.sleep_until(world.now() + pause).await;
                    caller.operate(Kind::Disconnect, index).await;
                    caller.stay_connected(index).await;
                }
                caller.left.set(caller.left.get() - 1);
            });
        }
        for _ in 0..self.plan.tasks {
            let (caller, operations) = (self.caller(), self.plan.operations);
            let pause = self.plan.span / u32::try_from(operations).unwrap_or(1);
            self.executor.spawn(caller.run(operations, pause));
        }
    }

    fn caller(&mut self) -> Caller {
        self.left.set(self.left.get() + 1);
        Caller {
            world: self.world.clone(),
            caches: Rc::clone(&self.caches),
            random: Random::new(self.random.below(u64::MAX)),
            left: Rc::clone(&self.left),
        }
    }

    /// Runs tasks and events until `until`.
    fn drive(&mut self, until: Instant) {
        let (mut polls, mut events) = (0, 0_u64);
        while self.goes_on() {
            let (poll_cost, unasked) = (self.plan.poll_cost, self.plan.unasked);
            while self.executor.step(&mut self.random, unasked) {
                self.world.with(|state| {
                    state.ledger.step += 1;
                    if poll_cost > 0 {
                        state.now = state.now + Duration::from_nanos(state.random.below(poll_cost));
                    }
                    state.ledger.now = state.now;
                });
                polls += 1;
                if polls > MOST_POLLS {
                    return self.world.with(|state| state.ledger.fail("tasks spin".into()));
                }
            }
            let goes_on = self.world.with(|state| match state.agenda.peek() {
                Some(at) if at <= until => {
                    let Some((at, event)) = state.agenda.next() else { return false };
                    if at > state.now {
                        polls = 0;
                        state.now = at;
                    }
                    state.ledger.step += 1;
                    state.ledger.now = state.now;
                    state.happen(event);
                    true
                }
                Some(_) | None => {
                    state.now = state.now.max(until);
                    state.ledger.now = state.now;
                    false
                }
            });
            if !goes_on {
                return;
            }
            if self.world.with(|state| std::mem::take(&mut state.shut_down)) {
                self.executor.shut_down();
            }
            events += 1;
            if events % LOOKS == 0 {
                self.check_info();
            }
        }
    }

    /// Checks that the snapshots of all caches add up, at any moment.
    fn check_info(&self) {
        self.world.with(State::check_ages);
        for (index, cache) in self.caches.iter().enumerate() {
            let info = cache.info();
            let Some(pool) = info.pool() else { continue };
            let adds_up = pool.open + pool.dialling + pool.closing <= pool.maxsize
                && pool.idle <= pool.open
                && pool.servers.iter().map(|server| server.connections).sum::<usize>() == pool.open
                && pool.reconnects <= pool.lost;
            if let Some(cluster) = info.cluster() {
                let within =
                    |pool: &PoolInfo| pool.open + pool.dialling + pool.closing <= pool.maxsize;
                let within = cluster.nodes.iter().all(|node| within(&node.pool));
                self.expect(within, &format!("cache {index} has a node with too many connections"));
            }
            if let Some(last) = &pool.last_error {
                let time = wall_time(index, self.world.now()).since(WallTime::EPOCH);
                let on_its_clock = last.at + last.ago == UNIX_EPOCH + time;
                self.expect(on_its_clock, &format!("cache {index} has another's time of day"));
            }
            let nothing = pool.open + pool.dialling + pool.in_flight + pool.waiting == 0;
            if !adds_up || !(info.connected || nothing) {
                self.expect(false, &format!("cache {index} tells what cannot be: {info:?}"));
            }
        }
    }

    fn goes_on(&self) -> bool {
        self.world.with(|state| state.ledger.failure().is_none())
    }

    fn expect(&self, holds: bool, what: &str) {
        if !holds {
            self.world.with(|state| state.ledger.fail(what.into()));
        }
    }

    /// Checks that every pool has as many lines as it should have, and that each works.
    fn check_health(&self) {
        self.world.with(|state| {
            let well = state.server_is_well();
            for index in 0..state.pools.len() {
                let pool = &state.pools[index];
                let is_healthy = |line: &&Line| line.pool == index && line.is_healthy(state.now);
                let healthy = state.lines.iter().filter(is_healthy).count();
                let live = state.live(index);
                // Without room for another, a line past its age is closed first.
                let renews = self.plan.max_age.is_some();
                let least = if pool.over { 0 } else { pool.minsize.saturating_sub(usize::from(renews)) };
                let most = if pool.over { 0 } else { pool.maxsize };
                let gone = |cluster: &Cluster| cluster.is_gone(pool.node, self.plan.reads());
                let gone = state.cluster.as_ref().is_some_and(gone);
                // It may be used to read the map.
                let most = if gone { most.min(1) } else { most };
                if !well || healthy < least || live > most {
                    let what = format!(
                        "pool {index}: {healthy} healthy of {live} lines, {least} to {most} are to be"
                    );
                    state.ledger.fail(what);
                }
            }
        });
    }

    /// Checks that every slot has a node as far as the caches know, and that their last read of the
    /// map succeeded.
    fn check_cluster(&self) {
        if self.plan.cluster.is_none() {
            return;
        }
        for (index, cache) in self.caches.iter().enumerate() {
            let info = cache.info();
            let nodes = info.cluster().map(|cluster| &cluster.nodes[..]).unwrap_or_default();
            let slots: usize = nodes.iter().map(|node| node.slots).sum();
            let unread = info.cluster().and_then(|cluster| cluster.last_error.as_ref());
            self.expect(
                unread.is_none(),
                &format!("cache {index} cannot read the map: {unread:?}"),
            );
            self.expect(slots == 16_384, &format!("cache {index} knows who serves {slots} slots"));
        }
    }

    /// Checks that every pool serves at once.
    fn probe(&mut self) {
        self.world.with(|state| {
            state.ledger.strict = true;
            state.ledger.windows.clear();
            state.plan.drops = 0;
            state.log.add(state.now, || "all faults are over".into());
        });
        for index in 0..self.caches.len() {
            let mut caller = self.caller();
            self.executor.spawn(async move {
                caller.operate(Kind::Ping, index).await;
                let rounds = if caller.world.with(|state| state.cluster.is_some()) { 6 } else { 1 };
                for kind in [Kind::Set, Kind::Get, Kind::Delete].repeat(rounds) {
                    caller.operate(kind, index).await;
                }
                caller.left.set(caller.left.get() - 1);
            });
        }
        let rounds = if self.plan.cluster.is_some() { 6 } else { 1 };
        self.drive(self.world.now() + rounds * 8 * self.plan.response_timeout);
        self.expect(self.left.get() == 0, "probes that never come to an end");
    }

    /// Closes all caches, in one of two ways. Nothing may be left.
    fn close(&mut self) {
        if self.random.below(2) == 0 {
            for index in 0..self.caches.len() {
                let mut caller = self.caller();
                self.executor.spawn(async move {
                    caller.operate(Kind::Disconnect, index).await;
                    caller.left.set(caller.left.get() - 1);
                });
            }
            self.drive(self.world.now() + 4 * self.plan.response_timeout);
            self.expect(self.left.get() == 0, "a disconnect that never comes to an end");
        }
        (0..self.caches.len()).for_each(|index| self.world.with(|state| state.let_go(index)));
        self.caches = Rc::default();
        self.drive(self.world.now() + Duration::from_secs(1));
        let tasks = self.executor.alive();
        self.expect(tasks == 0, "tasks are left");
        let live = self.world.with(|state| state.live.len());
        self.expect(live == 0, "lines are left");
    }

    fn finish(mut self) -> Report {
        self.executor.abandon();
        self.world.with(|state| Report {
            failure: state.ledger.failure().cloned(),
            log: state.log.take(),
            operations: state.ledger.operations(),
            late_stores: state.ledger.late_stores,
        })
    }
}

impl Caller {
    /// Connects, and tries again until that succeeds.
    async fn stay_connected(&mut self, index: usize) {
        while !self.caches[index].is_connected() {
            self.operate(Kind::Connect, index).await;
            let pause = Duration::from_micros(self.random.below(300_000));
            self.world.sleep_until(self.world.now() + pause).await;
        }
    }
}

fn model(plan: &Plan) -> Model {
    let mut model = Model::default();
    model.password = plan.password.then(|| PASSWORD.to_owned());
    model.hello = plan.hello;
    model.refuses_names = plan.beginning.names;
    model.scan_step = Some(2);
    model
}

/// The server, or all nodes of the cluster.
fn nodes(plan: &Plan) -> Vec<Server> {
    let count = plan.cluster.as_ref().map_or(1, |plan| plan.cluster().nodes.len());
    (0..count).map(|_| Server::of(model(plan))).collect()
}

fn ledger(plan: &Plan) -> Ledger {
    let mut ledger = Ledger::new(plan.response_timeout, plan.connect_timeout, plan.is_calm());
    ledger.only_poison = plan.only_poison;
    ledger.poison = plan.poison;
    ledger.lies = plan.lies();
    ledger.nodes = plan.cluster.as_ref().map(|plan| plan.cluster().nodes.len());
    for (index, cache) in plan.caches.iter().enumerate() {
        ledger.connected(index, false);
        ledger.keeps_connections.push(cache.minsize > 0);
        let mut add = |name: String, version, counts| {
            ledger.keys.push(Key::new(index, cache.prefix, name, version, counts));
        };
        // In a cluster some keys share a slot.
        let tag = if plan.cluster.is_some() { "{t}" } else { "" };
        let tag = |key: u64| if key % 3 == 2 { "" } else { tag };
        (0..plan.keys).for_each(|key| add(format!("k{key}{}", tag(key)), None, false));
        add("n".into(), None, true);
        if plan.poison.is_some() {
            add(POISON.into(), None, false);
        }
        add(format!("k0{}", tag(0)), Some(2), false);
    }
    ledger
}

fn caches(plan: &Plan, world: &World) -> Vec<Cache> {
    // Caches of one server share their loads, so each seed has a server of its own.
    let server = SERVERS.fetch_add(1, Ordering::Relaxed);
    let cache = |(index, cache): (usize, &CachePlan)| {
        let user = if plan.password { format!(":{PASSWORD}@") } else { String::new() };
        let url = match &plan.cluster {
            None => format!("redis://{user}server{server}/{}", plan.database),
            Some(_) => {
                let host = format!("server{server}");
                format!("redis-cluster://{user}{host}:{},{host}:{}", port(0), port(1))
            }
        };
        let mut builder = builder(&url)
            .replica_reads(plan.reads())
            .runtime(Simulated { world: world.clone(), cache: index })
            .key_prefix(cache.prefix)
            .minsize(cache.minsize)
            .maxsize(cache.maxsize)
            .max_in_flight(cache.max_in_flight)
            .max_waiting(cache.max_waiting)
            .connect_timeout(plan.connect_timeout)
            .response_timeout(plan.response_timeout);
        if let Some(age) = plan.max_age {
            builder = builder.max_connection_age(age);
        }
        if let Some(millis) = cache.timeout {
            builder = builder.timeout(Duration::from_millis(millis));
        }
        if plan.beginning.names {
            builder = builder.name("simulated");
        }
        let built = match plan.beginning.lazy {
            false => builder.build(),
            true => builder.connect_lazily(),
        };
        built.unwrap_or_else(|error| panic!("the plan's options are good: {error}"))
    };
    plan.caches.iter().enumerate().map(cache).collect()
}

static SERVERS: AtomicU64 = AtomicU64::new(0);

const PASSWORD: &str = "secret";
/// How long an idle connection may be broken before that is noticed.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long a pool may wait before it dials again.
const BACKOFF: Duration = Duration::from_secs(5);
/// How long a cache keeps a map at most if it has no reason to doubt it.
const ROUTINE: Duration = Duration::from_secs(95);
/// How long operations that hang may take in total.
const LONGEST: Duration = Duration::from_secs(600);
/// After one event in this many, the snapshots of the caches are checked.
const LOOKS: u64 = 16;
/// How often tasks may be polled in one moment.
const MOST_POLLS: usize = 100_000;
