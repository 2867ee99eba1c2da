//! A model of the values that a key or a counter can have while some writes may have run, or may
//! still run.
//!
//! Only one task uses a key, one call after another. A write that was answered has run once, before
//! any later call. A write is *loose* if it was dropped, or if its error says that it may have run.
//! It runs at most once, at any time, as long as the server that it was sent to is up. A write
//! whose error says that it did not run never runs. So a key holds the last value that was stored
//! by an answered write, or one that a loose write has stored since. No loose write is seen to run
//! twice.
//!
//! An era ends when the server is restarted: all its data is gone then, and loose writes never run.
//! Each call comes with the eras in which it began and ended. Values are used once.

use std::fmt;
use std::ops::RangeInclusive;

/// How a write ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate<T> {
    Answered(T),
    NotRun,
    MayHaveRun,
}

impl<T> Fate<T> {
    /// The answer, if there was one.
    pub(crate) fn answer(self) -> Option<T> {
        match self {
            Self::Answered(answer) => Some(answer),
            Self::NotRun | Self::MayHaveRun => None,
        }
    }
}

/// The eras in which a call began and ended.
pub(crate) type Eras = RangeInclusive<u64>;

/// A key.
pub(crate) struct Key {
    pub(crate) name: String,
    held: Option<String>,
    /// The eras of the call that stored it.
    stored: Eras,
    /// The values that loose writes may still store, `None` for a removal, and the last era in
    /// which each may.
    loose: Vec<(Option<String>, u64)>,
}

impl Key {
    /// A key that was never used.
    pub(crate) fn new(name: String) -> Self {
        Self { name, held: None, stored: 0..=0, loose: Vec::new() }
    }

    /// Whether so many writes are loose that the model would allow almost any value.
    pub(crate) fn is_worn(&self) -> bool {
        self.loose.len() > LOOSE
    }

    /// Records that a set has ended.
    pub(crate) fn set(&mut self, value: String, fate: Fate<()>, eras: Eras) {
        match fate {
            Fate::Answered(()) => (self.held, self.stored) = (Some(value), eras),
            Fate::MayHaveRun => self.loose.push((Some(value), *eras.end())),
            Fate::NotRun => {}
        }
    }

    /// Records that a removal has ended; its answer is whether the key was there. Returns whether
    /// the model allows that answer.
    #[must_use]
    pub(crate) fn removed(&mut self, fate: Fate<bool>, eras: Eras) -> bool {
        self.age(*eras.start());
        match fate {
            Fate::NotRun => true,
            Fate::MayHaveRun => {
                self.loose.push((None, *eras.end()));
                true
            }
            Fate::Answered(true) => {
                let was_there = self.held.take().is_some();
                (self.held, self.stored) = (None, eras);
                was_there || self.loose.iter().any(|(value, _)| value.is_some())
            }
            Fate::Answered(false) => {
                let was_absent = self.read(None, &eras);
                (self.held, self.stored) = (None, eras);
                was_absent
            }
        }
    }

    /// Records that a read has ended. Returns whether the model allows its value.
    #[must_use]
    pub(crate) fn read(&mut self, read: Option<&str>, eras: &Eras) -> bool {
        self.age(*eras.start());
        let lost = read.is_none() && self.stored.start() < eras.end();
        if read == self.held.as_deref() {
            return true;
        }
        if !lost {
            let Some(at) = self.loose.iter().position(|(value, _)| value.as_deref() == read) else {
                return false;
            };
            self.loose.swap_remove(at);
        }
        (self.held, self.stored) = (read.map(str::to_owned), eras.clone());
        true
    }

    /// Forgets the values that were stored, and the writes that were loose, before this era.
    fn age(&mut self, era: u64) {
        self.loose.retain(|(_, last)| *last >= era);
        if *self.stored.end() < era {
            self.held = None;
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, held, stored, loose } = self;
        let held = held.as_deref().map(head);
        write!(f, "{name} holds {held:?} of {stored:?}; loose:")?;
        loose.iter().try_for_each(|(value, last)| {
            write!(f, " {:?} until {last}", value.as_deref().map(head))
        })
    }
}

/// The part of a value that differs from all other values.
pub(crate) fn head(value: &str) -> &str {
    value.split('|').next().unwrap_or_default()
}

/// A key with a number, to which only ones are added.
#[derive(Debug)]
pub(crate) struct Counter {
    pub(crate) name: String,
    sum: i64,
    loose: i64,
    /// The era in which it began.
    began: u64,
}

impl Counter {
    /// A counter at zero.
    pub(crate) fn new(name: String, began: u64) -> Self {
        Self { name, sum: 0, loose: 0, began }
    }

    /// Records that one was added; the answer is `None` if there was no number. Returns whether the
    /// model allows that answer.
    #[must_use]
    pub(crate) fn added(&mut self, fate: Fate<Option<i64>>, now: u64) -> bool {
        match fate {
            Fate::NotRun => true,
            Fate::MayHaveRun => {
                self.loose += 1;
                true
            }
            Fate::Answered(None) => self.began < now,
            Fate::Answered(Some(sum)) => {
                self.loose -= sum - (self.sum + 1);
                let fits = sum > self.sum && self.loose >= 0;
                self.sum = sum;
                fits
            }
        }
    }
}

const LOOSE: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new("key".into())
    }

    fn set(key: &mut Key, value: &str) {
        key.set(value.into(), Fate::Answered(()), 0..=0);
    }

    #[test]
    fn an_overwritten_value_is_never_read_again() {
        let mut key = key();
        set(&mut key, "old");
        set(&mut key, "new");
        assert!(key.read(Some("new"), &(0..=0)));
        assert!(!key.read(Some("old"), &(0..=0)));
        assert!(!key.read(None, &(0..=0)));
    }

    #[test]
    fn a_loose_set_runs_once_at_any_time_or_never() {
        let mut key = key();
        key.set("loose".into(), Fate::MayHaveRun, 0..=0);
        set(&mut key, "new");
        assert!(key.read(Some("new"), &(0..=0)));
        assert!(key.read(Some("loose"), &(0..=0)));
        assert!(!key.read(Some("new"), &(0..=0)), "it was overwritten");
        set(&mut key, "newer");
        assert!(!key.read(Some("loose"), &(0..=0)), "it has run");
    }

    #[test]
    fn a_set_that_did_not_run_is_never_read() {
        let mut key = key();
        key.set("unsent".into(), Fate::NotRun, 0..=0);
        assert!(!key.read(Some("unsent"), &(0..=0)));
        assert!(key.read(None, &(0..=0)));
    }

    #[test]
    fn a_loose_removal_removes_once() {
        let mut key = key();
        set(&mut key, "value");
        assert!(key.removed(Fate::MayHaveRun, 0..=0));
        assert!(key.read(Some("value"), &(0..=0)));
        assert!(key.read(None, &(0..=0)));
        set(&mut key, "new");
        assert!(!key.read(None, &(0..=0)));
    }

    #[test]
    fn a_removal_reports_whether_the_key_existed() {
        let mut key = key();
        assert!(!key.removed(Fate::Answered(true), 0..=0));
        assert!(key.removed(Fate::Answered(false), 0..=0));
        set(&mut key, "value");
        assert!(!key.removed(Fate::Answered(false), 0..=0));
        set(&mut key, "value");
        assert!(key.removed(Fate::Answered(true), 0..=0));
        assert!(!key.read(Some("value"), &(0..=0)));
        key.set("loose".into(), Fate::MayHaveRun, 0..=0);
        assert!(key.removed(Fate::Answered(true), 0..=0));
    }

    #[test]
    fn a_restarted_server_has_no_earlier_values() {
        let mut key = key();
        set(&mut key, "value");
        key.set("loose".into(), Fate::MayHaveRun, 0..=0);
        // The server was restarted during this read.
        assert!(key.read(Some("loose"), &(0..=1)));
        set(&mut key, "value");
        key.set("loose".into(), Fate::MayHaveRun, 0..=0);
        assert!(key.read(None, &(0..=1)));
        assert!(!key.read(Some("loose"), &(1..=1)));
        assert!(!key.read(Some("value"), &(1..=1)));
    }

    #[test]
    fn each_loose_addition_counts_once_or_never() {
        let mut counter = Counter::new("n".into(), 0);
        assert!(counter.added(Fate::Answered(Some(1)), 0));
        assert!(counter.added(Fate::MayHaveRun, 0));
        assert!(counter.added(Fate::MayHaveRun, 0));
        assert!(counter.added(Fate::Answered(Some(2)), 0));
        assert!(counter.added(Fate::Answered(Some(4)), 0));
        assert!(counter.added(Fate::Answered(Some(6)), 0));
        assert!(!counter.added(Fate::Answered(Some(8)), 0), "each has run");
        assert!(!Counter::new("n".into(), 0).added(Fate::Answered(Some(0)), 0), "it was lost");
        assert!(!Counter::new("n".into(), 0).added(Fate::Answered(None), 0));
    }
}
