//! The second mode: the cost of an operation in things that can be counted, and that hardly depend
//! on other load on the machine.
//!
//! | module | duty |
//! |---|---|
//! | `subject` | the client and the cell to count |
//! | `ways`, `allocations` | how a child is run, and how its counts are read |
//! | `measure` | turns totals into one operation's share |
//! | `table` | prints counts |
//! | `guards`, `check` | compare counts with those in a file |

mod allocations;
mod check;
mod guards;
mod measure;
mod subject;
mod table;
mod ways;

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Subcommand, ValueEnum as _};
use indicatif::{ProgressBar, ProgressStyle};

use self::measure::{Counted, Counter};
use self::subject::Subject;
use self::ways::{Way, What};
use crate::cell::Cell;
use crate::clients::Name;
use crate::turn::Turn;

/// Counts heap allocations, bytes, user instructions (by valgrind) and system calls (by strace)
/// of one operation, and prints Markdown tables.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    child: Option<Child>,
    /// Which clients
    #[arg(long, alias = "peers", value_delimiter = ',', default_value = "raw,ours")]
    clients: Vec<Name>,
    /// Which cells, by the beginnings of their names; `*` matches anything. A cell that is spelt
    /// out in full need not be a usual one: get, set and mget of small values with 1 and 64 tasks
    #[arg(long, value_delimiter = ',')]
    cells: Vec<String>,
    /// What to count
    #[arg(long, value_enum, value_delimiter = ',')]
    what: Vec<What>,
    /// How often; the median is reported
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Also write counts.tsv to this folder, for its report
    #[arg(long)]
    out: Option<PathBuf>,
    /// Fail if a count of the guards' file has risen by more than its allowance
    #[arg(long, conflicts_with_all = ["clients", "cells", "what", "out"])]
    check: bool,
    /// Write the current counts into the guards' file
    #[arg(long, conflicts_with_all = ["clients", "cells", "what", "out", "check"])]
    bless: bool,
    /// The guards' file
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/guards.tsv"))]
    guards: PathBuf,
}

#[derive(Subcommand, Debug)]
enum Child {
    /// A turn that prints its allocations.
    #[command(hide = true)]
    Turn(Turn),
}

/// Runs the mode.
pub(crate) fn run(args: Args) -> Result<()> {
    if let Some(Child::Turn(turn)) = args.child {
        return counting(turn);
    }
    ensure!(args.rounds > 0, "no rounds, no counts");
    if args.check {
        return check::check(&args.guards, args.rounds);
    }
    if args.bless {
        return check::bless(&args.guards, args.rounds);
    }
    let subjects = chosen(&args.clients, &args.cells)?;
    let mut all = What::value_variants().to_vec();
    if !args.what.is_empty() {
        all.retain(|what| args.what.contains(what));
    }
    let plan = subjects.into_iter().map(|subject| {
        let ways = ways_of(&subject, &all);
        (subject, ways)
    });
    let rows = carry_out(&plan.collect::<Vec<_>>(), args.rounds)?;
    write!(io::stdout(), "{}", table::tables(&rows))?;
    if let Some(folder) = args.out {
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let file = folder.join("counts.tsv");
        fs::write(&file, table::tsv(&rows)).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// Runs a turn, and prints a line with its allocations.
fn counting(turn: Turn) -> Result<()> {
    allocations::begin();
    turn.run()?;
    let allocated = allocations::so_far();
    writeln!(io::stdout(), "{}", serde_json::to_string(&allocated)?)?;
    Ok(())
}

fn chosen(clients: &[Name], patterns: &[String]) -> Result<Vec<Subject>> {
    let mut subjects = Subject::usual(clients);
    if patterns.is_empty() {
        return Ok(subjects);
    }
    subjects.retain(|Subject { cell, .. }| patterns.iter().any(|name| cell.is_named_by(name)));
    for cell in patterns.iter().filter_map(|name| name.parse::<Cell>().ok()) {
        if !subjects.iter().any(|subject| subject.cell == cell) {
            let able = clients.iter().filter(|client| client.who.can(cell.op));
            subjects.extend(able.map(|client| Subject { client: client.clone(), cell }));
        }
    }
    ensure!(!subjects.is_empty(), "no cell is named like {}", patterns.join(","));
    Ok(subjects)
}

/// The ways in which a subject must be run to count everything that can be counted of it.
fn ways_of(subject: &Subject, all: &[What]) -> Vec<Way> {
    let countable = all.iter().filter(|&&what| subject.has(what));
    let mut ways: Vec<_> = countable.map(|what| what.way()).collect();
    ways.sort_unstable();
    ways.dedup();
    ways
}

/// Counts each subject in its ways, this many times, and returns the medians.
fn carry_out(plan: &[(Subject, Vec<Way>)], rounds: usize) -> Result<Vec<(Subject, Counted)>> {
    for way in [Way::Plain, Way::Callgrind, Way::Strace] {
        if plan.iter().any(|(_, ways)| ways.contains(&way)) {
            way.check()?;
        }
    }
    let runs: usize = plan.iter().map(|(_, ways)| ways.len() * rounds).sum();
    let bar = ProgressBar::new(runs as u64);
    let style = "{elapsed_precise} {wide_bar} {pos}/{len} runs, {eta} left: {msg}";
    bar.set_style(ProgressStyle::with_template(style)?);
    bar.enable_steady_tick(Duration::from_millis(500));
    let mut counter = Counter::default();
    let mut rows = Vec::new();
    for (subject, ways) in plan {
        let mut samples = Vec::new();
        for &way in ways.iter().flat_map(|way| std::iter::repeat_n(way, rounds)) {
            bar.set_message(format!("{subject} {way}"));
            let counted = counter.count(subject, way);
            samples.push(counted.with_context(|| format!("{subject}, {way}"))?);
            bar.inc(1);
        }
        rows.push((subject.clone(), Counted::median(&samples)));
    }
    bar.finish_and_clear();
    Ok(rows)
}
