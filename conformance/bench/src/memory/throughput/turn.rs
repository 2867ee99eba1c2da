//! One turn: some threads work on one cache for a while.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::stream::{Stream, WARM};
use crate::memory::caches::Store;

/// The rate of a turn.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Rate {
    /// Operations per second; a get and the set after its miss count as one.
    pub(crate) ops_s: f64,
    /// The share of all operations that were gets that hit.
    pub(crate) hits: f64,
}

/// The latency of single gets in nanoseconds, including reading the clock.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// A cache that works on a stream; each thread begins at its own position.
pub(crate) struct Turn<'t> {
    pub(crate) stream: &'t Stream,
    pub(crate) store: &'t dyn Store,
    pub(crate) threads: usize,
    pub(crate) span: Duration,
    /// The number of the turn, so that no cache sees the same requests again; the same for all
    /// caches.
    pub(crate) number: usize,
}

impl Turn<'_> {
    /// Measures the operations per second.
    pub(crate) fn rate(&self) -> Rate {
        let (counts, seconds) = self.run(|at, stop| {
            let (mut ops, mut hits) = (0_u64, 0_u64);
            let mut requests = self.stream.from(at);
            while !stop.load(Ordering::Relaxed) {
                for request in requests.by_ref().take(BATCH) {
                    hits += u64::from(self.stream.carry_out(request, self.store));
                }
                ops += BATCH as u64;
            }
            (ops, hits)
        });
        let (ops, hits) = counts.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        Rate { ops_s: ops as f64 / seconds, hits: hits as f64 / ops.max(1) as f64 }
    }

    /// Measures the latency of gets. The sets in between are not timed.
    pub(crate) fn latency(&self) -> Latency {
        let (times, _) = self.run(|at, stop| {
            let mut times = Vec::with_capacity(MOST_TIMES);
            for request in self.stream.from(at) {
                if stop.load(Ordering::Relaxed) || times.len() == MOST_TIMES {
                    break;
                }
                let begin = Instant::now();
                let hit = self.stream.get(request, self.store);
                times.push(begin.elapsed().as_nanos() as u32);
                if !hit {
                    self.stream.set(request, self.store);
                }
            }
            times
        });
        let mut times = times.concat();
        times.sort_unstable();
        let at = |share: f64| {
            let place = (times.len() as f64 * share) as usize;
            f64::from(times.get(place).copied().unwrap_or_default())
        };
        Latency { p50: at(0.5), p99: at(0.99) }
    }

    /// Runs `work` on all threads, each from its own position until it is told to stop. Returns
    /// each thread's result, and the seconds that they ran.
    fn run<T: Send>(&self, work: impl Fn(usize, &AtomicBool) -> T + Sync) -> (Vec<T>, f64) {
        let (stop, ready) = (AtomicBool::new(false), Barrier::new(self.threads + 1));
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads)
                .map(|thread| {
                    let (stop, ready, work) = (&stop, &ready, &work);
                    let at = self.place(thread);
                    scope.spawn(move || {
                        ready.wait();
                        work(at, stop)
                    })
                })
                .collect();
            ready.wait();
            let begin = Instant::now();
            thread::sleep(self.span);
            stop.store(true, Ordering::Relaxed);
            let seconds = begin.elapsed().as_secs_f64();
            let done = workers.into_iter().map(|worker| worker.join().expect("no work panics"));
            (done.collect(), seconds)
        })
    }

    fn place(&self, thread: usize) -> usize {
        WARM + self.number * REGION + thread * (REGION / self.threads)
    }
}

/// The number of operations between two checks whether to stop.
const BATCH: usize = 32;
/// The part of the stream that a turn has to itself: about what the fastest cache gets through.
const REGION: usize = 600_011;
/// The highest number of gets of a thread that are timed in a turn.
const MOST_TIMES: usize = 1 << 20;
