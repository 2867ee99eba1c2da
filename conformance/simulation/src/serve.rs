//! The server at the other end of all lines: runs what has arrived, and is struck by what the plan
//! has for it.

use std::time::Duration;

use async_caches::runtime::Instant;

use crate::agenda::Event;
use crate::ledger::EntryId;
use crate::line::Phase;
use crate::model::Mood;
use crate::network::{PUSHES, STRAYS};
use crate::plan::{Strike, Ways};
use crate::request::Request;
use crate::said::Said;
use crate::wire::Wire;
use crate::world::State;

/// What is up with the server, apart from what it knows.
#[derive(Default)]
pub(crate) struct Server {
    pub(crate) down: bool,
    /// Whether nobody is told that it is down.
    pub(crate) silent: bool,
    paused_until: Instant,
    /// What its clock shows at the origin of time.
    clock: i64,
}

impl State {
    /// A command is known: it was written as a whole.
    pub(crate) fn asked(&mut self, id: usize, request: &Request) -> Option<EntryId> {
        // The handshake's own PING is nobody's.
        if Wire::of(request).is_some_and(|wire| wire != Wire::Ping) {
            self.lines[id].used = self.now;
        }
        if self.lines[id].greeted {
            return self.ledger.asked(id, request);
        }
        if !matches!(Wire::of(request), None | Some(Wire::Ping)) && !self.lines[id].tainted {
            self.ledger.fail(format!("line {id}: {request:?} before it was greeted"));
        }
        None
    }

    /// Runs what has arrived on a line.
    pub(crate) fn serve(&mut self, id: usize) {
        if self.server.paused_until > self.now {
            return;
        }
        loop {
            let line = &mut self.lines[id];
            let Some(session) = &mut line.session else { return };
            let Some(asked) = line.outward.asked.front() else { return };
            if asked.ends_at > line.outward.delivered {
                return;
            }
            let Some(asked) = line.outward.asked.pop_front() else { return };
            let now = self.server.clock + (self.now.as_nanos() / 1_000_000) as i64;
            let said = self.model.run(session, &asked.request, now);
            let protocol = session.protocol;
            line.greeted |= said == Said::Status("PONG");
            self.log.add(self.now, || format!("line {id}: {:?} comes to {said:?}", asked.request));
            let mut bytes = std::mem::take(&mut self.scratch);
            bytes.clear();
            if self.lines[id].fate.stray == Some(self.lines[id].replies) && self.is_foul() {
                let stray = STRAYS[self.random.below(STRAYS.len() as u64) as usize];
                bytes.extend_from_slice(stray);
                self.taint(id);
                self.log
                    .add(self.now, || format!("line {id}: and a stray {}", stray.escape_ascii()));
            }
            said.write(protocol, &mut bytes);
            if let Some(entry) = asked.entry {
                self.ledger.said(entry, said);
            }
            self.lines[id].replies += 1;
            self.say(id, &bytes);
            self.scratch = bytes;
        }
    }

    pub(crate) fn taint(&mut self, id: usize) {
        self.lines[id].tainted = true;
        self.ledger.tainted(id);
    }

    /// The server says something that nobody asked for.
    pub(crate) fn push(&mut self, id: usize) {
        let line = &self.lines[id];
        if line.session.as_ref().is_none_or(|session| session.protocol == 2) {
            return;
        }
        let push = PUSHES[self.random.below(PUSHES.len() as u64) as usize];
        self.log.add(self.now, || format!("line {id}: pushes {}", push.escape_ascii()));
        self.say(id, push);
        if self.random.below(3) > 0 {
            let at = self.now + Duration::from_nanos(self.random.below(1_000_000_000));
            self.agenda.note(at, Event::Pushed(id));
        }
    }

    /// The server goes on after a pause, and reads its lines in an order of its own.
    pub(crate) fn resume(&mut self) {
        let count = self.lines.len();
        let first = self.random.below(count.max(1) as u64) as usize;
        (first..count).chain(0..first).for_each(|id| self.serve(id));
    }

    pub(crate) fn strike(&mut self, index: usize) {
        let (_, strike) = self.plan.strikes[index];
        self.log.add(self.now, || format!("server: {strike:?}"));
        match strike {
            Strike::Down { keep, silent } => {
                self.server.down = true;
                self.server.silent = silent;
                self.model.forget_scripts();
                if !keep {
                    self.model.wipe();
                }
                for id in 0..self.lines.len() {
                    self.die(id, silent);
                }
            }
            Strike::Up(mood) => {
                self.server.down = false;
                self.model.mood = mood;
            }
            Strike::Mood(mood) => self.model.mood = mood,
            Strike::ForgetScripts => self.model.forget_scripts(),
            Strike::Pause(nanos) => {
                self.server.paused_until = self.now + Duration::from_nanos(nanos);
                self.agenda.note(self.server.paused_until, Event::Resumed);
            }
            Strike::ServerClock(millis) => self.server.clock += millis,
            Strike::ClientClock(nanos) => {
                self.now = self.now + Duration::from_nanos(nanos);
                self.ledger.jumped += Duration::from_nanos(nanos);
            }
            Strike::Rival(key) => {
                let key = &self.ledger.keys[key as usize % self.ledger.keys.len()];
                let value = match key.counts {
                    true => "7".into(),
                    false => format!("\"{}#0\"", key.wire.escape_ascii()).into(),
                };
                let key = key.wire.clone();
                self.model.plant(self.plan.database, key, value);
            }
        }
    }

    /// A line's server is gone: its client is told, or is not.
    fn die(&mut self, id: usize, silent: bool) {
        let line = &mut self.lines[id];
        if line.session.is_none() || line.phase == Phase::Closed {
            line.session = None;
            return;
        }
        if silent {
            line.session = None;
            line.fate.mute = Some((self.now, Ways::Both));
        } else {
            line.inward.limit = Some(line.inward.limit.unwrap_or(line.inward.arrived));
            self.cut(id);
        }
    }

    /// Whether things still go wrong.
    pub(crate) fn is_foul(&self) -> bool {
        self.now < self.plan.faults_until
    }

    pub(crate) fn server_is_well(&self) -> bool {
        !self.server.down && self.model.mood == Mood::Well
    }
}
