//! The state that all callers of a cluster share: its nodes, its map, and the wait queue for a new
//! map.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use async_caches_core::cluster::address::{Address, Transport, Viewpoint};
use async_caches_core::cluster::map::{self, Health, SlotMap};
use async_caches_core::cluster::node_budget::NodeBudget;
use async_caches_core::cluster::redirect::{Redirect, RedirectKind};
use async_caches_core::cluster::refresh::{Refresh, RefreshInput};
use async_caches_core::cluster::slot::Slot;
use async_caches_core::command::Command;
use async_caches_core::connection::Role;
use async_caches_core::large::LargeKeys;
use async_caches_core::options::Settings;
use async_caches_core::time::Instant;
use async_caches_core::url::{Topology, Wire};

use super::node::Node;
use super::view::View;
use crate::connect_config::ConnectConfig;
use crate::error::{ConnectionFailure, Error};
use crate::events;
use crate::redis::{Closing, Observer, PoolOwner, RefreshSignal, WaitQueue, WaiterId};
use crate::runtime::Runtime;
use crate::sync::lock;
use crate::translation::Translation;
use crate::waker::Spare;

/// The nodes of a cluster, and the callers that wait for the cluster.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) topology: Topology,
    pub(super) wire: Wire,
    pub(super) database: u32,
    pub(super) config: ConnectConfig,
    pub(super) settings: Settings,
    pub(super) translation: Translation,
    pub(super) large: Arc<LargeKeys>,
    pub(super) signal: Arc<RefreshSignal>,
    /// The callers' view, once there is a map. Changed only under the lock of the state.
    pub(super) published: Arc<ArcSwapOption<View>>,
    pub(super) view: ArcSwap<View>,
    /// How many nodes the URL names.
    pub(super) seeds: usize,
    /// Until when callers may hope for a first connection.
    pub(super) first_until: Instant,
    /// Limits nodes that are unknown, or were never dialled. No other lock is taken under this one.
    pub(super) room: Mutex<NodeBudget>,
    pub(super) state: Mutex<ClusterState>,
}

#[derive(Debug)]
pub(super) struct ClusterState {
    pub(super) refresh: Refresh,
    pub(super) queue: WaitQueue,
    /// Nodes in no map, to which a slot is being moved.
    pub(super) strays: Vec<Arc<Node>>,
    /// Pools to be started.
    pub(super) beginning: Vec<Arc<PoolOwner>>,
    /// Pools that are closing.
    pub(super) leaving: Vec<Arc<PoolOwner>>,
    /// How many maps were read, and how often in a row that has failed.
    pub(super) maps: u64,
    pub(super) failures: usize,
    /// Why the last map could not be read; `None` if one was read since.
    pub(super) last_error: Option<ConnectionFailure>,
    /// Whether callers may see the nodes.
    pub(super) is_published: bool,
    /// Whether commands are no longer accepted.
    pub(super) closed: bool,
    /// Whether all pools have been told to close.
    pub(super) dismissed: bool,
    /// Whether the keeper is gone.
    pub(super) over: bool,
}

impl Nodes {
    pub(crate) fn now(&self) -> Instant {
        self.runtime.now()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.runtime.seed()
    }

    pub(crate) fn response_timeout(&self) -> Duration {
        self.settings.response_timeout
    }

    /// The observers of a command that has no connection.
    pub(crate) fn observer(&self) -> Observer {
        let recorder = self.config.hooks.recorder.clone();
        Observer {
            topology: self.topology.clone(),
            database: self.database,
            recorder,
            subscriber: None,
        }
    }

    /// Reports that a node has redirected a command.
    pub(crate) fn redirected(&self, command: &Command<'_>, by: &Address, redirect: &Redirect) {
        events::redirected(by, command, redirect);
        if let Some(recorder) = &self.config.hooks.recorder {
            recorder.redirected(command.name());
        }
    }

    /// Marks the map as possibly wrong. It is read again as soon as allowed.
    pub(crate) fn doubt(&self) {
        self.signal.raise();
    }

    /// How many maps were read. Once the number has grown, an earlier problem may be solved.
    pub(crate) fn maps(&self) -> u64 {
        lock(&self.state).maps
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// The callers' present view.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// The node that takes writes for a slot, if it is known.
    pub(crate) fn master(&self, slot: Slot) -> Option<Arc<Node>> {
        self.view.load().master(slot).cloned()
    }

    /// The node to read from for a slot, if it is known.
    pub(crate) fn reader(&self, slot: Slot) -> Option<Arc<Node>> {
        self.view.load().reader(slot).cloned()
    }

    /// Whether replicas are read from.
    pub(crate) fn reads(&self) -> bool {
        self.settings.replica_reads
    }

    /// A node that serves some slot, if possible one with connections.
    pub(crate) fn any(&self) -> Option<Arc<Node>> {
        let view = self.view.load();
        let masters = || view.shards().into_iter().filter_map(|slot| view.master(slot).cloned());
        let is_up = |node: &Arc<Node>| node.opened().is_some() && !node.is_down();
        masters().find(is_up).or_else(|| masters().next())
    }

    /// The viewpoint of the node that was asked, to read its addresses by.
    pub(crate) fn viewpoint<'a>(&'a self, asked: &'a Address) -> Viewpoint<'a> {
        let transport = match self.wire {
            Wire::Plain => Transport::Plain,
            Wire::Tls => Transport::Tls,
        };
        Viewpoint { asked, transport, translate: self.translation.as_fn() }
    }

    /// Returns the node that a redirect leads to; a `MOVED` also corrects the map. `None` if the
    /// node is new and there is no [room](NodeBudget) for it. The node is not closed to make room
    /// for others as long as the caller holds it.
    pub(crate) fn follow(&self, redirect: &Redirect) -> Option<Arc<Node>> {
        let now = self.now();
        let mut state = lock(&self.state);
        if state.closed {
            return None;
        }
        let view = self.view.load();
        let mut evicted = None;
        let there = view.at(&redirect.to).or_else(|| state.stray(&redirect.to)).cloned();
        let (node, is_new) = match there {
            Some(node) => (Some(node), false),
            None => {
                let known = view.redirected().len() + state.strays.len();
                let idle = state.idle_stray().filter(|_| known >= NodeBudget::REDIRECTED);
                let known = known - usize::from(idle.is_some());
                let is_room = lock(&self.room).redirect(known, now);
                evicted = idle.filter(|_| is_room).map(|at| state.strays.remove(at));
                (is_room.then(|| Node::new(redirect.to.clone(), Role::Any)), true)
            }
        };
        if let Some(node) = &node {
            let view = if redirect.kind == RedirectKind::Moved {
                view.moved(redirect.slot, node)
            } else {
                None
            };
            match view {
                Some(view) => {
                    state.strays.retain(|stray| !Arc::ptr_eq(stray, node));
                    // A node that serves nothing any more stays until the next map.
                    self.show(&state, view);
                }
                None if is_new => state.strays.push(Arc::clone(node)),
                None => {}
            }
        }
        drop(state);
        self.dismiss(evicted.into_iter().map(|node| (node, Closing::Drained)));
        if redirect.kind == RedirectKind::Moved || node.is_none() {
            self.doubt();
        }
        node
    }

    /// Whether a node that was never dialled may be dialled now.
    pub(super) fn may_dial(&self) -> bool {
        lock(&self.room).dial(self.now())
    }

    /// Lets the caller wait until `until`, or until the number of maps differs from `maps`. Returns
    /// its waiter, or `None` if the wait is over. The caller is woken to check again.
    ///
    /// # Errors
    /// The cluster is closed, its runtime is gone, or too many callers wait.
    pub(crate) fn wait(
        &self,
        waiter: Option<WaiterId>,
        until: Instant,
        maps: Option<u64>,
        cx: &Context<'_>,
    ) -> Result<Option<WaiterId>, Error> {
        let now = self.now();
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.state);
        self.check(&state)?;
        if until <= now || maps.is_some_and(|maps| maps != state.maps) {
            return Ok(None);
        }
        // A caller that did not wait for the first map must not wait for one that does not come.
        if state.maps == 0
            && let Some(why) = &state.last_error
            && (why.is_refusal() || state.failures >= self.seeds)
        {
            return Err(self.failed_by(why.clone()));
        }
        if waiter.is_none() && state.queue.waiting() >= self.settings.max_waiting {
            return Err(Error::Overloaded { to: self.topology.to_string() });
        }
        let waiter = state.queue.wait(waiter, until, &mut waker);
        drop(state);
        self.signal.wake();
        Ok(Some(waiter))
    }

    /// Registers a caller that waits for something else and is woken by that. Its wait ends at
    /// `expires`.
    ///
    /// # Errors
    /// As [`wait`](Self::wait); also [`Error::Timeout`] at `expires`.
    pub(crate) fn hold(
        &self,
        waiter: Option<WaiterId>,
        expires: Instant,
        cx: &Context<'_>,
    ) -> Result<WaiterId, Error> {
        let now = self.now();
        let mut waker = Spare::of(cx);
        let mut state = lock(&self.state);
        self.check(&state)?;
        if expires <= now {
            return Err(Error::Timeout { after: self.response_timeout(), may_have_run: false });
        }
        if waiter.is_none() && state.queue.held() >= self.settings.max_waiting {
            return Err(Error::Overloaded { to: self.topology.to_string() });
        }
        let waiter = state.queue.hold(waiter, expires, &mut waker);
        drop(state);
        self.signal.wake();
        Ok(waiter)
    }

    /// Removes a caller that waits no more.
    pub(crate) fn leave(&self, waiter: WaiterId) {
        let mut state = lock(&self.state);
        let wakers = (state.queue.forget(waiter), state.queue.let_go(waiter));
        drop(state);
        drop(wakers);
    }

    /// The error for a slot that no node serves; `None` stands for any slot.
    pub(crate) fn uncovered(&self, slot: Option<Slot>) -> Error {
        let slot = slot.map(Slot::number);
        self.failed_by(ConnectionFailure::Uncovered { slot })
    }

    pub(super) fn failed_by(&self, source: ConnectionFailure) -> Error {
        Error::Unavailable { to: self.topology.to_string(), source }
    }

    fn check(&self, state: &ClusterState) -> Result<(), Error> {
        match (state.closed, state.over) {
            (true, _) => Err(Error::NotConnected),
            (false, true) => Err(self.failed_by(ConnectionFailure::RuntimeGone)),
            (false, false) => Ok(()),
        }
    }

    /// Takes in a new map. Nodes without slots in it close, and waiting callers look again where
    /// their commands belong.
    pub(super) fn read(&self, map: SlotMap) {
        let now = self.now();
        let mut state = lock(&self.state);
        if state.closed {
            return;
        }
        let before = self.view.load_full();
        let strays = std::mem::take(&mut state.strays);
        // A redirect may have led a caller to a node that this map does not have, or not yet.
        let (used, unused): (Vec<_>, Vec<_>) = strays.into_iter().partition(is_used);
        let mut there = HashMap::new();
        for node in before.all().chain(&used).chain(&unused) {
            there.entry((node.address(), node.role())).or_insert(node);
        }
        let view = View::of(map, self.settings.replica_reads, |address, role, serves| {
            let node = there.get(&(address, role)).copied();
            let is_kept =
                |node: &&Arc<Node>| serves || used.iter().any(|used| Arc::ptr_eq(used, node));
            node.filter(is_kept).cloned()
        });
        let alone = before.redirected().iter().chain(&used).chain(&unused);
        let confirmed = alone.filter(|node| view.at(node.address()).is_some()).count();
        lock(&self.room).confirmed(confirmed);
        // The node that was asked may not have learned yet which node serves a slot now.
        let has_new_gaps = view.map().uncovered().next().is_some()
            && view.map().uncovered().ne(before.map().uncovered());
        let left = left(&view, before.all().chain(&unused));
        state.strays = used.into_iter().filter(|node| view.at(node.address()).is_none()).collect();
        self.show(&state, view);
        let view = self.view.load_full();
        state.maps += 1;
        state.failures = 0;
        state.last_error = None;
        state.refresh.handle(RefreshInput::Fetched, now);
        let pools: Vec<_> = view.all().filter_map(|node| node.opened()).collect();
        // A node that is down is soon replaced if it has replicas. A node that is copying its
        // master's data can soon be read from.
        let is_loading = |node: &map::Node| node.health == Health::Loading;
        let awaited = self.reads() && view.map().nodes().any(is_loading);
        if has_new_gaps || awaited || pools.iter().any(|redis| redis.pool().is_missed()) {
            state.refresh.handle(RefreshInput::Doubted, now);
        }
        let woken = state.queue.take_waiting();
        drop(state);
        self.dismiss(left);
        pools.iter().for_each(|redis| redis.pool().rouse());
        woken.into_iter().for_each(Waker::wake);
    }

    /// Notes that a map could not be read, and why.
    pub(super) fn unread(&self, input: RefreshInput, why: ConnectionFailure) {
        let now = self.now();
        let mut state = lock(&self.state);
        state.refresh.handle(input, now);
        // In the other cases the same node is asked again in another form.
        if input == RefreshInput::Failed {
            state.failures += 1;
            state.last_error = Some(why);
        }
        // Each waiting caller checks whether there is still hope.
        let woken = state.queue.take_waiting();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Lets the keeper start a pool in its own task, that is, on the runtime that the cache was
    /// connected on.
    ///
    /// # Errors
    /// The keeper is gone.
    pub(super) fn start(&self, redis: &Arc<PoolOwner>) -> Result<(), Error> {
        let mut state = lock(&self.state);
        let over = state.over;
        if !over {
            state.beginning.push(Arc::clone(redis));
        }
        drop(state);
        if over {
            redis.abandon();
            return Err(self.failed_by(ConnectionFailure::RuntimeGone));
        }
        self.signal.wake();
        Ok(())
    }

    /// Makes this the callers' view.
    fn show(&self, state: &ClusterState, view: View) {
        let view = Arc::new(view);
        self.view.store(Arc::clone(&view));
        if state.is_published {
            self.published.store(Some(view));
        }
    }

    /// All open pools.
    pub(super) fn opened(&self) -> Vec<Arc<PoolOwner>> {
        let state = lock(&self.state);
        let view = self.view.load();
        view.all().chain(&state.strays).filter_map(|node| node.opened()).collect()
    }

    /// Closes nodes that are in no view any more.
    fn dismiss(&self, left: impl IntoIterator<Item = (Arc<Node>, Closing)>) {
        let left = left.into_iter().filter_map(|(node, how)| node.dismiss(how));
        let leaving: Vec<_> = left.collect();
        lock(&self.state).leaving.extend(leaving);
        self.signal.wake();
    }

    /// Accepts no more commands and closes all connections. Only the first call has an effect.
    pub(super) fn close(&self, how: Closing) {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.closed, true) {
            return;
        }
        let strays = std::mem::take(&mut state.strays);
        let view = self.view.load_full();
        let woken = state.queue.take_all();
        drop(state);
        self.dismiss(view.all().cloned().chain(strays).map(|node| (node, how)));
        lock(&self.state).dismissed = true;
        self.signal.wake();
        woken.into_iter().for_each(Waker::wake);
    }
}

impl ClusterState {
    /// The node at an address, among those in no map.
    fn stray(&self, address: &Address) -> Option<&Arc<Node>> {
        self.strays.iter().find(|node| node.address() == address)
    }

    /// The position of the first of these nodes that no caller is on its way to, or waits for.
    fn idle_stray(&self) -> Option<usize> {
        self.strays.iter().position(|node| !is_used(node))
    }
}

/// Whether a caller holds a node that otherwise only the list of those in no map holds.
fn is_used(stray: &Arc<Node>) -> bool {
    Arc::strong_count(stray) > 1
}

/// The earlier nodes that are not in the view, and how they close. A failed node closes at once, so
/// that its commands are sent elsewhere.
fn left<'n>(view: &View, before: impl Iterator<Item = &'n Arc<Node>>) -> Vec<(Arc<Node>, Closing)> {
    let kept: HashSet<_> = view.all().map(Arc::as_ptr).collect();
    let how = |node: &Arc<Node>| {
        let told = view.map().place(node.address()).and_then(|at| view.map().node(at));
        match told.map(|told| told.health) {
            Some(Health::Failed) => Closing::Moved,
            Some(Health::Online | Health::Loading) | None => Closing::Drained,
        }
    };
    let left = before.filter(|node| !kept.contains(&Arc::as_ptr(node)));
    left.map(|node| (Arc::clone(node), how(node))).collect()
}
