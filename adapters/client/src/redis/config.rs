//! What all connections of a pool have in common.

use std::sync::Arc;

use async_caches_core::cluster::address::Address;
use async_caches_core::connection::{Role, Setup};
use async_caches_core::large::LargeKeys;

use super::load::PoolBounds;
use super::observer::Observer;
use super::refresh_signal::RefreshSignal;
use crate::credentials::CredentialState;
use crate::resolver::Resolver;
use crate::runtime::Runtime;
use crate::tls::TlsClient;
use crate::translation::Translation;

/// What all connections of a pool have in common.
#[derive(Debug)]
pub(in crate::redis) struct PoolConfig {
    pub(in crate::redis) runtime: Arc<dyn Runtime>,
    pub(in crate::redis) observer: Arc<Observer>,
    pub(in crate::redis) credentials: CredentialState,
    /// How its connections are encrypted, if they are.
    pub(in crate::redis) tls: Option<TlsClient>,
    pub(in crate::redis) resolver: Resolver,
    /// What addresses that sentinels name are for us.
    pub(in crate::redis) named_by_sentinels: Translation,
    pub(in crate::redis) setup: Setup,
    pub(in crate::redis) bounds: PoolBounds,
    /// Its part in a cluster, if its server is a node of one.
    pub(in crate::redis) member: Option<Member>,
    pub(in crate::redis) large: Arc<LargeKeys>,
}

/// A pool's share of the cluster that its server is a node of.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The node's address in the cluster.
    pub(crate) address: Address,
    /// The keys of the cluster with large values.
    pub(crate) large: Arc<LargeKeys>,
    /// Raised for each connection that is lost, or cannot be opened.
    pub(crate) signal: Arc<RefreshSignal>,
    /// What its connections are used for.
    pub(crate) role: Role,
}
