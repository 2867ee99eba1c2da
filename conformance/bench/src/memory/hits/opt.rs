//! Belady's OPT: the hits of a policy that knows the future, and so an upper bound for all others.
//!
//! It evicts the entry whose next use is farthest away. That may be the new one, as a cache need
//! not admit the entry that was just requested.

use std::collections::BinaryHeap;

use super::trace::Trace;

/// The number of requests that hit after the trace's warm-up, with room for this many entries.
pub(crate) fn hits(trace: &Trace, room: usize) -> u64 {
    let next = next_uses(trace);
    // For each kept id, the next request for it. The heap may also contain uses in the past.
    let mut kept = vec![GONE; trace.end() as usize];
    let (mut farthest, mut count, mut hits) = (BinaryHeap::new(), 0, 0);
    for (at, (&id, &next)) in trace.ids.iter().zip(&next).enumerate() {
        if kept[id as usize] == GONE {
            count += 1;
        } else if at >= trace.warm {
            hits += 1;
        }
        kept[id as usize] = next;
        farthest.push((next, id));
        while count > room {
            let Some((next, id)) = farthest.pop() else { break };
            if kept[id as usize] == next {
                kept[id as usize] = GONE;
                count -= 1;
            }
        }
    }
    hits
}

/// For each request, the index of the next request for the same id.
fn next_uses(trace: &Trace) -> Vec<u32> {
    let mut seen = vec![NEVER; trace.end() as usize];
    let mut next = vec![NEVER; trace.ids.len()];
    for (at, &id) in trace.ids.iter().enumerate().rev() {
        next[at] = std::mem::replace(&mut seen[id as usize], at as u32);
    }
    next
}

const NEVER: u32 = u32::MAX - 1;
const GONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn opt(ids: &[u32], room: usize) -> u64 {
        hits(&Trace::new(String::new(), ids.to_vec()), room)
    }

    #[test]
    fn opt_keeps_the_keys_that_are_used_again_soonest() {
        assert_eq!(opt(&[0, 1, 2, 0, 1, 2], 1), 1);
        assert_eq!(opt(&[0, 1, 2, 0, 1, 2, 0, 1, 2], 2), 4);
        assert_eq!(opt(&[0, 1, 2, 0, 1, 2], 3), 3);
        // A textbook's example. With forced admission it gives 11 hits of 20 with three frames.
        let textbook = [7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1];
        assert!(opt(&textbook, 3) >= 11);
    }

    #[test]
    fn opt_keeps_no_key_that_is_never_used_again() {
        assert_eq!(opt(&[0, 1, 2, 3, 0], 1), 1);
    }

    #[test]
    fn hits_while_warming_do_not_count() {
        let trace = Trace { name: String::new(), ids: vec![0, 0, 0, 0], warm: 2 };
        assert_eq!(hits(&trace, 1), 2);
    }
}
