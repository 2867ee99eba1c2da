//! The next step of a command that a node of a cluster did not answer.
//!
//! # Theory of operation
//!
//! A node answers for the slots that it serves, and redirects commands for other slots:
//!
//! | answer | meaning | reaction |
//! |---|---|---|
//! | `MOVED` | another node serves the slot, from now on | the map is corrected and soon read again; the command goes there |
//! | `ASK` | the slot is being moved, and the key is no longer on this node, or on none | the command goes to the other node this once, with `ASKING` right in front of it |
//! | `TRYAGAIN` | the slot is being moved, and only some of the keys are on this node | the command waits; or each key goes by itself, which never gets this answer |
//! | `CLUSTERDOWN`, `LOADING`, `MASTERDOWN`, `READONLY` | no node can answer now, or not this one | the command waits, and the map is read again |
//! | none, as the connection was lost | the node may be gone for good | the same, if the command may be sent again at all |
//!
//! A redirect may name a node for which there is no [room](super::node_budget). Then the command
//! waits as well, and the map is read again, since the next map names the node if the cluster has
//! it.
//!
//! A node that gives one of these answers has not run the command, so a write is sent on as well.
//! Every wait is drawn by a [`Backoff`] and is at most half of the time that is left. If almost no
//! time is left, the answer goes to the caller. Redirects are counted. The first few are followed
//! at once and later ones after a wait, as nodes that disagree need some time to agree; after
//! [`Hops::MAX`] the command fails.
//!
//! One [`Hops`] accompanies one command, from the first answer that does not settle it to the one
//! that does. It knows neither the map nor the connections, and is made only when it is needed.

use core::time::Duration;

use thiserror::Error;

use super::address::{Address, Viewpoint};
use super::slot::Slot;
use crate::error::{Failure, ServerError, ServerErrorKind};
use crate::reply::Answer;
use crate::retry::Backoff;
use crate::time::Instant;

/// A node's answer that sends a command to another node.
///
/// ```
/// use async_caches_core::cluster::address::{Address, AddressError, Viewpoint};
/// use async_caches_core::cluster::redirect::{Redirect, RedirectKind};
/// use async_caches_core::error::ServerError;
///
/// let asked = Address::new("node-1", 7000)?;
/// let error = ServerError::parse(b"MOVED 3999 node-2:7000");
/// let redirect = Redirect::parse(&error, &Viewpoint::as_told(&asked)).expect("it is a redirect");
/// assert_eq!((redirect.kind, redirect.slot.number()), (RedirectKind::Moved, 3999));
/// assert_eq!(redirect.to.to_string(), "node-2:7000");
/// # Ok::<(), AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// Whether it holds for good, or this once.
    pub kind: RedirectKind,
    /// The slot of the key.
    pub slot: Slot,
    /// The node that answers for it.
    pub to: Address,
}

/// How long a redirect holds.
///
/// ```
/// use async_caches_core::cluster::address::{Address, AddressError, Viewpoint};
/// use async_caches_core::cluster::redirect::{Redirect, RedirectKind};
/// use async_caches_core::error::ServerError;
///
/// let asked = Address::new("node-1", 7000)?;
/// let error = ServerError::parse(b"ASK 3999 node-2:7000");
/// let redirect = Redirect::parse(&error, &Viewpoint::as_told(&asked));
/// assert_eq!(redirect.map(|it| it.kind), Some(RedirectKind::Ask)); // the map stays as it is
/// # Ok::<(), AddressError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RedirectKind {
    /// Until further notice (`MOVED`): the map must be corrected.
    Moved,
    /// For this command (`ASK`), right behind an `ASKING`: see
    /// [`Connection::submit_asking`](crate::connection::Connection::submit_asking). The map stays
    /// as it is.
    Ask,
}

impl Redirect {
    /// Reads `MOVED slot host:port` or `ASK slot host:port`; returns `None` for any other error.
    ///
    /// The host may be a name, an address, or an IPv6 address with or without brackets. If it is
    /// empty or `?`, it is the host of the node that sent the redirect.
    #[must_use]
    pub fn parse(error: &ServerError, view: &Viewpoint<'_>) -> Option<Self> {
        let mut words = error.text().split(' ');
        let kind = match words.next()? {
            "MOVED" => RedirectKind::Moved,
            "ASK" => RedirectKind::Ask,
            _ => return None,
        };
        let slot = Slot::new(digits(words.next()?)?)?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        if words.next().is_some() {
            return None;
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let to = view.resolve(Some(bare.unwrap_or(host)), digits(port)?).ok()?;
        Some(Self { kind, slot, to })
    }
}

/// The path of one command from node to node.
///
/// ```
/// use async_caches_core::cluster::address::{Address, Viewpoint};
/// use async_caches_core::cluster::redirect::{Hops, Next};
/// use async_caches_core::error::{Failure, ServerError};
/// use async_caches_core::reply::Reply;
/// use async_caches_core::time::Instant;
///
/// let asked = Address::new("node-1", 7000)?;
/// let view = Viewpoint::as_told(&asked);
/// let (now, expires) = (Instant::ORIGIN, Instant::from_millis(5_000));
///
/// let moved = Err(Failure::Server(ServerError::parse(b"MOVED 3999 node-2:7000")));
/// assert!(Hops::concern(&moved) && !Hops::concern(&Ok(Reply::Done)));
/// let mut hops = Hops::new(42); // a random number
/// match hops.answered(&moved, &view, now, expires)? {
///     Next::Follow { redirect, at } => assert_eq!((redirect.to.host(), at), ("node-2", now)),
///     other => panic!("the first redirects are followed at once: {other:?}"),
/// }
/// assert_eq!(hops.answered(&Ok(Reply::Done), &view, now, expires)?, Next::Settle);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hops {
    redirects: u32,
    backoff: Backoff,
}

/// What to do with a command.
///
/// The example of [`Hops`] follows a redirect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// The command is done: the answer goes to the caller.
    Settle,
    /// Send the command to the node of the redirect, no sooner than at `at`.
    Follow {
        /// The node, and how to send the command there.
        redirect: Redirect,
        /// When; not in the future if it may be sent at once.
        at: Instant,
    },
    /// Send the command at `at`, to the node that the map then names. If the trouble
    /// [doubts](Trouble::doubts_the_map) the map, send it sooner if the map has been read again
    /// before.
    Wait {
        /// When to send it.
        at: Instant,
        /// The reason for the wait.
        trouble: Trouble,
    },
}

/// The reason for a command's wait.
///
/// ```
/// use async_caches_core::cluster::redirect::{Hops, Next, Trouble};
/// use async_caches_core::time::Instant;
///
/// let (now, expires) = (Instant::ORIGIN, Instant::from_millis(5_000));
/// match Hops::new(42).troubled(Trouble::ClusterDown, now, expires) {
///     Next::Wait { at, trouble } => assert!(at < expires && trouble.doubts_the_map()),
///     other => panic!("there is time left to wait: {other:?}"),
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Trouble {
    /// `TRYAGAIN`: its keys are on two nodes for now.
    TryAgain,
    /// `CLUSTERDOWN`: the cluster is not whole.
    ClusterDown,
    /// `LOADING`: the node is still reading its data.
    Loading,
    /// `READONLY`: the node is a replica.
    ReadOnly,
    /// `MASTERDOWN`: the node is a replica that has lost its master.
    MasterDown,
    /// There is no [room](super::node_budget::NodeBudget) for the node.
    Crowded,
    /// The connection was lost, or could not be made.
    Lost,
    /// The map has no node for its slot.
    Uncovered,
}

/// A command was redirected from node to node and never answered.
///
/// ```
/// use async_caches_core::cluster::address::{Address, Viewpoint};
/// use async_caches_core::cluster::redirect::Hops;
/// use async_caches_core::error::{Failure, ServerError};
/// use async_caches_core::time::Instant;
///
/// let asked = Address::new("node-1", 7000)?;
/// let (now, expires) = (Instant::ORIGIN, Instant::from_millis(60_000));
/// let moved = Err(Failure::Server(ServerError::parse(b"MOVED 3999 node-2:7000")));
/// let mut hops = Hops::new(42);
/// let error = loop {
///     match hops.answered(&moved, &Viewpoint::as_told(&asked), now, expires) {
///         Ok(_) => {} // the command goes to node-2, which redirects it as well
///         Err(error) => break error,
///     }
/// };
/// assert_eq!((error.redirects, error.last.host()), (Hops::MAX, "node-2"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("slot {slot} was moved {redirects} times, at last to {last}")]
pub struct TooManyRedirects {
    /// The slot of its keys.
    pub slot: Slot,
    /// How often it was redirected.
    pub redirects: u32,
    /// The node that it would have gone to next.
    pub last: Address,
}

impl Hops {
    /// How many redirects of one command are followed.
    pub const MAX: u32 = 16;
    /// How many of them are followed at once.
    pub const AT_ONCE: u32 = 4;
    /// With less time left than this a command does not wait: the answer that it has is more useful
    /// than the report that another one came too late.
    pub const LEAST: Duration = Duration::from_millis(20);

    /// A command that was not redirected yet. The seed, a random number, is for the waits.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { redirects: 0, backoff: Backoff::new(seed) }
    }

    /// Whether [`answered`](Self::answered) would do anything other than settle this answer. To be
    /// called first, so that a command with an ordinary answer needs no `Hops`.
    #[must_use]
    pub fn concern(answer: &Answer) -> bool {
        match answer {
            Ok(_) | Err(Failure::Number(_)) => false,
            Err(Failure::Server(error)) => is_redirect(error.kind) || trouble(error.kind).is_some(),
        }
    }

    /// What to do after a node, seen from this viewpoint, gave this answer to a command that times
    /// out at `expires`.
    ///
    /// An answer that looks like a redirect and names no node is settled as an error.
    ///
    /// # Errors
    /// [`TooManyRedirects`] if the answer is a redirect and [`Hops::MAX`] of them have been
    /// followed.
    pub fn answered(
        &mut self,
        answer: &Answer,
        view: &Viewpoint<'_>,
        now: Instant,
        expires: Instant,
    ) -> Result<Next, TooManyRedirects> {
        let Err(Failure::Server(error)) = answer else { return Ok(Next::Settle) };
        if let Some(trouble) = trouble(error.kind) {
            return Ok(self.troubled(trouble, now, expires));
        }
        let Some(redirect) = Redirect::parse(error, view) else { return Ok(Next::Settle) };
        if self.redirects >= Self::MAX {
            let (slot, redirects, last) = (redirect.slot, self.redirects, redirect.to);
            return Err(TooManyRedirects { slot, redirects, last });
        }
        self.redirects += 1;
        if self.redirects <= Self::AT_ONCE {
            return Ok(Next::Follow { redirect, at: now });
        }
        let at = self.wait(now, expires);
        Ok(at.map_or(Next::Settle, |at| Next::Follow { redirect, at }))
    }

    /// What to do with a command that was redirected to a node for which there is no
    /// [room](super::node_budget::NodeBudget): it waits, and then goes by the map again. The
    /// redirect was counted when it was [answered](Self::answered).
    ///
    /// # Errors
    /// [`TooManyRedirects`] if there is no time left.
    pub fn crowded(
        &mut self,
        redirect: Redirect,
        now: Instant,
        expires: Instant,
    ) -> Result<Next, TooManyRedirects> {
        match self.wait(now, expires) {
            Some(at) => Ok(Next::Wait { at, trouble: Trouble::Crowded }),
            None => {
                let (slot, redirects, last) = (redirect.slot, self.redirects, redirect.to);
                Err(TooManyRedirects { slot, redirects, last })
            }
        }
    }

    /// What to do with a command that could not be sent, or whose connection was lost and which
    /// [`retry::after_loss`](crate::retry::after_loss) lets be sent again: it waits, or
    /// settles as failed if no time is left.
    pub fn troubled(&mut self, trouble: Trouble, now: Instant, expires: Instant) -> Next {
        self.wait(now, expires).map_or(Next::Settle, |at| Next::Wait { at, trouble })
    }

    /// How many redirects were followed.
    #[must_use]
    pub fn redirects(&self) -> u32 {
        self.redirects
    }

    fn wait(&mut self, now: Instant, expires: Instant) -> Option<Instant> {
        let left = expires.since(now);
        if left < Self::LEAST {
            return None;
        }
        Some(now + self.backoff.failed().min(left / 2))
    }
}

impl Trouble {
    /// Whether the map may be wrong, and must be read again: not if keys are just being moved.
    #[must_use]
    pub fn doubts_the_map(self) -> bool {
        match self {
            Self::TryAgain => false,
            Self::ClusterDown
            | Self::Loading
            | Self::ReadOnly
            | Self::MasterDown
            | Self::Crowded
            | Self::Lost
            | Self::Uncovered => true,
        }
    }
}

fn is_redirect(kind: ServerErrorKind) -> bool {
    matches!(kind, ServerErrorKind::Moved | ServerErrorKind::Ask)
}

fn trouble(kind: ServerErrorKind) -> Option<Trouble> {
    match kind {
        ServerErrorKind::TryAgain => Some(Trouble::TryAgain),
        ServerErrorKind::ClusterDown => Some(Trouble::ClusterDown),
        ServerErrorKind::Loading => Some(Trouble::Loading),
        ServerErrorKind::ReadOnly => Some(Trouble::ReadOnly),
        ServerErrorKind::MasterDown => Some(Trouble::MasterDown),
        ServerErrorKind::Moved
        | ServerErrorKind::Ask
        | ServerErrorKind::CrossSlot
        | ServerErrorKind::Busy
        | ServerErrorKind::NoScript
        | ServerErrorKind::NoReplicas
        | ServerErrorKind::Misconf
        | ServerErrorKind::OutOfMemory
        | ServerErrorKind::NoAuth
        | ServerErrorKind::WrongPass
        | ServerErrorKind::NoPerm
        | ServerErrorKind::NoProto
        | ServerErrorKind::WrongType
        | ServerErrorKind::MaxClients
        | ServerErrorKind::Denied
        | ServerErrorKind::Unreachable
        | ServerErrorKind::Other => None,
    }
}

/// Parses a number that consists of digits only.
fn digits(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests;
