//! The order in which the server runs commands: no older value comes back.
//!
//! A server that was slow may still read a command that was lost on its way, or the command may be
//! held up beside a newer connection. That is excused for a command whose caller was not told of
//! its success, and for nothing else.

use async_caches_conformance::server_reply::ServerReply;

use crate::ledger::{Ended, EntryId, Ledger};
use crate::operation::Kind;
use crate::wire::Wire;

impl Ledger {
    /// Records that a command has run, and its reply.
    pub(crate) fn said(&mut self, id: EntryId, said: ServerReply) {
        self.entries[id].said = Some((self.step, said));
        self.check_answered(id);
        self.check_store(id);
    }

    /// A command that changes data does not run once its caller was answered: it would undo later
    /// writes. Loads are excepted, since their caller has its value whatever happens to the store.
    fn check_answered(&mut self, id: EntryId) {
        let entry = &self.entries[id];
        let Some(op) = entry.op.filter(|_| !entry.wire.changes_nothing()) else { return };
        let (kind, wire, key) = (self.ops[op].kind, entry.wire, entry.key);
        // If replies are shifted, another command's reply may have answered it.
        let tainted = self.lines.iter().any(|line| line.tainted);
        let Some((answered, Ended::Answered)) = self.ops[op].ended else { return };
        if kind == Kind::Load || tainted {
            return;
        }
        let undone = self.ops.iter().position(|newer| {
            newer.kind.writes()
                && newer.issued > answered
                && key.is_some_and(|key| newer.keys.contains(&key))
                && matches!(newer.ended, Some((_, Ended::Answered)))
        });
        self.fail(match undone {
            Some(newer) => format!("#{op} runs behind #{newer}, though both were answered before"),
            None => format!("#{op} runs, by a {wire:?}, though it was answered before"),
        });
    }

    /// The store of a load has run. No write may have run since the value was loaded, unless the
    /// load was dropped in the middle of its store, or its store was lost or timed out.
    fn check_store(&mut self, id: EntryId) {
        let store = &self.entries[id];
        let (Some(op), Wire::Set) = (store.op, store.wire) else { return };
        let load = &self.ops[op];
        let (Kind::Load, Some(loaded)) = (load.kind, load.load_ended) else { return };
        let overtaken = self.entries.iter().any(|entry| {
            let Some(write) = entry.op.map(|write| &self.ops[write]) else { return false };
            let later = write.kind.writes() && write.issued > loaded;
            later && entry.key == store.key && entry.said.is_some()
        });
        if !overtaken {
            return;
        }
        if load.ended.is_none() {
            self.fail(format!("#{op} is stored after a write that came after it was loaded"));
        }
        self.late_stores += 1;
    }
}
