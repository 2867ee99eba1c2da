//! A cluster of Redis or Valkey servers: which node a command is for, and what to do if it was not.
//!
//! | module | duty |
//! |---|---|
//! | [`slot`], [`key_route`] | which of the 16,384 slots a key belongs to; which nodes a command is for |
//! | [`address`] | the nodes' names for each other, and the addresses that the client can reach |
//! | [`map`] | which nodes serve which slot, as read from a node and corrected by redirects |
//! | [`node_budget`] | how many nodes become known by redirects alone, and how fast new ones are dialled |
//! | [`redirect`] | the next step of a command that a node did not answer |
//! | [`refresh`] | when to read the map again, and from which node |
//! | [`split`] | splits commands for many keys into parts that a node accepts, and joins their answers |
//!
//! A call hashes its key, looks its slot up in the map and goes to that node. Everything else
//! happens only if the cluster has changed, or is changing. Nothing here knows a connection, a pool
//! or a clock.

pub mod address;
pub mod key_route;
pub mod map;
pub mod node_budget;
pub mod redirect;
pub mod refresh;
pub mod slot;
pub mod split;

#[cfg(test)]
mod tests;
