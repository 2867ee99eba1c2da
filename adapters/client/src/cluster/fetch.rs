//! Requests the map from one node: over the node's connections if it has some, or else over one
//! that is opened for that alone.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_caches_core::cluster::map::{MapError, SlotMap};
use async_caches_core::cluster::refresh::{Fetch, RefreshInput};
use async_caches_core::command::{Command, TopologyForm};
use async_caches_core::connection::Role;
use async_caches_core::error::{ConnectionError, Failure};
use async_caches_core::reply::{Answer, Reply};
use async_caches_core::time::{Deadline, Instant};

use super::node::Node;
use super::nodes::Nodes;
use crate::error::{ConnectionFailure, Error};
use crate::redis::{Closing, Exchange, Outcome, PoolOwner, WaiterId};
use crate::shared::Shared;

/// A request to a node for its map.
#[derive(Debug)]
pub(super) struct Fetching {
    fetch: Fetch,
    until: Instant,
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    redis: Arc<PoolOwner>,
    /// The node, if its connections are for this request alone.
    own: Option<Arc<Node>>,
    waiter: Option<WaiterId>,
    exchange: Exchange,
}

impl Fetching {
    pub(super) fn new(fetch: Fetch, now: Instant) -> Self {
        Self { fetch, until: now + PATIENCE, asked: None }
    }

    /// When the node's time for its reply is over.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline { at: self.until, why: "the map of slots is asked for" }
    }

    /// Ready with the map, or with the input for the core and the reason of the failure.
    pub(super) fn poll(
        &mut self,
        nodes: &Nodes,
        cx: &Context<'_>,
    ) -> Poll<Result<SlotMap, (RefreshInput, ConnectionFailure)>> {
        let outcome = match self.poll_answer(nodes, cx) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending if self.until <= nodes.now() => {
                Err(ConnectionError::NotReadyInTime.into())
            }
            Poll::Pending => return Poll::Pending,
        };
        let form = self.fetch.form;
        let outcome = outcome.map(|answer| {
            let view = nodes.viewpoint(&self.fetch.from);
            match answer {
                Ok(Reply::Topology(frame)) => SlotMap::read(form, &frame, &view),
                Err(Failure::Server(error)) => Err(MapError::Refused(error)),
                Ok(_) | Err(_) => Err(MapError::Empty),
            }
        });
        let (input, why) = match outcome {
            Ok(Ok(map)) => return Poll::Ready(Ok(map)),
            Ok(outcome) => (RefreshInput::of(&outcome), outcome.err().map(ConnectionFailure::from)),
            Err(why) => (RefreshInput::Failed, Some(why)),
        };
        // Only the newer form can be unknown to a node.
        let input = if form == TopologyForm::Slots { RefreshInput::Failed } else { input };
        let source = Shared::new(why.unwrap_or(ConnectionFailure::Closed));
        Poll::Ready(Err((
            input,
            ConnectionFailure::Node { at: self.fetch.from.to_string(), source },
        )))
    }

    /// Ends the request. Returns the pool that closes with it.
    pub(super) fn end(mut self) -> Option<Arc<PoolOwner>> {
        let Asked { redis, own, waiter, .. } = self.asked.take()?;
        if let Some(waiter) = waiter {
            redis.pool().leave(waiter);
        }
        own?.dismiss(Closing::Drained)
    }

    fn poll_answer(
        &mut self,
        nodes: &Nodes,
        cx: &Context<'_>,
    ) -> Poll<Result<Answer, ConnectionFailure>> {
        let asked = match &mut self.asked {
            Some(asked) => asked,
            asked @ None => match Asked::of(&self.fetch, nodes) {
                Ok(begun) => asked.insert(begun),
                Err(error) => return Poll::Ready(Err(why(error))),
            },
        };
        if let Err(error) = ready!(asked.redis.poll_first(&mut asked.waiter, cx)) {
            return Poll::Ready(Err(why(error)));
        }
        let pool = asked.redis.pool();
        let command = Command::Topology(self.fetch.form);
        loop {
            match ready!(asked.exchange.poll_sent(cx)) {
                Some(Outcome::Answered(Ok(reply))) => return Poll::Ready(Ok(Ok(reply))),
                Some(outcome) => match asked.exchange.unanswered(outcome, &command) {
                    Some(Ok(answer)) => return Poll::Ready(Ok(answer)),
                    Some(Err(error)) => return Poll::Ready(Err(why(error))),
                    None => {}
                },
                None => {
                    let error = ready!(asked.exchange.poll_send(&pool, &command, cx));
                    return Poll::Ready(Err(why(error)));
                }
            }
        }
    }
}

impl Asked {
    fn of(fetch: &Fetch, nodes: &Nodes) -> Result<Self, Error> {
        let view = nodes.view();
        let there = view.at(&fetch.from).and_then(|node| node.opened());
        // If no caller misses the lost connections, their last error is out of date, and no dial is
        // under way.
        let is_current = |redis: &Arc<PoolOwner>| {
            let pool = redis.pool();
            !pool.is_down() || pool.is_missed()
        };
        let (redis, own) = match there.filter(is_current) {
            Some(redis) => (redis, None),
            None => {
                let node = Node::new(fetch.from.clone(), Role::Any);
                (nodes.open(&node, Some(1))?, Some(node))
            }
        };
        Ok(Self { redis, own, waiter: None, exchange: Exchange::default() })
    }
}

/// What went wrong on the way to the node.
fn why(error: Error) -> ConnectionFailure {
    match error {
        Error::Unavailable { source, .. } | Error::Disconnected { source, .. } => source,
        Error::Server(error) => ConnectionError::Refused(error).into(),
        _ => ConnectionError::NotReadyInTime.into(),
    }
}

/// The time for a node's reply, including the dial. It is short, as there are several nodes to ask.
const PATIENCE: Duration = Duration::from_secs(2);
