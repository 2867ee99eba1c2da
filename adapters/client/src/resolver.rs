//! The addresses of host names, resolved by something other than the runtime.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::runtime::BoxFuture;

/// Resolves host names: for names that the operating system does not know, and for resolvers with
/// rules of their own.
///
/// Any `Fn(String, u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>>` is a resolver.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::Resolve;
/// use std::io;
/// use std::net::{Ipv4Addr, SocketAddr};
///
/// let resolver = |host: String, port: u16| async move {
///     match host.as_str() {
///         "cache.internal" => Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]),
///         _ => Err(io::Error::from(io::ErrorKind::NotFound)),
///     }
/// };
/// assert_eq!(resolver.resolve("cache.internal", 6379).await?[0].port(), 6379);
/// assert!(resolver.resolve("elsewhere", 6379).await.is_err());
/// let builder = async_caches::builder("redis://cache.internal").resolver(resolver);
/// # drop(builder);
/// # Ok::<(), io::Error>(())
/// # }).unwrap();
/// ```
pub trait Resolve: Send + Sync + 'static {
    /// Returns the current addresses of a host, in order of preference, each with the port. Called
    /// before each dial, in the task of that connection, within its connect timeout; the future is
    /// dropped when that is over. Never called for an IP address.
    ///
    /// # Errors
    /// Why there are no addresses. The dial fails with
    /// [`ConnectionFailure::Name`](crate::ConnectionFailure::Name), also if this returns no
    /// address.
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

impl<F, A> Resolve for F
where
    F: Fn(String, u16) -> A + Send + Sync + 'static,
    A: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
{
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(self(host.into(), port))
    }
}

/// The resolver of a cache, if it has one of its own.
#[derive(Clone, Default)]
pub(crate) struct Resolver(pub(crate) Option<Arc<dyn Resolve>>);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("own", &self.0.is_some()).finish()
    }
}
