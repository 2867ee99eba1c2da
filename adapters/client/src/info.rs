//! What a cache is doing at the moment, for a dashboard: one snapshot for every backend.
//!
//! [`Cache::info`] says what there is now; [`Cache::stats`](crate::Cache::stats) counts what a store in memory has
//! done, and is part of it. Nothing is counted for its sake on the way of a command: numbers are read where the
//! work is done anyhow, and those that grow are of links.

use std::time::Duration;

use async_caches_core::memory::{Bounds, Stats};
use async_caches_core::options::Settings;
use async_caches_core::url::{Endpoint, Topology};

use crate::backend::Backend;
use crate::cache::{Cache, Target};
use crate::error::LinkError;

/// What a cache is doing, as [`Cache::info`] found it. Holds no password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Info {
    /// Whether the cache is connected, as [`Cache::is_connected`] says.
    pub connected: bool,
    /// The same of its backend.
    pub backend: BackendInfo,
    /// How many entries this cache and its clones found that could not be read as what was asked
    /// for, since it was built: those that [`Cache::get_or_set`] has replaced, those that were a
    /// miss, and those that were an error.
    pub unreadable: u64,
}

/// What a cache's backend is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BackendInfo {
    /// `dummy://`: nothing.
    Dummy,
    /// `locmem://`: a store in memory.
    Memory(MemoryInfo),
    /// `redis://` and its like: a pool of links to a server.
    Redis(Box<PoolInfo>),
    /// `redis-cluster://` and its like: a pool of links to each node that is in use.
    Cluster(Box<ClusterInfo>),
}

/// A store in memory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryInfo {
    /// The store's name, from the URL.
    pub name: String,
    /// How many entries the store may hold; `None` is no bound. Before `connect`, what this cache
    /// asks for.
    pub max_entries: Option<u64>,
    /// How many bytes the store may hold, as [`Stats::bytes`] counts them; `None` is no bound.
    /// Before `connect`, what this cache asks for.
    pub max_bytes: Option<u64>,
    /// What the store has done and what it holds; `None` unless connected. See [`Cache::stats`].
    pub stats: Option<Stats>,
}

/// The nodes of a cluster. Of a cache that is not connected there are none.
///
/// Nodes are looked at one after another, so their numbers are of slightly different moments.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterInfo {
    /// The nodes that the URL names.
    pub topology: Topology,
    /// The nodes that the cluster has, as the last map says and redirects since.
    pub nodes: Vec<NodeInfo>,
    /// How many maps were read since the cache was connected.
    pub maps: u64,
    /// Callers that wait for the cluster and for no node of it: for another map, or until a node may be
    /// asked again. Those that wait for a link to a node count there.
    pub waiting: usize,
    /// Writers that wait for the store of a load of the same key.
    pub held: usize,
    /// Why a map could not be read, if none was since.
    pub last_error: Option<LinkError>,
}

/// A node of a cluster, and the pool of links to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeInfo {
    /// How many slots it serves; none of a replica.
    pub slots: usize,
    /// Whether the others have not reached it, as of the last map.
    pub failed: bool,
    /// The pool of links to it, which has bounds of its own; one without links where no call has
    /// needed it. Its [`endpoint`](PoolInfo::endpoint) is the node's address.
    pub pool: PoolInfo,
}

/// A pool of links to a server. Of a cache that is not connected, or is closing its links, all
/// numbers but the bounds are zero.
///
/// Links are looked at one after another, so numbers of a pool in use are of slightly different
/// moments. Those of links are of one: `open + dialling + closing <= maxsize` always.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolInfo {
    /// Where the server is, or who says so, from the URL.
    pub topology: Topology,
    /// Where links are dialled to; `None` while no sentinel has said yet which server is the master.
    pub endpoint: Option<Endpoint>,
    /// How many links the pool keeps.
    pub minsize: usize,
    /// How many links the pool may have.
    pub maxsize: usize,
    /// Links that are open, and take commands or answer their last ones.
    pub open: usize,
    /// Of those that are open, links on which no caller waits for anything.
    pub idle: usize,
    /// Of those that are open, links that have their fill: the pool passes them over where it can,
    /// and opens more where it may.
    pub busy: usize,
    /// Links that are being dialled or greeted.
    pub dialling: usize,
    /// Links that idled, or lead to where the master was, and are about to end.
    pub closing: usize,
    /// Callers that wait for a link, or for room on one.
    pub waiting: usize,
    /// Writers that wait for the store of a load of the same key.
    pub held: usize,
    /// Commands that open links were given and have not written yet, or not all of them.
    pub queued: usize,
    /// Commands that open links have written and that are not answered; among them those whose
    /// callers went away, and our own `PING` and `AUTH`.
    pub in_flight: usize,
    /// Bytes that open links were given and their sockets have not taken yet.
    pub queued_bytes: usize,
    /// How many open links were lost since the cache was connected. Those that idled, or led to where
    /// the master was, are none.
    pub lost: u64,
    /// How many links were opened in the place of lost ones since the cache was connected.
    pub reconnects: u64,
    /// How many dials have failed since a link was opened last.
    pub failed_dials: u32,
    /// How long the next dial is held back after a failure; `None` where it is not, or nothing
    /// wants one.
    pub held_back: Option<Duration>,
    /// Whether callers without a link are failed at once, instead of waiting for one: every dial
    /// has failed for a response timeout, or the server refused the credentials.
    pub hopeless: bool,
    /// Why a link last was lost, or could not be opened, since the cache was connected. It stays
    /// when others have opened since.
    pub last_error: Option<LastError>,
    /// What the servers behind the open links said of themselves: one for each that differs, which
    /// is several while an upgrade is on its way.
    pub servers: Vec<ServerSeen>,
}

/// Why a link ended, and when.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LastError {
    /// Why.
    pub error: LinkError,
    /// How long ago.
    pub ago: Duration,
}

/// What servers said of themselves when links to them were opened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ServerSeen {
    /// The server's own name, such as `redis` or `valkey`; `None` where it did not say, as one that
    /// knows no `HELLO` does not.
    pub name: Option<String>,
    /// The server's version, such as `7.0.15`; `None` where it did not say.
    pub version: Option<String>,
    /// The version of RESP that is spoken: 2 or 3.
    pub protocol: u8,
    /// How many open links lead to it.
    pub links: usize,
}

impl Info {
    /// What the pool of links is doing, where the backend is one server.
    #[must_use]
    pub fn pool(&self) -> Option<&PoolInfo> {
        match &self.backend {
            BackendInfo::Redis(pool) => Some(pool),
            BackendInfo::Dummy | BackendInfo::Memory(_) | BackendInfo::Cluster(_) => None,
        }
    }

    /// What the nodes and their pools are doing, where the backend is a cluster.
    #[must_use]
    pub fn cluster(&self) -> Option<&ClusterInfo> {
        match &self.backend {
            BackendInfo::Cluster(cluster) => Some(cluster),
            BackendInfo::Dummy | BackendInfo::Memory(_) | BackendInfo::Redis(_) => None,
        }
    }
}

impl PoolInfo {
    /// That of a pool that has no links.
    pub(crate) fn none(topology: Topology, settings: &Settings) -> Self {
        let endpoint = match &topology {
            Topology::Standalone(endpoint) => Some(endpoint.clone()),
            Topology::Sentinel(_) | Topology::Cluster(_) => None,
        };
        Self {
            topology,
            endpoint,
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
            hopeless: false,
            last_error: None,
            servers: Vec::new(),
        }
    }
}

impl Cache {
    /// What the cache is doing at the moment: its links, who waits for them and what went wrong
    /// last, or its store's bounds and counts.
    ///
    /// Waits for nothing. Costs a short lock of the pool and of each of its links, or of each shard of a store in
    /// memory, in turn: made to be asked every few seconds, not for every operation.
    #[must_use]
    pub fn info(&self) -> Info {
        let (target, settings) = self.parts();
        let backend = self.backend();
        let connected = backend.is_some();
        let backend = match target {
            Target::Dummy { .. } => BackendInfo::Dummy,
            Target::Memory { name, .. } => {
                let store = match backend.as_deref() {
                    Some(Backend::Memory(store)) => Some(store),
                    Some(Backend::Dummy | Backend::Redis { .. } | Backend::Cluster { .. })
                    | None => None,
                };
                let Settings { max_entries, max_bytes, .. } = *settings;
                let asked = Bounds { max_entries, max_bytes };
                let Bounds { max_entries, max_bytes } = store.map_or(asked, |store| store.bounds());
                let stats = store.map(|store| store.stats());
                let name = name.to_string();
                BackendInfo::Memory(MemoryInfo { name, max_entries, max_bytes, stats })
            }
            Target::Redis(remote) => {
                let mut info = PoolInfo::none(remote.topology().clone(), settings);
                if let Some(Backend::Redis { redis, .. }) = backend.as_deref() {
                    redis.pool().describe(&mut info);
                }
                BackendInfo::Redis(Box::new(info))
            }
            Target::Cluster(remote, _) => {
                let mut info = ClusterInfo {
                    topology: remote.topology().clone(),
                    nodes: Vec::new(),
                    maps: 0,
                    waiting: 0,
                    held: 0,
                    last_error: None,
                };
                if let Some(Backend::Cluster { cluster, .. }) = backend.as_deref() {
                    cluster.nodes().describe(&mut info);
                }
                BackendInfo::Cluster(Box::new(info))
            }
        };
        Info { connected, backend, unreadable: self.reports().count() }
    }
}
