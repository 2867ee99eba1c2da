//! The longest of many operations, by the wall and by the thread's own time on a core.
//!
//! A machine pauses threads, and so no operation's wall time is its own. The time on a core is,
//! but for what the system does in the thread's name; how much that is a control shows, which does
//! nothing but look at the clocks.

use std::time::{Duration, Instant};

use crate::memory::usage::thread_cpu;

/// Looks at every operation.
#[derive(Debug)]
pub(crate) struct Watch {
    wall: Instant,
    cpu: Duration,
    longest: Longest,
}

/// The longest of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Longest {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Watch {
    /// Begins.
    pub(crate) fn new() -> Self {
        Self { wall: Instant::now(), cpu: thread_cpu(), longest: Longest::default() }
    }

    /// The next operation begins now: what was done since the last one ended does not count.
    pub(crate) fn begin(&mut self) {
        (self.wall, self.cpu) = (Instant::now(), thread_cpu());
    }

    /// An operation ended now, and the next one begins.
    pub(crate) fn end(&mut self) {
        let (wall, cpu) = (Instant::now(), thread_cpu());
        self.longest.wall = self.longest.wall.max(wall - self.wall);
        self.longest.cpu = self.longest.cpu.max(cpu.saturating_sub(self.cpu));
        (self.wall, self.cpu) = (wall, cpu);
    }

    /// The longest so far.
    pub(crate) fn longest(&self) -> Longest {
        self.longest
    }
}

/// The longest pause of a thread that does nothing but watch for so long.
pub(crate) fn control(span: Duration) -> Longest {
    let (begin, mut watch) = (Instant::now(), Watch::new());
    while begin.elapsed() < span {
        watch.end();
    }
    watch.longest()
}

impl Longest {
    /// The longer of each.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { wall: self.wall.max(other.wall), cpu: self.cpu.max(other.cpu) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_counts_by_the_wall_and_not_as_the_threads_own_time() {
        let mut watch = Watch::new();
        watch.end();
        std::thread::sleep(Duration::from_millis(50));
        watch.end();
        let longest = watch.longest();
        assert!(longest.wall >= Duration::from_millis(50), "{longest:?}");
        assert!(longest.cpu < Duration::from_millis(25), "{longest:?}");
    }

    #[test]
    fn what_lies_between_operations_does_not_count() {
        let mut watch = Watch::new();
        std::thread::sleep(Duration::from_millis(50));
        watch.begin();
        watch.end();
        assert!(watch.longest().wall < Duration::from_millis(40), "{:?}", watch.longest());
    }
}
