//! Which connections are kept apart, for commands that must be alone.
//!
//! A command that may have ended its connection is repeated alone (see
//! [`retry::Losses`](crate::retry::Losses)), on a connection that was dialled since: an older one
//! may have lost its server at the same time. Such a connection is kept apart: it takes no other
//! commands, and serves one suspect after the other once its own commands are answered. At most
//! half of the connections are kept apart, except that a single connection may be, so that suspects
//! hold up the other commands as little as possible.

use alloc::vec::Vec;

use crate::time::Instant;

/// An open connection, reduced to what the allotment depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lane {
    /// When it was dialled.
    pub dialled: Instant,
    /// Whether it is kept apart.
    pub kept: bool,
    /// Whether nothing is in flight.
    pub idle: bool,
}

/// Which suspect gets which connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Allotment {
    /// For each connection, whether it is kept apart from now on.
    pub kept: Vec<bool>,
    /// The suspects that may be sent now, by their places in the queue, each with its connection.
    pub go: Vec<(usize, usize)>,
    /// Whether one more connection is needed.
    pub demand: bool,
}

/// Allots connections to suspects in the order of their queue. `suspects` holds, for each, when its
/// connection ended. A connection that no suspect needs any more is kept apart until it is idle.
///
/// Costs a look at each connection for each suspect, until no connection is left.
#[must_use]
pub fn allot(lanes: &[Lane], suspects: impl IntoIterator<Item = Instant>) -> Allotment {
    let most = (lanes.len() / 2).max(1);
    let mut kept: Vec<bool> = lanes.iter().map(|lane| lane.kept).collect();
    let mut wanted: Vec<bool> = lanes.iter().map(|lane| lane.kept && !lane.idle).collect();
    let mut allotment = Allotment::default();
    for (place, since) in suspects.into_iter().enumerate() {
        let count = kept.iter().filter(|kept| **kept).count();
        let spare = wanted.iter().filter(|wanted| **wanted).count() < most;
        let of = |lane: &(usize, &Lane)| !wanted.get(lane.0).is_some_and(|it| *it);
        let fresh = || lanes.iter().enumerate().filter(|(_, lane)| lane.dialled >= since);
        let is_kept = |at: &usize| kept.get(*at).is_some_and(|kept| *kept);
        let mut free = fresh().filter(of);
        let own = free.clone().find(|(at, _)| is_kept(at));
        let idle = || free.clone().rev().find(|(_, lane)| lane.idle);
        let found = own.or_else(|| if count < most { idle() } else { None });
        let found = found.or_else(|| if count < most { free.next_back() } else { None });
        match found {
            Some((at, lane)) => {
                kept.iter_mut().skip(at).take(1).for_each(|kept| *kept = true);
                wanted.iter_mut().skip(at).take(1).for_each(|wanted| *wanted = true);
                if lane.idle {
                    allotment.go.push((place, at));
                }
            }
            None => {
                allotment.demand = true;
                if !spare {
                    break;
                }
            }
        }
    }
    for (kept, wanted) in kept.iter_mut().zip(&wanted) {
        *kept &= *wanted;
    }
    allotment.kept = kept;
    allotment
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn lane(dialled: u64, kept: bool, idle: bool) -> Lane {
        Lane { dialled: Instant::from_millis(dialled), kept, idle }
    }

    fn line(since: &[u64]) -> Vec<Instant> {
        since.iter().map(|at| Instant::from_millis(*at)).collect()
    }

    const KEPT: bool = true;
    const IDLE: bool = true;

    #[test]
    fn nothing_is_kept_apart_without_suspects() {
        let lanes = [lane(0, KEPT, IDLE), lane(0, !KEPT, IDLE)];
        assert_eq!(allot(&lanes, []), Allotment { kept: vec![false, false], ..Default::default() });
    }

    #[test]
    fn a_suspect_gets_an_idle_connection_that_is_fresh() {
        let lanes = [lane(9, !KEPT, !IDLE), lane(9, !KEPT, IDLE), lane(1, !KEPT, IDLE)];
        let kept = vec![false, true, false];
        assert_eq!(allot(&lanes, line(&[5])), Allotment { kept, go: vec![(0, 1)], demand: false });
    }

    #[test]
    fn no_suspect_gets_a_connection_that_is_older_than_its_loss() {
        let lanes = [lane(1, !KEPT, IDLE), lane(2, !KEPT, IDLE)];
        let kept = vec![false, false];
        assert_eq!(allot(&lanes, line(&[5])), Allotment { kept, go: vec![], demand: true });
    }

    #[test]
    fn a_busy_connection_is_kept_apart_until_it_is_idle() {
        let lanes = [lane(9, !KEPT, !IDLE)];
        let pending = Allotment { kept: vec![true], ..Default::default() };
        assert_eq!(allot(&lanes, line(&[5])), pending);
        // The suspect has gone away; the connection stays kept apart until it is idle.
        assert_eq!(allot(&[lane(9, KEPT, !IDLE)], []), pending);
        assert_eq!(allot(&[lane(9, KEPT, IDLE)], line(&[5])).go, [(0, 0)]);
    }

    #[test]
    fn between_one_and_half_of_the_connections_are_kept_apart() {
        for (connections, most) in [(1, 1), (2, 1), (3, 1), (4, 2), (10, 5)] {
            let lanes = vec![lane(9, !KEPT, IDLE); connections];
            let allotment = allot(&lanes, line(&[5; 20]));
            let kept = allotment.kept.iter().filter(|kept| **kept).count();
            assert_eq!((kept, allotment.go.len()), (most, most), "{connections}");
            assert!(allotment.demand, "the others want more");
        }
    }

    #[test]
    fn suspects_take_turns_on_one_connection() {
        let busy = [lane(9, KEPT, !IDLE), lane(1, !KEPT, IDLE)];
        let waiting = allot(&busy, line(&[5, 5]));
        assert_eq!((waiting.kept, waiting.go.len()), (vec![true, false], 0));
        let idle = [lane(9, KEPT, IDLE), lane(1, !KEPT, IDLE)];
        assert_eq!(allot(&idle, line(&[5, 5])).go, [(0, 0)]);
    }

    #[test]
    fn a_late_suspect_does_not_hold_up_those_behind_it() {
        let lanes = [lane(9, !KEPT, IDLE), lane(9, !KEPT, IDLE)];
        let allotment = allot(&lanes, line(&[50, 5]));
        assert_eq!(allotment.go, [(1, 1)]);
        assert!(allotment.demand);
    }
}
