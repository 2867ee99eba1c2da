use std::format;
use std::vec;

use super::*;

type Desk = Flights<&'static str>;
type Told = Handles<&'static str>;

const KEY: Bytes = Bytes::from_static(b"::k");
const NOW: Instant = Instant::ORIGIN;
const WAIT: Duration = Duration::from_secs(10);

fn value(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn lead(desk: &mut Desk) -> FlightId {
    let Role::Lead(id) = desk.join(&KEY, Some(desk.seen()), NOW, WAIT) else { panic!() };
    id
}

fn turn(desk: &mut Desk, id: FlightId, seat: Seat, now: Instant, name: &'static str) -> Turn {
    desk.follow(id, seat, now, name, &mut Told::new())
}

fn follow(desk: &mut Desk, name: &'static str) -> (FlightId, Seat) {
    let Role::Follow(id, seat) = desk.join(&KEY, Some(desk.seen()), NOW, WAIT) else { panic!() };
    assert_eq!(turn(desk, id, seat, NOW, name), Turn::Wait);
    (id, seat)
}

#[test]
fn one_leads_and_all_who_come_during_the_load_share_its_value() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, a) = follow(&mut desk, "a");
    let (_, b) = follow(&mut desk, "b");
    let mut told = Told::new();
    assert!(desk.loaded(id, value("v"), &mut told));
    assert_eq!(told.wake, ["a", "b"]);
    assert_eq!(turn(&mut desk, id, a, NOW, "a"), Turn::Value(value("v")));
    desk.landed(id, &mut told);
    assert!(!desk.is_empty(), "b has yet to take its value");
    assert_eq!(turn(&mut desk, id, b, NOW, "b"), Turn::Value(value("v")));
    assert!(desk.is_empty());
}

#[test]
fn who_joins_while_the_leader_stores_gets_the_value_at_once() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    desk.loaded(id, value("v"), &mut Told::new());
    let Role::Follow(id, seat) = desk.join(&KEY, Some(desk.seen()), NOW, WAIT) else { panic!() };
    assert_eq!(turn(&mut desk, id, seat, NOW, "a"), Turn::Value(value("v")));
}

#[test]
fn a_leader_that_leaves_is_inherited_by_the_longest_waiting() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, a) = follow(&mut desk, "a");
    let (_, b) = follow(&mut desk, "b");
    let mut told = Told::new();
    desk.leave(id, &mut told);
    assert_eq!(told.wake, ["a"]);
    assert_eq!(turn(&mut desk, id, b, NOW, "b"), Turn::Wait);
    assert_eq!(turn(&mut desk, id, a, NOW, "a"), Turn::Lead(id));
}

#[test]
fn an_heir_that_leaves_before_it_noticed_passes_the_lead_on() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, a) = follow(&mut desk, "a");
    let (_, b) = follow(&mut desk, "b");
    let mut told = Told::new();
    desk.leave(id, &mut told);
    desk.leave_seat(id, a, &mut told);
    assert_eq!(told.wake, ["a", "b"]);
    assert_eq!(turn(&mut desk, id, b, NOW, "b"), Turn::Lead(id));
    desk.leave(id, &mut told);
    assert!(desk.is_empty(), "the last one out ends the flight");
}

#[test]
fn a_write_during_a_load_forbids_its_store_and_starts_afresh() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, seat) = follow(&mut desk, "early");
    assert_eq!(desk.invalidate(&KEY), Invalidated::Clear);
    let second = lead(&mut desk);
    assert_ne!(second, id, "who comes after the write does not get what was loaded before it");
    let mut told = Told::new();
    assert!(!desk.loaded(id, value("old"), &mut told), "a delete wins over a load");
    assert_eq!(turn(&mut desk, id, seat, NOW, "early"), Turn::Value(value("old")));
    assert!(desk.loaded(second, value("new"), &mut told));
}

#[test]
fn a_write_waits_for_a_store_that_is_under_way() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    desk.loaded(id, value("v"), &mut Told::new());
    assert_eq!(desk.invalidate_all(b":"), Invalidated::Storing(id));
    assert!(desk.await_end(id, "writer", |a, b| a == b, &mut Told::new()));
    let mut told = Told::new();
    desk.landed(id, &mut told);
    assert_eq!(told.wake, ["writer"]);
    assert!(!desk.await_end(id, "writer", |a, b| a == b, &mut told));
    assert_eq!(told.spent, ["writer"]);
    assert_eq!(desk.invalidate(&KEY), Invalidated::Clear);
}

#[test]
fn a_writer_that_is_polled_often_is_kept_once() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let mut told = Told::new();
    desk.loaded(id, value("v"), &mut told);
    for _ in 0..100 {
        assert!(desk.await_end(id, "writer", |a, b| a == b, &mut told));
    }
    assert!(desk.await_end(id, "another", |a, b| a == b, &mut told));
    desk.landed(id, &mut told);
    assert_eq!(told.wake, ["writer", "another"]);
}

#[test]
fn a_leader_dropped_while_storing_releases_writers_and_followers() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, seat) = follow(&mut desk, "a");
    let mut told = Told::new();
    desk.loaded(id, value("v"), &mut told);
    desk.await_end(id, "writer", |a, b| a == b, &mut told);
    desk.landed(id, &mut told);
    assert_eq!(told.wake, ["a", "writer"]);
    assert_eq!(turn(&mut desk, id, seat, NOW, "a"), Turn::Value(value("v")));
    assert!(desk.is_empty());
}

#[test]
fn who_missed_before_a_flight_ended_looks_again_instead_of_loading_again() {
    let mut desk = Desk::new(1);
    let before = desk.seen();
    let id = lead(&mut desk);
    desk.loaded(id, value("v"), &mut Told::new());
    desk.landed(id, &mut Told::new());
    assert_eq!(desk.join(&KEY, Some(before), NOW, WAIT), Role::Again);
    assert!(matches!(desk.join(&KEY, None, NOW, WAIT), Role::Lead(_)));
}

#[test]
fn a_flight_of_another_key_that_ended_makes_nobody_look_again() {
    let mut desk = Desk::new(1);
    let before = desk.seen();
    let id = lead(&mut desk);
    desk.leave(id, &mut Told::new());
    assert!(desk.seen() > before);
    let again = (0..200_u8)
        .filter(|&other| {
            let role = desk.join(&Bytes::from(vec![other]), Some(before), NOW, WAIT);
            role == Role::Again
        })
        .count();
    // The keys that share a slot with it.
    assert!(again < 200 / 10, "{again}");
}

#[test]
fn a_flight_past_its_age_holds_up_nobody() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let late = NOW + Desk::MAX_AGE;
    let Role::Lead(second) = desk.join(&KEY, Some(desk.seen()), late, WAIT) else { panic!() };
    assert!(!desk.loaded(id, value("old"), &mut Told::new()), "the second leader stores, not this");
    assert!(desk.loaded(second, value("new"), &mut Told::new()));
}

const DUE: Instant = Instant::from_millis(10_000);
const NEARLY: Instant = Instant::from_millis(9_999);

#[test]
fn a_follower_loads_beside_its_leader_after_its_wait() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, seat) = follow(&mut desk, "a");
    assert_eq!(desk.deadline().map(|deadline| deadline.at), Some(DUE));
    let mut told = Told::new();
    desk.expire(NEARLY, &mut told);
    assert_eq!(told.wake, [""; 0]);
    assert_eq!(turn(&mut desk, id, seat, NEARLY, "a"), Turn::Wait);
    desk.expire(DUE, &mut told);
    assert_eq!((told.wake, desk.deadline()), (vec!["a"], None));
    assert_eq!(turn(&mut desk, id, seat, DUE, "a"), Turn::Lead(id));
}

#[test]
fn a_follower_that_was_woken_too_early_is_timed_again() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, seat) = follow(&mut desk, "a");
    desk.expire(DUE, &mut Told::new());
    assert_eq!(turn(&mut desk, id, seat, NEARLY, "a"), Turn::Wait);
    assert_eq!(desk.deadline().map(|deadline| deadline.at), Some(DUE));
}

#[test]
fn of_several_leaders_the_first_one_that_has_loaded_serves_and_stores() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, impatient) = follow(&mut desk, "impatient");
    let Role::Follow(_, patient) = desk.join(&KEY, None, NOW, WAIT * 3) else { panic!() };
    assert_eq!(turn(&mut desk, id, patient, NOW, "patient"), Turn::Wait);
    assert_eq!(turn(&mut desk, id, impatient, DUE, "impatient"), Turn::Lead(id));
    let mut told = Told::new();
    assert!(desk.loaded(id, value("second"), &mut told));
    assert_eq!(told.wake, ["patient"]);
    assert!(!desk.loaded(id, value("first"), &mut told), "it is another's to store");
    desk.leave(id, &mut told);
    assert_eq!(desk.invalidate(&KEY), Invalidated::Storing(id), "the store goes on");
    assert_eq!(turn(&mut desk, id, patient, DUE, "patient"), Turn::Value(value("second")));
    desk.landed(id, &mut told);
    assert!(!desk.loaded(id, value("first"), &mut told) && desk.is_empty());
}

#[test]
fn the_lead_is_inherited_when_the_last_of_several_leaders_leaves() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, a) = follow(&mut desk, "a");
    let Role::Follow(_, b) = desk.join(&KEY, None, DUE, WAIT) else { panic!() };
    assert_eq!(turn(&mut desk, id, b, DUE, "b"), Turn::Wait);
    assert_eq!(turn(&mut desk, id, a, DUE, "a"), Turn::Lead(id));
    let mut told = Told::new();
    desk.leave(id, &mut told);
    assert_eq!(told.wake, [""; 0]);
    desk.leave(id, &mut told);
    assert_eq!(told.wake, ["b"]);
    assert_eq!(turn(&mut desk, id, b, DUE, "b"), Turn::Lead(id));
}

#[test]
fn an_heir_that_is_not_polled_delays_the_others_by_their_wait_at_most() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, heir) = follow(&mut desk, "heir");
    let (_, other) = follow(&mut desk, "other");
    desk.leave(id, &mut Told::new());
    assert_eq!(turn(&mut desk, id, other, NEARLY, "other"), Turn::Wait);
    let mut told = Told::new();
    desk.expire(DUE, &mut told);
    assert_eq!(told.wake, ["other"]);
    assert_eq!(turn(&mut desk, id, other, DUE, "other"), Turn::Lead(id));
    assert!(desk.loaded(id, value("v"), &mut told));
    assert_eq!(turn(&mut desk, id, heir, DUE, "heir"), Turn::Value(value("v")));
}

#[test]
fn a_follower_that_loads_by_itself_stores_nothing_older_than_a_write() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, seat) = follow(&mut desk, "a");
    assert_eq!(turn(&mut desk, id, seat, DUE, "a"), Turn::Lead(id));
    assert_eq!(desk.invalidate(&KEY), Invalidated::Clear);
    assert!(!desk.loaded(id, value("old"), &mut Told::new()));
}

#[test]
fn after_a_write_a_follower_that_loads_by_itself_begins_a_flight_that_may_be_stored() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, seat) = follow(&mut desk, "a");
    assert_eq!(desk.invalidate(&KEY), Invalidated::Clear);
    let Turn::Lead(second) = turn(&mut desk, id, seat, DUE, "a") else { panic!() };
    assert_ne!(second, id);
    assert!(desk.loaded(second, value("new"), &mut Told::new()));
    assert!(!desk.loaded(id, value("old"), &mut Told::new()));
}

#[test]
fn a_follower_takes_a_newer_flights_value_instead_of_loading() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, seat) = follow(&mut desk, "a");
    desk.invalidate(&KEY);
    let second = lead(&mut desk);
    assert!(desk.loaded(second, value("new"), &mut Told::new()));
    assert_eq!(turn(&mut desk, id, seat, DUE, "a"), Turn::Value(value("new")));
}

#[test]
fn without_a_wait_every_caller_leads() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let Role::Follow(_, seat) = desk.join(&KEY, None, NOW, Duration::ZERO) else { panic!() };
    assert_eq!(turn(&mut desk, id, seat, NOW, "a"), Turn::Lead(id));
}

#[test]
fn the_longest_wait_has_no_deadline() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let Role::Follow(_, seat) = desk.join(&KEY, None, NOW, Duration::MAX) else { panic!() };
    assert_eq!(turn(&mut desk, id, seat, NOW, "a"), Turn::Wait);
    assert_eq!(desk.deadline(), None);
}

#[test]
fn a_deadline_goes_with_its_follower() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, seat) = follow(&mut desk, "a");
    desk.leave_seat(id, seat, &mut Told::new());
    assert_eq!(desk.deadline(), None);
    let (_, seat) = follow(&mut desk, "b");
    desk.loaded(id, value("v"), &mut Told::new());
    assert_eq!(turn(&mut desk, id, seat, NOW, "b"), Turn::Value(value("v")));
    assert_eq!(desk.deadline(), None);
}

#[test]
fn handles_that_are_displaced_or_left_behind_are_handed_out() {
    let mut desk = Desk::new(1);
    let id = lead(&mut desk);
    let (_, seat) = follow(&mut desk, "first");
    let mut told = Told::new();
    assert_eq!(desk.follow(id, seat, NOW, "second", &mut told), Turn::Wait);
    assert_eq!(told.spent, ["first"]);
    desk.leave_seat(id, seat, &mut told);
    assert_eq!(told.spent, ["first", "second"]);
    let (_, seat) = follow(&mut desk, "kept");
    desk.loaded(id, value("v"), &mut told);
    assert_eq!(told.wake, ["kept"]);
    desk.follow(id, seat, NOW, "not kept", &mut told);
    assert_eq!(told.spent, ["first", "second", "not kept"]);
}

/// The number of seats that are visited while this many callers wait for one key: when they are
/// served, as heirs one after the other, when they leave, and at their deadlines.
fn steps(followers: u32) -> [u64; 4] {
    let wait_all = || {
        let mut desk = Desk::new(1);
        let id = lead(&mut desk);
        let seats: Vec<Seat> = (0..followers).map(|_| follow(&mut desk, "f").1).collect();
        (desk, id, seats)
    };
    let served = {
        let (mut desk, id, seats) = wait_all();
        desk.loaded(id, value("v"), &mut Told::new());
        for seat in seats {
            assert_eq!(turn(&mut desk, id, seat, NOW, "f"), Turn::Value(value("v")));
        }
        desk.visited.steps()
    };
    let inherited = {
        let (mut desk, id, seats) = wait_all();
        for seat in seats {
            desk.leave(id, &mut Told::new());
            assert_eq!(turn(&mut desk, id, seat, NOW, "f"), Turn::Lead(id));
        }
        desk.visited.steps()
    };
    let left = {
        let (mut desk, id, seats) = wait_all();
        for seat in seats.into_iter().rev() {
            desk.leave_seat(id, seat, &mut Told::new());
        }
        desk.visited.steps()
    };
    let expired = {
        let (mut desk, id, seats) = wait_all();
        desk.expire(DUE, &mut Told::new());
        for seat in seats {
            assert_eq!(turn(&mut desk, id, seat, DUE, "f"), Turn::Lead(id));
        }
        desk.visited.steps()
    };
    [served, inherited, left, expired]
}

#[test]
fn waiters_of_one_key_cost_a_few_steps_each() {
    for followers in [10_000, 40_000, 160_000_u32] {
        let steps = steps(followers);
        let bound = u64::from(followers) * 5;
        assert!(steps.iter().all(|steps| *steps <= bound), "{followers}: {steps:?}");
    }
}

#[test]
fn a_load_of_another_key_visits_no_waiters() {
    let mut desk = Desk::new(1);
    lead(&mut desk);
    for _ in 0..10_000 {
        follow(&mut desk, "f");
    }
    let before = desk.visited.steps();
    let Role::Lead(id) = desk.join(&Bytes::from_static(b"other"), None, NOW, WAIT) else {
        panic!()
    };
    assert!(desk.loaded(id, value("v"), &mut Told::new()));
    desk.landed(id, &mut Told::new());
    assert_eq!(desk.invalidate(b"other"), Invalidated::Clear);
    assert_eq!(desk.visited.steps(), before);
}

#[test]
fn keys_that_collide_under_a_fixed_seed_are_compared_a_few_times_each() {
    const KEYS: u64 = 8_000;
    let keys = crate::memory::colliding_keys(KEYS);
    for seed in [0, 1, u64::MAX] {
        let mut desk = Desk::new(seed);
        for key in &keys {
            assert!(matches!(desk.join(key, None, NOW, WAIT), Role::Lead(_)));
        }
        for key in &keys {
            assert!(matches!(desk.join(key, None, NOW, WAIT), Role::Follow(..)));
            assert_eq!(desk.invalidate(key), Invalidated::Clear);
        }
        let compared = desk.index.compared.steps();
        assert!(compared < KEYS * 6, "{compared} comparisons under the seed {seed}");
    }
}

#[test]
fn a_prefix_reports_the_youngest_store_and_clears_the_other_loads() {
    let mut desk = Desk::new(1);
    let mut lead = |name: &str| {
        let key = Bytes::from(format!("p:{name}"));
        let Role::Lead(id) = desk.join(&key, None, NOW, WAIT) else { panic!() };
        id
    };
    let [first, loading, last] = ["a", "b", "c"].map(&mut lead);
    let other = desk.join(&Bytes::from_static(b"q:a"), None, NOW, WAIT);
    let Role::Lead(other) = other else { panic!() };
    assert!(desk.loaded(last, value("v"), &mut Told::new()));
    assert!(desk.loaded(first, value("v"), &mut Told::new()));
    assert_eq!(desk.invalidate_all(b"p:"), Invalidated::Storing(last));
    assert!(!desk.loaded(loading, value("v"), &mut Told::new()));
    assert!(desk.loaded(other, value("v"), &mut Told::new()));
}
