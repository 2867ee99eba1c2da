//! What a connection is to be, and what the server says that it is.

use alloc::string::String;
use core::time::Duration;

use super::greeting::Greeting;
use super::push::Pushes;
use crate::resp::scan::Limits;
use crate::url::Credentials;

/// What a connection says of itself to the server, and how patient it is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Who we are.
    pub credentials: Option<Credentials>,
    /// Which database to select.
    pub database: u32,
    /// How the server is greeted.
    pub greeting: Greeting,
    /// What the server must be.
    pub role: Role,
    /// The name to show in the server's list of clients.
    pub name: Option<String>,
    /// What a frame of the server may be.
    pub limits: Limits,
    /// How long it may take until the connection is ready, dialling included.
    pub connect_timeout: Duration,
    /// How long a reply may take.
    pub response_timeout: Duration,
    /// Whether pushes are told, and which the server is asked for.
    pub pushes: Pushes,
}

/// What a server must be for a connection to it to be of use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Role {
    /// Whatever it is; it is not asked.
    #[default]
    Any,
    /// A node of a cluster that is to answer reads, though it may be a replica: it is told
    /// [`READONLY`](crate::command::Command::ReadOnly) before the connection is ready.
    Reader,
    /// A master. It says so in its answer to `HELLO`, or else in one to `ROLE`, which costs no round
    /// trip more. One that is something else is left, with [`NotMaster`] or, if it becomes that
    /// later, [`Demoted`].
    ///
    /// [`NotMaster`]: crate::error::ConnectionError::NotMaster
    /// [`Demoted`]: crate::error::ConnectionError::Demoted
    Master,
}

/// What a server said of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServerInfo {
    /// The version of RESP spoken: 2 or 3.
    pub protocol: u8,
    /// The server's own name, such as `redis` or `valkey`; empty where it did not say.
    pub server: String,
    /// The server's version; empty where it did not say.
    pub version: String,
    /// Whether the connection has no name though it was to have one, as the server refused it or was not
    /// asked ([`Greeting::Bare`]).
    pub unnamed: bool,
}
