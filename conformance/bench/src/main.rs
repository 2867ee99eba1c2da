//! Measures `async-caches` beside other Redis clients and beside the raw wire.
//!
//! `speed`, the default, runs clients in turn; `report` makes a table and a chart from its results.
//! `counts` counts instead of timing, `cluster` measures on a cluster, and `memory` measures
//! in-memory stores, which need no server.

mod cell;
mod clients;
mod cluster;
mod conditions;
mod counts;
mod dataset;
mod memory;
mod report;
mod speed;
mod stage;
#[allow(
    dead_code,
    unused_imports,
    reason = "it is a module of the client, for others of its modules"
)]
#[path = "../../../adapters/client/src/sync.rs"]
mod sync;
mod turn;

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::clients::Name;

/// Measures async-caches beside other Redis clients and beside the raw wire.
#[derive(Parser, Debug)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    speed: speed::Speed,
}

#[derive(Subcommand, Debug)]
enum Mode {
    Speed(speed::Speed),
    Counts(counts::Args),
    Cluster(cluster::Cluster),
    Memory(memory::Memory),
    /// Makes table and chart again from the results in a folder
    Report {
        /// The folder
        folder: PathBuf,
    },
    /// Prints the configuration of each client
    Clients,
    #[command(hide = true)]
    Turn(turn::Turn),
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.mode.unwrap_or(Mode::Speed(cli.speed)) {
        Mode::Speed(speed) => speed.run(),
        Mode::Counts(args) => counts::run(args),
        Mode::Cluster(cluster) => cluster.run(),
        Mode::Memory(memory) => memory.run(),
        Mode::Report { folder } => report::write(&folder),
        Mode::Clients => {
            for name in Name::all() {
                writeln!(io::stdout(), "{name}: {}", name.who.about())?;
            }
            Ok(())
        }
        Mode::Turn(turn) => turn.run(),
    }
}
