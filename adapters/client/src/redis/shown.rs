//! When callers are shown a pool's connections anew.
//!
//! To show them costs as much as there are, so while many open or end one after another callers are
//! shown some of these changes at a time. Until then they pass by a connection that has ended, as it
//! says so itself, and a caller that finds none with room asks the pool.

/// What callers were shown last, and how much has changed since.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Whether there was no room for more connections.
    full: bool,
    /// How many connections have opened or ended since.
    changes: usize,
}

impl Shown {
    /// A connection has opened or ended.
    pub(super) fn change(&mut self) {
        self.changes += 1;
    }

    /// Whether to show callers the `open` connections now: there is room for more and there was none,
    /// or the other way round; or much has changed.
    pub(super) fn is_stale(&self, open: usize, full: bool) -> bool {
        self.full != full || open < MANY || self.changes > open / 16
    }

    /// Callers are shown how things are.
    pub(super) fn renew(&mut self, full: bool) {
        (self.full, self.changes) = (full, 0);
    }
}

/// From so many open connections on changes are shown some at a time.
const MANY: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    /// How many connections callers are shown in all while these are open, one after another.
    fn cost(open: impl IntoIterator<Item = usize>) -> usize {
        let mut shown = Shown::default();
        let mut cost = 0;
        for open in open {
            shown.change();
            if shown.is_stale(open, false) {
                shown.renew(false);
                cost += open;
            }
        }
        cost
    }

    #[test]
    fn what_is_shown_grows_with_the_number_of_changes_however_many_are_open() {
        for count in [100, 1_000, 10_000, 100_000] {
            let (opened, ended) = (cost(1..=count), cost((0..count).rev()));
            let most = count * 16 + MANY * MANY;
            assert!(opened <= most && ended <= most, "{count}: {opened} and {ended}, not {most}");
        }
    }

    #[test]
    fn few_connections_are_shown_at_each_change_and_a_pool_that_is_full_or_not_any_more_at_once() {
        let mut shown = Shown::default();
        shown.renew(true);
        shown.change();
        assert!(shown.is_stale(MANY - 1, true));
        assert!(!shown.is_stale(MANY, true));
        assert!(shown.is_stale(10_000, false));
    }
}
