//! The report on in-memory stores: `memory.md` and `memory.svg`, made from `memory.tsv` alone.

mod chart;
pub(crate) mod shares;
mod tables;
mod targets;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::figures::Figures;

/// Writes both files to a folder.
pub(crate) fn write(figures: &Figures, folder: &Path) -> Result<()> {
    let put = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| file.display().to_string())
    };
    put("memory.md", &markdown(figures))?;
    match chart::svg(figures) {
        Some(svg) => put("memory.svg", &svg),
        None => Ok(()),
    }
}

fn markdown(figures: &Figures) -> String {
    let mut text = String::from("# The store in memory\n\n");
    for (mode, line) in &figures.conditions {
        let _ = writeln!(text, "* {mode}: {line}");
    }
    let _ = write!(text, "\n## Targets\n\n{}", targets::table(figures));
    let parts = [
        ("Throughput", tables::throughput(figures)),
        ("A get, nanoseconds", tables::latency(figures)),
        ("Resident bytes an entry", tables::resident(figures)),
        ("Hit ratio: what was won of the room between LRU and OPT", shares::summary(figures)),
        ("Hit ratio, %", shares::cells(figures)),
        ("Stalls", tables::stalls(figures)),
    ];
    for (title, table) in parts.iter().filter(|(_, table)| !table.is_empty()) {
        let _ = write!(text, "\n## {title}\n\n{table}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::spread::Spread;

    #[test]
    fn a_report_has_the_measured_parts_and_marks_missing_figures() {
        let mut figures = Figures::default();
        figures.set_conditions("resident", "date=today".to_owned());
        figures.put("resident", "1000000", "ours", "bytes", Spread::alone(227.4));
        figures.put("throughput", "zipf/on/2", "ours", "mops", Spread::alone(6.5));
        let folder = tempfile::tempdir().unwrap();
        write(&figures, folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join("memory.md")).unwrap();
        assert!(text.contains("* resident: date=today\n"), "{text}");
        assert!(text.contains("| ours | 227 |"), "{text}");
        assert!(text.contains("not measured"), "{text}");
        assert!(!text.contains("## Stalls"), "{text}");
        let svg = fs::read_to_string(folder.path().join("memory.svg")).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains(">6.5<"), "{svg}");
    }
}
