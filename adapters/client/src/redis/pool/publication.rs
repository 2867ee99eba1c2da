//! When to publish a pool's connections to callers.
//!
//! Publishing costs as much as there are connections. So while many open or end one after another,
//! only some of the changes are published. Until then callers skip a connection that has ended, as
//! its load marks it as closed, and a caller that finds none with room asks the pool.

/// The state that was last published, and how much has changed since.
#[derive(Debug, Default)]
pub(in crate::redis) struct Publication {
    /// Whether no more connections could be opened.
    full: bool,
    /// How many connections have opened or ended since.
    changes: usize,
}

impl Publication {
    /// Notes that a connection has opened or ended.
    pub(in crate::redis) fn change(&mut self) {
        self.changes += 1;
    }

    /// Whether to publish the `open` connections now: the pool has become full or is no longer
    /// full, or much has changed.
    pub(in crate::redis) fn is_stale(&self, open: usize, full: bool) -> bool {
        self.full != full || open < MANY || self.changes > open / 16
    }

    /// Notes that the present state is published.
    pub(in crate::redis) fn renew(&mut self, full: bool) {
        (self.full, self.changes) = (full, 0);
    }
}

/// From this many open connections on, only some of the changes are published.
const MANY: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    /// How many connections are published in total while these are open, one after another.
    fn cost(open: impl IntoIterator<Item = usize>) -> usize {
        let mut publication = Publication::default();
        let mut cost = 0;
        for open in open {
            publication.change();
            if publication.is_stale(open, false) {
                publication.renew(false);
                cost += open;
            }
        }
        cost
    }

    #[test]
    fn the_cost_of_publishing_is_linear_in_the_number_of_changes() {
        for count in [100, 1_000, 10_000, 100_000] {
            let (opened, ended) = (cost(1..=count), cost((0..count).rev()));
            let most = count * 16 + MANY * MANY;
            assert!(opened <= most && ended <= most, "{count}: {opened} and {ended}, not {most}");
        }
    }

    #[test]
    fn few_connections_and_changes_of_fullness_are_published_at_once() {
        let mut publication = Publication::default();
        publication.renew(true);
        publication.change();
        assert!(publication.is_stale(MANY - 1, true));
        assert!(!publication.is_stale(MANY, true));
        assert!(publication.is_stale(10_000, false));
    }
}
