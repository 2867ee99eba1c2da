//! The subject of a count: a client that runs one cell's operation a fixed number of times.

use std::fmt;

use clap::ValueEnum as _;

use crate::cell::{BATCH, Cell, Flavour, Op};
use crate::clients::Name;

use super::ways::{Way, What};

/// A client and a cell.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Subject {
    pub(crate) client: Name,
    pub(crate) cell: Cell,
}

impl Subject {
    /// Each client at each of the usual cells.
    pub(crate) fn usual(clients: &[Name]) -> Vec<Self> {
        let mut subjects = Vec::new();
        for &flavour in Flavour::value_variants() {
            for (op, size) in [(Op::Get, 64), (Op::Set, 64), (Op::Mget, BATCH)] {
                for tasks in [1, 64] {
                    let cell = Cell { flavour, op, size, tasks };
                    let subject = |client: &Name| Self { client: client.clone(), cell };
                    subjects.extend(clients.iter().map(subject));
                }
            }
        }
        subjects
    }

    /// Whether something can be counted for this cell. valgrind runs one thread at a time, so its
    /// counts of several threads would not be theirs.
    pub(crate) fn has(&self, what: What) -> bool {
        match (what.way(), self.cell.flavour) {
            (Way::Callgrind, Flavour::Mt) => false,
            (Way::Callgrind, Flavour::Ct) | (Way::Plain | Way::Strace, _) => true,
        }
    }

    /// The number of operations per task in a run: enough for occasional work to even out, and few
    /// enough for a tool that slows the run down.
    pub(crate) fn operations(&self, way: Way) -> u64 {
        let Cell { op, size, tasks, .. } = self.cell;
        let in_all = match (way, op) {
            (Way::Callgrind, Op::Mget) => 640,
            (Way::Callgrind, _) => 10_000,
            (Way::Plain | Way::Strace, _) if tasks == 1 => 2_000,
            (Way::Plain | Way::Strace, Op::Mget) => 4_000,
            (Way::Plain | Way::Strace, _) => 64_000,
        };
        let smaller = if size > 1024 { 10 } else { 1 };
        (in_all / smaller / tasks as u64).max(FEWEST)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.client, self.cell)
    }
}

const FEWEST: u64 = 10;
