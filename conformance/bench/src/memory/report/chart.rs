//! The chart: throughput with timeouts. It has a panel for each workload, and in each panel one bar
//! for each cache and number of threads.
//!
//! It is one self-contained SVG with a transparent background. So all colours are of medium
//! brightness, and the text follows the reader's colour scheme if it is known.

use std::fmt::Write as _;

use crate::memory::figures::Figures;
use crate::memory::throughput::MODE;

/// The chart, or `None` if nothing in it was measured.
pub(crate) fn svg(figures: &Figures) -> Option<String> {
    let caches = figures.caches(MODE);
    let mops = |cell: &str, cache: &str| figures.get(MODE, cell, cache, "mops");
    let cells =
        || PANELS.iter().flat_map(|(workload, _)| THREADS.map(|n| format!("{workload}/on/{n}")));
    let all = cells().flat_map(|cell| caches.iter().map(move |cache| mops(&cell, cache)));
    let highest = all.flatten().map(|mops| mops.max).max_by(f64::total_cmp)?;

    let row = BAR * THREADS.len() as f64 + GAP;
    let height = TOP + row * caches.len() as f64 + 34.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<style>{STYLE}</style>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\" font-weight=\"600\">Million operations a \
         second, with timeouts: one thread, two, eight</text>\n"
    );
    for (index, cache) in caches.iter().enumerate() {
        let y = TOP + row * index as f64;
        let weight = if is_ours(cache) { "700" } else { "400" };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-weight=\"{weight}\">{cache}</text>",
            LEFT - 8.0,
            y + BAR * 2.0
        );
        for (panel, (workload, _)) in PANELS.iter().enumerate() {
            let x = LEFT + STEP * panel as f64;
            for (place, threads) in THREADS.iter().enumerate() {
                let Some(mops) = mops(&format!("{workload}/on/{threads}"), cache) else { continue };
                let (y, width) = (y + BAR * place as f64, INNER * mops.median / highest);
                let (low, high) = (INNER * mops.min / highest, INNER * mops.max / highest);
                let (colour, middle) = (colour(cache), y + BAR / 2.0);
                let opacity = [0.55, 0.75, 0.95][place];
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" \
                     fill=\"{colour}\" fill-opacity=\"{opacity}\"/>\
                     <path class=\"range\" d=\"M{:.1} {middle:.1}H{:.1}\"/>\
                     <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\">{:.1}</text>",
                    BAR - 1.0,
                    x + low,
                    x + high,
                    x + high + 4.0,
                    middle + 3.0,
                    mops.median
                );
            }
        }
    }
    for (panel, (_, title)) in PANELS.iter().enumerate() {
        let x = LEFT + STEP * panel as f64;
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"44\">{title}</text>");
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.1}\" font-size=\"11\">Medians; lines from the lowest to the \
         highest round.</text>\n</svg>",
        height - 10.0
    );
    Some(svg)
}

fn is_ours(cache: &str) -> bool {
    cache.starts_with("ours")
}

fn colour(cache: &str) -> &'static str {
    match cache {
        _ if is_ours(cache) => "#e5484d",
        "lru" | "unbounded" => "#8b949e",
        _ => "#3b82f6",
    }
}

const PANELS: [(&str, &str); 3] = [
    ("zipf", "Zipf read-through, a tenth fits"),
    ("hits", "all hits"),
    ("half", "half gets, half sets"),
];
const THREADS: [usize; 3] = [1, 2, 8];

const STYLE: &str = "text{fill:#6e7781}.range{stroke:#6e7781;stroke-opacity:.7}\
    @media(prefers-color-scheme:dark){text{fill:#9da7b3}.range{stroke:#9da7b3}}";
const WIDTH: f64 = 960.0;
const LEFT: f64 = 96.0;
const TOP: f64 = 56.0;
const BAR: f64 = 10.0;
const GAP: f64 = 8.0;
/// The distance between panels, and the part of it for the bars; the figures use the rest.
const STEP: f64 = 288.0;
const INNER: f64 = 250.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::spread::Spread;

    #[test]
    fn every_figure_with_timeouts_has_a_bar() {
        let mut figures = Figures::default();
        for cell in ["zipf/on/1", "zipf/on/8", "half/on/2", "zipf/off/1"] {
            figures.put(MODE, cell, "moka", "mops", Spread::alone(2.0));
        }
        let svg = svg(&figures).unwrap();
        assert_eq!(svg.matches("<rect").count(), 3);
        assert!(svg.contains(">moka<"));
    }

    #[test]
    fn without_figures_there_is_no_chart() {
        assert_eq!(svg(&Figures::default()), None);
    }
}
