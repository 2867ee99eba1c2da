//! Throughput: all caches are warm in one process and take short turns at a cell, one after
//! another. Every round begins with another cache, so that other load on the machine affects all
//! alike.

mod cell;
mod stream;
mod summary;
mod turn;

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use self::cell::Cell;
use self::stream::{KEYS, ROOM, Stream};
use self::summary::{Sample, Summary};
use self::turn::Turn;
use super::Output;
use super::caches::{Room, Store, Who};
use super::keys::Keys;
use crate::cell::names;

/// Measures operations a second, and how long a get takes, at 1, 2 and 8 threads.
#[derive(Args, Debug)]
pub(crate) struct Throughput {
    /// Half a minute in all: with timeouts only, two rounds
    #[arg(long)]
    quick: bool,
    /// Which caches
    #[arg(long, alias = "peers", value_delimiter = ',')]
    clients: Vec<Who>,
    /// Which cells, by the beginnings of their names; `*` matches anything: zipf/on,*/1
    #[arg(long, value_delimiter = ',')]
    cells: Vec<String>,
    /// How often each cache takes a turn at each cell [default: 7, with --quick 2]
    #[arg(long)]
    rounds: Option<usize>,
    /// How long a turn is
    #[arg(long, default_value_t = 80)]
    millis: u64,
    #[command(flatten)]
    output: Output,
}

impl Throughput {
    /// Runs the mode.
    pub(crate) fn run(self) -> Result<()> {
        let whos = Who::chosen(&self.clients);
        let rounds = self.rounds.unwrap_or(if self.quick { 2 } else { 7 });
        ensure!(rounds > 0, "no rounds, no results");
        let mut cells = Cell::all();
        cells.retain(|cell| match self.cells.is_empty() {
            true => cell.timeouts || !self.quick,
            false => self.cells.iter().any(|pattern| names(pattern, &cell.to_string())),
        });
        ensure!(!cells.is_empty(), "no cell is named like {}", self.cells.join(","));

        let keys = Keys::new(KEYS);
        let span = Duration::from_millis(self.millis);
        let alike = |one: &Cell, other: &Cell| {
            (one.workload, one.timeouts) == (other.workload, other.timeouts)
        };
        for group in cells.chunk_by(alike) {
            let stream = Stream::new(keys, group[0].workload, group[0].timeouts);
            let room = Room { entries: Some(u64::from(ROOM)), timeouts: group[0].timeouts };
            let stores = whos.iter().map(|who| who.open(room)).collect::<Result<Vec<_>>>()?;
            stores.iter().for_each(|store| stream.warm(&**store));
            for (cell, samples) in measure(group, &stream, &stores, rounds, span) {
                self.tell(cell, &whos, &samples)?;
            }
        }
        Ok(())
    }

    fn tell(&self, cell: Cell, whos: &[Who], samples: &[Vec<Sample>]) -> Result<()> {
        let of = |name: &str| {
            let at = whos.iter().position(|who| who.name() == name);
            at.map(|at| samples[at].as_slice())
        };
        let name = cell.to_string();
        let mut figures = self.output.figures(MODE)?;
        for (who, samples) in whos.iter().zip(samples) {
            let raw = of(Who::Ours.name()).filter(|_| *who == Who::OursCache);
            let Some(summary) = Summary::of(samples, of(MEASURE), raw) else { continue };
            for (what, value) in summary.figures() {
                figures.put(MODE, &name, who.name(), what, value);
            }
            writeln!(io::stdout(), "{name:<12} {who:<12} {summary}")?;
        }
        self.output.write(&figures)
    }
}

/// Measures each cell, and returns the samples of all rounds for each cache.
fn measure(
    cells: &[Cell],
    stream: &Stream,
    stores: &[Box<dyn Store>],
    rounds: usize,
    span: Duration,
) -> Vec<(Cell, Vec<Vec<Sample>>)> {
    let none = vec![Vec::new(); stores.len()];
    let mut samples: Vec<_> = cells.iter().map(|&cell| (cell, none.clone())).collect();
    let mut number = 0;
    for round in 0..rounds {
        for (cell, samples) in &mut samples {
            for at in (0..stores.len()).map(|turn| (round + turn) % stores.len()) {
                let threads = cell.threads;
                let turn = |number| Turn { stream, store: &*stores[at], threads, span, number };
                let rate = turn(number).rate();
                let latency = cell.has_latency().then(|| turn(number + 1).latency());
                samples[at].push(Sample { rate, latency });
            }
            number += 2;
        }
    }
    samples
}

pub(crate) const MODE: &str = "throughput";
/// The reference cache, by whose turns all others are divided.
const MEASURE: &str = "quick_cache";
