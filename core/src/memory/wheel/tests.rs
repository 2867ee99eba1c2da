//! The wheel against a sorted set of timers, in virtual time.

use alloc::collections::BTreeMap;
use core::time::Duration;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

impl Timers for Vec<Timer> {
    fn timer(&mut self, id: Id) -> Option<&mut Timer> {
        self.get_mut(to_usize(id.number()))
    }
}

struct Clockwork {
    wheel: Wheel,
    all: Vec<Timer>,
}

impl Clockwork {
    fn new(timers: usize) -> Self {
        Self { wheel: Wheel::new(), all: vec![Timer::NEVER; timers] }
    }

    fn start(&mut self, number: u32, at: Instant) {
        self.wheel.start(&mut self.all, Id::new(number), at);
    }

    /// Everything that expires by `now`, in order, and the number of steps that it took.
    fn drain(&mut self, now: Instant) -> (Vec<u32>, usize) {
        let mut expired = Vec::new();
        for steps in 0.. {
            match self.wheel.step(&mut self.all, now) {
                Step::Idle => {
                    expired.sort_unstable();
                    return (expired, steps);
                }
                Step::Moved => {}
                Step::Expired(id) => {
                    assert!(self.all.timer(id).unwrap().at <= now, "expired too early");
                    expired.push(id.number());
                }
            }
        }
        unreachable!()
    }
}

fn millis(tick: u64) -> Instant {
    Instant::from_millis(tick)
}

#[test]
fn a_timer_expires_exactly_at_its_tick_at_every_boundary() {
    let boundaries = (0..8).flat_map(|level| {
        let span = 1_u64 << (6 * level);
        [span - 1, span, span + 1, 63 * span, 64 * span - 1]
    });
    let ticks: Vec<u64> = boundaries.filter(|&tick| tick > 0 && tick < 1 << 44).collect();
    for &start in &[0, 1, 63, 64, 4095, 4096, 1 << 30, (1 << 42) - 1] {
        for &tick in &ticks {
            let mut clockwork = Clockwork::new(1);
            assert!(clockwork.drain(millis(start)).0.is_empty());
            clockwork.start(0, millis(start + tick));
            let (early, steps) = clockwork.drain(millis(start + tick - 1));
            assert!(early.is_empty(), "{start} + {tick}");
            // One step down a level, and one to see that its slot is empty.
            assert!(steps <= 2 * LEVELS, "{start} + {tick}: {steps} steps");
            assert!(clockwork.wheel.next().unwrap() <= millis(start + tick));
            assert_eq!(clockwork.drain(millis(start + tick)).0, vec![0], "{start} + {tick}");
            assert_eq!(clockwork.wheel.next().filter(|&at| at > millis(start + tick)), None);
        }
    }
}

#[test]
fn the_next_work_is_at_the_start_of_the_first_timers_slot() {
    for (due, begins) in [(5, 5), (63, 63), (100, 64), (4_095, 4_032), (5_000, 4_096)] {
        let mut clock = Clockwork::new(1);
        clock.start(0, millis(due));
        assert_eq!(clock.wheel.next(), Some(millis(begins)), "{due}");
    }
}

#[test]
fn each_timer_of_a_passed_slot_takes_one_step() {
    for due in [5, 100, 5_000] {
        let mut clock = Clockwork::new(3);
        (0..3).for_each(|number| clock.start(number, millis(due)));
        assert_eq!(clock.drain(millis(100_000)), (vec![0, 1, 2], 3), "{due}");
    }
}

#[test]
fn years_of_empty_time_cost_nothing() {
    let year = Duration::from_secs(365 * 24 * 3600);
    let mut clockwork = Clockwork::new(2);
    clockwork.start(0, Instant::ORIGIN + 100 * year);
    clockwork.start(1, Instant::ORIGIN + 500 * year);
    let (expired, steps) = clockwork.drain(Instant::ORIGIN + 99 * year);
    assert!(expired.is_empty());
    assert!(steps <= 2 * LEVELS, "{steps} steps");
    let (expired, steps) = clockwork.drain(Instant::ORIGIN + 400 * year);
    assert_eq!(expired, vec![0]);
    assert!(steps <= 2 * LEVELS, "{steps} steps");
    assert_eq!(clockwork.drain(Instant::MAX).0, vec![1]);
}

#[test]
fn a_timer_between_two_ticks_expires_at_the_later_one() {
    let mut clockwork = Clockwork::new(2);
    clockwork.start(0, Instant::from_nanos(5_000_001));
    clockwork.start(1, Instant::from_nanos(5_000_000));
    assert_eq!(clockwork.drain(Instant::from_nanos(5_999_999)).0, vec![1]);
    assert_eq!(clockwork.drain(Instant::from_nanos(6_000_000)).0, vec![0]);
}

#[test]
fn a_timer_stopped_anywhere_in_its_list_never_expires() {
    for stopped in 0..3 {
        let mut clockwork = Clockwork::new(3);
        (0..3).for_each(|number| clockwork.start(number, millis(100)));
        clockwork.wheel.stop(&mut clockwork.all, Id::new(stopped));
        clockwork.wheel.stop(&mut clockwork.all, Id::new(stopped));
        let left: Vec<u32> = (0..3).filter(|&number| number != stopped).collect();
        assert_eq!(clockwork.drain(millis(100)).0, left);
    }
}

#[test]
fn a_timer_that_is_put_off_expires_at_its_latest_time_and_not_before() {
    for later in [101, 163, 5000, 1 << 30] {
        let mut clockwork = Clockwork::new(1);
        clockwork.start(0, millis(90));
        clockwork.start(0, millis(100));
        clockwork.start(0, millis(later));
        let (early, steps) = clockwork.drain(millis(later - 1));
        assert!(early.is_empty(), "{later}");
        assert!(steps <= 4 * LEVELS, "{later}: {steps} steps");
        assert_eq!(clockwork.drain(millis(later)).0, vec![0], "{later}");
    }
}

#[test]
fn a_timer_that_is_put_off_for_ever_never_expires() {
    for at in [100, 5000] {
        let mut clockwork = Clockwork::new(1);
        clockwork.start(0, millis(at));
        clockwork.start(0, Instant::MAX);
        assert!(clockwork.drain(Instant::MAX).0.is_empty());
        assert_eq!(clockwork.wheel.next(), None);
    }
}

#[test]
fn putting_a_timer_off_touches_no_other() {
    struct Alone(Vec<Timer>);
    impl Timers for Alone {
        fn timer(&mut self, id: Id) -> Option<&mut Timer> {
            assert_eq!(id.number(), 1);
            self.0.timer(id)
        }
    }
    let mut clockwork = Clockwork::new(3);
    (0..3).for_each(|number| clockwork.start(number, millis(100)));
    let mut alone = Alone(clockwork.all);
    clockwork.wheel.start(&mut alone, Id::new(1), millis(2000));
    clockwork.all = alone.0;
    assert_eq!(clockwork.drain(millis(1999)).0, vec![0, 2]);
    assert_eq!(clockwork.drain(millis(2000)).0, vec![1]);
}

#[test]
fn a_deadline_that_has_passed_expires_at_once() {
    let mut clockwork = Clockwork::new(1);
    clockwork.drain(millis(1_000_000));
    clockwork.start(0, millis(7));
    assert_eq!(clockwork.drain(millis(1_000_000)).0, vec![0]);
}

#[test]
fn a_deadline_before_the_last_boundary_expires_before_timers_that_are_due_later() {
    for boundary in (1..8).map(|level| 1_u64 << (6 * level)) {
        for passed in [1, 2, 63, 64, boundary - 1] {
            let mut clock = Clockwork::new(2);
            assert!(clock.drain(millis(boundary)).0.is_empty());
            clock.start(0, millis(boundary + 50));
            clock.start(1, millis(boundary.saturating_sub(passed)));
            assert_eq!(clock.wheel.next(), Some(millis(boundary)));
            let (expired, steps) = clock.drain(millis(boundary));
            assert_eq!(expired, vec![1], "{boundary} - {passed}");
            assert!(steps <= 2, "{boundary} - {passed}: {steps} steps");
            assert_eq!(clock.drain(millis(boundary + 50)).0, vec![0]);
        }
    }
}

#[test]
fn timers_can_be_started_while_a_slot_is_processed() {
    let mut clockwork = Clockwork::new(101);
    (0..100).for_each(|number| clockwork.start(number, millis(4096 + u64::from(number))));
    assert_eq!(clockwork.wheel.step(&mut clockwork.all, millis(4100)), Step::Moved);
    clockwork.start(100, millis(4101));
    clockwork.start(99, millis(4102));
    assert_eq!(clockwork.drain(millis(4100)).0, (0..=4).collect::<Vec<_>>());
    assert_eq!(clockwork.drain(millis(4101)).0, vec![5, 100]);
    assert_eq!(clockwork.drain(millis(4102)).0, vec![6, 99]);
    assert_eq!(clockwork.drain(millis(9000)).0, (7..99).collect::<Vec<_>>());
}

#[test]
fn the_last_instant_means_never() {
    let mut clockwork = Clockwork::new(1);
    clockwork.start(0, Instant::MAX);
    assert_eq!(clockwork.wheel.next(), None);
    assert!(clockwork.drain(Instant::MAX).0.is_empty());
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Start { number: u32, nanos: u64 },
    StartLate { number: u32, nanos: u64 },
    Stop { number: u32 },
    Pass { nanos: u64 },
    Step { steps: u8 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let span = || {
        prop_oneof![
            0..2_000_000_u64,
            (0..45_u32, 0..64_u64).prop_map(|(bit, more)| ((1 << bit) + more) * 1_000_000),
        ]
    };
    let act = prop_oneof![
        4 => (0..16_u32, span()).prop_map(|(number, nanos)| Act::Start { number, nanos }),
        1 => (0..16_u32, span()).prop_map(|(number, nanos)| Act::StartLate { number, nanos }),
        1 => (0..16_u32).prop_map(|number| Act::Stop { number }),
        2 => span().prop_map(|nanos| Act::Pass { nanos }),
        2 => (0..8_u8).prop_map(|steps| Act::Step { steps }),
    ];
    proptest::collection::vec(act, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn timers_expire_as_in_a_sorted_set(acts in acts()) {
        let mut clockwork = Clockwork::new(16);
        let mut plain = BTreeMap::new();
        let mut now = Instant::ORIGIN;
        let mut moves_owed = 0_usize;
        for act in acts {
            match act {
                Act::Start { number, nanos } | Act::StartLate { number, nanos } => {
                    let at = match act {
                        Act::StartLate { .. } => {
                            Instant::from_nanos(now.as_nanos().saturating_sub(nanos))
                        }
                        Act::Start { .. } | Act::Stop { .. } | Act::Pass { .. } | Act::Step { .. } => {
                            now + Duration::from_nanos(nanos)
                        }
                    };
                    clockwork.start(number, at);
                    plain.insert(number, at);
                    moves_owed += 2 * LEVELS;
                }
                Act::Stop { number } => {
                    clockwork.wheel.stop(&mut clockwork.all, Id::new(number));
                    plain.remove(&number);
                }
                Act::Pass { nanos } => now = now + Duration::from_nanos(nanos),
                Act::Step { steps } => {
                    for _ in 0..steps {
                        match clockwork.wheel.step(&mut clockwork.all, now) {
                            Step::Idle => break,
                            Step::Moved => moves_owed = moves_owed.checked_sub(1).unwrap(),
                            Step::Expired(id) => {
                                let at = plain.remove(&id.number());
                                prop_assert!(at.is_some_and(|at| at <= now));
                            }
                        }
                    }
                }
            }
            if let Some(earliest) = plain.values().copied().filter(|&at| at < LAST_TICK).min() {
                let latest = earliest.max(now);
                prop_assert!(clockwork.wheel.next().is_some_and(|next| next.since(latest) < MILLI));
            }
        }
        let (expired, _) = clockwork.drain(now);
        for number in expired {
            prop_assert!(plain.remove(&number).is_some_and(|at| at <= now));
        }
        let overdue = plain.values().filter(|at| at.as_nanos().div_ceil(1_000_000) <= now.as_nanos() / 1_000_000);
        prop_assert_eq!(overdue.filter(|&&at| at != Instant::MAX).count(), 0);
    }
}

/// The last tick.
const LAST_TICK: Instant = Instant::from_nanos(u64::MAX - u64::MAX % 1_000_000);
const MILLI: Duration = Duration::from_millis(1);
