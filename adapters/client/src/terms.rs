//! On what terms a cache talks to its servers, to each of them.

use crate::credentials::Who;
use crate::hooks::Hooks;
use crate::resolver::Resolver;
use crate::tls::TlsClient;

/// As whom, within what, and who hears of it.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) who: Who,
    /// What links are encrypted with, where they are.
    pub(crate) tls: Option<TlsClient>,
    /// What says which addresses names have.
    pub(crate) resolver: Resolver,
    pub(crate) hooks: Hooks,
}
