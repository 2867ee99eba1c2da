//! Redis Sentinel: which node is the master of a service, and which sentinel to ask.
//!
//! | module | duty |
//! |---|---|
//! | `watch` | one connection to a sentinel: asks for the master, and learns when it changes |
//! | `rounds` | which sentinel to ask next, and when |
//! | `said` | reads and checks the messages of sentinels |
//!
//! The messages of a sentinel are not trusted: they may be late, wrong or hostile. An address is
//! taken only if it can be one, and the number of sentinels kept besides the configured ones is
//! bounded. Only a server itself decides whether it is a master
//! ([`Role::Master`](crate::connection::Role::Master)).
//!
//! Source: <https://redis.io/docs/latest/develop/reference/sentinel-clients/>.

mod message;
mod rounds;
#[cfg(test)]
mod tests;
mod watch;

pub use self::rounds::{Rounds, RoundsInput};
pub use self::watch::{Watch, WatchEvent, WatchSetup};
