//! The ledger of operations, commands, replies and outcomes, and the checks of them.
//!
//! Every operation is entered when it is first polled, every command when its last byte was
//! written, every reply when it is sent, and every outcome when a future ends. Each entry is
//! checked against the earlier ones:
//!
//! * an outcome is one that the server sent for a command of that kind on that key, after the
//!   operation began, and to no other operation; or, for a load, the value of a flight of its key;
//! * an error is one that this seed's faults excuse, and it is right about whether the command may
//!   have run;
//! * a command is written again only if the one before was lost, and if it may be repeated;
//! * an answered command runs no more, so that no older value comes back: see
//!   [`order`](crate::order);
//! * a value is stored for as long as its operation demanded, and a touch likewise. So no timeout
//!   grows, as the server changes one for no other reason;
//! * a command ends two connections at most: one that it shares, and one of its own. If nothing
//!   else goes wrong, the commands that share a connection with it are answered;
//! * a load that a write has overtaken is not stored; a write waits for a store under way;
//! * before the first connection of a cache that connects lazily, calls fail at once if a dial has
//!   failed;
//! * there is one load of a key at a time, unless a write has come in between, the load is too old,
//!   or its caller has waited for `load_wait`;
//! * no caller waits for another caller's load for longer than that.
//!
//! The first rule has one exception: while a line has replies that were altered or shifted, any
//! answer is allowed in its pool. All other rules hold for those answers too.

mod asked;

use std::time::Duration;

use async_caches::runtime::Instant;
use async_caches_conformance::server_reply::ServerReply;
use bytes::Bytes;

use crate::operation::Kind;
use crate::plan::{POISON, Poison};
use crate::wire::Wire;

/// How long callers may still wait after a silence, and how long an immediate reaction may take.
const GRACE: Duration = Duration::from_millis(110);
const MOMENT: Duration = Duration::from_millis(10);

pub(crate) type OpId = usize;
pub(crate) type EntryId = usize;
pub(crate) type KeyId = usize;

/// The ledger.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) keys: Vec<Key>,
    pub(crate) ops: Vec<Op>,
    pub(crate) entries: Vec<Entry>,
    /// The operations that remove the keys that they find.
    sweeps: Vec<OpId>,
    pub(crate) lines: Vec<Taint>,
    pub(crate) caches: Vec<Connection>,
    pub(crate) heard: Vec<Heard>,
    /// The caches that dial even if no caller wants a connection.
    pub(crate) keeps_connections: Vec<bool>,
    /// When keys of a cluster had no node, and how long that may be noticed.
    pub(crate) windows: Vec<Window>,
    /// How many nodes there are, if the servers are a cluster.
    pub(crate) nodes: Option<usize>,
    failure: Option<String>,
    /// How often the store of a dropped load ran after a later write.
    pub(crate) late_stores: usize,
    /// Whether nothing goes wrong, so that no failure is excused.
    pub(crate) strict: bool,
    /// Whether the only fault is a key that ends connections.
    pub(crate) only_poison: bool,
    /// The poison that ends connections, if there is one.
    pub(crate) poison: Option<Poison>,
    /// How many connections the poison has ended.
    pub(crate) poisoned: usize,
    /// Whether nodes redirect callers to unused addresses.
    pub(crate) lies: bool,
    /// When the server last forgot its clients.
    pub(crate) clients_forgotten: u64,
    /// Counts the events, one after the other.
    pub(crate) step: u64,
    pub(crate) now: Instant,
    /// How much the clock has jumped in total.
    pub(crate) jumped: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) connect_timeout: Duration,
}

/// A key that operations use.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) cache: usize,
    pub(crate) name: String,
    pub(crate) version: Option<i64>,
    pub(crate) wire: Bytes,
    /// Whether it holds a number.
    pub(crate) counts: bool,
    flight: Option<Flight>,
    /// When a flight was last dropped or replaced whose heirs cannot be told from the leaders of
    /// new flights.
    unclear: u64,
    /// When a load of it last began, or ended.
    pub(crate) loading_since: Instant,
    /// The operations that write it.
    writes: Vec<OpId>,
}

/// The load of a key that other callers must wait for.
#[derive(Clone, Copy, Debug)]
struct Flight {
    op: OpId,
    began: Instant,
    began_step: u64,
    loading: bool,
}

pub(crate) struct Op {
    pub(crate) kind: Kind,
    pub(crate) cache: usize,
    pub(crate) keys: Vec<KeyId>,
    expiry: Option<usize>,
    pub(crate) issued: u64,
    pub(crate) issued_at: Instant,
    /// How much the clock had jumped when it was issued.
    pub(crate) jumped: Duration,
    pub(crate) ended: Option<(u64, Ended)>,
    pub(crate) load_began: Option<u64>,
    pub(crate) load_ended: Option<u64>,
    /// Since when it has been loading, if it is.
    pub(crate) loading: Option<Instant>,
}

/// How an operation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    Answered,
    NotRun,
    MayHaveRun,
    Dropped,
}

pub(crate) struct Entry {
    pub(crate) op: Option<OpId>,
    pub(crate) wire: Wire,
    pub(crate) key: Option<KeyId>,
    line: usize,
    /// The keys of the command.
    pub(crate) words: Vec<Bytes>,
    /// When it was written, if the server then no longer knew the client, so that it never runs.
    refused: Option<u64>,
    pub(crate) said: Option<(u64, ServerReply)>,
    pub(crate) taken: bool,
}

/// A span of time in which failures are excused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Taint {
    pub(crate) cache: usize,
    pub(crate) tainted: bool,
    pub(crate) closed: Option<u64>,
}

/// The signs of life that a cache has had from its server, for the rule that silence costs one
/// response timeout.
#[derive(Clone, Copy, Default)]
pub(crate) struct Heard {
    /// When it last read anything, on any line.
    at: Instant,
    /// When a call ended unanswered that had its whole time after `at`, and how much the clock had
    /// jumped by then.
    silent_from: Option<(Instant, Duration)>,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Connection {
    pub(crate) connected: bool,
    pub(crate) lazy: Lazy,
    /// When it was last not connected.
    pub(crate) away: u64,
}

/// What is known of a cache that connects lazily.
#[derive(Clone, Copy, Default)]
pub(crate) enum Lazy {
    /// It does not, or has had a connection by now.
    #[default]
    No,
    /// Its first dial has neither succeeded nor failed.
    Dials,
    /// A dial was refused then, and none has succeeded. The clock had jumped so much by then.
    Refused { at: Instant, jumped: Duration },
}

impl Key {
    pub(crate) fn new(
        cache: usize,
        prefix: &str,
        name: String,
        version: Option<i64>,
        counts: bool,
    ) -> Self {
        let shown = version.map(|version| version.to_string()).unwrap_or_default();
        let wire = format!("{prefix}:{shown}:{name}").into();
        Self {
            cache,
            name,
            version,
            wire,
            counts,
            flight: None,
            unclear: 0,
            loading_since: Instant::ORIGIN,
            writes: Vec::new(),
        }
    }
}

impl Key {
    /// Another key of the same version, as it is on the wire.
    pub(crate) fn beside(&self, name: &str) -> Bytes {
        let stem = self.wire.strip_suffix(self.name.as_bytes()).unwrap_or_default();
        [stem, name.as_bytes()].concat().into()
    }
}

impl Entry {
    /// Whether the command has not run, as the reply says or will say: because the server does not
    /// know the script or the client, or because the key is another node's, and so on.
    pub(crate) fn was_refused(&self) -> bool {
        let is_refusal = |text: &str| REFUSALS.iter().any(|word| text.starts_with(word));
        match &self.said {
            Some((_, ServerReply::Error(text))) => is_refusal(text),
            Some(_) => false,
            None => self.refused.is_some(),
        }
    }

    /// Whether the reply is any error, so that the command has not run.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(&self.said, Some((_, ServerReply::Error(_))))
    }

    pub(crate) fn is_of_a_forgotten_client(&self) -> bool {
        matches!(&self.said, Some((_, ServerReply::Error(text))) if text.starts_with("NOAUTH"))
    }

    fn was_sent_to_another(&self) -> bool {
        let is_redirect = |text: &str| text.starts_with("MOVED ") || text.starts_with("ASK ");
        matches!(&self.said, Some((_, ServerReply::Error(text))) if is_redirect(text))
    }
}

impl Ledger {
    pub(crate) fn new(response_timeout: Duration, connect_timeout: Duration, strict: bool) -> Self {
        Self { response_timeout, connect_timeout, strict, ..Self::default() }
    }

    /// Records that a rule did not hold. The first failure is kept.
    pub(crate) fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    pub(crate) fn failure(&self) -> Option<&String> {
        self.failure.as_ref()
    }

    /// How many operations there were.
    pub(crate) fn operations(&self) -> usize {
        self.ops.len()
    }

    /// Records whether a cache is connected from now on.
    pub(crate) fn connected(&mut self, cache: usize, connected: bool) {
        if self.caches.len() <= cache {
            self.caches.resize_with(cache + 1, Connection::default);
        }
        self.caches[cache] = Connection { connected, away: self.step, ..self.caches[cache] };
        self.heard(cache);
    }

    /// Records that a cache has read something.
    pub(crate) fn heard(&mut self, cache: usize) {
        if self.heard.len() <= cache {
            self.heard.resize_with(cache + 1, Heard::default);
        }
        self.heard[cache] = Heard { at: self.now, silent_from: None };
    }

    /// Checks a call that has failed. Once a server was silent for a whole call, later calls must
    /// fail at once until it is heard again, except for a moment in which a dial may prove it
    /// alive.
    pub(crate) fn check_silence(&mut self, id: OpId, unanswered: bool) {
        let (op, now) = (&self.ops[id], self.now);
        let heard = self.heard[op.cache];
        let single =
            op.kind != Kind::Connect && self.bound(op.kind) == self.response_timeout + SLACK;
        if self.nodes.is_some() || !single {
            return;
        }
        match heard.silent_from {
            None if unanswered && heard.at + MOMENT < op.issued_at => {
                self.heard[op.cache].silent_from = Some((now, self.jumped));
            }
            // After a jump of the clock, in which no call came, the silence before it is forgotten.
            Some((from, jumped)) if from + GRACE < op.issued_at && self.jumped == jumped => {
                let waited = now.since(op.issued_at);
                if waited > MOMENT && self.keeps_connections[op.cache] {
                    self.fail(format!("#{id} waited {waited:?} for a server known to be silent"));
                }
            }
            Some(_) | None => {}
        }
    }

    /// A dial of a cache was refused.
    pub(crate) fn dial_refused(&mut self, cache: usize) {
        let (at, now_jumped) = (self.now, self.jumped);
        let lazy = &mut self.caches[cache].lazy;
        match lazy {
            Lazy::No => {}
            // A call that comes right after a jump may be earlier than the dial that is due.
            Lazy::Refused { jumped, .. } if *jumped == now_jumped => {}
            Lazy::Dials | Lazy::Refused { .. } => *lazy = Lazy::Refused { at, jumped: now_jumped },
        }
    }

    /// A call has failed. Before the first connection of a cache that connects lazily calls fail at
    /// once, as soon as a dial has failed.
    pub(crate) fn check_lazy(&mut self, id: OpId) {
        let op = &self.ops[id];
        let Lazy::Refused { at, jumped } = self.caches[op.cache].lazy else { return };
        let waited = self.now.since(op.issued_at);
        // A pool that keeps no connections dials for a call, which may wait for that.
        let single = self.bound(op.kind) == self.response_timeout + SLACK
            && self.keeps_connections[op.cache];
        if at + MOMENT < op.issued_at && waited > MOMENT && single && jumped == self.jumped {
            self.fail(format!("#{id} waited {waited:?} for a connection that never was"));
        }
    }

    pub(crate) fn opened(&mut self, line: usize, cache: usize) {
        self.lines.resize_with(self.lines.len().max(line + 1), Taint::default);
        self.lines[line] = Taint { cache, tainted: false, closed: None };
    }

    pub(crate) fn closed(&mut self, line: usize) {
        self.lines[line].closed = Some(self.step);
    }

    pub(crate) fn tainted(&mut self, line: usize) {
        self.lines[line].tainted = true;
    }

    /// Reserves the number of a coming operation.
    pub(crate) fn reserve(&mut self, kind: Kind, cache: usize, keys: Vec<KeyId>) -> OpId {
        if kind == Kind::ClearPrefix {
            self.sweeps.push(self.ops.len());
        }
        self.ops.push(Op {
            kind,
            cache,
            keys,
            expiry: None,
            issued: u64::MAX,
            issued_at: Instant::MAX,
            jumped: Duration::ZERO,
            ended: None,
            load_began: None,
            load_ended: None,
            loading: None,
        });
        self.ops.len() - 1
    }

    /// Records for how long an operation stores its value.
    pub(crate) fn keeps_for(&mut self, id: OpId, expiry: Option<usize>) {
        self.ops[id].expiry = expiry;
    }

    /// Records that an operation is polled for the first time.
    pub(crate) fn issued(&mut self, id: OpId) {
        let op = &mut self.ops[id];
        op.issued = self.step;
        op.issued_at = self.now;
        op.jumped = self.jumped;
        let (kind, cache, keys) = (op.kind, op.cache, op.keys.clone());
        if !kind.writes() || !self.caches[cache].connected {
            return;
        }
        for (index, key) in self.keys.iter_mut().enumerate() {
            let hit = match kind {
                Kind::Clear => true,
                Kind::ClearPrefix => key.cache == cache,
                _ => keys.contains(&index),
            };
            if hit {
                key.writes.push(id);
            }
        }
    }

    pub(crate) fn cache_of(&self, id: OpId) -> usize {
        self.ops[id].cache
    }

    pub(crate) fn names_of(&self, id: OpId) -> Vec<&Bytes> {
        self.ops[id].keys.iter().map(|key| &self.keys[*key].wire).collect()
    }

    pub(crate) fn end(&mut self, id: OpId, how: Ended) {
        self.ops[id].ended = Some((self.step, how));
    }

    pub(crate) fn dropped(&mut self, id: OpId) {
        self.end(id, Ended::Dropped);
    }

    /// Records that a loader begins.
    pub(crate) fn load_began(&mut self, id: OpId) {
        self.ops[id].load_began = Some(self.step);
        self.ops[id].loading = Some(self.now);
        let key = &mut self.keys[self.ops[id].keys[0]];
        key.loading_since = self.now;
        if self.now.since(self.ops[id].issued_at) >= LOAD_WAIT {
            // It may have waited long enough to load beside another one. The first of them to
            // finish ends the flight, and the ledger cannot tell which one that is.
            key.unclear = self.step;
            key.flight = None;
            return;
        }
        let fresh = Flight { op: id, began: self.now, began_step: self.step, loading: true };
        // From then on the heirs of the old flight cannot be told from the leaders of a new one.
        if let Some(flight) = key.flight.filter(|flight| self.now.since(flight.began) >= FLIGHT) {
            key.unclear = self.step;
            key.flight = Some(Flight { began: flight.began, ..fresh });
            return;
        }
        let written_since = |step: u64| {
            key.writes.iter().any(|id| self.ops[*id].ended.is_none_or(|(at, _)| at >= step))
        };
        // It may have inherited a flight that a write, or its age, has taken off its key. Then
        // other callers may load.
        let issued = self.ops[id].issued;
        if written_since(issued) || issued < key.unclear {
            return;
        }
        let Some(flight) = key.flight else {
            key.flight = Some(fresh);
            return;
        };
        let written = written_since(flight.began_step);
        if !flight.loading {
            // An heir continues with the age of its flight.
            let began = if written { self.now } else { flight.began };
            key.flight = Some(Flight { began, ..fresh });
        } else if written {
            key.flight = Some(fresh);
        } else {
            let name = key.name.clone();
            self.fail(format!("#{id} loads {name}, which #{} is loading", flight.op));
        }
    }

    /// Records that a loader ends; `done` if it has returned a value.
    pub(crate) fn load_ended(&mut self, id: OpId, done: bool) {
        if done {
            self.ops[id].load_ended = Some(self.step);
        }
        self.ops[id].loading = None;
        let key = &mut self.keys[self.ops[id].keys[0]];
        key.loading_since = self.now;
        if let Some(flight) = key.flight.as_mut().filter(|flight| flight.op == id) {
            flight.loading = false;
            if done {
                key.flight = None;
            }
        } else if !done {
            key.unclear = self.step;
        }
    }

    fn key(&self, wire: &[u8]) -> Option<KeyId> {
        self.keys.iter().position(|key| key.wire == wire)
    }

    /// Whether a caller was redirected with a command on this key, for that one time.
    pub(crate) fn was_sent_away(&self, key: &[u8]) -> bool {
        // Keys that are never stored are not in the ledger.
        let key = self.key(key);
        self.entries.iter().any(|entry| {
            let asks =
                matches!(&entry.said, Some((_, ServerReply::Error(text))) if text.starts_with("ASK "));
            entry.key == key && asks
        })
    }

    /// Whether an operation is about the poisoned key.
    pub(crate) fn is_poisoned(&self, id: OpId) -> bool {
        let is_of_a_key = self.poison.is_some_and(Poison::is_of_a_key);
        is_of_a_key && self.ops[id].keys.iter().any(|key| self.keys[*key].name == POISON)
    }

    /// Checks that the poison has ended no more connections than the operations on it may cost.
    pub(crate) fn check_poison(&mut self) {
        if self.poison == Some(Poison::Chunk) {
            return self.check_chunks();
        }
        let most = |kind| match kind {
            Kind::Get => 2,
            // A load looks again if it missed just before another load ended.
            Kind::Load => 6,
            // In company, halved, and each key alone. A key may be requested twice.
            Kind::GetMany => 8,
            _ => 0,
        };
        let ops = (0..self.ops.len()).filter(|id| self.is_poisoned(*id));
        let most: usize = ops.map(|id| most(self.ops[id].kind)).sum();
        if self.poisoned > most {
            self.fail(format!("{} connections ended by a key, of {most}", self.poisoned));
        }
    }

    /// A lookup of many keys is halved until each key is looked up alone. It ends a connection for
    /// each half of several keys, and one more if other commands were on the first.
    fn check_chunks(&mut self) {
        let lookups = self.ops.iter().filter(|op| op.kind == Kind::GetMany);
        let most: usize = lookups.map(|op| 2 + op.keys.len()).sum();
        if self.poisoned > most {
            self.fail(format!("{} connections ended by lookups, of {most}", self.poisoned));
        }
    }

    /// Whether no failure of an operation is excused.
    pub(crate) fn is_strict(&self, id: OpId) -> bool {
        let issued = self.ops[id].issued_at;
        let within = |window: &Window| issued <= window.until && window.from <= self.now;
        self.strict && !self.windows.iter().any(within)
    }
}

/// How long a load keeps its key to itself.
pub(crate) const FLIGHT: Duration = Duration::from_secs(30);

/// How long a caller waits for another caller's load.
pub(crate) const LOAD_WAIT: Duration = Duration::from_secs(10);

/// The starts of replies that say that the command has not run.
const REFUSALS: [&str; 8] =
    ["NOSCRIPT", "MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN", "READONLY", "LOADING", "NOAUTH"];

/// How late an operation may end.
pub(crate) const SLACK: Duration = Duration::from_millis(20);
