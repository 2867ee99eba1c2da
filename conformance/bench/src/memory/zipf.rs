//! Zipf's law: the key of rank `r` is requested with a probability proportional to `r` to the power
//! of minus `skew`.
//!
//! Ranks are assigned to ids at random, so that hot keys are not adjacent.

use super::random::Random;

/// A distribution over the ids below some number.
#[derive(Clone, Debug)]
pub(crate) struct Zipf {
    /// For each rank, the probability of this rank or a lower one.
    reach: Vec<f64>,
    ids: Vec<u32>,
}

impl Zipf {
    /// A distribution over `count` ids.
    pub(crate) fn new(count: u32, skew: f64, random: &mut Random) -> Self {
        let mut sum = 0.0;
        let weights = (1..=count).map(|rank| f64::from(rank).powf(-skew));
        let mut reach: Vec<_> = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        reach.iter_mut().for_each(|reach| *reach /= sum);
        let mut ids: Vec<_> = (0..count).collect();
        random.shuffle(&mut ids);
        Self { reach, ids }
    }

    /// The next id.
    pub(crate) fn draw(&self, random: &mut Random) -> u32 {
        let rank = self.rank(random.unit());
        self.ids[rank]
    }

    /// The next id, after the ids of the hottest `by` ranks have become cold and the others have
    /// moved up.
    pub(crate) fn draw_shifted(&self, by: usize, random: &mut Random) -> u32 {
        let rank = self.rank(random.unit());
        self.ids[(rank + by) % self.ids.len()]
    }

    fn rank(&self, chance: f64) -> usize {
        self.reach.partition_point(|&reach| reach <= chance).min(self.ids.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rank_has_the_frequency_of_zipfs_law() {
        let mut random = Random::new(1);
        let zipf = Zipf::new(1000, 0.99, &mut random);
        let first = zipf.ids[0];
        let times = (0..100_000).filter(|_| zipf.draw(&mut random) == first).count();
        let weights = (1..=1000).map(|rank| f64::from(rank).powf(-0.99));
        let expected = 100_000.0 / weights.sum::<f64>();
        assert!((times as f64 / expected - 1.0).abs() < 0.05, "{times}, not {expected}");
    }

    #[test]
    fn a_shift_makes_the_next_rank_the_first() {
        let zipf = Zipf::new(10, 0.99, &mut Random::new(1));
        let drawn = |by| {
            let mut random = Random::new(2);
            (0..50).map(|_| zipf.draw_shifted(by, &mut random)).collect::<Vec<_>>()
        };
        let moved = |id: u32| {
            let rank = zipf.ids.iter().position(|&known| known == id).unwrap();
            zipf.ids[(rank + 1) % 10]
        };
        assert_eq!(drawn(0).into_iter().map(moved).collect::<Vec<_>>(), drawn(1));
    }
}
