//! Reports: tables, targets and a chart, made from `results.tsv` alone, and from `counts.tsv` if it
//! exists.

mod chart;
mod counts;
mod results;
mod tables;
mod targets;

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};

use self::counts::Counts;
use self::results::Results;

/// Reads `results.tsv` in a folder, and writes `results.md` and `results.svg` beside it.
pub(crate) fn write(folder: &Path) -> Result<()> {
    let read = |name: &str| {
        let file = folder.join(name);
        fs::read_to_string(&file).with_context(|| file.display().to_string())
    };
    let results = read("results.tsv")?.parse().context("results.tsv")?;
    let counts = match read("counts.tsv") {
        Ok(text) => text.parse().context("counts.tsv")?,
        Err(error) if is_missing(&error) => Counts::default(),
        Err(error) => return Err(error),
    };
    let put = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| file.display().to_string())
    };
    put("results.md", &markdown(&results, &counts))?;
    if let Some(svg) = chart::svg(&results) {
        put("results.svg", &svg)?;
    }
    Ok(())
}

fn is_missing(error: &anyhow::Error) -> bool {
    let source = error.downcast_ref::<std::io::Error>();
    source.is_some_and(|source| source.kind() == ErrorKind::NotFound)
}

fn markdown(results: &Results, counts: &Counts) -> String {
    let mut text = String::from("# Results\n\n");
    for (name, value) in &results.conditions {
        let _ = match name.as_str() {
            "command" => writeln!(text, "* {name}: `{value}`"),
            _ => writeln!(text, "* {name}: {value}"),
        };
    }
    let rounds = results.rows.iter().map(|row| row.rounds);
    if let (Some(fewest), Some(most)) = (rounds.clone().min(), rounds.max()) {
        let rounds = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
        let _ = writeln!(text, "* rounds: {rounds}");
    }
    let _ = write!(text, "\n## Targets\n\n{}", targets::table(results, counts));
    let _ = write!(text, "\n## Throughput\n\n{THROUGHPUT}{}", tables::throughput(results));
    let figures = [
        ("Client CPU, us an operation", tables::figures(results, 2, |row| row.cpu_us_op)),
        ("p50, us", tables::figures(results, 0, |row| row.p50_us)),
        ("p99, us", tables::figures(results, 0, |row| row.p99_us)),
        ("Commands a write", tables::figures(results, 1, |row| row.commands_write)),
        ("Voluntary switches an operation", tables::figures(results, 4, |row| row.switches_op)),
    ];
    for (title, tables) in figures {
        let _ = write!(text, "\n## {title}\n{tables}");
    }
    text
}

const THROUGHPUT: &str = "\
Thousand operations a second: the median of the rounds and, small, the lowest and the highest. Lines
are sizes of values and numbers of tasks; **bold** is the best peer.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gets_its_tables_and_its_chart() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("results.tsv"), results::tests::FILE).unwrap();
        write(folder.path()).unwrap();
        let text = fs::read_to_string(file("results.md")).unwrap();
        assert!(text.contains("* command: `speed --clients raw,ours@maxsize=1`\n"), "{text}");
        assert!(text.contains("* rounds: 3\n"), "{text}");
        assert!(text.contains("| at most 1500 |  | not measured |"), "{text}");
        assert!(fs::read_to_string(file("results.svg")).unwrap().starts_with("<svg"));

        fs::write(file("counts.tsv"), "cell\tclient\twhat\tcount\nct/get/64\n").unwrap();
        let error = write(folder.path()).unwrap_err();
        assert_eq!(format!("{error:#}"), "counts.tsv: line 2: 1 fields, not 4");
    }

    #[test]
    fn a_folder_without_results_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("results.tsv"), "{error}");
    }
}
