//! The speed targets, and whether they are reached: each target with its worst cell.

use std::fmt::{self, Write as _};

use super::counts::Counts;
use super::results::{OURS, RAW, Results, Row};
use crate::cell::{Cell, Flavour, Op};

/// One line of the table.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) must: Goal,
    pub(crate) aim: Goal,
}

/// A bound that all of these figures must keep.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Goal {
    bound: Bound,
    /// What the figures are relative to, in words.
    of: &'static str,
    figures: Vec<Figure>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// One cell's figure.
#[derive(Clone, PartialEq, Debug)]
struct Figure {
    place: String,
    value: f64,
    /// The most favourable value within the rounds' ranges.
    at_best: f64,
}

/// Whether a goal is reached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Verdict {
    Reached,
    /// Not reached by the medians, but possible within the rounds' ranges.
    Open,
    Missed,
    NotMeasured,
}

/// The table of all targets.
pub(crate) fn table(results: &Results, counts: &Counts) -> String {
    let mut text = String::from(HEAD);
    for Target { what, must, aim } in targets(results, counts) {
        let _ = writeln!(text, "| {what} | {must} | {aim} |");
    }
    text.push_str(NOTE);
    text
}

/// All targets.
pub(crate) fn targets(results: &Results, counts: &Counts) -> Vec<Target> {
    let small = |cell: &Cell| is_get_or_set(cell) && cell.size == 64 && cell.tasks >= 16;
    let at_64 = |cell: &Cell| cell.op == Op::Get && cell.size == 64 && cell.tasks == 64;
    let one_task = |cell: &Cell| cell.tasks == 1;
    let large = |cell: &Cell| is_get_or_set(cell) && cell.size >= 16 * 1024 && cell.tasks == 64;
    let best = |cell| results.best_peer(cell);
    let raw = |cell| results.row(cell, RAW);
    let peers = "the best peer's";
    let other_runtimes = |other: &str| {
        let clients = ["ours-smol", "ours-async-std"];
        let each =
            clients.map(|ours| ratios(results, ours, small, |cell| results.row(cell, other)));
        each.concat()
    };
    vec![
        Target {
            what: "GET and SET 64 B, 16 to 1024 tasks, tokio",
            must: at_least(1.8, peers, ratios(results, OURS, small, best)),
            aim: at_least(
                3.0,
                "the best peer's at 64 and more",
                ratios(results, OURS, |cell| small(cell) && cell.tasks >= 64, best),
            ),
        },
        {
            let cells = |cell: &Cell| {
                let counts = cell.tasks == 64 || cell.tasks == 1024;
                cell.op == Op::Get && cell.size == 64 && cell.flavour == Flavour::Ct && counts
            };
            let figures = ratios(results, OURS, cells, raw);
            Target {
                what: "GET 64 B, current-thread, 64 and 1024 tasks",
                must: at_least(0.75, "the raw wire's", figures.clone()),
                aim: at_least(0.95, "the raw wire's", figures),
            }
        },
        {
            let figures = ratios(results, OURS, one_task, best);
            Target {
                what: "1 task, all operations and sizes: throughput",
                must: at_least(1.0, peers, figures.clone()),
                aim: at_least(1.1, peers, figures),
            }
        },
        {
            let figures = against_least(results, one_task, |row| row.p99_us);
            Target {
                what: "1 task, all operations and sizes: p99",
                must: at_most(1.0, peers, figures.clone()),
                aim: at_most(1.0 / 1.1, peers, figures),
            }
        },
        {
            let figures = ratios(results, OURS, large, best);
            Target {
                what: "GET and SET 16 KiB and 1 MiB, 64 tasks",
                must: at_least(1.0, peers, figures.clone()),
                aim: at_least(1.3, peers, figures),
            }
        },
        {
            let mget = |cell: &Cell| cell.op == Op::Mget;
            Target {
                what: "MGET of 100 x 100 B",
                must: at_least(1.2, peers, ratios(results, OURS, mget, best)),
                aim: at_least(1.0, "the raw wire's", ratios(results, OURS, mget, raw)),
            }
        },
        Target {
            what: "ours on smol and async-std, GET and SET 64 B, 16 to 1024 tasks",
            must: at_least(1.5, "redis on smol's", other_runtimes("redis-smol")),
            aim: at_least(1.0, "ours on tokio's", other_runtimes(OURS)),
        },
        {
            let loads = |cell: &Cell| cell.op == Op::GetOrSet;
            let get = |cell| results.row(Cell { op: Op::GetJson, ..cell }, OURS);
            let figures = ratios(results, OURS, loads, get);
            Target {
                what: "`get_or_set` that hits",
                must: at_least(0.9, "our `get`'s", figures.clone()),
                aim: at_least(1.0, "our `get`'s", figures),
            }
        },
        {
            let small = |cell: &Cell| is_get_or_set(cell) && cell.size == 64;
            let figures = counted(counts, "allocations", small);
            Target {
                what: "heap allocations per GET and SET 64 B",
                must: at_most(1.0, "", figures.clone()),
                aim: at_most(0.0, "", figures),
            }
        },
        {
            let figures = counted(counts, "instructions", at_64);
            Target {
                what: "user instructions per GET 64 B, 64 tasks, current-thread",
                must: at_most(1500.0, "", figures.clone()),
                aim: at_most(700.0, "", figures),
            }
        },
        syscalls(counts, Flavour::Ct, "system calls per GET 64 B, 64 tasks, current-thread", 0.07),
        syscalls(counts, Flavour::Mt, "system calls per GET 64 B, 64 tasks, multi-thread", 0.15),
        {
            let figures = against_least(results, at_64, |row| row.cpu_us_op);
            Target {
                what: "client CPU per GET 64 B, 64 tasks",
                must: at_most(0.4, peers, figures.clone()),
                aim: at_most(0.25, peers, figures),
            }
        },
    ]
}

fn is_get_or_set(cell: &Cell) -> bool {
    cell.op == Op::Get || cell.op == Op::Set
}

/// A client's throughput as a fraction of another's.
fn ratios<'r>(
    results: &Results,
    client: &str,
    cells: impl Fn(&Cell) -> bool,
    other: impl Fn(Cell) -> Option<&'r Row>,
) -> Vec<Figure> {
    let cells = results.cells().into_iter().filter(cells);
    let figure = |cell| {
        let (row, other) = (results.row(cell, client)?, other(cell)?);
        let value = row.ops_s / other.ops_s;
        let place = if client == OURS { cell.to_string() } else { format!("{client} {cell}") };
        Some(Figure { place, value, at_best: row.ops_s_max / other.ops_s_min })
    };
    cells.filter_map(figure).collect()
}

/// Our figure as a fraction of the peers' lowest.
fn against_least(
    results: &Results,
    cells: impl Fn(&Cell) -> bool,
    figure: impl Fn(&Row) -> Option<f64>,
) -> Vec<Figure> {
    let cells = results.cells().into_iter().filter(cells);
    let share = |cell| {
        let least = results.peers(cell).filter_map(&figure).min_by(f64::total_cmp)?;
        let value = figure(results.row(cell, OURS)?)? / least;
        Some(Figure { place: cell.to_string(), value, at_best: value })
    };
    cells.filter_map(share).collect()
}

/// The counts of our client.
fn counted(counts: &Counts, what: &str, cells: impl Fn(&Cell) -> bool) -> Vec<Figure> {
    let counts = counts.of(what, OURS).filter(|count| cells(&count.cell));
    let figure = |count: &super::counts::Count| {
        let place = count.cell.to_string();
        Figure { place, value: count.count, at_best: count.count }
    };
    counts.map(figure).collect()
}

fn syscalls(counts: &Counts, flavour: Flavour, what: &'static str, must: f64) -> Target {
    let cell = Cell { flavour, op: Op::Get, size: 64, tasks: 64 };
    let figures = counted(counts, "syscalls", |counted| *counted == cell);
    let raw = counts.get(cell, RAW, "syscalls");
    let share = |mut figure: Figure| {
        let raw = raw?;
        (figure.value, figure.at_best) = (figure.value / raw, figure.at_best / raw);
        Some(figure)
    };
    let shares = figures.iter().cloned().filter_map(share).collect();
    let must = at_most(must, "", figures);
    Target { what, must, aim: at_most(1.0, "the raw wire's", shares) }
}

fn at_least(bound: f64, of: &'static str, figures: Vec<Figure>) -> Goal {
    Goal { bound: Bound::AtLeast(bound), of, figures }
}

fn at_most(bound: f64, of: &'static str, figures: Vec<Figure>) -> Goal {
    Goal { bound: Bound::AtMost(bound), of, figures }
}

impl Goal {
    /// The figure that is farthest from the bound.
    fn worst(&self) -> Option<&Figure> {
        let values = |one: &&Figure, other: &&Figure| one.value.total_cmp(&other.value);
        match self.bound {
            Bound::AtLeast(_) => self.figures.iter().min_by(values),
            Bound::AtMost(_) => self.figures.iter().max_by(values),
        }
    }

    /// The verdict on all figures: that on the worst of them.
    pub(crate) fn verdict(&self) -> Verdict {
        let verdicts = self.figures.iter().map(|figure| {
            if self.bound.holds(figure.value) {
                Verdict::Reached
            } else if self.bound.holds(figure.at_best) {
                Verdict::Open
            } else {
                Verdict::Missed
            }
        });
        verdicts.max().unwrap_or(Verdict::NotMeasured)
    }
}

impl Bound {
    /// Whether a value keeps the bound, apart from a deviation of `ROUNDING`.
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound - ROUNDING * bound,
            Self::AtMost(bound) => value <= bound + ROUNDING * bound.max(1.0),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if self.of.is_empty() { "" } else { " x " };
        write!(f, "{}{between}{} | ", self.bound, self.of)?;
        if let Some(Figure { place, value, .. }) = self.worst() {
            write!(f, "{} <sub>{place}</sub>", Number(*value))?;
        }
        write!(f, " | {}", self.verdict())
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "{}", Number(*bound)),
            Self::AtMost(bound) => write!(f, "at most {}", Number(*bound)),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reached => "yes",
            Self::Open => "within the range",
            Self::Missed => "**no**",
            Self::NotMeasured => "not measured",
        })
    }
}

/// Formats a figure with about three digits.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value >= 100.0 => write!(f, "{value:.0}"),
            value if value >= 0.2 || value == 0.0 => write!(f, "{value:.2}"),
            value => write!(f, "{value:.3}"),
        }
    }
}

const HEAD: &str = "\
| | must reach | worst cell | reached | aim | worst cell | reached |
|---|---|---|---|---|---|---|
";
const NOTE: &str = "
*Within the range*: missed by the medians, but reached by the best round of ours beside the worst of
the other's.
";
/// A deviation too small for a verdict.
const ROUNDING: f64 = 0.002;

#[cfg(test)]
mod tests {
    use super::super::results::tests::FILE;
    use super::*;

    const COUNTS: &str = "cell\tclient\twhat\tcount\n\
        ct/get/64/64\tours\tinstructions\t1600\n\
        ct/get/64/64\tours\tsyscalls\t0.0625\n\
        ct/get/64/64\traw\tsyscalls\t0.0469\n\
        ct/get/64/64\tours\tallocations\t0.001\n";

    fn target(what: &str) -> Target {
        let (results, counts) = (FILE.parse().unwrap(), COUNTS.parse().unwrap());
        let mut all = targets(&results, &counts).into_iter();
        all.find(|target| target.what.starts_with(what)).unwrap()
    }

    #[test]
    fn a_target_names_its_worst_cell_and_whether_it_is_reached() {
        let Target { must, aim, .. } = target("GET and SET 64 B");
        assert_eq!(must.to_string(), "1.80 x the best peer's | 2.00 <sub>ct/get/64/64</sub> | yes");
        assert_eq!(aim.verdict(), Verdict::Missed);
        let Target { must, aim, .. } = target("1 task, all operations and sizes: throughput");
        assert_eq!((must.verdict(), aim.verdict()), (Verdict::Open, Verdict::Missed));
        let Target { must, aim, .. } = target("1 task, all operations and sizes: p99");
        assert_eq!((must.verdict(), aim.verdict()), (Verdict::Reached, Verdict::Reached));
        let Target { must, aim, .. } = target("`get_or_set`");
        assert_eq!((must.verdict(), aim.verdict()), (Verdict::Open, Verdict::Open));
    }

    #[test]
    fn counts_are_held_against_their_targets() {
        let Target { must, .. } = target("user instructions");
        assert_eq!(must.to_string(), "at most 1500 | 1600 <sub>ct/get/64/64</sub> | **no**");
        let Target { must, aim, .. } = target("system calls per GET 64 B, 64 tasks, current");
        assert_eq!((must.verdict(), aim.verdict()), (Verdict::Reached, Verdict::Missed));
        let Target { must, aim, .. } = target("heap");
        assert_eq!((must.verdict(), aim.verdict()), (Verdict::Reached, Verdict::Reached));
    }

    #[test]
    fn a_target_without_figures_is_reported_as_not_measured() {
        let Target { must, .. } = target("MGET");
        assert_eq!(must.to_string(), "1.20 x the best peer's |  | not measured");
    }
}
