//! `info` and `stats`: what a cache is doing at the moment.

use async_caches_core::memory::{Bounds, Stats};
use async_caches_core::options::Settings;
use async_caches_core::url::Topology;

use crate::backend::{Backend, Remote};
use crate::cache::Cache;
use crate::info::{BackendInfo, ClusterInfo, Info, MemoryInfo, PoolInfo};
use crate::target::Target;

impl Cache {
    /// Returns a snapshot of the cache: its connections, the callers that wait for them and the
    /// last error, or its store's bounds and counts.
    ///
    /// Never waits. Costs a short lock of the pool and of each of its connections in turn, or of
    /// each shard of a store in memory. Call it every few seconds, not for every operation.
    #[must_use]
    pub fn info(&self) -> Info {
        let settings = self.settings();
        let backend = self.backend();
        let connected = backend.is_some();
        let backend = match self.target() {
            Target::Dummy { .. } => BackendInfo::Dummy,
            Target::Memory { name, .. } => {
                let store = match backend.as_deref() {
                    Some(Backend::Memory(store)) => Some(store),
                    Some(Backend::Dummy | Backend::Remote { .. }) | None => None,
                };
                let Settings { max_entries, max_bytes, .. } = *settings;
                let asked = Bounds { max_entries, max_bytes };
                let Bounds { max_entries, max_bytes } = store.map_or(asked, |store| store.bounds());
                let stats = store.map(|store| store.stats());
                let name = name.to_string();
                BackendInfo::Memory(MemoryInfo { name, max_entries, max_bytes, stats })
            }
            Target::Remote(target) => {
                let remote = backend.as_deref().and_then(Backend::remote);
                describe(target.topology().clone(), settings, remote)
            }
        };
        Info { connected, backend, unreadable: self.reports().count() }
    }

    /// Returns what a store in memory has done since it was opened, for all its caches, and what it
    /// holds. `None` if the cache is not connected, and for other backends: `dummy://` holds
    /// nothing, and a server counts for all its clients and reports that in `INFO`.
    /// [`info`](Self::info) includes these numbers, and reports on a server's connections.
    ///
    /// Takes the lock of each shard in turn, for reading, so lookups do not wait for it.
    #[must_use]
    pub fn stats(&self) -> Option<Stats> {
        self.with_backend(|backend| match backend {
            Backend::Memory(store) => Some(store.stats()),
            Backend::Dummy | Backend::Remote { .. } => None,
        })
        .ok()
        .flatten()
    }
}

/// Describes the connections to these servers; `remote` is absent unless the cache is connected.
fn describe(topology: Topology, settings: &Settings, remote: Option<&Remote>) -> BackendInfo {
    match (&topology, remote) {
        (Topology::Cluster(_), remote) => {
            let mut info = ClusterInfo::none(topology);
            if let Some(Remote::Cluster(cluster)) = remote {
                cluster.nodes().describe(&mut info);
            }
            BackendInfo::Cluster(Box::new(info))
        }
        (Topology::Standalone(_) | Topology::Sentinel(_), remote) => {
            let mut info = PoolInfo::none(topology, settings);
            if let Some(Remote::Pool(pool)) = remote {
                pool.pool().describe(&mut info);
            }
            BackendInfo::Redis(Box::new(info))
        }
    }
}
