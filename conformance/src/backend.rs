//! The backends that the suite runs on, and a place on one for each test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use crate::certificates::Authority;
use crate::cluster::Lent;
use crate::raw::Raw;
use crate::sentinels::Trio;
use crate::server::{Kind, Server, Setup, Tls};

/// A backend, and the way to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// `dummy://`.
    Dummy,
    /// `locmem://`.
    Locmem,
    /// A Redis server over TCP.
    Redis,
    /// A Redis server over its unix socket.
    RedisOverUnixSocket,
    /// A Redis server over TCP that demands a password full of characters that URLs reserve.
    RedisWithPassword,
    /// A Redis server over TLS, whose authority the URL names.
    RedisOverTls,
    /// A Redis server that does not know `HELLO`, and so has no RESP3.
    RedisWithoutHello,
    /// A Redis server that three sentinels name as the master of a service.
    RedisThroughSentinel,
    /// A cluster of three Redis servers.
    RedisCluster,
    /// A Valkey server over TCP.
    Valkey,
    /// A Valkey server over TCP that demands the same password.
    ValkeyWithPassword,
    /// A Valkey server that three Valkey sentinels name.
    ValkeyThroughSentinel,
    /// A cluster of three Valkey servers.
    ValkeyCluster,
}

impl Backend {
    /// The kind of the server, if the backend is one.
    #[must_use]
    pub fn kind(self) -> Option<Kind> {
        match self {
            Self::Dummy | Self::Locmem => None,
            Self::Redis
            | Self::RedisOverUnixSocket
            | Self::RedisWithPassword
            | Self::RedisOverTls
            | Self::RedisWithoutHello
            | Self::RedisThroughSentinel
            | Self::RedisCluster => Some(Kind::Redis),
            Self::Valkey
            | Self::ValkeyWithPassword
            | Self::ValkeyThroughSentinel
            | Self::ValkeyCluster => Some(Kind::Valkey),
        }
    }

    /// Whether the backend is a cluster: several servers, each with a pool of its own, and no
    /// databases.
    #[must_use]
    pub fn is_cluster(self) -> bool {
        matches!(self, Self::RedisCluster | Self::ValkeyCluster)
    }

    /// Completes the setup of a server of this backend: what `setup` leaves open is filled in.
    pub(crate) fn complete(self, setup: Setup) -> Setup {
        match self {
            Self::RedisOverTls => setup.tls_or(|| Tls::of(&AUTHORITY)),
            Self::Dummy
            | Self::Locmem
            | Self::Redis
            | Self::RedisOverUnixSocket
            | Self::RedisWithPassword
            | Self::RedisWithoutHello
            | Self::RedisThroughSentinel
            | Self::Valkey
            | Self::ValkeyWithPassword
            | Self::ValkeyThroughSentinel
            | Self::RedisCluster
            | Self::ValkeyCluster => setup,
        }
    }
}

/// A namespace on a backend that belongs to one test.
pub(crate) struct Place {
    pub(crate) backend: Backend,
    pub(crate) database: u32,
    pub(crate) url: String,
    /// The test's cluster, if the backend is one.
    cluster: Option<Lent>,
}

impl Place {
    /// Returns a new place, or `None` if the backend is optional and not installed. That is printed
    /// once.
    pub(crate) fn new(backend: Backend) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let database = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(database < Server::DATABASES, "there are more tests than databases");
        if backend.kind() == Some(Kind::Valkey) && !Kind::Valkey.is_here() {
            return None;
        }
        let kind = backend.kind().filter(|_| backend.is_cluster());
        let cluster = kind.map(Lent::new);
        let mut place = Self { backend, database, url: String::new(), cluster };
        place.url = match (backend, place.server()) {
            (Backend::RedisCluster | Backend::ValkeyCluster, Some(_)) => {
                place.cluster.as_ref().map(|lent| lent.cluster().url()).unwrap_or_default()
            }
            (Backend::RedisOverUnixSocket, Some(server)) => server.unix_url(database),
            (Backend::RedisThroughSentinel | Backend::ValkeyThroughSentinel, Some(_)) => {
                place.trio().url(database)
            }
            (_, Some(server)) => server.url(database),
            (Backend::Dummy, None) => "dummy://".to_owned(),
            (_, None) => format!("locmem://place-{database}"),
        };
        Some(place)
    }

    /// A raw connection to the namespace.
    pub(crate) fn raw(&self) -> Option<Raw> {
        match &self.cluster {
            Some(lent) => Some(lent.cluster().raw()),
            None => Some(self.server()?.raw(self.database)),
        }
    }

    /// The server behind the backend; of several, the first. All tests of the process share it, and
    /// it ends with the process.
    pub(crate) fn server(&self) -> Option<&'static Server> {
        static PLAIN: OnceLock<Server> = OnceLock::new();
        static GUARDED: OnceLock<Server> = OnceLock::new();
        static ENCRYPTED: OnceLock<Server> = OnceLock::new();
        static DATED: OnceLock<Server> = OnceLock::new();
        static VALKEY: OnceLock<Server> = OnceLock::new();
        static GUARDED_VALKEY: OnceLock<Server> = OnceLock::new();
        let kind = self.backend.kind()?;
        let (server, setup) = match self.backend {
            Backend::Dummy | Backend::Locmem => return None,
            Backend::RedisCluster | Backend::ValkeyCluster => {
                return self.cluster.as_ref()?.cluster().nodes.first();
            }
            Backend::RedisThroughSentinel | Backend::ValkeyThroughSentinel => {
                return self.trio().servers.first();
            }
            Backend::Redis | Backend::RedisOverUnixSocket => (&PLAIN, Setup::default()),
            Backend::RedisWithPassword => (&GUARDED, Setup::default().password(PASSWORD)),
            Backend::RedisOverTls => (&ENCRYPTED, self.backend.complete(Setup::default())),
            Backend::RedisWithoutHello => {
                (&DATED, Setup::default().with(&["--rename-command", "HELLO", ""]))
            }
            Backend::Valkey => (&VALKEY, Setup::default()),
            Backend::ValkeyWithPassword => (&GUARDED_VALKEY, Setup::default().password(PASSWORD)),
        };
        Some(server.get_or_init(|| Server::start(kind, &setup)))
    }

    /// The master and its sentinels: one set of each kind for all tests of the process. No test
    /// lets it fail over, and its sentinels do not take a server for gone however busy the machine
    /// is.
    fn trio(&self) -> &'static Trio {
        static REDIS: OnceLock<Trio> = OnceLock::new();
        static VALKEY: OnceLock<Trio> = OnceLock::new();
        let (kind, trio) = match self.backend.kind() {
            Some(Kind::Valkey) => (Kind::Valkey, &VALKEY),
            Some(Kind::Redis) | None => (Kind::Redis, &REDIS),
        };
        trio.get_or_init(|| Trio::start(kind, None, Duration::from_secs(60)))
    }
}

/// The authority of all servers of [`Backend::RedisOverTls`], so that one can take another's place.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

/// The password of servers that demand one: [`CANARY`], then characters that URLs reserve.
pub(crate) const PASSWORD: &str = "c4n4ryPass@:w/rd?#[1]% \"&\u{e9}";

/// The start of the password. It is the same in every encoding: CI looks for it in all output of
/// the tests.
pub(crate) const CANARY: &str = "c4n4ryPass";
