//! How a link authenticates: in its handshake, and again when the credentials change.

use std::sync::Arc;

use async_caches_core::pool::Input;
use async_caches_core::url::Credentials;

use super::Shared;
use crate::redis::{Pool, unlock_and_wake};
use crate::sync::lock;

impl Shared {
    /// How often the credentials had been set when the link began.
    pub(in crate::redis) fn told(&self) -> u64 {
        self.told
    }

    /// Sends the credentials to the server, unless the link takes no more commands.
    pub(in crate::redis) fn authenticate(&self, credentials: &Credentials) {
        let now = self.runtime.now();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if state.connection.authenticate(credentials, now, &mut state.tx).is_err() {
            return;
        }
        let driver = state.wake();
        drop(guard);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

impl Pool {
    /// Sends the credentials to the server on each open link. Links that are being dialled send
    /// them once they are open.
    pub(crate) fn authenticate(&self, credentials: &Credentials) {
        let now = self.now();
        let mut state = lock(&self.state);
        state.decisions.handle(Input::Renewed, now);
        let links: Vec<_> = state.links.iter().map(|(_, link)| Arc::clone(link)).collect();
        unlock_and_wake(state);
        links.iter().for_each(|link| link.authenticate(credentials));
    }
}
