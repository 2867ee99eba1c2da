//! How a connection authenticates: in its handshake, and again when the credentials change.

use async_caches_core::url::Credentials;

use super::shared::SharedConnection;
use crate::sync::lock;

impl SharedConnection {
    /// How often the credentials had been set when the connection began.
    pub(in crate::redis) fn told(&self) -> u64 {
        self.told
    }

    /// Sends the credentials to the server, unless the connection takes no more commands.
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
