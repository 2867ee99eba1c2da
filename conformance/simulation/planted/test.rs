//! The simulation works: it finds every one of many bugs that are planted in core and client.
#![allow(clippy::print_stderr, reason = "how soon each was found is worth knowing")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use async_caches_core::planted::{Bug, activate};
use async_caches_simulation::{Space, run_in};

/// Every planted bug, and the seeds that must find it.
const BUGS: &[(Space, Bug)] = &[
    // The bugs.
];

#[test]
fn every_planted_bug_is_found() {
    // Set this variable to try one bug alone.
    let only = std::env::var("PLANTED_BUG").ok();
    let wanted = |bug: &Bug| only.as_ref().is_none_or(|only| *only == format!("{bug:?}"));
    let tried: Vec<_> = BUGS.iter().filter(|(_, bug)| wanted(bug)).collect();
    assert!(!tried.is_empty(), "there is no bug {only:?}");
    let missed: Vec<_> = tried.iter().filter(|(space, bug)| !is_found(*space, *bug)).collect();
    activate(Bug::None);
    assert!(missed.is_empty(), "within {SEEDS} seeds {missed:?} were not found");
}

fn is_found(space: Space, bug: Bug) -> bool {
    activate(bug);
    let (next, found) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS.min(found.load(Ordering::Relaxed)) {
                        break;
                    }
                    if let Some(failure) = run_in(space, seed, false).failure
                        && found.fetch_min(seed, Ordering::Relaxed) > seed
                    {
                        eprintln!("{bug:?}: seed {seed}: {failure}");
                    }
                }
            });
        }
    });
    found.into_inner() < SEEDS
}

const SEEDS: u64 = 10_000;
