//! The errors for a caller that got no connection.

use async_caches_core::error::ConnectionError;

use super::{Pool, State};
use crate::error::{Error, LinkError};

impl Pool {
    /// Why a caller got no connection in time.
    pub(super) fn given_up(&self, state: &State) -> Error {
        match state.why() {
            Some(_) => self.unavailable(state),
            None => Error::Timeout { after: self.response_timeout(), may_have_run: false },
        }
    }

    pub(super) fn unavailable(&self, state: &State) -> Error {
        self.failed_by(state.why().cloned().unwrap_or(ConnectionError::NotReadyInTime.into()))
    }

    pub(super) fn overloaded(&self) -> Error {
        Error::Overloaded { to: self.witness.topology.to_string() }
    }

    pub(super) fn failed_by(&self, source: LinkError) -> Error {
        Error::Unavailable { to: self.witness.topology.to_string(), source }
    }
}

impl State {
    /// The last error, if there was one since a connection was opened.
    fn why(&self) -> Option<&LinkError> {
        self.last_error.as_ref().or_else(|| self.sentinels.as_ref()?.why())
    }
}
