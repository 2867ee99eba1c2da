//! A deterministic simulation: callers, pools, connections and a server in virtual time, from one
//! seed.
//!
//! The client and the core are the production ones, unchanged. This crate is a fourth runtime for
//! them, on one thread, in which nothing happens that the seed does not determine. It adds a server
//! in plain Rust at the other end of virtual sockets, faults of every kind, and a ledger that
//! checks all operations, commands, replies and results against the rules. The same seed gives the
//! same log, to the nanosecond.
//!
//! | module | duty |
//! |---|---|
//! | `run` | one seed, from its plan to its end |
//! | `plan` | the plan that a seed draws: callers, caches, faults and their times |
//! | `callers`, `loader` | tasks that run operations, and drop some of them; their loaders |
//! | `world` | clock, network and ledger behind one lock; the runtime |
//! | `executor`, `agenda` | the task that is polled next; the event that happens next |
//! | `network`, `line` | dials, bytes on their way, cuts |
//! | `serve`, [`model`] | the server |
//! | `cluster`, `turns` | several servers: the owners of slots; the changes of those |
//! | `operation`, `wire` | the kinds of operations, and of commands on the wire |
//! | `ledger`, `order`, `outcome`, `pools` | the rules |
//! | `memory` | one seed of the store in memory, beside a map |
//! | `loads` | one seed of loads that wait for loads |
//! | `log` | the log of events, for a reader |

mod agenda;
mod callers;
mod cluster;
mod executor;
mod ledger;
mod line;
mod loader;
mod loads;
mod log;
mod memory;
pub mod model;
mod network;
mod operation;
mod order;
mod outcome;
mod plan;
mod pools;
pub mod race;
mod run;
mod serve;
mod turns;
mod wire;
mod world;

pub use run::{Report, Space, run, run_in};
