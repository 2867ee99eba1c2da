//! What the callers of a connection and its driver share.
//!
//! | module | duty |
//! |---|---|
//! | `shared` | the shared state, and the callers' side of it |
//! | `turn` | the driver's side |
//! | `apart` | connections for commands that must be alone |
//! | `credentials` | authenticates again |
//! | `slots` | the callers that wait for their replies |
//! | `closing` | whether and how it closes |
//! | `meter`, `snapshot` | what it is doing, for metrics and for a dashboard |

mod apart;
pub(in crate::redis) mod closing;
mod credentials;
pub(in crate::redis) mod meter;
pub(in crate::redis) mod shared;
pub(in crate::redis) mod slots;
mod snapshot;
pub(in crate::redis) mod turn;
