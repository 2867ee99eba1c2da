//! Checks whether an operation has an outcome that it may have, and in time.

use std::time::Duration;

use async_caches::runtime::Instant;
use async_caches_conformance::server_reply::ServerReply;

use crate::ledger::{Ended, Entry, KeyId, LOAD_WAIT, Ledger, OpId, SLACK};
use crate::operation::{Failed, Kind, Outcome};
use crate::wire::{Wire, in_value};

impl Ledger {
    /// Records the outcome of an operation, and checks it.
    pub(crate) fn completed(&mut self, id: OpId, outcome: &Outcome) {
        let ended = match outcome {
            Outcome::Failed(failed) => match failed {
                Failed::NotConnected
                | Failed::Overloaded
                | Failed::Ended { may_have_run: false }
                | Failed::Outage { may_have_run: false, .. } => Ended::NotRun,
                Failed::Outage { may_have_run: true, .. }
                | Failed::Ended { may_have_run: true }
                | Failed::Server(_)
                | Failed::Redirects
                | Failed::Unreadable
                | Failed::Other(_) => Ended::MayHaveRun,
            },
            Outcome::Reply(..)
            | Outcome::Stored
            | Outcome::Parts(_)
            | Outcome::Removed(_)
            | Outcome::Value(_)
            | Outcome::Done
            | Outcome::LoaderFailed => Ended::Answered,
        };
        // A batch, a scan and a load send more than one command.
        let kind = self.ops[id].kind;
        let parts = matches!(kind, Kind::GetMany | Kind::SetMany | Kind::DeleteMany | Kind::Clear);
        let several =
            matches!(kind, Kind::ClearPrefix | Kind::Load) || (parts && self.nodes.is_some());
        let several = several || (kind == Kind::GetMany && self.was_halved(id));
        let ended = if several && ended == Ended::NotRun { Ended::MayHaveRun } else { ended };
        if ended == Ended::NotRun
            && self.entries.iter().any(|entry| entry.op == Some(id) && !entry.was_refused())
        {
            self.fail(format!("#{id} was written, and {outcome:?} says that it did not run"));
        }
        if let Outcome::Failed(Failed::Outage { timeout, may_have_run, .. }) = outcome {
            self.check_silence(id, *timeout && *may_have_run);
            self.check_lazy(id);
        }
        let holds = self.holds(id, outcome);
        self.end(id, ended);
        if !holds {
            let (kind, names) = (self.ops[id].kind, self.names_of(id));
            self.fail(format!("#{id} {kind:?} {names:?} came to {outcome:?}"));
        }
    }

    fn holds(&mut self, id: OpId, outcome: &Outcome) -> bool {
        let tainted = self.is_tainted(id);
        let op = &self.ops[id];
        let key = op.keys.first().copied();
        match outcome {
            Outcome::Reply(wire, said) => self.take(id, *wire, key, said) || tainted,
            Outcome::Stored => {
                let keys = op.keys.clone();
                let all =
                    keys.iter().all(|key| self.take(id, Wire::Set, Some(*key), &ServerReply::OK));
                all || tainted
            }
            // One command, unless it was halved.
            Outcome::Parts(values) if self.nodes.is_none() && !self.was_halved(id) => {
                let said = ServerReply::List(values.iter().map(|(_, said)| said.clone()).collect());
                self.take(id, Wire::GetMany, key, &said) || tainted
            }
            Outcome::Parts(values) => {
                let values = values.iter();
                values.clone().all(|(key, value)| self.was_told(id, key, value)) || tainted
            }
            Outcome::Removed(count) => *count <= self.most_removed(id) || tainted,
            Outcome::Value(value) => {
                let said = ServerReply::Bulk(value.clone());
                self.is_of_a_flight(id, value) || self.take(id, Wire::Get, key, &said) || tainted
            }
            Outcome::Done | Outcome::LoaderFailed => true,
            Outcome::Failed(Failed::NotConnected) => {
                let connection = self.caches[op.cache];
                !connection.connected || connection.away >= op.issued
            }
            // Refused at once. If failures are excused, also after its whole time in the wait
            // queue.
            Outcome::Failed(Failed::Overloaded) => {
                !self.is_strict(id) || self.now.since(op.issued_at) < self.response_timeout
            }
            Outcome::Failed(Failed::Outage { timeout, lost, .. }) => {
                let early =
                    *timeout && self.now.since(op.issued_at) + STALE < self.response_timeout;
                let away = self.caches[op.cache].away >= op.issued && !*lost;
                !early && (!self.is_strict(id) || away)
            }
            Outcome::Failed(Failed::Ended { .. }) => !self.only_poison || self.is_poisoned(id),
            Outcome::Failed(Failed::Server(text)) => {
                let said = ServerReply::Error(text.clone());
                // No caller has to follow a redirect itself, or learns of trouble that passes in
                // time.
                let redirect = text.starts_with("MOVED ") || text.starts_with("ASK ");
                let trouble = redirect
                    || text.starts_with("TRYAGAIN")
                    || text.starts_with("CLUSTERDOWN")
                    || text.starts_with("READONLY")
                    || (text.starts_with("NOAUTH") && !self.was_forgotten_twice(id));
                if !tainted && (redirect || (trouble && self.is_strict(id))) {
                    return false;
                }
                // Of several keys, any may be the refused one.
                let several = matches!(op.kind, Kind::ClearPrefix | Kind::SetMany)
                    || (self.nodes.is_some()
                        && matches!(op.kind, Kind::GetMany | Kind::DeleteMany));
                let (kind, key) = (op.kind, key.filter(|_| !several));
                let mut sent = Wire::ALL.into_iter().filter(|wire| kind.sends(*wire));
                sent.any(|wire| self.take(id, wire, key, &said)) || tainted
            }
            // Honest nodes agree long before that.
            Outcome::Failed(Failed::Redirects) => self.lies && !self.is_strict(id),
            // A load replaces an entry that it cannot read.
            Outcome::Failed(Failed::Unreadable) => {
                (op.kind == Kind::Get && self.found_no_number(id)) || tainted
            }
            Outcome::Failed(Failed::Other(_)) => false,
        }
    }

    /// Whether the server forgot its clients since the operation began, and refused the operation
    /// before that as well.
    fn was_forgotten_twice(&self, id: OpId) -> bool {
        let op = &self.ops[id];
        let refused = self.entries.iter().filter(|entry| {
            let since = entry.said.as_ref().is_some_and(|(at, _)| *at >= op.issued);
            let of_this = entry.op == Some(id)
                || (entry.op.is_none() && entry.key.is_none_or(|key| op.keys.contains(&key)));
            since && of_this && entry.is_of_a_forgotten_client()
        });
        self.clients_forgotten >= op.issued && refused.count() > 1
    }

    /// Whether a command for many keys was sent again for half of them.
    fn was_halved(&self, id: OpId) -> bool {
        let of = |entry: &&Entry| entry.op == Some(id) && entry.wire == Wire::GetMany;
        let mut sizes = self.entries.iter().filter(of).map(|entry| entry.words.len());
        // The whole command names each of its keys, and one that is never stored.
        sizes.any(|size| size <= self.ops[id].keys.len())
    }

    /// Takes the reply that led to this outcome, if there is one. No other operation may have it,
    /// as far as the command identifies its operation.
    fn take(&mut self, id: OpId, wire: Wire, key: Option<KeyId>, wanted: &ServerReply) -> bool {
        let (issued, kind) = (self.ops[id].issued, self.ops[id].kind);
        // In a cluster only the part with the key that is never stored bears the token.
        let bears_token = kind == Kind::DeleteMany && self.nodes.is_none();
        let found = self.entries.iter_mut().find(|entry| {
            let fits = !entry.taken && entry.wire == wire && (key.is_none() || entry.key == key);
            let whose = entry.op == Some(id) || (entry.op.is_none() && !bears_token);
            fits && whose
                && matches!(&entry.said, Some((at, said)) if *at >= issued && is_or_has(said, wanted))
        });
        match found {
            Some(entry) => {
                // The error may be that of the scan itself, or that of a command that removes its
                // finds.
                entry.taken = kind != Kind::ClearPrefix;
                true
            }
            None => false,
        }
    }

    /// Whether the server has sent this value for a key since the operation began, to any caller of
    /// that key.
    fn was_told(&self, id: OpId, key: &[u8], value: &ServerReply) -> bool {
        let issued = self.ops[id].issued;
        self.entries.iter().any(|entry| {
            let Some((at, said)) = entry.said.as_ref().filter(|(at, _)| *at >= issued) else {
                return false;
            };
            let said = match said {
                ServerReply::List(values) => &values[..],
                one => std::slice::from_ref(one),
            };
            let fits = matches!(entry.wire, Wire::Get | Wire::GetMany) && *at >= issued;
            fits && entry.words.iter().zip(said).any(|(word, said)| word == key && said == value)
        })
    }

    /// Whether a key that counts may have held something other than a number since the operation
    /// began.
    fn found_no_number(&self, id: OpId) -> bool {
        let op = &self.ops[id];
        let key = op.keys.first().copied();
        self.entries.iter().any(|entry| {
            let said = entry.said.as_ref().filter(|(at, _)| *at >= op.issued);
            let fits = entry.wire == Wire::Get && entry.key == key;
            fits && matches!(said, Some((_, ServerReply::Bulk(text))) if text.starts_with(b"\""))
        })
    }

    /// How many keys of the operation may have been removed since it began.
    fn most_removed(&self, id: OpId) -> i64 {
        let op = &self.ops[id];
        let counts = self.entries.iter().filter_map(|entry| match &entry.said {
            Some((at, ServerReply::Integer(count)))
                if *at >= op.issued
                    && entry.wire == Wire::Unlink
                    && entry.key.is_some_and(|key| op.keys.contains(&key)) =>
            {
                Some(*count)
            }
            Some(_) | None => None,
        });
        counts.sum()
    }

    /// Whether a value was loaded by a flight of the key that this operation may have joined.
    fn is_of_a_flight(&self, id: OpId, value: &[u8]) -> bool {
        let op = &self.ops[id];
        let Some(loader) = in_value(value).and_then(|loader| Some((loader, self.ops.get(loader)?)))
        else {
            return false;
        };
        let (loader, load) = loader;
        let Some(ended) = load.load_ended else { return false };
        if load.kind != Kind::Load || load.keys != op.keys {
            return false;
        }
        let open = load.ended.is_none_or(|(at, _)| at >= op.issued) || ended >= op.issued;
        let key = op.keys[0];
        let overtaken = self.ops.iter().any(|write| {
            write.kind.writes()
                && write.keys.contains(&key)
                && write.issued > load.load_began.unwrap_or(0)
                && matches!(write.ended, Some((at, Ended::Answered)) if at < op.issued)
        });
        loader == id || (open && !overtaken)
    }

    /// Whether a line of this operation's cache has replies that the server did not send.
    fn is_tainted(&self, id: OpId) -> bool {
        let op = &self.ops[id];
        self.lines.iter().any(|line| {
            line.tainted && line.cache == op.cache && line.closed.is_none_or(|at| at >= op.issued)
        })
    }

    /// Checks an operation that should be over. Returns when to check again, if it may still run.
    pub(crate) fn due(&mut self, id: OpId) -> Option<Instant> {
        let op = &self.ops[id];
        if op.ended.is_some() {
            return None;
        }
        let (kind, issued_at) = (op.kind, op.issued_at);
        // A time that is measured from a moment after the beginning may be late by a whole jump of
        // the clock.
        let excused = issued_at + self.bound(kind) + self.jumped.saturating_sub(op.jumped);
        if excused > self.now {
            return Some(excused);
        }
        if kind == Kind::Load {
            let key = &self.keys[op.keys[0]];
            // Its own load may hang. Another caller's load delays it for a limited time.
            let since = match (op.loading, op.load_began) {
                (Some(_), _) => self.now,
                (None, Some(_)) => key.loading_since,
                (None, None) => issued_at + LOAD_WAIT + self.jumped.saturating_sub(op.jumped),
            };
            let until = since + 3 * self.response_timeout + SLACK;
            if until > self.now {
                return Some(until);
            }
        }
        self.fail(format!(
            "#{id} {kind:?} is not over, {:?} after it began",
            self.now.since(issued_at)
        ));
        None
    }

    /// The time within which an operation of this kind should be over.
    pub(crate) fn bound(&self, kind: Kind) -> Duration {
        let trips = match kind {
            Kind::Connect => return self.connect_timeout + SLACK,
            Kind::ClearPrefix => 40,
            Kind::Load => 3,
            Kind::GetMany | Kind::SetMany | Kind::DeleteMany | Kind::Clear
                if self.nodes.is_some() =>
            {
                4
            }
            _ => 1,
        };
        trips * self.response_timeout + SLACK
    }
}

/// How much earlier than its deadline an operation may end. A call that comes just before a
/// connection is checked takes the clock reading of the calls before it, and all tasks may have a
/// turn in between.
const STALE: Duration = Duration::from_millis(1);

/// Whether a reply leads to this outcome. An error in a list is the outcome of the whole list.
fn is_or_has(said: &ServerReply, wanted: &ServerReply) -> bool {
    let has =
        |values: &[ServerReply]| matches!(wanted, ServerReply::Error(_)) && values.contains(wanted);
    said == wanted || matches!(said, ServerReply::List(values) if has(values))
}
