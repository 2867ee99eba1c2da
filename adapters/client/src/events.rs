//! Events on connections and commands for `tracing`.
//!
//! Without the feature `tracing` these functions are empty. The target is `async_caches`. Fields
//! have the names of OpenTelemetry's conventions for database clients, if there is one. No event
//! holds a key, a value or a password.
//!
//! Events on connections have a high level, as they are rare. Events on commands are at `DEBUG`:
//! each caller gets an error anyway, and they would flood the log while a server is away.
//!
//! Source: OpenTelemetry's semantic conventions, "Database client spans" and "General attributes".

use std::time::Duration;

use async_caches_core::cluster::address::Address;
use async_caches_core::cluster::redirect::Redirect;
#[cfg(feature = "tracing")]
use async_caches_core::cluster::redirect::RedirectKind;
use async_caches_core::command::Command;
use async_caches_core::url::Endpoint;

use crate::error::ConnectionFailure;
use crate::info::ServerSeen;

/// The server, if it is known, and its database, if it has several.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "only events tell it"))]
pub(crate) struct ServerPlace<'a> {
    pub(crate) endpoint: Option<&'a Endpoint>,
    pub(crate) database: Option<u32>,
}

/// Functions that each emit an event, and are empty without the feature `tracing`.
macro_rules! events {
    ($($(#[$about:meta])* fn $name:ident($($argument:ident: $kind:ty),*) $body:block)*) => {$(
        $(#[$about])*
        #[inline]
        pub(crate) fn $name($($argument: $kind),*) {
            #[cfg(feature = "tracing")]
            $body
            #[cfg(not(feature = "tracing"))]
            let _ = ($($argument),*);
        }
    )*};
}

/// One event about a place.
#[cfg(feature = "tracing")]
macro_rules! tell {
    ($level:ident, $place:expr, $($fields:tt)*) => {
        tracing::event!(
            target: "async_caches",
            tracing::Level::$level,
            "db.system.name" = "redis",
            "server.address" = $place.address(),
            "server.port" = $place.port(),
            "network.transport" = $place.transport(),
            "db.namespace" = $place.namespace(),
            $($fields)*
        )
    };
}

events! {
    /// A connection has opened.
    fn opened(place: ServerPlace<'_>, server: impl FnOnce() -> ServerSeen, reconnect: bool) {
        let server = server();
        tell!(
            INFO,
            place,
            reconnect,
            server.name = server.name.as_deref(),
            server.version = server.version.as_deref(),
            network.protocol.name = "resp",
            network.protocol.version = server.protocol,
            "a connection has opened"
        );
    }

    /// A server does not accept names for connections. Emitted once per pool.
    fn unnamed(place: ServerPlace<'_>) {
        tell!(WARN, place, "the server refuses to name its connections");
    }

    /// The one server of a cache is a node of a cluster. Told once a pool.
    fn is_in_cluster(place: ServerPlace<'_>) {
        tell!(WARN, place, "the server is a node of a cluster and serves a part of the keys");
    }

    /// A sentinel does not report a new master by itself. Emitted once per connection.
    fn sentinel_polled(place: ServerPlace<'_>) {
        tell!(WARN, place, "a sentinel refuses SUBSCRIBE and is asked every second");
    }

    /// An open connection was lost.
    fn lost(place: ServerPlace<'_>, why: &ConnectionFailure) {
        tell!(WARN, place, "error.type" = error_type(why), error = %why.with_sources(), "a connection was lost");
    }

    /// A connection was closed on purpose.
    fn closed(place: ServerPlace<'_>) {
        tell!(DEBUG, place, "a connection was closed");
    }

    /// A connection could not be opened.
    fn dial_failed(place: ServerPlace<'_>, why: &ConnectionFailure, in_a_row: u32) {
        tell!(
            WARN,
            place,
            "error.type" = error_type(why),
            error = %why.with_sources(),
            in_a_row,
            "a connection could not be opened"
        );
    }

    /// One side has refused the other.
    fn refused(place: ServerPlace<'_>, why: &ConnectionFailure) {
        tell!(ERROR, place, "error.type" = error_type(why), error = %why.with_sources(), "a connection was refused");
    }

    /// Another server is the master now.
    fn moved(place: ServerPlace<'_>) {
        tell!(WARN, place, "the master is another server");
    }

    /// A connection to a sentinel has ended, or could not be opened.
    fn sentinel_lost(place: ServerPlace<'_>, why: &ConnectionFailure) {
        tell!(WARN, place, "error.type" = error_type(why), error = %why.with_sources(), "a sentinel was lost");
    }

    /// The next dial is delayed.
    fn held_back(place: ServerPlace<'_>, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        tell!(DEBUG, place, delay_ms, "the next dial is held back");
    }

    /// A command's time was over before its reply came, or before it got a connection.
    fn timed_out(place: ServerPlace<'_>, command: &Command<'_>, after: Duration, may_have_run: bool) {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        tell!(
            DEBUG,
            place,
            db.operation.name = command.name(),
            "error.type" = "timeout",
            after_ms,
            may_have_run,
            "a command has timed out"
        );
    }

    /// A command whose connection was lost is sent again.
    fn sent_again(place: ServerPlace<'_>, command: &Command<'_>, why: &ConnectionFailure, may_have_run: bool) {
        tell!(
            DEBUG,
            place,
            db.operation.name = command.name(),
            "error.type" = error_type(why),
            error = %why.with_sources(),
            may_have_run,
            "a command is sent again"
        );
    }

    /// An entry could not be read as the type asked for. Its contents are not part of the event.
    fn unreadable(operation: &'static str, kind: &'static str) {
        tracing::event!(
            target: "async_caches",
            tracing::Level::DEBUG,
            db.operation.name = operation,
            "error.type" = kind,
            "an entry cannot be read"
        );
    }

    /// A node of a cluster has redirected a command to another one.
    fn redirected(by: &Address, command: &Command<'_>, redirect: &Redirect) {
        let by = Endpoint::from(by.clone());
        let place = ServerPlace { endpoint: Some(&by), database: Some(0) };
        tell!(
            DEBUG,
            place,
            db.operation.name = command.name(),
            db.response.status_code = match redirect.kind {
                RedirectKind::Moved => "MOVED",
                RedirectKind::Ask => "ASK",
            },
            slot = redirect.slot.number(),
            to = %redirect.to,
            "a command is redirected"
        );
    }
}

#[cfg(feature = "tracing")]
mod fields {
    use async_caches_core::error::ConnectionError;
    use async_caches_core::url::Endpoint;

    use super::ServerPlace;
    use crate::error::ConnectionFailure;

    impl<'a> ServerPlace<'a> {
        pub(super) fn address(self) -> Option<&'a str> {
            self.endpoint.map(|endpoint| match endpoint {
                Endpoint::Tcp { host, .. } => host.as_str(),
                Endpoint::Unix { path } => path,
            })
        }

        pub(super) fn port(self) -> Option<u16> {
            match self.endpoint? {
                Endpoint::Tcp { port, .. } => Some(*port),
                Endpoint::Unix { .. } => None,
            }
        }

        pub(super) fn namespace(self) -> Option<String> {
            self.database.map(|database| database.to_string())
        }

        pub(super) fn transport(self) -> Option<&'static str> {
            self.endpoint.map(|endpoint| match endpoint {
                Endpoint::Tcp { .. } => "tcp",
                Endpoint::Unix { .. } => "unix",
            })
        }
    }

    /// A short word for the error, to count errors by.
    pub(super) fn error_type(why: &ConnectionFailure) -> &'static str {
        match why {
            ConnectionFailure::Io(_) => "io",
            ConnectionFailure::Name { .. } => "name",
            ConnectionFailure::Eof => "eof",
            ConnectionFailure::Connection(why) => match why {
                ConnectionError::Protocol(_) => "protocol",
                ConnectionError::Refused(_) => "refused",
                ConnectionError::NoPushes => "no_pushes",
                ConnectionError::NoResp3 => "no_resp3",
                ConnectionError::NotReadyInTime => "connect_timeout",
                ConnectionError::NotMaster => "not_master",
                ConnectionError::UnknownService { .. } => "unknown_service",
                ConnectionError::Demoted => "demoted",
                ConnectionError::Unresponsive => "unresponsive",
                _ => "_OTHER",
            },
            ConnectionFailure::RuntimeGone => "runtime_gone",
            #[cfg(feature = "tls")]
            ConnectionFailure::Tls(why) if why.is_refusal() => "tls_refused",
            #[cfg(feature = "tls")]
            ConnectionFailure::Tls(_) => "tls",
            ConnectionFailure::Credentials(_) => "credentials",
            ConnectionFailure::Moved => "moved",
            ConnectionFailure::Sentinel { source, .. } | ConnectionFailure::Node { source, .. } => {
                error_type(source)
            }
            ConnectionFailure::Map(_) => "map",
            ConnectionFailure::Uncovered { .. } => "uncovered",
            ConnectionFailure::Crowded => "crowded",
            ConnectionFailure::Closed => "closed",
        }
    }
}

#[cfg(feature = "tracing")]
use self::fields::error_type;
