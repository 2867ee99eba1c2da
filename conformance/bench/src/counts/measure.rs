//! The counts of one operation: the difference between a run of N operations and a run of twice as
//! many.
//!
//! The difference cancels out what a child does once (start, connect, stop), and also the queries
//! that this module sends to the server.

use std::collections::BTreeMap;

use anyhow::Result;

use super::subject::Subject;
use super::ways::{Way, What};
use crate::cell::{Cell, Flavour};
use crate::stage::Stage;

/// The cost of one operation of a subject.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Counted {
    /// The count of each counted thing.
    pub(crate) counts: BTreeMap<What, f64>,
    /// The system calls by name.
    pub(crate) calls: BTreeMap<String, f64>,
    /// The number of commands per read of the server, for each way in which the child ran. If a
    /// tool slows the child so much that its batches differ from those of the plain run, its counts
    /// are not comparable either.
    pub(crate) batches: BTreeMap<Way, f64>,
}

/// Counts one subject after another, on a server that it restarts when the flavour changes.
#[derive(Default)]
pub(crate) struct Counter {
    stage: Option<(Flavour, Stage)>,
    loaded: Option<Cell>,
}

impl Counter {
    /// Counts a subject in one way, once.
    pub(crate) fn count(&mut self, subject: &Subject, way: Way) -> Result<Counted> {
        let Subject { client, cell } = subject;
        let stage = match &mut self.stage {
            Some((flavour, stage)) if *flavour == cell.flavour => stage,
            other => {
                self.loaded = None;
                let stage = Stage::open(cell.flavour, false)?;
                &mut other.insert((cell.flavour, stage)).1
            }
        };
        if self.loaded.replace(*cell) != Some(*cell) {
            stage.load(*cell);
        }
        let mut run = |each: u64| {
            let mut arguments = stage.arguments(client, *cell);
            arguments.extend(["--ops".to_owned(), each.to_string()]);
            let before = stage.traffic()?;
            let totals = way.run(&arguments, &stage.environment())?;
            let after = stage.traffic()?;
            let (commands, reads) = (after.commands - before.commands, after.reads - before.reads);
            anyhow::Ok((totals, commands, reads))
        };
        let each = subject.operations(way);
        let (once, commands, reads) = run(each)?;
        let (twice, commands_twice, reads_twice) = run(2 * each)?;

        let operations = each * cell.tasks as u64;
        let share = |once: u64, twice: u64| (twice as f64 - once as f64) / operations as f64;
        let mut counted = Counted::default();
        for (what, total) in twice.counts {
            counted.counts.insert(what, share(once.counts[&what], total));
        }
        for (name, total) in twice.calls {
            let before = once.calls.get(&name).copied().unwrap_or_default();
            counted.calls.insert(name, share(before, total));
        }
        let batch = share(commands, commands_twice) / share(reads, reads_twice);
        counted.batches.insert(way, batch);
        Ok(counted)
    }
}

impl Counted {
    /// The median of each count, over the rounds that have it.
    pub(crate) fn median(all: &[Self]) -> Self {
        Self {
            counts: medians(all.iter().map(|counted| &counted.counts)),
            calls: medians(all.iter().map(|counted| &counted.calls)),
            batches: medians(all.iter().map(|counted| &counted.batches)),
        }
    }
}

fn medians<'a, K: Ord + Clone + 'a>(
    all: impl Iterator<Item = &'a BTreeMap<K, f64>>,
) -> BTreeMap<K, f64> {
    let mut samples = BTreeMap::<K, Vec<f64>>::new();
    for (name, &sample) in all.flatten() {
        samples.entry(name.clone()).or_default().push(sample);
    }
    let median = |(name, mut samples): (K, Vec<f64>)| {
        samples.sort_by(f64::total_cmp);
        let (low, high) = ((samples.len() - 1) / 2, samples.len() / 2);
        (name, f64::midpoint(samples[low], samples[high]))
    };
    samples.into_iter().map(median).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_count_has_its_own_median() {
        let counted = |counts: &[(What, f64)], batch: f64| Counted {
            counts: counts.iter().copied().collect(),
            batches: [(Way::Plain, batch)].into(),
            ..Counted::default()
        };
        let all = [
            counted(&[(What::Allocations, 1.0), (What::Bytes, 90.0)], 2.0),
            counted(&[(What::Allocations, 5.0)], 4.0),
            counted(&[(What::Allocations, 2.0), (What::Bytes, 70.0)], 9.0),
        ];
        let median = counted(&[(What::Allocations, 2.0), (What::Bytes, 80.0)], 4.0);
        assert_eq!(Counted::median(&all), median);
    }
}
