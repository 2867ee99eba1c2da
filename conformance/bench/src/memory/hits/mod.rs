//! Hit ratios: reads traces through caches with room for a part of the distinct keys, beside plain
//! LRU and Belady's OPT. Nothing is timed, so two threads share the work.

mod generated;
mod opt;
mod trace;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;
use bytes::Bytes;
use clap::Args;

use self::trace::Trace;
use super::Output;
use super::caches::{self, Room, Store, Who};
use super::keys::Keys;
use super::report::shares;
use super::spread::Spread;

/// Measures hit ratios over traces and generated workloads, beside plain LRU and Belady's OPT.
#[derive(Args, Debug)]
pub(crate) struct Hits {
    /// Only caches of 5 % of the distinct keys
    #[arg(long)]
    quick: bool,
    /// A folder with traces, NAME.u32.zst: zstd of little-endian 32-bit ids
    #[arg(long)]
    traces: Option<PathBuf>,
    /// Which caches [default: all bounded ones except ours-cache, which hits like ours]
    #[arg(long, alias = "peers", value_delimiter = ',')]
    clients: Vec<Who>,
    #[command(flatten)]
    output: Output,
}

/// A trace, and the number of keys that there is room for.
struct Cell {
    trace: Trace,
    percent: u32,
    room: u32,
}

/// The cache or policy to measure.
#[derive(Clone, Copy)]
enum Asked {
    Cache(Who),
    Lru,
    Opt,
}

impl Hits {
    /// Runs the mode.
    pub(crate) fn run(self) -> Result<()> {
        let cells = self.cells()?;
        let whos = match self.clients.is_empty() {
            true => {
                let not = [Who::OursCache, Who::Lru, Who::Unbounded];
                Who::chosen(&[]).into_iter().filter(|who| !not.contains(who)).collect()
            }
            false => self.clients.clone(),
        };
        let asked = whos.into_iter().map(Asked::Cache).chain([Asked::Lru, Asked::Opt]);
        let asked: Vec<_> = asked.collect();
        let tasks: Vec<_> =
            cells.iter().flat_map(|cell| asked.iter().map(move |&who| (cell, who))).collect();
        let ratios = all(&tasks)?;

        let mut figures = self.output.figures(MODE)?;
        for ((cell, asked), ratio) in tasks.iter().zip(ratios) {
            let (name, value) = (cell.name(), Spread::alone(100.0 * ratio));
            figures.put(MODE, &name, asked.name(), "hit_pct", value);
        }
        write!(io::stdout(), "{}\n{}", shares::cells(&figures), shares::summary(&figures))?;
        self.output.write(&figures)
    }

    fn cells(&self) -> Result<Vec<Cell>> {
        let percents = if self.quick { &PERCENTS[1..2] } else { PERCENTS };
        let mut traces = generated::fixed();
        if let Some(folder) = &self.traces {
            traces.extend(Trace::read_all(folder)?);
        }
        let mut cells = Vec::new();
        for &percent in percents {
            let room = LOOP_ROOM * percent / 100;
            for trace in
                [generated::a_loop(room), generated::once_more(room), generated::sets(room)]
            {
                cells.push(Cell { trace, percent, room });
            }
            cells.extend(traces.iter().map(|trace| {
                let room = (trace.distinct() * percent / 100).max(1);
                Cell { trace: trace.clone(), percent, room }
            }));
        }
        if !self.quick {
            let trace = generated::zipf_of_a_million();
            // The longest first, so that both threads end at about the same time.
            cells.insert(0, Cell { trace, percent: 10, room: 100_000 });
        }
        Ok(cells)
    }
}

impl Cell {
    fn name(&self) -> String {
        format!("{}/{}", self.trace.name, self.percent)
    }

    /// The share of the requests that hit.
    fn ratio(&self, asked: Asked, keys: Keys) -> Result<f64> {
        let room = Room { entries: Some(u64::from(self.room)), timeouts: false };
        let hits = match asked {
            Asked::Cache(who) => self.replay(&*who.open(room)?, keys),
            Asked::Lru => self.replay(&*caches::exact_lru(self.room), keys),
            Asked::Opt => opt::hits(&self.trace, self.room as usize),
        };
        Ok(hits as f64 / (self.trace.ids.len() - self.trace.warm) as f64)
    }

    fn replay(&self, store: &dyn Store, keys: Keys) -> u64 {
        let mut hits = 0;
        for (at, &id) in self.trace.ids.iter().enumerate() {
            let key = keys.of(id);
            if store.get(key).is_none() {
                store.set(key, Bytes::new(), None);
            } else if at >= self.trace.warm {
                hits += 1;
            }
            if at % SETTLE == 0 {
                store.settle();
            }
        }
        hits
    }
}

impl Asked {
    fn name(self) -> &'static str {
        match self {
            Self::Cache(who) => who.name(),
            Self::Lru => "lru",
            Self::Opt => shares::OPT,
        }
    }
}

/// The hit ratios of all tasks, in their order.
fn all(tasks: &[(&Cell, Asked)]) -> Result<Vec<f64>> {
    let ends = tasks.iter().map(|(cell, _)| cell.trace.end());
    let keys = Keys::new(ends.max().unwrap_or_default());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((cell, asked)) = tasks.get(at) else { return Ok(done) };
            done.push((at, cell.ratio(*asked, keys)?));
        }
    };
    let done: Result<Vec<_>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("no work panics")).collect()
    });
    let mut done = done?.concat();
    done.sort_by_key(|&(at, _)| at);
    Ok(done.into_iter().map(|(_, ratio)| ratio).collect())
}

pub(crate) const MODE: &str = "hits";
const PERCENTS: &[u32] = &[1, 5, 20];
/// The number of keys of which the caches for the loop have room for a part.
const LOOP_ROOM: u32 = 50_000;
/// The number of requests after which a cache may do deferred work.
const SETTLE: usize = 64;
const THREADS: usize = 2;
