//! Who a server is told we are: known beforehand, or asked for before each connection.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_caches_core::url::Credentials;

use crate::runtime::BoxFuture;
use crate::sync::lock;

/// Says who we are each time that a connection is made: for passwords that change, and tokens that
/// expire.
///
/// Any `Fn() -> impl Future<Output = Result<Credentials, CredentialsError>>` is one.
pub trait CredentialsProvider: Send + Sync + 'static {
    /// Who we are now. Asked before each dial, in the task of that connection, which has its
    /// connect timeout for both; dropped where that is over. An error ends the dial, as a
    /// server that cannot be reached does, and the next one waits for the backoff.
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>>;
}

/// Why a [`CredentialsProvider`] had no credentials. It is shown in errors as it prints itself.
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

/// Who one cache says it is, on all its connections.
#[derive(Clone)]
pub(crate) struct Who(Arc<Inner>);

struct Inner {
    provider: Option<Arc<dyn CredentialsProvider>>,
    told: Mutex<Told>,
}

/// What was said last, and how often something was.
#[derive(Default)]
struct Told {
    credentials: Option<Credentials>,
    times: u64,
}

impl Who {
    pub(crate) fn new(
        credentials: Option<Credentials>,
        provider: Option<Arc<dyn CredentialsProvider>>,
    ) -> Self {
        let told = Mutex::new(Told { credentials, times: 0 });
        Self(Arc::new(Inner { provider, told }))
    }

    /// Whom to ask before each dial, if anybody.
    pub(crate) fn provider(&self) -> Option<Arc<dyn CredentialsProvider>> {
        self.0.provider.clone()
    }

    /// What was said last, where nobody is to be asked, and how often something was.
    pub(crate) fn now(&self) -> (Option<Credentials>, u64) {
        let told = lock(&self.0.told);
        let credentials = told.credentials.clone().filter(|_| self.0.provider.is_none());
        (credentials, told.times)
    }

    /// What was said last, if that was since it was said so often.
    pub(crate) fn since(&self, times: u64) -> Option<Credentials> {
        let told = lock(&self.0.told);
        if told.times > times { told.credentials.clone() } else { None }
    }

    /// Says something else from now on.
    pub(crate) fn tell(&self, credentials: Credentials) {
        let mut told = lock(&self.0.told);
        told.credentials = Some(credentials);
        told.times += 1;
    }
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Who").field("asked", &self.0.provider.is_some()).finish_non_exhaustive()
    }
}
