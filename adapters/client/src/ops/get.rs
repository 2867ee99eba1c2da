//! `get` and `get_raw`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::key::Version;
use serde::de::DeserializeOwned;

use super::takes_version;
use crate::backend::Call;
use crate::cache::Cache;
use crate::error::Error;
use crate::form::{Decode, Form, Json, Raw};

/// The future of [`Cache::get`] and [`Cache::get_raw`].
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Get<'c, K, D> {
    cache: &'c Cache,
    key: K,
    version: Option<Version>,
    call: Call,
    form: Form<D>,
}

takes_version!(Get<'c, K, D>);

impl Cache {
    /// The value of a key, or `None` where there is none. A stored `null` is a value:
    /// `get::<Option<T>>` tells `Some(None)` from `None`.
    ///
    /// # Errors
    /// [`Error::Deserialize`] where the value is no `T`, and those of the backend.
    pub fn get<T: DeserializeOwned>(
        &self,
        key: impl AsRef<[u8]>,
    ) -> Get<'_, impl AsRef<[u8]>, Json<T>> {
        get(self, key)
    }

    /// The bytes of a key, as they are stored.
    ///
    /// A value of at most 256 bytes from a server shares a block of 2 KiB with others: one that is
    /// kept for long keeps the block, and is better copied.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn get_raw<K: AsRef<[u8]>>(&self, key: K) -> Get<'_, K, Raw> {
        get(self, key)
    }
}

fn get<K, D>(cache: &Cache, key: K) -> Get<'_, K, D> {
    Get { cache, key, version: None, call: Call::default(), form: Form::default() }
}

impl<K, D> Unpin for Get<'_, K, D> {}

impl<K: AsRef<[u8]>, D: Decode> Future for Get<'_, K, D> {
    type Output = Result<Option<D::Value>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let name = this.key.as_ref();
        let (cache, version) = (this.cache, this.version.as_ref());
        let get = || Ok(Command::Get(cache.scope(version)?.key(name)));
        let value = ready!(this.call.poll_value(cache, name, cx, get))?;
        let decode = |bytes| D::decode(bytes).map_err(|source| Error::deserialize(name, source));
        Poll::Ready(value.map(decode).transpose())
    }
}
