//! The in-memory backend: the core's shards, each behind a lock, in stores found by name.
//!
//! | module | duty |
//! |---|---|
//! | `store` | a store, and the stores in use |
//! | `locked` | shards that threads share |
//! | `tally` | counts of lookups |
//! | `sweeper` | the thread that frees expired entries |

mod locked;
mod store;
mod sweeper;
mod tally;

pub(crate) use self::store::Store;
