//! The in-memory store: lookup, expiry, eviction and exact bounds, as state machines.
//!
//! A store is a few [`Shard`]s, each a small store of its own, and a [`Seed`] that says which key
//! belongs to which. [`execute`] runs any [`Command`](crate::command::Command) on them. Nothing
//! here knows a lock: whoever owns the shards lends them out ([`Shards`]), to many at once who look
//! something up and to one who changes something. Whatever a shard lets go of is handed out in a
//! [`Graveyard`], to be dropped once the shard has been given back.
//!
//! Invariants, after every operation:
//!
//! * no expired entry is seen by any operation, whether or not its memory is back already;
//! * the entries and bytes of all shards together are within the [`Bounds`], counted exactly;
//! * the work of one operation on one key is bounded, whatever the shard holds and while it grows,
//!   but for an eviction that must make room for a large value by letting many small ones go.
//!
//! | module | duty |
//! |---|---|
//! | `store` | commands dispatched to shards |
//! | `room` | the bounds, which all shards of a store share |
//! | `hash` | which shard and which bucket a key belongs to |
//! | `shard` | one small store: every operation on one key |
//! | `table`, `bucket` | which entry a key is |
//! | `entry`, `body`, `slab`, `row` | what is kept of a key, and under which number |
//! | `wheel` | which entries have expired |
//! | `policy`, `fifo`, `ghosts`, `share` | which entry goes when there is no room |
//! | `graveyard` | what a shard let go of |
//! | `stats` | what a store has done, in numbers |

mod body;
mod bucket;
mod entry;
mod fifo;
mod ghosts;
mod graveyard;
mod hash;
mod policy;
mod room;
mod row;
mod shard;
mod share;
mod slab;
mod stats;
mod store;
mod table;
mod wheel;

#[cfg(test)]
mod tests;

pub use entry::ENTRY_OVERHEAD;
pub use graveyard::Graveyard;
#[cfg(test)]
pub(crate) use hash::colliding_keys;
pub use hash::{Hashed, Seed};
pub use shard::Shard;
pub use stats::{Lookups, Stats};
pub use store::{Bounds, Shards, execute, get, insert, new_shards, stats, sweep};
