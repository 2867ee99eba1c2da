//! Figures as Markdown tables: a line for each cell, a column for each client.

use std::fmt::Write as _;

use clap::ValueEnum as _;

use super::results::{OURS, RAW, Results, Row};
use crate::cell::{Cell, Flavour, Op};

/// Throughput: a table for each flavour and group of operations. The best peer of each cell is in
/// bold, and our client is compared with it and with the raw wire.
pub(crate) fn throughput(results: &Results) -> String {
    let mut text = String::new();
    for (flavour, group, cells) in groups(results) {
        let clients = results.clients(&cells);
        let _ = write!(text, "\n### {}, {}\n\n", heading(flavour), names(group));
        let more = ["ours / best peer", "ours / raw"].map(str::to_owned);
        text.push_str(&head(clients.iter().map(|&client| client.to_owned()).chain(more)));
        for &cell in &cells {
            let best = results.best_peer(cell);
            let shown = clients.iter().map(|client| {
                let Some(row) = results.row(cell, client) else { return String::new() };
                let figure = thousands(row.ops_s);
                let bold = if best == Some(row) { "**" } else { "" };
                let range = (thousands(row.ops_s_min), thousands(row.ops_s_max));
                format!("{bold}{figure}{bold} <sub>{}-{}</sub>", range.0, range.1)
            });
            let ratios = [ratio(results, cell, best), ratio(results, cell, results.row(cell, RAW))];
            line(&mut text, &name(cell, group), shown.chain(ratios));
        }
    }
    text
}

/// One more figure of all rows, with a table for each flavour.
pub(crate) fn figures(
    results: &Results,
    decimals: usize,
    figure: impl Fn(&Row) -> Option<f64>,
) -> String {
    let mut text = String::new();
    for flavour in Flavour::value_variants() {
        let mut cells = results.cells();
        cells.retain(|cell| cell.flavour == *flavour);
        if cells.is_empty() {
            continue;
        }
        let clients = results.clients(&cells);
        let _ = write!(text, "\n### {}\n\n", heading(*flavour));
        text.push_str(&head(clients.iter().map(|&client| client.to_owned())));
        for &cell in &cells {
            let shown = clients.iter().map(|client| {
                let figure = results.row(cell, client).and_then(&figure);
                figure.map_or_else(String::new, |figure| format!("{figure:.decimals$}"))
            });
            line(&mut text, &name(cell, &[]), shown);
        }
    }
    text
}

/// The cells of each table.
fn groups(results: &Results) -> Vec<(Flavour, &'static [Op], Vec<Cell>)> {
    let mut groups = Vec::new();
    for &flavour in Flavour::value_variants() {
        for &group in GROUPS {
            let mut cells = results.cells();
            cells.retain(|cell| cell.flavour == flavour && group.contains(&cell.op));
            if !cells.is_empty() {
                groups.push((flavour, group, cells));
            }
        }
    }
    groups
}

fn ratio(results: &Results, cell: Cell, other: Option<&Row>) -> String {
    let ours = results.row(cell, OURS);
    let ratio = ours.zip(other).map(|(ours, other)| ours.ops_s / other.ops_s);
    ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"))
}

fn head(columns: impl Iterator<Item = String>) -> String {
    let columns: Vec<_> = columns.collect();
    format!("| | {} |\n|---|{}\n", columns.join(" | "), "--:|".repeat(columns.len()))
}

fn line(text: &mut String, name: &str, fields: impl Iterator<Item = String>) {
    let _ = writeln!(text, "| {name} | {} |", fields.collect::<Vec<_>>().join(" | "));
}

/// The label of a cell's line in a table of these operations.
fn name(Cell { op, size, tasks, .. }: Cell, group: &[Op]) -> String {
    let size = match size {
        size if size >= 1 << 20 => format!("{} MiB", size >> 20),
        size if size >= 1 << 10 => format!("{} KiB", size >> 10),
        size => format!("{size} B"),
    };
    let op = if group.len() == 1 { String::new() } else { format!("{} ", op.name()) };
    format!("{op}{size}, {tasks}")
}

fn names(group: &[Op]) -> String {
    group.iter().map(|op| op.name()).collect::<Vec<_>>().join(" and ")
}

fn heading(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Ct => "one thread (ct)",
        Flavour::Mt => "two threads (mt)",
    }
}

/// Formats thousands with at least three digits.
fn thousands(ops_s: f64) -> String {
    match ops_s / 1e3 {
        thousands if thousands >= 100.0 => format!("{thousands:.0}"),
        thousands if thousands >= 10.0 => format!("{thousands:.1}"),
        thousands => format!("{thousands:.2}"),
    }
}

const GROUPS: &[&[Op]] = &[
    &[Op::Get],
    &[Op::Set],
    &[Op::Mget],
    &[Op::Mix],
    &[Op::GetJson, Op::GetOrSet],
    &[Op::BesideLarge],
];

#[cfg(test)]
mod tests {
    use super::super::results::tests::FILE;
    use super::*;

    #[test]
    fn throughput_has_the_best_peer_in_bold_and_ours_beside_it() {
        let text = throughput(&FILE.parse().unwrap());
        let wanted = "\
### one thread (ct), get

| | raw | ours | redis | fred | ours / best peer | ours / raw |
|---|--:|--:|--:|--:|--:|--:|
| 64 B, 1 | 35.0 <sub>34.0-36.0</sub> | 34.0 <sub>33.0-35.0</sub> | \
**34.5** <sub>33.5-35.5</sub> |  | 0.99 | 0.97 |
| 64 B, 64 | 1200 <sub>1100-1300</sub> | 1000 <sub>900-1100</sub> | \
400 <sub>390-410</sub> | **500** <sub>490-510</sub> | 2.00 | 0.83 |

### two threads (mt), get_json and get_or_set

| | ours | ours / best peer | ours / raw |
|---|--:|--:|--:|
| get_or_set 64 B, 64 | 850 <sub>800-900</sub> |  |  |
";
        assert!(text.trim_start().starts_with(wanted), "{text}");
    }

    #[test]
    fn figures_that_a_client_does_not_report_are_blank() {
        let text = figures(&FILE.parse().unwrap(), 0, |row| row.p99_us);
        assert!(text.contains("| get 64 B, 64 |  | 90 | 120 | 130 |\n"), "{text}");
    }
}
