//! The decision about an entry, the rule behind it, and the reason in words.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use super::chance::Share;
use super::entry::Stage;

/// What to do, and the rule that decided it.
///
/// The example of [`decide`](super::decide) gets two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// Which rule decided, with the spans of time that it looked at.
    pub rule: Rule,
}

/// What to do with an entry, or without one.
///
/// ```
/// use async_caches_core::freshness::Action;
///
/// /// Whether a caller gets an answer without waiting for a load.
/// fn is_at_once(action: Action) -> bool {
///     match action {
///         Action::Load | Action::LoadWithFallback => false,
///         Action::Return | Action::ReturnAndRefresh | Action::ReturnAndBackOff => true,
///     }
/// }
///
/// assert!(is_at_once(Action::ReturnAndRefresh) && !is_at_once(Action::LoadWithFallback));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Load the value, with nothing to fall back on.
    Load,
    /// Return the value.
    Return,
    /// Return the value at once, and let one caller refresh it in the background.
    ReturnAndRefresh,
    /// Load the value in the foreground. Return the old one if the load fails or is slow, and the
    /// old one is still [stale](Stage::Stale) by then: the load may outlast the window.
    LoadWithFallback,
    /// Return the value and load nothing, because a load failed a moment ago.
    ReturnAndBackOff,
}

/// Which rule decided, with the spans of time that it looked at.
///
/// ```
/// use async_caches_core::freshness::{Policy, Rule, Stored, decide};
/// use async_caches_core::time::WallTime;
///
/// let decision = decide(&Stored::Absent, WallTime::EPOCH, &Policy::default(), 0);
/// assert_eq!(decision.rule, Rule::Absent);
/// assert_eq!(decision.explain(), "not in the cache: load it");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Rule {
    /// The key has no value.
    Absent,
    /// The stored bytes cannot be read.
    Unreadable,
    /// One of the entry's tags was invalidated.
    Invalidated,
    /// Both windows of the entry are over.
    Expired {
        /// How long it has been past its timeout.
        stale_for: Duration,
        /// The longer window of the entry.
        window: Duration,
    },
    /// Both windows of the reader are over, and one of the entry's is not.
    ReaderWindow {
        /// How long it has been stale.
        stale_for: Duration,
        /// For how long this reader would have used it.
        window: Duration,
    },
    /// The value was stored without times of its own.
    Plain,
    /// The entry is fresh, and no early refresh is due.
    Fresh {
        /// How long it stays fresh; `None` if it has no timeout.
        fresh_for: Option<Duration>,
    },
    /// A share of the entry's timeout is over.
    EarlyShare {
        /// How long it stays fresh.
        fresh_for: Duration,
        /// The share after which it is refreshed.
        share: Share,
    },
    /// The roll chose this reader to refresh the entry early.
    EarlyXFetch {
        /// How long it stays fresh.
        fresh_for: Duration,
        /// How long its load took.
        load_cost: Duration,
    },
    /// The entry is inside the window `stale_while_revalidate`.
    StaleWhileRevalidate {
        /// How long it has been stale.
        stale_for: Duration,
        /// The window: the shorter one of the entry's and the reader's.
        window: Duration,
    },
    /// The entry is only inside the window `stale_if_error`.
    StaleIfError {
        /// How long it has been stale.
        stale_for: Duration,
        /// The window: the shorter one of the entry's and the reader's.
        window: Duration,
    },
    /// An early refresh is due, and a load failed a moment ago.
    BackoffWhileFresh {
        /// How long the entry stays fresh.
        fresh_for: Duration,
        /// How long ago the load failed.
        since_failure: Duration,
        /// For how long after a failure nothing is loaded.
        backoff: Duration,
    },
    /// The entry is inside a window, and a load failed a moment ago.
    BackoffWhileStale {
        /// How long it has been stale.
        stale_for: Duration,
        /// How long ago the load failed.
        since_failure: Duration,
        /// For how long after a failure nothing is loaded.
        backoff: Duration,
    },
}

impl Decision {
    pub(super) const fn by(rule: Rule) -> Self {
        let action = match rule {
            Rule::Absent
            | Rule::Unreadable
            | Rule::Invalidated
            | Rule::Expired { .. }
            | Rule::ReaderWindow { .. } => Action::Load,
            Rule::Plain | Rule::Fresh { .. } => Action::Return,
            Rule::EarlyShare { .. }
            | Rule::EarlyXFetch { .. }
            | Rule::StaleWhileRevalidate { .. } => Action::ReturnAndRefresh,
            Rule::StaleIfError { .. } => Action::LoadWithFallback,
            Rule::BackoffWhileFresh { .. } | Rule::BackoffWhileStale { .. } => {
                Action::ReturnAndBackOff
            }
        };
        Self { action, rule }
    }

    /// The stage of the entry for the reader. [`Stage::Gone`] means that there is nothing to
    /// return.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self.rule {
            Rule::Absent
            | Rule::Unreadable
            | Rule::Invalidated
            | Rule::Expired { .. }
            | Rule::ReaderWindow { .. } => Stage::Gone,
            Rule::Plain
            | Rule::Fresh { .. }
            | Rule::EarlyShare { .. }
            | Rule::EarlyXFetch { .. }
            | Rule::BackoffWhileFresh { .. } => Stage::Fresh,
            Rule::StaleWhileRevalidate { .. }
            | Rule::StaleIfError { .. }
            | Rule::BackoffWhileStale { .. } => Stage::Stale,
        }
    }

    /// The rule that decided and what follows from it, in words for a log. Spans below a second are
    /// in milliseconds, longer ones in tenths of a second, both rounded down. Allocates the text.
    #[must_use]
    pub fn explain(&self) -> String {
        match self.rule {
            Rule::Absent => "not in the cache: load it".into(),
            Rule::Unreadable => "its stored bytes cannot be read: load it".into(),
            Rule::Invalidated => "one of its tags was invalidated: load it".into(),
            Rule::Expired { stale_for, window } => format!(
                "past its timeout for {}, and its stale windows end after {}: load it",
                Span(stale_for),
                Span(window)
            ),
            Rule::ReaderWindow { stale_for, window } => format!(
                "stale for {}, and this reader uses it for {} at most: load it",
                Span(stale_for),
                Span(window)
            ),
            Rule::Plain => "stored without times of its own: return it".into(),
            Rule::Fresh { fresh_for: None } => "fresh without a timeout: return it".into(),
            Rule::Fresh { fresh_for: Some(fresh_for) } => {
                format!("fresh for {} more: return it", Span(fresh_for))
            }
            Rule::EarlyShare { fresh_for, share } => format!(
                "fresh for {} more, past early_refresh at {share} of its timeout: return it and \
                 refresh it",
                Span(fresh_for)
            ),
            Rule::EarlyXFetch { fresh_for, load_cost } => format!(
                "fresh for {} more, its load took {}, and xfetch chose this caller: return it and \
                 refresh it",
                Span(fresh_for),
                Span(load_cost)
            ),
            Rule::StaleWhileRevalidate { stale_for, window } => format!(
                "stale for {}, inside stale_while_revalidate of {}: return it and refresh it",
                Span(stale_for),
                Span(window)
            ),
            Rule::StaleIfError { stale_for, window } => format!(
                "stale for {}, only inside stale_if_error of {}: load it, and return the old value \
                 if that fails or is slow",
                Span(stale_for),
                Span(window)
            ),
            Rule::BackoffWhileFresh { fresh_for, since_failure, backoff } => format!(
                "fresh for {} more, and a load failed {} ago, inside refresh_backoff of {}: return \
                 it and load nothing",
                Span(fresh_for),
                Span(since_failure),
                Span(backoff)
            ),
            Rule::BackoffWhileStale { stale_for, since_failure, backoff } => format!(
                "stale for {}, and a load failed {} ago, inside refresh_backoff of {}: return it \
                 and load nothing",
                Span(stale_for),
                Span(since_failure),
                Span(backoff)
            ),
        }
    }
}

/// A span of time as a person writes it: `250 ms`, `4.2 s`, `3 s`.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0.as_secs(), self.0.subsec_millis());
        match (seconds, millis, millis / 100) {
            (0, 0, _) if !self.0.is_zero() => write!(f, "less than 1 ms"),
            (0, millis, _) => write!(f, "{millis} ms"),
            (seconds, _, 0) => write!(f, "{seconds} s"),
            (seconds, _, tenths) => write!(f, "{seconds}.{tenths} s"),
        }
    }
}
