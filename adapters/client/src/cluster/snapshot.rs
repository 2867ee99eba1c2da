//! A snapshot of a cluster, for [`ClusterInfo`].

use async_caches_core::cluster::map::Health;
use async_caches_core::url::{Endpoint, Topology};

use super::nodes::Nodes;
use crate::info::{ClusterInfo, NodeInfo, PoolInfo};
use crate::sync::lock;

impl Nodes {
    /// Fills in the snapshot.
    pub(crate) fn describe(&self, info: &mut ClusterInfo) {
        let state = lock(&self.state);
        let view = self.view();
        info.maps = state.maps;
        info.waiting = state.queue.waiting();
        info.held = state.queue.held();
        info.last_error.clone_from(&state.last_error);
        let strays = state.strays.clone();
        drop(state);
        let told = view.with_readers().zip(view.map().nodes()).zip(view.slots());
        let told = told.map(|(((node, reader), told), slots)| {
            (reader.unwrap_or(node), slots, told.health == Health::Failed)
        });
        let strays = strays.iter().map(|node| (node, 0, false));
        for (node, slots, failed) in told.chain(strays) {
            let endpoint = Endpoint::from(node.address().clone());
            let mut pool = PoolInfo::none(Topology::Standalone(endpoint), &self.settings);
            if let Some(redis) = node.opened() {
                redis.pool().describe(&mut pool);
            }
            info.nodes.push(NodeInfo { slots, failed, pool });
        }
    }
}
