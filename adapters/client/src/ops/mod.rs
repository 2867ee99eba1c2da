//! The operations: one named future each, lazy until polled, with its options as methods.
//!
//! All of them are put together alike. A future keeps what its caller gave it, makes a borrowed
//! [`Command`](async_caches_core::command::Command) of that in every poll, and hands it to its
//! [`Call`](crate::backend::Call). None of them is self-referential, so all are `Unpin`. Each borrows
//! its cache, unless `into_owned` has given it a clone of its own.

mod batch;
mod clear;
mod compare;
mod delete;
mod expiry;
mod get;
mod lifecycle;
mod load;
mod many;
mod number;
mod set;
mod spread;

pub use clear::{Clear, ClearPrefix};
pub use compare::DeleteIfEquals;
pub use delete::{Delete, DeleteMany};
pub use expiry::{Contains, Remains, Touch};
pub use get::Get;
pub use lifecycle::{Connect, Disconnect, Ping};
pub use load::{GetOrSet, TryGetOrSet};
pub use many::{GetEach, GetMany, SetMany};
pub use number::{Delta, Incr, IncrOrInsert, Integer};
pub use set::{Add, Set};

/// Gives operations the option that all operations on keys have.
macro_rules! takes_version {
    ($($name:ident<$($parameter:tt),*>),* $(,)?) => {$(
        impl<$($parameter),*> $name<$($parameter),*> {
            /// The version of the key, instead of the cache's default one. A text with a colon is
            /// an error.
            pub fn version(mut self, version: impl Into<async_caches_core::key::Version>) -> Self {
                self.version = Some(version.into());
                self
            }
        }
    )*};
}

/// Gives operations the options of those that set a timeout.
macro_rules! takes_timeout {
    ($($name:ident<$($parameter:tt),*>),* $(,)?) => {$(
        impl<$($parameter),*> $name<$($parameter),*> {
            /// How long from now, instead of the cache's default timeout, in whole milliseconds
            /// rounded up. Zero is an error; `None` is the default timeout.
            pub fn timeout(
                mut self,
                timeout: impl Into<async_caches_core::ttl::Timeout>,
            ) -> Self {
                self.timeout = timeout.into();
                self
            }

            /// Another name of [`timeout`](Self::timeout).
            pub fn ttl(self, timeout: impl Into<async_caches_core::ttl::Timeout>) -> Self {
                self.timeout(timeout)
            }

            /// For ever, whatever the cache's default timeout.
            pub fn forever(self) -> Self {
                self.timeout(async_caches_core::ttl::Timeout::Never)
            }
        }
    )*};
}

/// Gives lookups of JSON values the option that says what an unreadable entry is to them.
macro_rules! takes_unreadable {
    ($($name:ident<$($parameter:tt),*; $form:ty>),* $(,)?) => {$(
        impl<$($parameter,)* T> $name<$($parameter,)* $form> {
            /// An entry that cannot be read as a `T` is a miss, whatever the cache's default.
            pub fn unreadable_as_miss(mut self) -> Self {
                self.unreadable = async_caches_core::value::Unreadable::Miss;
                self
            }

            /// An entry that cannot be read as a `T` is an error, whatever the cache's default.
            pub fn unreadable_as_error(mut self) -> Self {
                self.unreadable = async_caches_core::value::Unreadable::Error;
                self
            }
        }
    )*};
}

/// Gives operations the form that owns all that it needs: the cache, and a copy of the key.
macro_rules! becomes_owned {
    ($($name:ident<$($parameter:ident),*> { $($field:ident),* $(,)? }),* $(,)?) => {$(
        impl<K: AsRef<[u8]>, $($parameter),*> $name<'_, K, $($parameter),*> {
            /// The same operation with a clone of the cache and a copy of the key, so that it borrows
            /// neither, and a task can be spawned from it. Costs an allocation.
            pub fn into_owned(self) -> $name<'static, bytes::Bytes, $($parameter),*> {
                $name {
                    cache: self.cache.owned(),
                    key: bytes::Bytes::copy_from_slice(self.key.as_ref()),
                    $($field: self.$field),*
                }
            }
        }
    )*};
}

/// The same for operations on no key, or with keys of their own.
macro_rules! owns_its_cache {
    ($($name:ident$(<$($parameter:ident),*>)? { $($field:ident),* $(,)? }),* $(,)?) => {$(
        impl$(<$($parameter),*>)? $name<'_, $($($parameter),*)?> {
            /// The same operation with a clone of the cache, so that it does not borrow it, and a task
            /// can be spawned from it.
            pub fn into_owned(self) -> $name<'static, $($($parameter),*)?> {
                $name { cache: self.cache.owned(), $($field: self.$field),* }
            }
        }
    )*};
}

use {becomes_owned, owns_its_cache, takes_timeout, takes_unreadable, takes_version};
