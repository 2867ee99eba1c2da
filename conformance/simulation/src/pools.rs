//! What must hold of one pool's dials: never more links than may be, no storm, delays within their
//! limits, and jittered.

use std::fmt;
use std::time::Duration;

use async_caches::runtime::Instant;

/// What is known of a pool, from outside.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) cache: usize,
    /// Which node of a cluster it is for.
    pub(crate) node: usize,
    pub(crate) minsize: usize,
    pub(crate) maxsize: usize,
    /// Whether its cache has let go of it.
    pub(crate) over: bool,
    dials: Vec<Instant>,
    /// Counts its dials and ends.
    events: usize,
    /// When a dial failed with no other line there, and nothing has happened since.
    failed: Option<Instant>,
    /// How long after that the next dials came.
    delays: Vec<Duration>,
}

/// What did not hold.
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
            over: false,
            dials,
            events: 0,
            failed: None,
            delays,
        }
    }

    /// Those of one node of a cluster, which is dialled when it is needed.
    pub(crate) fn of_node(cache: usize, node: usize, most: usize) -> Self {
        Self { node, ..Self::new(cache, 0, most) }
    }

    /// It dials, and has so many lines with this one.
    pub(crate) fn dialled(&mut self, now: Instant, live: usize) -> Result<(), Fault> {
        self.dials.push(now);
        self.events += 1;
        if live > self.maxsize {
            return Err(Fault::TooMany { live, maxsize: self.maxsize });
        }
        let recent = self.dials.iter().rev().take_while(|at| now.since(**at) < WINDOW);
        let dials = recent.count();
        if dials > STORM + STORM_A_LINK * self.maxsize {
            return Err(Fault::Storm { dials });
        }
        let Some(failed) = self.failed.take().filter(|_| live == 1 && self.minsize > 0) else {
            return Ok(());
        };
        let delay = now.since(failed);
        // Drawn to the nanosecond, two delays are never the same. A dial at once is no delay, however
        // long the task that dials takes to run.
        if delay > AT_ONCE && self.delays.contains(&delay) {
            return Err(Fault::NoJitter { delay });
        }
        self.delays.push(delay);
        Ok(())
    }

    /// When it was dialled first.
    pub(crate) fn first_dial(&self) -> Option<Instant> {
        self.dials.first().copied()
    }

    /// One of its lines ended, and so many are left; answers how often something has happened.
    pub(crate) fn ended(&mut self, now: Instant, failed: bool, live: usize) -> usize {
        self.failed = (failed && live == 0).then_some(now);
        self.events += 1;
        self.events
    }

    /// After an end there was time for a dial, and nothing has happened. It has so many lines, and
    /// may be busy with one of them.
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
const STORM_A_LINK: usize = 8;
/// How late a dial may be that waits for nothing.
const AT_ONCE: Duration = Duration::from_micros(10);
