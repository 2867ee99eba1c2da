//! The addresses of the server, of which one is alive, and the age of lines.
//!
//! The rule: if nothing else goes wrong, a dial opens a connection within the connect timeout. The
//! lines of one race count as one connection that is being dialled.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use async_caches::runtime::Instant;
use async_caches_conformance::random::Random;

use crate::agenda::Event;
use crate::line::Line;
use crate::plan::{Fate, Plan, Ways};
use crate::world::State;

/// An address of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Address {
    Alive,
    /// Bytes sent there are lost.
    Dead,
    /// Another program accepts, and never sends anything.
    Deaf,
    /// No program listens.
    Refusing,
}

/// Connections that are or were dialled at several addresses each.
#[derive(Default)]
pub(crate) struct Races {
    /// The pool of each race.
    pools: Vec<usize>,
}

impl Plan {
    /// Draws addresses; in at least half of the seeds there is only the server's own.
    pub(crate) fn draw_addresses(&mut self, random: &mut Random) {
        let count = 2 + random.below(5);
        let longest = (STAGGER * count as u32).min(self.connect_timeout / 2);
        // A caller waits for a connection no longer than for a reply.
        let fits = self.connect_timeout >= SHORTEST && self.response_timeout >= longest + SHORTEST;
        if !fits || random.below(2) > 0 {
            return;
        }
        let alive = random.below(count);
        self.addresses = (0..count)
            .map(|index| match random.below(3) {
                _ if index == alive => Address::Alive,
                0 => Address::Dead,
                1 => Address::Deaf,
                _ => Address::Refusing,
            })
            .collect();
    }

    /// Draws the maximum age of lines; most seeds have none. Replacing a line takes as long as a
    /// dial, which must not be longer than callers wait.
    pub(crate) fn draw_age(&mut self, random: &mut Random) {
        if random.below(3) == 0 && self.response_timeout >= SHORTEST {
            self.max_age = Some(Duration::from_millis([300, 2_000][random.below(2) as usize]));
        }
    }

    /// The addresses that a resolver returns.
    pub(crate) fn resolved(&self) -> Vec<SocketAddr> {
        let address = |index| SocketAddrV4::new(Ipv4Addr::LOCALHOST, index as u16).into();
        (0..self.addresses.len()).map(address).collect()
    }
}

impl Address {
    /// The fate of a line to this address.
    pub(crate) fn shape(self, fate: Fate) -> Fate {
        match self {
            Self::Alive => fate,
            Self::Dead => Fate { silent: true, ..fate },
            Self::Deaf => Fate { mute: Some((Instant::ORIGIN, Ways::Both)), ..fate },
            Self::Refusing => Fate { refused: true, ..fate },
        }
    }
}

impl State {
    /// Begins a race: a pool dials all addresses of its server, as one connection.
    pub(crate) fn race(&mut self, pool: usize) -> usize {
        self.races.pools.push(pool);
        let race = self.races.pools.len() - 1;
        let at = self.now + self.plan.connect_timeout + LATE;
        self.agenda.note(at, Event::Raced { race, at });
        race
    }

    /// Begins one of the race's attempts. Returns its line.
    pub(crate) fn attempt(&mut self, race: usize, to: SocketAddr) -> usize {
        let index = usize::from(to.port());
        let fate = self.plan.fate(&mut self.random, self.now);
        let fate = self.plan.addresses[index].shape(fate);
        let pool = self.races.pools[race];
        let line = self.open_line(pool, 0, fate, Some(race));
        if self.lines.iter().filter(|line| line.race == Some(race)).count() == 1 {
            self.note_dial(pool);
        }
        line
    }

    /// If nothing goes wrong, no line outlives its maximum age, except for the time in which a
    /// replacement is dialled and its last commands end.
    pub(crate) fn check_ages(&mut self) {
        let Some(age) = self.plan.max_age.filter(|_| self.plan.is_calm()) else { return };
        let most = age + self.plan.connect_timeout + 2 * self.plan.response_timeout;
        let old = |line: &Line| {
            let idle = self.pools[line.pool].over || !line.is_healthy(self.now);
            !idle && self.now.since(line.greeted_at) > most
        };
        let found = self.live.iter().find(|id| old(&self.lines[**id]));
        if let Some(id) = found {
            self.ledger.fail(format!("line {id} is older than {age:?}"));
        }
    }

    /// Checks that a race has a winner, if nothing was in its way and the clock has not jumped.
    pub(crate) fn raced(&mut self, race: usize, at: Instant) {
        let pool = self.races.pools[race];
        let over = self.pools[pool].over || self.now.since(at) > LATE;
        let greeted = |line: &Line| line.race == Some(race) && line.greeted;
        if self.plan.is_calm() && !over && !self.lines.iter().any(greeted) {
            let fault =
                format!("pool {pool}: one address is alive, and no connection within the timeout");
            self.ledger.fail(fault);
        }
    }
}

/// How long an address waits for the one before it.
const STAGGER: Duration = Duration::from_millis(250);
/// With a shorter timeout a slow network alone can make a dial fail.
const SHORTEST: Duration = Duration::from_millis(200);
/// How late a race may end: alarms may ring late, and the last bytes may still be under way.
const LATE: Duration = Duration::from_millis(2);
