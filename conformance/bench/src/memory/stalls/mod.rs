//! Stalls: the longest single operation when a million entries expire at once, and in ten million
//! sets with timeouts at random.

mod scenario;
mod watch;

use std::env;
use std::io::{self, Write as _};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand, ValueEnum};

pub(crate) use self::scenario::CHURN_ROOM;
use self::scenario::{Outcome, churn, mass_expiry};
use self::watch::control;
use super::Output;
use super::caches::Who;
use super::figures::Figures;
use super::keys::Keys;
use super::spread::Spread;

/// Measures the longest single operation while a million entries expire at once, and in ten million
/// sets with timeouts at random through a cache of a hundred thousand.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Stalls {
    #[command(subcommand)]
    child: Option<Child>,
    /// A fifth of the entries and sets
    #[arg(long)]
    quick: bool,
    /// Which caches [default: ours,moka,quick_cache]
    #[arg(long, alias = "peers", value_delimiter = ',')]
    clients: Vec<Who>,
    /// Which scenarios
    #[arg(long, value_delimiter = ',')]
    cells: Vec<Scenario>,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Scenario {
    Expiry,
    Churn,
}

#[derive(Subcommand, Debug)]
enum Child {
    /// One cache, in a process of its own.
    #[command(hide = true)]
    Watch { scenario: Scenario, who: Who, part: u32 },
}

impl Stalls {
    /// Runs the mode.
    pub(crate) fn run(self) -> Result<()> {
        if let Some(Child::Watch { scenario, who, part }) = self.child {
            return watch(scenario, who, part);
        }
        let whos = match self.clients.is_empty() {
            true => {
                Who::chosen(&[]).into_iter().filter(|who| USUAL.contains(&who.name())).collect()
            }
            false => self.clients.clone(),
        };
        let mut scenarios = Scenario::value_variants().to_vec();
        scenarios.retain(|scenario| self.cells.is_empty() || self.cells.contains(scenario));
        let part = if self.quick { "5" } else { "1" };
        let mut figures = self.output.figures(MODE)?;
        for scenario in scenarios {
            for &who in &whos {
                self.one(scenario, who, part, &mut figures)?;
            }
        }
        self.output.write(&figures)
    }

    fn one(&self, scenario: Scenario, who: Who, part: &str, figures: &mut Figures) -> Result<()> {
        let name = scenario.name();
        let arguments = ["memory", "stalls", "watch", name, who.name(), part];
        let output = Command::new(env::current_exe()?).args(arguments).output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name} {who}: {}", complaint.trim());
        write!(io::stdout(), "{name:<7} {who:<12}")?;
        for line in String::from_utf8(output.stdout)?.lines() {
            let Some((what, value)) = line.split_once(' ') else { continue };
            figures.put(MODE, name, who.name(), what, Spread::alone(value.parse()?));
            write!(io::stdout(), " {what} {value},")?;
        }
        writeln!(io::stdout())?;
        Ok(())
    }
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Self::Expiry => "expiry",
            Self::Churn => "churn",
        }
    }
}

/// Prints the figures, one per line.
fn watch(scenario: Scenario, who: Who, part: u32) -> Result<()> {
    ensure!(part > 0, "no part of all is nothing");
    let keys = Keys::new(2 * ENTRIES);
    let before = control(CONTROL);
    let outcome = match scenario {
        Scenario::Expiry => mass_expiry(who, keys, ENTRIES / part)?,
        Scenario::Churn => churn(who, keys, 2 * ENTRIES, SETS / part)?,
    };
    let pause = before.or(control(CONTROL));
    let Outcome { longest, took, entries, bytes, grown } = outcome;
    let micros = |span: Duration| span.as_nanos() as f64 / 1e3;
    let mut out = io::stdout();
    writeln!(out, "cpu_us {:.1}\nwall_us {:.1}", micros(longest.cpu), micros(longest.wall))?;
    writeln!(
        out,
        "pause_cpu_us {:.1}\npause_wall_us {:.1}",
        micros(pause.cpu),
        micros(pause.wall)
    )?;
    writeln!(out, "took_s {:.2}\ngrown_mib {:.1}", took.as_secs_f64(), grown as f64 / MIB)?;
    let counted = [("entries", entries.map(|count| count as f64))];
    let counted = counted.into_iter().chain([("bytes_mib", bytes.map(|count| count as f64 / MIB))]);
    for (what, count) in counted.filter_map(|(what, count)| Some((what, count?))) {
        writeln!(out, "{what} {count:.1}")?;
    }
    Ok(())
}

pub(crate) const MODE: &str = "stalls";
const USUAL: &[&str] = &["ours", "moka", "quick_cache"];
const ENTRIES: u32 = 1_000_000;
const SETS: u32 = 10_000_000;
const CONTROL: Duration = Duration::from_secs(2);
const MIB: f64 = 1_048_576.0;
