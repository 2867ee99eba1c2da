//! `ASKING`: one command for a slot of a cluster that is only being moved to this node.
//!
//! It lets the very next command of the connection pass, so both are put in one step and none can
//! come between. Its reply is nobody's: where it is refused, so is the command behind it.

use super::{Connection, Tag};
use crate::command::Command;
use crate::error::Refused;
use crate::resp::answer::Expect;
use crate::resp::encode;
use crate::resp::output::Output;
use crate::time::Instant;

impl Connection {
    /// Puts `ASKING` and a command right behind it into `tx`; otherwise as [`submit`](Self::submit).
    ///
    /// # Errors
    /// [`Refused`], and then nothing was put and no event will come; [`Refused::Run`] for a
    /// [`Command::SetMany`] of several keys, of which only the first would pass.
    pub fn submit_asking(
        &mut self,
        command: &Command<'_>,
        tag: Tag,
        expires: Instant,
        tx: &mut Output,
    ) -> Result<(), Refused> {
        self.check(command)?;
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
