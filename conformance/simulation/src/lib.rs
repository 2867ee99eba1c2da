//! A deterministic simulation: callers, pools, links and a server in virtual time, from one seed.
//!
//! The client and the core are the production ones, unchanged. Here is a fourth runtime for them,
//! on one thread, in which nothing happens that the seed does not say; a server in plain Rust at
//! the other end of virtual sockets; faults of every kind; and books in which all that is asked,
//! sent, said and answered is held against what must be. The same seed gives the same log, to the
//! nanosecond.
//!
//! | module | duty |
//! |---|---|
//! | `run` | one seed, from its plan to its end |
//! | `plan` | what a seed draws: who takes part, what goes wrong and when |
//! | `callers`, `loader` | tasks that do operations, and give some up; what they load with |
//! | `world` | clock, network and books behind one lock; the runtime |
//! | `executor`, `agenda` | which task is polled next; what happens next |
//! | `network`, `line` | dials, bytes on their way, cuts |
//! | `serve`, [`model`], [`request`], [`said`] | the server |
//! | `cluster`, `turns` | several of them: who serves which slots; what becomes of that |
//! | `operation`, `wire` | what may be asked, and what of it is on the wire |
//! | `ledger`, `order`, `outcome`, `pools` | what must hold |
//! | `memory` | one seed of the store in memory, beside a map |
//! | `loads` | one seed of loads that wait for loads |
//! | `log` | what happened, to be read |

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
pub mod request;
mod run;
pub mod said;
mod serve;
mod turns;
mod wire;
mod world;

pub use run::{Report, Space, run, run_in};
