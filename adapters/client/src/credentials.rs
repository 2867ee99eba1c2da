//! The credentials for servers: fixed, or asked for before each connection.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_caches_core::url::Credentials;

use crate::runtime::BoxFuture;
use crate::sync::lock;

/// Provides the credentials each time a connection is made: for passwords that change, and tokens
/// that expire.
///
/// Any `Fn() -> impl Future<Output = Result<Credentials, CredentialsError>>` is a provider.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use async_caches::{Credentials, CredentialsError, CredentialsProvider};
///
/// let provider = || async {
///     let token = String::from("a fresh token"); // as a service for tokens returns it
///     Ok::<_, CredentialsError>(Credentials { username: None, password: token.into() })
/// };
/// assert_eq!(provider.credentials().await?.password.expose(), "a fresh token");
/// let builder = async_caches::builder("redis://localhost").credentials_provider(provider);
/// # drop(builder);
/// # Ok::<(), CredentialsError>(())
/// # }).unwrap();
/// ```
pub trait CredentialsProvider: Send + Sync + 'static {
    /// Returns the current credentials. Called before each dial, in the task of that connection,
    /// within its connect timeout; the future is dropped when that is over. An error ends the dial,
    /// as an unreachable server does, and the next dial waits for the backoff.
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>>;
}

/// Why a [`CredentialsProvider`] had no credentials. Errors show its `Display` text.
pub type CredentialsError = Box<dyn StdError + Send + Sync>;

impl<F, A> CredentialsProvider for F
where
    F: Fn() -> A + Send + Sync + 'static,
    A: Future<Output = Result<Credentials, CredentialsError>> + Send + 'static,
{
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(self())
    }
}

/// The credentials of one cache, for all its connections.
#[derive(Clone)]
pub(crate) struct CredentialState(Arc<CredentialInner>);

struct CredentialInner {
    provider: Option<Arc<dyn CredentialsProvider>>,
    last_set: Mutex<LastSet>,
}

/// The credentials that were last set, and how often they have been set.
#[derive(Default)]
struct LastSet {
    credentials: Option<Credentials>,
    times: u64,
}

impl CredentialState {
    pub(crate) fn new(
        credentials: Option<Credentials>,
        provider: Option<Arc<dyn CredentialsProvider>>,
    ) -> Self {
        let last_set = Mutex::new(LastSet { credentials, times: 0 });
        Self(Arc::new(CredentialInner { provider, last_set }))
    }

    /// The provider to ask before each dial, if the cache has one.
    pub(crate) fn provider(&self) -> Option<Arc<dyn CredentialsProvider>> {
        self.0.provider.clone()
    }

    /// The credentials that were last set, if there is no provider, and how often they have been
    /// set.
    pub(crate) fn now(&self) -> (Option<Credentials>, u64) {
        let last_set = lock(&self.0.last_set);
        let credentials = last_set.credentials.clone().filter(|_| self.0.provider.is_none());
        (credentials, last_set.times)
    }

    /// The credentials that were last set, if they were set more often than `times`.
    pub(crate) fn since(&self, times: u64) -> Option<Credentials> {
        let last_set = lock(&self.0.last_set);
        if last_set.times > times { last_set.credentials.clone() } else { None }
    }

    /// Sets the credentials from now on.
    pub(crate) fn set(&self, credentials: Credentials) {
        let mut last_set = lock(&self.0.last_set);
        last_set.credentials = Some(credentials);
        last_set.times += 1;
    }
}

impl fmt::Debug for CredentialState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialState")
            .field("asked", &self.0.provider.is_some())
            .finish_non_exhaustive()
    }
}
