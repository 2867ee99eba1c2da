//! The target of a cache: the kind of its backend, and the settings to connect to it.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use async_caches_core::command::Command;
use async_caches_core::options::Settings;
use async_caches_core::shown;
use async_caches_core::url::{Server, Topology};

use crate::backend::{Backend, Remote};
use crate::cluster::{Cluster, View};
use crate::connect_config::ConnectConfig;
use crate::credentials::CredentialState;
use crate::error::Error;
use crate::flights::LoadTable;
use crate::redis::{PoolOwner, Routes, SharedConnection};
use crate::runtime::{Runtime, poll_turn};
use crate::translation::Translation;

/// The target of a cache: the kind of its backend, and the settings to connect to it.
pub(crate) enum Target {
    Dummy { runtime: Option<Arc<dyn Runtime>> },
    Memory { name: Box<str>, runtime: Option<Arc<dyn Runtime>> },
    Remote(Box<RemoteTarget>),
}

/// A server or several, and the view of them that callers of this cache use.
pub(crate) struct RemoteTarget {
    server: Server,
    /// As written in the URL.
    scheme: Box<str>,
    config: ConnectConfig,
    runtime: Arc<dyn Runtime>,
    loads: Arc<LoadTable>,
    visible: Visible,
}

/// What callers see of the connections; empty unless the cache is connected.
enum Visible {
    Pool(Arc<ArcSwapOption<Routes>>),
    Cluster(Arc<ArcSwapOption<View>>, Translation),
}

impl Target {
    /// A server, or several. `translation` maps the addresses that the nodes of a cluster name.
    pub(crate) fn remote(
        server: Server,
        scheme: Box<str>,
        config: ConnectConfig,
        runtime: Arc<dyn Runtime>,
        translation: Translation,
    ) -> Self {
        let loads = LoadTable::of(&server, &runtime);
        let visible = match &server.topology {
            Topology::Standalone(_) | Topology::Sentinel(_) => Visible::Pool(Arc::default()),
            Topology::Cluster(_) => Visible::Cluster(Arc::default(), translation),
        };
        let target = RemoteTarget { server, scheme, config, runtime, loads, visible };
        Self::Remote(Box::new(target))
    }

    /// Whether it is a cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        match self {
            Self::Dummy { .. } | Self::Memory { .. } => false,
            Self::Remote(remote) => matches!(remote.visible, Visible::Cluster(..)),
        }
    }

    /// The credentials for its servers, if it has some.
    pub(crate) fn credentials(&self) -> Option<&CredentialState> {
        match self {
            Self::Dummy { .. } | Self::Memory { .. } => None,
            Self::Remote(remote) => Some(&remote.config.credentials),
        }
    }

    /// Ready once the calling task may do an operation that does not wait. Always ready without a
    /// runtime, and on backends where operations wait for a server.
    #[inline(always)]
    pub(crate) fn poll_turn(&self, cx: &Context<'_>) -> Poll<()> {
        match self {
            Self::Dummy { runtime: Some(runtime) }
            | Self::Memory { runtime: Some(runtime), .. } => poll_turn(&**runtime, cx.waker()),
            Self::Dummy { runtime: None }
            | Self::Memory { runtime: None, .. }
            | Self::Remote(_) => Poll::Ready(()),
        }
    }

    /// Like [`poll_turn`](Self::poll_turn), before an operation that fails at once, on any backend.
    #[cold]
    pub(crate) fn poll_turn_to_fail(&self, cx: &Context<'_>) -> Poll<()> {
        match self {
            // On these backends the task has already passed `poll_turn`.
            Self::Dummy { .. } | Self::Memory { .. } => Poll::Ready(()),
            Self::Remote(remote) => poll_turn(&*remote.runtime, cx.waker()),
        }
    }

    pub(crate) fn debug<'d, 'f, 'b>(
        &self,
        debug: &'d mut fmt::DebugStruct<'f, 'b>,
    ) -> &'d mut fmt::DebugStruct<'f, 'b> {
        match self {
            Self::Dummy { .. } => debug.field("backend", &"dummy"),
            Self::Memory { name, .. } => {
                debug.field("backend", &"locmem").field("name", &shown::name(name))
            }
            Self::Remote(remote) => debug
                .field("backend", &if self.is_cluster() { "cluster" } else { "redis" })
                .field("server", &remote.server)
                .field("tls", &remote.config.tls)
                .field("runtime", &remote.runtime),
        }
    }
}

impl RemoteTarget {
    /// A connection to use at once for a command, if there is one, no reason to open more, and no
    /// load under way; and whether the command has a large value.
    #[inline(always)]
    pub(crate) fn find(&self, command: &Command<'_>) -> Option<(Arc<SharedConnection>, bool)> {
        if self.loads.is_busy() {
            return None;
        }
        match &self.visible {
            Visible::Pool(routes) => routes.load().as_ref()?.find(command),
            Visible::Cluster(view, _) => view.load().as_ref()?.find(command),
        }
    }

    /// The servers that the URL names.
    pub(crate) fn topology(&self) -> &Topology {
        &self.server.topology
    }

    /// Whether this thread is inside the runtime.
    pub(crate) fn is_here(&self) -> bool {
        self.runtime.is_here()
    }

    /// Checks that this thread is inside the runtime.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] unless this thread is inside the runtime.
    pub(crate) fn check_is_here(&self) -> Result<(), Error> {
        if self.is_here() {
            return Ok(());
        }
        Err(Error::NoRuntime { scheme: self.scheme.to_string() })
    }

    /// A pool or a cluster that is not started yet.
    pub(crate) fn open(&self, settings: &Settings) -> Remote {
        let (runtime, config) = (Arc::clone(&self.runtime), self.config.clone());
        match &self.visible {
            Visible::Pool(routes) => {
                let routes = Arc::clone(routes);
                let pool = PoolOwner::new(runtime, &self.server, config, settings, routes, None);
                Remote::Pool(Arc::new(pool))
            }
            Visible::Cluster(view, translation) => {
                let (view, translation) = (Arc::clone(view), translation.clone());
                let cluster =
                    Cluster::new(runtime, &self.server, config, settings, translation, view);
                Remote::Cluster(Arc::new(cluster))
            }
        }
    }

    /// The backend of a pool or a cluster that was [opened](Self::open) here.
    pub(crate) fn backend(&self, remote: Remote) -> Backend {
        Backend::Remote { remote, loads: Arc::clone(&self.loads) }
    }
}
