//! Generated traces, for cases in which policies differ most and recorded traces show too little.
//!
//! | name | what |
//! |---|---|
//! | `loop` | a loop a fifth larger than the cache: LRU never hits |
//! | `once-more` | every key twice, seven tenths of the room in requests apart: LRU hits each |
//! | `sets` | keys for nine tenths of the room, five rounds, and then others: LRU hits from the second on |
//! | `scan` | Zipf(0.9) and, after every 10,000 requests, 5,000 keys that come only once |
//! | `mixture` | a loop of 3,000, Zipf(0.9) over 30,000 and a loop of 9,000, taking turns of 20,000 |
//! | `zipf-0.7`, `zipf-0.99` | Zipf's law over 100,000 keys |
//! | `shifting` | Zipf(0.9) over 50,000, of which the 500 hottest cool every 20,000 requests |
//! | `zipf-1m` | Zipf(0.99) over a million keys, of which a tenth fits; the cache is warm |

use super::trace::Trace;
use crate::memory::caches::SEED;
use crate::memory::random::Random;
use crate::memory::zipf::Zipf;

/// The traces that are the same for caches of all sizes.
pub(crate) fn fixed() -> Vec<Trace> {
    let made = |name: &str, ids| Trace::new(format!("made/{name}"), ids);
    vec![
        made("scan", scan()),
        made("mixture", mixture()),
        made("zipf-0.7", zipf(0.7)),
        made("zipf-0.99", zipf(0.99)),
        made("shifting", shifting()),
    ]
}

/// A loop for a cache with this much room.
pub(crate) fn a_loop(room: u32) -> Trace {
    let length = room + room.div_ceil(5);
    let ids = (0..length).cycle().take(REQUESTS);
    Trace::new("made/loop".to_owned(), ids.collect())
}

/// Each key, requested again seven tenths of the cache's room in requests later.
pub(crate) fn once_more(room: u32) -> Trace {
    let apart = (room * 7 / 20).max(1);
    let ids = (apart..).flat_map(|key| [key, key - apart]).take(REQUESTS);
    Trace::new("made/once-more".to_owned(), ids.collect())
}

/// Sets of keys that fit into the cache, each of which replaces the one before after five rounds.
pub(crate) fn sets(room: u32) -> Trace {
    let size = (room * 9 / 10).max(1);
    let set = |set: u32| (0..5).flat_map(move |_| set * size..(set + 1) * size);
    let ids = (0..).flat_map(set).take(REQUESTS);
    Trace::new("made/sets".to_owned(), ids.collect())
}

/// The trace for which the cache is warmed.
pub(crate) fn zipf_of_a_million() -> Trace {
    let mut random = Random::new(SEED);
    let zipf = Zipf::new(1_000_000, 0.99, &mut random);
    let ids = (0..4_000_000).map(|_| zipf.draw(&mut random)).collect();
    Trace { name: "warm/zipf-1m".to_owned(), ids, warm: 2_000_000 }
}

fn scan() -> Vec<u32> {
    let mut random = Random::new(SEED);
    let zipf = Zipf::new(50_000, 0.9, &mut random);
    let mut fresh = 50_000..;
    let mut ids = Vec::new();
    while ids.len() < REQUESTS {
        ids.extend((0..10_000).map(|_| zipf.draw(&mut random)));
        ids.extend(fresh.by_ref().take(5_000));
    }
    ids
}

fn mixture() -> Vec<u32> {
    let mut random = Random::new(SEED);
    let zipf = Zipf::new(30_000, 0.9, &mut random);
    let (mut short, mut long) = ((30_000..33_000).cycle(), (33_000..42_000).cycle());
    let mut ids = Vec::new();
    while ids.len() < REQUESTS {
        ids.extend(short.by_ref().take(20_000));
        ids.extend((0..20_000).map(|_| zipf.draw(&mut random)));
        ids.extend(long.by_ref().take(20_000));
    }
    ids
}

fn zipf(skew: f64) -> Vec<u32> {
    let mut random = Random::new(SEED);
    let zipf = Zipf::new(100_000, skew, &mut random);
    (0..REQUESTS).map(|_| zipf.draw(&mut random)).collect()
}

fn shifting() -> Vec<u32> {
    let mut random = Random::new(SEED);
    let zipf = Zipf::new(50_000, 0.9, &mut random);
    let draw = |number: usize| zipf.draw_shifted(number / 20_000 * 500, &mut random);
    (0..REQUESTS).map(draw).collect()
}

const REQUESTS: usize = 600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_a_fifth_larger_than_the_cache_and_repeats() {
        let trace = a_loop(101);
        assert_eq!((trace.distinct(), trace.end()), (122, 122));
        assert_eq!(trace.ids[0], trace.ids[122]);
    }

    #[test]
    fn each_key_of_a_scan_occurs_once() {
        let ids = scan();
        let mut fresh: Vec<_> = ids.into_iter().filter(|&id| id >= 50_000).collect();
        let all = fresh.len();
        fresh.sort_unstable();
        fresh.dedup();
        assert_eq!((fresh.len(), all), (all, 200_000));
    }

    #[test]
    fn generated_traces_are_deterministic() {
        assert_eq!(fixed(), fixed());
    }
}
