//! The pure core of `async-caches`: state machines with no clock, socket, lock, thread, waker or
//! runtime in them.
//!
//! Everything here is driven from outside. The caller owns the buffers, passes the time in as
//! [`time::Instant`] and gives randomness once, as a seed. A machine is asked (`submit`), told
//! (`handle`), asked what is next (`poll`) and asked when it wants to be called again
//! (`deadline`).
//!
//! The rooms, in the order in which a call walks through them:
//!
//! | module | duty |
//! |---|---|
//! | [`url`], [`options`], [`secret`] | a URL and explicit options become validated settings |
//! | [`key`], [`ttl`], [`value`] | what a caller names, keeps for how long, and stores |
//! | [`command`], [`reply`] | what a backend is asked, and what it answers |
//! | [`dummy`], [`memory`] | the two backends that need no I/O |
//! | [`resp`], [`script`], [`connection`] | the wire: framing under limits, what runs on the server, one pipelined connection |
//! | `tls` | with the feature of that name: the wire encrypted |
//! | [`dial`] | which address of a name is tried when, and which wins |
//! | [`sentinel`] | who the master is, as sentinels say, and which of them to ask |
//! | [`pool`], [`large`], [`retry`], [`flight`] | decisions: which link, whether again, who loads |
//! | [`cluster`] | more decisions: which node of a cluster, where next, when to ask who serves what |
//! | [`time`], [`error`], [`copies`] | what all of them share |
#![no_std]
#![warn(clippy::wildcard_enum_match_arm)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;
#[cfg(any(test, feature = "tls"))]
extern crate std;

pub mod cluster;
pub mod command;
pub mod connection;
pub mod copies;
pub mod dial;
pub mod dummy;
pub mod error;
pub mod flight;
pub mod key;
pub mod large;
pub mod memory;
mod nearest;
pub mod number;
pub mod options;
#[doc(hidden)]
pub mod planted;
pub mod pool;
pub mod reply;
pub mod resp;
pub mod retry;
pub mod script;
pub mod secret;
pub mod sentinel;
pub mod shown;
pub mod time;
#[cfg(feature = "tls")]
pub mod tls;
pub mod ttl;
pub mod url;
pub mod value;
mod work;
