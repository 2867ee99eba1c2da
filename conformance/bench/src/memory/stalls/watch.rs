//! The longest of many operations, by wall time and by the thread's own CPU time.
//!
//! A machine pauses threads, so the wall time of an operation includes other work. The CPU time is
//! the operation's own, except for what the system does on behalf of the thread. A control that
//! does nothing but read the clocks shows how much that is.

use std::time::{Duration, Instant};

use crate::memory::usage::thread_cpu;

/// Times every operation.
#[derive(Debug)]
pub(crate) struct Watch {
    wall: Instant,
    cpu: Duration,
    longest: Longest,
}

/// The longest wall time and the longest CPU time of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Longest {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Watch {
    /// Starts timing.
    pub(crate) fn new() -> Self {
        Self { wall: Instant::now(), cpu: thread_cpu(), longest: Longest::default() }
    }

    /// Begins the next operation now; the time since the last one ended does not count.
    pub(crate) fn begin(&mut self) {
        (self.wall, self.cpu) = (Instant::now(), thread_cpu());
    }

    /// Ends an operation now, and begins the next one.
    pub(crate) fn end(&mut self) {
        let (wall, cpu) = (Instant::now(), thread_cpu());
        self.longest.wall = self.longest.wall.max(wall - self.wall);
        self.longest.cpu = self.longest.cpu.max(cpu.saturating_sub(self.cpu));
        (self.wall, self.cpu) = (wall, cpu);
    }

    /// The longest times so far.
    pub(crate) fn longest(&self) -> Longest {
        self.longest
    }
}

/// The longest pauses of a thread that does nothing but read the clocks for this long.
pub(crate) fn control(span: Duration) -> Longest {
    let (begin, mut watch) = (Instant::now(), Watch::new());
    while begin.elapsed() < span {
        watch.end();
    }
    watch.longest()
}

impl Longest {
    /// The longer of both, separately for wall and CPU time.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { wall: self.wall.max(other.wall), cpu: self.cpu.max(other.cpu) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_counts_as_wall_time_but_not_as_cpu_time() {
        let mut watch = Watch::new();
        watch.end();
        std::thread::sleep(Duration::from_millis(50));
        watch.end();
        let longest = watch.longest();
        assert!(longest.wall >= Duration::from_millis(50), "{longest:?}");
        assert!(longest.cpu < Duration::from_millis(25), "{longest:?}");
    }

    #[test]
    fn time_between_operations_does_not_count() {
        let mut watch = Watch::new();
        std::thread::sleep(Duration::from_millis(50));
        watch.begin();
        watch.end();
        assert!(watch.longest().wall < Duration::from_millis(40), "{:?}", watch.longest());
    }
}
