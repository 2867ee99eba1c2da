//! Belady's OPT: what a policy that knew the future would hit, and so the ceiling for all others.
//!
//! Of all that it might keep it lets go of what is used again last, the newcomer among it: a cache
//! need not admit what it was asked for.

use std::collections::BinaryHeap;

use super::trace::Trace;

/// How many requests of a trace hit, after its warming, with room for so many.
pub(crate) fn hits(trace: &Trace, room: usize) -> u64 {
    let next = next_uses(trace);
    // When an id that is kept is used next. The heap may name uses that have passed.
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

/// For each request, which one asks for the same id next.
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
    fn it_keeps_what_comes_again_soonest() {
        assert_eq!(opt(&[0, 1, 2, 0, 1, 2], 1), 1);
        assert_eq!(opt(&[0, 1, 2, 0, 1, 2, 0, 1, 2], 2), 4);
        assert_eq!(opt(&[0, 1, 2, 0, 1, 2], 3), 3);
        // A textbook's example, there with forced admission: 11 hits of 20 with three frames.
        let textbook = [7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1];
        assert!(opt(&textbook, 3) >= 11);
    }

    #[test]
    fn what_is_never_used_again_takes_no_room() {
        assert_eq!(opt(&[0, 1, 2, 3, 0], 1), 1);
    }

    #[test]
    fn hits_while_warming_do_not_count() {
        let trace = Trace { name: String::new(), ids: vec![0, 0, 0, 0], warm: 2 };
        assert_eq!(hits(&trace, 1), 2);
    }
}
