//! Memory: the bytes of a process per entry, everything included.
//!
//! Each cache gets its own process, which allocates nothing else meanwhile. So the growth of the
//! process while the cache is opened and filled is the cache's: its tables, locks, ghosts and the
//! allocator's rounding.

use std::env;
use std::io::{self, Write as _};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::{Args, Subcommand};

use super::Output;
use super::caches::{Room, Who};
use super::keys::Keys;
use super::spread::Spread;
use super::usage;

/// Measures resident bytes per entry: keys of 20 bytes, values of 64 bytes that only the cache
/// keeps, and timeouts.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Resident {
    #[command(subcommand)]
    child: Option<Child>,
    /// A quarter of a million entries instead of a million
    #[arg(long)]
    quick: bool,
    /// Which caches
    #[arg(long, alias = "peers", value_delimiter = ',')]
    clients: Vec<Who>,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand, Debug)]
enum Child {
    /// Fills one cache, and prints the growth of the process and the number of entries.
    #[command(hide = true)]
    Fill { who: Who, entries: u32 },
}

impl Resident {
    /// Runs the mode.
    pub(crate) fn run(self) -> Result<()> {
        if let Some(Child::Fill { who, entries }) = self.child {
            return fill(who, entries);
        }
        let entries = if self.quick { ENTRIES / 4 } else { ENTRIES };
        let mut figures = self.output.figures(MODE)?;
        for who in Who::chosen(&self.clients) {
            let (grown, kept) = child(who, entries)?;
            let each = grown as f64 / kept as f64;
            figures.put(MODE, &entries.to_string(), who.name(), "bytes", Spread::alone(each));
            writeln!(io::stdout(), "{who:<12} {each:>6.1} bytes, {kept} of {entries} are there")?;
        }
        self.output.write(&figures)
    }
}

fn child(who: Who, entries: u32) -> Result<(u64, u64)> {
    let entries = entries.to_string();
    let arguments = ["memory", "resident", "fill", who.name(), &entries];
    let output = Command::new(env::current_exe()?).args(arguments).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{who}: {}", complaint.trim());
    let printed = String::from_utf8(output.stdout)?;
    let (grown, kept) = printed.trim().split_once(' ').context("two numbers")?;
    Ok((grown.parse()?, kept.parse()?))
}

fn fill(who: Who, entries: u32) -> Result<()> {
    let keys = Keys::new(entries);
    let before = usage::resident()?;
    let store = who.open(Room { entries: Some(u64::from(entries)), timeouts: true })?;
    for id in 0..entries {
        store.set(keys.of(id), Bytes::copy_from_slice(&[b'v'; 64]), Some(TIMEOUT));
    }
    store.settle();
    let grown = usage::resident()?.saturating_sub(before);
    let kept = (0..entries).filter(|&id| store.get(keys.of(id)).is_some()).count();
    writeln!(io::stdout(), "{grown} {kept}")?;
    Ok(())
}

pub(crate) const MODE: &str = "resident";
const ENTRIES: u32 = 1_000_000;
const TIMEOUT: Duration = Duration::from_secs(3600);
