//! What an application hangs into a cache: whom to tell what, beside the results of calls.

use crate::builder::Builder;
use crate::recorder::{Recorder, Recording};

/// Whom a cache tells what happens on its links.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) recorder: Option<Recording>,
}

impl Builder {
    /// Who takes in how links are used, for an application's metrics. See [`Recorder`].
    pub fn recorder(mut self, recorder: impl Recorder) -> Self {
        self.hooks.recorder = Some(Recording::new(recorder));
        self
    }
}
