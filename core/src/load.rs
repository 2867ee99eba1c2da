//! The stages of one caller of `get_or_set`: what it does next, given what happened.
//!
//! # Theory of operation
//!
//! A caller looks its key up. If the key is missing, the caller joins the flight of the key
//! ([`flight`](crate::flight)), and leads or follows. A leader loads the value, shares it with
//! its followers and stores it. All transitions are in [`Load::handle`]:
//!
//! ```text
//!           found                    value of the leader
//!  LookUp ────────▶ Return   Follow ─────────────────────▶ Return
//!   │ ▲ missing                ▲  │ the leader went away, or the wait is over
//!   ▼ │ look again, once       │  ▼ or the caller must not wait
//!  Join ───────────────────────┘ Load ──────▶ Share ──────▶ Store ──────▶ Return
//!   └─────────────────────────────▲   alone │       │ must not store
//!             leads, or alone               └───────┴───────▶ Return
//! ```
//!
//! The caller carries out each [`LoadStep`] and reports the result as a [`LoadEvent`]. It keeps
//! what belongs to a step: the command under way, its part in the flight, the loader, the encoded
//! bytes. The machine keeps the loaded value until it is returned.
//!
//! * **A cache that is away does not take the value from the caller.** If the lookup failed with an
//!   outage, the loader runs and nothing is stored. If the store failed with an outage, or the
//!   cache was disconnected meanwhile, the loaded value is returned. Any other error is returned.
//! * **A caller looks its key up twice at most.** While loads keep ending, it could look again for
//!   ever. During an outage the second lookup is left out, because it could find nothing.
//! * **A caller that is alone stores nothing.** It has no part in a flight, so no write of its key
//!   could forbid the store. It is alone if the backend has no flights, if it would wait for
//!   itself, or if it cannot read the value of its leader.

mod participant;
#[cfg(test)]
mod tests;

use core::mem;

pub use self::participant::Participant;

/// One caller of `get_or_set`. `V` is the value.
///
/// ```
/// use async_caches_core::load::{Load, LoadEvent, LoadStep};
///
/// type Event = LoadEvent<u32, &'static str>;
///
/// let mut load = Load::new(); // its first step is `LookUp`
/// assert_eq!(load.handle(Event::Missing), Some(LoadStep::Join { may_look_again: true }));
/// assert_eq!(load.handle(Event::Leads), Some(LoadStep::Load { alone: false }));
/// assert_eq!(load.handle(Event::Loaded(42)), Some(LoadStep::Share));
/// assert_eq!(load.handle(Event::Shared { may_store: true }), Some(LoadStep::Store));
/// assert_eq!(load.handle(Event::Stored), Some(LoadStep::Return(42)));
/// ```
#[derive(Debug)]
pub struct Load<V> {
    stage: LoadStage<V>,
    /// Whether the server is away. Then nothing is stored.
    outage: bool,
}

#[derive(Debug)]
enum LoadStage<V> {
    LookUp { second: bool },
    Join { second: bool },
    Follow,
    Load { alone: bool },
    Share(V),
    Store(V),
    Over,
}

/// What the caller does next. `E` is its error.
///
/// The example of [`Load`] goes through the steps of a leader, the one of [`LoadEvent`] through
/// those of a follower.
#[derive(PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LoadStep<V, E> {
    /// Look the key up. Leads to [`Found`](LoadEvent::Found), [`Missing`](LoadEvent::Missing),
    /// [`Unreadable`](LoadEvent::Unreadable) or [`Failed`](LoadEvent::Failed).
    LookUp,
    /// Join the flight of the key. Leads to [`Leads`](LoadEvent::Leads),
    /// [`Follows`](LoadEvent::Follows), [`LookAgain`](LoadEvent::LookAgain),
    /// [`Alone`](LoadEvent::Alone) or [`Failed`](LoadEvent::Failed).
    Join {
        /// Whether [`LookAgain`](LoadEvent::LookAgain) is allowed, if a flight of the key ended
        /// since the lookup began.
        may_look_again: bool,
    },
    /// Wait for the leader. Leads to [`Found`](LoadEvent::Found),
    /// [`Unreadable`](LoadEvent::Unreadable), [`Leads`](LoadEvent::Leads),
    /// [`Alone`](LoadEvent::Alone) or [`Failed`](LoadEvent::Failed).
    Follow,
    /// Run the loader and encode its value. Leads to [`Loaded`](LoadEvent::Loaded) or
    /// [`Failed`](LoadEvent::Failed).
    Load {
        /// Whether the load is no part of a flight. A caller that had a part in one has left it.
        alone: bool,
    },
    /// Share the encoded value with the followers. Leads to [`Shared`](LoadEvent::Shared).
    Share,
    /// Store the encoded value. Leads to [`Stored`](LoadEvent::Stored) or
    /// [`Failed`](LoadEvent::Failed).
    Store,
    /// Return this value. The load is over.
    Return(V),
    /// Return this error. The load is over.
    Fail(E),
}

/// What happened when the caller carried out a step.
///
/// ```
/// use async_caches_core::load::{Load, LoadEvent, LoadStep};
///
/// type Event = LoadEvent<u32, &'static str>;
///
/// let mut load = Load::new();
/// load.handle(Event::Missing);
/// assert_eq!(load.handle(Event::Follows), Some(LoadStep::Follow));
/// assert_eq!(load.handle(Event::Found(42)), Some(LoadStep::Return(42))); // the leader's value
/// assert_eq!(load.handle(Event::Stored), None); // a mistake: the load is over
/// ```
#[derive(PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LoadEvent<V, E> {
    /// The cache, or the leader of the flight, had this value.
    Found(V),
    /// The key has no value.
    Missing,
    /// The cache, or the leader of the flight, had bytes that are no `V`.
    Unreadable,
    /// The caller leads its flight.
    Leads,
    /// The caller follows the leader of its flight.
    Follows,
    /// A flight of the key ended since the lookup began.
    LookAgain,
    /// The caller has no part in a flight: the backend has none, or the caller must not wait.
    Alone,
    /// The loader returned this value, and it was encoded.
    Loaded(V),
    /// The followers have the value.
    Shared {
        /// Whether the caller may store the value: no write came in between, and no other leader
        /// was first.
        may_store: bool,
    },
    /// The value is stored.
    Stored,
    /// The step failed: the cache or the loader returned an error, or the value could not be
    /// encoded.
    Failed(LoadFailure, E),
}

/// The kind of error that a step failed with.
///
/// ```
/// use async_caches_core::load::{Load, LoadEvent, LoadFailure, LoadStep};
///
/// let mut load = Load::<u32>::new();
/// let away = LoadEvent::Failed(LoadFailure::Outage, "the server is away");
/// assert_eq!(load.handle(away), Some(LoadStep::Join { may_look_again: false })); // load all the same
///
/// let mut load = Load::<u32>::new();
/// let closed = LoadEvent::Failed(LoadFailure::Disconnected, "not connected");
/// assert_eq!(load.handle(closed), Some(LoadStep::Fail("not connected")));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadFailure {
    /// The server is away, or refuses commands.
    Outage,
    /// The cache is not connected.
    Disconnected,
    /// Any other error of the cache, or the loader's own.
    Other,
}

impl<V> Load<V> {
    /// Creates a load. Its first step is [`LoadStep::LookUp`].
    #[must_use]
    pub const fn new() -> Self {
        Self { stage: LoadStage::LookUp { second: false }, outage: false }
    }

    /// Returns the next step, given what happened in the last one. `None` if that step cannot lead
    /// to this event: the caller has made a mistake, and the load is over.
    #[inline]
    pub fn handle<E>(&mut self, event: LoadEvent<V, E>) -> Option<LoadStep<V, E>> {
        let stage = mem::replace(&mut self.stage, LoadStage::Over);
        let (next, step) = match (stage, event) {
            (LoadStage::LookUp { .. } | LoadStage::Follow, LoadEvent::Found(value)) => {
                (LoadStage::Over, LoadStep::Return(value))
            }
            (LoadStage::LookUp { second }, LoadEvent::Missing | LoadEvent::Unreadable) => {
                (LoadStage::Join { second }, LoadStep::Join { may_look_again: !second })
            }
            (LoadStage::LookUp { .. }, LoadEvent::Failed(LoadFailure::Outage, _)) => {
                self.outage = true;
                (LoadStage::Join { second: true }, LoadStep::Join { may_look_again: false })
            }
            (LoadStage::Join { .. } | LoadStage::Follow, LoadEvent::Leads) => {
                (LoadStage::Load { alone: false }, LoadStep::Load { alone: false })
            }
            (LoadStage::Join { .. } | LoadStage::Follow, LoadEvent::Alone)
            | (LoadStage::Follow, LoadEvent::Unreadable) => {
                (LoadStage::Load { alone: true }, LoadStep::Load { alone: true })
            }
            (LoadStage::Join { .. }, LoadEvent::Follows) => (LoadStage::Follow, LoadStep::Follow),
            (LoadStage::Join { second: false }, LoadEvent::LookAgain) => {
                (LoadStage::LookUp { second: true }, LoadStep::LookUp)
            }
            (LoadStage::Load { alone: true }, LoadEvent::Loaded(value)) => {
                (LoadStage::Over, LoadStep::Return(value))
            }
            (LoadStage::Load { alone: false }, LoadEvent::Loaded(value)) => {
                (LoadStage::Share(value), LoadStep::Share)
            }
            (LoadStage::Share(value), LoadEvent::Shared { may_store }) => {
                if may_store && !self.outage {
                    (LoadStage::Store(value), LoadStep::Store)
                } else {
                    (LoadStage::Over, LoadStep::Return(value))
                }
            }
            (
                LoadStage::Store(value),
                LoadEvent::Stored
                | LoadEvent::Failed(LoadFailure::Outage | LoadFailure::Disconnected, _),
            ) => (LoadStage::Over, LoadStep::Return(value)),
            (
                LoadStage::LookUp { .. }
                | LoadStage::Join { .. }
                | LoadStage::Follow
                | LoadStage::Load { .. }
                | LoadStage::Store(_),
                LoadEvent::Failed(_, error),
            ) => (LoadStage::Over, LoadStep::Fail(error)),
            (_, _) => return None,
        };
        self.stage = next;
        Some(step)
    }
}

impl<V> Default for Load<V> {
    fn default() -> Self {
        Self::new()
    }
}
