//! The part that all operations on one key have in common.

use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::key::{IntoName, Key, Name, Version};
use async_caches_core::reply::Reply;
use bytes::Bytes;

use crate::cache::Cache;
use crate::call::Call;
use crate::error::Error;
use crate::handle::Handle;

/// An operation's cache, the name and version of its key, and its command under way.
#[derive(Debug)]
pub(super) struct Keyed<'c> {
    pub(super) cache: Handle<'c>,
    pub(super) name: Name<'c>,
    pub(super) version: Option<Version>,
    call: Call,
}

impl<'c> Keyed<'c> {
    #[inline(always)]
    pub(super) fn new(cache: &'c Cache, key: impl IntoName + 'c) -> Self {
        let (name, call) = (key.into_name(), Call::default());
        Self { cache: cache.into(), name, version: None, call }
    }

    /// The same with a clone of the cache, and a copy of the name unless it is owned already.
    pub(super) fn into_owned(self) -> Keyed<'static> {
        let Self { cache, name, version, call } = self;
        Keyed { cache: cache.owned(), name: name.into_owned(), version, call }
    }

    /// The whole key.
    ///
    /// # Errors
    /// [`Error::Key`] if the version holds a colon.
    #[inline(always)]
    pub(super) fn key(&self) -> Result<Key<'_>, Error> {
        Ok(self.cache.scope(self.version.as_ref())?.key(self.name.as_bytes()))
    }

    /// Gives up the command under way, if there is one. The next one begins with this call.
    pub(super) fn renew(&mut self, call: Call) {
        self.call = call;
    }

    /// Ready with the reply to `command`; otherwise like [`Call::poll`].
    #[inline(always)]
    pub(super) fn poll<'k>(
        &'k mut self,
        cx: &Context<'_>,
        command: impl FnOnce(&'k Cache, Key<'k>) -> Result<Command<'k>, Error>,
    ) -> Poll<Result<Reply, Error>> {
        let Self { cache, name, version, call } = self;
        let (cache, name) = (&**cache, name.as_bytes());
        call.poll(cache, name, cx, || command(cache, cache.scope(version.as_ref())?.key(name)))
    }

    /// Like [`poll`](Self::poll), for a command that gets a flag.
    #[inline(always)]
    pub(super) fn poll_flag<'k>(
        &'k mut self,
        cx: &Context<'_>,
        command: impl FnOnce(&'k Cache, Key<'k>) -> Result<Command<'k>, Error>,
    ) -> Poll<Result<bool, Error>> {
        Poll::Ready(match ready!(self.poll(cx, command))? {
            Reply::Flag(flag) => Ok(flag),
            _ => Err(Error::mismatch()),
        })
    }

    /// Ready with the bytes of the key, or `None`.
    #[inline(always)]
    pub(super) fn poll_value(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        let Self { cache, name, version, call } = self;
        let (cache, name) = (&**cache, name.as_bytes());
        let get = || Ok(Command::Get(cache.scope(version.as_ref())?.key(name)));
        call.poll_value(cache, name, cx, get)
    }
}
