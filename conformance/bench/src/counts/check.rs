//! Uses the guards: compares counts with the file, and updates the file.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::guards::{Guard, Guards, Verdict};
use super::measure::{Counted, Counter};
use super::subject::Subject;
use super::ways::Way;
use super::{carry_out, ways_of};

/// Counts everything that the file has a guard for, and fails if a count has risen. A count that
/// seems to have risen is measured several more times, and the lowest result is used: other load on
/// the machine can raise a count but hardly lower it.
pub(crate) fn check(file: &Path, rounds: usize) -> Result<()> {
    let guards = read(file)?;
    let rows = count(&guards, rounds)?;
    let mut stdout = io::stdout();
    let mut counter = Counter::default();
    let (mut risen, mut fallen) = (Vec::new(), false);
    for guard in guards.iter() {
        let mut count = count_of(guard, &rows)?;
        for _ in 0..AGAIN {
            if guard.verdict(count) == Verdict::Above {
                let again = counter.count(&guard.subject, guard.what.way())?;
                count = count.min(again.counts[&guard.what]);
            }
        }
        let compared = guard.compare(count);
        let word = match guard.verdict(count) {
            Verdict::Above => {
                risen.push(compared.clone());
                "risen"
            }
            Verdict::Within => "ok",
            Verdict::Below => {
                fallen = true;
                "fallen"
            }
        };
        writeln!(stdout, "{word:<6} {compared}")?;
    }
    if fallen {
        writeln!(stdout, "hint: what has fallen can be kept low: run `counts --bless`")?;
    }
    if !risen.is_empty() {
        bail!("{} of the counts have risen:\n{}", risen.len(), risen.join("\n"));
    }
    Ok(())
}

/// Counts everything that the file has a guard for, and writes the counts as the expected ones.
pub(crate) fn bless(file: &Path, rounds: usize) -> Result<()> {
    let mut guards = read(file)?;
    let rows = count(&guards, rounds)?;
    for guard in guards.iter_mut() {
        guard.expected = count_of(guard, &rows)?;
        writeln!(io::stdout(), "{guard}")?;
    }
    fs::write(file, guards.to_string()).with_context(|| file.display().to_string())
}

fn read(file: &Path) -> Result<Guards> {
    let text = fs::read_to_string(file);
    text.map_err(Into::into)
        .and_then(|text| text.parse())
        .with_context(|| file.display().to_string())
}

fn count(guards: &Guards, rounds: usize) -> Result<Vec<(Subject, Counted)>> {
    let mut plan: Vec<(Subject, Vec<Way>)> = Vec::new();
    for Guard { subject, .. } in guards.iter() {
        if !plan.iter().any(|(planned, _)| planned == subject) {
            let guarded = guards.iter().filter(|guard| guard.subject == *subject);
            let whats: Vec<_> = guarded.map(|guard| guard.what).collect();
            plan.push((subject.clone(), ways_of(subject, &whats)));
        }
    }
    carry_out(&plan, rounds)
}

fn count_of(guard: &Guard, rows: &[(Subject, Counted)]) -> Result<f64> {
    let row = rows.iter().find(|(subject, _)| *subject == guard.subject);
    let count = row.and_then(|(_, counted)| counted.counts.get(&guard.what));
    count.copied().with_context(|| format!("{} of {} was not counted", guard.what, guard.subject))
}

const AGAIN: usize = 2;
