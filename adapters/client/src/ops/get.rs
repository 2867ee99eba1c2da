//! `get` and `get_raw`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_caches_core::command::Command;
use async_caches_core::key::{IntoName, Version};
use async_caches_core::value::Unreadable;
use serde::de::DeserializeOwned;

use super::options::{becomes_owned, takes_unreadable, takes_version};
use crate::cache::Cache;
use crate::call::Call;
use crate::error::Error;
use crate::form::{Decode, Form, Json, Raw};
use crate::handle::Handle;

/// The future of [`Cache::get`] and [`Cache::get_raw`].
#[derive(Debug)]
#[must_use = "an operation does nothing until it is awaited"]
pub struct Get<'c, K, D> {
    cache: Handle<'c>,
    key: K,
    version: Option<Version>,
    call: Call,
    unreadable: Unreadable,
    form: Form<D>,
}

takes_version!(Get<'c, K, D>);
becomes_owned!(Get<D> { version, call, unreadable, form });
takes_unreadable!(Get<'c, K; Json<T>>);

impl Cache {
    /// Returns the value of a key, or `None` if the key does not exist. A stored `null` is a value:
    /// `get::<Option<T>>` tells `Some(None)` from `None`.
    ///
    /// # Errors
    /// [`Error::Deserialize`], with the key and the reason, if the value is not a `T`. With
    /// [`unreadable_as_miss`](Get::unreadable_as_miss), or the cache's option for it, the result is
    /// `None` instead. Also the backend's errors. An entry that is a list, or another type of the
    /// server's, is a [`ServerErrorKind::WrongType`](crate::ServerErrorKind::WrongType), with the
    /// key, or likewise `None`.
    pub fn get<T: DeserializeOwned>(
        &self,
        key: impl IntoName,
    ) -> Get<'_, impl AsRef<[u8]>, Json<T>> {
        get(self, key.into_name(), self.unreadable())
    }

    /// Returns the bytes of a key, as they are stored.
    ///
    /// A value of at most 256 bytes from a server shares a block of 2 KiB with others. If it is
    /// kept for long it keeps the whole block, so it is better copied.
    ///
    /// # Errors
    /// The backend's errors.
    pub fn get_raw<K: IntoName>(&self, key: K) -> Get<'_, K::Name, Raw> {
        get(self, key.into_name(), Unreadable::Error)
    }
}

fn get<K, D>(cache: &Cache, key: K, unreadable: Unreadable) -> Get<'_, K, D> {
    Get {
        cache: cache.into(),
        key,
        version: None,
        call: Call::default(),
        unreadable,
        form: Form::default(),
    }
}

impl<K, D> Unpin for Get<'_, K, D> {}

impl<K: AsRef<[u8]>, D: Decode> Future for Get<'_, K, D> {
    type Output = Result<Option<D::Value>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let name = this.key.as_ref();
        let (cache, version) = (&*this.cache, this.version.as_ref());
        let get = || Ok(Command::Get(cache.scope(version)?.key(name)));
        Poll::Ready(match ready!(this.call.poll_value(cache, name, cx, get)) {
            Ok(Some(bytes)) => cache.reports().read::<D>(name, bytes, this.unreadable, "GET"),
            Ok(None) => Ok(None),
            Err(error) => cache.reports().failed(error, this.unreadable, "GET"),
        })
    }
}
