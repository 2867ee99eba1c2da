//! Large values beside many small ones that are in use.

use super::*;

/// The bounds of a store with one shard and of one with several.
const ROOMS: [u64; 2] = [4 << 20, 64 << 20];

/// A store that is full of small entries, each of which was read a few times.
struct Hot {
    store: Cells,
    room: u64,
    count: u64,
}

impl Hot {
    /// Stores small entries that take this many percent of the room, with values of about this
    /// length.
    fn new(room: u64, percent: u64, len: usize) -> Self {
        let store = Cells::bounded(None, Some(room));
        let count = room * percent / 100 / counted("hot 000000", len);
        let hot = Self { store, room, count };
        (0..count).for_each(|n| hot.store.set(&name(n), vec![1; len], Expiry::Never));
        (0..3).for_each(|_| assert_eq!(hot.ask(), 100 * count));
        hot
    }

    /// Reads each entry. Returns the percentage that hit, times their number.
    fn ask(&self) -> u64 {
        100 * (0..self.count).map(|n| u64::from(self.store.get(&name(n)).is_some())).sum::<u64>()
    }

    fn assert_left(&self, percent: u64, what: &str) {
        let left = self.ask() / self.count;
        assert!(left >= percent, "{left} of 100 are left of {} bytes: {what}", self.room);
    }

    /// Sets a value that takes this many thousandths of the room.
    fn set(&self, name: &str, parts: u64) {
        let len = self.room * parts / 1000 - 2 * ENTRY_OVERHEAD - 100;
        self.store.set(name, vec![7; usize::try_from(len).unwrap()], Expiry::Never);
    }

    fn refused(&self) -> u64 {
        stats(&self.store, Lookups::default()).refused
    }
}

/// The number of bytes that an entry counts whose value is in a block of its own.
fn counted(name: &str, len: usize) -> u64 {
    one_entry(name, len) + ENTRY_OVERHEAD
}

fn name(number: u64) -> String {
    format!("hot {number:06}")
}

#[test]
fn a_cold_value_of_more_than_an_eighth_of_the_room_displaces_no_entry_in_use() {
    for room in ROOMS {
        let hot = Hot::new(room, 100, 800);
        for (times, parts) in [150, 250, 500, 900, 999].into_iter().enumerate() {
            let name = format!("large {parts}");
            hot.set(&name, parts);
            hot.assert_left(100, "refused");
            assert_eq!(hot.store.get(&name), None);
            assert_eq!(hot.refused(), u64::try_from(times).unwrap() + 1);
        }
        assert_eq!(hot.store.add("other", vec![7; 2 << 20]), Ok(Reply::Flag(room > 4 << 20)));
    }
}

#[test]
fn a_cold_value_of_up_to_an_eighth_is_kept_and_displaces_no_more_than_it_takes() {
    for room in ROOMS {
        for (parts, left) in [(125, 87), (60, 93), (20, 97)] {
            let hot = Hot::new(room, 100, 800);
            hot.set("large", parts);
            assert!(hot.store.get("large").is_some());
            hot.assert_left(left, "an eighth");
            assert_eq!(hot.refused(), 0);
        }
    }
}

#[test]
fn cold_values_of_an_eighth_one_after_another_displace_one_another() {
    for room in ROOMS {
        for asked in [0, 1, 3] {
            let hot = Hot::new(room, 100, 800);
            for number in 0..40 {
                let name = format!("large {number}");
                hot.set(&name, 125);
                (0..asked).for_each(|_| assert!(hot.store.get(&name).is_some()));
                hot.ask();
            }
            hot.assert_left(75, &format!("asked for {asked} times"));
        }
    }
}

#[test]
fn a_cold_value_takes_the_place_of_cold_entries_whatever_its_size() {
    for room in ROOMS {
        let hot = Hot::new(room, 40, 800);
        for number in 0..room * 6 / 10 / counted("cold 000000", 800) {
            hot.store.set(&format!("cold {number:06}"), vec![1; 800], Expiry::Never);
        }
        hot.set("large", 550);
        assert!(hot.store.get("large").is_some());
        hot.assert_left(90, "cold ones had to go");
    }
}

#[test]
fn a_large_value_may_take_free_room() {
    for room in ROOMS {
        let hot = Hot::new(room, 20, 800);
        hot.set("large", 790);
        assert!(hot.store.get("large").is_some());
        hot.assert_left(100, "there was room");
    }
}

#[test]
fn a_large_value_that_replaces_a_small_one_in_use_is_cold() {
    for room in ROOMS {
        let hot = Hot::new(room, 100, 800);
        hot.set(&name(0), 900);
        assert_eq!((hot.store.get(&name(0)), hot.refused()), (None, 1));
        for number in 1..40 {
            hot.set(&name(number), 125);
            assert!(hot.store.get(&name(number)).is_some());
            hot.ask();
        }
        hot.assert_left(75, "an eighth each");
    }
}

#[test]
fn a_large_value_that_is_requested_often_is_admitted_and_stays() {
    for room in ROOMS {
        for (parts, most) in [(200, 2), (500, 4), (900, 8)] {
            let hot = Hot::new(room, 100, 800);
            let mut tries = 0;
            while hot.store.get("large").is_none() {
                hot.ask();
                hot.set("large", parts);
                tries += 1;
                assert!(tries <= most, "{parts}");
            }
            assert!(tries > 1, "{parts}");
            // Others are added, while it is in use.
            for number in 0..hot.count {
                hot.store.set(&format!("new {number}"), vec![1; 800], Expiry::Never);
                if number % 100 == 0 {
                    assert!(hot.store.get("large").is_some(), "{parts} of {room}, {number}");
                }
            }
        }
    }
}

#[test]
fn a_large_value_that_is_only_set_is_never_admitted() {
    let hot = Hot::new(4 << 20, 100, 800);
    for _ in 0..50 {
        hot.set("large", 900);
    }
    assert_eq!(hot.refused(), 50);
    hot.assert_left(100, "nothing asked for it");
}

#[test]
fn a_large_value_in_use_may_grow_a_little() {
    let hot = Hot::new(4 << 20, 40, 800);
    hot.set("large", 500);
    assert!(hot.store.get("large").is_some());
    hot.store.set("other", vec![7; 350_000], Expiry::Never);
    hot.set("large", 580);
    assert!(hot.store.get("large").is_some());
    hot.assert_left(80, "it grew");
}

#[test]
fn without_a_byte_bound_no_value_is_large() {
    let store = Cells::bounded(Some(100), None);
    (0..100).for_each(|n| store.set(&name(n), "", Expiry::Never));
    (0..300).for_each(|n| assert!(store.get(&name(n % 100)).is_some()));
    store.set("large", vec![7; 10 << 20], Expiry::Never);
    assert!(store.get("large").is_some());
    assert_eq!((store.usage().entries, stats(&store, Lookups::default()).refused), (100, 0));
}

#[test]
fn with_both_bounds_bytes_decide_which_values_are_large() {
    let store = Cells::bounded(Some(50), Some(1 << 20));
    (0..50).for_each(|n| store.set(&name(n), vec![1; 20_000], Expiry::Never));
    (0..150).for_each(|n| assert!(store.get(&name(n % 50)).is_some()));
    store.set("large", vec![7; 700_000], Expiry::Never);
    assert_eq!((store.get("large"), store.usage().entries), (None, 50));
    store.set("small", "", Expiry::Never);
    assert!(store.get("small").is_some());
}

#[test]
fn a_store_with_room_for_few_values_keeps_every_new_one() {
    for few in 1..=16_u64 {
        let store = Cells::bounded(None, Some(few * counted("00", 10_000)));
        for number in 0..50 {
            let name = format!("{number:02}");
            store.set(&name, vec![7; 10_000], Expiry::Never);
            (0..3).for_each(|_| assert!(store.get(&name).is_some(), "{number} of {few}"));
        }
        assert_eq!(stats(&store, Lookups::default()).refused, 0);
    }
}
