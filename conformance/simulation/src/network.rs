//! Events on lines: dials, bytes on their way, cuts. The server at their other end is in
//! [`serve`](crate::serve).
//!
//! Each direction of a line keeps its order, whatever the delays. A client may close a line while
//! bytes are on their way. They may still arrive, as with real sockets.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_caches::runtime::Instant;
use async_caches_conformance::request::Request;
use bytes::BytesMut;

use crate::agenda::Event;
use crate::ledger::SLACK;
use crate::line::{Asked, Line, Phase};
use crate::model::Session;
use crate::plan::{Fate, Ways};
use crate::pools::Fault;
use crate::world::State;

impl State {
    /// Dials a line for a pool. Returns the line's id.
    pub(crate) fn dial(&mut self, pool: usize, node: usize) -> usize {
        let fate = self.plan.fate(&mut self.random, self.now);
        let id = self.open_line(pool, node, fate, None);
        self.note_dial(pool);
        id
    }

    /// Opens a line that is dialled, alone or in a race.
    pub(crate) fn open_line(
        &mut self,
        pool: usize,
        node: usize,
        fate: Fate,
        race: Option<usize>,
    ) -> usize {
        let id = self.lines.len();
        let silent =
            fate.silent || self.nodes.get(node).is_some_and(|node| node.down && node.silent);
        self.log.add(self.now, || format!("line {id}: dialled by pool {pool} to {node}, {fate:?}"));
        self.lines.push(Line { race, ..Line::dialled(pool, node, fate, self.now) });
        self.live.push(id);
        self.ledger.opened(id, self.pools[pool].cache);
        if !silent {
            let at = self.now + self.latency();
            self.agenda.note(at, Event::Dialled(id));
        }
        id
    }

    /// Polls the outcome of a dial.
    pub(crate) fn poll_dial(&mut self, id: usize, waker: &Waker) -> Poll<io::Result<()>> {
        let line = &mut self.lines[id];
        match line.phase {
            Phase::Open => Poll::Ready(Ok(())),
            Phase::Refused | Phase::Closed => {
                Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()))
            }
            Phase::Dialling => {
                line.inward.reader = Some(waker.clone());
                Poll::Pending
            }
        }
    }

    pub(crate) fn dialled(&mut self, id: usize) {
        let line = &mut self.lines[id];
        if line.phase != Phase::Dialling {
            return;
        }
        let server = self.nodes.get_mut(line.node).filter(|node| !node.down);
        let refused = line.fate.refused || server.is_none();
        if let Some(server) = server.filter(|_| !refused) {
            line.phase = Phase::Open;
            line.session = Some(server.model.session());
            if self.plan.weather.pushes && self.random.below(2) == 0 {
                let at = self.now + Duration::from_nanos(self.random.below(2_000_000_000));
                self.agenda.note(at, Event::Pushed(id));
            }
        } else {
            line.phase = Phase::Refused;
            self.live.retain(|live| *live != id);
        }
        self.log
            .add(self.now, || format!("line {id}: {}", if refused { "refused" } else { "open" }));
        wake(&mut self.lines[id].inward.reader);
    }

    /// Closes the client's side of a line.
    pub(crate) fn close(&mut self, id: usize) {
        let line = &mut self.lines[id];
        if line.phase == Phase::Closed {
            return;
        }
        let failed = !line.greeted;
        if line.phase == Phase::Refused {
            self.ledger.dial_refused(self.pools[line.pool].cache);
        }
        let is_known = line.session.as_ref().is_none_or(Session::is_known);
        let answered = line.greeted && line.inward.read > line.greeting && is_known;
        let idle = self.now.since(line.used);
        let (over, whole) =
            (self.pools[line.pool].over, line.is_healthy(self.now) && !line.inward.cut);
        let age = self.now.since(line.greeted_at);
        let is_old = self.plan.max_age.is_some_and(|most| age >= most / 4 * 3);
        let may_leave = self.cluster.is_some() || is_old || !is_known;
        if self.ledger.strict && whole && !over && !may_leave && !line.tainted && idle < IDLE {
            self.ledger.fail(format!("line {id}: closed though nothing was wrong with it"));
        }
        line.phase = Phase::Closed;
        self.live.retain(|live| *live != id);
        line.inward.reader = None;
        line.outward.writer = None;
        if !line.fate.linger {
            line.session = None;
        }
        let (pool, race) = (line.pool, line.race);
        self.ledger.closed(id);
        self.log.add(self.now, || format!("line {id}: closed by the client"));
        if race.is_none() || !self.live_lines().any(|it| it.race == race) {
            self.note_end(pool, failed, answered);
        }
    }

    /// The client writes.
    pub(crate) fn write(
        &mut self,
        id: usize,
        pieces: &[IoSlice<'_>],
        waker: &Waker,
    ) -> Poll<io::Result<usize>> {
        let line = &mut self.lines[id];
        if line.inward.cut && line.unread() == 0 && self.random.below(2) == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let outward = &mut line.outward;
        let room = self.plan.window - (outward.written - outward.delivered).min(self.plan.window);
        if room == 0 {
            outward.writer = Some(waker.clone());
            return Poll::Pending;
        }
        let mut count = room;
        if self.plan.weather.partial {
            if self.random.below(8) == 0 {
                waker.wake_by_ref();
                return Poll::Pending;
            }
            if self.random.below(3) == 0 {
                count = count.min(1 + self.random.below(100));
            }
        }
        let before = outward.written;
        for piece in pieces {
            let left = count - (outward.written - before);
            let taken = (piece.len() as u64).min(left);
            outward.begun.extend_from_slice(&piece[..taken as usize]);
            outward.written += taken;
        }
        let count = outward.written - before;
        self.tap(id);
        self.send(id);
        Poll::Ready(Ok(count as usize))
    }

    /// Reads the commands that are whole by now.
    fn tap(&mut self, id: usize) {
        loop {
            let outward = &mut self.lines[id].outward;
            match Request::take(&mut outward.begun) {
                Err(what) => return self.ledger.fail(format!("line {id}: no command: {what}")),
                Ok(None) => return,
                Ok(Some(request)) => {
                    let ends_at = outward.written - outward.begun.len() as u64;
                    self.log.add(self.now, || format!("line {id}: asked {request:?}"));
                    let entry = self.asked(id, &request);
                    self.lines[id].outward.asked.push_back(Asked { request, ends_at, entry });
                    self.check_in_flight(id);
                }
            }
        }
    }

    /// Checks that a line has no more commands under way than allowed. Each operation is one
    /// command, except a set of two keys. One ping that checks the server may be added.
    fn check_in_flight(&mut self, id: usize) {
        let line = &self.lines[id];
        let most = self.plan.caches[self.pools[line.pool].cache].max_in_flight.saturating_mul(2);
        let under_way = line.outward.asked.len();
        // Each command may have an `ASKING` before it.
        let most = if self.cluster.is_some() { most.saturating_mul(2) } else { most };
        if line.greeted && under_way > most.saturating_add(1) {
            self.ledger.fail(format!("line {id}: {under_way} commands under way"));
        }
    }

    /// Sends the written bytes on their way.
    fn send(&mut self, id: usize) {
        let (latency, now, foul) = (self.latency(), self.now, self.is_foul());
        let line = &mut self.lines[id];
        if line.is_muted(Ways::Out, now) || line.inward.cut {
            return;
        }
        let behind = if foul && line.greeted { line.fate.behind } else { 0 };
        let outward = &mut line.outward;
        outward.last = outward.last.max(now + latency + Duration::from_nanos(behind));
        self.agenda.note(outward.last, Event::Delivered(id, outward.written));
    }

    pub(crate) fn delivered(&mut self, id: usize, up_to: u64) {
        let (now, foul) = (self.now, self.is_foul());
        let line = &mut self.lines[id];
        if line.session.is_none() || line.is_muted(Ways::Out, now) {
            return;
        }
        let end = line.fate.cut_out.filter(|end| foul && *end < up_to);
        line.outward.delivered = end.unwrap_or(up_to).max(line.outward.delivered);
        wake(&mut line.outward.writer);
        self.serve(id);
        if end.is_some() {
            self.lines[id].inward.limit = Some(self.lines[id].inward.arrived);
            self.cut(id);
        }
    }

    /// Ends the server's side of a line. The client learns of it a little later.
    pub(crate) fn cut(&mut self, id: usize) {
        let at = self.lines[id].inward.last.max(self.now + self.latency());
        self.lines[id].session = None;
        self.agenda.note(at, Event::Cut(id));
    }

    pub(crate) fn learn_cut(&mut self, id: usize) {
        let now = self.now;
        let line = &mut self.lines[id];
        if line.is_muted(Ways::In, now) || line.phase == Phase::Closed {
            return;
        }
        line.inward.cut = true;
        wake(&mut line.inward.reader);
        wake(&mut line.outward.writer);
        self.log.add(now, || format!("line {id}: cut"));
    }

    /// Sends the server's bytes on their way.
    pub(crate) fn say(&mut self, id: usize, bytes: &[u8]) {
        let (latency, now, foul) = (self.latency(), self.now, self.is_foul());
        let line = &mut self.lines[id];
        if line.inward.limit.is_some() {
            return;
        }
        let inward = &mut line.inward;
        let before = inward.said.len() as u64;
        inward.said.extend_from_slice(bytes);
        if let Some((at, bits)) = line.fate.corrupt
            && foul
            && at >= before
            && let Some(byte) = inward.said.get_mut(at as usize)
        {
            *byte ^= bits;
            line.tainted = true;
            self.ledger.tainted(id);
            self.log.add(now, || format!("line {id}: byte {at} will arrive altered"));
        }
        let end = line.fate.cut_in.filter(|end| foul && *end < inward.said.len() as u64);
        inward.limit = end;
        let slow = if foul { line.fate.slow } else { 0 };
        inward.last = inward.last.max(now + latency + Duration::from_nanos(slow));
        if !line.is_muted(Ways::In, now) {
            let up_to = line.inward.said.len() as u64;
            self.agenda.note(line.inward.last, Event::Arrived(id, end.unwrap_or(up_to)));
        }
        if end.is_some() {
            self.cut(id);
        }
    }

    pub(crate) fn arrived(&mut self, id: usize, up_to: u64) {
        let now = self.now;
        let line = &mut self.lines[id];
        if line.is_muted(Ways::In, now) || line.phase == Phase::Closed {
            return;
        }
        line.inward.arrived = line.inward.arrived.max(up_to);
        wake(&mut line.inward.reader);
    }

    /// The client reads.
    pub(crate) fn read(
        &mut self,
        id: usize,
        rx: &mut BytesMut,
        waker: &Waker,
    ) -> Poll<io::Result<usize>> {
        let line = &mut self.lines[id];
        let mut count = line.unread().min((rx.capacity() - rx.len()) as u64);
        if count > 0 {
            if self.plan.weather.partial && self.random.below(3) > 0 {
                count = count.min(1 + self.random.below(40));
            }
            let from = line.inward.read as usize;
            rx.extend_from_slice(&line.inward.said[from..from + count as usize]);
            line.inward.read += count;
            let cache = self.pools[line.pool].cache;
            self.ledger.heard(cache);
            return Poll::Ready(Ok(count as usize));
        }
        if line.inward.cut {
            return Poll::Ready(match line.fate.fin {
                true => Ok(0),
                false => Err(io::ErrorKind::ConnectionReset.into()),
            });
        }
        line.inward.reader = Some(waker.clone());
        Poll::Pending
    }

    /// How long a message takes in one direction.
    pub(crate) fn latency(&mut self) -> Duration {
        let (least, most) = self.plan.latency;
        Duration::from_nanos(least + self.random.below(most - least))
    }

    pub(crate) fn note_dial(&mut self, pool: usize) {
        let live = self.live(pool);
        let checked = self.pools[pool].dialled(self.now, live);
        self.check(pool, checked);
    }

    fn note_end(&mut self, pool: usize, failed: bool, answered: bool) {
        let live = self.live(pool);
        let events = self.pools[pool].ended(self.now, failed, live);
        self.note_redial(pool, events);
        // If the line has answered, its pool must dial again soon, even if the line ended early.
        // Another that had not, and ended just before, may have lengthened the backoff.
        let since_silent = self.pools[pool].since_unanswered(self.now, answered);
        if answered && self.plan.only_poison && since_silent > SOON {
            let at = self.now + SOON;
            self.agenda.note(at, Event::Redial { pool, events, at });
        }
    }

    fn note_redial(&mut self, pool: usize, events: usize) {
        let at = self.now + REDIAL;
        self.agenda.note(at, Event::Redial { pool, events, at });
    }

    /// Checks that a pool that lost a line has dialled again, unless the clock has jumped.
    pub(crate) fn redial(&mut self, pool: usize, events: usize, at: Instant) {
        if self.now.since(at) >= SLACK {
            return self.note_redial(pool, events);
        }
        let busy = self.live_lines().any(|line| line.pool == pool && !line.greeted);
        let live = self.live(pool);
        let checked = self.pools[pool].redialled(events, live, busy);
        self.check(pool, checked);
    }

    /// How many connections a pool has. All lines of one race count as one connection.
    pub(crate) fn live(&self, pool: usize) -> usize {
        let lines = || self.live_lines().filter(|line| line.pool == pool);
        let races: BTreeSet<_> = lines().filter_map(|line| line.race).collect();
        lines().filter(|line| line.race.is_none()).count() + races.len()
    }

    pub(crate) fn live_lines(&self) -> impl Iterator<Item = &Line> {
        self.live.iter().map(|id| &self.lines[*id])
    }

    fn check(&mut self, pool: usize, checked: Result<(), Fault>) {
        if let Err(fault) = checked {
            self.ledger.fail(format!("pool {pool}: {fault}"));
        }
    }
}

pub(crate) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// A line that has been idle for less than this must not be closed.
const IDLE: Duration = Duration::from_secs(29);

/// If a pool below its minimum size loses a line that has answered, it dials again within this
/// time: the first delay, and the lateness of alarms.
const SOON: Duration = Duration::from_millis(80);

/// A pool below its minimum size dials again within this time.
const REDIAL: Duration = Duration::from_millis(5_050);

/// The pushes that a server may send.
pub(crate) const PUSHES: [&[u8]; 3] = [
    b">2\r\n$10\r\ninvalidate\r\n*1\r\n$7\r\np::k0#1\r\n",
    b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$8\r\n\"p::k0#1\r\n",
    b">1\r\n+OK\r\n",
];

/// The unsolicited replies that a server may send.
pub(crate) const STRAYS: [&[u8]; 5] =
    [b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"$7\r\n\"stray\"\r\n", b"-ERR stray\r\n"];
