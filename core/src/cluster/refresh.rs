//! When to read the map again, and from which node.
//!
//! # Theory of operation
//!
//! The map is read once at the beginning, whenever an event [doubts](RefreshInput::Doubted) it, and
//! from time to time without one: otherwise a client that only reads from replicas may never learn
//! of a new one. One node is asked at a time.
//!
//! ```text
//!           poll: it is time                    Fetched: wait for CALM, forget who failed
//!  Idle ─────────────────────▶ Fetching ─────▶ Idle
//!                                 │ Failed: wait for the backoff, then ask another
//!                                 │ Unknown: ask the same at once, in the older form
//!                                 ▼
//!                                Idle
//! ```
//!
//! However often the map is doubted, no two fetches begin within [`Refresh::LEAST`] of each other,
//! and none begins within [`Refresh::CALM`] of one that succeeded. A doubt during a fetch is kept:
//! the answer may be older than the doubt.
//!
//! The node to ask is drawn evenly from the seeds and the nodes of the map that have not failed, so
//! that clients neither all ask one node nor depend on their seeds. A node whose fetch failed is
//! not asked again until all the others have failed as well.
//!
//! This module knows neither connections nor how an answer is read. A fetch is over when the caller
//! reports it, so the caller must give it a deadline.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use super::address::Address;
use super::map::{Health, MapError, SlotMap};
use crate::command::TopologyForm;
use crate::error::ServerErrorKind;
use crate::retry::{Backoff, Random};
use crate::time::{Deadline, Instant};

/// The decisions about reading one cluster's map.
///
/// ```
/// use async_caches_core::cluster::address::{Address, AddressError};
/// use async_caches_core::cluster::map::SlotMap;
/// use async_caches_core::cluster::refresh::{Refresh, RefreshInput};
/// use async_caches_core::time::Instant;
///
/// let (now, map) = (Instant::ORIGIN, SlotMap::unknown());
/// let seed = Address::new("node-1", 7000)?;
/// let mut refresh = Refresh::new(vec![seed.clone()], 42, now);
/// let fetch = refresh.poll(&map, now).expect("the map is read at once");
/// assert_eq!(fetch.from, seed);
///
/// refresh.handle(RefreshInput::Fetched, now);
/// refresh.handle(RefreshInput::Doubted, now); // a MOVED was followed
/// assert_eq!(refresh.poll(&map, now), None); // too soon
/// assert!(refresh.poll(&map, now + Refresh::CALM).is_some());
/// # Ok::<(), AddressError>(())
/// ```
#[derive(Debug)]
pub struct Refresh {
    seeds: Vec<Address>,
    form: TopologyForm,
    fetching: Option<Fetching>,
    /// Whether the map is doubted, or the last fetch failed.
    wanted: bool,
    not_before: Instant,
    /// When to read it even if nothing doubts it.
    routine: Instant,
    /// The node to ask again at once, in the older form.
    again: Option<Address>,
    failed: BTreeSet<Address>,
    backoff: Backoff,
    random: Random,
}

#[derive(Clone, Debug)]
struct Fetching {
    from: Address,
    since: Instant,
}

/// An event: a doubt about the map, or the outcome of a fetch.
///
/// ```
/// use async_caches_core::cluster::map::{MapError, SlotMap};
/// use async_caches_core::cluster::refresh::RefreshInput;
/// use async_caches_core::error::ServerError;
///
/// assert_eq!(RefreshInput::of(&Ok(SlotMap::unknown())), RefreshInput::Fetched);
/// assert_eq!(RefreshInput::of(&Err(MapError::Empty)), RefreshInput::Failed);
/// let too_old = ServerError::parse(b"ERR Unknown subcommand 'shards'");
/// assert_eq!(RefreshInput::of(&Err(too_old.into())), RefreshInput::Unknown);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefreshInput {
    /// The map is or may be wrong: a `MOVED` was followed, a slot has no node, or a node is not
    /// reached.
    Doubted,
    /// The fetch returned a map.
    Fetched,
    /// The fetch returned no map.
    Failed,
    /// The node does not know the form of the request, or does not permit it: see
    /// [`RefreshInput::of`]. The same as [`RefreshInput::Failed`] for the older form.
    Unknown,
}

/// A request to read the map.
///
/// The example of [`Refresh`] shows when one is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    /// The node to ask.
    pub from: Address,
    /// The form to ask in.
    pub form: TopologyForm,
}

impl RefreshInput {
    /// The event that reports this outcome of a fetch.
    #[must_use]
    pub fn of(outcome: &Result<SlotMap, MapError>) -> Self {
        match outcome {
            Ok(_) => Self::Fetched,
            Err(MapError::Refused(error)) if is_lack(error.kind) => Self::Unknown,
            Err(
                MapError::Refused(_)
                | MapError::Protocol(_)
                | MapError::Range { .. }
                | MapError::ServedTwice(_)
                | MapError::TooMany { .. }
                | MapError::Address(_)
                | MapError::Empty,
            ) => Self::Failed,
        }
    }
}

impl Refresh {
    /// The least time between the beginnings of any two fetches, except for the one that repeats
    /// another in the older form, which happens once.
    pub const LEAST: Duration = Duration::from_millis(100);
    /// The least time between the beginning of a fetch that succeeded and the next one.
    pub const CALM: Duration = Duration::from_secs(1);
    /// The average age at which a map that nothing doubts is read again. Each time is drawn between
    /// a half and one and a half of it.
    pub const ROUTINE: Duration = Duration::from_secs(60);

    /// Wants the map read at once, first from one of `seeds`. `seed`, a random number, is for the
    /// jitter and for the choice of nodes.
    #[must_use]
    pub fn new(seeds: Vec<Address>, seed: u64, now: Instant) -> Self {
        let mut random = Random::new(seed);
        let backoff = Backoff::new(random.next());
        Self {
            seeds,
            form: TopologyForm::Shards,
            fetching: None,
            wanted: true,
            not_before: now,
            routine: now,
            again: None,
            failed: BTreeSet::new(),
            backoff,
            random,
        }
    }

    /// Handles an event. The outcome of a fetch is ignored while no fetch is under way.
    pub fn handle(&mut self, input: RefreshInput, now: Instant) {
        if input == RefreshInput::Doubted {
            self.wanted = true;
            return;
        }
        let Some(Fetching { from, since }) = self.fetching.take() else { return };
        match input {
            RefreshInput::Fetched => {
                self.failed.clear();
                self.backoff.succeeded();
                self.not_before = since + Self::CALM;
                self.routine = now + Self::ROUTINE / 2 + self.random.below(Self::ROUTINE);
            }
            RefreshInput::Unknown if self.form == TopologyForm::Shards => {
                self.form = TopologyForm::Slots;
                self.again = Some(from);
                self.not_before = now;
            }
            RefreshInput::Failed | RefreshInput::Unknown | RefreshInput::Doubted => {
                self.failed.insert(from);
                self.wanted = true;
                self.not_before = (since + Self::LEAST).max(now + self.backoff.failed());
            }
        }
    }

    /// The fetch to begin now, if one is due; it counts as begun. `map` is the one in use.
    pub fn poll(&mut self, map: &SlotMap, now: Instant) -> Option<Fetch> {
        if self.deadline()?.at > now {
            return None;
        }
        let from = match self.again.take() {
            Some(from) => from,
            None => self.choose(map)?,
        };
        self.wanted = false;
        self.fetching = Some(Fetching { from: from.clone(), since: now });
        Some(Fetch { from, form: self.form })
    }

    /// When [`poll`](Self::poll) may return something else without an event; `None` during a fetch.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        if self.fetching.is_some() {
            return None;
        }
        let is_due = self.wanted || self.again.is_some();
        let due = if is_due { Instant::ORIGIN } else { self.routine };
        Some(Deadline { at: due.max(self.not_before), why: "read the map of slots" })
    }

    fn choose(&mut self, map: &SlotMap) -> Option<Address> {
        let online = map.nodes().filter(|node| node.health != Health::Failed);
        let known: BTreeSet<&Address> =
            online.map(|node| &node.address).chain(&self.seeds).collect();
        if known.iter().all(|address| self.failed.contains(*address)) {
            self.failed.clear();
        }
        let fresh = || known.iter().filter(|address| !self.failed.contains(**address));
        let nth = self.random.index(fresh().count())?;
        fresh().nth(nth).map(|address| (*address).clone())
    }
}

/// Whether this error means that the node does not know the form, or that the user may not use it.
/// Older nodes reply with `ERR` to a form that they do not know.
fn is_lack(kind: ServerErrorKind) -> bool {
    matches!(kind, ServerErrorKind::Other | ServerErrorKind::NoPerm)
}

#[cfg(test)]
mod tests;
