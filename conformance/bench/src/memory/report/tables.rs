//! Figures as Markdown tables.

use std::fmt::Write as _;

use crate::memory::figures::Figures;
use crate::memory::spread::Spread;
use crate::memory::{resident, stalls, throughput};

/// A line for each cell, a column for each cache: million operations per second, the ratio to the
/// reference cache in the same round, and the lowest and highest of that ratio.
pub(crate) fn throughput(figures: &Figures) -> String {
    grid(figures, |cell, cache| {
        let mops = figures.get(throughput::MODE, cell, cache, "mops")?;
        let Some(ratio) = figures.get(throughput::MODE, cell, cache, "ratio") else {
            let Spread { median, min, max } = mops;
            return Some(format!("{median:.2} <sub>{min:.2}-{max:.2}</sub>"));
        };
        let Spread { median, min, max } = ratio;
        Some(format!("{:.2} ({median:.2} <sub>{min:.2}-{max:.2}</sub>)", mops.median))
    })
}

/// Like throughput: p50, p99, and the ratio of the p99 to the reference cache's.
pub(crate) fn latency(figures: &Figures) -> String {
    grid(figures, |cell, cache| {
        let figure = |what| figures.get(throughput::MODE, cell, cache, what);
        let (p50, p99) = (figure("p50_ns")?.median, figure("p99_ns")?.median);
        let ratio = figure("p99_ratio").map(|ratio| format!(" ({:.2})", ratio.median));
        Some(format!("{p50:.0}, {p99:.0}{}", ratio.unwrap_or_default()))
    })
}

/// A table with a line for each cache.
pub(crate) fn resident(figures: &Figures) -> String {
    let cells = figures.cells(resident::MODE);
    if cells.is_empty() {
        return String::new();
    }
    let mut text = head(cells.iter().map(|cell| format!("{cell} entries")));
    for cache in figures.caches(resident::MODE) {
        let shown = cells.iter().map(|cell| {
            let bytes = figures.get(resident::MODE, cell, cache, "bytes");
            bytes.map_or_else(String::new, |bytes| format!("{:.0}", bytes.median))
        });
        line(&mut text, cache, shown);
    }
    text
}

/// A table with a line for each scenario and cache.
pub(crate) fn stalls(figures: &Figures) -> String {
    let mut text = String::new();
    for cell in figures.cells(stalls::MODE) {
        for cache in figures.caches(stalls::MODE) {
            let shown = STALLS.map(|(what, _)| {
                let figure = figures.get(stalls::MODE, cell, cache, what);
                figure.map_or_else(String::new, |figure| format!("{:.1}", figure.median))
            });
            if shown.iter().any(|shown| !shown.is_empty()) {
                line(&mut text, &format!("{cell}, {cache}"), shown.into_iter());
            }
        }
    }
    if text.is_empty() {
        text
    } else {
        head(STALLS.iter().map(|&(_, name)| name.to_owned())) + &text
    }
}

fn grid(figures: &Figures, shown: impl Fn(&str, &str) -> Option<String>) -> String {
    let caches = figures.caches(throughput::MODE);
    let mut text = String::new();
    for cell in figures.cells(throughput::MODE) {
        let row: Vec<_> = caches.iter().map(|cache| shown(cell, cache)).collect();
        if row.iter().any(Option::is_some) {
            line(&mut text, cell, row.into_iter().map(Option::unwrap_or_default));
        }
    }
    if text.is_empty() { text } else { head(caches.iter().map(|&cache| cache.to_owned())) + &text }
}

fn head(columns: impl Iterator<Item = String>) -> String {
    let columns: Vec<_> = columns.collect();
    format!("| | {} |\n|---|{}\n", columns.join(" | "), "--:|".repeat(columns.len()))
}

fn line(text: &mut String, name: &str, fields: impl Iterator<Item = String>) {
    let _ = writeln!(text, "| {name} | {} |", fields.collect::<Vec<_>>().join(" | "));
}

const STALLS: [(&str, &str); 8] = [
    ("cpu_us", "own CPU, us"),
    ("wall_us", "wall, us"),
    ("pause_cpu_us", "control's CPU, us"),
    ("pause_wall_us", "control's wall, us"),
    ("took_s", "took, s"),
    ("entries", "entries"),
    ("bytes_mib", "counted, MiB"),
    ("grown_mib", "grown, MiB"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_in_brackets_and_missing_figures_are_blank() {
        let mut figures = Figures::default();
        let spread = |median| Spread { median, min: 0.5, max: 2.0 };
        let mode = throughput::MODE;
        figures.put(mode, "zipf/on/1", "ours", "mops", spread(1.5));
        figures.put(mode, "zipf/on/1", "ours", "ratio", spread(0.9));
        figures.put(mode, "zipf/on/2", "moka", "mops", spread(1.0));
        assert_eq!(
            throughput(&figures),
            "| | ours | moka |\n|---|--:|--:|\n\
             | zipf/on/1 | 1.50 (0.90 <sub>0.50-2.00</sub>) |  |\n\
             | zipf/on/2 |  | 1.00 <sub>0.50-2.00</sub> |\n"
        );
        assert_eq!(latency(&figures), "");
    }
}
