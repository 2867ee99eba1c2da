//! What a cache is doing at the moment, for a dashboard: one snapshot for every backend.
//!
//! [`Cache::info`](crate::Cache::info) reports the present state. It includes
//! [`Cache::stats`](crate::Cache::stats), which counts what a store in memory has done. No command
//! is slowed down for it: the numbers come from places that do the work anyway, and the counters
//! that grow are per connection.

use std::time::{Duration, SystemTime};

use async_caches_core::memory::Stats;
use async_caches_core::options::Settings;
use async_caches_core::url::{Endpoint, Topology};

use crate::error::ConnectionFailure;

/// What a cache is doing, as returned by [`Cache::info`](crate::Cache::info). Contains no password.
///
/// ```
/// # futures_lite::future::block_on(async {
/// let cache = async_caches::builder("locmem://").connect().await?;
/// let info = cache.info();
/// assert!(info.connected && info.unreadable == 0);
/// assert!(info.pool().is_none() && info.cluster().is_none()); // no server
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Info {
    /// Whether the cache is connected, as [`Cache::is_connected`](crate::Cache::is_connected)
    /// returns it.
    pub connected: bool,
    /// What its backend is doing.
    pub backend: BackendInfo,
    /// How many entries this cache and its clones could not read as the type asked for, since it
    /// was built: those that [`Cache::get_or_set`](crate::Cache::get_or_set) replaced, those that
    /// were a miss, and those that were an error.
    pub unreadable: u64,
}

/// What a cache's backend is doing.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::BackendInfo;
///
/// /// A line for a dashboard.
/// fn line(backend: &BackendInfo) -> String {
///     match backend {
///         BackendInfo::Redis(pool) => format!("{} of {} connections", pool.open, pool.maxsize),
///         BackendInfo::Cluster(cluster) => format!("{} nodes", cluster.nodes.len()),
///         BackendInfo::Memory(memory) => format!("in memory: {:?}", memory.name),
///         _ => String::from("no cache"),
///     }
/// }
///
/// let cache = async_caches::builder("locmem://sessions").connect().await?;
/// assert_eq!(line(&cache.info().backend), "in memory: \"sessions\"");
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BackendInfo {
    /// `dummy://`: nothing.
    Dummy,
    /// `locmem://`: a store in memory.
    Memory(MemoryInfo),
    /// `redis://` and the like: a pool of connections to a server.
    Redis(Box<PoolInfo>),
    /// `redis-cluster://` and the like: a pool of connections to each node in use.
    Cluster(Box<ClusterInfo>),
}

/// A store in memory.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::BackendInfo;
///
/// let cache = async_caches::builder("locmem://bounded").max_entries(1_000).connect().await?;
/// cache.set("key", "value").await?;
/// let BackendInfo::Memory(memory) = cache.info().backend else { unreachable!() };
/// assert_eq!(memory.max_entries, Some(1_000));
/// assert_eq!(memory.stats.map(|stats| stats.entries), Some(1));
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryInfo {
    /// The store's name, from the URL.
    pub name: String,
    /// How many entries the store may hold; `None` for no bound. Before `connect`, the bound that
    /// this cache asks for.
    pub max_entries: Option<u64>,
    /// How many bytes the store may hold, as [`Stats::bytes`] counts them; `None` for no bound.
    /// Before `connect`, the bound that this cache asks for.
    pub max_bytes: Option<u64>,
    /// What the store has done and what it holds; `None` if not connected. See
    /// [`Cache::stats`](crate::Cache::stats).
    pub stats: Option<Stats>,
}

/// The nodes of a cluster; empty if the cache is not connected.
///
/// Nodes are read one after another, so their numbers are of slightly different moments.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::Cache;
///
/// /// How many of the 16,384 slots are served by nodes that work.
/// fn served_slots(cache: &Cache) -> Option<usize> {
///     let cluster = cache.info().cluster()?.clone();
///     Some(cluster.nodes.iter().filter(|node| !node.failed).map(|node| node.slots).sum())
/// }
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// assert_eq!(served_slots(&cache), None); // no cluster
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterInfo {
    /// The nodes that the URL names.
    pub topology: Topology,
    /// The nodes of the cluster, from the last map and the redirects since.
    pub nodes: Vec<NodeInfo>,
    /// How many maps were read since the cache was connected.
    pub maps: u64,
    /// Callers that wait for the cluster and for no single node: for a new map, or until a node may
    /// be tried again. Callers that wait for a connection to a node are counted with that node.
    pub waiting: usize,
    /// Writers that wait until a load of the same key has stored its value.
    pub held: usize,
    /// Why the last map could not be read; `None` if one was read since.
    pub last_error: Option<ConnectionFailure>,
}

/// A node of a cluster, and the pool of connections to it.
///
/// The example of [`ClusterInfo`] counts the slots of nodes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeInfo {
    /// How many slots it serves; zero for a replica.
    pub slots: usize,
    /// Whether the other nodes report it as failed, as of the last map.
    pub failed: bool,
    /// The pool of connections to it, with bounds of its own. It has no connections if no call has
    /// needed them. Its [`endpoint`](PoolInfo::endpoint) is the node's address.
    pub pool: PoolInfo,
}

/// A pool of connections to a server. If the cache is not connected, or is closing its connections,
/// all numbers but the bounds are zero.
///
/// Connections are read one after another, so the numbers of a pool in use are of slightly
/// different moments. The counts of connections are of one moment:
/// `open + dialling + closing <= maxsize` always holds.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::Cache;
///
/// /// Whether calls suffer from a lack of connections.
/// fn is_short_of_connections(cache: &Cache) -> bool {
///     let info = cache.info();
///     info.pool().is_some_and(|pool| pool.failing_fast || pool.waiting > 0)
/// }
///
/// let cache = async_caches::builder("locmem://").connect().await?;
/// assert!(!is_short_of_connections(&cache)); // it needs none
/// # Ok::<(), async_caches::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolInfo {
    /// Where the server is, or which sentinels know it, from the URL.
    pub topology: Topology,
    /// The address that is dialled; `None` until a sentinel has named the master.
    pub endpoint: Option<Endpoint>,
    /// Whether a server has reported, since the cache was connected, that it is a node of a
    /// cluster. With a URL of one server (`redis://`) the pool then serves only the keys of that
    /// node, and calls for other keys fail with the error `MOVED`; the URL should be that of a
    /// cluster (`redis-cluster://`). False if the server did not report it: over RESP2 it cannot.
    pub in_cluster: bool,
    /// How many connections the pool keeps.
    pub minsize: usize,
    /// How many connections the pool may have.
    pub maxsize: usize,
    /// Connections that are open and take commands or answer their last ones.
    pub open: usize,
    /// Open connections on which no caller waits for anything.
    pub idle: usize,
    /// Open connections that are full. The pool prefers others if it can, and opens more if it may.
    pub busy: usize,
    /// Connections that are being dialled or are in the handshake.
    pub dialling: usize,
    /// Connections that were idle, or lead to the former master, and are about to end.
    pub closing: usize,
    /// Callers that wait for a connection, or for room on one.
    pub waiting: usize,
    /// Writers that wait until a load of the same key has stored its value.
    pub held: usize,
    /// Commands that were given to open connections and are not yet written, or not completely.
    pub queued: usize,
    /// Commands that open connections have written and that have no reply yet. They include
    /// commands of callers that went away, and our own `PING` and `AUTH`.
    pub in_flight: usize,
    /// Bytes that were given to open connections and not yet taken by their sockets.
    pub queued_bytes: usize,
    /// How many open connections were lost since the cache was connected. Connections that were
    /// idle, or led to the former master, do not count.
    pub lost: u64,
    /// How many connections have replaced lost ones since the cache was connected.
    pub reconnects: u64,
    /// How many dials have failed since a connection last opened.
    pub failed_dials: u32,
    /// How long the next dial is delayed after a failure; `None` if it is not delayed or no
    /// connection is wanted.
    pub held_back: Option<Duration>,
    /// Whether callers without a connection fail at once instead of waiting for one: every dial has
    /// failed for a response timeout, or the server refused the credentials.
    pub failing_fast: bool,
    /// Why a connection was last lost or could not be opened, since the cache was connected. It
    /// stays after others have opened.
    pub last_error: Option<LastError>,
    /// What the servers behind the open connections report about themselves, one for each that
    /// differs: several during an upgrade.
    pub servers: Vec<ServerSeen>,
}

/// Why a connection ended, and when.
///
/// ```
/// use async_caches::PoolInfo;
///
/// /// A line for a log, such as `the server closed the connection (3s ago)`.
/// fn last_error(pool: &PoolInfo) -> Option<String> {
///     let last = pool.last_error.as_ref()?;
///     Some(format!("{} ({:?} ago)", last.error.with_sources(), last.ago))
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LastError {
    /// Why.
    pub error: ConnectionFailure,
    /// How long ago.
    pub ago: Duration,
    /// When, by the runtime's time of day.
    pub at: SystemTime,
}

/// What servers reported about themselves when connections to them were opened.
///
/// ```
/// use async_caches::PoolInfo;
///
/// /// Whether the servers have different versions, as during an upgrade.
/// fn are_being_upgraded(pool: &PoolInfo) -> bool {
///     pool.servers.windows(2).any(|two| two[0].version != two[1].version)
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ServerSeen {
    /// The server's own name, such as `redis` or `valkey`; `None` if it did not report one, as a
    /// server without `HELLO` does not.
    pub name: Option<String>,
    /// The server's version, such as `7.0.15`; `None` if it did not report one.
    pub version: Option<String>,
    /// The version of RESP on the connection: 2 or 3.
    pub protocol: u8,
    /// How many open connections lead to it.
    pub connections: usize,
}

impl Info {
    /// The pool of connections, if the backend is a single server.
    #[must_use]
    pub fn pool(&self) -> Option<&PoolInfo> {
        match &self.backend {
            BackendInfo::Redis(pool) => Some(pool),
            BackendInfo::Dummy | BackendInfo::Memory(_) | BackendInfo::Cluster(_) => None,
        }
    }

    /// The nodes and their pools, if the backend is a cluster.
    #[must_use]
    pub fn cluster(&self) -> Option<&ClusterInfo> {
        match &self.backend {
            BackendInfo::Cluster(cluster) => Some(cluster),
            BackendInfo::Dummy | BackendInfo::Memory(_) | BackendInfo::Redis(_) => None,
        }
    }
}

impl ClusterInfo {
    /// A cluster without nodes.
    pub(crate) fn none(topology: Topology) -> Self {
        Self { topology, nodes: Vec::new(), maps: 0, waiting: 0, held: 0, last_error: None }
    }
}

impl PoolInfo {
    /// A pool without connections.
    pub(crate) fn none(topology: Topology, settings: &Settings) -> Self {
        let endpoint = match &topology {
            Topology::Standalone(endpoint) => Some(endpoint.clone()),
            Topology::Sentinel(_) | Topology::Cluster(_) => None,
        };
        Self {
            topology,
            endpoint,
            in_cluster: false,
            minsize: settings.minsize,
            maxsize: settings.maxsize,
            open: 0,
            idle: 0,
            busy: 0,
            dialling: 0,
            closing: 0,
            waiting: 0,
            held: 0,
            queued: 0,
            in_flight: 0,
            queued_bytes: 0,
            lost: 0,
            reconnects: 0,
            failed_dials: 0,
            held_back: None,
            failing_fast: false,
            last_error: None,
            servers: Vec::new(),
        }
    }
}
