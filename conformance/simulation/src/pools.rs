//! The rules of one pool's dials: never more connections than allowed, no storm, delays within
//! their limits and with jitter.

use std::fmt;
use std::time::Duration;

use async_caches::runtime::Instant;

/// The state of a pool, as seen from outside.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) cache: usize,
    /// The node of a cluster that it is for.
    pub(crate) node: usize,
    pub(crate) minsize: usize,
    pub(crate) maxsize: usize,
    /// Whether commands end its connections, on a server that is well.
    pub(crate) poisoned: bool,
    /// Whether its cache has let go of it.
    pub(crate) over: bool,
    dials: Vec<Instant>,
    /// Counts the dials and the ends of its lines.
    events: usize,
    /// When a dial failed while there was no other line, if nothing has happened since.
    failed: Option<Instant>,
    /// When a line last ended that had answered nothing.
    unanswered: Option<Instant>,
    /// How long after such failures the next dials came.
    delays: Vec<Duration>,
}

/// A rule that did not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    TooMany { live: usize, maxsize: usize },
    Storm { dials: usize },
    NoJitter { delay: Duration },
    TooFew { live: usize, minsize: usize },
}

impl Pool {
    pub(crate) fn new(cache: usize, minsize: usize, maxsize: usize) -> Self {
        let (dials, delays) = (Vec::new(), Vec::new());
        Self {
            cache,
            node: 0,
            minsize,
            maxsize,
            poisoned: false,
            over: false,
            dials,
            events: 0,
            failed: None,
            unanswered: None,
            delays,
        }
    }

    /// The pool of one node of a cluster, which is dialled when it is needed.
    pub(crate) fn of_node(cache: usize, node: usize, most: usize) -> Self {
        Self { node, ..Self::new(cache, 0, most) }
    }

    /// Records a dial. The pool has `live` lines, this one included.
    pub(crate) fn dialled(&mut self, now: Instant, live: usize) -> Result<(), Fault> {
        self.dials.push(now);
        self.events += 1;
        if live > self.maxsize {
            return Err(Fault::TooMany { live, maxsize: self.maxsize });
        }
        let recent = self.dials.iter().rev().take_while(|at| now.since(**at) < WINDOW);
        let dials = recent.count();
        let poisoned = if self.poisoned { STORM_OF_POISON } else { 0 };
        if dials > STORM + STORM_A_CONNECTION * self.maxsize + poisoned {
            return Err(Fault::Storm { dials });
        }
        let Some(failed) = self.failed.take().filter(|_| live == 1 && self.minsize > 0) else {
            return Ok(());
        };
        let delay = now.since(failed);
        // Delays are drawn to the nanosecond, so two are never the same. A dial without a wait has
        // no delay, however long the task that dials takes to run.
        if delay > AT_ONCE && self.delays.contains(&delay) {
            return Err(Fault::NoJitter { delay });
        }
        self.delays.push(delay);
        Ok(())
    }

    /// When it was first dialled.
    pub(crate) fn first_dial(&self) -> Option<Instant> {
        self.dials.first().copied()
    }

    /// Records that a line ended, and that `live` lines are left. Returns the number of events so
    /// far.
    pub(crate) fn ended(&mut self, now: Instant, failed: bool, live: usize) -> usize {
        self.failed = (failed && live == 0).then_some(now);
        self.events += 1;
        self.events
    }

    /// How long ago a line ended that had answered nothing, before the one that ends now and has
    /// `answered` or not.
    pub(crate) fn since_unanswered(&mut self, now: Instant, answered: bool) -> Duration {
        let last = if answered { self.unanswered } else { self.unanswered.replace(now) };
        last.map_or(Duration::MAX, |last| now.since(last))
    }

    /// Checks a pool after an end that left time for a dial, if nothing has happened since. It has
    /// `live` lines, and may be busy with one of them.
    pub(crate) fn redialled(&self, events: usize, live: usize, busy: bool) -> Result<(), Fault> {
        let idle = !self.over && !busy && self.events == events;
        if idle && live < self.minsize {
            return Err(Fault::TooFew { live, minsize: self.minsize });
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { live, maxsize } => write!(f, "{live} lines, of {maxsize} that may be"),
            Self::Storm { dials } => write!(f, "{dials} dials within {WINDOW:?}"),
            Self::NoJitter { delay } => write!(f, "two delays of {delay:?}"),
            Self::TooFew { live, minsize } => {
                write!(f, "{live} lines of {minsize}, and no dial in the longest backoff")
            }
        }
    }
}

const WINDOW: Duration = Duration::from_secs(1);
const STORM: usize = 20;
const STORM_A_CONNECTION: usize = 8;
/// After the end of a connection that has answered, the next dial waits for 25 ms in the mean. With
/// enough callers that ask for a poisoned key, each dial leads to the next.
const STORM_OF_POISON: usize = 50;
/// How late a dial without a wait may be.
const AT_ONCE: Duration = Duration::from_micros(10);
