//! Counts steps in tests, so that they can assert a cost without a clock. Elsewhere it is nothing.

/// How many steps were taken.
#[derive(Debug)]
pub(super) struct Work {
    #[cfg(test)]
    steps: core::cell::Cell<u64>,
}

impl Work {
    /// No steps.
    pub(super) const fn new() -> Self {
        Self {
            #[cfg(test)]
            steps: core::cell::Cell::new(0),
        }
    }

    /// One step more.
    #[inline(always)]
    pub(super) fn count(&self) {
        #[cfg(test)]
        self.steps.set(self.steps.get() + 1);
    }

    #[cfg(test)]
    pub(super) fn steps(&self) -> u64 {
        self.steps.get()
    }
}
