//! Summarizes several turns of one client at one cell.

use crate::turn::Measured;

/// One turn's figures, with those that the server reported.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Sample {
    pub(crate) measured: Measured,
    /// The number of commands per read of the server, on average.
    pub(crate) commands_read: f64,
}

/// Medians over the rounds.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Summary {
    pub(crate) rounds: usize,
    pub(crate) ops_s: f64,
    pub(crate) ops_s_min: f64,
    pub(crate) ops_s_max: f64,
    pub(crate) cpu_us_op: f64,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) switches_op: f64,
    pub(crate) commands_write: f64,
}

impl Summary {
    /// Summarizes the samples in which at least one operation was done; `None` if there are no such
    /// samples.
    pub(crate) fn of(samples: &[Sample]) -> Option<Self> {
        let done: Vec<_> = samples.iter().filter(|sample| sample.measured.ops > 0).collect();
        let all = |figure: fn(&Sample) -> Option<f64>| {
            let mut figures: Vec<_> = done.iter().filter_map(|sample| figure(sample)).collect();
            figures.sort_by(f64::total_cmp);
            figures
        };
        let ops_s = all(|sample| Some(sample.measured.ops as f64 / sample.measured.seconds));
        Some(Self {
            rounds: ops_s.len(),
            ops_s: median(&ops_s)?,
            ops_s_min: *ops_s.first()?,
            ops_s_max: *ops_s.last()?,
            cpu_us_op: median(&all(|sample| {
                Some(sample.measured.cpu_seconds * 1e6 / sample.measured.ops as f64)
            }))?,
            p50_us: median(&all(|sample| sample.measured.p50_us)),
            p99_us: median(&all(|sample| sample.measured.p99_us)),
            switches_op: median(&all(|sample| {
                Some(sample.measured.switches as f64 / sample.measured.ops as f64)
            }))?,
            commands_write: median(&all(|sample| Some(sample.commands_read)))?,
        })
    }
}

/// The middle of sorted figures, or the mean of the two middle ones.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => Some(sorted[middle]),
        _ => Some((sorted.get(middle.checked_sub(1)?)? + sorted.get(middle)?) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(ops: u64, p99_us: Option<f64>) -> Sample {
        let measured =
            Measured { ops, seconds: 2.0, cpu_seconds: 1.0, p50_us: None, p99_us, switches: 10 };
        Sample { measured, commands_read: 4.0 }
    }

    #[test]
    fn figures_are_medians_and_turns_without_operations_do_not_count() {
        let samples =
            [sample(10, Some(3.0)), sample(0, None), sample(40, None), sample(20, Some(5.0))];
        let summary = Summary::of(&samples).unwrap();
        assert_eq!((summary.ops_s_min, summary.ops_s, summary.ops_s_max), (5.0, 10.0, 20.0));
        assert_eq!((summary.rounds, summary.p50_us, summary.p99_us), (3, None, Some(4.0)));
        assert_eq!((summary.cpu_us_op, summary.switches_op), (50_000.0, 0.5));
        assert_eq!(Summary::of(&[]), None);
    }
}
