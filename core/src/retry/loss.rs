//! Decides about a command whose connection ended.
//!
//! # Theory of operation
//!
//! A connection may end because of one command: its reply is larger than the server lets a client's
//! output grow, its value is larger than the server reads, or its reply is malformed. Sent again
//! among others, such a command would end one connection after the other, and each time lose the
//! commands beside it. The client cannot see which command it was: a server that gives up a client
//! drops the replies it has not sent yet, so the oldest command without a reply need not be the
//! one.
//!
//! So every command of which the server had a part when it hung up is a [suspect](Blame::Suspect).
//! A suspect that may be repeated is repeated once, alone on a connection. If that ends as well,
//! the command has ended two connections, and fails. A command whose own reply broke the protocol
//! is [guilty](Blame::Guilty), and is not repeated at all. Then the other commands on the
//! connection are [innocent](Blame::Innocent), as are commands of which no byte was sent. Innocent
//! commands are repeated among others, as often as their deadlines allow.

use crate::time::Instant;

/// How likely a command is the cause of its connection's end.
///
/// ```
/// use async_caches_core::connection::{Blame, Connection, Event, Output, Setup, Tag};
/// use async_caches_core::command::Command;
/// use async_caches_core::error::ConnectionError;
/// use async_caches_core::time::Instant;
/// use bytes::BytesMut;
/// use core::time::Duration;
///
/// let setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
/// let (now, mut rx, mut tx) = (Instant::ORIGIN, BytesMut::new(), Output::new());
/// let mut connection = Connection::open(&setup, now, &mut tx);
/// rx.extend_from_slice(b"%1\r\n+proto\r\n:3\r\n+OK\r\n+OK\r\n+PONG\r\n");
/// connection.poll(&mut rx, now, &mut tx)?;
/// connection.wrote(tx.split().len());
/// connection.submit(&Command::Ping, Tag(7), Instant::MAX, &mut tx).expect("it is ready");
/// connection.close(); // before any of the command was sent
/// let lost = Event::Lost { tag: Tag(7), may_have_run: false, blame: Blame::Innocent };
/// assert_eq!(connection.poll(&mut rx, now, &mut tx)?, Some(lost));
/// # Ok::<(), ConnectionError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Blame {
    /// Not the cause: none of it was sent, or another command's reply broke the protocol.
    Innocent,
    /// Perhaps the cause: some or all of it was sent when the connection ended.
    Suspect,
    /// The cause: the bytes in place of its reply broke the protocol.
    Guilty,
}

/// What to do with a command whose connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AfterLoss {
    /// Send it again, among others.
    Again,
    /// Send it again, alone on a connection that was dialled after the one that ended.
    Alone,
    /// Do not send it again, as it may have run; report the loss to its caller.
    Settle,
    /// Do not send it again, as it has ended this many connections.
    Fail {
        /// One or two.
        connections: u8,
    },
}

/// How many connections one command has ended, and when it was first refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Losses {
    ended: u8,
    /// When the server first refused it.
    refused: Option<Instant>,
}

impl Losses {
    /// The most connections that one command may end.
    pub const MOST: u8 = 2;

    /// For a part of a command that ended a connection: the part may do so again.
    #[must_use]
    pub fn suspected() -> Self {
        Self { ended: 1, refused: None }
    }

    /// Whether the command must be alone on its connection.
    #[must_use]
    pub fn is_suspect(self) -> bool {
        self.ended > 0
    }

    /// Reports that the connection ended before the command was answered. `repeatable` means that
    /// it may be sent again though it may have run.
    pub fn lost(&mut self, blame: Blame, may_have_run: bool, repeatable: bool) -> AfterLoss {
        if blame != Blame::Innocent {
            self.ended = self.ended.saturating_add(1);
        }
        let connections = self.ended;
        match blame {
            Blame::Guilty => AfterLoss::Fail { connections },
            Blame::Innocent | Blame::Suspect if may_have_run && !repeatable => AfterLoss::Settle,
            Blame::Suspect if connections >= Self::MOST => AfterLoss::Fail { connections },
            Blame::Innocent | Blame::Suspect if self.is_suspect() => AfterLoss::Alone,
            Blame::Innocent | Blame::Suspect => AfterLoss::Again,
        }
    }

    /// Reports that the server refused the command, which has not run, as it no longer knows the
    /// client. Returns whether to send it again.
    ///
    /// It is sent again until a connection refuses it that was dialled after the first refusal, and
    /// so has sent the credentials again. Each refusal ends a connection, so the retries end soon.
    pub fn refused(&mut self, dialled: Instant, now: Instant) -> bool {
        match self.refused {
            None => {
                self.refused = Some(now);
                true
            }
            Some(first) => dialled < first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: bool = true;
    const SET: bool = false;

    /// The decision after each of these losses: the blame, and whether the command may have run.
    fn after(repeatable: bool, losses: &[(Blame, bool)]) -> std::vec::Vec<AfterLoss> {
        let mut own = Losses::default();
        losses.iter().map(|&(blame, ran)| own.lost(blame, ran, repeatable)).collect()
    }

    #[test]
    fn a_suspect_is_repeated_once_and_alone() {
        let twice = [(Blame::Suspect, true); 2];
        assert_eq!(after(GET, &twice), [AfterLoss::Alone, AfterLoss::Fail { connections: 2 }]);
    }

    #[test]
    fn a_partly_written_write_is_repeated_once_and_alone() {
        let twice = [(Blame::Suspect, false); 2];
        assert_eq!(after(SET, &twice), [AfterLoss::Alone, AfterLoss::Fail { connections: 2 }]);
    }

    #[test]
    fn a_write_that_may_have_run_is_never_repeated() {
        for blame in [Blame::Innocent, Blame::Suspect] {
            assert_eq!(after(SET, &[(blame, true)]), [AfterLoss::Settle], "{blame:?}");
        }
        let losses = [(Blame::Suspect, false), (Blame::Suspect, true)];
        assert_eq!(after(SET, &losses), [AfterLoss::Alone, AfterLoss::Settle]);
    }

    #[test]
    fn a_command_whose_own_reply_is_malformed_is_not_repeated() {
        for repeatable in [GET, SET] {
            let losses = [(Blame::Guilty, true)];
            assert_eq!(after(repeatable, &losses), [AfterLoss::Fail { connections: 1 }]);
        }
        let losses = [(Blame::Suspect, true), (Blame::Guilty, true)];
        assert_eq!(after(GET, &losses), [AfterLoss::Alone, AfterLoss::Fail { connections: 2 }]);
    }

    #[test]
    fn innocent_commands_are_repeated_together_and_suspects_stay_suspects() {
        assert_eq!(after(GET, &[(Blame::Innocent, true); 9]), [AfterLoss::Again; 9]);
        assert_eq!(after(SET, &[(Blame::Innocent, false); 9]), [AfterLoss::Again; 9]);
        let losses = [(Blame::Suspect, true), (Blame::Innocent, true), (Blame::Innocent, false)];
        assert_eq!(after(GET, &losses), [AfterLoss::Alone; 3]);
    }

    #[test]
    fn no_command_ends_more_than_two_connections() {
        let blames = [Blame::Innocent, Blame::Suspect, Blame::Guilty];
        for history in 0..3_usize.pow(6) {
            let mut own = Losses::default();
            let mut ended = 0;
            for step in 0..6 {
                let blame = blames[history / 3_usize.pow(step) % 3];
                ended += u8::from(blame != Blame::Innocent);
                match own.lost(blame, true, GET) {
                    AfterLoss::Again | AfterLoss::Alone => {}
                    AfterLoss::Settle | AfterLoss::Fail { .. } => break,
                }
            }
            assert!(ended <= Losses::MOST, "{history}");
        }
    }

    #[test]
    fn a_part_of_a_suspect_may_end_one_more_connection() {
        let mut part = Losses::suspected();
        assert!(part.is_suspect());
        assert_eq!(part.lost(Blame::Suspect, true, GET), AfterLoss::Fail { connections: 2 });
    }

    #[test]
    fn a_refused_command_is_repeated_until_a_newer_connection_refuses_it() {
        let at = Instant::from_millis;
        let mut own = Losses::default();
        assert!(own.refused(at(1), at(10)));
        // Connections that were already open then have not sent the credentials again.
        assert!(own.refused(at(9), at(11)));
        assert!(own.refused(at(2), at(12)));
        assert!(!own.refused(at(10), at(13)));
        assert!(!own.is_suspect());
    }
}
