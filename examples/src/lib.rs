//! The programs beside this crate's `src` are examples, one idea each: `quickstart`,
//! `neutral_library`, `custom_loop` and `web`. Run one with `cargo run --example quickstart`.
//!
//! The crate itself holds nothing but documents: the README, the pages of the guide and the READMEs
//! of the published crates. Each Rust block in them is compiled as a doctest, and run unless it is
//! marked `no_run`. `conformance/tests/documents.rs` checks that no page of the guide is missing.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/cluster.md")]
pub struct Cluster;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/comparison.md")]
pub struct Comparison;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/connections.md")]
pub struct Connections;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/cookbook.md")]
pub struct Cookbook;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/errors.md")]
pub struct Errors;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/get-or-set.md")]
pub struct GetOrSet;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/getting-started.md")]
pub struct GettingStarted;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/invalidation.md")]
pub struct Invalidation;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/keys-and-values.md")]
pub struct KeysAndValues;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/memory.md")]
pub struct Memory;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/migrating.md")]
pub struct Migrating;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/observability.md")]
pub struct Observability;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/operations.md")]
pub struct Operations;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/options.md")]
pub struct Options;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/performance.md")]
pub struct Performance;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/sentinel.md")]
pub struct Sentinel;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/testing.md")]
pub struct Testing;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/timeouts.md")]
pub struct Timeouts;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/tls.md")]
pub struct Tls;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/your-own-event-loop.md")]
pub struct YourOwnEventLoop;

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/your-own-runtime.md")]
pub struct YourOwnRuntime;

#[cfg(doctest)]
#[doc = include_str!("../../core/README.md")]
pub struct CoreReadme;

#[cfg(doctest)]
#[doc = include_str!("../../adapters/client/README.md")]
pub struct ClientReadme;

#[cfg(doctest)]
#[doc = include_str!("../../adapters/tokio/README.md")]
pub struct TokioReadme;

#[cfg(doctest)]
#[doc = include_str!("../../adapters/smol/README.md")]
pub struct SmolReadme;

#[cfg(doctest)]
#[doc = include_str!("../../adapters/async-std/README.md")]
pub struct AsyncStdReadme;
