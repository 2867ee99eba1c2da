//! A build without the feature `tls`: there is nothing to say about TLS but no.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::task::{Context, Poll};

use async_caches_core::options::Settings;
use async_caches_core::url::{Endpoint, Server};
use bytes::BytesMut;

use super::TlsConfigError;
use crate::error::{Error, LinkError};
use crate::runtime::Socket;

/// What an application would bring of its own; nothing.
#[derive(Clone, Default, Debug)]
pub(crate) struct Own(());

/// What no cache has.
#[derive(Clone, Debug)]
pub(crate) enum TlsClient {}

/// What no connection goes over.
#[derive(Debug)]
pub(crate) struct TlsSocket<S>(Infallible, PhantomData<S>);

/// None where the URL asks for plain text, and else an error.
pub(crate) fn client(
    server: &Server,
    settings: &Settings,
    scheme: &str,
    _: Own,
) -> Result<Option<TlsClient>, Error> {
    match server.tls(settings)? {
        None => Ok(None),
        Some(_) => Err(TlsConfigError::NotBuilt { scheme: scheme.into() }.into()),
    }
}

impl TlsClient {
    /// Nothing, as there is none.
    pub(crate) fn wrap<S: Socket>(&self, _: &Endpoint, _: S) -> Result<TlsSocket<S>, LinkError> {
        match *self {}
    }
}

impl<S> TlsSocket<S> {
    /// Nothing either.
    pub(crate) fn explain(&self, _: LinkError) -> LinkError {
        match self.0 {}
    }
}

impl<S: Socket> Socket for TlsSocket<S> {
    fn poll_read(&mut self, _: &mut BytesMut, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    fn poll_write(&mut self, _: &[IoSlice<'_>], _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self.0 {}
    }
}
