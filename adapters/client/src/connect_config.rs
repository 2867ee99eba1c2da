//! The settings of a cache for its connections to servers.

use crate::credentials::CredentialState;
use crate::hooks::Hooks;
use crate::resolver::Resolver;
use crate::tls::TlsClient;
use crate::translation::Translation;

/// Credentials, TLS, name resolution and observers.
#[derive(Clone, Debug)]
pub(crate) struct ConnectConfig {
    pub(crate) credentials: CredentialState,
    /// How connections are encrypted, if they are.
    pub(crate) tls: Option<TlsClient>,
    /// How host names are resolved.
    pub(crate) resolver: Resolver,
    /// Where the servers and the sentinels are reached that sentinels name.
    pub(crate) named_by_sentinels: Translation,
    pub(crate) hooks: Hooks,
}
