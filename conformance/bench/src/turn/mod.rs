//! The child: one client measured once, in a process of its own.
//!
//! So the allocator, the threads and the pinning of one turn do not affect another one, and the
//! same child can run under a profiler.

pub(crate) mod host;
pub(crate) mod meter;
pub(crate) mod steps;
pub(crate) mod tasks;

use std::io::{self, Write as _};
use std::panic;
use std::process;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::cell::Cell;
use crate::clients::Name;

pub(crate) use meter::Measured;

/// Measures one client once, against a server that already holds the cell's data, and prints one
/// line of JSON. For clients on smol or async-std, SMOL_THREADS or ASYNC_STD_THREAD_COUNT must be
/// set to the flavour's number of threads.
#[derive(Args, Debug)]
pub(crate) struct Turn {
    /// The client, as in --clients
    #[arg(long)]
    client: Name,
    /// The cell: flavour/op/size/tasks
    #[arg(long)]
    cell: Cell,
    /// The server's URL, without options but tls_ca
    #[arg(long)]
    url: String,
    /// Pin the whole process to this core
    #[arg(long)]
    cpu: Option<usize>,
    /// How long to measure, after a warm-up of 0.1 s
    #[arg(long, default_value_t = 0.4)]
    seconds: f64,
    /// Only do this many operations in each task, then exit: no warm-up, no timing, no output
    /// (for counting by callgrind, strace and the like)
    #[arg(long)]
    ops: Option<u64>,
}

/// The task that a client is given.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) cell: Cell,
    pub(crate) url: String,
    pub(crate) until: Until,
}

/// When the turn ends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Until {
    /// After a warm-up and a measured span of time.
    Span(Duration),
    /// After this many operations in each task.
    Count(u64),
}

impl Turn {
    /// Runs the turn.
    pub(crate) fn run(self) -> Result<()> {
        // Otherwise, after a panic in one task, the other tasks and the parent would wait for ever.
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            report(panic);
            process::exit(101);
        }));
        if let Some(cpu) = self.cpu {
            let mut cpus = CpuSet::new();
            cpus.set(cpu)?;
            sched_setaffinity(Pid::from_raw(0), &cpus).with_context(|| format!("core {cpu}"))?;
        }
        let until = match self.ops {
            Some(ops) => Until::Count(ops),
            None => Until::Span(Duration::try_from_secs_f64(self.seconds)?),
        };
        let who = self.client.who;
        ensure!(who.can(self.cell.op), "{who} cannot do {}", self.cell.op.name());
        let order = Order { cell: self.cell, url: self.client.url(&self.url), until };
        if let Some(measured) = who.turn(&order) {
            writeln!(io::stdout(), "{}", serde_json::to_string(&measured)?)?;
        }
        Ok(())
    }
}
