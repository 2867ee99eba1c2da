//! The measurements of a turn: operations, time, CPU time and context switches between two
//! instants, and latencies sampled between them.
//!
//! Each task has a counter of its own, which only it writes, and samples only some of many fast
//! operations. So measuring costs little, and the same for all clients.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::{Deserialize, Serialize};

use super::Until;
use super::host::Host;

/// One turn's figures, as the child prints them.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub(crate) struct Measured {
    pub(crate) ops: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) switches: u64,
}

/// The state shared by the tasks and the code that measures them.
#[derive(Debug)]
pub(crate) struct Meter {
    phase: AtomicU8,
    counts: Box<[Count]>,
    until: Until,
    stride: u64,
}

/// A count on a cache line of its own.
#[derive(Default, Debug)]
#[repr(align(64))]
struct Count(AtomicU64);

/// One task's part: it decides whether to continue, and counts and samples.
#[derive(Debug)]
pub(crate) struct Pace<'m> {
    meter: &'m Meter,
    count: &'m AtomicU64,
    done: u64,
    limit: u64,
    nanoseconds: Vec<u32>,
}

impl Meter {
    /// A meter of this many tasks, each of which samples one in `stride` operations.
    pub(crate) fn new(tasks: usize, until: Until, stride: u64) -> Self {
        let counts = (0..tasks).map(|_| Count::default()).collect();
        Self { phase: AtomicU8::new(WARM_UP), counts, until, stride }
    }

    /// The part of one task.
    pub(crate) fn pace(&self, task: usize) -> Pace<'_> {
        let limit = match self.until {
            Until::Count(limit) => limit,
            Until::Span(_) => u64::MAX,
        };
        let count = &self.counts[task].0;
        Pace { meter: self, count, done: 0, limit, nanoseconds: Vec::new() }
    }

    /// Waits while the tasks work, then tells them to stop. The caller joins the tasks and
    /// [adds](Measured::add_latencies) their latencies. Returns `None` if the tasks do a fixed
    /// number of operations, as they then stop by themselves and nothing is timed.
    pub(crate) async fn measure(&self, host: Host) -> Option<Measured> {
        let Until::Span(span) = self.until else { return None };
        host.sleep(WARM_UP_SPAN).await;
        let (began, cpu, ops) = (Instant::now(), usage(), self.ops());
        self.phase.store(MEASURING, Ordering::Relaxed);
        host.sleep(span).await;
        self.phase.store(STOPPED, Ordering::Relaxed);
        let (seconds, used) = (began.elapsed().as_secs_f64(), usage());
        Some(Measured {
            ops: self.ops() - ops,
            seconds,
            cpu_seconds: cpu_seconds(&used) - cpu_seconds(&cpu),
            p50_us: None,
            p99_us: None,
            switches: switches(&used) - switches(&cpu),
        })
    }

    /// Whether the tasks were told to stop.
    pub(crate) fn stopped(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == STOPPED
    }

    fn ops(&self) -> u64 {
        self.counts.iter().map(|count| count.0.load(Ordering::Relaxed)).sum()
    }
}

impl Pace<'_> {
    /// Whether to do one more operation.
    pub(crate) fn goes_on(&self) -> bool {
        self.done < self.limit && !self.meter.stopped()
    }

    /// Begins an operation. Returns the time if this operation is a sample.
    pub(crate) fn begin(&self) -> Option<Instant> {
        let sampled = matches!(self.meter.until, Until::Span(_));
        (sampled && self.done.is_multiple_of(self.meter.stride)).then(Instant::now)
    }

    /// Ends operations that began at the same time.
    pub(crate) fn end(&mut self, began: Option<Instant>, operations: u64) {
        self.done += operations;
        self.count.store(self.done, Ordering::Relaxed);
        if let Some(began) = began
            && self.meter.phase.load(Ordering::Relaxed) == MEASURING
        {
            let span = began.elapsed().as_nanos();
            self.nanoseconds.push(span.try_into().unwrap_or(u32::MAX));
        }
    }

    /// The sampled latencies.
    pub(crate) fn into_nanoseconds(self) -> Vec<u32> {
        self.nanoseconds
    }
}

impl Measured {
    /// Adds the latencies that the tasks sampled.
    pub(crate) fn add_latencies(&mut self, mut nanoseconds: Vec<u32>) {
        nanoseconds.sort_unstable();
        let at = |share: f64| {
            let rank = (nanoseconds.len() as f64 * share).ceil() as usize;
            let sample = nanoseconds.get(rank.saturating_sub(1));
            sample.map(|&sample| f64::from(sample) / 1e3)
        };
        (self.p50_us, self.p99_us) = (at(0.50), at(0.99));
    }
}

fn usage() -> Usage {
    getrusage(UsageWho::RUSAGE_SELF).expect("it tells")
}

fn cpu_seconds(usage: &Usage) -> f64 {
    let spent = usage.user_time() + usage.system_time();
    Duration::from_micros(spent.num_microseconds().unsigned_abs()).as_secs_f64()
}

fn switches(usage: &Usage) -> u64 {
    usage.voluntary_context_switches().unsigned_abs()
}

const WARM_UP: u8 = 0;
const MEASURING: u8 = 1;
const STOPPED: u8 = 2;
const WARM_UP_SPAN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_rank() {
        let mut measured = Measured {
            ops: 100,
            seconds: 1.0,
            cpu_seconds: 1.0,
            p50_us: None,
            p99_us: None,
            switches: 0,
        };
        measured.add_latencies((1..=100).rev().map(|us| us * 1000).collect());
        assert_eq!((measured.p50_us, measured.p99_us), (Some(50.0), Some(99.0)));
        measured.add_latencies(Vec::new());
        assert_eq!((measured.p50_us, measured.p99_us), (None, None));
    }

    #[test]
    fn a_task_with_a_fixed_count_stops_and_samples_nothing() {
        let meter = Meter::new(2, Until::Count(3), 1);
        let mut pace = meter.pace(1);
        while pace.goes_on() {
            let began = pace.begin();
            pace.end(began, 1);
        }
        assert_eq!(meter.ops(), 3);
        assert!(pace.into_nanoseconds().is_empty());
    }
}
