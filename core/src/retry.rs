//! Decides whether to try again, and after how long.

mod halves;
mod loss;

use core::time::Duration;

use crate::command::Command;
use crate::error::{Failure, ServerErrorKind};
use crate::reply::Answer;
use crate::resp::answer::Expect;

pub use self::halves::Halves;
pub use self::loss::{AfterLoss, Blame, Losses};

/// A delay before the next attempt to connect: exponential backoff with full jitter.
///
/// The ceiling doubles with each failure up to [`Backoff::MAX`], and the delay is drawn evenly from
/// the whole range below it, even once the ceiling grows no more. So clients that lost their server
/// together do not come back together. See "Exponential Backoff And Jitter" in the AWS Architecture
/// Blog.
#[derive(Clone, Debug)]
pub struct Backoff {
    failures: u32,
    random: Random,
}

impl Backoff {
    /// The ceiling of the first delay.
    pub const BASE: Duration = Duration::from_millis(50);
    /// The highest ceiling.
    pub const MAX: Duration = Duration::from_secs(5);

    /// No failures yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { failures: 0, random: Random::new(seed) }
    }

    /// Counts a failure and draws the delay before the next attempt.
    pub fn failed(&mut self) -> Duration {
        let ceiling = Self::BASE.saturating_mul(1 << self.failures.min(16)).min(Self::MAX);
        self.failures = self.failures.saturating_add(1);
        self.draw(ceiling)
    }

    /// Counts a failure that an early retry will not mend, and draws the delay: evenly from the
    /// upper half of the range below [`Backoff::MAX`], so that there is no storm.
    pub fn refused(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        Self::MAX / 2 + self.draw(Self::MAX / 2)
    }

    /// Forgets the failures.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    fn draw(&mut self, ceiling: Duration) -> Duration {
        self.random.below(ceiling)
    }
}

/// Whether a command whose connection was lost may be sent again: always if its last byte was never
/// written, else only if it changes nothing.
///
/// Even a write that has the same effect twice as once is not repeated. A server that is stopped,
/// or slow, may read the first copy long after it answered the second. That would undo the writes
/// that were acknowledged in between.
#[must_use]
pub fn after_loss(command: &Command<'_>, may_have_run: bool) -> bool {
    !may_have_run || command.changes_nothing()
}

/// Whether an answered command is worth sending again at once: the server reported that it did not
/// run it, and sending it again mends the reason. Only a script qualifies, when the server has
/// forgotten it.
#[must_use]
pub fn after_answer(command: &Command<'_>, answer: &Answer) -> bool {
    lacks_script(answer) && Expect::of(command).is_of_a_script()
}

/// Whether an answered command is worth sending once more at once as
/// [`Command::without_script`] returns it: its server's user may not run the script.
#[must_use]
pub fn without_script(command: &Command<'_>, answer: &Answer) -> bool {
    lacks_permission(answer) && command.without_script().is_some()
}

/// Whether the server said that its user may not do that.
pub(crate) fn lacks_permission(answer: &Answer) -> bool {
    is_error(answer, |kind| kind == ServerErrorKind::NoPerm)
}

/// Whether the server reported that it does not know a script.
pub(crate) fn lacks_script(answer: &Answer) -> bool {
    is_error(answer, |kind| kind == ServerErrorKind::NoScript)
}

/// Whether another connection may lead to a server that accepts what this one refused.
#[must_use]
pub fn elsewhere(answer: &Answer) -> bool {
    is_error(answer, |kind| kind == ServerErrorKind::ReadOnly)
}

/// Whether the server does not accept the client's credentials. A user's lack of permission for a
/// command ([`ServerErrorKind::NoPerm`]) is not such an answer.
#[must_use]
pub fn as_a_stranger(answer: &Answer) -> bool {
    is_error(answer, |kind| matches!(kind, ServerErrorKind::NoAuth | ServerErrorKind::WrongPass))
}

fn is_error(answer: &Answer, is: impl FnOnce(ServerErrorKind) -> bool) -> bool {
    matches!(answer, Err(Failure::Server(error)) if is(error.kind))
}

/// SplitMix64: a small generator for jitter, where speed and quality matter little.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A span below `end`.
    pub(crate) fn below(&mut self, end: Duration) -> Duration {
        let nanos = u64::try_from(end.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(self.next() % nanos)
    }

    /// An index below `count`; `None` if that is zero.
    pub(crate) fn index(&mut self, count: usize) -> Option<usize> {
        usize::try_from(self.next() % u64::try_from(count).ok().filter(|&count| count > 0)?).ok()
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use bytes::Bytes;

    use super::*;
    use crate::error::ServerError;
    use crate::key::{KeySpace, Names, Version};
    use crate::number::Number;
    use crate::ttl::Expiry;

    #[test]
    fn delays_stay_below_a_doubling_ceiling() {
        let mut backoff = Backoff::new(7);
        for ceiling in [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            assert!(backoff.failed() < Duration::from_millis(ceiling));
        }
        backoff.succeeded();
        assert!(backoff.failed() < Backoff::BASE);
    }

    #[test]
    fn the_generator_is_splitmix64() {
        // The output of its author's program for this seed.
        let mut random = Random::new(1_234_567);
        for number in [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
        ] {
            assert_eq!(random.next(), number);
        }
    }

    #[test]
    fn jitter_is_full_at_the_largest_delay_too() {
        let delays: Vec<_> = (0..200)
            .map(|seed| {
                let mut backoff = Backoff::new(seed);
                (0..30).map(|_| backoff.failed()).last().unwrap()
            })
            .collect();
        for quarter in 0..4 {
            let range = Backoff::MAX * quarter / 4..Backoff::MAX * (quarter + 1) / 4;
            let there = delays.iter().filter(|delay| range.contains(*delay)).count();
            assert!(there > 25, "{there} of 200 delays in quarter {quarter}");
        }
    }

    #[test]
    fn refused_credentials_are_never_tried_again_soon() {
        let mut backoff = Backoff::new(3);
        let upper = Backoff::MAX / 2..Backoff::MAX;
        assert!((0..100).all(|_| upper.contains(&backoff.refused())));
    }

    #[test]
    fn a_command_that_may_have_run_is_repeated_only_if_it_changes_nothing() {
        let space = KeySpace::new("", Version::None).unwrap();
        let scope = space.scope(None).unwrap();
        let key = scope.key(b"k");
        let (value, expiry) = (Bytes::new(), Expiry::Never);
        let get = Command::Get(key);
        let set = Command::Set { key, value: &value, expiry };
        let touch = Command::Touch { key, expiry };
        assert!(after_loss(&get, true) && after_loss(&Command::Ping, true));
        let incr = Command::Incr { key, delta: Number::Integer(1), start: None };
        let names: Names = ["k"].into_iter().collect();
        let delete = Command::Delete(scope.keys(&names));
        for write in [set, touch, incr, delete, Command::Clear] {
            assert!(!after_loss(&write, true), "{write:?}");
            assert!(after_loss(&write, false), "{write:?}");
        }
    }

    #[test]
    fn only_noscript_is_retried_at_once() {
        let answer = |text: &[u8]| Err(Failure::Server(ServerError::parse(text)));
        let space = KeySpace::new("", Version::None).unwrap();
        let scope = space.scope(None).unwrap();
        let incr = Command::Incr { key: scope.key(b"k"), delta: Number::Integer(1), start: None };
        let forgotten = answer(b"NOSCRIPT No matching script.");
        assert!(after_answer(&incr, &forgotten));
        assert!(!after_answer(&Command::Get(scope.key(b"k")), &forgotten));
        assert!(!after_answer(&incr, &answer(b"OOM command not allowed")));
        assert!(!after_answer(&incr, &Ok(crate::reply::Reply::Done)));
    }

    #[test]
    fn only_noauth_and_wrongpass_mean_a_lost_authentication() {
        for (text, is_stranger) in [
            ("NOAUTH Authentication required.", true),
            ("WRONGPASS invalid username-password pair or user is disabled.", true),
            ("NOPERM this user has no permissions to run the 'get' command", false),
            ("ERR unknown command", false),
        ] {
            let answer = Err(Failure::Server(ServerError::parse(text.as_bytes())));
            assert_eq!(as_a_stranger(&answer), is_stranger, "{text}");
        }
        assert!(!as_a_stranger(&Ok(crate::reply::Reply::Done)));
    }
}
