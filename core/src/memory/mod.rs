//! The in-memory store: lookup, expiry, eviction and exact bounds, as state machines.
//!
//! A store consists of a few [`Shard`]s, each a small store of its own, and a [`Seed`] that
//! determines which key belongs to which shard. [`execute`] runs any
//! [`Command`](crate::command::Command) on them. Nothing here uses a lock. The owner of the shards
//! lends them out ([`Shards`]): to many readers at once, or to one writer. The keys and values that
//! a shard removes are returned in a [`Graveyard`], to be dropped once the shard is unlocked.
//!
//! Invariants, after every operation:
//!
//! * no operation sees an expired entry, whether or not its memory was reclaimed already;
//! * the entries and bytes of all shards together are within the [`Bounds`], counted exactly;
//! * the work of one operation on one key is bounded, whatever the shard contains and while it
//!   grows, except for an eviction that removes many small values to make room for a large one.
//!
//! | module | duty |
//! |---|---|
//! | `store` | dispatches commands to shards |
//! | `room` | the bounds, which all shards of a store share |
//! | `hash` | maps a key to its shard and its bucket |
//! | `shard` | one small store: every operation on one key |
//! | `table`, `bucket` | find the entry of a key |
//! | `entry`, `body`, `slab`, `row` | the records of keys, by number |
//! | `wheel` | finds the entries that have expired |
//! | `policy`, `fifo`, `ghosts`, `share` | choose the entry to evict when there is no room |
//! | `graveyard` | removed keys and values, to be dropped later |
//! | `stats` | counts what a store has done |

mod body;
mod bounds;
mod bucket;
mod chunked;
mod entry;
mod fifo;
mod ghosts;
mod graveyard;
mod hash;
mod policy;
mod room;
mod shard;
mod share;
mod slab;
mod stats;
mod store;
mod table;
mod wheel;

#[cfg(test)]
mod tests;

pub use bounds::Bounds;
pub use entry::ENTRY_OVERHEAD;
pub use graveyard::Graveyard;
#[cfg(test)]
pub(crate) use hash::colliding_keys;
pub use hash::{Hashed, Seed};
pub use shard::Shard;
pub use stats::{Lookups, Stats};
pub use store::{Shards, execute, get, insert, new_shards, stats, sweep};
