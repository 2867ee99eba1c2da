//! A build without the feature `tls`: there is nothing to say about TLS but no.

use async_caches_core::options::Settings;
use async_caches_core::url::Server;

use super::TlsConfigError;
use crate::error::{Error, LinkError};
use crate::redis::Serving;
use crate::runtime::{Socket, Timer};

/// What an application would bring of its own; nothing.
#[derive(Clone, Default, Debug)]
pub(crate) struct Own(());

/// What no cache has.
#[derive(Clone, Debug)]
pub(crate) enum TlsClient {}

/// None where the URL asks for plain text, and else an error.
pub(crate) fn client(
    server: &Server,
    settings: &Settings,
    _: Own,
) -> Result<Option<TlsClient>, Error> {
    match server.tls(settings)? {
        None => Ok(None),
        Some(_) => Err(TlsConfigError::NotBuilt.into()),
    }
}

impl TlsClient {
    /// Nothing, as there is none.
    pub(crate) async fn serve<S: Socket, T: Timer>(self, _: &mut Serving, _: S, _: T) -> LinkError {
        match self {}
    }
}
