//! The chart: throughput of `GET` at 64 B over the number of tasks, with a panel for each flavour
//! and a line for each client.
//!
//! It is one self-contained SVG with a transparent background. So all colours are of medium
//! brightness, and the text follows the reader's colour scheme if it is known.

use std::fmt::Write as _;

use clap::ValueEnum as _;

use super::results::{OURS, RAW, Results, Row};
use crate::cell::{Cell, Flavour, Op};

/// The chart, or `None` if nothing in it was measured.
pub(crate) fn svg(results: &Results) -> Option<String> {
    let mut cells = results.cells();
    cells.retain(|cell| cell.op == Op::Get && cell.size == SIZE);
    let mut tasks: Vec<_> = cells.iter().map(|cell| cell.tasks).collect();
    tasks.sort_unstable();
    tasks.dedup();
    // Variants of the same client would hide the other clients.
    let mut clients = results.clients(&cells);
    clients.retain(|client| !client.contains('@'));
    let rows = results.rows.iter().filter(|row| cells.contains(&row.cell));
    let highest = rows.map(|row| row.ops_s_max).max_by(f64::total_cmp)?;

    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<style>{STYLE}</style>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\" font-weight=\"600\">GET of {SIZE} B: thousand \
         operations a second, by concurrent tasks on one client</text>\n"
    );
    for (panel, &flavour) in Flavour::value_variants().iter().enumerate() {
        let panel = Panel { x: LEFT + panel as f64 * STEP, flavour, tasks: &tasks, highest };
        panel.draw(&mut svg, results, &clients);
    }
    let said = |names: &[&str]| {
        let named = results.conditions.iter().filter(|(name, _)| names.contains(&name.as_str()));
        escape(&named.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", "))
    };
    let _ = writeln!(
        svg,
        "<g font-size=\"11\"><text x=\"{LEFT}\" y=\"{}\">Medians; bars from the lowest to the \
         highest round. {}</text>\n<text x=\"{LEFT}\" y=\"{}\">{}</text></g>\n</svg>",
        HEIGHT - 26.0,
        said(&["date", "server", "cpu"]),
        HEIGHT - 10.0,
        said(&["versions"])
    );
    Some(svg)
}

struct Panel<'t> {
    x: f64,
    flavour: Flavour,
    tasks: &'t [usize],
    highest: f64,
}

impl Panel<'_> {
    fn draw(&self, svg: &mut String, results: &Results, clients: &[&str]) {
        self.frame(svg);
        let mut labels = Vec::new();
        // Our client is last, so that it is on top.
        let ours = |client: &&&str| client.starts_with(OURS);
        let order = clients.iter().filter(|client| !ours(client));
        for &client in order.chain(clients.iter().filter(ours)) {
            let rows = self.tasks.iter().filter_map(|&tasks| {
                let cell = Cell { flavour: self.flavour, op: Op::Get, size: SIZE, tasks };
                results.row(cell, client)
            });
            let rows: Vec<_> = rows.collect();
            let Some(last) = rows.last() else { continue };
            labels.push((self.y(last.ops_s), client, thousands(last.ops_s)));
            self.line(svg, client, &rows);
        }
        spread(&mut labels);
        let x = self.x + INNER + 10.0;
        for (y, client, figure) in labels {
            let (colour, weight) = (look(client).colour, look(client).weight);
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{:.1}\" font-weight=\"{weight}\" \
                 fill=\"{colour}\">{} {figure}</text>",
                y + 4.0,
                escape(client)
            );
        }
    }

    fn frame(&self, svg: &mut String) {
        let title = match self.flavour {
            Flavour::Ct => "one thread, on a core of its own",
            Flavour::Mt => "two threads, beside the server",
        };
        let _ = writeln!(svg, "<text x=\"{}\" y=\"44\">{title}</text>", self.x);
        let step = grid_step(self.highest);
        let mut at = 0.0;
        while at <= self.highest {
            let (y, end) = (self.y(at), self.x + INNER);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{}\" x2=\"{end}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                self.x,
                self.x - 6.0,
                y + 4.0,
                thousands(at)
            );
            at += step;
        }
        for &tasks in self.tasks {
            let (x, y) = (self.place(tasks), BOTTOM + 18.0);
            let _ =
                writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{tasks}</text>");
        }
    }

    fn line(&self, svg: &mut String, client: &str, rows: &[&Row]) {
        let Look { colour, dashes, width, .. } = look(client);
        let points = rows
            .iter()
            .map(|row| format!("{:.1},{:.1}", self.place(row.cell.tasks), self.y(row.ops_s)));
        let points = points.collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            svg,
            "<g stroke=\"{colour}\" fill=\"{colour}\"><polyline fill=\"none\" \
             stroke-width=\"{width}\" stroke-dasharray=\"{dashes}\" points=\"{points}\"/>"
        );
        for row in rows {
            let (x, y) = (self.place(row.cell.tasks), self.y(row.ops_s));
            let (low, high) = (self.y(row.ops_s_min), self.y(row.ops_s_max));
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {low:.1}V{high:.1}\"/><circle cx=\"{x:.1}\" cy=\"{y:.1}\" \
                 r=\"2.5\"/>"
            );
        }
        svg.push_str("</g>\n");
    }

    fn place(&self, tasks: usize) -> f64 {
        let at = self.tasks.iter().position(|&known| known == tasks).unwrap_or_default();
        let gaps = (self.tasks.len() - 1).max(1);
        self.x + 12.0 + (INNER - 24.0) * at as f64 / gaps as f64
    }

    fn y(&self, ops_s: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * ops_s / self.highest
    }
}

/// The style of a client's line.
#[derive(Clone, Copy, Debug)]
struct Look {
    colour: &'static str,
    dashes: &'static str,
    width: f64,
    weight: &'static str,
}

fn look(client: &str) -> Look {
    let peer = |colour| Look { colour, dashes: "none", width: 1.5, weight: "400" };
    let ours = |dashes, width, weight| Look { colour: "#e5484d", dashes, width, weight };
    match client {
        OURS => ours("none", 3.0, "700"),
        "ours-smol" => ours("7 3", 1.75, "400"),
        "ours-async-std" => ours("2 3", 1.75, "400"),
        RAW => Look { dashes: "6 4", ..peer("#8b949e") },
        "redis" => peer("#3b82f6"),
        "redis2" => peer("#0e9bb5"),
        "redis-smol" => Look { dashes: "7 3", ..peer("#3b82f6") },
        "fred" => peer("#c77d0a"),
        "fred-pool" => Look { dashes: "7 3", ..peer("#c77d0a") },
        "rustis" => peer("#2f9e58"),
        "bb8" => peer("#a463f2"),
        _ => peer("#8b949e"),
    }
}

/// Moves overlapping labels apart, and keeps their order.
fn spread<T>(labels: &mut [(f64, T, String)]) {
    labels.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut highest = TOP;
    for label in labels.iter_mut() {
        label.0 = label.0.max(highest);
        highest = label.0 + LABEL;
    }
    let mut lowest = BOTTOM;
    for label in labels.iter_mut().rev() {
        label.0 = label.0.min(lowest);
        lowest = label.0 - LABEL;
    }
}

/// A round step that gives four to ten grid lines.
fn grid_step(highest: f64) -> f64 {
    let decade = 10_f64.powf(highest.log10().floor() - 1.0);
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0].map(|step| step * decade);
    steps.into_iter().find(|step| highest / step <= 10.0).unwrap_or(highest)
}

fn thousands(ops_s: f64) -> String {
    format!("{:.0}", ops_s / 1e3)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const SIZE: usize = 64;

/// An element without a colour of its own has the text's.
const STYLE: &str = "svg{fill:#6e7781}.grid{stroke:#8b949e;stroke-opacity:.3}\
    @media(prefers-color-scheme:dark){svg{fill:#9da7b3}}";
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 452.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 380.0;
/// The distance between panels, and the part of it for the lines; the labels use the rest.
const STEP: f64 = 470.0;
const INNER: f64 = 290.0;
const LABEL: f64 = 14.0;

#[cfg(test)]
mod tests {
    use super::super::results::tests::FILE;
    use super::*;

    #[test]
    fn every_client_has_a_line_and_a_label_but_variants_have_none() {
        let more = FILE.lines().nth(6).unwrap().replace("\tours\t", "\tours@maxsize=1\t");
        let svg = svg(&format!("{FILE}{more}\n").parse().unwrap()).unwrap();
        assert_eq!(svg.matches("<polyline").count(), 4);
        for label in [">raw 1200<", ">ours 1000<", ">fred 500<", ">redis 400<"] {
            assert!(svg.contains(label), "{label}");
        }
        assert!(!svg.contains("maxsize"));
        assert!(svg.contains("redis 1.8.1, fred 10.1.0"));
    }

    #[test]
    fn without_gets_there_is_no_chart() {
        let gets = FILE.replace("\tget\t", "\tset\t");
        assert_eq!(svg(&gets.parse().unwrap()), None);
    }

    #[test]
    fn labels_are_moved_apart_and_stay_within_the_panel() {
        let mut labels = [BOTTOM, TOP, BOTTOM - 1.0].map(|y| (y, (), String::new()));
        spread(&mut labels);
        let places = labels.map(|label| label.0);
        assert_eq!(places, [TOP, BOTTOM - LABEL, BOTTOM]);
    }
}
