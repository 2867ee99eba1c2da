//! Caches values in nothing, in memory or in Redis/Valkey, behind one small async API that works
//! with any runtime.
//!
//! A library takes a [`Cache`] and lets the application decide where it comes from. The application
//! opens it by URL with the adapter for its runtime (`async-caches-tokio`, `async-caches-smol` or
//! `async-caches-async-std`), or with this crate alone if no I/O is needed.
//!
//! ```
//! # fn main() { block_on(example()).unwrap() }
//! # async fn example() -> Result<(), async_caches::Error> {
//! use std::time::Duration;
//!
//! let cache = async_caches::open("locmem://default?timeout=600")?;
//! cache.connect().await?;
//!
//! cache.set("user:1", "Ada").await?;
//! cache.set("user:1", "Countess").version(2).timeout(Duration::from_secs(60)).await?;
//! let user: Option<String> = cache.get("user:1").version(2).await?;
//! assert_eq!(user.as_deref(), Some("Countess"));
//!
//! let sum = cache.get_or_set("sum", async { 1 + 1 }).await?; // polled only on a miss
//! assert_eq!(sum, 2);
//! assert_eq!(cache.incr("sum", 40).await?, 42);
//!
//! cache.disconnect().await?;
//! # Ok(())
//! # }
//! # // A store in memory never waits, so any executor will do.
//! # fn block_on<T>(future: impl Future<Output = T>) -> T {
//! #     let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
//! #     match std::pin::pin!(future).poll(&mut cx) {
//! #         std::task::Poll::Ready(value) => value,
//! #         std::task::Poll::Pending => unreachable!("it waits for nothing"),
//! #     }
//! # }
//! ```
//!
//! # Backends
//!
//! | URL | backend |
//! |---|---|
//! | `dummy://` | nothing is kept; values must still serialize |
//! | `locmem://name` | this process's memory, shared by all caches of that name |
//! | `redis://user:password@host:port/db`, `valkey://`, `redis+unix:///path?db=1` | a server; needs an adapter |
//! | `rediss://user:password@host:port/db`, `valkeys://` | the same over TLS; needs its feature `tls` |
//! | `redis-sentinel://host,host/service/db` | the master that sentinels name |
//! | `redis-cluster://host,host`, `rediss-cluster://` | a cluster, found from any of its nodes |
//!
//! Options are given in the URL's query or to the [`Builder`], which takes precedence: `timeout`,
//! `version`, `key_prefix`, `minsize`, `maxsize`, `max_in_flight`, `max_queued_bytes`,
//! `max_waiting`, `max_entries`, `max_bytes`, `connect_timeout`, `response_timeout`, `load_wait`,
//! `max_connection_age`, `name`, `replica_reads`, `unreadable`, `protocol`, `tls_ca`, `tls_cert`,
//! `tls_key`, `tls_server_name`, `tls_verify`, `tls_dangerously_accept_any_certificate`. Durations
//! in a URL are seconds, with decimals or without.
//!
//! # What all operations have in common
//!
//! * An operation is a future of its own and does nothing until it is awaited. Its options
//!   (`.version(..)`, `.timeout(..)`, `.forever()`) are set before that.
//! * It means the same on every backend. On a server it ends by its deadline.
//! * It can be dropped at any time. Its reply is then discarded.
//! * A key is the bytes `prefix:version:key` and a value is JSON text. Both are written as the
//!   Python package `async-caches` writes them. `get_raw` and `set_raw` pass bytes through
//!   unchanged.
//! * A store in memory completes an operation in its first poll. A thread of the process, started
//!   with the first timeout, frees the memory of expired entries.
//! * If it fails, the [`Error`] names the invalid part of the input, or reports whether a retry may
//!   help ([`Error::is_retryable`]) and whether the server may have run it
//!   ([`Error::may_have_run`]). No error shows a password.
//!
//! # Modules
//!
//! | module | duty |
//! |---|---|
//! | `cache`, `builder`, `error` | the public face |
//! | `ops`, `form` | one future for each operation; JSON or bytes |
//! | `credentials` | the credentials, which may change |
//! | `resolver` | the addresses of a host name, if the runtime should not resolve it |
//! | `tls` | the TLS settings, fixed before there is a connection |
//! | `backend`, `memory`, `redis`, `cluster` | a command's way to its backend |
//! | `unreadable` | entries that cannot be read as the type asked for |
//! | `info` | what a cache is doing, for a dashboard |
//! | `hooks`, `recorder`, `notices`, `events` | the observers: metrics, a subscriber, and the log |
//! | `flights`, `chain`, `alarm` | callers that load the same key share one load; no caller waits for itself, or for too long |
//! | [`runtime`] | what an adapter implements |
//!
//! All decisions are made in `async-caches-core`, which knows neither runtimes nor wakers. This
//! crate adds the futures, locks and wakers around it.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic))]

mod alarm;
mod backend;
mod bell;
mod builder;
mod by_hand;
mod cache;
mod call;
mod chain;
mod clock;
mod cluster;
mod codec_error;
mod connect_config;
mod credentials;
mod error;
mod events;
mod faults;
mod flights;
mod form;
mod handle;
mod hooks;
mod info;
mod memory;
mod notices;
mod ops;
mod recorder;
mod redis;
mod registry;
mod resolver;
pub mod runtime;
mod seed;
mod shared;
mod sleeper;
mod sync;
mod target;
mod tls;
mod translation;
mod unreadable;
mod waker;

pub use async_caches_core::connection::Protocol;
pub use async_caches_core::key::{IntoName, Name, NameBytes, Version};
pub use async_caches_core::memory::Stats;
pub use async_caches_core::options::TlsVerify;
pub use async_caches_core::reply::Remaining;
pub use async_caches_core::secret::Secret;
#[cfg(feature = "tls")]
pub use async_caches_core::tls::TlsError;
pub use async_caches_core::ttl::Timeout;
pub use async_caches_core::url::{Credentials, Service, Topology};
pub use async_caches_core::value::Unreadable;
pub use bytes::Bytes;
#[cfg(feature = "tls")]
pub use rustls;

pub use self::builder::Builder;
pub use self::cache::Cache;
pub use self::clock::ManualClock;
pub use self::codec_error::CodecError;
pub use self::credentials::{CredentialsError, CredentialsProvider};
pub use self::error::{
    ConnectionError, ConnectionFailure, Error, KeyError, LoadError, MapError, OptionError,
    ProtocolError, ServerError, ServerErrorKind, TlsConfigError, TooManyRedirects, UrlError,
};
pub use self::faults::{Fault, Faults};
pub use self::form::{Codec, Decode, Encode, EncodeAs, Json, Raw};
pub use self::info::{
    BackendInfo, ClusterInfo, Info, LastError, MemoryInfo, NodeInfo, PoolInfo, ServerSeen,
};
pub use self::notices::{ConnectionName, Invalidated, Notice, Push, Tracking};
pub use self::ops::{
    Add, Clear, ClearPrefix, Connect, Contains, Delete, DeleteIfEquals, DeleteMany, Delta,
    Disconnect, Get, GetEach, GetMany, GetOrSet, GetRemaining, Incr, IncrOrInsert, Integer, Ping,
    Set, SetMany, Touch, TryGetOrSet,
};
pub use self::recorder::{Batch, Recorder};
pub use self::resolver::Resolve;
pub use self::shared::Shared;

/// Opens a cache that needs no runtime (`dummy://` or `locmem://`), without connecting it.
///
/// # Errors
/// [`Error::Url`], [`Error::Option`], and [`Error::NoRuntime`] for any other URL.
pub fn open(url: &str) -> Result<Cache, Error> {
    builder(url).build()
}

/// Returns a builder for a cache that needs no runtime, or that is given one with
/// [`Builder::runtime`].
pub fn builder(url: &str) -> Builder {
    Builder::new(url)
}
