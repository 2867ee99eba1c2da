//! The parent: plans turns, lets clients take them one after another, and writes the results.

mod plan;
mod results;
mod run;
mod summary;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use crate::cell::Cell;
use crate::clients::Name;

/// Measures throughput, latency and client CPU of clients in turn, in interleaved rounds, and
/// writes results.tsv, results.md and results.svg.
#[derive(Args, Debug)]
pub(crate) struct Speed {
    /// About two minutes in all: few cells, short turns, two rounds
    #[arg(long)]
    quick: bool,
    /// Which clients, with options for the URLs of ours: raw,ours,ours@maxsize=1,redis
    #[arg(long, alias = "peers", value_delimiter = ',')]
    clients: Vec<Name>,
    /// Which cells, by the beginnings of their names; `*` matches anything: ct/get/64,*/mget
    #[arg(long, value_delimiter = ',')]
    cells: Vec<String>,
    /// How often each client takes a turn at each cell [default: 3, with --quick 2]
    #[arg(long)]
    rounds: Option<usize>,
    /// How long a turn is measured [default: 0.4, with --quick 0.3]
    #[arg(long)]
    seconds: Option<f64>,
    /// The folder for the results
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    out: PathBuf,
    /// How many connections a pool of ours may open
    #[arg(long)]
    maxsize: Option<usize>,
    /// Use TLS, with the clients that support it, and verify the server's certificate
    #[arg(long)]
    tls: bool,
    /// How many connections a pool of ours keeps open
    #[arg(long)]
    minsize: Option<usize>,
}

impl Speed {
    /// Runs the mode.
    pub(crate) fn run(self) -> Result<()> {
        let clients = match self.clients.is_empty() {
            true => Name::all(),
            false => self.clients.clone(),
        };
        let bounds = [("maxsize", self.maxsize), ("minsize", self.minsize)];
        let bounds = bounds.iter().filter_map(|(name, size)| Some(format!("{name}={}", (*size)?)));
        let bounds = bounds.collect::<Vec<_>>().join("&");
        let clients = clients.into_iter().map(|client| client.with(&bounds)).collect();

        let mut cells =
            if self.quick && self.cells.is_empty() { Cell::quick() } else { Cell::all() };
        if !self.cells.is_empty() {
            cells.retain(|cell| self.cells.iter().any(|pattern| cell.is_named_by(pattern)));
            // A cell that is spelt out in full need not be a usual one.
            let spelt = self.cells.iter().filter_map(|name| name.parse::<Cell>().ok());
            let unusual: Vec<_> = spelt.filter(|cell| !cells.contains(cell)).collect();
            cells.extend(unusual);
        }
        ensure!(!cells.is_empty(), "no cell is named like {}", self.cells.join(","));

        let rounds = self.rounds.unwrap_or(if self.quick { 2 } else { 3 });
        ensure!(rounds > 0, "no rounds, no results");
        let seconds = self.seconds.unwrap_or(if self.quick { 0.3 } else { 0.4 });
        let span = Duration::try_from_secs_f64(seconds)?;
        run::run(&plan::Plan { cells, clients, rounds, span, tls: self.tls }, &self.out)
    }
}
