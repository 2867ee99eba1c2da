//! Summarizes the rounds of one cache at one cell: medians, and ratios to another cache in the same
//! round, which the machine's drift does not affect.

use std::fmt;

use super::turn::{Latency, Rate};
use crate::memory::spread::Spread;

/// The results of one cache in one round.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Sample {
    pub(crate) rate: Rate,
    pub(crate) latency: Option<Latency>,
}

/// Medians over the rounds, with the lowest and the highest.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) rounds: usize,
    /// Million operations per second.
    pub(crate) mops: Spread,
    /// Operations per second, divided by the other cache's in the same round.
    pub(crate) ratio: Option<Spread>,
    /// Operations per second, divided by those of the raw store in the same round.
    pub(crate) raw_ratio: Option<Spread>,
    pub(crate) hits: f64,
    pub(crate) p50_ns: Option<f64>,
    pub(crate) p99_ns: Option<f64>,
    /// The p99, divided by the other cache's in the same round.
    pub(crate) p99_ratio: Option<Spread>,
}

impl Summary {
    /// Summarizes one cache's rounds beside those of others, if the others were measured.
    pub(crate) fn of(
        samples: &[Sample],
        other: Option<&[Sample]>,
        raw: Option<&[Sample]>,
    ) -> Option<Self> {
        let latency = |figure: fn(Latency) -> f64| {
            Spread::of(samples.iter().filter_map(|sample| Some(figure(sample.latency?))))
        };
        let pairs = || samples.iter().zip(other.into_iter().flatten());
        let rates = |others: Option<&[Sample]>| {
            let pairs = samples.iter().zip(others.into_iter().flatten());
            Spread::of(pairs.map(|(one, other)| one.rate.ops_s / other.rate.ops_s))
        };
        let p99 = |sample: &Sample| Some(sample.latency?.p99);
        Some(Self {
            rounds: samples.len(),
            mops: Spread::of(samples.iter().map(|sample| sample.rate.ops_s / 1e6))?,
            ratio: rates(other),
            raw_ratio: rates(raw),
            hits: Spread::of(samples.iter().map(|sample| sample.rate.hits))?.median,
            p50_ns: latency(|latency| latency.p50).map(|spread| spread.median),
            p99_ns: latency(|latency| latency.p99).map(|spread| spread.median),
            p99_ratio: Spread::of(pairs().filter_map(|(one, other)| Some(p99(one)? / p99(other)?))),
        })
    }
}

impl Summary {
    /// The figures by name.
    pub(crate) fn figures(&self) -> Vec<(&'static str, Spread)> {
        let optional = [
            ("ratio", self.ratio),
            ("raw_ratio", self.raw_ratio),
            ("p50_ns", self.p50_ns.map(Spread::alone)),
            ("p99_ns", self.p99_ns.map(Spread::alone)),
            ("p99_ratio", self.p99_ratio),
        ];
        let mut figures = vec![("mops", self.mops), ("hits_pct", Spread::alone(self.hits * 100.0))];
        figures.extend(optional.into_iter().filter_map(|(what, figure)| Some((what, figure?))));
        figures
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread { median, min, max } = self.mops;
        write!(f, "{median:>6.2} M/s ({min:.2} to {max:.2})")?;
        if let Some(Spread { median, min, max }) = self.ratio {
            write!(f, "  x {median:.2} ({min:.2} to {max:.2})")?;
        }
        write!(f, "  hits {:.2} %", self.hits * 100.0)?;
        if let (Some(p50), Some(p99)) = (self.p50_ns, self.p99_ns) {
            write!(f, "  p50 {p50:.0} ns, p99 {p99:.0} ns")?;
        }
        if let Some(Spread { median, .. }) = self.p99_ratio {
            write!(f, " x {median:.2}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(rates: &[f64]) -> Vec<Sample> {
        let sample = |&ops_s: &f64| {
            let latency = Latency { p50: 100.0, p99: 1e9 / ops_s };
            Sample { rate: Rate { ops_s, hits: 0.5 }, latency: Some(latency) }
        };
        rates.iter().map(sample).collect()
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_then_their_median() {
        // The ratio of the medians would be 1.
        let (one, other) = (samples(&[2e6, 4e6, 9e6]), samples(&[1e6, 8e6, 4.5e6]));
        let summary = Summary::of(&one, Some(&other), None).unwrap();
        assert_eq!(summary.mops, Spread { median: 4.0, min: 2.0, max: 9.0 });
        assert_eq!(summary.ratio, Some(Spread { median: 2.0, min: 0.5, max: 2.0 }));
        assert_eq!(summary.p99_ratio, Some(Spread { median: 0.5, min: 0.5, max: 2.0 }));
        assert_eq!(Summary::of(&one, None, None).unwrap().ratio, None);
    }
}
