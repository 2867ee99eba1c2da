//! Checks commands on the wire against the operations that sent them.

use super::{Ended, Entry, EntryId, KeyId, Ledger, Op, OpId};
use async_caches_conformance::request::Request;

use crate::operation::Kind;
use crate::wire::Wire;

impl Ledger {
    /// Records a command that was written as a whole. It never runs if the server has forgotten
    /// the line's client.
    pub(crate) fn asked(
        &mut self,
        line: usize,
        asked: &Request,
        never_runs: bool,
    ) -> Option<EntryId> {
        let wire = Wire::of(asked)?;
        let key = wire.key_at().and_then(|at| self.key(asked.word(at)));
        let op = wire.token(asked);
        if let Some(id) = op {
            self.asked_for(id, wire, key, line, asked);
        } else {
            self.asked_by_anyone(wire, key, asked);
        }
        self.wait_for_stores(op, wire, key);
        let words = wire.keys_at(asked).map(|at| asked.share(at)).collect();
        let refused = never_runs.then_some(self.step);
        self.entries.push(Entry { op, wire, key, line, words, refused, said: None, taken: false });
        Some(self.entries.len() - 1)
    }

    /// Checks a command that bears an operation's token.
    fn asked_for(
        &mut self,
        id: OpId,
        wire: Wire,
        key: Option<KeyId>,
        line: usize,
        asked: &Request,
    ) {
        let Some(op) = self.ops.get(id).filter(|op| op.issued <= self.step) else {
            return self.fail(format!("{asked:?}: asked for by nobody"));
        };
        // In a cluster, or if a command for many keys was halved, a key that is never stored may be
        // sent alone.
        let in_parts = self.nodes.is_some() || wire == Wire::GetMany;
        let alone = in_parts && key.is_none();
        let of_its_keys = alone || key.is_some_and(|key| op.keys.contains(&key));
        if !op.kind.sends(wire) || !of_its_keys {
            return self.fail(format!("{asked:?}: not what #{id} asked for"));
        }
        if matches!(wire, Wire::Set | Wire::Add | Wire::Incr) && wire.expiry(asked) != op.expiry {
            return self.fail(format!("{asked:?}: #{id} said {:?}", op.expiry));
        }
        let tainted = self.lines.iter().any(|line| line.tainted);
        if matches!(op.ended, Some((_, Ended::Answered))) && !tainted && op.kind != Kind::Load
            || matches!(op.ended, Some((_, Ended::NotRun)))
        {
            return self.fail(format!("{asked:?}: #{id} was over"));
        }
        let sent = self.entries.iter().filter(|it| it.op == Some(id) && it.was_sent_to_another());
        if sent.count() > MOST_HOPS * op.keys.len().max(1) {
            return self.fail(format!("#{id} is sent from node to node without end"));
        }
        let (mut again, mut lost_last) = (false, None);
        for before in self.entries.iter().filter(|entry| entry.op == Some(id)) {
            if before.wire != wire || before.key != key {
                continue;
            }
            again = true;
            let said = before.said.as_ref().map(|(at, _)| *at).or(before.refused);
            // A write of many keys is one command to its caller. If the server refuses one of them
            // and none has run, all are sent again.
            let in_company = op.kind == Kind::SetMany && before.has_failed();
            let refused = said.filter(|_| before.was_refused() || in_company);
            let lost = self.lines[before.line].closed.filter(|_| wire.changes_nothing());
            lost_last = lost_last.max(refused.or(lost));
            if refused.or(lost).is_none() {
                return self.fail(format!(
                    "{asked:?}: on line {line}, and on line {} before",
                    before.line
                ));
            }
        }
        let over = op.ended.map(|(at, _)| at);
        if again && over.is_some_and(|over| lost_last.is_none_or(|lost| lost >= over)) {
            return self.fail(format!("{asked:?}: again, though #{id} was over"));
        }
        if op.kind == Kind::Load
            && let (Some(began), Some(ended), Some(key)) = (op.load_began, op.load_ended, key)
            && self.keys[key].writes.iter().any(|id| {
                (began + 1..ended).contains(&self.ops[*id].issued) && self.has_come(*id, key)
            })
        {
            self.fail(format!("{asked:?}: a write has overtaken this load"));
        }
    }

    /// Whether a write has reached this key. If a write of several keys in a cluster fails at one
    /// key, the keys after that are left alone.
    fn has_come(&self, id: OpId, key: KeyId) -> bool {
        let op = &self.ops[id];
        let failed = matches!(op.ended, Some((_, Ended::MayHaveRun)));
        let parts = matches!(op.kind, Kind::SetMany | Kind::DeleteMany);
        let cut_short = self.nodes.is_some() && parts && failed;
        let sent = |entry: &Entry| entry.op == Some(id) && entry.key == Some(key);
        !cut_short || self.entries.iter().any(sent)
    }

    /// Checks a command that does not identify its operation.
    fn asked_by_anyone(&mut self, wire: Wire, key: Option<KeyId>, asked: &Request) {
        let wanted = |op: &&Op| op.kind.sends(wire) && op.issued <= self.step;
        let about = |op: &&Op| match (op.kind, key) {
            (Kind::ClearPrefix | Kind::Clear | Kind::Ping, _) | (_, None) => true,
            (_, Some(key)) => op.keys.contains(&key),
        };
        let askers = self.ops.iter().filter(wanted).filter(about).count();
        // A command for all keys goes to every node.
        let each = if wire == Wire::Flush { self.nodes.unwrap_or(1) } else { 1 };
        let askers = askers * each;
        // A scan removes the keys that it finds, in an unknown number of commands.
        let swept = wire == Wire::Unlink && !self.sweeps.is_empty();
        // If nodes lie, a node is cleared once for each other node that was named as the owner of
        // its slots.
        let redirected = wire == Wire::Flush && self.lies && askers > 0;
        let uncounted = wire == Wire::Ping || swept || redirected;
        if uncounted || (wire.changes_nothing() && askers > 0) {
            return;
        }
        let same = |entry: &&Entry| {
            entry.op.is_none() && entry.wire == wire && entry.key == key && !entry.was_refused()
        };
        if self.entries.iter().filter(same).count() >= askers {
            self.fail(format!("{asked:?}: more often than it was asked for ({askers})"));
        }
    }

    /// Checks that no write is sent while the store of an earlier load of its key is under way.
    fn wait_for_stores(&mut self, op: Option<OpId>, wire: Wire, key: Option<KeyId>) {
        let (Some(id), Some(key)) = (op, key) else { return };
        let write = &self.ops[id];
        let writes = match wire {
            Wire::Set | Wire::Add | Wire::Unlink | Wire::Incr | Wire::DeleteIf => true,
            Wire::Get
            | Wire::GetMany
            | Wire::Exists
            | Wire::Remaining
            | Wire::Expire
            | Wire::Persist
            | Wire::Scan
            | Wire::Flush
            | Wire::Ping => false,
        };
        if !write.kind.writes() || !writes {
            return;
        }
        let storing = self.ops.iter().position(|load| {
            load.kind == Kind::Load
                && load.ended.is_none()
                && load.keys.contains(&key)
                && load.load_ended.is_some_and(|at| at < write.issued)
        });
        if let Some(load) = storing {
            self.fail(format!("#{id} is sent while #{load} is storing"));
        }
    }
}

/// How often a command may be redirected.
const MOST_HOPS: usize = 18;
