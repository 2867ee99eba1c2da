//! Hit ratios in the report: those of each cell, and a cache's share of the gain from LRU to OPT.
//!
//! A share of 0 is LRU, and 1 is OPT. If LRU and OPT are nearly equal, a share means nothing, so
//! such cells are left out of the means. So are cells whose cache was warmed.

use std::fmt::Write as _;

use crate::memory::figures::Figures;
use crate::memory::hits::MODE;

/// The shares of one cache over all cells.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Shares {
    /// The mean over all cells.
    pub(crate) all: f64,
    /// The mean over recorded traces, if there are any.
    pub(crate) real: Option<f64>,
    /// The lowest difference to LRU's hit ratio, in percentage points.
    pub(crate) worst: f64,
    pub(crate) worst_cell: String,
}

/// A cell's hit ratio, in percent.
pub(crate) fn ratio(figures: &Figures, cell: &str, cache: &str) -> Option<f64> {
    figures.get(MODE, cell, cache, "hit_pct").map(|ratio| ratio.median)
}

/// The shares of a cache, or `None` if no cell has one.
pub(crate) fn of(figures: &Figures, cache: &str) -> Option<Shares> {
    let (mut all, mut real, mut worst): (Vec<f64>, Vec<f64>, Option<(f64, &str)>) =
        Default::default();
    for cell in figures.cells(MODE) {
        let of = |cache| ratio(figures, cell, cache);
        let (Some(hits), Some(lru), Some(opt)) = (of(cache), of(LRU), of(OPT)) else { continue };
        if cell.starts_with("warm/") {
            continue;
        }
        if worst.is_none_or(|(lowest, _)| hits - lru < lowest) {
            worst = Some((hits - lru, cell));
        }
        if opt - lru >= LEAST_ROOM {
            let share = (hits - lru) / (opt - lru);
            all.push(share);
            real.extend(cell.starts_with("real/").then_some(share));
        }
    }
    let (worst, worst_cell) = worst?;
    Some(Shares { all: mean(&all)?, real: mean(&real), worst, worst_cell: worst_cell.to_owned() })
}

/// A table with a line for each cache.
pub(crate) fn summary(figures: &Figures) -> String {
    let caches = figures.caches(MODE).into_iter().filter(|&cache| cache != LRU && cache != OPT);
    let rows: Vec<_> = caches.filter_map(|cache| Some((cache, of(figures, cache)?))).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text =
        String::from("| | all | recorded | worst against LRU, points |\n|---|--:|--:|---|\n");
    for (cache, Shares { all, real, worst, worst_cell }) in rows {
        let real = real.map_or_else(String::new, |real| format!("{real:.3}"));
        let _ =
            writeln!(text, "| {cache} | {all:.3} | {real} | {worst:+.2} <sub>{worst_cell}</sub> |");
    }
    text
}

/// A table with a line for each cell.
pub(crate) fn cells(figures: &Figures) -> String {
    let (caches, mut cells) = (figures.caches(MODE), figures.cells(MODE));
    if cells.is_empty() {
        return String::new();
    }
    cells.sort_by_key(|cell| {
        cell.rsplit_once('/').map(|(name, _)| (!name.starts_with("real"), name))
    });
    let mut text = format!("| | {} |\n|---|{}\n", caches.join(" | "), "--:|".repeat(caches.len()));
    for cell in cells {
        let shown = caches.iter().map(|cache| {
            ratio(figures, cell, cache).map_or_else(String::new, |ratio| format!("{ratio:.2}"))
        });
        let _ = writeln!(text, "| {cell} | {} |", shown.collect::<Vec<_>>().join(" | "));
    }
    text
}

fn mean(figures: &[f64]) -> Option<f64> {
    (!figures.is_empty()).then(|| figures.iter().sum::<f64>() / figures.len() as f64)
}

pub(crate) const LRU: &str = "lru";
pub(crate) const OPT: &str = "opt";
/// The smallest gain from LRU to OPT that counts, in percentage points.
const LEAST_ROOM: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::spread::Spread;

    fn figures(cells: &[(&str, f64, f64, f64)]) -> Figures {
        let mut figures = Figures::default();
        for &(cell, ours, lru, opt) in cells {
            for (cache, ratio) in [("ours", ours), (LRU, lru), (OPT, opt)] {
                figures.put(MODE, cell, cache, "hit_pct", Spread::alone(ratio));
            }
        }
        figures
    }

    #[test]
    fn a_share_is_relative_to_lru_and_opt_and_skips_cells_without_a_gap() {
        let figures = figures(&[
            ("real/web/1", 55.0, 50.0, 60.0),
            ("made/loop/1", 0.0, 0.0, 80.0),
            ("real/tight/1", 49.0, 50.0, 50.05),
            ("warm/zipf/10", 0.0, 50.0, 60.0),
        ]);
        let shares = of(&figures, "ours").unwrap();
        assert_eq!((shares.all, shares.real), (0.25, Some(0.5)));
        assert_eq!((shares.worst, shares.worst_cell.as_str()), (-1.0, "real/tight/1"));
        assert!(
            summary(&figures).contains("| ours | 0.250 | 0.500 | -1.00 <sub>real/tight/1</sub> |")
        );
    }

    #[test]
    fn recorded_traces_come_first() {
        let text =
            cells(&figures(&[("made/loop/5", 1.0, 0.0, 2.0), ("real/web/5", 1.0, 0.0, 2.0)]));
        assert!(text.find("real/web/5").unwrap() < text.find("made/loop/5").unwrap(), "{text}");
        assert_eq!(cells(&Figures::default()), "");
    }
}
