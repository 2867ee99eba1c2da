//! Each error prints its own part, and its sources print the rest.

use std::error::Error as StdError;
use std::io;

use async_caches_core::cluster::address::Address;
use async_caches_core::cluster::slot::Slot;
use async_caches_core::error::ProtocolError;
use async_caches_core::url::UrlError;

use super::*;
use crate::shared::Shared;

/// The error of an application.
#[derive(Clone, PartialEq, Debug, Error)]
#[error("the shelf is empty")]
struct Empty;

fn protocol() -> ProtocolError {
    ProtocolError::Malformed("a push")
}

fn json() -> CodecError {
    CodecError::new(serde_json::from_str::<u8>("\"text\"").unwrap_err())
}

fn server() -> ServerError {
    ServerError::parse(b"WRONGPASS no")
}

fn connection_errors() -> Vec<ConnectionError> {
    vec![
        ConnectionError::Protocol(protocol()),
        ConnectionError::Refused(server()),
        ConnectionError::NoPushes,
        ConnectionError::NotReadyInTime,
        ConnectionError::NotMaster,
        ConnectionError::UnknownService { service: "other".into() },
        ConnectionError::Demoted,
        ConnectionError::Unresponsive,
    ]
}

fn map_errors() -> Vec<MapError> {
    vec![MapError::Refused(server()), MapError::Protocol(protocol()), MapError::Empty]
}

/// One error of each kind for connections; the match shows if one is missing here.
fn connection_failures() -> Vec<ConnectionFailure> {
    let at = || "127.0.0.1:1".to_owned();
    let mut all = vec![
        ConnectionFailure::from(io::Error::other("no route")),
        ConnectionFailure::Eof,
        ConnectionFailure::RuntimeGone,
        ConnectionFailure::Credentials(Shared::of(Empty)),
        ConnectionFailure::Moved,
        ConnectionFailure::Sentinel { at: at(), source: Shared::new(ConnectionFailure::Eof) },
        ConnectionFailure::Node {
            at: at(),
            source: Shared::new(ConnectionError::Refused(server()).into()),
        },
        ConnectionFailure::Name { host: at(), source: Shared::new(std::io::Error::other("gone")) },
        ConnectionFailure::Uncovered { slot: Some(7) },
        ConnectionFailure::Crowded,
        ConnectionFailure::Closed,
    ];
    #[cfg(feature = "tls")]
    all.push(ConnectionFailure::Tls(async_caches_core::tls::TlsError::UnknownIssuer));
    all.extend(connection_errors().into_iter().map(ConnectionFailure::Connection));
    all.extend(map_errors().into_iter().map(|error| ConnectionFailure::Map(Box::new(error))));
    for error in &all {
        match error {
            ConnectionFailure::Io(_)
            | ConnectionFailure::Name { .. }
            | ConnectionFailure::Eof
            | ConnectionFailure::Connection(_)
            | ConnectionFailure::RuntimeGone
            | ConnectionFailure::Credentials(_)
            | ConnectionFailure::Moved
            | ConnectionFailure::Sentinel { .. }
            | ConnectionFailure::Node { .. }
            | ConnectionFailure::Map(_)
            | ConnectionFailure::Uncovered { .. }
            | ConnectionFailure::Crowded
            | ConnectionFailure::Closed => {}
            #[cfg(feature = "tls")]
            ConnectionFailure::Tls(_) => {}
        }
    }
    all
}

#[test]
fn every_kind_of_close_by_the_peer_is_a_hang_up() {
    let io = |kind| ConnectionFailure::from(io::Error::from(kind));
    let hang_ups = [
        ConnectionFailure::Eof,
        io(io::ErrorKind::ConnectionReset),
        io(io::ErrorKind::ConnectionAborted),
        io(io::ErrorKind::BrokenPipe),
        io(io::ErrorKind::UnexpectedEof),
        #[cfg(feature = "tls")]
        ConnectionFailure::Tls(async_caches_core::tls::TlsError::Truncated),
    ];
    assert!(hang_ups.iter().all(ConnectionFailure::is_hang_up), "{hang_ups:?}");
    let others =
        connection_failures().into_iter().filter(|error| !matches!(error, ConnectionFailure::Eof));
    others.for_each(|error| assert!(!error.is_hang_up(), "{error:?}"));
}

fn tls_config_errors() -> Vec<TlsConfigError> {
    let (option, path) = ("tls_ca", || "/ca.pem".to_owned());
    vec![
        TlsConfigError::NotBuilt { scheme: "rediss-cluster".into() },
        TlsConfigError::Read { option, path: path(), source: Shared::new(io::Error::other("x y")) },
        TlsConfigError::Pem { option, path: path(), problem: "it does not end" },
        TlsConfigError::Nothing { option, path: path(), wanted: "certificate" },
        TlsConfigError::Unusable { option, path: path(), source: Shared::of(Empty) },
        TlsConfigError::NoRoots { source: Some(Shared::of(Empty)) },
        TlsConfigError::NoRoots { source: None },
        TlsConfigError::ServerName { name: "a b".into() },
        TlsConfigError::OwnConfig { option },
        TlsConfigError::Provider { source: Shared::of(Empty) },
    ]
}

/// One error of each kind; the match shows if one is missing here.
fn errors() -> Vec<Error> {
    let key = || "\"key\"".to_owned();
    let redirects = TooManyRedirects {
        slot: Slot::of(b"key"),
        redirects: 16,
        last: Address::new("host", 1).unwrap(),
    };
    let mut all = vec![
        Error::NotConnected,
        Error::AlreadyConnected,
        Error::NoRuntime { scheme: "redis-cluster".into() },
        Error::from(UrlError::Port),
        Error::from(OptionError::Repeated { option: "timeout" }),
        Error::from(KeyError::ColonInPrefix { prefix: "a:b".into() }),
        Error::BoundsMismatch { name: "name".into(), option: "max_bytes" },
        Error::ZeroTimeout,
        Error::TimeoutTooLong,
        Error::serialize(b"key", json()),
        Error::deserialize(b"key", json()),
        Error::KeyNotFound { key: key() },
        Error::NotANumber { key: key() },
        Error::NotAnInteger { key: key() },
        Error::Overflow { key: key() },
        Error::TooLarge { len: 2, limit: 1 },
        Error::Overloaded { to: "127.0.0.1:1".into() },
        Error::Timeout { after: Duration::from_secs(1), may_have_run: true },
        Error::Redirects(Box::new(redirects)),
        Error::Server(server()),
        Error::Protocol(protocol()),
    ];
    for source in connection_failures() {
        all.push(Error::Unavailable { to: "127.0.0.1:1".into(), source: source.clone() });
        all.push(Error::Disconnected { may_have_run: true, source: source.clone() });
        let (connections, may_have_run) = (2, true);
        all.push(Error::ConnectionsEnded { key: key(), connections, may_have_run, source });
    }
    all.extend(tls_config_errors().into_iter().map(Error::from));
    for error in &all {
        match error {
            Error::NotConnected
            | Error::AlreadyConnected
            | Error::NoRuntime { .. }
            | Error::Url(_)
            | Error::Option(_)
            | Error::Key(_)
            | Error::BoundsMismatch { .. }
            | Error::Tls(_)
            | Error::ZeroTimeout
            | Error::TimeoutTooLong
            | Error::Serialize { .. }
            | Error::Deserialize { .. }
            | Error::KeyNotFound { .. }
            | Error::NotANumber { .. }
            | Error::NotAnInteger { .. }
            | Error::Overflow { .. }
            | Error::TooLarge { .. }
            | Error::Unavailable { .. }
            | Error::Overloaded { .. }
            | Error::Timeout { .. }
            | Error::Disconnected { .. }
            | Error::ConnectionsEnded { .. }
            | Error::Redirects(_)
            | Error::Server(_)
            | Error::Protocol(_) => {}
        }
    }
    all
}

/// An error, its source, and so on.
fn errors_of<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// The text of each error of a chain.
fn chain(error: &(dyn StdError + 'static)) -> Vec<String> {
    errors_of(error).map(ToString::to_string).collect()
}

fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    errors_of(error).find_map(|error| error.downcast_ref())
}

#[test]
fn no_error_prints_what_its_source_prints() {
    let load = |error: Error| -> Box<dyn StdError> { Box::new(LoadError::<Empty>::Cache(error)) };
    let all = errors().into_iter().map(load);
    let connections =
        connection_failures().into_iter().map(|error| -> Box<dyn StdError> { Box::new(error) });
    for error in all.chain(connections).chain([Box::new(LoadError::Load(Empty)) as _]) {
        let said = chain(&*error);
        for (at, text) in said.iter().enumerate() {
            assert!(!text.is_empty(), "{said:?}");
            for other in &said[at + 1..] {
                assert!(!text.contains(other.as_str()), "{said:?}");
            }
        }
    }
}

#[test]
fn an_error_with_its_sources_prints_each_part_once() {
    let source = ConnectionFailure::Node {
        at: "127.0.0.1:2".into(),
        source: Shared::new(ConnectionError::Refused(server()).into()),
    };
    let error = Error::Unavailable { to: "127.0.0.1:1".into(), source };
    assert_eq!(
        error.with_sources().to_string(),
        "127.0.0.1:1 is not available: the node at 127.0.0.1:2 did not say which node serves which slot: \
         the server refused the connection: the server answered \"WRONGPASS no\""
    );
}

#[test]
fn a_downcast_finds_every_wrapped_error_by_its_type() {
    let failed = LoadError::Load(Empty);
    assert_eq!(find::<Empty>(&failed), Some(&Empty));
    let cache = LoadError::<Empty>::Cache(Error::deserialize(b"key", json()));
    assert!(matches!(find::<Error>(&cache), Some(Error::Deserialize { .. })));
    assert!(find::<CodecError>(&cache).is_some());
    let inner = ConnectionFailure::Credentials(Shared::of(Empty));
    let source =
        ConnectionFailure::Sentinel { at: "127.0.0.1:1".into(), source: Shared::new(inner) };
    let error = Error::Unavailable { to: "127.0.0.1:1".into(), source };
    assert_eq!(find::<Empty>(&error), Some(&Empty));
    assert!(matches!(find::<ConnectionFailure>(&error), Some(ConnectionFailure::Sentinel { .. })));
    let refused = Error::Disconnected {
        may_have_run: false,
        source: ConnectionError::Refused(server()).into(),
    };
    assert_eq!(find::<ServerError>(&refused), Some(&server()));
    let read = Error::from(tls_config_errors().swap_remove(1));
    assert!(find::<io::Error>(&read).is_some());
}

#[test]
fn a_load_error_converts_to_the_loaders_or_the_caches_error() {
    fn own(error: LoadError<Error>) -> Result<(), Error> {
        Err(error)?
    }
    fn any(error: LoadError<Box<dyn StdError>>) -> Result<(), Box<dyn StdError>> {
        Err(error.flatten())
    }
    fn never(error: LoadError<Infallible>) -> Result<(), Error> {
        Err(error)?
    }
    assert!(matches!(own(LoadError::Load(Error::ZeroTimeout)), Err(Error::ZeroTimeout)));
    assert!(matches!(own(LoadError::Cache(Error::NotConnected)), Err(Error::NotConnected)));
    assert!(matches!(never(LoadError::Cache(Error::NotConnected)), Err(Error::NotConnected)));
    assert!(any(LoadError::Load(Box::new(Empty))).unwrap_err().is::<Empty>());
    assert!(any(LoadError::Cache(Error::NotConnected)).unwrap_err().is::<Error>());
}

#[test]
fn text_from_foreign_errors_is_escaped_and_truncated() {
    let long = "\u{202e}\\r\\n".repeat(1 << 18);
    let text = format!("{{\"{long}\":1}}");
    let source = serde_json::from_str::<Result<u8, u8>>(&text).unwrap_err();
    assert!(source.to_string().len() > 1 << 20, "serde quotes all of it");
    for error in
        [Error::deserialize(b"k", CodecError::new(source)), Error::serialize(b"k", de(&long))]
    {
        for shown in [
            error.with_sources().to_string(),
            error.source().unwrap().to_string(),
            format!("{error:?}"),
        ] {
            assert!(shown.len() < 10_000, "{} bytes", shown.len());
            assert!(!shown.contains(['\u{202e}', '\r', '\n']), "{shown}");
        }
    }
    let short = Error::deserialize(b"k", json());
    assert!(short.with_sources().to_string().ends_with("line 1 column 6"), "{short}");
    // The same holds for errors of an application and of the operating system.
    let named =
        ConnectionFailure::Name { host: "h".into(), source: Shared::new(io::Error::other(long)) };
    let error = Error::Unavailable { to: "h".into(), source: named };
    assert!(error.with_sources().to_string().len() < 10_000);
}

fn de(text: &str) -> CodecError {
    CodecError::new(serde::de::Error::custom(text))
}
