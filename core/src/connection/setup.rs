//! The settings of a connection, and the server's description of itself.

use alloc::string::String;
use core::time::Duration;

use super::tracking::Pushes;
use crate::resp::scan::Limits;
use crate::server::Credentials;

/// How a connection introduces itself to the server, and how patient it is. Built by
/// [`Setup::new`]; each field may be set after that.
///
/// ```
/// use async_caches_core::connection::{Connection, Output, Role, Setup};
/// use async_caches_core::time::Instant;
/// use core::time::Duration;
///
/// let mut setup = Setup::new(Duration::from_secs(5), Duration::from_secs(1));
/// setup.name = Some("worker-1".into());
/// setup.role = Role::Master;
/// let mut tx = Output::new();
/// let connection = Connection::open(&setup, Instant::ORIGIN, &mut tx);
/// assert!(tx.split().ends_with(b"SETNAME\r\n$8\r\nworker-1\r\n"));
/// let deadline = connection.deadline().expect("the handshake has a deadline");
/// assert_eq!(deadline.at, Instant::ORIGIN + setup.connect_timeout);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Setup {
    /// The credentials of the client.
    pub credentials: Option<Credentials>,
    /// The database to select.
    pub database: u32,
    /// How the connection greets the server.
    pub greeting: Greeting,
    /// The role that the server must have.
    pub role: Role,
    /// The name to show in the server's list of clients.
    pub name: Option<String>,
    /// The limits on a frame from the server.
    pub limits: Limits,
    /// How long it may take until the connection is ready, including the dial.
    pub connect_timeout: Duration,
    /// How long a reply may take.
    pub response_timeout: Duration,
    /// Whether pushes are returned, and which ones the server is asked for.
    pub pushes: Pushes,
}

impl Setup {
    /// A connection without credentials and without a name, to any server's database 0, in RESP3 if
    /// the server speaks it. It drops pushes and has the default limits.
    #[must_use]
    pub fn new(connect_timeout: Duration, response_timeout: Duration) -> Self {
        Self {
            credentials: None,
            database: 0,
            greeting: Greeting::default(),
            role: Role::default(),
            name: None,
            limits: Limits::default(),
            connect_timeout,
            response_timeout,
            pushes: Pushes::default(),
        }
    }
}

/// How one connection greets its server.
///
/// ```
/// use async_caches_core::connection::{Connection, Greeting, Output, Setup};
/// use async_caches_core::time::Instant;
/// use core::time::Duration;
///
/// let mut setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
/// setup.greeting = Greeting::Resp2;
/// let mut tx = Output::new();
/// let _connection = Connection::open(&setup, Instant::ORIGIN, &mut tx);
/// assert!(!tx.split().windows(5).any(|word| word == b"HELLO"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Greeting {
    /// With `HELLO 3`, and in RESP2 if the server refuses that.
    #[default]
    Either,
    /// With `HELLO 3`; a server that refuses it ends the connection in
    /// [`NoResp3`](crate::error::ConnectionError::NoResp3).
    Resp3,
    /// In RESP2, and with the name of the connection, if it has one.
    Resp2,
    /// In RESP2, with only the necessary commands: the credentials, the database, and those that
    /// the connection's role requires.
    Bare,
}

/// The role that a server must have for a connection to it to be of use.
///
/// ```
/// use async_caches_core::connection::{Connection, Output, Role, Setup};
/// use async_caches_core::error::ConnectionError;
/// use async_caches_core::time::Instant;
/// use bytes::BytesMut;
/// use core::time::Duration;
///
/// let mut setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
/// setup.role = Role::Master;
/// let (now, mut rx, mut tx) = (Instant::ORIGIN, BytesMut::new(), Output::new());
/// let mut connection = Connection::open(&setup, now, &mut tx);
/// rx.extend_from_slice(b"%2\r\n+proto\r\n:3\r\n+role\r\n+replica\r\n+OK\r\n+OK\r\n+PONG\r\n");
/// assert_eq!(connection.poll(&mut rx, now, &mut tx), Err(ConnectionError::NotMaster));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Role {
    /// Any role; the server is not asked.
    #[default]
    Any,
    /// A node of a cluster that answers reads, though it may be a replica. The connection sends
    /// [`READONLY`](crate::command::Command::ReadOnly) before it is ready.
    Reader,
    /// A master. The server reports its role in its reply to `HELLO`, or else in a reply to `ROLE`,
    /// which costs no extra round trip. A connection to any other server ends in [`NotMaster`] or,
    /// if the server stops being a master later, in [`Demoted`].
    ///
    /// [`NotMaster`]: crate::error::ConnectionError::NotMaster
    /// [`Demoted`]: crate::error::ConnectionError::Demoted
    Master,
}

/// A server's description of itself.
///
/// ```
/// use async_caches_core::connection::{Connection, Event, Output, Setup};
/// use async_caches_core::error::ConnectionError;
/// use async_caches_core::time::Instant;
/// use bytes::BytesMut;
/// use core::time::Duration;
///
/// let setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
/// let (now, mut rx, mut tx) = (Instant::ORIGIN, BytesMut::new(), Output::new());
/// let mut connection = Connection::open(&setup, now, &mut tx);
/// rx.extend_from_slice(b"%2\r\n+server\r\n+valkey\r\n+proto\r\n:3\r\n+OK\r\n+OK\r\n+PONG\r\n");
/// match connection.poll(&mut rx, now, &mut tx)? {
///     Some(Event::Ready(info)) => assert_eq!((info.server.as_str(), info.protocol), ("valkey", 3)),
///     other => panic!("the handshake is done: {other:?}"),
/// }
/// # Ok::<(), ConnectionError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServerInfo {
    /// The version of RESP spoken: 2 or 3.
    pub protocol: u8,
    /// The server's own name, such as `redis` or `valkey`; empty if it did not report one.
    pub server: String,
    /// The server's version; empty if it did not report one.
    pub version: String,
    /// Whether the connection has no name although [`Setup::name`] gives one, as the server refused
    /// it or was not sent it ([`Greeting::Bare`]).
    pub unnamed: bool,
    /// Whether the server is a node of a cluster, so that it serves a part of the keys; false if it
    /// did not say, as in RESP2.
    pub in_cluster: bool,
}
