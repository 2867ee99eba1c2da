//! When the map is read again, and from whom.
//!
//! # Theory of operation
//!
//! The map is read once at the beginning, whenever something [doubts](Input::Doubted) it, and now
//! and then though nothing does: clients that only read from replicas may never hear of a new one. One
//! node is asked at a time.
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
//! However often the map is doubted, no two fetches begin within [`Refresh::LEAST`] of each other, and
//! after one that succeeded none within [`Refresh::CALM`]. A doubt that comes during a fetch is
//! kept: the answer may be older than it.
//!
//! Who is asked is drawn evenly from the nodes of the map that are not failed and from the seeds, so
//! that clients neither all ask one node nor depend on where they began. Who failed is not asked again
//! until all the others failed as well.
//!
//! This knows neither links nor how an answer is read. A fetch is over when its caller says so, which is
//! to give it a deadline.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use super::address::Address;
use super::map::{Form, Health, MapError, SlotMap};
use crate::error::ServerErrorKind;
use crate::retry::{Backoff, Random};
use crate::time::{Deadline, Instant};

/// The decisions about reading one cluster's map.
#[derive(Debug)]
pub struct Refresh {
    seeds: Vec<Address>,
    form: Form,
    fetching: Option<Fetching>,
    /// Whether the map is doubted, or the last fetch failed.
    wanted: bool,
    not_before: Instant,
    /// When it is read though nothing doubts it.
    routine: Instant,
    /// Who is to be asked again at once, in the older form.
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

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// The map is wrong, or may be: a `MOVED` was followed, a slot has nobody, a node is not reached.
    Doubted,
    /// The fetch brought a map.
    Fetched,
    /// The fetch brought none.
    Failed,
    /// The node does not know the form in which it was asked, or we may not use it: see
    /// [`Input::of`]. As good as [`Input::Failed`] for the older form.
    Unknown,
}

/// The map is to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    /// From whom.
    pub from: Address,
    /// In which form.
    pub form: Form,
}

impl Input {
    /// What the outcome of a fetch is to be told as.
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
    /// How far the beginnings of any two fetches are apart, but for one that repeats another in the
    /// older form, which happens once.
    pub const LEAST: Duration = Duration::from_millis(100);
    /// How far the beginning of a fetch that succeeded and the next are apart.
    pub const CALM: Duration = Duration::from_secs(1);
    /// How old a map becomes that nothing doubts, on average: between half of it and one and a half.
    pub const ROUTINE: Duration = Duration::from_secs(60);

    /// Reads the map at once, first from one of the seeds. The seed, a random number, is for the jitter
    /// and for the choice of nodes.
    #[must_use]
    pub fn new(seeds: Vec<Address>, seed: u64, now: Instant) -> Self {
        let mut random = Random::new(seed);
        let backoff = Backoff::new(random.next());
        Self {
            seeds,
            form: Form::Shards,
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

    /// Takes in what happened. What is said of a fetch while there is none is of no effect.
    pub fn handle(&mut self, input: Input, now: Instant) {
        if input == Input::Doubted {
            self.wanted = true;
            return;
        }
        let Some(Fetching { from, since }) = self.fetching.take() else { return };
        match input {
            Input::Fetched => {
                self.failed.clear();
                self.backoff.succeeded();
                self.not_before = since + Self::CALM;
                self.routine = now + Self::ROUTINE / 2 + self.random.below(Self::ROUTINE);
            }
            Input::Unknown if self.form == Form::Shards => {
                self.form = Form::Slots;
                self.again = Some(from);
                self.not_before = now;
            }
            Input::Failed | Input::Unknown | Input::Doubted => {
                self.failed.insert(from);
                self.wanted = true;
                self.not_before = (since + Self::LEAST).max(now + self.backoff.failed());
            }
        }
    }

    /// Whether the map is to be read now; where it is, the fetch has begun. `map` is the one in use.
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

    /// When [`poll`](Self::poll) may answer otherwise though nothing happened; never during a fetch.
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

/// Whether a node says by this that it does not know the form, which older ones say after `ERR`, or that
/// we may not use it.
fn is_lack(kind: ServerErrorKind) -> bool {
    matches!(kind, ServerErrorKind::Other | ServerErrorKind::NoPerm)
}

#[cfg(test)]
mod tests;
