//! The backend of a cluster: its nodes, a pool for each, and the callers that wait for them.
//!
//! ```text
//!  caller ── Call ──▶ View: slot, master ──▶ Routes of its pool ──▶ connection  (no lock, no box)
//!              │ redirected, refused for now, or no connection
//!              ▼
//!            redirects: core's Hops ──▶ Nodes: moved, doubt, wait
//!                                         ▲
//!            keeper: core's Refresh ──────┘ ──▶ asks a node for its map, and puts another View in place
//! ```
//!
//! A node's pool is the same as that of a single server, with bounds of its own. It is opened by
//! the first call that needs it, and closed when the node serves no slot any more.
//!
//! | module, the top first | duty |
//! |---|---|
//! | `owner` | a cluster in use, from its start to its end |
//! | `redirects` | one command's way from node to node |
//! | `keeper`, `fetch` | the background task, and its requests for the map |
//! | `opening` | opens the pool of a node |
//! | `nodes` | the state that all callers share |
//! | `view`, `node` | the callers' view: which node serves which slot, over which connections |
//! | `snapshot` | what a cluster is doing, for a dashboard |

mod fetch;
mod keeper;
mod node;
mod nodes;
mod opening;
mod owner;
mod redirects;
mod snapshot;
mod view;

pub(crate) use self::nodes::Nodes;
pub(crate) use self::owner::Cluster;
pub(crate) use self::redirects::RedirectState;
pub(crate) use self::view::View;
