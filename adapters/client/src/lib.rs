//! Caches values in nothing, in memory or in Redis/Valkey, behind one small async API that forces
//! no runtime on anyone.
//!
//! A library takes a [`Cache`] and lets the application decide where it came from. The application
//! opens it by URL with the adapter for its runtime (`async-caches-tokio`, `async-caches-smol` or
//! `async-caches-async-std`), or, where no I/O is done, with this crate alone.
//!
//! Under construction.

mod backend;
mod builder;
mod cache;
mod error;
mod flights;
mod form;
mod memory;
mod ops;
mod redis;
pub mod runtime;
mod sync;

use std::hash::{BuildHasher, RandomState};

pub use async_caches_core::key::Version;
pub use async_caches_core::reply::Remaining;
pub use async_caches_core::ttl::Timeout;
pub use bytes::Bytes;

pub use self::builder::Builder;
pub use self::cache::Cache;
pub use self::error::{
    ConnectionError, Error, KeyError, LinkError, LoadError, OptionError, ProtocolError,
    ServerError, ServerErrorKind, UrlError,
};
pub use self::form::{Decode, Encode, Json, Raw};
pub use self::ops::{
    Add, Clear, ClearPrefix, Connect, Contains, Delete, DeleteMany, Delta, Disconnect, Get,
    GetMany, GetOrSet, Incr, Ping, Remains, Set, SetMany, Touch, TryGetOrSet,
};

/// Opens a cache that needs no runtime, `dummy://` or `locmem://`, without connecting it.
///
/// # Errors
/// [`Error::Url`], [`Error::Option`], and [`Error::NoRuntime`] for any other URL.
pub fn open(url: &str) -> Result<Cache, Error> {
    builder(url).build()
}

/// A builder of a cache that needs no runtime, or is given one with
/// [`Builder::runtime`].
pub fn builder(url: &str) -> Builder {
    Builder::new(url)
}

/// A number that nobody can foresee.
fn seed() -> u64 {
    RandomState::new().hash_one(0)
}
