//! The pure core of `async-caches`: state machines with no clock, socket, lock, thread, waker or
//! runtime in them.
//!
//! Everything here is driven from outside. The caller owns the buffers, passes the time in as
//! [`time::Instant`] and gives randomness once, as a seed. The caller asks a machine for something
//! (`submit`), reports events to it (`handle`), takes the next thing to do from it (`poll`) and
//! asks when to call it again (`deadline`).
//!
//! The modules. Each imports only from its own row and from those below it; `scripts/layers` checks
//! that.
//!
//! | module | duty |
//! |---|---|
//! | [`url`] | reads the URL of a cache |
//! | [`options`] | turns the options of a URL and those set in code into validated settings |
//! | [`load`] | what a caller of `get_or_set` does next |
//! | [`flight`], [`large`] | which caller loads, and which follow; which keys have large values |
//! | [`sentinel`] | which node is the master, according to sentinels, and which sentinel to ask |
//! | [`cluster`] | which node of a cluster to use, where to go next, when to refresh the slot map |
//! | [`connection`], [`pool`], [`dial`] | one pipelined connection; how many there are; which address of a name is tried when |
//! | [`retry`] | whether a command may be sent again, and when |
//! | [`resp`] | the wire: framing under limits, commands as bytes, replies as answers |
//! | [`dummy`], [`memory`] | the two backends that need no I/O |
//! | [`server_clock`] | the time on a server's clock, and the error of that estimate |
//! | `tls` | encryption of the wire, with the feature of that name |
//! | [`envelope`] | how an entry is stored if facts are kept beside its value |
//! | [`freshness`] | whether a stored entry is returned, loaded, or both |
//! | [`command`], [`reply`], [`script`] | commands to a backend, its replies, and scripts that run on the server |
//! | [`key`], [`ttl`], [`value`], [`number`] | keys, timeouts, values, and the numbers in them |
//! | [`server`], [`protocol`] | where a server is, and which version of RESP is spoken with it |
//! | [`time`], [`copies`] | time as a value; where small values are copied to |
//! | [`error`], [`shown`], [`secret`] | errors, and the parts of a text that they may show |
//!
//! The modules `copies`, `dial`, `large`, `number`, `pool`, `resp`, `retry`, `script`, `shown` and
//! `value` are public for the other crates of this project alone, and not documented: they may
//! change in any release. What users of the others need of them is exported there.
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
#[doc(hidden)]
pub mod copies;
#[doc(hidden)]
pub mod dial;
pub mod dummy;
pub mod envelope;
pub mod error;
pub mod flight;
pub mod freshness;
pub mod key;
#[doc(hidden)]
pub mod large;
pub mod load;
pub mod memory;
mod nearest;
#[doc(hidden)]
pub mod number;
pub mod options;
mod pattern;
#[doc(hidden)]
pub mod pool;
pub mod protocol;
pub mod reply;
#[doc(hidden)]
pub mod resp;
#[doc(hidden)]
pub mod retry;
#[doc(hidden)]
pub mod script;
pub mod secret;
pub mod sentinel;
pub mod server;
pub mod server_clock;
#[doc(hidden)]
pub mod shown;
pub mod time;
#[cfg(feature = "tls")]
pub mod tls;
pub mod ttl;
pub mod url;
#[doc(hidden)]
pub mod value;
mod work;
