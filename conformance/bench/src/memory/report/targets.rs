//! The figures that the store must reach and those that it aims at, beside the measured ones.

use std::fmt::Write as _;

use super::shares;
use crate::memory::figures::Figures;
use crate::memory::stalls::CHURN_ROOM;
use crate::memory::{hits, resident, stalls, throughput};

/// A table with a line for each target.
pub(crate) fn table(figures: &Figures) -> String {
    let mut text = String::from(HEAD);
    for Target { what, must, aim, measured } in targets(figures) {
        let (must_text, aim_text) = (must.text(), aim.map_or_else(String::new, Bound::text));
        let (shown, reached, won) = match measured {
            None => ("not measured".to_owned(), String::new(), String::new()),
            Some(Measured { value, place }) => (
                format!("{} <sub>{place}</sub>", number(value)),
                verdict(must, value).to_owned(),
                aim.map_or("", |aim| verdict(aim, value)).to_owned(),
            ),
        };
        let _ =
            writeln!(text, "| {what} | {must_text} | {aim_text} | {shown} | {reached} | {won} |");
    }
    text
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// The measured figure that is farthest from its target, and the cell it comes from.
#[derive(Clone, PartialEq, Debug)]
struct Measured {
    value: f64,
    place: String,
}

#[derive(Clone, PartialEq, Debug)]
struct Target {
    what: &'static str,
    must: Bound,
    aim: Option<Bound>,
    measured: Option<Measured>,
}

fn targets(figures: &Figures) -> Vec<Target> {
    let target = |what, must, aim, measured| Target { what, must, aim: Some(aim), measured };
    let (least, most) = (Bound::AtLeast, Bound::AtMost);
    let won = shares::of(figures, OURS);
    let share = won.as_ref().map(|won| Measured { value: won.all, place: "mean".to_owned() });
    let above = won.as_ref().and_then(|won| {
        let mut peers = figures.caches(hits::MODE);
        peers.retain(|&cache| {
            !cache.starts_with(OURS) && ![shares::LRU, shares::OPT].contains(&cache)
        });
        let peers = peers.into_iter();
        let best = peers.filter_map(|cache| Some((shares::of(figures, cache)?.all, cache)));
        let (best, cache) = best.max_by(|one, other| one.0.total_cmp(&other.0))?;
        Some(Measured { value: won.all - best, place: format!("above {cache}") })
    });
    let loss = won.map(|won| Measured { value: -won.worst, place: won.worst_cell });
    let zipf = shares::ratio(figures, "warm/zipf-1m/10", OURS);
    let zipf = zipf.map(|value| Measured { value, place: String::new() });
    let rate =
        |workload: &str| worst(figures, &format!("{workload}/on/"), "ratio", OURS, least(0.0));
    let p99 =
        ["zipf/on/", "hits/on/"].map(|cells| worst(figures, cells, "p99_ratio", OURS, most(0.0)));
    let p99 = p99.into_iter().flatten().max_by(|one, other| one.value.total_cmp(&other.value));
    let public = ["zipf/on/1", "hits/on/1", "half/on/1"]
        .map(|cell| worst(figures, cell, "raw_ratio", "ours-cache", least(0.0)));
    let public =
        public.into_iter().flatten().min_by(|one, other| one.value.total_cmp(&other.value));
    let figure = |mode, cell: &str, what| {
        let value = figures.get(mode, cell, OURS, what)?.median;
        Some(Measured { value, place: String::new() })
    };
    vec![
        target(
            "hit ratio: share won of the room between LRU and OPT",
            least(0.24),
            least(0.30),
            share,
        ),
        Target {
            what: "the same, above the best peer's",
            must: least(0.0),
            aim: None,
            measured: above,
        },
        target("hit ratio: worst loss against LRU, points", most(0.7), most(0.0), loss),
        target("hit ratio, Zipf(0.99), 100 k of 1 M, %", least(80.3), least(80.8), zipf),
        target("Zipf read-through, x quick_cache", least(1.0), least(1.25), rate("zipf")),
        target("all hits, x quick_cache", least(1.0), least(1.1), rate("hits")),
        target("half writes, x quick_cache", least(1.0), least(1.2), rate("half")),
        target("p99 of a get, x quick_cache's", most(1.0), most(0.85), p99),
        target(
            "bytes resident an entry",
            most(227.0),
            most(170.0),
            figure(resident::MODE, "1000000", "bytes"),
        ),
        target(
            "longest operation while a million expire, us of CPU",
            most(1000.0),
            most(200.0),
            figure(stalls::MODE, "expiry", "cpu_us"),
        ),
        target("public cache, x raw store, 1 thread", least(0.6), least(0.8), public),
        Target {
            what: "ten million sets: longest operation, us of CPU",
            must: most(1000.0),
            aim: None,
            measured: figure(stalls::MODE, "churn", "cpu_us"),
        },
        Target {
            what: "ten million sets: most entries",
            must: most(CHURN_ROOM as f64),
            aim: None,
            measured: figure(stalls::MODE, "churn", "entries"),
        },
    ]
}

/// The worst figure, as seen from the bound, of all cells with such a name.
fn worst(
    figures: &Figures,
    cells: &str,
    what: &str,
    cache: &str,
    bound: Bound,
) -> Option<Measured> {
    let named = figures.cells(throughput::MODE).into_iter().filter(|cell| cell.starts_with(cells));
    let found = named.filter_map(|cell| {
        let value = figures.get(throughput::MODE, cell, cache, what)?.median;
        Some(Measured { value, place: cell.to_owned() })
    });
    let order = |one: &Measured, other: &Measured| one.value.total_cmp(&other.value);
    match bound {
        Bound::AtLeast(_) => found.min_by(order),
        Bound::AtMost(_) => found.max_by(order),
    }
}

fn verdict(bound: Bound, value: f64) -> &'static str {
    let holds = match bound {
        Bound::AtLeast(bound) => value >= bound,
        Bound::AtMost(bound) => value <= bound,
    };
    if holds { "yes" } else { "**no**" }
}

impl Bound {
    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => number(bound),
            Self::AtMost(bound) => format!("at most {}", number(bound)),
        }
    }
}

fn number(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

const OURS: &str = "ours";
const HEAD: &str = "\
| | must reach | aim | measured, worst cell | reached | aim reached |
|---|---|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::spread::Spread;

    #[test]
    fn a_target_is_judged_by_its_worst_cell() {
        let mut figures = Figures::default();
        for (cell, ratio) in [("zipf/on/1", 1.3), ("zipf/on/2", 1.1), ("zipf/off/1", 0.1)] {
            figures.put(throughput::MODE, cell, OURS, "ratio", Spread::alone(ratio));
        }
        for (cell, ratio) in [("zipf/on/1", 0.9), ("hits/on/2", 1.2)] {
            figures.put(throughput::MODE, cell, OURS, "p99_ratio", Spread::alone(ratio));
        }
        let table = table(&figures);
        let line = |what: &str| table.lines().find(|line| line.contains(what)).unwrap();
        assert_eq!(
            line("Zipf read-through"),
            "| Zipf read-through, x quick_cache | 1.00 | 1.25 | 1.10 <sub>zipf/on/2</sub> | yes | **no** |"
        );
        assert!(line("p99").ends_with("| 1.20 <sub>hits/on/2</sub> | **no** | **no** |"));
        assert!(line("half writes").ends_with("| not measured |  |  |"));
    }
}
