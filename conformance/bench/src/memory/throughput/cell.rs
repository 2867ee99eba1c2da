//! Cells: a workload, whether values have timeouts, and a number of threads.
//!
//! A cell is written `workload/timeouts/threads`, as in `zipf/on/2`, in code, on the command line
//! and in the results alike.

use std::fmt;

use clap::ValueEnum;

/// The requests of a cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Workload {
    /// Gets, and a set after each that misses: Zipf(0.99) over ten times as many keys as fit.
    Zipf,
    /// Gets of keys that exist: Zipf(0.99) over half as many keys as fit.
    Hits,
    /// As many sets as gets, in random order: Zipf(0.99) over ten times as many keys as fit.
    Half,
}

/// A cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cell {
    pub(crate) workload: Workload,
    pub(crate) timeouts: bool,
    pub(crate) threads: usize,
}

impl Cell {
    /// All cells, in the order of the report; cells that share warm caches are adjacent.
    pub(crate) fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for timeouts in [true, false] {
            for &workload in Workload::value_variants() {
                let cell = |&threads: &usize| Self { workload, timeouts, threads };
                cells.extend(THREADS.iter().map(cell));
            }
        }
        cells
    }

    /// Whether the latency of single gets is measured too, in separate turns.
    pub(crate) fn has_latency(self) -> bool {
        self.threads <= 2 && self.workload != Workload::Half
    }
}

impl Workload {
    /// The workload's name within a cell's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zipf => "zipf",
            Self::Hits => "hits",
            Self::Half => "half",
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timeouts = if self.timeouts { "on" } else { "off" };
        write!(f, "{}/{timeouts}/{}", self.workload.name(), self.threads)
    }
}

const THREADS: [usize; 3] = [1, 2, 8];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_has_a_distinct_name() {
        let mut names: Vec<_> = Cell::all().iter().map(Cell::to_string).collect();
        assert_eq!((names.len(), names[0].as_str()), (18, "zipf/on/1"));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 18);
    }
}
