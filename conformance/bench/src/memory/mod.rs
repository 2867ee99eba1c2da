//! The third mode: in-memory stores, ours beside those of other projects, in one process and
//! without a server.
//!
//! | module | duty |
//! |---|---|
//! | `caches` | the measured caches behind one trait |
//! | `keys`, `random`, `zipf` | the keys, and the order of requests |
//! | `figures`, `spread` | results, and their file |
//! | `throughput` | operations a second, and how long a get takes |
//! | `resident`, `usage` | bytes of memory an entry |
//! | `hits` | hit ratios, beside the best that any policy could do |
//! | `stalls` | the longest single operation |
//! | `report` | tables and a chart |

mod caches;
mod figures;
mod hits;
mod keys;
mod random;
mod report;
mod resident;
mod spread;
mod stalls;
mod throughput;
mod usage;
mod zipf;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use self::figures::Figures;
use crate::conditions;

/// Measures stores in memory.
#[derive(Args, Debug)]
pub(crate) struct Memory {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand, Debug)]
enum Mode {
    Throughput(throughput::Throughput),
    Resident(resident::Resident),
    Hits(hits::Hits),
    Stalls(stalls::Stalls),
    /// Makes tables and chart again from memory.tsv in a folder
    Report {
        /// The folder
        folder: PathBuf,
    },
}

impl Memory {
    /// Runs the mode.
    pub(crate) fn run(self) -> Result<()> {
        match self.mode {
            Mode::Throughput(throughput) => throughput.run(),
            Mode::Resident(resident) => resident.run(),
            Mode::Hits(hits) => hits.run(),
            Mode::Stalls(stalls) => stalls.run(),
            Mode::Report { folder } => report::write(&Figures::read(&folder)?, &folder),
        }
    }
}

/// The destination of the results.
#[derive(Args, Clone, Debug)]
pub(crate) struct Output {
    /// The folder whose memory.tsv the results are added to
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    out: PathBuf,
}

impl Output {
    /// The existing figures, to which a mode will add.
    pub(crate) fn figures(&self, mode: &str) -> Result<Figures> {
        let mut figures = Figures::read(&self.out)?;
        figures.set_conditions(mode, conditions::line("", PACKAGES));
        Ok(figures)
    }

    /// Writes the figures and the report on them.
    pub(crate) fn write(&self, figures: &Figures) -> Result<()> {
        figures.write(&self.out)?;
        report::write(figures, &self.out)
    }
}

const PACKAGES: &[&str] =
    &["async-caches", "foyer-memory", "lru", "moka", "quick_cache", "sieve-cache", "TinyUFO"];
