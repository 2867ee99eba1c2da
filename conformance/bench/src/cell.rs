//! Cells: what the benchmark measures. A cell is a flavour, an operation, a size of values and a
//! number of tasks.
//!
//! A cell is written `flavour/op/size/tasks`, as in `ct/get/64/16`, in code, on the command line
//! and in the results alike. A cell does not include the client.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Error, ensure};
use clap::ValueEnum;

/// How client and server share the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Flavour {
    /// The client has one thread on one core; the server runs on another core.
    Ct,
    /// The client has two threads; no thread is pinned.
    Mt,
}

/// An operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Op {
    /// One `GET` that hits.
    Get,
    /// One `SET` with a timeout of ten minutes.
    Set,
    /// One `MGET` of [`BATCH`] keys that hit.
    Mget,
    /// Nine `GET`s, then a `SET`.
    Mix,
    /// A `GET` that hits, decoded from JSON; only for our client.
    GetJson,
    /// A `get_or_set` that hits, decoded from the same JSON; only for our client.
    GetOrSet,
    /// One `GET` that hits, while another task keeps fetching a value of [`LARGE`] bytes.
    BesideLarge,
}

/// A cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cell {
    pub(crate) flavour: Flavour,
    pub(crate) op: Op,
    /// The number of bytes of a value.
    pub(crate) size: usize,
    /// The number of tasks, each of which has one operation under way at any time.
    pub(crate) tasks: usize,
}

impl Cell {
    /// All cells, in the order of the report.
    pub(crate) fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for flavour in Flavour::value_variants() {
            for op in Op::value_variants() {
                for &(size, tasks) in op.shapes() {
                    let cell = |&tasks| Self { flavour: *flavour, op: *op, size, tasks };
                    cells.extend(tasks.iter().map(cell));
                }
            }
        }
        cells
    }

    /// The few most informative cells.
    pub(crate) fn quick() -> Vec<Self> {
        let flavours = Flavour::value_variants().iter().map(|flavour| flavour.name());
        let names =
            flavours.flat_map(|name| QUICK.iter().map(move |rest| format!("{name}/{rest}")));
        names.map(|name| name.parse().expect("it is well written")).collect()
    }

    /// A task samples the latency of one in this many operations, and of every operation if they
    /// are slow.
    pub(crate) fn stride(self) -> u64 {
        let slow = self.tasks == 1 || self.size >= 16 * 1024 || self.op == Op::BesideLarge;
        if slow { 1 } else { 16 }
    }

    /// Whether a pattern matches this cell's name: it must match the beginning, and `*` matches any
    /// text.
    pub(crate) fn is_named_by(&self, pattern: &str) -> bool {
        names(pattern, &self.to_string())
    }
}

/// Whether a pattern matches the name of a cell.
pub(crate) fn names(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    // `ct/get/64/1` matches that one cell, but not `ct/get/64/16`.
    !pattern.ends_with(|last: char| last.is_ascii_digit())
        || !rest.starts_with(|next: char| next.is_ascii_digit())
}

impl Op {
    /// The sizes of values, each with its numbers of tasks.
    fn shapes(self) -> &'static [(usize, &'static [usize])] {
        match self {
            Self::Get | Self::Set => &[
                (64, &[1, 16, 64, 256, 1024]),
                (1024, &[1, 16, 64, 256, 1024]),
                (16 * 1024, &[1, 16, 64, 256, 1024]),
                (1024 * 1024, &[1, 16, 64]),
            ],
            Self::Mget => &[(100, &[1, 64, 1024])],
            Self::Mix | Self::GetJson | Self::GetOrSet => &[(64, &[1, 64, 1024])],
            Self::BesideLarge => &[(64, &[16])],
        }
    }

    /// The operation's name within a cell's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Mget => "mget",
            Self::Mix => "mix",
            Self::GetJson => "get_json",
            Self::GetOrSet => "get_or_set",
            Self::BesideLarge => "beside_large",
        }
    }
}

impl Flavour {
    /// The flavour's name within a cell's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ct => "ct",
            Self::Mt => "mt",
        }
    }

    /// The number of threads of a client.
    pub(crate) fn threads(self) -> usize {
        match self {
            Self::Ct => 1,
            Self::Mt => 2,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flavour, op, size, tasks } = self;
        write!(f, "{}/{}/{size}/{tasks}", flavour.name(), op.name())
    }
}

impl FromStr for Cell {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let parts: Vec<_> = name.split('/').collect();
        let [flavour, op, size, tasks] = parts[..] else {
            return Err(Error::msg(format!("{name:?} is no cell: flavour/op/size/tasks")));
        };
        let known = |_| Error::msg(format!("{name:?} is no cell"));
        let cell = Self {
            flavour: Flavour::from_str(flavour, false).map_err(known)?,
            op: Op::from_str(op, false).map_err(known)?,
            size: size.parse().with_context(|| format!("the size in {name:?}"))?,
            tasks: tasks.parse().with_context(|| format!("the tasks in {name:?}"))?,
        };
        ensure!(cell.size > 0 && cell.tasks > 0, "{name:?} has nothing to do");
        Ok(cell)
    }
}

/// The number of keys of one `MGET`.
pub(crate) const BATCH: usize = 100;
/// The number of bytes of the value that is fetched beside the small ones.
pub(crate) const LARGE: usize = 16 * 1024 * 1024;

const QUICK: &[&str] = &["get/64/1", "get/64/64", "get/64/1024", "set/64/64", "mget/100/64"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_cell_parses_back() {
        for cell in Cell::all() {
            assert_eq!(cell.to_string().parse::<Cell>().unwrap(), cell);
        }
        assert!("ct/get/64".parse::<Cell>().is_err());
        assert!("ct/get/64/0".parse::<Cell>().is_err());
    }

    #[test]
    fn a_pattern_matches_a_prefix_but_no_part_of_a_number() {
        let cell: Cell = "ct/get/64/16".parse().unwrap();
        for pattern in ["", "ct", "ct/get", "ct/get/64", "*/get", "ct/*/16", "ct/get/64/16", "*16"]
        {
            assert!(cell.is_named_by(pattern), "{pattern}");
        }
        for pattern in ["mt", "ct/set", "ct/get/6", "ct/get/64/1", "*/64/64"] {
            assert!(!cell.is_named_by(pattern), "{pattern}");
        }
    }
}
