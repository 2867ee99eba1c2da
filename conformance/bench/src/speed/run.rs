//! Runs a plan: one server for each flavour, one child for each turn, and results as they come.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use super::plan::Plan;
use super::results::Results;
use super::summary::{Sample, Summary};
use crate::cell::{Cell, Flavour};
use crate::clients::Name;
use crate::report;
use crate::stage::Stage;
use crate::turn::Measured;

/// Runs the whole plan, and writes to a folder after each cell.
pub(crate) fn run(plan: &Plan, out: &Path) -> Result<()> {
    let bar = ProgressBar::new(plan.turns() as u64);
    let style = "{elapsed_precise} {wide_bar} {pos}/{len} turns, {eta} left: {msg}";
    bar.set_style(ProgressStyle::with_template(style)?);
    bar.enable_steady_tick(Duration::from_millis(500));
    let mut stdout = io::stdout();

    let (mut flavour, mut stage) = (Flavour::Ct, Stage::open(Flavour::Ct, plan.tls)?);
    let mut results = Results::new(&stage.version());
    let mut failures = 0;
    for &cell in &plan.cells {
        if cell.flavour != flavour {
            (flavour, stage) = (cell.flavour, Stage::open(cell.flavour, plan.tls)?);
        }
        stage.load(cell);
        let clients = plan.clients_of(cell);
        let mut samples = vec![Vec::new(); clients.len()];
        for index in plan.turns_of(cell) {
            let client = clients[index];
            bar.set_message(format!("{cell} {client}"));
            match turn(&mut stage, cell, client, plan.span) {
                Ok(sample) => samples[index].push(sample),
                Err(error) => {
                    failures += 1;
                    bar.suspend(|| writeln!(stdout, "{cell} {client}: {error:#}"))?;
                }
            }
            bar.inc(1);
        }
        for (client, samples) in clients.iter().zip(&samples) {
            if let Some(summary) = Summary::of(samples) {
                results.add(cell, client, &summary);
                bar.suspend(|| writeln!(stdout, "{}", line(cell, client, &summary)))?;
            }
        }
        results.write(out)?;
        report::write(out)?;
    }
    bar.finish_and_clear();
    writeln!(stdout, "{}", out.display())?;
    ensure!(failures == 0, "{failures} turns failed");
    Ok(())
}

/// One turn of one client.
fn turn(stage: &mut Stage, cell: Cell, client: &Name, span: Duration) -> Result<Sample> {
    let before = stage.traffic()?;
    let mut child = stage.child(client, cell)?;
    child.args(["--seconds", &span.as_secs_f64().to_string()]);
    let measured: Measured = serde_json::from_str(&output(&mut child, span + PATIENCE)?)?;
    let after = stage.traffic()?;
    // One of the two queries itself falls between the two figures.
    let commands = after.commands.saturating_sub(before.commands + 1);
    let reads = after.reads.saturating_sub(before.reads + 1).max(1);
    Ok(Sample { measured, commands_read: commands as f64 / reads as f64 })
}

/// The output of a child, which must end in time and successfully.
fn output(command: &mut Command, patience: Duration) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("the child does not start")?;
    let until = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            bail!("not done after {patience:?}");
        }
        thread::sleep(Duration::from_millis(2));
    };
    let (mut printed, mut complaint) = (String::new(), String::new());
    child.stdout.take().context("it is piped")?.read_to_string(&mut printed)?;
    child.stderr.take().context("it is piped")?.read_to_string(&mut complaint)?;
    ensure!(status.success(), "{status}: {}", complaint.trim());
    Ok(printed)
}

fn line(cell: Cell, client: &Name, summary: &Summary) -> String {
    let Summary { ops_s, ops_s_min, ops_s_max, cpu_us_op, p50_us, p99_us, .. } = summary;
    let us = |figure: &Option<f64>| figure.map_or_else(|| "-".to_owned(), |us| format!("{us:.0}"));
    let (thousands, low, high) = (ops_s / 1e3, ops_s_min / 1e3, ops_s_max / 1e3);
    let (p50_us, p99_us) = (us(p50_us), us(p99_us));
    let (cell, client) = (cell.to_string(), client.to_string());
    let (switches, batch) = (summary.switches_op, summary.commands_write);
    format!(
        "{cell:<20} {client:<16} {thousands:>8.1} k/s ({low:.1} to {high:.1}) \
         {cpu_us_op:>7.2} us cpu, p50 {p50_us} us, p99 {p99_us} us, \
         {switches:.3} switches, {batch:.1} commands a write"
    )
}

/// The time that a turn may take beyond its span, for connecting and for operations under way at
/// the end.
const PATIENCE: Duration = Duration::from_secs(30);
