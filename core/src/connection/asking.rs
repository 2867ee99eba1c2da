//! `ASKING`: sends one command for a slot of a cluster that is still being moved to this node.
//!
//! It admits only the very next command of the connection, so both are put in one step and no other
//! can come between. Its reply goes to no caller: if the server refuses it, it refuses the command
//! behind it too.
//! [`Command::Persist`] is two commands, so each of them has one in front.

use super::{Connection, Tag};
use crate::command::Command;
use crate::error::Refused;
use crate::resp::answer::Expect;
use crate::resp::encode;
use crate::resp::output::Output;
use crate::time::Instant;

impl Connection {
    /// Puts `ASKING` and a command right behind it into `tx`; otherwise like
    /// [`submit`](Self::submit).
    ///
    /// # Errors
    /// [`Refused`]: nothing was put and no event will come. [`Refused::Run`] for a
    /// [`Command::SetMany`] of several keys, of which only the first would pass.
    pub fn submit_asking(
        &mut self,
        command: &Command<'_>,
        tag: Tag,
        expires: Instant,
        tx: &mut Output,
    ) -> Result<(), Refused> {
        self.check(command)?;
        let replaced = self.replaced(command);
        let command = replaced.as_ref().unwrap_or(command);
        if let Command::Persist(key) = command {
            let (before, begins_at) = (tx.len(), self.put);
            encode::persist_asking(tx, key);
            self.put += (tx.len() - before) as u64;
            self.queue_up(Expect::DONE, None, expires, begins_at);
            self.queue_up(Expect::PERSISTED_ASKING, Some(tag), expires, begins_at);
            return Ok(());
        }
        if Expect::of(command).replies() > 1 {
            return Err(Refused::Run);
        }
        let (before, begins_at) = (tx.len(), self.put);
        encode::asking(tx);
        self.put += (tx.len() - before) as u64;
        self.queue_up(Expect::DONE, None, expires, begins_at);
        self.put(command, Some(tag), expires, tx);
        Ok(())
    }
}
