//! A cluster of Redis or Valkey servers: which node a command is for, and what to do when it was not.
//!
//! | module | duty |
//! |---|---|
//! | [`slot`], [`way`] | which of the 16,384 slots a key belongs to; which nodes a command is for |
//! | [`address`] | what nodes call each other, and how that becomes what we can reach |
//! | [`map`] | who serves which slot, as a node told it and redirects put it right |
//! | [`room`] | how many nodes become known by redirects alone, and how fast new ones are dialled |
//! | [`redirect`] | where a command goes next that a node did not answer |
//! | [`refresh`] | when the map is read again, and from whom |
//! | [`split`] | commands for many keys, as parts that a node takes; their answers together |
//!
//! A call hashes its key, looks its slot up in the map and goes to that node; all else happens only
//! where the cluster has changed, or is changing. Nothing here knows a link, a pool or a clock.

pub mod address;
pub mod map;
pub mod redirect;
pub mod refresh;
pub mod room;
pub mod slot;
pub mod split;
pub mod way;

#[cfg(test)]
mod tests;
