//! The operations: one named future each, lazy until polled, with its options as methods.
//!
//! All operations are built alike. A future keeps its arguments. In every poll it makes a borrowed
//! [`Command`](async_caches_core::command::Command) of them and passes it to its
//! [`Call`](crate::call::Call). No future is self-referential, so all are `Unpin`. Each borrows
//! its cache, and the key if that was given by reference, unless `into_owned` has given it a clone
//! and a copy. No future has the type of its key as a parameter, so a caller can write down the
//! type of each.

mod batch;
mod clear;
mod compare;
mod delete;
mod expiry;
mod get;
mod info;
mod keyed;
mod lifecycle;
mod load;
mod many;
mod number;
mod options;
mod set;
mod spread;

pub use self::clear::{Clear, ClearPrefix};
pub use self::compare::DeleteIfEquals;
pub use self::delete::{Delete, DeleteMany};
pub use self::expiry::{Contains, GetRemaining, Touch};
pub use self::get::Get;
pub use self::lifecycle::{Connect, Disconnect, Ping};
pub use self::load::{GetOrSet, TryGetOrSet};
pub use self::many::{GetEach, GetMany, SetMany};
pub use self::number::{Delta, Incr, IncrOrInsert, Integer};
pub use self::set::{Add, Set};
