//! A seed draws its plan before anything runs: the callers and caches, and the faults.
//!
//! A seed either has a kind of fault or does not, so that some seeds meet one kind alone and some
//! meet many at once. Some have no faults, and then no error at all is excused. All faults end at
//! [`Plan::faults_until`].

use std::time::Duration;

use async_caches::runtime::Instant;
use async_caches_conformance::random::Random;

use crate::model::{Hello, Mood};
use crate::race::Address;
use crate::turns::ClusterPlan;

/// A seed's plan.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) caches: Vec<CachePlan>,
    pub(crate) tasks: usize,
    pub(crate) operations: u64,
    pub(crate) keys: u64,
    pub(crate) response_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// No fault happens from then on.
    pub(crate) faults_until: Instant,
    pub(crate) weather: Weather,
    /// The effect of reading the key [`POISON`], if there is one.
    pub(crate) poison: Option<Poison>,
    /// Whether the poison is the only fault.
    pub(crate) only_poison: bool,
    pub(crate) strikes: Vec<(Instant, Strike)>,
    pub(crate) hello: Hello,
    pub(crate) password: bool,
    pub(crate) database: i64,
    /// How many nanoseconds a message takes in one direction at least, and at most.
    pub(crate) latency: (u64, u64),
    /// How many bytes are on their way to the server at most.
    pub(crate) window: u64,
    /// How many nanoseconds pass at most when a task is polled.
    pub(crate) poll_cost: u64,
    /// How many nanoseconds an alarm is late at most.
    pub(crate) late: u64,
    /// One poll in this many is of a task that was not woken; zero for none.
    pub(crate) unasked: u64,
    /// One operation in this many is dropped before its end; zero for none.
    pub(crate) drops: u64,
    /// How long the operations of a caller take at most, with their pauses.
    pub(crate) span: Duration,
    /// Whether callers do hardly anything but load.
    pub(crate) loads: bool,
    /// The maximum age of a line.
    pub(crate) max_age: Option<Duration>,
    /// The addresses of the server, if there are several.
    pub(crate) addresses: Vec<Address>,
    /// The plan of the cluster, if there is one.
    pub(crate) cluster: Option<ClusterPlan>,
    /// How the caches begin.
    pub(crate) beginning: Beginning,
    /// How often caches disconnect in the middle, and connect again.
    pub(crate) reconnects: u64,
}

/// How caches begin, and who their connections say they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beginning {
    /// Connections have names. The server refuses to name one if it does not speak RESP3.
    pub(crate) names: bool,
    /// Caches are first told to connect outside of the runtime.
    pub(crate) outside: bool,
    /// Caches connect lazily.
    pub(crate) lazy: bool,
}

/// One cache and its pool.
#[derive(Clone, Debug)]
pub(crate) struct CachePlan {
    pub(crate) prefix: &'static str,
    pub(crate) minsize: usize,
    pub(crate) maxsize: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) max_waiting: usize,
    /// The default timeout, in milliseconds.
    pub(crate) timeout: Option<u64>,
}

/// Which faults lines may have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) partial: bool,
    pub(crate) pushes: bool,
    pub(crate) refused: bool,
    pub(crate) silent: bool,
    pub(crate) cut_in: bool,
    pub(crate) cut_out: bool,
    pub(crate) mute: bool,
    pub(crate) slow: bool,
    pub(crate) behind: bool,
    pub(crate) stray: bool,
    pub(crate) corrupt: bool,
}

/// The reaction of a server to a request for the key [`POISON`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Poison {
    /// It hangs up, and drops the bytes that it has not sent yet.
    HangUp,
    /// It sends bytes that are not a reply.
    Malformed,
    /// It hangs up on a lookup of several keys, whichever they are, as if all their values together
    /// were too large for it.
    Chunk,
    /// It puts an error in the place of one value in a lookup of several keys, like a proxy that
    /// cannot reach one of its servers.
    Shard,
}

impl Poison {
    /// Whether the poison is one key alone.
    pub(crate) fn is_of_a_key(self) -> bool {
        match self {
            Self::HangUp | Self::Malformed => true,
            Self::Chunk | Self::Shard => false,
        }
    }
}

/// An event of the server, or of the clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Strike {
    /// The server dies. With `keep` its data is still there when it is back.
    Down { keep: bool, silent: bool },
    /// The server is back, and this is its mood.
    Up(Mood),
    /// The server's mood changes.
    Mood(Mood),
    /// The server forgets its scripts.
    ForgetScripts,
    /// The server forgets which clients have authenticated.
    ForgetClients,
    /// The server sends nothing for this many nanoseconds.
    Pause(u64),
    /// The server's clock jumps by this many milliseconds.
    ServerClock(i64),
    /// The caches' clock jumps ahead by this many nanoseconds, as after a machine has slept.
    ClientClock(u64),
    /// Another client writes a key.
    Rival(u64),
    /// The runtime of all caches is shut down. Calls come on another one from then on.
    ShutDown,
}

impl Strike {
    /// Whether it can make an operation fail.
    fn is_a_fault(self) -> bool {
        match self {
            Self::Down { .. }
            | Self::Up(_)
            | Self::Mood(_)
            | Self::Pause(_)
            | Self::ClientClock(_)
            | Self::ShutDown => true,
            Self::ForgetScripts | Self::ForgetClients | Self::ServerClock(_) | Self::Rival(_) => {
                false
            }
        }
    }
}

/// The name of the key that may end the connection of a command that reads it.
pub(crate) const POISON: &str = "poison";

/// The faults of one line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fate {
    pub(crate) refused: bool,
    pub(crate) silent: bool,
    /// The line is cut after this many bytes of the server.
    pub(crate) cut_in: Option<u64>,
    /// The line is cut after this many bytes of the client.
    pub(crate) cut_out: Option<u64>,
    /// Whether a cut is an end of the stream instead of an error.
    pub(crate) fin: bool,
    /// From then on nothing gets through in these directions.
    pub(crate) mute: Option<(Instant, Ways)>,
    /// An unsolicited reply comes after this many replies.
    pub(crate) stray: Option<u64>,
    /// The byte of the server that arrives altered, and the bits that are flipped.
    pub(crate) corrupt: Option<(u64, u8)>,
    /// Replies take this many nanoseconds longer.
    pub(crate) slow: u64,
    /// Commands after the greeting take this many nanoseconds longer, so the server may read one
    /// after its caller has gone elsewhere.
    pub(crate) behind: u64,
    /// Bytes that were on their way when the client closed still arrive.
    pub(crate) linger: bool,
}

/// The directions in which a line is mute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ways {
    Out,
    In,
    Both,
}

impl Plan {
    /// Draws a plan.
    pub(crate) fn draw(random: &mut Random) -> Self {
        let calm = random.below(8) == 0;
        let mut is = |one_in: u64| !calm && random.below(one_in) == 0;
        let weather = Weather {
            refused: is(4),
            silent: is(6),
            cut_in: is(3),
            cut_out: is(3),
            mute: is(3),
            slow: is(4),
            behind: is(4),
            stray: is(8),
            corrupt: is(8),
            partial: false,
            pushes: false,
        };
        let partial = random.below(2) == 0;
        let weather = Weather { partial, pushes: random.below(4) == 0, ..weather };
        let tasks = 1 + below_squared(random, 40);
        let faults_until = millis(300 + random.below(6_000));
        let spans = if calm { &[2_000, 5_000][..] } else { &[50, 200, 1_000, 5_000][..] };
        let mut span = || Duration::from_millis(spans[random.below(spans.len() as u64) as usize]);
        let (response_timeout, connect_timeout) = (span(), span());
        let strikes = if calm { calm_strikes(random) } else { strikes(random, faults_until) };
        let database = [0, 0, 3][random.below(3) as usize];
        let fast = random.below(2) == 0;
        Self {
            caches: (0..1 + random.below(4) / 3)
                .map(|index| CachePlan::draw(index, random))
                .collect(),
            tasks: tasks as usize,
            operations: 1 + random.below(6),
            keys: 1 + random.below(4),
            response_timeout,
            connect_timeout,
            faults_until,
            weather,
            poison: None,
            only_poison: false,
            strikes,
            hello: match random.below(8) {
                0 => Hello::Unknown,
                1 => Hello::Refused,
                2 => Hello::HangsUp,
                _ => Hello::Known,
            },
            password: random.below(8) == 0,
            database,
            latency: if fast {
                (20_000, 60_000)
            } else {
                (100_000, 1 + random.below(4_000_000) + 100_000)
            },
            window: [if calm { 4_096 } else { 64 }, 65_536][random.below(2) as usize],
            poll_cost: [0, 0, 2_000][random.below(3) as usize],
            late: [0, 0, 1_000_000][random.below(3) as usize],
            unasked: [0, 20][random.below(2) as usize],
            drops: [0, 8, 3][random.below(3) as usize],
            span: span_of(random, faults_until.since(Instant::ORIGIN)),
            loads: random.below(8) == 0,
            max_age: None,
            addresses: Vec::new(),
            beginning: Beginning::default(),
            cluster: None,
            reconnects: [0, 0, 1, 3][random.below(4) as usize],
        }
    }

    /// Draws a plan for a cluster: the same, except for the events of its servers.
    /// [`ClusterPlan::draw`] explains `other`.
    pub(crate) fn draw_cluster(random: &mut Random, other: &mut Random) -> Self {
        let mut plan = Self::draw(random);
        plan.database = 0;
        let calm = plan.is_calm();
        plan.strikes.retain(|(_, strike)| match strike {
            Strike::Down { .. } | Strike::Up(_) => false,
            Strike::Mood(_)
            | Strike::ForgetScripts
            | Strike::ForgetClients
            | Strike::Pause(_)
            | Strike::ServerClock(_)
            | Strike::ClientClock(_)
            | Strike::ShutDown
            | Strike::Rival(_) => true,
        });
        if !calm {
            plan.strikes.push((plan.faults_until, Strike::Mood(Mood::Well)));
        }
        let mut cluster = ClusterPlan::draw(random, other, plan.faults_until);
        cluster.lies &= !calm;
        if cluster.lies {
            // So many that they are redirected to more addresses than a cache may know.
            (plan.tasks, plan.operations) = (60, 8);
        }
        plan.cluster = Some(cluster);
        if plan.batches() {
            // So that both keys are in one slot.
            plan.keys = 2;
        }
        plan
    }

    /// Poisons a key in some seeds. In half of those nothing else goes wrong.
    pub(crate) fn poison(&mut self, random: &mut Random) {
        if self.is_calm() || random.below(8) > 0 {
            return;
        }
        self.poison = Some([Poison::HangUp, Poison::Malformed][random.below(2) as usize]);
        self.only_poison = random.below(2) == 0;
        if self.only_poison {
            self.weather = Weather { partial: self.weather.partial, ..Weather::default() };
            self.strikes.retain(|(_, strike)| !strike.is_a_fault());
        }
        if random.below(2) == 0 {
            self.poison = Some([Poison::Chunk, Poison::Shard][random.below(2) as usize]);
        }
    }

    /// In some seeds the server forgets which clients have authenticated.
    pub(crate) fn forget_clients(&mut self, random: &mut Random) {
        if self.password && random.below(2) == 0 {
            for _ in 0..1 + random.below(3) {
                let at = random.below(self.faults_until.since(Instant::ORIGIN).as_nanos() as u64);
                self.strikes.push((Instant::from_nanos(at), Strike::ForgetClients));
            }
        }
    }

    /// In some seeds caches begin in another way, or lose their runtime in the middle.
    pub(crate) fn draw_beginning(&mut self, random: &mut Random) {
        let mut is = |one_in: u64| random.below(one_in) == 0;
        let (names, outside, lazy, dies) = (is(4), is(8), is(4), is(8));
        let struck = !self.is_calm() && !self.only_poison;
        let waits = self.addresses.is_empty() && self.hello != Hello::HangsUp;
        let lazy = lazy && struck && waits;
        self.beginning = Beginning { names, outside: outside && !lazy, lazy };
        if lazy && is(2) {
            let back = self.faults_until.min(millis(1_000));
            let down = Strike::Down { keep: true, silent: false };
            self.strikes.push((Instant::ORIGIN, down));
            self.strikes.push((back, Strike::Up(Mood::Well)));
        }
        if dies && struck {
            let span = self.faults_until.since(Instant::ORIGIN).as_nanos() as u64;
            for _ in 0..1 + random.below(2) {
                self.strikes.push((Instant::from_nanos(random.below(span)), Strike::ShutDown));
            }
        }
    }

    /// Whether callers read from replicas.
    pub(crate) fn reads(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.reads)
    }

    /// Whether callers use mostly operations for many keys.
    pub(crate) fn batches(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.batches)
    }

    /// Whether nodes redirect callers to unused addresses.
    pub(crate) fn lies(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.lies)
    }

    /// Whether this plan has no faults.
    pub(crate) fn is_calm(&self) -> bool {
        let Weather {
            refused, silent, cut_in, cut_out, mute, slow, behind, stray, corrupt, ..
        } = self.weather;
        let late = slow || behind;
        let fair = !(refused || silent || cut_in || cut_out || mute || late || stray || corrupt);
        let struck = self.strikes.iter().any(|(_, strike)| strike.is_a_fault());
        fair && !struck && self.poison.is_none()
    }

    /// Draws the faults of a line that is dialled now.
    pub(crate) fn fate(&self, random: &mut Random, now: Instant) -> Fate {
        let mut fate = Fate { linger: random.below(2) == 0, ..Fate::default() };
        if now >= self.faults_until {
            return fate;
        }
        let weather = &self.weather;
        let mut is = |has: bool, one_in: u64| has && random.below(one_in) == 0;
        fate.refused = is(weather.refused, 3);
        fate.silent = is(weather.silent, 4);
        let (cut_in, cut_out) = (is(weather.cut_in, 2), is(weather.cut_out, 2));
        let (mute, stray) = (is(weather.mute, 2), is(weather.stray, 2));
        let corrupt = is(weather.corrupt, 2);
        let (slow, behind) = (is(weather.slow, 2), is(weather.behind, 2));
        fate.fin = random.below(2) == 0;
        fate.cut_in = cut_in.then(|| below_squared(random, 4_000));
        fate.cut_out = cut_out.then(|| below_squared(random, 6_000));
        let ways = [Ways::Out, Ways::In, Ways::Both][random.below(3) as usize];
        let left = self.faults_until.since(now).as_nanos() as u64;
        fate.mute = mute.then(|| (now + Duration::from_nanos(random.below(left)), ways));
        fate.stray = stray.then(|| random.below(30));
        fate.corrupt = corrupt.then(|| (below_squared(random, 3_000), 1 << random.below(8)));
        let late = 3 * self.response_timeout.as_nanos() as u64;
        fate.slow = if slow { random.below(late) } else { 0 };
        fate.behind = if behind { random.below(late) } else { 0 };
        fate
    }
}

impl CachePlan {
    fn draw(index: u64, random: &mut Random) -> Self {
        let largest = [1, 3, 10][random.below(3) as usize];
        let maxsize = 1 + random.below(largest);
        let minsize = match random.below(4) {
            0 => 0,
            1 => 1,
            _ => random.below(maxsize + 1),
        };
        Self {
            prefix: ["p", "p*[q"][index as usize],
            minsize: minsize as usize,
            maxsize: maxsize as usize,
            max_in_flight: [1, 2, 8, 16_384][random.below(4) as usize],
            max_waiting: [2, 65_536, 65_536, 65_536][random.below(4) as usize],
            timeout: [None, Some(500), Some(60_000)][random.below(3) as usize],
        }
    }
}

fn strikes(random: &mut Random, until: Instant) -> Vec<(Instant, Strike)> {
    let mut strikes = Vec::new();
    let until = until.as_nanos();
    let any = |random: &mut Random| Instant::from_nanos(random.below(until));
    if random.below(3) == 0 {
        for _ in 0..1 + random.below(2) {
            let down = any(random);
            let up = down + Duration::from_nanos(random.below(until / 2));
            let silent = random.below(4) == 0;
            strikes.push((down, Strike::Down { keep: random.below(2) == 0, silent }));
            let loads = random.below(3) == 0;
            strikes.push((up, Strike::Up(if loads { Mood::Loading } else { Mood::Well })));
            if loads {
                let done = up + Duration::from_nanos(random.below(until / 2));
                strikes.push((done, Strike::Mood(Mood::Well)));
            }
        }
    }
    if random.below(6) == 0 {
        let mood = [Mood::Loading, Mood::Full][random.below(2) as usize];
        let begins = any(random);
        strikes.push((begins, Strike::Mood(mood)));
        let ends = begins + Duration::from_nanos(random.below(until / 2));
        strikes.push((ends, Strike::Mood(Mood::Well)));
    }
    if random.below(4) == 0 {
        strikes.push((any(random), Strike::Pause(random.below(until))));
    }
    if random.below(6) == 0 {
        strikes.push((any(random), Strike::ClientClock(random.below(8_000_000_000))));
    }
    strikes.extend(calm_strikes(random));
    strikes.retain(|(at, _)| at.as_nanos() < until);
    // Afterwards the server is up and well, whatever the strikes did.
    strikes.push((Instant::from_nanos(until), Strike::Up(Mood::Well)));
    strikes
}

/// Most callers go on for as long as the faults, and as long again. In some seeds all callers come
/// at once, and in some they outlive every timeout.
fn span_of(random: &mut Random, faults: Duration) -> Duration {
    match random.below(12) {
        0 => faults * 20,
        1 | 2 => faults / 2_000,
        _ => faults * 2,
    }
}

/// Strikes that make no operation fail.
fn calm_strikes(random: &mut Random) -> Vec<(Instant, Strike)> {
    let mut strikes = Vec::new();
    let mut add =
        |one_in: u64, random: &mut Random, strike: &mut dyn FnMut(&mut Random) -> Strike| {
            if random.below(one_in) == 0 {
                for _ in 0..1 + random.below(3) {
                    strikes.push((millis(random.below(2_000)), strike(random)));
                }
            }
        };
    add(4, random, &mut |_| Strike::ForgetScripts);
    add(4, random, &mut |random| Strike::ServerClock(random.below(4_000) as i64 - 2_000));
    add(4, random, &mut |random| Strike::Rival(random.below(4)));
    strikes
}

/// A number below `end`; small ones are more likely.
fn below_squared(random: &mut Random, end: u64) -> u64 {
    let wide = random.below(end);
    random.below(wide + 1)
}

fn millis(millis: u64) -> Instant {
    Instant::from_millis(millis)
}
