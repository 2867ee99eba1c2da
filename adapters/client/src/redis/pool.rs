//! A pool: the connections to one server, and the callers that wait for one.
//!
//! | module | duty |
//! |---|---|
//! | `state` | the pool and its state; publishes the connections to callers |
//! | `changes` | takes in that a connection has opened or ended |
//! | `acquire`, `alone` | how a caller gets a connection, shared with others or for itself |
//! | `failures` | the errors for callers that got none |
//! | `sentinels`, `masters` | what sentinels report, and what the pool makes of it |
//! | `membership` | what a cluster needs of the pool of a node |
//! | `wait_queue`, `suspects`, `waiter` | the callers that wait |
//! | `routes`, `publication` | the callers' view, and when it is published |
//! | `snapshot` | what the pool is doing, for a dashboard |

pub(in crate::redis) mod acquire;
mod alone;
pub(in crate::redis) mod changes;
mod failures;
mod masters;
mod membership;
pub(in crate::redis) mod publication;
pub(in crate::redis) mod routes;
pub(in crate::redis) mod sentinels;
mod snapshot;
pub(in crate::redis) mod state;
mod suspects;
pub(in crate::redis) mod wait_queue;
pub(in crate::redis) mod waiter;
