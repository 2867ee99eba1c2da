//! The third mode: stores in memory, ours beside other people's caches, in one process and without
//! a server.
//!
//! | module | duty |
//! |---|---|
//! | `caches` | what is measured, each behind one face |
//! | `keys`, `random`, `zipf` | the keys, and which of them are asked for |
//! | `figures`, `spread` | what was measured, written down |
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
    /// Does it.
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

/// Where results go.
#[derive(Args, Clone, Debug)]
pub(crate) struct Output {
    /// The folder whose memory.tsv the results are added to
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    out: PathBuf,
}

impl Output {
    /// The figures that are there, to which a mode is about to add.
    pub(crate) fn figures(&self, mode: &str) -> Result<Figures> {
        let mut figures = Figures::read(&self.out)?;
        figures.set_conditions(mode, conditions::line("", PACKAGES));
        Ok(figures)
    }

    /// Writes them, and the report on them.
    pub(crate) fn write(&self, figures: &Figures) -> Result<()> {
        figures.write(&self.out)?;
        report::write(figures, &self.out)
    }
}

const PACKAGES: &[&str] =
    &["async-caches", "foyer-memory", "lru", "moka", "quick_cache", "sieve-cache", "TinyUFO"];
