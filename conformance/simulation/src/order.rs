//! In which order the server runs what was asked: no older value comes back.
//!
//! What was lost on its way may still be read by a server that was slow to do so, or be held up
//! beside a newer connection. That is excused for what its caller was not told of, and for nothing
//! else.

use crate::ledger::{Ended, EntryId, Ledger};
use crate::operation::Kind;
use crate::said::Said;
use crate::wire::Wire;

impl Ledger {
    /// A command has run, and this reply was said.
    pub(crate) fn said(&mut self, id: EntryId, said: Said) {
        self.entries[id].said = Some((self.step, said));
        self.check_answered(id);
        self.check_store(id);
    }

    /// What changes something runs no more once its caller was answered: it would undo what was
    /// written since. But for a load, whose caller has its value whatever comes of the store.
    fn check_answered(&mut self, id: EntryId) {
        let entry = &self.entries[id];
        let Some(op) = entry.op.filter(|_| !entry.wire.changes_nothing()) else { return };
        let (kind, wire, key) = (self.ops[op].kind, entry.wire, entry.key);
        // Where replies are another's, it may be one of those that has answered.
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

    /// The store of a load has run: no write may have run since it was loaded, unless the load was
    /// given up in the middle of its store, or its store was lost or out of time.
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
