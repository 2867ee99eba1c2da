//! The Redis backend: a pool of connections to one server, or to the current master.
//!
//! ```text
//!  caller ── Exchange ──▶ Pool::acquire ──▶ SharedConnection::submit ──▶ tx ┐
//!    ▲                                                                      ▼  one driver
//!    └────────── Slots ◀── core's Connection::poll ◀── rx ◀────────────── Socket  a connection
//! ```
//!
//! Decisions are made in the core ([`async_caches_core::pool`]). This module has the locks, the
//! wakers and one background task, the [`keeper`], that carries the decisions out.
//!
//! | module, the top first | duty |
//! |---|---|
//! | `owner` | a pool in use, from its start to its end |
//! | `exchange` | one command's way through a pool |
//! | `keeper` | the background task of a pool |
//! | `tasks` | the task of each connection: dial, handshake, read, wake, write |
//! | `pool` | the open connections, and the callers that wait for one |
//! | `connection` | what the callers of a connection and its driver share |
//! | `config`, `load`, `observer`, `refresh_signal` | what all of these need |

mod config;
mod connection;
mod exchange;
mod keeper;
mod load;
mod observer;
mod owner;
mod pool;
mod refresh_signal;
mod tasks;

pub(crate) use self::config::Member;
pub(crate) use self::connection::closing::Closing;
pub(crate) use self::connection::shared::SharedConnection;
pub(crate) use self::connection::slots::Outcome;
pub(crate) use self::exchange::Exchange;
pub(crate) use self::observer::Observer;
pub(crate) use self::owner::PoolOwner;
pub(crate) use self::pool::routes::Routes;
pub(crate) use self::pool::state::Pool;
pub(crate) use self::pool::wait_queue::WaitQueue;
pub(crate) use self::pool::waiter::WaiterId;
pub(crate) use self::refresh_signal::RefreshSignal;
