//! One command's way through a cluster, if it is more than one hop to the node that the map names.
//!
//! Most commands never come here: they are sent at once to the node that the map names
//! ([`View::find`]) and get their reply. If a node redirects a command or refuses it for now, or if
//! the command finds no connection, the core's [`Hops`] decides what to do, and this module does
//! it.
//!
//! [`View::find`]: crate::cluster::View::find

use std::sync::Arc;
use std::task::{Context, Poll};

use async_caches_core::cluster::address::{Address, Viewpoint};
use async_caches_core::cluster::key_route::KeyRoute;
use async_caches_core::cluster::redirect::{
    Hops, Next, Redirect, RedirectKind, TooManyRedirects, Trouble,
};
use async_caches_core::cluster::slot::Slot;
use async_caches_core::command::Command;
use async_caches_core::error::{Failure, ServerErrorKind};
use async_caches_core::reply::Answer;
use async_caches_core::time::Instant;

use super::node::Node;
use super::nodes::Nodes;
use crate::error::{ConnectionFailure, Error};
use crate::redis::{Exchange, Outcome, WaiterId};

/// The state of a command on its way from node to node.
#[derive(Debug, Default)]
pub(crate) struct RedirectState {
    hops: Option<Hops>,
    /// The next node, whatever the map says.
    to: Option<Stop>,
    /// The node that the last redirect led to. As long as the command is on its way there, or
    /// waits, that node is not closed to make room for another.
    visited: Option<Arc<Node>>,
    /// The slot, if the keys do not determine it.
    slot: Option<Slot>,
    /// Whether the command goes only to masters, as some node has redirected or refused it.
    settled: bool,
    wait: Option<Wait>,
    /// Its place in the queue of the cluster.
    place: Option<(Arc<Nodes>, WaiterId)>,
}

/// A node that a redirect has named.
#[derive(Debug)]
struct Stop {
    node: Arc<Node>,
    /// Whether the slot is still being moved there.
    asking: bool,
    /// How many maps had been read when it was named. The stop is void once another map is read.
    maps: u64,
}

/// A command's wait, and when it ends.
#[derive(Clone, Copy, Debug)]
struct Wait {
    until: Instant,
    /// How many maps had been read when the wait began, if a new map ends the wait.
    maps: Option<u64>,
}

impl Exchange<RedirectState> {
    /// An exchange with the node that serves this slot.
    pub(crate) fn for_slot(slot: Slot) -> Self {
        let mut exchange = Self::default();
        exchange.remember().slot = Some(slot);
        exchange
    }

    /// Like [`unanswered`](Self::unanswered), in a cluster. If `several`, a `TRYAGAIN` is returned
    /// to the caller, which can do better than wait.
    #[cold]
    pub(crate) fn diverted(
        &mut self,
        nodes: &Arc<Nodes>,
        outcome: Outcome,
        command: &Command<'_>,
        several: bool,
    ) -> Option<Result<Answer, Error>> {
        let node = self.node().cloned();
        if let Outcome::Expired | Outcome::Lost { .. } = &outcome {
            nodes.doubt();
        }
        let answer = match self.unanswered(outcome, command)? {
            Ok(answer) => answer,
            Err(error) => return Some(Err(error)),
        };
        match node {
            Some(node) if Hops::concern(&answer) && !(several && is_try_again(&answer)) => {
                self.hop(nodes, command, &node, answer)
            }
            Some(_) | None => Some(Ok(answer)),
        }
    }

    fn hop(
        &mut self,
        nodes: &Arc<Nodes>,
        command: &Command<'_>,
        node: &Address,
        answer: Answer,
    ) -> Option<Result<Answer, Error>> {
        let now = nodes.now();
        let expires = self.expires(now, nodes.response_timeout());
        let redirects = self.remember();
        redirects.settled = true;
        let hops = redirects.hops.get_or_insert_with(|| Hops::new(nodes.seed()));
        match hops.answered(&answer, &nodes.viewpoint(node), now, expires) {
            Err(error) => return Some(Err(self.over(Error::Redirects(Box::new(error))))),
            Ok(Next::Settle) => {
                let count = hops.redirects();
                let last = redirect(&answer, &nodes.viewpoint(node));
                return Some(match last {
                    Some(Redirect { slot, to: last, .. }) => {
                        let error = TooManyRedirects { slot, redirects: count, last };
                        Err(self.over(Error::Redirects(Box::new(error))))
                    }
                    None => Ok(answer),
                });
            }
            Ok(Next::Follow { redirect, at }) => {
                nodes.redirected(command, node, &redirect);
                let Some(node) = nodes.follow(&redirect) else {
                    return match hops.crowded(redirect, now, expires) {
                        Ok(Next::Wait { at, trouble }) => {
                            redirects.wait_out(nodes, at, trouble);
                            None
                        }
                        Ok(Next::Settle | Next::Follow { .. }) => Some(Ok(answer)),
                        Err(error) => Some(Err(self.over(Error::Redirects(Box::new(error))))),
                    };
                };
                let asking = match redirect.kind {
                    RedirectKind::Moved => false,
                    RedirectKind::Ask => true,
                };
                redirects.visited = Some(Arc::clone(&node));
                redirects.to = Some(Stop { node, asking, maps: nodes.maps() });
                redirects.wait = (at > now).then_some(Wait { until: at, maps: None });
            }
            Ok(Next::Wait { at, trouble }) => redirects.wait_out(nodes, at, trouble),
        }
        None
    }

    /// Sends the command to its node in the cluster, or waits until it can. Ready if it cannot be
    /// sent in time.
    pub(crate) fn poll_send_in_cluster(
        &mut self,
        nodes: &Arc<Nodes>,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Poll<Error> {
        loop {
            if let Some(redirects) = self.above_mut() {
                match redirects.poll_wait(nodes, cx) {
                    Poll::Pending => {
                        self.leave();
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(self.over(error)),
                    Poll::Ready(Ok(())) => {}
                }
            }
            let (node, asking) = match self.next_node(nodes, command) {
                Ok(next) => next,
                Err(_) if self.waits_out(nodes, Trouble::Uncovered) => continue,
                Err(slot) => return Poll::Ready(self.over(nodes.uncovered(slot))),
            };
            let pool = match nodes.pool_of(&node) {
                Ok(pool) => Ok(pool),
                Err(Error::Unavailable { source: ConnectionFailure::Crowded, .. })
                    if self.waits_out(nodes, Trouble::Crowded) =>
                {
                    continue;
                }
                Err(error) => Err(error),
            };
            let sent = match pool {
                Err(error) => Poll::Ready(error),
                Ok(pool) => self.poll_send_on(&pool, command, asking, cx),
            };
            match sent {
                Poll::Pending => {
                    if self.is_sent()
                        && let Some(redirects) = self.above_mut()
                    {
                        redirects.to = None;
                    }
                    return Poll::Pending;
                }
                // The node has just left the map, and is in no later one.
                Poll::Ready(Error::NotConnected) if !nodes.is_closed() => {
                    if let Some(redirects) = self.above_mut() {
                        redirects.to = None;
                    }
                }
                Poll::Ready(error) => return Poll::Ready(self.over(error)),
            }
        }
    }

    /// Waits for something outside of the cluster, which will wake the caller. Ready once the
    /// command has timed out.
    pub(crate) fn poll_held_in_cluster(
        &mut self,
        nodes: &Arc<Nodes>,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Poll<Error> {
        let now = nodes.now();
        let expires = self.expires(now, nodes.response_timeout());
        self.leave();
        let redirects = self.remember();
        // A place from an earlier wait ends with that wait: kept here, it would wake the caller
        // again and again.
        if redirects.wait.take().is_some() {
            redirects.leave();
        }
        let waiter = redirects.place.as_ref().map(|(_, waiter)| *waiter);
        match nodes.hold(waiter, expires, cx) {
            Ok(waiter) => {
                redirects.place = Some((Arc::clone(nodes), waiter));
                Poll::Pending
            }
            Err(error) => {
                nodes.observer().failed(None, command, &error);
                Poll::Ready(self.over(error))
            }
        }
    }

    /// The node that the command goes to now, and whether the slot is still being moved there.
    ///
    /// # Errors
    /// The slot without a node.
    fn next_node(
        &self,
        nodes: &Nodes,
        command: &Command<'_>,
    ) -> Result<(Arc<Node>, bool), Option<Slot>> {
        let redirects = self.above();
        if let Some(stop) = redirects.and_then(|redirects| redirects.to.as_ref())
            && stop.maps == nodes.maps()
        {
            return Ok((Arc::clone(&stop.node), stop.asking));
        }
        let slot = match (redirects.and_then(|redirects| redirects.slot), KeyRoute::of(command)) {
            (Some(slot), _) | (None, KeyRoute::Slot(slot)) => Some(slot),
            (None, KeyRoute::Several | KeyRoute::EveryMaster | KeyRoute::Any) => None,
        };
        let by_replicas = nodes.reads()
            && command.changes_nothing()
            && redirects.is_none_or(|redirects| !redirects.settled && redirects.slot.is_none());
        let node = match slot {
            Some(slot) if by_replicas => nodes.reader(slot),
            Some(slot) => nodes.master(slot),
            None => nodes.any(),
        };
        node.map(|node| (node, false)).ok_or(slot)
    }

    /// Waits for the trouble to end, if there is time. Returns whether it waits.
    fn waits_out(&mut self, nodes: &Nodes, trouble: Trouble) -> bool {
        let now = nodes.now();
        let expires = self.expires(now, nodes.response_timeout());
        let redirects = self.remember();
        let hops = redirects.hops.get_or_insert_with(|| Hops::new(nodes.seed()));
        match hops.troubled(trouble, now, expires) {
            Next::Wait { at, trouble } => {
                redirects.wait_out(nodes, at, trouble);
                true
            }
            Next::Settle | Next::Follow { .. } => false,
        }
    }
}

impl RedirectState {
    fn wait_out(&mut self, nodes: &Nodes, until: Instant, trouble: Trouble) {
        // Counted first, so that a map read from now on counts as a new one.
        let maps = trouble.doubts_the_map().then(|| nodes.maps());
        if maps.is_some() {
            nodes.doubt();
        }
        self.to = None;
        self.wait = Some(Wait { until, maps });
    }

    /// Ready once there is nothing more to wait for in the cluster's queue.
    fn poll_wait(&mut self, nodes: &Arc<Nodes>, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        let Some(Wait { until, maps }) = self.wait else {
            self.leave();
            return Poll::Ready(Ok(()));
        };
        let waiter = self.place.as_ref().map(|(_, waiter)| *waiter);
        match nodes.wait(waiter, until, maps, cx) {
            Ok(Some(waiter)) => {
                self.place = Some((Arc::clone(nodes), waiter));
                Poll::Pending
            }
            Ok(None) => {
                self.wait = None;
                self.leave();
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn leave(&mut self) {
        if let Some((nodes, waiter)) = self.place.take() {
            nodes.leave(waiter);
        }
    }
}

impl Drop for RedirectState {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The redirect in an answer, if it is one.
fn redirect(answer: &Answer, view: &Viewpoint<'_>) -> Option<Redirect> {
    let Err(Failure::Server(error)) = answer else { return None };
    Redirect::parse(error, view)
}

fn is_try_again(answer: &Answer) -> bool {
    matches!(answer, Err(Failure::Server(error)) if error.kind == ServerErrorKind::TryAgain)
}
