//! The sentinels of a service, as a pool knows them.
//!
//! The pool dials the address that a sentinel gave for the master, and each connection asks the
//! server whether it is one. If anything goes wrong on a connection, the sentinel is put in doubt.
//! It is then asked again and again until a connection opens
//! ([`Watch`](async_caches_core::sentinel::Watch) sets the pace). If a sentinel goes on naming a
//! server that is not a master, the pool leaves it for the next.
//!
//! Once the master is known it stays known, even if all sentinels are gone. Connections to it stay
//! open, and new ones are dialled to its last address.

use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use async_caches_core::error::ConnectionError;
use async_caches_core::options::Settings;
use async_caches_core::sentinel::{Rounds, WatchSetup};
use async_caches_core::time::{Deadline, Instant};
use async_caches_core::url::Topology;

use crate::error::ConnectionFailure;
use crate::runtime::Runtime;
use crate::sync::lock;
use crate::waker::Spare;

/// The sentinels of a service, as a pool knows them.
#[derive(Debug)]
pub(in crate::redis) struct Sentinels {
    pub(in crate::redis) rounds: Rounds,
    pub(in crate::redis) setup: WatchSetup,
    /// Until when callers may hope for a first connection.
    first_until: Instant,
    /// For the connection to the sentinel that is asked, if one is.
    pub(in crate::redis) orders: Option<Arc<Orders>>,
    /// Whether something has gone wrong with the master since a connection to it opened. The next
    /// sentinel starts in doubt then.
    pub(in crate::redis) doubted: bool,
    /// How often in a row the named server was not a master.
    pub(in crate::redis) denials: u32,
    /// Why a sentinel could not name the master, if no sentinel has named it since.
    pub(in crate::redis) last_error: Option<ConnectionFailure>,
}

/// What the pool passes to the connection to a sentinel.
#[derive(Debug)]
pub(in crate::redis) struct Orders(Mutex<OrdersState>);

#[derive(Debug, Default)]
struct OrdersState {
    /// Whether the sentinel is in doubt, if that has changed since the connection last looked.
    doubted: Option<bool>,
    end: Option<ConnectionFailure>,
    waker: Option<Waker>,
}

impl Sentinels {
    /// The sentinels of a server that has some; none has been asked yet.
    pub(in crate::redis) fn of(
        topology: &Topology,
        settings: &Settings,
        runtime: &dyn Runtime,
    ) -> Option<Self> {
        let Topology::Sentinel(service) = topology else { return None };
        let (connect_timeout, response_timeout) =
            (settings.connect_timeout, settings.response_timeout);
        let mut setup = WatchSetup::new(&*service.name, connect_timeout, response_timeout);
        setup.credentials = settings.sentinel_credentials.clone();
        Some(Self {
            rounds: Rounds::new(service.sentinels.clone(), runtime.seed()),
            setup,
            first_until: runtime.now() + settings.connect_timeout,
            orders: None,
            doubted: false,
            denials: 0,
            last_error: None,
        })
    }

    /// Until when callers may hope for a first connection.
    pub(in crate::redis) fn first_until(&self) -> Instant {
        self.first_until
    }

    /// Whether no sentinel knows the master.
    pub(in crate::redis) fn are_in_vain(&self) -> bool {
        self.rounds.is_in_vain()
    }

    /// Why the master is not known.
    pub(in crate::redis) fn why(&self) -> Option<&ConnectionFailure> {
        self.last_error.as_ref()
    }

    /// When a sentinel is to be asked.
    pub(in crate::redis) fn deadline(&self) -> Option<Deadline> {
        self.rounds.deadline()
    }

    /// Whether no sentinel is being asked.
    pub(in crate::redis) fn is_quiet(&self) -> bool {
        self.orders.is_none()
    }

    /// A connection to the master has opened. The caller must wake the returned waker.
    pub(in crate::redis) fn trust(&mut self) -> Option<Waker> {
        self.denials = 0;
        self.doubted = false;
        self.orders.as_ref()?.tell(|told| told.doubted = Some(false))
    }

    /// A connection has ended or could not be opened. The caller must wake the returned waker.
    pub(in crate::redis) fn doubt(&mut self, error: &ConnectionFailure) -> Option<Waker> {
        match error {
            // We closed it ourselves.
            ConnectionFailure::Moved
            | ConnectionFailure::Closed
            | ConnectionFailure::RuntimeGone => return None,
            ConnectionFailure::Connection(ConnectionError::NotMaster) => self.denials += 1,
            ConnectionFailure::Io(_)
            | ConnectionFailure::Name { .. }
            | ConnectionFailure::Eof
            | ConnectionFailure::Connection(_)
            | ConnectionFailure::Credentials(_)
            | ConnectionFailure::Sentinel { .. }
            | ConnectionFailure::Node { .. }
            | ConnectionFailure::Map(_)
            | ConnectionFailure::Uncovered { .. }
            | ConnectionFailure::Crowded => {}
            #[cfg(feature = "tls")]
            ConnectionFailure::Tls(_) => {}
        }
        self.doubted = true;
        let denied = self.denials >= DENIALS;
        if denied {
            self.denials = 0;
        }
        self.orders.as_ref()?.tell(|told| match denied {
            false => told.doubted = Some(true),
            true => told.end = Some(ConnectionError::NotMaster.into()),
        })
    }

    /// Stops asking sentinels. The caller must wake the returned waker.
    pub(in crate::redis) fn close(&self) -> Option<Waker> {
        self.orders.as_ref()?.tell(|told| told.end = Some(ConnectionFailure::Closed))
    }
}

impl Orders {
    /// Orders for a new connection: whether the sentinel is in doubt.
    pub(in crate::redis) fn new(doubted: bool) -> Self {
        Self(Mutex::new(OrdersState { doubted: Some(doubted), ..OrdersState::default() }))
    }

    /// Changes the orders. The caller must wake the returned waker.
    fn tell(&self, say: impl FnOnce(&mut OrdersState)) -> Option<Waker> {
        let mut told = lock(&self.0);
        say(&mut told);
        told.waker.take()
    }

    /// Takes the changes since the last call. The result says whether the sentinel is in doubt. The
    /// task of `cx` is woken on the next change.
    ///
    /// # Errors
    /// Why the connection must end.
    pub(in crate::redis) fn take(
        &self,
        cx: &Context<'_>,
    ) -> Result<Option<bool>, ConnectionFailure> {
        let mut waker = Spare::of(cx);
        let mut told = lock(&self.0);
        if let Some(why) = told.end.take() {
            return Err(why);
        }
        waker.put(&mut told.waker);
        Ok(told.doubted.take())
    }
}

/// How often in a row a sentinel may name a server that is not a master.
const DENIALS: u32 = 3;
