//! A server, and how children run beside it.
//!
//! If the flavour asks for it and there are two cores, the server gets one core to itself, and
//! every child gets the other.

use std::env;
use std::process::Command;

use anyhow::{Context as _, Result};
use async_caches_conformance::certificates::Authority;
use async_caches_conformance::raw::Raw;
use async_caches_conformance::server::{Kind, Server, Setup, Tls};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use crate::cell::{Cell, Flavour};
use crate::clients::Name;
use crate::dataset::Dataset;

/// A server of one flavour; it is killed when this is dropped.
pub(crate) struct Stage {
    server: Server,
    probe: Raw,
    core: Option<usize>,
    threads: String,
}

/// The server's statistics so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Traffic {
    /// The commands that were executed.
    pub(crate) commands: u64,
    /// The reads in which they arrived.
    pub(crate) reads: u64,
}

impl Stage {
    /// Starts the server, with or without TLS.
    pub(crate) fn open(flavour: Flavour, tls: bool) -> Result<Self> {
        Kind::Redis.program().context(Kind::Redis.remedy())?;
        let own = sched_getaffinity(Pid::from_raw(0))?;
        let mut cores = (0..CpuSet::count()).filter(|&core| own.is_set(core).unwrap_or(false));
        let (setup, core) = match (flavour, cores.next().zip(cores.next())) {
            (Flavour::Ct, Some((server, child))) => {
                (Setup::default().with(&["--server_cpulist", &server.to_string()]), Some(child))
            }
            (Flavour::Ct | Flavour::Mt, _) => (Setup::default(), None),
        };
        let setup = if tls { setup.tls(Tls::of(&Authority::new())) } else { setup };
        let server = Server::start(Kind::Redis, &setup);
        let probe = server.raw(DATABASE);
        Ok(Self { server, probe, core, threads: flavour.threads().to_string() })
    }

    /// Makes the server contain the data of a cell, and nothing else.
    pub(crate) fn load(&mut self, cell: Cell) {
        Dataset::of(cell).load(&mut self.probe);
    }

    /// This program as a child that takes a turn; the duration is still to be added.
    pub(crate) fn child(&self, client: &Name, cell: Cell) -> Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("turn").args(self.arguments(client, cell)).envs(self.environment());
        Ok(command)
    }

    /// The arguments of a turn, except its duration.
    pub(crate) fn arguments(&self, client: &Name, cell: Cell) -> Vec<String> {
        let options = [
            ("--client", Some(client.to_string())),
            ("--cell", Some(cell.to_string())),
            ("--url", Some(self.server.url(DATABASE))),
            ("--cpu", self.core.map(|core| core.to_string())),
        ];
        let given = options.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?]));
        given.flatten().collect()
    }

    /// The environment variables of a child.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 5] {
        let [keep, trim, pad] = KEEP_MEMORY;
        let threads = self.threads.as_str();
        [("SMOL_THREADS", threads), ("ASYNC_STD_THREAD_COUNT", threads), keep, trim, pad]
    }

    /// The server's statistics so far, without this query.
    pub(crate) fn traffic(&mut self) -> Result<Traffic> {
        let info = self.probe.text(&["INFO", "stats"]);
        let figure = |name: &str| {
            let mut figures = info.lines().filter_map(|line| line.strip_prefix(name));
            let figure = figures.next().and_then(|figure| figure.parse().ok());
            figure.with_context(|| format!("no {name} in the server's INFO"))
        };
        let commands = figure("total_commands_processed:")?;
        Ok(Traffic { commands, reads: figure("total_reads_processed:")? })
    }

    /// The server's name and version.
    pub(crate) fn version(&mut self) -> String {
        let info = self.probe.text(&["INFO", "server"]);
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
        format!("redis {}", version.unwrap_or("unknown"))
    }
}

const DATABASE: u32 = 0;

/// glibc's allocator returns the end of a small heap to the system and faults it in again a moment
/// later. A long-lived program with a large heap, or with another allocator, does not see this.
/// Clients that use new buffers for large values would take twice the CPU time only because of it.
const KEEP_MEMORY: [(&str, &str); 3] = [
    ("MALLOC_MMAP_THRESHOLD_", "33554432"),
    ("MALLOC_TRIM_THRESHOLD_", "1073741824"),
    ("MALLOC_TOP_PAD_", "16777216"),
];
