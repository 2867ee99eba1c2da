//! The settings of a cache for its connections to servers.

use crate::credentials::Who;
use crate::hooks::Hooks;
use crate::resolver::Resolver;
use crate::tls::TlsClient;

/// Credentials, TLS, name resolution and observers.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) who: Who,
    /// How connections are encrypted, if they are.
    pub(crate) tls: Option<TlsClient>,
    /// How host names are resolved.
    pub(crate) resolver: Resolver,
    pub(crate) hooks: Hooks,
}
