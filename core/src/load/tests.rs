use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::*;
use crate::flight::{Clearance, Flights, Handles, Seen, Turn};
use crate::time::Instant;

const KEY: Bytes = Bytes::from_static(b"::k");
const WAIT: Duration = Duration::from_secs(10);

/// An error of a cache or of a loader.
type Fault = &'static str;

/// Everything around the callers: their flights, the stored value, and the time.
struct World {
    flights: Flights<usize>,
    stored: Option<Bytes>,
    /// Each lookup and each store fails with this.
    fault: Option<(LoadFailure, Fault)>,
    has_flights: bool,
    now: Instant,
    /// The callers that were woken, and when.
    woken: Vec<usize>,
    lookups: usize,
    stores: usize,
}

/// What a caller is doing.
#[derive(PartialEq, Eq, Debug)]
enum Doing {
    LookUp(Option<Seen>),
    Follow,
    Load,
    Store,
    Done(Result<Bytes, Fault>),
}

/// One caller. It waits until the test says what happened.
struct Caller {
    number: usize,
    load: Load<Bytes>,
    part: Option<Participant>,
    encoded: Bytes,
    doing: Doing,
    wait: Duration,
}

impl World {
    fn new() -> Self {
        Self {
            flights: Flights::new(1),
            stored: None,
            fault: None,
            has_flights: true,
            now: Instant::ORIGIN,
            woken: vec![],
            lookups: 0,
            stores: 0,
        }
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut Flights<usize>, &mut Handles<usize>) -> R) -> R {
        let mut handles = Handles::new();
        let result = act(&mut self.flights, &mut handles);
        self.woken.extend(handles.wake);
        result
    }

    /// Lets time pass, and wakes the followers whose wait is over.
    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        let now = self.now;
        self.with(|flights, handles| flights.expire(now, handles));
    }

    /// A write of the key, unless it would have to wait.
    fn write(&mut self, value: Option<Bytes>) -> Clearance {
        let clearance = self.flights.invalidate(&KEY);
        if clearance == Clearance::Clear {
            self.stored = value;
        }
        clearance
    }

    /// A caller that has begun its lookup.
    fn caller(&self, number: usize) -> Caller {
        Caller {
            number,
            load: Load::new(),
            part: None,
            encoded: Bytes::new(),
            doing: Doing::LookUp(Some(self.flights.seen())),
            wait: WAIT,
        }
    }

    /// A caller that has missed.
    fn missed(&mut self, number: usize) -> Caller {
        let mut caller = self.caller(number);
        caller.look_up(self);
        caller
    }
}

impl Caller {
    /// Reports an event, and carries out the steps up to the next that takes time.
    fn happened(&mut self, world: &mut World, event: LoadEvent<Bytes, Fault>) {
        let mut event = event;
        loop {
            event = match self.load.handle(event).expect("an event of its step") {
                LoadStep::LookUp => {
                    self.doing = Doing::LookUp(Some(world.flights.seen()));
                    return;
                }
                LoadStep::Join { may_look_again } => self.join(world, may_look_again),
                LoadStep::Follow => {
                    self.doing = Doing::Follow;
                    return self.follow(world);
                }
                LoadStep::Load { alone } => {
                    if alone {
                        self.leave(world);
                    }
                    self.doing = Doing::Load;
                    return;
                }
                LoadStep::Share => {
                    let part = self.part.as_mut().expect("a part in a flight");
                    let value = self.encoded.clone();
                    let may_store =
                        world.with(|flights, handles| part.share(flights, value, handles));
                    LoadEvent::Shared { may_store }
                }
                LoadStep::Store => {
                    self.doing = Doing::Store;
                    return;
                }
                LoadStep::Return(value) => return self.done(world, Ok(value)),
                LoadStep::Fail(error) => return self.done(world, Err(error)),
            };
        }
    }

    fn join(&mut self, world: &mut World, may_look_again: bool) -> LoadEvent<Bytes, Fault> {
        let Doing::LookUp(seen) = self.doing else { panic!("joined while {:?}", self.doing) };
        if !world.has_flights {
            return LoadEvent::Alone;
        }
        let (now, wait, seen) = (world.now, self.wait, seen.filter(|_| may_look_again));
        self.part = Participant::join(&mut world.flights, &KEY, seen, now, wait);
        match &self.part {
            Some(part) if part.follows() => LoadEvent::Follows,
            Some(_) => LoadEvent::Leads,
            None => LoadEvent::LookAgain,
        }
    }

    /// Completes the lookup with the state of the server.
    fn look_up(&mut self, world: &mut World) {
        assert!(matches!(self.doing, Doing::LookUp(_)), "{:?}", self.doing);
        world.lookups += 1;
        let event = match (world.fault, &world.stored) {
            (Some((kind, fault)), _) => LoadEvent::Failed(kind, fault),
            (None, Some(value)) if value.starts_with(b"?") => LoadEvent::Unreadable,
            (None, Some(value)) => LoadEvent::Found(value.clone()),
            (None, None) => LoadEvent::Missing,
        };
        self.happened(world, event);
    }

    /// Polls a follower.
    fn follow(&mut self, world: &mut World) {
        assert_eq!(self.doing, Doing::Follow);
        let (now, number) = (world.now, self.number);
        let part = self.part.as_mut().expect("a part in a flight");
        match world.with(|flights, handles| part.follow(flights, now, number, handles)) {
            Turn::Wait => {}
            Turn::Lead(_) => self.happened(world, LoadEvent::Leads),
            Turn::Value(value) if value.starts_with(b"?") => {
                self.happened(world, LoadEvent::Unreadable);
            }
            Turn::Value(value) => self.happened(world, LoadEvent::Found(value)),
        }
    }

    /// Completes the load with this value.
    fn loaded(&mut self, world: &mut World, value: &'static str) {
        assert_eq!(self.doing, Doing::Load);
        self.encoded = Bytes::from_static(value.as_bytes());
        self.happened(world, LoadEvent::Loaded(self.encoded.clone()));
    }

    /// Fails the load.
    fn load_failed(&mut self, world: &mut World) {
        assert_eq!(self.doing, Doing::Load);
        self.happened(world, LoadEvent::Failed(LoadFailure::Other, "the loader failed"));
    }

    /// Completes the store with the state of the server.
    fn stored(&mut self, world: &mut World) {
        assert_eq!(self.doing, Doing::Store);
        world.stores += 1;
        let event = match world.fault {
            Some((kind, fault)) => LoadEvent::Failed(kind, fault),
            None => {
                world.stored = Some(self.encoded.clone());
                LoadEvent::Stored
            }
        };
        self.happened(world, event);
    }

    fn returned(&self, value: &'static str) -> bool {
        self.doing == Doing::Done(Ok(Bytes::from_static(value.as_bytes())))
    }

    fn done(&mut self, world: &mut World, result: Result<Bytes, Fault>) {
        self.leave(world);
        self.doing = Doing::Done(result);
    }

    /// Gives its part up, as if the caller was dropped.
    fn leave(&mut self, world: &mut World) {
        if let Some(mut part) = self.part.take() {
            world.with(|flights, handles| part.leave(flights, handles));
        }
    }
}

#[test]
fn a_hit_is_returned_without_a_load() {
    let mut world = World::new();
    world.stored = Some(Bytes::from_static(b"v"));
    assert!(world.missed(1).returned("v"));
    assert!(world.flights.is_empty());
}

#[test]
fn a_miss_is_loaded_shared_and_stored() {
    let mut world = World::new();
    let mut leader = world.missed(1);
    let mut followers = [world.missed(2), world.missed(3)];
    leader.loaded(&mut world, "v");
    assert_eq!(world.woken, [2, 3]);
    for follower in &mut followers {
        follower.follow(&mut world);
        assert!(follower.returned("v"), "before the leader has stored it");
    }
    leader.stored(&mut world);
    assert!(leader.returned("v"));
    assert!(world.missed(4).returned("v"));
    assert_eq!((world.stores, world.flights.is_empty()), (1, true));
}

#[test]
fn an_unreadable_entry_is_loaded_and_replaced() {
    let mut world = World::new();
    world.stored = Some(Bytes::from_static(b"? another type"));
    let mut leader = world.missed(1);
    leader.loaded(&mut world, "v");
    leader.stored(&mut world);
    assert!(leader.returned("v") && world.missed(2).returned("v"));
}

#[test]
fn a_follower_that_cannot_read_its_leaders_value_loads_alone() {
    let mut world = World::new();
    let mut leader = world.missed(1);
    let mut follower = world.missed(2);
    leader.loaded(&mut world, "? another type");
    follower.follow(&mut world);
    follower.loaded(&mut world, "mine");
    assert!(follower.returned("mine"));
    leader.stored(&mut world);
    assert_eq!((world.stores, world.flights.is_empty()), (1, true));
}

#[test]
fn a_dropped_leader_is_inherited() {
    let mut world = World::new();
    let mut leader = world.missed(1);
    let mut followers = [world.missed(2), world.missed(3)];
    leader.leave(&mut world);
    assert_eq!(world.woken, [2], "the follower that has waited longest");
    for follower in &mut followers {
        follower.follow(&mut world);
    }
    let [heir, other] = &mut followers;
    assert_eq!((&heir.doing, &other.doing), (&Doing::Load, &Doing::Follow));
    heir.loaded(&mut world, "v");
    other.follow(&mut world);
    assert!(other.returned("v"));
    heir.stored(&mut world);
    assert!(heir.returned("v") && world.flights.is_empty());
}

#[test]
fn a_loaders_error_reaches_its_caller_alone() {
    let mut world = World::new();
    let mut leader = world.missed(1);
    let mut follower = world.missed(2);
    leader.load_failed(&mut world);
    assert_eq!(leader.doing, Doing::Done(Err("the loader failed")));
    assert_eq!(world.woken, [2]);
    follower.follow(&mut world);
    follower.loaded(&mut world, "v");
    follower.stored(&mut world);
    assert!(follower.returned("v"));
}

#[test]
fn a_waiter_loads_by_itself_after_load_wait() {
    let mut world = World::new();
    let mut hangs = world.missed(1);
    let mut follower = world.missed(2);
    world.pass(WAIT - Duration::from_nanos(1));
    assert_eq!(world.woken, [0; 0]);
    world.pass(Duration::from_nanos(1));
    assert_eq!(world.woken, [2]);
    follower.follow(&mut world);
    follower.loaded(&mut world, "second");
    follower.stored(&mut world);
    assert!(follower.returned("second"));
    hangs.loaded(&mut world, "first");
    assert!(hangs.returned("first"), "its own value, which is not stored");
    assert!(world.missed(3).returned("second") && world.flights.is_empty());
}

#[test]
fn without_a_wait_a_follower_loads_at_once() {
    let mut world = World::new();
    let _leader = world.missed(1);
    let mut follower = world.caller(2);
    follower.wait = Duration::ZERO;
    follower.look_up(&mut world);
    assert_eq!(follower.doing, Doing::Load);
}

#[test]
fn a_caller_that_missed_before_a_load_ended_looks_again_once() {
    let mut world = World::new();
    let mut late = world.caller(2);
    let mut leader = world.missed(1);
    leader.loaded(&mut world, "v");
    leader.stored(&mut world);
    late.happened(&mut world, LoadEvent::Missing);
    late.look_up(&mut world);
    assert!(late.returned("v"));

    // A load of the key that ends between each lookup and its result.
    let mut unlucky = world.caller(3);
    world.write(None);
    for _ in 0..2 {
        assert!(matches!(unlucky.doing, Doing::LookUp(_)));
        let mut other = world.missed(4);
        other.leave(&mut world);
        unlucky.happened(&mut world, LoadEvent::Missing);
    }
    assert_eq!(unlucky.doing, Doing::Load);
}

#[test]
fn during_an_outage_every_load_is_returned_and_none_is_stored() {
    let mut world = World::new();
    world.fault = Some((LoadFailure::Outage, "away"));
    let mut leader = world.missed(1);
    let mut follower = world.missed(2);
    leader.loaded(&mut world, "v");
    follower.follow(&mut world);
    assert!(leader.returned("v") && follower.returned("v"));
    assert_eq!((world.stores, world.flights.is_empty()), (0, true));
}

#[test]
fn during_an_outage_no_caller_looks_again() {
    let mut world = World::new();
    let mut late = world.caller(2);
    let mut leader = world.missed(1);
    leader.leave(&mut world);
    late.happened(&mut world, LoadEvent::Failed(LoadFailure::Outage, "away"));
    assert_eq!(late.doing, Doing::Load);
}

#[test]
fn an_heir_that_missed_during_an_outage_stores_nothing() {
    let mut world = World::new();
    let mut leader = world.missed(1);
    world.fault = Some((LoadFailure::Outage, "away"));
    let mut follower = world.missed(2);
    leader.leave(&mut world);
    follower.follow(&mut world);
    follower.loaded(&mut world, "v");
    assert!(follower.returned("v"));
    assert_eq!((world.stores, world.flights.is_empty()), (0, true));
}

#[test]
fn a_lookup_that_fails_otherwise_fails_the_call() {
    for kind in [LoadFailure::Disconnected, LoadFailure::Other] {
        let mut world = World::new();
        world.fault = Some((kind, "refused"));
        assert_eq!(world.missed(1).doing, Doing::Done(Err("refused")));
        assert!(world.flights.is_empty());
    }
}

#[test]
fn a_value_outlives_a_store_that_meets_an_outage_or_a_disconnect() {
    for (kind, is_returned) in [
        (LoadFailure::Outage, true),
        (LoadFailure::Disconnected, true),
        (LoadFailure::Other, false),
    ] {
        let mut world = World::new();
        let mut leader = world.missed(1);
        leader.loaded(&mut world, "v");
        world.fault = Some((kind, "not stored"));
        leader.stored(&mut world);
        assert_eq!(leader.returned("v"), is_returned, "{kind:?}");
        assert_eq!(leader.doing == Doing::Done(Err("not stored")), !is_returned, "{kind:?}");
        assert!(world.flights.is_empty());
    }
}

#[test]
fn a_value_that_cannot_be_encoded_fails_its_caller_and_passes_the_lead_on() {
    let mut world = World::new();
    let mut leader = world.missed(1);
    let mut follower = world.missed(2);
    leader.happened(&mut world, LoadEvent::Failed(LoadFailure::Other, "no JSON"));
    assert_eq!(leader.doing, Doing::Done(Err("no JSON")));
    follower.follow(&mut world);
    assert_eq!(follower.doing, Doing::Load);
}

#[test]
fn a_write_during_the_load_forbids_its_store() {
    let mut world = World::new();
    let mut leader = world.missed(1);
    let mut follower = world.missed(2);
    assert_eq!(world.write(None), Clearance::Clear);
    let mut later = world.missed(3);
    leader.loaded(&mut world, "old");
    follower.follow(&mut world);
    assert!(leader.returned("old") && follower.returned("old"));
    assert_eq!((world.stores, &later.doing), (0, &Doing::Load));
    later.loaded(&mut world, "new");
    later.stored(&mut world);
    assert!(world.missed(4).returned("new") && world.flights.is_empty());
}

#[test]
fn a_write_during_the_store_waits_for_its_end() {
    let mut world = World::new();
    let mut leader = world.missed(1);
    leader.loaded(&mut world, "old");
    let Clearance::Storing(id) = world.write(None) else { panic!("did not wait") };
    assert!(world.with(|flights, handles| flights.await_end(id, 9, |a, b| a == b, handles)));
    leader.stored(&mut world);
    assert_eq!(world.woken, [9]);
    assert_eq!(world.write(None), Clearance::Clear);
}

#[test]
fn a_leader_dropped_while_it_stores_releases_the_writers() {
    let mut world = World::new();
    let mut leader = world.missed(1);
    leader.loaded(&mut world, "v");
    assert!(matches!(world.write(None), Clearance::Storing(_)));
    leader.leave(&mut world);
    assert_eq!(world.write(None), Clearance::Clear);
    assert!(world.flights.is_empty());
}

#[test]
fn without_flights_every_caller_loads_and_none_stores() {
    let mut world = World::new();
    world.has_flights = false;
    let mut callers = [world.missed(1), world.missed(2)];
    for caller in &mut callers {
        caller.loaded(&mut world, "v");
        assert!(caller.returned("v"));
    }
    assert_eq!(world.stores, 0);
}

#[test]
fn a_caller_that_must_not_wait_loads_alone() {
    let mut world = World::new();
    let mut outer = world.missed(1);
    let mut inner = world.missed(2);
    inner.happened(&mut world, LoadEvent::Alone);
    inner.loaded(&mut world, "inner");
    assert!(inner.returned("inner"));
    outer.loaded(&mut world, "outer");
    outer.stored(&mut world);
    assert_eq!((world.stores, world.flights.is_empty()), (1, true));
}

#[test]
fn an_event_of_another_step_ends_the_load() {
    let mut load = Load::<u8>::new();
    assert_eq!(load.handle::<Fault>(LoadEvent::Stored), None);
    assert_eq!(load.handle::<Fault>(LoadEvent::Missing), None, "it is over");
    let mut load = Load::<u8>::new();
    load.handle::<Fault>(LoadEvent::Missing);
    load.handle::<Fault>(LoadEvent::LookAgain);
    load.handle::<Fault>(LoadEvent::Missing);
    assert_eq!(load.handle::<Fault>(LoadEvent::LookAgain), None, "a second time");
}

/// Many callers, writes, drops and outages in every order: no caller is left waiting, each value
/// that is returned was loaded, and a value loaded before a write is never found after it.
#[test]
fn in_any_order_of_events_every_caller_ends() {
    const VALUES: [&str; 4] = ["0", "1", "2", "3"];
    for seed in 1..=400_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut roll = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % 1_000_003).unwrap() % below
        };
        let mut world = World::new();
        let (mut callers, mut writes) = (Vec::<(Caller, usize)>::new(), 0);
        for number in 0..120 {
            match roll(8) {
                0 | 1 => callers.push((world.caller(number), writes)),
                2 if writes < 3 && world.write(None) == Clearance::Clear => writes += 1,
                3 => world.pass(Duration::from_secs(3)),
                4 if roll(3) == 0 => {
                    world.fault = match world.fault {
                        None => Some((LoadFailure::Outage, "away")),
                        Some(_) => None,
                    };
                }
                5 if !callers.is_empty() && roll(3) == 0 => {
                    let (mut gone, _) = callers.swap_remove(roll(callers.len()));
                    gone.leave(&mut world);
                }
                _ if callers.is_empty() => {}
                _ => {
                    let chosen = roll(callers.len());
                    let (caller, began) = &mut callers[chosen];
                    match caller.doing {
                        Doing::LookUp(_) => caller.look_up(&mut world),
                        Doing::Follow => caller.follow(&mut world),
                        // A loader reads its source when it begins; as late as it can end.
                        Doing::Load if caller.encoded.is_empty() => {
                            *began = writes;
                            caller.encoded = Bytes::from_static(VALUES[writes].as_bytes());
                        }
                        Doing::Load => caller.loaded(&mut world, VALUES[*began]),
                        Doing::Store => caller.stored(&mut world),
                        Doing::Done(_) => {}
                    }
                }
            }
            if let Some(stored) = &world.stored {
                assert_eq!(stored, VALUES[writes].as_bytes(), "stored after a write, seed {seed}");
            }
        }
        world.fault = None;
        // Leaders that hang for ever are dropped; the others are polled until they end.
        for _ in 0..callers.len() * 8 {
            for (caller, _) in &mut callers {
                match caller.doing {
                    Doing::LookUp(_) => caller.look_up(&mut world),
                    Doing::Follow => caller.follow(&mut world),
                    Doing::Load => caller.loaded(&mut world, VALUES[writes]),
                    Doing::Store => caller.stored(&mut world),
                    Doing::Done(_) => {}
                }
            }
        }
        for (caller, _) in &callers {
            assert!(matches!(caller.doing, Doing::Done(Ok(_))), "{:?} {seed}", caller.doing);
        }
        assert!(world.flights.is_empty(), "seed {seed}");
    }
}
