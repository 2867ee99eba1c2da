//! The errors for a caller that got no connection.

use async_caches_core::error::ConnectionError;

use super::state::{Pool, PoolState};
use crate::error::{ConnectionFailure, Error};

impl Pool {
    /// Why a caller got no connection in time.
    pub(in crate::redis) fn given_up(&self, state: &PoolState) -> Error {
        match state.why() {
            Some(_) => self.unavailable(state),
            None => Error::Timeout { after: self.response_timeout(), may_have_run: false },
        }
    }

    pub(in crate::redis) fn unavailable(&self, state: &PoolState) -> Error {
        self.failed_by(state.why().cloned().unwrap_or(ConnectionError::NotReadyInTime.into()))
    }

    pub(in crate::redis) fn overloaded(&self) -> Error {
        Error::Overloaded { to: self.config.observer.topology.to_string() }
    }

    pub(in crate::redis) fn failed_by(&self, source: ConnectionFailure) -> Error {
        Error::Unavailable { to: self.config.observer.topology.to_string(), source }
    }
}

impl PoolState {
    /// The last error, if there was one since a connection was opened.
    fn why(&self) -> Option<&ConnectionFailure> {
        self.last_error.as_ref().or_else(|| self.sentinels.as_ref()?.why())
    }
}
