use std::format;
use std::vec;

use super::*;

type Table = Flights<&'static str>;
type Collected = Handles<&'static str>;

const KEY: Bytes = Bytes::from_static(b"::k");
const NOW: Instant = Instant::ORIGIN;
const WAIT: Duration = Duration::from_secs(10);

fn value(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn lead(table: &mut Table) -> FlightId {
    let Joined::Lead(id) = table.join(&KEY, Some(table.seen()), NOW, WAIT) else { panic!() };
    id
}

fn turn(table: &mut Table, id: FlightId, seat: Seat, now: Instant, name: &'static str) -> Turn {
    table.follow(id, seat, now, name, &mut Collected::new())
}

fn follow(table: &mut Table, name: &'static str) -> (FlightId, Seat) {
    let Joined::Follow(id, seat) = table.join(&KEY, Some(table.seen()), NOW, WAIT) else {
        panic!()
    };
    assert_eq!(turn(table, id, seat, NOW, name), Turn::Wait);
    (id, seat)
}

#[test]
fn callers_that_join_during_a_load_share_its_value() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, a) = follow(&mut table, "a");
    let (_, b) = follow(&mut table, "b");
    let mut handles = Collected::new();
    assert!(table.loaded(id, value("v"), &mut handles));
    assert_eq!(handles.wake, ["a", "b"]);
    assert_eq!(turn(&mut table, id, a, NOW, "a"), Turn::Value(value("v")));
    table.landed(id, &mut handles);
    assert!(!table.is_empty(), "b has yet to take its value");
    assert_eq!(turn(&mut table, id, b, NOW, "b"), Turn::Value(value("v")));
    assert!(table.is_empty());
}

#[test]
fn a_caller_that_joins_during_the_store_gets_the_value_at_once() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    table.loaded(id, value("v"), &mut Collected::new());
    let Joined::Follow(id, seat) = table.join(&KEY, Some(table.seen()), NOW, WAIT) else {
        panic!()
    };
    assert_eq!(turn(&mut table, id, seat, NOW, "a"), Turn::Value(value("v")));
}

#[test]
fn the_longest_waiting_follower_inherits_from_a_leader_that_leaves() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, a) = follow(&mut table, "a");
    let (_, b) = follow(&mut table, "b");
    let mut handles = Collected::new();
    table.leave(id, &mut handles);
    assert_eq!(handles.wake, ["a"]);
    assert_eq!(turn(&mut table, id, b, NOW, "b"), Turn::Wait);
    assert_eq!(turn(&mut table, id, a, NOW, "a"), Turn::Lead(id));
}

#[test]
fn an_heir_that_leaves_before_it_is_polled_passes_the_lead_on() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, a) = follow(&mut table, "a");
    let (_, b) = follow(&mut table, "b");
    let mut handles = Collected::new();
    table.leave(id, &mut handles);
    table.leave_seat(id, a, &mut handles);
    assert_eq!(handles.wake, ["a", "b"]);
    assert_eq!(turn(&mut table, id, b, NOW, "b"), Turn::Lead(id));
    table.leave(id, &mut handles);
    assert!(table.is_empty(), "the last one out ends the flight");
}

#[test]
fn a_write_during_a_load_forbids_its_store_and_starts_afresh() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, seat) = follow(&mut table, "early");
    assert_eq!(table.invalidate(&KEY), Clearance::Clear);
    let second = lead(&mut table);
    assert_ne!(second, id, "who comes after the write does not get what was loaded before it");
    let mut handles = Collected::new();
    assert!(!table.loaded(id, value("old"), &mut handles), "a delete wins over a load");
    assert_eq!(turn(&mut table, id, seat, NOW, "early"), Turn::Value(value("old")));
    assert!(table.loaded(second, value("new"), &mut handles));
}

#[test]
fn a_write_waits_for_a_store_that_is_under_way() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    table.loaded(id, value("v"), &mut Collected::new());
    assert_eq!(table.invalidate_all(b":"), Clearance::Storing(id));
    assert!(table.await_end(id, "writer", |a, b| a == b, &mut Collected::new()));
    let mut handles = Collected::new();
    table.landed(id, &mut handles);
    assert_eq!(handles.wake, ["writer"]);
    assert!(!table.await_end(id, "writer", |a, b| a == b, &mut handles));
    assert_eq!(handles.spent, ["writer"]);
    assert_eq!(table.invalidate(&KEY), Clearance::Clear);
}

#[test]
fn a_writer_that_is_polled_often_is_kept_once() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let mut handles = Collected::new();
    table.loaded(id, value("v"), &mut handles);
    for _ in 0..100 {
        assert!(table.await_end(id, "writer", |a, b| a == b, &mut handles));
    }
    assert!(table.await_end(id, "another", |a, b| a == b, &mut handles));
    table.landed(id, &mut handles);
    assert_eq!(handles.wake, ["writer", "another"]);
}

#[test]
fn a_leader_dropped_while_storing_releases_writers_and_followers() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, seat) = follow(&mut table, "a");
    let mut handles = Collected::new();
    table.loaded(id, value("v"), &mut handles);
    table.await_end(id, "writer", |a, b| a == b, &mut handles);
    table.landed(id, &mut handles);
    assert_eq!(handles.wake, ["a", "writer"]);
    assert_eq!(turn(&mut table, id, seat, NOW, "a"), Turn::Value(value("v")));
    assert!(table.is_empty());
}

#[test]
fn a_caller_that_missed_before_a_flight_ended_looks_up_again() {
    let mut table = Table::new(1);
    let before = table.seen();
    let id = lead(&mut table);
    table.loaded(id, value("v"), &mut Collected::new());
    table.landed(id, &mut Collected::new());
    assert_eq!(table.join(&KEY, Some(before), NOW, WAIT), Joined::Again);
    assert!(matches!(table.join(&KEY, None, NOW, WAIT), Joined::Lead(_)));
}

#[test]
fn the_end_of_another_keys_flight_rarely_causes_a_second_lookup() {
    let mut table = Table::new(1);
    let before = table.seen();
    let id = lead(&mut table);
    table.leave(id, &mut Collected::new());
    assert!(table.seen() > before);
    let again = (0..200_u8)
        .filter(|&other| {
            let role = table.join(&Bytes::from(vec![other]), Some(before), NOW, WAIT);
            role == Joined::Again
        })
        .count();
    // The keys that share a slot with it.
    assert!(again < 200 / 10, "{again}");
}

#[test]
fn a_flight_past_its_maximum_age_does_not_delay_a_new_leader() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let late = NOW + Table::MAX_AGE;
    let Joined::Lead(second) = table.join(&KEY, Some(table.seen()), late, WAIT) else { panic!() };
    assert!(
        !table.loaded(id, value("old"), &mut Collected::new()),
        "the second leader stores, not this"
    );
    assert!(table.loaded(second, value("new"), &mut Collected::new()));
}

const DUE: Instant = Instant::from_millis(10_000);
const NEARLY: Instant = Instant::from_millis(9_999);

#[test]
fn a_follower_loads_beside_its_leader_after_its_wait() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, seat) = follow(&mut table, "a");
    assert_eq!(table.deadline().map(|deadline| deadline.at), Some(DUE));
    let mut handles = Collected::new();
    table.expire(NEARLY, &mut handles);
    assert_eq!(handles.wake, [""; 0]);
    assert_eq!(turn(&mut table, id, seat, NEARLY, "a"), Turn::Wait);
    table.expire(DUE, &mut handles);
    assert_eq!((handles.wake, table.deadline()), (vec!["a"], None));
    assert_eq!(turn(&mut table, id, seat, DUE, "a"), Turn::Lead(id));
}

#[test]
fn a_follower_that_was_woken_too_early_is_timed_again() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, seat) = follow(&mut table, "a");
    table.expire(DUE, &mut Collected::new());
    assert_eq!(turn(&mut table, id, seat, NEARLY, "a"), Turn::Wait);
    assert_eq!(table.deadline().map(|deadline| deadline.at), Some(DUE));
}

#[test]
fn of_several_leaders_the_first_one_that_has_loaded_serves_and_stores() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, impatient) = follow(&mut table, "impatient");
    let Joined::Follow(_, patient) = table.join(&KEY, None, NOW, WAIT * 3) else { panic!() };
    assert_eq!(turn(&mut table, id, patient, NOW, "patient"), Turn::Wait);
    assert_eq!(turn(&mut table, id, impatient, DUE, "impatient"), Turn::Lead(id));
    let mut handles = Collected::new();
    assert!(table.loaded(id, value("second"), &mut handles));
    assert_eq!(handles.wake, ["patient"]);
    assert!(!table.loaded(id, value("first"), &mut handles), "it is another's to store");
    table.leave(id, &mut handles);
    assert_eq!(table.invalidate(&KEY), Clearance::Storing(id), "the store goes on");
    assert_eq!(turn(&mut table, id, patient, DUE, "patient"), Turn::Value(value("second")));
    table.landed(id, &mut handles);
    assert!(!table.loaded(id, value("first"), &mut handles) && table.is_empty());
}

#[test]
fn the_lead_is_inherited_when_the_last_of_several_leaders_leaves() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, a) = follow(&mut table, "a");
    let Joined::Follow(_, b) = table.join(&KEY, None, DUE, WAIT) else { panic!() };
    assert_eq!(turn(&mut table, id, b, DUE, "b"), Turn::Wait);
    assert_eq!(turn(&mut table, id, a, DUE, "a"), Turn::Lead(id));
    let mut handles = Collected::new();
    table.leave(id, &mut handles);
    assert_eq!(handles.wake, [""; 0]);
    table.leave(id, &mut handles);
    assert_eq!(handles.wake, ["b"]);
    assert_eq!(turn(&mut table, id, b, DUE, "b"), Turn::Lead(id));
}

#[test]
fn an_heir_that_is_not_polled_delays_the_others_by_their_wait_at_most() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, heir) = follow(&mut table, "heir");
    let (_, other) = follow(&mut table, "other");
    table.leave(id, &mut Collected::new());
    assert_eq!(turn(&mut table, id, other, NEARLY, "other"), Turn::Wait);
    let mut handles = Collected::new();
    table.expire(DUE, &mut handles);
    assert_eq!(handles.wake, ["other"]);
    assert_eq!(turn(&mut table, id, other, DUE, "other"), Turn::Lead(id));
    assert!(table.loaded(id, value("v"), &mut handles));
    assert_eq!(turn(&mut table, id, heir, DUE, "heir"), Turn::Value(value("v")));
}

#[test]
fn a_follower_that_loads_by_itself_stores_nothing_older_than_a_write() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, seat) = follow(&mut table, "a");
    assert_eq!(turn(&mut table, id, seat, DUE, "a"), Turn::Lead(id));
    assert_eq!(table.invalidate(&KEY), Clearance::Clear);
    assert!(!table.loaded(id, value("old"), &mut Collected::new()));
}

#[test]
fn after_a_write_an_impatient_follower_begins_a_new_flight() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, seat) = follow(&mut table, "a");
    assert_eq!(table.invalidate(&KEY), Clearance::Clear);
    let Turn::Lead(second) = turn(&mut table, id, seat, DUE, "a") else { panic!() };
    assert_ne!(second, id);
    assert!(table.loaded(second, value("new"), &mut Collected::new()));
    assert!(!table.loaded(id, value("old"), &mut Collected::new()));
}

#[test]
fn a_follower_takes_a_newer_flights_value_instead_of_loading() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, seat) = follow(&mut table, "a");
    table.invalidate(&KEY);
    let second = lead(&mut table);
    assert!(table.loaded(second, value("new"), &mut Collected::new()));
    assert_eq!(turn(&mut table, id, seat, DUE, "a"), Turn::Value(value("new")));
}

#[test]
fn without_a_wait_every_caller_leads() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let Joined::Follow(_, seat) = table.join(&KEY, None, NOW, Duration::ZERO) else { panic!() };
    assert_eq!(turn(&mut table, id, seat, NOW, "a"), Turn::Lead(id));
}

#[test]
fn the_longest_wait_has_no_deadline() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let Joined::Follow(_, seat) = table.join(&KEY, None, NOW, Duration::MAX) else { panic!() };
    assert_eq!(turn(&mut table, id, seat, NOW, "a"), Turn::Wait);
    assert_eq!(table.deadline(), None);
}

#[test]
fn a_deadline_ends_with_its_follower() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, seat) = follow(&mut table, "a");
    table.leave_seat(id, seat, &mut Collected::new());
    assert_eq!(table.deadline(), None);
    let (_, seat) = follow(&mut table, "b");
    table.loaded(id, value("v"), &mut Collected::new());
    assert_eq!(turn(&mut table, id, seat, NOW, "b"), Turn::Value(value("v")));
    assert_eq!(table.deadline(), None);
}

#[test]
fn displaced_and_abandoned_handles_are_returned() {
    let mut table = Table::new(1);
    let id = lead(&mut table);
    let (_, seat) = follow(&mut table, "first");
    let mut handles = Collected::new();
    assert_eq!(table.follow(id, seat, NOW, "second", &mut handles), Turn::Wait);
    assert_eq!(handles.spent, ["first"]);
    table.leave_seat(id, seat, &mut handles);
    assert_eq!(handles.spent, ["first", "second"]);
    let (_, seat) = follow(&mut table, "kept");
    table.loaded(id, value("v"), &mut handles);
    assert_eq!(handles.wake, ["kept"]);
    table.follow(id, seat, NOW, "not kept", &mut handles);
    assert_eq!(handles.spent, ["first", "second", "not kept"]);
}

/// The number of seats that are visited while this many callers wait for one key: when they are
/// served, as heirs one after the other, when they leave, and at their deadlines.
fn steps(followers: u32) -> [u64; 4] {
    let wait_all = || {
        let mut table = Table::new(1);
        let id = lead(&mut table);
        let seats: Vec<Seat> = (0..followers).map(|_| follow(&mut table, "f").1).collect();
        (table, id, seats)
    };
    let served = {
        let (mut table, id, seats) = wait_all();
        table.loaded(id, value("v"), &mut Collected::new());
        for seat in seats {
            assert_eq!(turn(&mut table, id, seat, NOW, "f"), Turn::Value(value("v")));
        }
        table.visited.steps()
    };
    let inherited = {
        let (mut table, id, seats) = wait_all();
        for seat in seats {
            table.leave(id, &mut Collected::new());
            assert_eq!(turn(&mut table, id, seat, NOW, "f"), Turn::Lead(id));
        }
        table.visited.steps()
    };
    let left = {
        let (mut table, id, seats) = wait_all();
        for seat in seats.into_iter().rev() {
            table.leave_seat(id, seat, &mut Collected::new());
        }
        table.visited.steps()
    };
    let expired = {
        let (mut table, id, seats) = wait_all();
        table.expire(DUE, &mut Collected::new());
        for seat in seats {
            assert_eq!(turn(&mut table, id, seat, DUE, "f"), Turn::Lead(id));
        }
        table.visited.steps()
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
    let mut table = Table::new(1);
    lead(&mut table);
    for _ in 0..10_000 {
        follow(&mut table, "f");
    }
    let before = table.visited.steps();
    let Joined::Lead(id) = table.join(&Bytes::from_static(b"other"), None, NOW, WAIT) else {
        panic!()
    };
    assert!(table.loaded(id, value("v"), &mut Collected::new()));
    table.landed(id, &mut Collected::new());
    assert_eq!(table.invalidate(b"other"), Clearance::Clear);
    assert_eq!(table.visited.steps(), before);
}

#[test]
fn keys_that_collide_under_a_fixed_seed_are_compared_a_few_times_each() {
    const KEYS: u64 = 8_000;
    let keys = crate::memory::colliding_keys(KEYS);
    for seed in [0, 1, u64::MAX] {
        let mut table = Table::new(seed);
        for key in &keys {
            assert!(matches!(table.join(key, None, NOW, WAIT), Joined::Lead(_)));
        }
        for key in &keys {
            assert!(matches!(table.join(key, None, NOW, WAIT), Joined::Follow(..)));
            assert_eq!(table.invalidate(key), Clearance::Clear);
        }
        let compared = table.index.compared.steps();
        assert!(compared < KEYS * 6, "{compared} comparisons under the seed {seed}");
    }
}

#[test]
fn a_prefix_reports_the_youngest_store_and_clears_the_other_loads() {
    let mut table = Table::new(1);
    let mut lead = |name: &str| {
        let key = Bytes::from(format!("p:{name}"));
        let Joined::Lead(id) = table.join(&key, None, NOW, WAIT) else { panic!() };
        id
    };
    let [first, loading, last] = ["a", "b", "c"].map(&mut lead);
    let other = table.join(&Bytes::from_static(b"q:a"), None, NOW, WAIT);
    let Joined::Lead(other) = other else { panic!() };
    assert!(table.loaded(last, value("v"), &mut Collected::new()));
    assert!(table.loaded(first, value("v"), &mut Collected::new()));
    assert_eq!(table.invalidate_all(b"p:"), Clearance::Storing(last));
    assert!(!table.loaded(loading, value("v"), &mut Collected::new()));
    assert!(table.loaded(other, value("v"), &mut Collected::new()));
}
