//! One command's way through a cluster, if it is more than one hop to the node that the map names.
//!
//! Most commands never come here: they are sent at once to the node that the map names
//! ([`View::find`]) and get their reply. If a node redirects a command or refuses it for now, or if
//! the command finds no connection, the core's [`Hops`] decides what to do, and this module does it.
//!
//! [`View::find`]: crate::cluster::View::find

use std::sync::Arc;
use std::task::{Context, Poll};

use async_caches_core::cluster::address::{Address, Viewpoint};
use async_caches_core::cluster::redirect::{
    Hops, Next, Redirect, RedirectKind, TooManyRedirects, Trouble,
};
use async_caches_core::cluster::slot::Slot;
use async_caches_core::cluster::way::Way;
use async_caches_core::command::Command;
use async_caches_core::error::{Failure, ServerErrorKind};
use async_caches_core::planted::{self, Bug};
use async_caches_core::reply::Answer;
use async_caches_core::time::Instant;

use super::{Call, Shared, Stage};
use crate::cluster::{Node, Nodes};
use crate::error::{Error, LinkError};
use crate::redis::link::Rejected;
use crate::redis::{Outcome, Ticket};

/// The state of a command on its way from node to node.
#[derive(Debug, Default)]
pub(super) struct Trip {
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
    place: Option<(Arc<Nodes>, Ticket)>,
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

impl Call {
    /// A call for the node that serves this slot.
    pub(crate) fn for_slot(slot: Slot) -> Self {
        let mut call = Self::default();
        call.past.get_or_insert_default().trip.slot = Some(slot);
        call
    }

    /// Whether the command has no history of losses, redirects or waits, and no slot of its own.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        self.past.is_none()
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
        let node = match &self.stage {
            Stage::Sent(link, _) => link.node().cloned(),
            Stage::Seeking | Stage::Waiting(..) | Stage::Held(..) => None,
        };
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
        let expires = *self.expires.get_or_insert(now + nodes.response_timeout());
        let trip = &mut self.past.get_or_insert_default().trip;
        trip.settled = true;
        let hops = trip.hops.get_or_insert_with(|| Hops::new(nodes.seed()));
        match hops.answered(&answer, &nodes.viewpoint(node), now, expires) {
            Err(redirects) => return Some(Err(self.over(Error::Redirects(Box::new(redirects))))),
            Ok(Next::Settle) => {
                let redirects = hops.redirects();
                let last = redirect(&answer, &nodes.viewpoint(node));
                return Some(match last {
                    Some(Redirect { slot, to: last, .. }) => {
                        let error = TooManyRedirects { slot, redirects, last };
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
                            trip.wait_out(nodes, at, trouble);
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
                trip.visited = Some(Arc::clone(&node));
                trip.to = Some(Stop { node, asking, maps: nodes.maps() });
                trip.wait = (at > now).then_some(Wait { until: at, maps: None });
            }
            Ok(Next::Wait { at, trouble }) => trip.wait_out(nodes, at, trouble),
        }
        None
    }

    /// Sends the command to its node in the cluster, or waits until it can. Ready if it cannot be
    /// sent in time.
    pub(crate) fn poll_send_to(
        &mut self,
        nodes: &Arc<Nodes>,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Poll<Error> {
        loop {
            if let Some(past) = &mut *self.past {
                match past.trip.poll_wait(nodes, cx) {
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
            let pool = match node.pool(nodes) {
                Ok(pool) => Ok(pool),
                Err(Error::Unavailable { source: LinkError::Crowded, .. })
                    if self.waits_out(nodes, Trouble::Crowded) =>
                {
                    continue;
                }
                Err(error) => Err(error),
            };
            let sent =
                match pool {
                    Err(error) => Poll::Ready(error),
                    Ok(pool) => self.poll_link(&pool, command, cx, |call: &mut Self, link| {
                        match asking && !planted::is(Bug::AskingDropped) {
                            true => call.send_asking(link, command, cx),
                            false => call.send(link, command, cx),
                        }
                    }),
                };
            match sent {
                Poll::Pending => {
                    if let (Stage::Sent(..), Some(past)) = (&self.stage, &mut *self.past) {
                        past.trip.to = None;
                    }
                    return Poll::Pending;
                }
                // The node has just left the map, and is in no later one.
                Poll::Ready(Error::NotConnected) if !nodes.is_closed() => {
                    if let Some(past) = &mut *self.past {
                        past.trip.to = None;
                    }
                }
                Poll::Ready(error) => return Poll::Ready(self.over(error)),
            }
        }
    }

    /// Waits for something outside of the cluster, which will wake the caller. Ready once the command
    /// has timed out.
    pub(crate) fn poll_held_in(
        &mut self,
        nodes: &Arc<Nodes>,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Poll<Error> {
        let now = nodes.now();
        let expires = *self.expires.get_or_insert(now + nodes.response_timeout());
        self.leave();
        let trip = &mut self.past.get_or_insert_default().trip;
        // A place from an earlier wait ends with that wait: kept here, it would wake the caller
        // again and again.
        if trip.wait.take().is_some() {
            trip.leave();
        }
        let ticket = trip.place.as_ref().map(|(_, ticket)| *ticket);
        match nodes.hold(ticket, expires, cx) {
            Ok(ticket) => {
                trip.place = Some((Arc::clone(nodes), ticket));
                Poll::Pending
            }
            Err(error) => {
                nodes.witness().failed(None, command, &error);
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
        let trip = self.past.as_ref().map(|past| &past.trip);
        if let Some(stop) = trip.and_then(|trip| trip.to.as_ref())
            && stop.maps == nodes.maps()
        {
            return Ok((Arc::clone(&stop.node), stop.asking));
        }
        let slot = match (trip.and_then(|trip| trip.slot), Way::of(command)) {
            (Some(slot), _) | (None, Way::Slot(slot)) => Some(slot),
            (None, Way::Several | Way::EveryMaster | Way::Any) => None,
        };
        let by_replicas = nodes.reads()
            && command.changes_nothing()
            && trip.is_none_or(|trip| !trip.settled && trip.slot.is_none());
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
        let expires = *self.expires.get_or_insert(now + nodes.response_timeout());
        let trip = &mut self.past.get_or_insert_default().trip;
        let hops = trip.hops.get_or_insert_with(|| Hops::new(nodes.seed()));
        match hops.troubled(trouble, now, expires) {
            Next::Wait { at, trouble } => {
                trip.wait_out(nodes, at, trouble);
                true
            }
            Next::Settle | Next::Follow { .. } => false,
        }
    }

    #[cold]
    fn send_asking(
        &mut self,
        link: Arc<Shared>,
        command: &Command<'_>,
        cx: &Context<'_>,
    ) -> Result<(), (Arc<Shared>, Rejected)> {
        let plain = self.without_script(command);
        let command = plain.as_ref().unwrap_or(command);
        let submitted = match self.is_suspect() {
            false => link.submit_asking(command, &mut self.expires, cx.waker()),
            true => link.submit_asking_alone(command, &mut self.expires, cx.waker()),
        };
        match submitted {
            Ok(tag) => self.sent(link, tag, command),
            Err(rejected) => return Err((link, rejected)),
        }
        Ok(())
    }
}

impl Trip {
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
        let ticket = self.place.as_ref().map(|(_, ticket)| *ticket);
        match nodes.wait(ticket, until, maps, cx) {
            Ok(Some(ticket)) => {
                self.place = Some((Arc::clone(nodes), ticket));
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
        if let Some((nodes, ticket)) = self.place.take() {
            nodes.leave(ticket);
        }
    }
}

impl Drop for Trip {
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
