//! The tasks of connections, one for each: to a server or to a sentinel.
//!
//! | module | duty |
//! |---|---|
//! | `connection` | the part that an adapter calls, generic over its socket and timer |
//! | `serving`, `driver` | a connection to a server, and its task |
//! | `watcher` | a connection to a sentinel, and its task |
//! | `race` | connects to the addresses of a name in turn, up to the first handshake |
//! | `intake` | the bytes that were read and not yet taken in |

pub(in crate::redis) mod connection;
mod driver;
mod intake;
mod race;
pub(in crate::redis) mod serving;
pub(in crate::redis) mod watcher;
