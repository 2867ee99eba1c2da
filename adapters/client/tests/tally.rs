//! Tests the counts of lookups in every order in which threads can run and see each other's writes.

use async_caches_core::memory::Lookups;
use loom::sync::Arc;
use loom::thread;

use self::sync::AtomicU64;
use self::tally::{Lane, Lanes, Tally};

#[allow(unreachable_pub, dead_code, reason = "it is a module of the crate")]
#[path = "../src/memory/tally.rs"]
mod tally;

/// Replaces what the tally takes from the crate, so that loom explores each of its steps.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[test]
fn no_lookup_is_lost_whichever_lanes_two_threads_take() {
    let (all_free, one_free, none_free) = (0, !(1 << 5), u64::MAX);
    for taken in [all_free, one_free, none_free] {
        loom::model(move || {
            let parts = Arc::new((Tally::new(), Lanes::with(AtomicU64::new(taken))));
            let other = {
                let parts = Arc::clone(&parts);
                thread::spawn(move || count(&parts))
            };
            count(&parts);
            other.join().unwrap();
            assert_eq!(parts.0.sum(), Lookups { hits: 2, misses: 2 });
        });
    }
}

fn count((tally, lanes): &(Tally, Lanes)) {
    tally.add(&lanes.take(), Lookups { hits: 1, misses: 0 });
    tally.add(&lanes.take(), Lookups { hits: 0, misses: 1 });
}

#[test]
fn a_lane_is_exclusive_until_it_is_dropped() {
    loom::model(|| {
        let lanes = Lanes::with(AtomicU64::new(0));
        let own = |lane: &Lane<'_>| format!("{lane:?}").contains("own: Some(0)");
        let first = lanes.take();
        assert!(own(&first) && !own(&lanes.take()) && !own(&lanes.shared()));
        drop(first);
        assert!(own(&lanes.take()));
    });
}
