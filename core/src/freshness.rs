//! Decides from the age of a stored entry whether to return it, to load it, or both.
//!
//! # Theory of operation
//!
//! An entry is fresh until its timeout is over, then stale for as long as its windows last, then
//! gone. [`decide`] combines the stage of an entry with what its reader accepts:
//!
//! ```text
//!   written        early refresh        fresh_until     + stale_while_revalidate  + stale_if_error
//!      ├─────────────────┼───────────────────┼───────────────────┼───────────────────┼──────▶ now
//!      │ return          │ return, refresh   │ return, refresh   │ load; if that     │ load
//!      │                 │                   │                   │ fails, return     │
//! ```
//!
//! * **Each boundary belongs to the later part.** An entry is stale at exactly `fresh_until`, and
//!   gone at exactly the end of its window.
//! * **Of two windows, the entry's and the reader's, the shorter counts.** If `stale_if_error` is
//!   the shorter window, it is never reached.
//! * **After a failed load the reader returns any entry that it may return, and loads nothing**,
//!   until `refresh_backoff` is over. The entry's stage stays what it is: a failure makes no entry
//!   fresh.
//! * **A clock that was set back** makes an entry look as if it were written in the future. It is
//!   fresh until `fresh_until` all the same, because the same clock decides when a server lets it
//!   expire.
//!
//! All times are those of the clock that decides when the entry expires: that of its server
//! ([`server_clock`](crate::server_clock)), or the monotonic clock of this process for an entry in
//! memory. The module reads no clock and draws no random numbers. It does not know whether another
//! caller or process refreshes the same entry.

mod chance;
mod decision;
mod entry;
#[cfg(test)]
mod tests;

use core::time::Duration;

pub use self::chance::{Beta, Share, jittered};
pub use self::decision::{Action, Decision, Rule};
pub use self::entry::{Meta, Stage, Stored, Windows};
use crate::time::WallTime;

/// What one reader accepts, and what it knows of failed loads. The default accepts no stale value,
/// never refreshes early and has no backoff.
///
/// ```
/// use async_caches_core::freshness::{Beta, EarlyRefresh, Policy, Windows};
/// use core::time::Duration;
///
/// let policy = Policy {
///     windows: Windows { stale_if_error: Duration::from_secs(3600), ..Windows::NONE },
///     early_refresh: EarlyRefresh::XFetch(Beta::ONE),
///     ..Policy::default()
/// };
/// assert_eq!(policy.last_failure, None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// The longest windows that the reader accepts.
    pub windows: Windows,
    /// When to refresh an entry that is still fresh.
    pub early_refresh: EarlyRefresh,
    /// For how long after a failed load no other begins while an entry can be returned.
    pub refresh_backoff: Duration,
    /// When a load of the key failed last, unless one has succeeded since.
    pub last_failure: Option<WallTime>,
}

/// When to refresh an entry that is still fresh.
///
/// ```
/// use async_caches_core::freshness::{EarlyRefresh, Share};
///
/// let late = Share::new(0.9).map(EarlyRefresh::After); // in the last tenth of its timeout
/// assert_ne!(late, Some(EarlyRefresh::default()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum EarlyRefresh {
    /// Not before it is stale.
    #[default]
    Never,
    /// Once this share of its timeout is over. The timeout is the time from `written` to
    /// `fresh_until`.
    After(Share),
    /// By chance, the more likely the sooner it gets stale and the longer its load takes (XFetch).
    ///
    /// The entry is refreshed if `now - load_cost * beta * ln(random) >= fresh_until`, with
    /// `random` drawn evenly from the numbers between 0 and 1. So one of many readers is likely to
    /// refresh the entry in time, and only a few do. See Vattani, Chierichetti and Lowenstein,
    /// "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015. An entry without a load cost
    /// is never refreshed early.
    XFetch(Beta),
}

/// Decides what to do with the entry of a key, or without one.
///
/// `roll` is drawn evenly from all `u64`s, anew for each decision; only [`EarlyRefresh::XFetch`]
/// looks at it. The same arguments give the same decision on every machine, because nothing is
/// computed in floating point. Allocates nothing. Only XFetch costs more than a few comparisons: 32
/// multiplications.
///
/// ```
/// use async_caches_core::freshness::{Action, Meta, Policy, Stored, Windows, decide};
/// use async_caches_core::time::WallTime;
/// use core::time::Duration;
///
/// let seconds = Duration::from_secs;
/// let written = WallTime::from_millis(946_684_800_000);
/// let windows = Windows { stale_while_revalidate: seconds(10), stale_if_error: seconds(60) };
/// let stored = Stored::Entry(Meta {
///     written,
///     fresh_until: Some(written + seconds(30)),
///     windows,
///     load_cost: Duration::from_millis(120),
/// });
/// let policy = Policy { windows, ..Policy::default() };
///
/// let decision = decide(&stored, written + seconds(33), &policy, 0);
/// assert_eq!(decision.action, Action::ReturnAndRefresh);
/// assert_eq!(
///     decision.explain(),
///     "stale for 3 s, inside stale_while_revalidate of 10 s: return it and refresh it"
/// );
/// let decision = decide(&stored, written + seconds(90), &policy, 0);
/// assert_eq!(decision.action, Action::Load);
/// ```
#[must_use]
pub fn decide(stored: &Stored, now: WallTime, policy: &Policy, roll: u64) -> Decision {
    Decision::by(match stored {
        Stored::Absent => Rule::Absent,
        Stored::Unreadable => Rule::Unreadable,
        Stored::Invalidated => Rule::Invalidated,
        Stored::Plain => Rule::Plain,
        Stored::Entry(meta) => match meta.stale_for(now) {
            None => while_fresh(meta, now, policy, roll),
            Some(stale_for) => while_stale(meta, stale_for, now, policy),
        },
    })
}

fn while_fresh(meta: &Meta, now: WallTime, policy: &Policy, roll: u64) -> Rule {
    let Some(fresh_until) = meta.fresh_until else { return Rule::Fresh { fresh_for: None } };
    let fresh_for = fresh_until.since(now);
    let early = match policy.early_refresh {
        EarlyRefresh::Never => None,
        EarlyRefresh::After(share) => {
            let due = meta.written + share.of(fresh_until.since(meta.written));
            (now >= due).then_some(Rule::EarlyShare { fresh_for, share })
        }
        EarlyRefresh::XFetch(beta) => {
            let load_cost = meta.load_cost;
            let due = fresh_for <= chance::early_by(load_cost, beta, roll);
            due.then_some(Rule::EarlyXFetch { fresh_for, load_cost })
        }
    };
    match (early, policy.since_failure(now)) {
        (None, _) => Rule::Fresh { fresh_for: Some(fresh_for) },
        (Some(early), None) => early,
        (Some(_), Some(since_failure)) => {
            Rule::BackoffWhileFresh { fresh_for, since_failure, backoff: policy.refresh_backoff }
        }
    }
}

fn while_stale(meta: &Meta, stale_for: Duration, now: WallTime, policy: &Policy) -> Rule {
    let windows = meta.windows.shorter(policy.windows);
    let window = meta.windows.longest();
    if stale_for >= window {
        return Rule::Expired { stale_for, window };
    }
    let window = windows.longest();
    if stale_for >= window {
        return Rule::ReaderWindow { stale_for, window };
    }
    if let Some(since_failure) = policy.since_failure(now) {
        return Rule::BackoffWhileStale {
            stale_for,
            since_failure,
            backoff: policy.refresh_backoff,
        };
    }
    if stale_for < windows.stale_while_revalidate {
        Rule::StaleWhileRevalidate { stale_for, window: windows.stale_while_revalidate }
    } else {
        Rule::StaleIfError { stale_for, window: windows.stale_if_error }
    }
}

impl Policy {
    /// How long ago the last load failed, if the backoff is not over.
    ///
    /// A failure that seems to be in the future counts if it is nearer than the backoff: the offset
    /// of the clock was corrected by a little. If it is further away the clock was set back, and it
    /// does not count, or it would forbid loads until the clock has caught up.
    fn since_failure(&self, now: WallTime) -> Option<Duration> {
        let failed = self.last_failure?;
        let apart = now.since(failed).max(failed.since(now));
        (apart < self.refresh_backoff).then(|| now.since(failed))
    }
}
