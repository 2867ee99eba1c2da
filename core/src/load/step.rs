//! The steps of a load, and what happens in them.

use super::limits::Kept;

/// What the caller does next. `E` is its error.
///
/// The example of [`Load`](super::Load) goes through the steps of a leader, and those of
/// [`LoadEvent`] through the steps of others.
#[derive(PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LoadStep<V, E> {
    /// Look the key up. Leads to [`Found`](LoadEvent::Found),
    /// [`RefreshDue`](LoadEvent::RefreshDue), [`Fallback`](LoadEvent::Fallback),
    /// [`Missing`](LoadEvent::Missing), [`Unreadable`](LoadEvent::Unreadable) or
    /// [`Failed`](LoadEvent::Failed).
    LookUp,
    /// Join the flight of the key. Leads to [`Leads`](LoadEvent::Leads),
    /// [`Follows`](LoadEvent::Follows), [`LookAgain`](LoadEvent::LookAgain),
    /// [`Alone`](LoadEvent::Alone) or [`Failed`](LoadEvent::Failed).
    Join {
        /// Whether [`LookAgain`](LoadEvent::LookAgain) is allowed, if a flight of the key ended
        /// since the lookup began.
        may_look_again: bool,
    },
    /// Begin a flight of the key, unless there is one or one has ended since the lookup began.
    /// Leads to the events of [`Join`](Self::Join). A caller that follows takes no seat.
    Refresh,
    /// Spawn a refresh ([`Load::in_background`](super::Load::in_background)) with the loader and
    /// the part in the flight, unless too many run already. Leads to
    /// [`Spawned`](LoadEvent::Spawned) in either case.
    Spawn,
    /// Wait for the leader. Leads to [`Found`](LoadEvent::Found),
    /// [`Unreadable`](LoadEvent::Unreadable), [`Leads`](LoadEvent::Leads),
    /// [`Alone`](LoadEvent::Alone), [`TimeOver`](LoadEvent::TimeOver) or
    /// [`Failed`](LoadEvent::Failed).
    Follow,
    /// Run the loader and encode its value. Leads to [`Loaded`](LoadEvent::Loaded),
    /// [`TimeOver`](LoadEvent::TimeOver) or [`Failed`](LoadEvent::Failed).
    Load {
        /// Whether the load is no part of a flight. A caller that had a part in one has left it.
        alone: bool,
    },
    /// Go on with the last step: no deadline is over.
    KeepWaiting,
    /// Share the encoded value with the followers. Leads to [`Shared`](LoadEvent::Shared).
    Share,
    /// Store the encoded value. Leads to [`Stored`](LoadEvent::Stored) or
    /// [`Failed`](LoadEvent::Failed).
    Store,
    /// Let the load go on without its caller ([`Load::going_on`](super::Load::going_on)), and
    /// return this value, or an error that it takes too long. The load of the caller is over.
    GoOn(Option<V>),
    /// Return this value. The load is over.
    Return(V),
    /// Return this value, which was kept, and report the error. The load is over.
    FallBack(V, E),
    /// Return an error that the load takes too long, and drop the loader. The load is over.
    TimeOut,
    /// Return this error. The load is over.
    Fail(E),
}

/// What happened when the caller carried out a step.
///
/// ```
/// use async_caches_core::load::{Load, LoadEvent, LoadLimits, LoadStep};
/// use async_caches_core::time::Instant;
///
/// type Event = LoadEvent<u32, &'static str>;
///
/// let now = || Instant::ORIGIN;
/// let mut load = Load::new(LoadLimits::default());
/// load.handle(Event::Missing, now);
/// assert_eq!(load.handle(Event::Follows, now), Some(LoadStep::Follow));
/// let found = load.handle(Event::Found(42), now); // the leader's value
/// assert_eq!(found, Some(LoadStep::Return(42)));
/// assert_eq!(load.handle(Event::Stored, now), None); // a mistake: the load is over
/// ```
///
/// A value past its timeout is kept in case that the load fails:
///
/// ```
/// # use async_caches_core::load::{Kept, Load, LoadEvent, LoadFailure, LoadLimits, LoadStep};
/// # use async_caches_core::time::Instant;
/// # type Event = LoadEvent<u32, &'static str>;
/// let mut load = Load::new(LoadLimits::default());
/// let kept = Kept { value: 41, until: Instant::from_millis(60_000) };
/// load.handle(Event::Fallback(kept), || Instant::ORIGIN);
/// load.handle(Event::Leads { backs_off: false }, || Instant::ORIGIN);
/// let failed = Event::Failed(LoadFailure::Other, "the database is away");
/// let step = load.handle(failed, || Instant::from_millis(200));
/// assert_eq!(step, Some(LoadStep::FallBack(41, "the database is away")));
/// ```
#[derive(PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LoadEvent<V, E> {
    /// The cache, or the leader of the flight, had this value.
    Found(V),
    /// The cache had this value, which may be returned at once, and should be refreshed.
    RefreshDue(Kept<V>),
    /// The cache had this value, which may be returned only if a load fails or is slow.
    Fallback(Kept<V>),
    /// The key has no value.
    Missing,
    /// The cache, or the leader of the flight, had bytes that are no `V`.
    Unreadable,
    /// The caller leads its flight.
    Leads {
        /// Whether a load of the key failed so recently that no other should begin while there is a
        /// value to return.
        backs_off: bool,
    },
    /// The caller follows the leader of its flight.
    Follows,
    /// A flight of the key ended since the lookup began.
    LookAgain,
    /// The caller has no part in a flight: the backend has none, or the caller must not wait.
    Alone,
    /// A refresh was spawned, or too many run already.
    Spawned,
    /// The loader returned this value, and it was encoded.
    Loaded(V),
    /// The [`deadline`](super::Load::deadline) came.
    TimeOver,
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
/// use async_caches_core::time::Instant;
///
/// let now = || Instant::ORIGIN;
/// let mut load = Load::<u32>::default();
/// let away = LoadEvent::Failed(LoadFailure::Outage, "the server is away");
/// let join = LoadStep::Join { may_look_again: false }; // to load all the same
/// assert_eq!(load.handle(away, now), Some(join));
///
/// let mut load = Load::<u32>::default();
/// let closed = LoadEvent::Failed(LoadFailure::Disconnected, "not connected");
/// assert_eq!(load.handle(closed, now), Some(LoadStep::Fail("not connected")));
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
