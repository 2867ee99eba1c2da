//! Counts steps in tests, so that they can assert a cost without a clock. Outside of tests it does
//! nothing.

/// A count of the steps taken.
#[derive(Debug)]
pub(crate) struct Work {
    #[cfg(test)]
    steps: core::cell::Cell<u64>,
}

impl Work {
    /// No steps.
    pub(crate) const fn new() -> Self {
        Self {
            #[cfg(test)]
            steps: core::cell::Cell::new(0),
        }
    }

    /// One step more.
    #[inline(always)]
    pub(crate) fn count(&self) {
        #[cfg(test)]
        self.steps.set(self.steps.get() + 1);
    }

    #[cfg(test)]
    pub(crate) fn steps(&self) -> u64 {
        self.steps.get()
    }
}
