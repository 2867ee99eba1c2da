//! A build without the feature `tls`: a request for TLS is an error.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::task::{Context, Poll};

use async_caches_core::options::Settings;
use async_caches_core::url::{Endpoint, Server};
use bytes::BytesMut;

use crate::error::{ConnectionFailure, Error, TlsConfigError};
use crate::runtime::Socket;

/// The configuration of an application; always empty here.
#[derive(Clone, Default, Debug)]
pub(crate) struct Own(());

/// A client that no cache has.
#[derive(Clone, Debug)]
pub(crate) enum TlsClient {}

/// A socket that no connection uses.
#[derive(Debug)]
pub(crate) struct TlsSocket<S>(Infallible, PhantomData<S>);

/// Returns `None` if the URL asks for plain text, and an error otherwise.
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
    /// Never called, as no client exists.
    pub(crate) fn wrap<S: Socket>(
        &self,
        _: &Endpoint,
        _: S,
    ) -> Result<TlsSocket<S>, ConnectionFailure> {
        match *self {}
    }
}

impl<S> TlsSocket<S> {
    /// Never called either.
    pub(crate) fn explain(&self, _: ConnectionFailure) -> ConnectionFailure {
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
