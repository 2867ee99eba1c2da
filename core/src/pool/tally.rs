//! The state and history of a pool's connections, in numbers. No decision depends on them.

use super::phase::PooledPhase;

/// How many connections a pool has, and how those before them ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Connections that are being dialled or greeted.
    pub dialling: usize,
    /// Open connections. Together with the others never more than `maxsize`.
    pub open: usize,
    /// Connections that are about to end because the pool closes them.
    pub closing: usize,
    /// How many open connections have ended that the pool did not close.
    pub lost: u64,
    /// How many connections were opened to replace lost ones.
    pub reconnects: u64,
    /// How many dials have failed since a connection last opened.
    pub failed_dials: u32,
}

/// The history of a pool's connections.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) lost: u64,
    pub(super) reconnects: u64,
    pub(super) failed_dials: u32,
}

impl History {
    pub(super) fn opened(&mut self) {
        self.failed_dials = 0;
        self.reconnects += u64::from(self.reconnects < self.lost);
    }

    pub(super) fn ended(&mut self, phase: PooledPhase) {
        match phase {
            PooledPhase::Dialling => self.failed_dials = self.failed_dials.saturating_add(1),
            PooledPhase::Open { .. } => self.lost += 1,
            PooledPhase::Closing => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::super::{ConnectionId, Pool, PoolAction, PoolInput};
    use super::*;
    use crate::time::Instant;

    fn pool(minsize: usize) -> Pool {
        Pool::new(minsize, 4, Duration::from_secs(5), 42, Instant::ORIGIN)
    }

    fn dial(pool: &mut Pool, now: Instant) -> ConnectionId {
        match pool.poll(now, |_| None) {
            Some(PoolAction::Dial(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    fn ended(connection: ConnectionId) -> PoolInput {
        PoolInput::Ended { connection, refused: false, answered: false }
    }

    #[test]
    fn connections_are_counted_by_phase() {
        let (mut pool, now) = (pool(2), Instant::ORIGIN);
        let first = dial(&mut pool, now);
        dial(&mut pool, now);
        assert_eq!(pool.tally(), Tally { dialling: 2, ..Tally::default() });
        pool.handle(PoolInput::Opened(first), now);
        assert_eq!(pool.tally(), Tally { dialling: 1, open: 1, ..Tally::default() });
    }

    #[test]
    fn only_a_connection_that_replaces_a_lost_one_is_a_reconnect() {
        let (mut pool, mut now) = (pool(1), Instant::ORIGIN);
        let first = dial(&mut pool, now);
        pool.handle(PoolInput::Opened(first), now);
        pool.handle(ended(first), now);
        assert_eq!(pool.tally(), Tally { lost: 1, ..Tally::default() });
        for failed_dials in 1..=3 {
            now = pool.deadline(now).unwrap().at;
            let failing = dial(&mut pool, now);
            pool.handle(ended(failing), now);
            assert_eq!(pool.tally(), Tally { lost: 1, failed_dials, ..Tally::default() });
        }
        now = pool.deadline(now).unwrap().at;
        let again = dial(&mut pool, now);
        pool.handle(PoolInput::Opened(again), now);
        let tally = Tally { open: 1, lost: 1, reconnects: 1, ..Tally::default() };
        assert_eq!(pool.tally(), tally);
        pool.handle(PoolInput::Demand, now);
        let more = dial(&mut pool, now);
        pool.handle(PoolInput::Opened(more), now);
        assert_eq!(pool.tally(), Tally { open: 2, ..tally });
    }

    #[test]
    fn a_connection_closed_as_idle_is_not_lost() {
        let (mut pool, now) = (pool(1), Instant::ORIGIN);
        for _ in 0..2 {
            pool.handle(PoolInput::Demand, now);
            let id = dial(&mut pool, now);
            pool.handle(PoolInput::Opened(id), now);
        }
        let late = now + Pool::IDLE;
        let Some(PoolAction::Close(id)) = pool.poll(late, |_| Some(now)) else { panic!() };
        assert_eq!(pool.tally(), Tally { open: 1, closing: 1, ..Tally::default() });
        pool.handle(ended(id), late);
        assert_eq!(pool.tally(), Tally { open: 1, ..Tally::default() });
    }

    #[test]
    fn a_dial_is_held_back_from_a_failure_until_its_time() {
        let (mut pool, now) = (pool(1), Instant::ORIGIN);
        assert_eq!(pool.held_back(now), None);
        let id = dial(&mut pool, now);
        pool.handle(ended(id), now);
        let due = pool.deadline(now).unwrap().at;
        assert_eq!(pool.held_back(now), Some(due.since(now)));
        assert_eq!(pool.held_back(due), None);
    }
}
