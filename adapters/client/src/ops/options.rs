//! The options that several operations have in common, as macros that add them.

/// Adds the `version` option to operations on keys. The path after a type leads to its version.
macro_rules! takes_version {
    ($($name:ident<$($parameter:tt),*> { $($field:tt).+ }),* $(,)?) => {$(
        impl<$($parameter),*> $name<$($parameter),*> {
            /// The version of the key, instead of the cache's default one. A text with a colon is
            /// an error.
            pub fn version(mut self, version: impl Into<async_caches_core::key::Version>) -> Self {
                self.$($field).+ = Some(version.into());
                self
            }
        }
    )*};
}

/// Adds the timeout options to operations that set one.
macro_rules! takes_timeout {
    ($($name:ident<$($parameter:tt),*>),* $(,)?) => {$(
        impl<$($parameter),*> $name<$($parameter),*> {
            /// The time until expiry, instead of the cache's default timeout, in whole milliseconds
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

            /// No expiry, whatever the cache's default timeout.
            pub fn forever(self) -> Self {
                self.timeout(async_caches_core::ttl::Timeout::Never)
            }
        }
    )*};
}

/// Adds the options for unreadable entries to lookups of JSON values.
macro_rules! takes_unreadable {
    ($($name:ident<$($parameter:tt),*; $form:ty>),* $(,)?) => {$(
        impl<$($parameter,)* T> $name<$($parameter,)* $form> {
            /// Treats an entry that cannot be read as a `T` as a miss, whatever the cache's
            /// default.
            pub fn unreadable_as_miss(mut self) -> Self {
                self.unreadable = async_caches_core::value::Unreadable::Miss;
                self
            }

            /// Treats an entry that cannot be read as a `T` as an error, whatever the cache's
            /// default.
            pub fn unreadable_as_error(mut self) -> Self {
                self.unreadable = async_caches_core::value::Unreadable::Error;
                self
            }
        }
    )*};
}

/// Adds `into_owned` to operations on one key.
macro_rules! becomes_owned {
    ($($name:ident$(<$($parameter:ident),*>)? { $($field:ident),* $(,)? }),* $(,)?) => {$(
        impl$(<$($parameter),*>)? $name<'_, $($($parameter),*)?> {
            /// The same operation with a clone of the cache and a copy of the key. It borrows
            /// neither, so a task can be spawned from it. Costs an allocation, and one more if the
            /// key was given by reference and has more than 38 bytes.
            pub fn into_owned(self) -> $name<'static, $($($parameter),*)?> {
                $name { keyed: self.keyed.into_owned(), $($field: self.$field),* }
            }
        }
    )*};
}

/// Adds `into_owned` to operations without a key, or with keys that they own.
macro_rules! owns_its_cache {
    ($($name:ident$(<$($parameter:ident),*>)? { $($field:ident),* $(,)? }),* $(,)?) => {$(
        impl$(<$($parameter),*>)? $name<'_, $($($parameter),*)?> {
            /// The same operation with a clone of the cache. It does not borrow the cache, so a
            /// task can be spawned from it.
            pub fn into_owned(self) -> $name<'static, $($($parameter),*)?> {
                $name { cache: self.cache.owned(), $($field: self.$field),* }
            }
        }
    )*};
}

pub(super) use {becomes_owned, owns_its_cache, takes_timeout, takes_unreadable, takes_version};
