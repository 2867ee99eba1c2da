use alloc::boxed::Box;
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
    /// What a caller may do with the stored value.
    use_of_stored: UseOfStored,
    /// Whether a load failed so recently that no other should begin.
    backs_off: bool,
    /// How many more loads may run in the background.
    background: usize,
    /// How many writes of the key there were.
    writes: u64,
    now: Instant,
    /// The callers that were woken, and when.
    woken: Vec<usize>,
    lookups: usize,
    stores: usize,
}

/// What a caller may do with a stored value, as `freshness::decide` says.
#[derive(Clone, Copy, Debug)]
enum UseOfStored {
    Return,
    ReturnAndRefresh { until: Instant },
    FallBack { until: Instant },
}

/// What a caller is doing.
#[derive(PartialEq, Eq, Debug)]
enum Doing {
    LookUp(Option<Seen>),
    Follow,
    Load,
    Store,
    Done(Result<Bytes, Fault>),
    /// It has returned a kept value after this error.
    FellBack(Bytes, Fault),
    /// It has returned an error that the load takes too long.
    TimedOut,
}

/// One caller. It waits until the test says what happened.
struct Caller {
    number: usize,
    load: Load<Bytes>,
    part: Option<Participant>,
    encoded: Bytes,
    doing: Doing,
    wait: Duration,
    /// How many writes there were when its loader began.
    began_after: u64,
    /// The load that it spawned, or that goes on without it.
    spawned: Option<Box<Caller>>,
}

impl World {
    fn new() -> Self {
        Self {
            flights: Flights::new(1),
            stored: None,
            fault: None,
            has_flights: true,
            use_of_stored: UseOfStored::Return,
            backs_off: false,
            background: 1,
            writes: 0,
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
            self.writes += 1;
            self.stored = value;
        }
        clearance
    }

    fn leads(&self) -> LoadEvent<Bytes, Fault> {
        LoadEvent::Leads { backs_off: self.backs_off }
    }

    /// A caller that has begun its lookup.
    fn caller(&self, number: usize) -> Caller {
        self.caller_with(number, LoadLimits::NONE)
    }

    fn caller_with(&self, number: usize, limits: LoadLimits) -> Caller {
        Caller {
            number,
            load: Load::new(limits),
            part: None,
            encoded: Bytes::new(),
            doing: Doing::LookUp(Some(self.flights.seen())),
            wait: WAIT,
            began_after: 0,
            spawned: None,
        }
    }

    /// A caller that has missed.
    fn missed(&mut self, number: usize) -> Caller {
        self.looked_up(number, LoadLimits::NONE)
    }

    /// A caller that has looked its key up.
    fn looked_up(&mut self, number: usize, limits: LoadLimits) -> Caller {
        let mut caller = self.caller_with(number, limits);
        caller.look_up(self);
        caller
    }

    /// Stores `old`, which is stale, and can be used like this for so many seconds.
    fn keep_old(&mut self, as_: fn(Instant) -> UseOfStored, seconds: u64) {
        self.stored = Some(Bytes::from_static(b"old"));
        self.use_of_stored = as_(self.now + Duration::from_secs(seconds));
    }
}

impl Caller {
    /// Reports an event, and carries out the steps up to the next that takes time.
    fn happened(&mut self, world: &mut World, event: LoadEvent<Bytes, Fault>) {
        let mut event = event;
        loop {
            event = match self.load.handle(event, || world.now).expect("an event of its step") {
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
                    self.began_after = world.writes;
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
                LoadStep::Refresh => self.refresh(world),
                LoadStep::Spawn => {
                    self.spawn(world, Load::in_background(), Doing::LookUp(None));
                    LoadEvent::Spawned
                }
                LoadStep::KeepWaiting => return,
                LoadStep::GoOn(kept) => {
                    let alone = self.part.is_none();
                    world.background += 1;
                    self.spawn(world, Load::going_on(alone), Doing::Load);
                    let doing = kept.map_or(Doing::TimedOut, |value| Doing::Done(Ok(value)));
                    return self.end(world, doing);
                }
                LoadStep::Return(value) => return self.end(world, Doing::Done(Ok(value))),
                LoadStep::FallBack(value, error) => {
                    return self.end(world, Doing::FellBack(value, error));
                }
                LoadStep::TimeOut => return self.end(world, Doing::TimedOut),
                LoadStep::Fail(error) => return self.end(world, Doing::Done(Err(error))),
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
            Some(_) => world.leads(),
            None => LoadEvent::LookAgain,
        }
    }

    /// Joins a flight only to lead it.
    fn refresh(&mut self, world: &mut World) -> LoadEvent<Bytes, Fault> {
        let event = self.join(world, true);
        if event == LoadEvent::Follows {
            self.leave(world);
        }
        event
    }

    /// Passes the part in the flight to a load in the background, if one more may run.
    fn spawn(&mut self, world: &mut World, load: Load<Bytes>, doing: Doing) {
        if world.background == 0 {
            return;
        }
        world.background -= 1;
        let mut spawned = world.caller(self.number + 100);
        (spawned.load, spawned.doing, spawned.part) = (load, doing, self.part.take());
        spawned.began_after = self.began_after;
        self.spawned = Some(Box::new(spawned));
    }

    /// Reports that a deadline may be over.
    fn time_over(&mut self, world: &mut World) {
        self.happened(world, LoadEvent::TimeOver);
    }

    /// Completes the lookup with the state of the server.
    fn look_up(&mut self, world: &mut World) {
        assert!(matches!(self.doing, Doing::LookUp(_)), "{:?}", self.doing);
        world.lookups += 1;
        let event = match (world.fault, &world.stored) {
            (Some((kind, fault)), _) => LoadEvent::Failed(kind, fault),
            (None, Some(value)) if value.starts_with(b"?") => LoadEvent::Unreadable,
            (None, Some(value)) => {
                let value = value.clone();
                self.encoded = value.clone();
                match world.use_of_stored {
                    UseOfStored::Return => LoadEvent::Found(value),
                    UseOfStored::ReturnAndRefresh { until } => {
                        LoadEvent::RefreshDue(Kept { value, until })
                    }
                    UseOfStored::FallBack { until } => LoadEvent::Fallback(Kept { value, until }),
                }
            }
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
            Turn::Lead(_) => {
                let leads = world.leads();
                self.happened(world, leads);
            }
            Turn::Value(value) if value.starts_with(b"?") => {
                self.happened(world, LoadEvent::Unreadable);
            }
            Turn::Value(value) => self.happened(world, LoadEvent::Found(value)),
        }
    }

    /// Completes the load with this value.
    fn loaded(&mut self, world: &mut World, value: impl Into<Bytes>) {
        assert_eq!(self.doing, Doing::Load);
        self.encoded = value.into();
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
                world.use_of_stored = UseOfStored::Return;
                LoadEvent::Stored
            }
        };
        self.happened(world, event);
    }

    fn returned(&self, value: &'static str) -> bool {
        self.doing == Doing::Done(Ok(Bytes::from_static(value.as_bytes())))
    }

    fn end(&mut self, world: &mut World, doing: Doing) {
        self.leave(world);
        self.doing = doing;
    }

    /// The load that it spawned, or that goes on without it.
    fn background(&mut self) -> &mut Caller {
        self.spawned.as_mut().expect("a load in the background")
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

fn handle(load: &mut Load<u8>, event: LoadEvent<u8, Fault>) -> Option<LoadStep<u8, Fault>> {
    load.handle(event, || panic!("nothing depends on the time"))
}

#[test]
fn an_event_of_another_step_ends_the_load() {
    let mut load = Load::<u8>::default();
    assert_eq!(handle(&mut load, LoadEvent::Stored), None);
    assert_eq!(handle(&mut load, LoadEvent::Missing), None, "it is over");
    let mut load = Load::<u8>::default();
    handle(&mut load, LoadEvent::Missing);
    handle(&mut load, LoadEvent::LookAgain);
    handle(&mut load, LoadEvent::Missing);
    assert_eq!(handle(&mut load, LoadEvent::LookAgain), None, "a second time");
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
                        Doing::Done(_) | Doing::FellBack(..) | Doing::TimedOut => {}
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
                    Doing::Done(_) | Doing::FellBack(..) | Doing::TimedOut => {}
                }
            }
        }
        for (caller, _) in &callers {
            assert!(matches!(caller.doing, Doing::Done(Ok(_))), "{:?} {seed}", caller.doing);
        }
        assert!(world.flights.is_empty(), "seed {seed}");
    }
}

const SOFT: Duration = Duration::from_millis(200);
const HARD: Duration = Duration::from_secs(3);

const IN_BACKGROUND: LoadLimits = LoadLimits { background: true, ..LoadLimits::NONE };
const BOTH_TIMEOUTS: LoadLimits =
    LoadLimits { soft_timeout: Some(SOFT), hard_timeout: Some(HARD), background: true };
const HARD_TIMEOUT: LoadLimits = LoadLimits { hard_timeout: Some(HARD), ..LoadLimits::NONE };

fn refresh_due(until: Instant) -> UseOfStored {
    UseOfStored::ReturnAndRefresh { until }
}

fn fallback(until: Instant) -> UseOfStored {
    UseOfStored::FallBack { until }
}

#[test]
fn a_due_refresh_runs_in_the_background_and_delays_nobody() {
    let mut world = World::new();
    world.keep_old(refresh_due, 60);
    let mut first = world.looked_up(1, IN_BACKGROUND);
    assert!(first.returned("old"));
    for number in 2..5 {
        let other = world.looked_up(number, IN_BACKGROUND);
        assert!(other.returned("old") && other.spawned.is_none(), "one refresh at a time");
    }
    let refresh = first.background();
    refresh.look_up(&mut world); // the server has the old value still
    refresh.loaded(&mut world, "new");
    assert!(world.looked_up(5, IN_BACKGROUND).returned("old"), "until the new one is stored");
    refresh.stored(&mut world);
    assert!(world.missed(6).returned("new") && world.flights.is_empty());
}

#[test]
fn a_refresh_that_another_process_was_quicker_with_loads_nothing() {
    let mut world = World::new();
    world.keep_old(refresh_due, 60);
    let mut first = world.looked_up(1, IN_BACKGROUND);
    world.stored = Some(Bytes::from_static(b"theirs"));
    world.use_of_stored = UseOfStored::Return;
    let refresh = first.background();
    refresh.look_up(&mut world);
    assert!(refresh.returned("theirs"));
    assert_eq!((world.stores, world.flights.is_empty()), (0, true));
}

#[test]
fn whoever_waits_for_a_refresh_gets_what_it_finds() {
    let mut world = World::new();
    world.keep_old(refresh_due, 60);
    let mut first = world.looked_up(1, IN_BACKGROUND);
    world.keep_old(fallback, 60);
    let mut follower = world.missed(2); // past the window in which it need not wait
    assert_eq!(follower.doing, Doing::Follow);
    world.stored = Some(Bytes::from_static(b"theirs"));
    world.use_of_stored = UseOfStored::Return;
    first.background().look_up(&mut world);
    follower.follow(&mut world);
    assert!(follower.returned("theirs"));
}

#[test]
fn a_refresh_of_a_key_that_was_deleted_loads_it() {
    let mut world = World::new();
    world.keep_old(refresh_due, 60);
    let mut first = world.looked_up(1, IN_BACKGROUND);
    world.stored = None; // by another process
    let refresh = first.background();
    refresh.look_up(&mut world);
    refresh.loaded(&mut world, "new");
    refresh.stored(&mut world);
    assert!(world.missed(2).returned("new"));
}

#[test]
fn a_write_during_a_refresh_forbids_its_store() {
    let mut world = World::new();
    world.keep_old(refresh_due, 60);
    let mut first = world.looked_up(1, IN_BACKGROUND);
    first.background().look_up(&mut world);
    assert_eq!(world.write(None), Clearance::Clear);
    first.background().loaded(&mut world, "new");
    assert_eq!((world.stores, world.flights.is_empty()), (0, true));
}

#[test]
fn a_refresh_that_cannot_look_up_ends() {
    let mut world = World::new();
    world.keep_old(refresh_due, 60);
    let mut first = world.looked_up(1, IN_BACKGROUND);
    world.fault = Some((LoadFailure::Outage, "away"));
    first.background().look_up(&mut world);
    assert_eq!(first.background().doing, Doing::Done(Err("away")));
    assert!(world.flights.is_empty());
}

#[test]
fn with_too_many_loads_in_the_background_the_old_value_is_returned_and_nothing_starts() {
    let mut world = World::new();
    world.keep_old(refresh_due, 60);
    world.background = 0;
    let first = world.looked_up(1, IN_BACKGROUND);
    assert!(first.returned("old") && first.spawned.is_none() && world.flights.is_empty());
}

#[test]
fn without_a_background_one_caller_refreshes_and_the_others_get_the_old_value() {
    let mut world = World::new();
    world.keep_old(refresh_due, 60);
    let mut first = world.missed(1);
    assert_eq!(first.doing, Doing::Load);
    assert!(world.missed(2).returned("old"));
    first.loaded(&mut world, "new");
    first.stored(&mut world);
    assert!(first.returned("new") && world.missed(3).returned("new"));
}

#[test]
fn a_refresh_in_the_foreground_that_fails_returns_the_old_value() {
    let mut world = World::new();
    world.keep_old(refresh_due, 60);
    let mut first = world.missed(1);
    first.load_failed(&mut world);
    assert_eq!(first.doing, Doing::FellBack(Bytes::from_static(b"old"), "the loader failed"));
    assert!(world.flights.is_empty());
}

#[test]
fn a_refresh_that_ended_since_the_lookup_is_not_repeated() {
    let mut world = World::new();
    world.keep_old(refresh_due, 60);
    let mut late = world.caller_with(2, IN_BACKGROUND);
    let mut first = world.looked_up(1, IN_BACKGROUND);
    first.background().look_up(&mut world);
    first.background().loaded(&mut world, "new");
    first.background().stored(&mut world);
    let kept = Kept { value: Bytes::from_static(b"old"), until: Instant::MAX };
    late.happened(&mut world, LoadEvent::RefreshDue(kept)); // the reply of before
    assert!(late.returned("old") && late.spawned.is_none());
}

#[test]
fn a_failed_load_returns_the_fallback_with_its_error() {
    let mut world = World::new();
    world.keep_old(fallback, 60);
    let mut leader = world.missed(1);
    world.pass(Duration::from_secs(60) - Duration::from_nanos(1));
    leader.load_failed(&mut world);
    assert_eq!(leader.doing, Doing::FellBack(Bytes::from_static(b"old"), "the loader failed"));
}

#[test]
fn a_fallback_is_not_returned_once_its_window_is_over() {
    let mut world = World::new();
    world.keep_old(fallback, 60);
    let mut leader = world.missed(1);
    world.pass(Duration::from_secs(60));
    leader.load_failed(&mut world);
    assert_eq!(leader.doing, Doing::Done(Err("the loader failed")));
}

#[test]
fn a_fallback_that_is_gone_at_the_second_lookup_is_forgotten() {
    let mut world = World::new();
    world.keep_old(fallback, 60);
    let mut caller = world.caller(2);
    world.missed(1).leave(&mut world);
    caller.look_up(&mut world); // a flight has ended meanwhile, so it looks again
    world.stored = None;
    caller.look_up(&mut world);
    caller.load_failed(&mut world);
    assert_eq!(caller.doing, Doing::Done(Err("the loader failed")));
}

#[test]
fn a_good_load_replaces_the_fallback() {
    let mut world = World::new();
    world.keep_old(fallback, 60);
    let mut leader = world.missed(1);
    let mut follower = world.missed(2);
    leader.loaded(&mut world, "new");
    follower.follow(&mut world);
    leader.stored(&mut world);
    assert!(leader.returned("new") && follower.returned("new"));
}

#[test]
fn callers_that_waited_for_a_failed_load_fall_back_without_one_of_their_own() {
    let mut world = World::new();
    world.keep_old(fallback, 60);
    let mut leader = world.missed(1);
    let mut followers = [world.missed(2), world.missed(3), world.missed(4)];
    world.backs_off = true; // once the load has failed
    leader.load_failed(&mut world);
    for follower in &mut followers {
        follower.follow(&mut world);
        assert!(follower.returned("old"));
    }
    assert!(world.flights.is_empty());
    // Without a value to return, a caller loads in spite of the failure.
    world.stored = None;
    assert_eq!(world.missed(5).doing, Doing::Load);
}

#[test]
fn after_the_soft_timeout_the_fallback_is_returned_and_the_load_goes_on() {
    let mut world = World::new();
    world.keep_old(fallback, 60);
    let mut leader = world.looked_up(1, BOTH_TIMEOUTS);
    let mut follower = world.looked_up(2, BOTH_TIMEOUTS);
    let deadline = leader.load.deadline().expect("a deadline");
    assert_eq!((deadline.at, deadline.why), (world.now + SOFT, "the soft timeout"));
    world.pass(SOFT - Duration::from_nanos(1));
    leader.time_over(&mut world);
    assert_eq!(leader.doing, Doing::Load, "too early");
    world.pass(Duration::from_nanos(1));
    leader.time_over(&mut world);
    follower.time_over(&mut world);
    assert!(leader.returned("old") && follower.returned("old"));
    let rest = leader.background();
    rest.loaded(&mut world, "new");
    rest.stored(&mut world);
    assert!(world.missed(3).returned("new") && world.flights.is_empty());
}

#[test]
fn a_soft_timeout_without_a_fallback_changes_nothing() {
    let mut world = World::new();
    let leader = world.looked_up(1, BOTH_TIMEOUTS);
    assert_eq!(leader.load.deadline().map(|it| it.at), Some(world.now + HARD));
    // Nor does one that ends after the fallback's window.
    let mut world = World::new();
    world.keep_old(fallback, 0);
    let leader = world.looked_up(1, BOTH_TIMEOUTS);
    assert_eq!(leader.load.deadline().map(|it| it.at), Some(world.now + HARD));
}

#[test]
fn a_load_that_cannot_go_on_is_not_given_up_at_the_soft_timeout() {
    let mut world = World::new();
    world.keep_old(fallback, 60);
    let limits = LoadLimits { background: false, ..BOTH_TIMEOUTS };
    let leader = world.looked_up(1, limits);
    assert_eq!(leader.load.deadline().map(|it| it.at), Some(world.now + HARD));
    // One that follows loses nothing.
    let follower = world.looked_up(2, limits);
    assert_eq!(follower.load.deadline().map(|it| it.at), Some(world.now + SOFT));
}

#[test]
fn after_the_hard_timeout_a_caller_gets_an_error_and_its_load_goes_on() {
    let mut world = World::new();
    let mut leader = world.looked_up(1, BOTH_TIMEOUTS);
    world.pass(HARD);
    leader.time_over(&mut world);
    assert_eq!(leader.doing, Doing::TimedOut);
    leader.background().loaded(&mut world, "late");
    leader.background().stored(&mut world);
    assert!(world.missed(2).returned("late"));
}

#[test]
fn a_load_that_cannot_go_on_passes_to_a_follower_at_the_hard_timeout() {
    let mut world = World::new();
    let mut leader = world.looked_up(1, HARD_TIMEOUT);
    let mut follower = world.missed(2);
    world.pass(HARD);
    leader.time_over(&mut world);
    assert_eq!(leader.doing, Doing::TimedOut);
    follower.follow(&mut world);
    assert_eq!(follower.doing, Doing::Load);
}

#[test]
fn the_hard_timeout_counts_the_time_as_a_follower() {
    let mut world = World::new();
    let mut leader = world.missed(1);
    let mut follower = world.looked_up(2, HARD_TIMEOUT);
    world.pass(HARD - SOFT);
    leader.leave(&mut world);
    follower.follow(&mut world);
    assert_eq!(follower.doing, Doing::Load);
    world.pass(SOFT);
    follower.time_over(&mut world);
    assert_eq!(follower.doing, Doing::TimedOut);
}

#[test]
fn at_the_hard_timeout_a_fallback_is_better_than_an_error() {
    let mut world = World::new();
    world.keep_old(fallback, 60);
    let mut leader = world.looked_up(1, HARD_TIMEOUT);
    world.pass(HARD);
    leader.time_over(&mut world);
    assert!(leader.returned("old"));
}

#[test]
fn a_load_that_is_alone_goes_on_and_stores_nothing() {
    let mut world = World::new();
    world.has_flights = false;
    let mut caller = world.looked_up(1, BOTH_TIMEOUTS);
    world.pass(HARD);
    caller.time_over(&mut world);
    assert_eq!(caller.doing, Doing::TimedOut);
    caller.background().loaded(&mut world, "late");
    assert_eq!(world.stores, 0);
}

#[test]
fn without_timeouts_there_is_no_deadline() {
    let mut world = World::new();
    world.keep_old(fallback, 60);
    let leader = world.looked_up(1, IN_BACKGROUND);
    assert_eq!((&leader.doing, leader.load.deadline()), (&Doing::Load, None));
}

/// Callers of every kind, loads that succeed, fail, hang and go on, writes and time, in every
/// order: every caller ends, no kept value is returned after its window, no caller that may return
/// what it has waits for another's load, and nothing is stored that began to load before a write.
#[test]
fn in_any_order_of_events_nothing_is_returned_past_its_window() {
    for seed in 1..=400_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut roll = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % 1_000_003).unwrap() % below
        };
        let mut world = World::new();
        world.background = 2;
        let mut callers = Vec::<Caller>::new();
        let (mut value, mut stored_at) = (0_u64, world.now);
        for number in 0..150 {
            world.backs_off = roll(4) == 0;
            match roll(9) {
                0..=2 => {
                    let limits = [LoadLimits::NONE, IN_BACKGROUND, BOTH_TIMEOUTS, HARD_TIMEOUT];
                    callers.push(world.caller_with(number, limits[roll(4)]));
                }
                3 if roll(3) == 0 => {
                    world.write(None);
                }
                4 => world.pass(Duration::from_millis(700)),
                5 if !callers.is_empty() && roll(3) == 0 => {
                    let mut gone = callers.swap_remove(roll(callers.len()));
                    gone.leave(&mut world);
                    callers.extend(gone.spawned.take().map(|spawned| *spawned));
                }
                _ if callers.is_empty() => {}
                _ => {
                    let chosen = roll(callers.len());
                    world.grow_old(stored_at);
                    let (caller, fate) = (&mut callers[chosen], roll(4));
                    let keeps = match (&caller.doing, world.use_of_stored) {
                        (Doing::LookUp(_), UseOfStored::ReturnAndRefresh { .. }) => true,
                        (Doing::LookUp(_), _) => false,
                        _ => caller.load.kept.is_some(),
                    };
                    let until = caller.load.kept.as_ref().map(|kept| kept.until);
                    let before = world.stores;
                    match caller.doing {
                        Doing::LookUp(_) => {
                            caller.look_up(&mut world);
                            let waits = caller.doing == Doing::Follow;
                            assert!(!(keeps && world.stored.is_some() && waits), "{seed}");
                        }
                        Doing::Follow if fate == 0 => caller.time_over(&mut world),
                        Doing::Follow => caller.follow(&mut world),
                        Doing::Load if fate == 0 => caller.time_over(&mut world),
                        Doing::Load if fate == 1 => caller.load_failed(&mut world),
                        Doing::Load => {
                            value += 1;
                            let loaded = alloc::format!("{value} {}", caller.began_after);
                            caller.loaded(&mut world, loaded);
                        }
                        Doing::Store => caller.stored(&mut world),
                        Doing::Done(_) | Doing::FellBack(..) | Doing::TimedOut => {}
                    }
                    if let (true, Doing::FellBack(..), Some(until)) = (keeps, &caller.doing, until)
                    {
                        assert!(world.now < until, "{seed}");
                    }
                    let spawned = caller.spawned.take();
                    callers.extend(spawned.map(|spawned| *spawned));
                    if world.stores > before {
                        stored_at = world.now;
                        world.background = 2;
                    }
                }
            }
            if let Some(stored) = &world.stored {
                let ends_so = alloc::format!(" {}", world.writes);
                assert!(stored.ends_with(ends_so.as_bytes()), "stored after a write, seed {seed}");
            }
        }
        for _ in 0..callers.len() * 8 {
            for caller in &mut callers {
                match caller.doing {
                    Doing::LookUp(_) => caller.look_up(&mut world),
                    Doing::Follow => caller.follow(&mut world),
                    Doing::Load => caller.loaded(&mut world, "last"),
                    Doing::Store => caller.stored(&mut world),
                    Doing::Done(_) | Doing::FellBack(..) | Doing::TimedOut => {}
                }
            }
            let spawned: Vec<_> = callers.iter_mut().filter_map(|it| it.spawned.take()).collect();
            callers.extend(spawned.into_iter().map(|spawned| *spawned));
        }
        for caller in &callers {
            let waits = matches!(caller.doing, Doing::LookUp(_) | Doing::Follow | Doing::Load);
            assert!(!waits && caller.doing != Doing::Store, "{:?} {seed}", caller.doing);
        }
        assert!(world.flights.is_empty(), "seed {seed}");
    }
}

impl World {
    /// Sets what may be done with the stored value by its age: fresh for a second, then due for a
    /// refresh, then a fallback, and gone after four.
    fn grow_old(&mut self, stored_at: Instant) {
        let (seconds, age) = (Duration::from_secs, self.now.since(stored_at));
        let until = stored_at + seconds(4);
        self.use_of_stored = match age.as_secs() {
            0 => UseOfStored::Return,
            1 => UseOfStored::ReturnAndRefresh { until },
            2 | 3 => UseOfStored::FallBack { until },
            _ => {
                self.stored = None;
                UseOfStored::Return
            }
        };
    }
}
