//! The server at the other end of all lines. It runs the commands that have arrived, and suffers
//! the strikes of the plan.

use std::time::Duration;

use async_caches::runtime::Instant;
use async_caches_conformance::request::Request;
use async_caches_conformance::server_reply::ServerReply;
use async_caches_core::cluster::slot::Slot;

use crate::agenda::Event;
use crate::ledger::{EntryId, Lazy};
use crate::line::{Asked, Phase};
use crate::model::{Model, Mood, Session};
use crate::network::{PUSHES, STRAYS};
use crate::plan::{POISON, Poison, Strike, Ways};
use crate::wire::Wire;
use crate::world::State;

/// The state of a server, apart from its data.
#[derive(Default)]
pub(crate) struct Server {
    pub(crate) down: bool,
    /// Whether clients do not learn that it is down.
    pub(crate) silent: bool,
    paused_until: Instant,
    /// Its clock's reading at the origin of time.
    clock: i64,
    pub(crate) model: Model,
    /// The node that took its place after it died.
    pub(crate) replaced_by: usize,
}

impl Server {
    /// A server with this model.
    pub(crate) fn of(model: Model) -> Self {
        Self { model, ..Self::default() }
    }
}

impl State {
    /// Notes a command as soon as it was written as a whole.
    pub(crate) fn asked(&mut self, id: usize, request: &Request) -> Option<EntryId> {
        // The PING of the handshake belongs to no operation.
        if Wire::of(request).is_some_and(|wire| wire != Wire::Ping) {
            self.lines[id].used = self.now;
        }
        if self.lines[id].greeted {
            self.check_node(id, request);
            let line = &self.lines[id];
            let is_forgotten = line.session.as_ref().is_some_and(|session| !session.is_known());
            let greets =
                |asked: &Asked| asked.request.is(0, "AUTH") || asked.request.is(0, "HELLO");
            let never_runs = is_forgotten && !line.outward.asked.iter().any(greets);
            return self.ledger.asked(id, request, never_runs);
        }
        self.lines[id].reads |= request.is(0, "READONLY");
        if !matches!(Wire::of(request), None | Some(Wire::Ping)) && !self.lines[id].tainted {
            self.ledger.fail(format!("line {id}: {request:?} before it was greeted"));
        }
        None
    }

    /// Checks that a node is asked only for keys of slots that it serves or has served, or right
    /// after `ASKING` for a key with which a caller was redirected to it; and a replica only for
    /// reads.
    fn check_node(&mut self, id: usize, request: &Request) {
        let Some(cluster) = &self.cluster else { return };
        let asking = std::mem::replace(&mut self.lines[id].asking.0, request.is(0, "ASKING"));
        let line = &self.lines[id];
        let wire = Wire::of(request);
        let mut keys = wire.map_or(0..0, |wire| wire.keys_at(request));
        let key = keys.next().map(|at| request.word(at));
        if self.lines.iter().any(|it| it.tainted && it.pool == line.pool) {
            return;
        }
        if line.reads && wire.is_some_and(|wire| !wire.changes_nothing()) {
            let fault = format!("line {id}: {request:?} where there is only read");
            return self.ledger.fail(fault);
        }
        let fault = match (asking, key) {
            (true, None) => "ASKING is not followed by what it is for",
            (true, Some(key)) if !self.ledger.was_sent_away(key) => {
                "ASKING lets in what nobody has sent there"
            }
            (false, Some(key)) if !cluster.may_have_answered(line.node, key, line.reads) => {
                "asked for a key of a slot that the node has never served, without ASKING"
            }
            (true | false, _) => return,
        };
        self.ledger.fail(format!("line {id}: {request:?}: {fault}"));
    }

    /// Runs the commands that have arrived on a line.
    pub(crate) fn serve(&mut self, id: usize) {
        let node = self.lines[id].node;
        if self.nodes.get(node).is_none_or(|node| node.paused_until > self.now) {
            return;
        }
        loop {
            let (lie, foul) = (self.new_address(), self.is_foul());
            let line = &mut self.lines[id];
            if line.session.is_none() {
                return;
            }
            let Some(asked) = line.outward.asked.front() else { return };
            if asked.ends_at > line.outward.delivered {
                return;
            }
            let Some(asked) = line.outward.asked.pop_front() else { return };
            if self.poisons(id, &asked.request) {
                return;
            }
            if self.nodes[node].model.hangs_up(&asked.request) {
                self.log.add(self.now, || format!("line {id}: hangs up on {:?}", asked.request));
                return self.cut(id);
            }
            let line = &mut self.lines[id];
            let Some(session) = &mut line.session else { return };
            let now = self.nodes[node].clock + (self.now.as_nanos() / 1_000_000) as i64;
            let model = &mut self.nodes[node].model;
            let asking = std::mem::replace(&mut line.asking.1, asked.request.is(0, "ASKING"));
            let greets = !line.greeted && !asked.request.is(0, "READONLY");
            let cluster = self.cluster.as_ref().filter(|_| !greets);
            let before = (asking, line.reads);
            let lie = lie.filter(|_| !greets).and_then(|port| lie_about(&asked.request, port));
            let cluster = cluster.filter(|_| lie.is_none());
            let turned = cluster
                .and_then(|cluster| cluster.turn_away(node, &asked.request, before, model, now));
            let said = lie.or(turned).unwrap_or_else(|| model.run(session, &asked.request, now));
            let said = match (self.plan.poison, said) {
                (Some(Poison::Shard), ServerReply::List(values)) if foul && !values.is_empty() => {
                    shard_away(values)
                }
                (_, said) => said,
            };
            let protocol = session.protocol;
            let greets = !line.greeted && said == ServerReply::Status("PONG");
            line.greeted |= greets;
            if greets {
                line.greeted_at = self.now;
                let cache = self.pools[line.pool].cache;
                self.ledger.caches[cache].lazy = Lazy::No;
            }
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
            if greets {
                let line = &mut self.lines[id];
                line.greeting = line.inward.said.len() as u64;
                line.greetings = line.replies;
            }
            self.scratch = bytes;
        }
    }

    /// Ends the line because of the key in a command, or makes the client end it. Returns whether
    /// it does.
    fn poisons(&mut self, id: usize, request: &Request) -> bool {
        let Some(poison) = self.plan.poison.filter(|_| self.is_foul()) else { return false };
        let wire = Wire::of(request).filter(|wire| matches!(wire, Wire::Get | Wire::GetMany));
        let Some(wire) = wire else { return false };
        let is_poison = |at| request.word(at).ends_with(POISON.as_bytes());
        let mut keys = wire.keys_at(request);
        let malformed = match poison {
            Poison::HangUp => keys.any(is_poison).then_some(false),
            Poison::Malformed => keys.any(is_poison).then_some(true),
            Poison::Chunk => (keys.count() > 1).then_some(false),
            // The server answers, and the line stays.
            Poison::Shard => None,
        };
        let Some(malformed) = malformed else { return false };
        // The client may have closed it for another reason while the command was on its way.
        self.ledger.poisoned += usize::from(self.live.contains(&id));
        self.log.add(self.now, || format!("line {id}: {poison:?} at {request:?}"));
        if malformed {
            self.say(id, b"@\r\n");
            let line = &mut self.lines[id];
            // It is no reply to any command.
            if line.replies == line.greetings {
                line.greeting = line.inward.said.len() as u64;
            }
            line.session = None;
        } else {
            self.die(id, false);
        }
        true
    }

    /// The port to which a lying node redirects a caller: an unused one, another each time.
    fn new_address(&mut self) -> Option<i64> {
        if !self.plan.lies() || !self.is_foul() || self.random.below(8) == 0 {
            return None;
        }
        self.lied += 1;
        Some(20_000 + self.lied % 40_000)
    }

    pub(crate) fn taint(&mut self, id: usize) {
        self.lines[id].tainted = true;
        self.ledger.tainted(id);
    }

    /// The server sends a push that no client asked for.
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

    /// The server continues after a pause, and reads its lines in an order of its own.
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
                if !keep {
                    self.nodes[0].model.wipe();
                }
                self.go_down(0, silent);
            }
            Strike::Up(mood) => {
                self.nodes[0].down = false;
                self.nodes[0].model.mood = mood;
            }
            Strike::Mood(mood) => self.nodes[0].model.mood = mood,
            Strike::ShutDown => {
                self.shut_down = true;
                self.pools.iter_mut().for_each(|pool| pool.over = true);
                for cache in 0..self.plan.caches.len() {
                    // A pool that is opened again knows nothing of what was before.
                    self.ledger.heard(cache);
                    self.ledger.caches[cache].lazy = Lazy::No;
                }
            }
            Strike::ForgetScripts => {
                self.nodes.iter_mut().for_each(|node| node.model.forget_scripts());
            }
            Strike::ForgetClients => {
                let greeted = self.lines.iter_mut().filter(|line| line.greeted);
                greeted.filter_map(|line| line.session.as_mut()).for_each(Session::forget);
                self.ledger.clients_forgotten = self.ledger.step;
            }
            Strike::Pause(nanos) => {
                self.nodes[0].paused_until = self.now + Duration::from_nanos(nanos);
                self.agenda.note(self.nodes[0].paused_until, Event::Resumed);
            }
            Strike::ServerClock(millis) => {
                self.nodes.iter_mut().for_each(|node| node.clock += millis);
            }
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
                let cluster = self.cluster.as_ref();
                let node = cluster.map_or(0, |it| it.owners[it.block_of(&key)]);
                self.nodes[node].model.plant(self.plan.database, key, value);
            }
        }
    }

    /// A server dies, and all lines to it die as well.
    pub(crate) fn go_down(&mut self, node: usize, silent: bool) {
        self.nodes[node].down = true;
        self.nodes[node].silent = silent;
        self.nodes[node].model.forget_scripts();
        for id in 0..self.lines.len() {
            if self.lines[id].node == node {
                self.die(id, silent);
            }
        }
    }

    /// Ends a line because its server is gone. The client learns of it, unless the death is silent.
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

    /// Whether faults still happen.
    pub(crate) fn is_foul(&self) -> bool {
        self.now < self.plan.faults_until
    }

    pub(crate) fn server_is_well(&self) -> bool {
        self.nodes.iter().all(|node| !node.down && node.model.mood == Mood::Well)
    }
}

/// The reply of a lying node to a command for a key: a redirect to this port, for good or for this
/// once.
fn lie_about(asked: &Request, port: i64) -> Option<ServerReply> {
    let wire = Wire::of(asked)?;
    let slot = Slot::of(asked.word(wire.keys_at(asked).next()?));
    let word = if port % 2 == 0 { "MOVED" } else { "ASK" };
    Some(ServerReply::error(format!("{word} {} :{port}", slot.number())))
}

/// The same values, except that the last is an error, as if its server were away.
fn shard_away(mut values: Vec<ServerReply>) -> ServerReply {
    values.pop();
    values.push(ServerReply::error("ERR shard is away"));
    ServerReply::List(values)
}
