//! The ways to run a child in order to count: as it is, under callgrind, under strace.
//!
//! Each way counts the child's whole life. This module does not compute one operation's share.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The things that can be counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub(crate) enum What {
    /// Heap allocations and reallocations.
    Allocations,
    /// Bytes of the allocations, and bytes by which the reallocations grew.
    Bytes,
    /// Instructions in user mode.
    Instructions,
    /// System calls.
    Syscalls,
}

/// A way to run a child.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Way {
    /// Without any tool: the child counts its own allocations.
    Plain,
    /// Under callgrind, which is some fifty times slower.
    Callgrind,
    /// Under strace, which stops the child at each system call.
    Strace,
}

/// The result of one run.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Totals {
    /// The count of each thing that this way counts.
    pub(crate) counts: BTreeMap<What, u64>,
    /// The system calls by name, if this way counts them.
    pub(crate) calls: BTreeMap<String, u64>,
}

/// The line with which a child reports its own allocations.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(crate) struct Allocated {
    /// Blocks allocated, and blocks reallocated.
    pub(crate) allocations: u64,
    /// Bytes of the former, and bytes by which the latter grew.
    pub(crate) bytes: u64,
}

impl What {
    /// The way in which it is counted.
    pub(crate) fn way(self) -> Way {
        match self {
            Self::Allocations | Self::Bytes => Way::Plain,
            Self::Instructions => Way::Callgrind,
            Self::Syscalls => Way::Strace,
        }
    }

    /// Formats a count with a sensible precision.
    pub(crate) fn show(self, count: f64) -> String {
        let decimals = self.decimals();
        // A run is never free of noise, so a count that rounds to zero is shown as zero.
        let count = if count.abs() < self.rounding() { 0.0 } else { count };
        format!("{count:.decimals$}")
    }

    /// How far a [shown](Self::show) count may be from the actual one.
    pub(crate) fn rounding(self) -> f64 {
        0.5 / 10_f64.powi(self.decimals() as i32)
    }

    fn decimals(self) -> usize {
        match self {
            Self::Bytes | Self::Instructions => 0,
            Self::Allocations => 2,
            Self::Syscalls => 4,
        }
    }
}

impl Way {
    /// Returns an error that names the missing Debian package, if one is missing.
    pub(crate) fn check(self) -> Result<()> {
        let tool = match self {
            Self::Plain => return Ok(()),
            Self::Callgrind => "valgrind",
            Self::Strace => "strace",
        };
        let status = Command::new(tool).arg("--version").stdout(Stdio::null()).status();
        let runs = status.is_ok_and(|status| status.success());
        ensure!(runs, "{tool} is missing: install the Debian package {tool}");
        Ok(())
    }

    /// Runs this program again, as a turn with these arguments.
    pub(crate) fn run(self, turn: &[String], environment: &[(&str, &str)]) -> Result<Totals> {
        let child = std::env::current_exe()?;
        let folder = tempfile::tempdir()?;
        let report = folder.path().join("report");
        let mut command = match self {
            Self::Plain => {
                let mut command = Command::new(child);
                command.args(["counts", "turn"]);
                command
            }
            Self::Callgrind => {
                let mut command = Command::new("valgrind");
                command.args(["--quiet", "--tool=callgrind"]);
                command.arg(format!("--callgrind-out-file={}", report.display()));
                command.arg(child).arg("turn");
                command
            }
            Self::Strace => {
                let mut command = Command::new("strace");
                command.args(["-f", "-qq", "--summary-only", "--summary-columns=calls,name"]);
                command.arg("--output").arg(&report).arg(child).arg("turn");
                command
            }
        };
        command.args(turn).envs(environment.iter().copied()).stdin(Stdio::null());
        let output = command.output().with_context(|| format!("{command:?}"))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}", output.status, complaint.trim());
        match self {
            Self::Plain => allocated(&String::from_utf8_lossy(&output.stdout)),
            Self::Callgrind => callgrind(&fs::read_to_string(&report)?),
            Self::Strace => strace(&fs::read_to_string(&report)?),
        }
    }
}

fn allocated(output: &str) -> Result<Totals> {
    let line = output.lines().last().unwrap_or_default();
    let Allocated { allocations, bytes } =
        serde_json::from_str(line).with_context(|| format!("the child's last line: {line:?}"))?;
    let counts = BTreeMap::from([(What::Allocations, allocations), (What::Bytes, bytes)]);
    Ok(Totals { counts, calls: BTreeMap::new() })
}

fn callgrind(report: &str) -> Result<Totals> {
    let totals = report.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    let totals = totals.context("callgrind's report has no totals")?.trim().parse()?;
    Ok(Totals { counts: BTreeMap::from([(What::Instructions, totals)]), calls: BTreeMap::new() })
}

fn strace(report: &str) -> Result<Totals> {
    let mut totals = Totals::default();
    for line in report.lines() {
        let Some((calls, name)) = line.trim().split_once(' ') else { continue };
        let Ok(calls) = calls.parse() else { continue };
        match name.trim() {
            "total" => totals.counts.insert(What::Syscalls, calls),
            name => totals.calls.insert(name.to_owned(), calls),
        };
    }
    ensure!(!totals.counts.is_empty(), "strace's report has no total");
    Ok(totals)
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("none is skipped").get_name())
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Callgrind => "callgrind",
            Self::Strace => "strace",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_read_from_callgrinds_totals_line() {
        let report = "events: Ir\nsummary: 7\n\nfn=(0)\n12 3\ntotals: 619461\n";
        let totals = callgrind(report).unwrap();
        assert_eq!(totals.counts, BTreeMap::from([(What::Instructions, 619_461)]));
        assert!(callgrind("events: Ir\nsummary: 7\n").is_err());
    }

    #[test]
    fn syscalls_are_read_from_straces_table_by_name_and_in_total() {
        let report = "    calls syscall\n--------- ------\n       28 close\n        2 epoll_wait\n\
                      --------- ------\n       30 total\n";
        let totals = strace(report).unwrap();
        assert_eq!(totals.counts, BTreeMap::from([(What::Syscalls, 30)]));
        let calls = [("close".to_owned(), 28), ("epoll_wait".to_owned(), 2)];
        assert_eq!(totals.calls, BTreeMap::from(calls));
        assert!(strace("strace: no such process\n").is_err());
    }

    #[test]
    fn only_the_last_line_of_output_is_parsed() {
        let totals = allocated("hello\n{\"allocations\":3,\"bytes\":400}\n").unwrap();
        let counts = [(What::Allocations, 3), (What::Bytes, 400)];
        assert_eq!(totals.counts, BTreeMap::from(counts));
        assert!(allocated("").is_err());
    }
}
