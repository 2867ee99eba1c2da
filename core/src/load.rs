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
//! A lookup may also find a *kept* value: one that [`freshness::decide`](crate::freshness::decide)
//! lets the caller use in place of a new one.
//!
//! ```text
//!           refresh is due             leads                    in the background
//!  LookUp ─────────────────▶ Refresh ─────────▶ (may it?) yes ▶ Spawn ─────▶ Return what is kept
//!   │                           │ another caller loads  │ no
//!   │ fallback only             └───▶ Return it         └────▶ Load
//!   ▼
//!  Join ─▶ Load or Follow: a failed load returns what is kept, and a slow one does so too
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
//! * **A caller for which a refresh is due never waits for another's.** It returns what it has if
//!   another caller loads the key already. If the load may outlive its caller, it does not wait for
//!   its own refresh either.
//! * **What is kept is used until its window is over, and not a moment longer.** The load may
//!   outlast the window, so the time is compared when the value is about to be returned.
//! * **Time counts from when the caller began to wait.** After the soft timeout the caller gets
//!   what it keeps, if its load may go on without it. After the hard timeout it gets what it keeps,
//!   or an error. A load that may outlive its caller then goes on; otherwise its loader is dropped.
//! * **A refresh in the background looks the key up once more before it loads**
//!   ([`Load::in_background`]): another process may have refreshed the entry meanwhile.

mod limits;
mod participant;
mod step;
#[cfg(test)]
mod tests;

use core::mem;

pub use self::limits::{Kept, LoadLimits};
pub use self::participant::Participant;
pub use self::step::{LoadEvent, LoadFailure, LoadStep};
use crate::time::{Deadline, Instant};

/// One caller of `get_or_set`, or a load that goes on without its caller. `V` is the value.
///
/// ```
/// use async_caches_core::load::{Load, LoadEvent, LoadLimits, LoadStep};
/// use async_caches_core::time::Instant;
///
/// type Event = LoadEvent<u32, &'static str>;
///
/// let now = || Instant::ORIGIN; // it is not asked for the time while nothing is kept
/// let mut load = Load::new(LoadLimits::default()); // its first step is `LookUp`
/// let join = LoadStep::Join { may_look_again: true };
/// assert_eq!(load.handle(Event::Missing, now), Some(join));
/// let leads = Event::Leads { backs_off: false };
/// assert_eq!(load.handle(leads, now), Some(LoadStep::Load { alone: false }));
/// assert_eq!(load.handle(Event::Loaded(42), now), Some(LoadStep::Share));
/// assert_eq!(load.handle(Event::Shared { may_store: true }, now), Some(LoadStep::Store));
/// assert_eq!(load.handle(Event::Stored, now), Some(LoadStep::Return(42)));
/// ```
#[derive(Debug)]
pub struct Load<V> {
    stage: LoadStage<V>,
    limits: LoadLimits,
    /// What the caller returns if the load fails or is slow.
    kept: Option<Kept<V>>,
    /// When the caller began to wait for a load.
    began: Option<Instant>,
    /// Whether the server is away. Then nothing is stored.
    outage: bool,
}

#[derive(Debug)]
enum LoadStage<V> {
    LookUp {
        second: bool,
    },
    Refresh,
    Spawn,
    Join {
        second: bool,
    },
    Follow,
    /// The lookup of a refresh in the background, which leads already.
    LookUpToRefresh,
    Load {
        alone: bool,
    },
    Share {
        value: V,
        store: bool,
    },
    Store(V),
    Over,
}

impl<V> Load<V> {
    /// Creates the load of a caller. Its first step is [`LoadStep::LookUp`].
    #[must_use]
    pub const fn new(limits: LoadLimits) -> Self {
        Self::at(LoadStage::LookUp { second: false }, limits)
    }

    /// Creates a refresh in the background, which leads the flight of its key: what a caller
    /// [spawned](LoadStep::Spawn). Its first step is [`LoadStep::LookUp`]. It never joins a flight.
    ///
    /// ```
    /// use async_caches_core::load::{Load, LoadEvent, LoadStep};
    /// use async_caches_core::time::Instant;
    ///
    /// type Event = LoadEvent<u32, &'static str>;
    ///
    /// let now = || Instant::ORIGIN;
    /// let mut refresh = Load::in_background();
    /// // Another process has refreshed the entry: nothing is loaded, and nothing is stored.
    /// assert_eq!(refresh.handle(Event::Found(43), now), Some(LoadStep::Share));
    /// let shared = Event::Shared { may_store: true };
    /// assert_eq!(refresh.handle(shared, now), Some(LoadStep::Return(43)));
    /// ```
    #[must_use]
    pub const fn in_background() -> Self {
        Self::at(LoadStage::LookUpToRefresh, LoadLimits::NONE)
    }

    /// Creates the rest of a load that goes on without its caller, after
    /// [`LoadStep::GoOn`]. Its loader is running. `alone` is as in [`LoadStep::Load`].
    #[must_use]
    pub const fn going_on(alone: bool) -> Self {
        Self::at(LoadStage::Load { alone }, LoadLimits::NONE)
    }

    const fn at(stage: LoadStage<V>, limits: LoadLimits) -> Self {
        Self { stage, limits, kept: None, began: None, outage: false }
    }

    /// When to report [`LoadEvent::TimeOver`], unless another event comes first. Changes with each
    /// step, and is `None` unless the caller waits for a load.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        if !matches!(self.stage, LoadStage::Follow | LoadStage::Load { .. }) {
            return None;
        }
        let began = self.began?;
        let soft = self.soft_end(began).map(|at| Deadline { at, why: "the soft timeout" });
        let hard = self.limits.hard_timeout;
        let hard = hard.map(|span| Deadline { at: began + span, why: "the hard timeout" });
        soft.into_iter().chain(hard).min_by_key(|deadline| deadline.at)
    }

    /// When the caller returns what it keeps instead of waiting on. `None` if it keeps nothing that
    /// is usable then, or if its load would be lost.
    fn soft_end(&self, began: Instant) -> Option<Instant> {
        let end = began + self.limits.soft_timeout?;
        let follows = matches!(self.stage, LoadStage::Follow);
        let usable = self.kept.as_ref().is_some_and(|kept| end < kept.until);
        ((follows || self.limits.background) && usable).then_some(end)
    }

    /// Returns the next step, given what happened in the last one. `None` if that step cannot lead
    /// to this event: the caller has made a mistake, and the load is over.
    ///
    /// `now` returns the present time. It is called only if something depends on it: if the caller
    /// keeps a value, or has a timeout.
    #[inline]
    pub fn handle<E>(
        &mut self,
        event: LoadEvent<V, E>,
        now: impl Fn() -> Instant,
    ) -> Option<LoadStep<V, E>> {
        let stage = mem::replace(&mut self.stage, LoadStage::Over);
        let (next, step) = match (stage, event) {
            (LoadStage::LookUp { .. } | LoadStage::Follow, LoadEvent::Found(value)) => {
                (LoadStage::Over, LoadStep::Return(value))
            }
            (LoadStage::LookUp { .. }, LoadEvent::RefreshDue(kept)) => {
                self.kept = Some(kept);
                (LoadStage::Refresh, LoadStep::Refresh)
            }
            (LoadStage::LookUp { second }, LoadEvent::Fallback(kept)) => {
                self.kept = Some(kept);
                Self::join(second)
            }
            (LoadStage::LookUp { second }, LoadEvent::Missing | LoadEvent::Unreadable) => {
                self.kept = None;
                Self::join(second)
            }
            (LoadStage::LookUp { .. }, LoadEvent::Failed(LoadFailure::Outage, _)) => {
                self.outage = true;
                Self::join(true)
            }
            (LoadStage::Refresh, LoadEvent::Leads { backs_off: false }) => {
                if self.limits.background {
                    (LoadStage::Spawn, LoadStep::Spawn)
                } else {
                    self.begin(now);
                    Self::load(false)
                }
            }
            (
                LoadStage::Refresh,
                LoadEvent::Leads { backs_off: true }
                | LoadEvent::Follows
                | LoadEvent::LookAgain
                | LoadEvent::Alone,
            )
            | (LoadStage::Spawn, LoadEvent::Spawned) => {
                (LoadStage::Over, LoadStep::Return(self.kept.take()?.value))
            }
            (LoadStage::Join { .. } | LoadStage::Follow, LoadEvent::Leads { backs_off }) => {
                if backs_off && let Some(kept) = self.usable(&now) {
                    (LoadStage::Over, LoadStep::Return(kept))
                } else {
                    self.begin(now);
                    Self::load(false)
                }
            }
            (LoadStage::Join { .. } | LoadStage::Follow, LoadEvent::Alone)
            | (LoadStage::Follow, LoadEvent::Unreadable) => {
                self.begin(now);
                Self::load(true)
            }
            (LoadStage::Join { .. }, LoadEvent::Follows) => {
                self.begin(now);
                (LoadStage::Follow, LoadStep::Follow)
            }
            (LoadStage::Join { second: false }, LoadEvent::LookAgain) => {
                (LoadStage::LookUp { second: true }, LoadStep::LookUp)
            }
            (LoadStage::LookUpToRefresh, LoadEvent::Found(value)) => {
                (LoadStage::Share { value, store: false }, LoadStep::Share)
            }
            (
                LoadStage::LookUpToRefresh,
                LoadEvent::RefreshDue(_)
                | LoadEvent::Fallback(_)
                | LoadEvent::Missing
                | LoadEvent::Unreadable,
            ) => Self::load(false),
            (LoadStage::Load { alone: true }, LoadEvent::Loaded(value)) => {
                (LoadStage::Over, LoadStep::Return(value))
            }
            (LoadStage::Load { alone: false }, LoadEvent::Loaded(value)) => {
                let store = !self.outage;
                (LoadStage::Share { value, store }, LoadStep::Share)
            }
            (stage @ (LoadStage::Load { .. } | LoadStage::Follow), LoadEvent::TimeOver) => {
                self.time_over(stage, now)
            }
            (LoadStage::Share { value, store }, LoadEvent::Shared { may_store }) => {
                if may_store && store {
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
            (LoadStage::Load { .. } | LoadStage::Refresh, LoadEvent::Failed(_, error)) => {
                match self.usable(now) {
                    Some(value) => (LoadStage::Over, LoadStep::FallBack(value, error)),
                    None => (LoadStage::Over, LoadStep::Fail(error)),
                }
            }
            (
                LoadStage::LookUp { .. }
                | LoadStage::Join { .. }
                | LoadStage::Follow
                | LoadStage::LookUpToRefresh
                | LoadStage::Store(_),
                LoadEvent::Failed(_, error),
            ) => (LoadStage::Over, LoadStep::Fail(error)),
            (_, _) => return None,
        };
        self.stage = next;
        Some(step)
    }

    fn join<E>(second: bool) -> (LoadStage<V>, LoadStep<V, E>) {
        (LoadStage::Join { second }, LoadStep::Join { may_look_again: !second })
    }

    fn load<E>(alone: bool) -> (LoadStage<V>, LoadStep<V, E>) {
        (LoadStage::Load { alone }, LoadStep::Load { alone })
    }

    /// The caller waits for a load from now on, or has done so already.
    fn begin(&mut self, now: impl Fn() -> Instant) {
        if self.limits.soft_timeout.is_some() || self.limits.hard_timeout.is_some() {
            self.began.get_or_insert_with(now);
        }
    }

    /// What is kept, unless its window is over.
    fn usable(&mut self, now: impl Fn() -> Instant) -> Option<V> {
        let kept = self.kept.take()?;
        (now() < kept.until).then_some(kept.value)
    }

    /// Some deadline may be over while the caller waits for a load.
    fn time_over<E>(
        &mut self,
        stage: LoadStage<V>,
        now: impl Fn() -> Instant,
    ) -> (LoadStage<V>, LoadStep<V, E>) {
        let now = now();
        self.stage = stage;
        let over = self.deadline().is_some_and(|deadline| deadline.at <= now);
        let stage = mem::replace(&mut self.stage, LoadStage::Over);
        if !over {
            return (stage, LoadStep::KeepWaiting);
        }
        let kept = self.usable(|| now);
        let step = match stage {
            LoadStage::Load { .. } if self.limits.background => LoadStep::GoOn(kept),
            LoadStage::Load { .. }
            | LoadStage::Follow
            | LoadStage::LookUp { .. }
            | LoadStage::Refresh
            | LoadStage::Spawn
            | LoadStage::Join { .. }
            | LoadStage::LookUpToRefresh
            | LoadStage::Share { .. }
            | LoadStage::Store(_)
            | LoadStage::Over => kept.map_or(LoadStep::TimeOut, LoadStep::Return),
        };
        (LoadStage::Over, step)
    }
}

impl<V> Default for Load<V> {
    fn default() -> Self {
        Self::new(LoadLimits::NONE)
    }
}
