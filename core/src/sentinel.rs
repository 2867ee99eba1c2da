//! Redis Sentinel: who is the master of a service, and which sentinel to ask.
//!
//! | module | duty |
//! |---|---|
//! | `watch` | one connection to a sentinel: who the master is, and whenever that changes |
//! | `rounds` | which sentinel to ask next, and when |
//! | `said` | what sentinels say, checked |
//!
//! What a sentinel says is what a stranger says: it may be late, wrong or hostile. An address is
//! taken only if it can be one, others than the ones that were given are kept in a bounded number,
//! and whether a server is a master is for that server to say
//! ([`Role::Master`](crate::connection::Role::Master)).
//!
//! Source: <https://redis.io/docs/latest/develop/reference/sentinel-clients/>.

mod rounds;
mod said;
#[cfg(test)]
mod tests;
mod watch;

pub use self::rounds::{Input, Rounds};
pub use self::watch::{Event, Setup, Watch};
