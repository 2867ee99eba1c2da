//! A seed is repeatable: it gives the same events again, to the nanosecond. `REPEATED_SEEDS` says
//! of how many seeds that is checked.

use std::env;

use async_caches_simulation::{Space, run, run_in};

#[test]
fn the_same_seed_gives_the_same_log() {
    for seed in 0..seeds() {
        let (once, again) = (run(seed, true), run(seed, true));
        assert!(once.log.len() > 10, "seed {seed} does something");
        for (line, (once, again)) in once.log.iter().zip(&again.log).enumerate() {
            assert_eq!(once, again, "seed {seed}, line {line}");
        }
        assert_eq!(once.log.len(), again.log.len(), "seed {seed}");
        assert_eq!(once.failure, again.failure, "seed {seed}");
    }
}

#[test]
fn another_seed_gives_another_log() {
    assert_ne!(run(1, true).log, run(2, true).log);
}

#[test]
fn a_few_seeds_hold() {
    for seed in 1_000..1_000 + seeds() {
        assert_eq!(run(seed, false).failure, None, "seed {seed}");
    }
}

#[test]
fn the_same_seed_of_a_cluster_gives_the_same_log() {
    for seed in 0..seeds() / 3 {
        let once = run_in(Space::Cluster, seed, true);
        let again = run_in(Space::Cluster, seed, true);
        assert!(once.log.len() > 10, "seed {seed} does something");
        assert_eq!(once.log, again.log, "seed {seed}");
        assert_eq!(once.failure, None, "seed {seed}");
    }
}

fn seeds() -> u64 {
    let given = env::var("REPEATED_SEEDS").ok();
    given.map_or(SEEDS, |given| given.parse().expect("a number of seeds"))
}

const SEEDS: u64 = 60;
