//! The pure core of `async-caches`: state machines with no clock, socket, lock, thread, waker or
//! runtime in them.
//!
//! Everything here is driven from outside. The caller owns the buffers, passes the time in as
//! [`time::Instant`] and gives randomness once, as a seed. The caller asks a machine for something
//! (`submit`), reports events to it (`handle`), takes the next thing to do from it (`poll`) and
//! asks when to call it again (`deadline`).
//!
//! The modules, in the order in which a call passes through them:
//!
//! | module | duty |
//! |---|---|
//! | [`url`], [`options`], [`secret`] | turn a URL and explicit options into validated settings |
//! | [`key`], [`ttl`], [`value`] | keys, timeouts and values |
//! | [`command`], [`reply`] | commands to a backend, and its replies |
//! | [`dummy`], [`memory`] | the two backends that need no I/O |
//! | [`resp`], [`script`], [`connection`] | the wire: framing under limits, scripts that run on the server, one pipelined connection |
//! | `tls` | encryption of the wire, with the feature of that name |
//! | [`dial`] | which address of a name is tried when, and which wins |
//! | [`sentinel`] | which node is the master, according to sentinels, and which sentinel to ask |
//! | [`pool`], [`large`], [`retry`], [`flight`] | decisions: which connection to use, whether to retry, which caller loads |
//! | [`cluster`] | more decisions: which node of a cluster to use, where to go next, when to refresh the slot map |
//! | [`time`], [`error`], [`copies`] | shared by all of them |
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
