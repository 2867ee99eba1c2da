//! The pool's side of the sentinels: which one is asked, what it reports, and whether the pool
//! believes it.
//!
//! The pool dials the address that a sentinel gave for the master, and each connection asks the
//! server whether it is one. If anything goes wrong on a connection, the sentinel is put in doubt.
//! It is then asked again and again until a connection opens
//! ([`Watch`](async_caches_core::sentinel::Watch) sets the pace). If a sentinel goes on naming a
//! server that is not a master, the pool leaves it for the next.
//!
//! Once the master is known it stays known, even if all sentinels are gone. Connections to it stay
//! open, and new ones are dialled to its last address.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Waker};

use async_caches_core::error::ConnectionError;
use async_caches_core::options::Settings;
use async_caches_core::pool;
use async_caches_core::sentinel::{Event, Input, Rounds, Setup};
use async_caches_core::time::{Deadline, Instant};
use async_caches_core::url::{Endpoint, Topology};

use super::link::Closing;
use super::{Pool, State, unlock_and_wake};
use crate::error::LinkError;
use crate::runtime::Runtime;
use crate::shared::Shared;
use crate::sync::lock;
use crate::waker::Spare;

/// The sentinels of a service, as a pool knows them.
#[derive(Debug)]
pub(super) struct Sentinels {
    rounds: Rounds,
    setup: Setup,
    /// Until when callers may hope for a first connection.
    first_until: Instant,
    /// For the connection to the sentinel that is asked, if one is.
    orders: Option<Arc<Orders>>,
    /// Whether something has gone wrong with the master since a connection to it opened. The next
    /// sentinel starts in doubt then.
    doubted: bool,
    /// How often in a row the named server was not a master.
    denials: u32,
    /// Why a sentinel could not name the master, if no sentinel has named it since.
    last_error: Option<LinkError>,
}

/// What the pool passes to the connection to a sentinel.
#[derive(Debug)]
pub(super) struct Orders(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// Whether the sentinel is in doubt, if that has changed since the connection last looked.
    doubted: Option<bool>,
    end: Option<LinkError>,
    waker: Option<Waker>,
}

impl Sentinels {
    /// The sentinels of a server that has some; none has been asked yet.
    pub(super) fn of(
        topology: &Topology,
        settings: &Settings,
        runtime: &dyn Runtime,
    ) -> Option<Self> {
        let Topology::Sentinel(service) = topology else { return None };
        let setup = Setup {
            credentials: settings.sentinel_credentials.clone(),
            service: service.name.as_str().into(),
            connect_timeout: settings.connect_timeout,
            response_timeout: settings.response_timeout,
        };
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
    pub(super) fn first_until(&self) -> Instant {
        self.first_until
    }

    /// Whether callers should stop waiting: no sentinel knows the master, the master refuses us, or
    /// connecting has taken too long.
    pub(super) fn is_hopeless(&self, state: &State, now: Instant) -> bool {
        let unknown = state.at.is_none() && self.rounds.is_in_vain();
        let refused = state.last_error.as_ref().is_some_and(LinkError::is_refusal);
        unknown || refused || self.first_until <= now
    }

    /// Why the master is not known.
    pub(super) fn why(&self) -> Option<&LinkError> {
        self.last_error.as_ref()
    }

    /// When a sentinel is to be asked.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.rounds.deadline()
    }

    /// Whether no sentinel is being asked.
    pub(super) fn is_quiet(&self) -> bool {
        self.orders.is_none()
    }

    /// A connection to the master has opened. The caller must wake the returned waker.
    pub(super) fn trust(&mut self) -> Option<Waker> {
        self.denials = 0;
        self.doubted = false;
        self.orders.as_ref()?.tell(|told| told.doubted = Some(false))
    }

    /// A connection has ended or could not be opened. The caller must wake the returned waker.
    pub(super) fn doubt(&mut self, error: &LinkError) -> Option<Waker> {
        match error {
            // We closed it ourselves.
            LinkError::Moved | LinkError::Closed | LinkError::RuntimeGone => return None,
            LinkError::Connection(ConnectionError::NotMaster) => self.denials += 1,
            LinkError::Io(_)
            | LinkError::Name { .. }
            | LinkError::Eof
            | LinkError::Connection(_)
            | LinkError::Credentials(_)
            | LinkError::Sentinel { .. }
            | LinkError::Node { .. }
            | LinkError::Map(_)
            | LinkError::Uncovered { .. }
            | LinkError::Crowded => {}
            #[cfg(feature = "tls")]
            LinkError::Tls(_) => {}
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
    pub(super) fn close(&self) -> Option<Waker> {
        self.orders.as_ref()?.tell(|told| told.end = Some(LinkError::Closed))
    }
}

impl Orders {
    /// Changes the orders. The caller must wake the returned waker.
    fn tell(&self, say: impl FnOnce(&mut Told)) -> Option<Waker> {
        let mut told = lock(&self.0);
        say(&mut told);
        told.waker.take()
    }

    /// Takes what has changed since the last call: whether the sentinel is in doubt. The task of
    /// `cx` is woken on the next change.
    ///
    /// # Errors
    /// Why the connection must end.
    pub(super) fn take(&self, cx: &Context<'_>) -> Result<Option<bool>, LinkError> {
        let mut waker = Spare::of(cx);
        let mut told = lock(&self.0);
        if let Some(why) = told.end.take() {
            return Err(why);
        }
        waker.put(&mut told.waker);
        Ok(told.doubted.take())
    }
}

impl State {
    /// Whether no sentinel could name the master, and none has named it before.
    pub(super) fn knows_no_master(&self) -> bool {
        let in_vain = |sentinels: &Sentinels| sentinels.rounds.is_in_vain();
        self.at.is_none() && self.sentinels.as_ref().is_some_and(in_vain)
    }

    /// The sentinel to ask now, the setup of its connection, and the orders for that connection.
    pub(super) fn ask(&mut self, now: Instant) -> Option<(Endpoint, Setup, Arc<Orders>)> {
        let sentinels = self.sentinels.as_mut()?;
        let place = sentinels.rounds.poll(now)?;
        let told = Told { doubted: Some(sentinels.doubted), ..Told::default() };
        let orders = Arc::new(Orders(Mutex::new(told)));
        sentinels.orders = Some(Arc::clone(&orders));
        Some((place, sentinels.setup.clone(), orders))
    }
}

impl Pool {
    /// Takes in an event from a sentinel.
    pub(super) fn heard(&self, at: &Endpoint, event: Event) {
        let event = event.translated(self.named_by_sentinels.as_fn());
        let now = self.now();
        let mut state = lock(&self.state);
        let Some(sentinels) = &mut state.sentinels else { return };
        match event {
            Event::Polled => {
                drop(state);
                return self.witness.sentinel_polled(at);
            }
            Event::Sentinels(others) => sentinels.rounds.handle(Input::Named(others), now),
            Event::Master(place) => {
                sentinels.rounds.handle(Input::Answered, now);
                sentinels.last_error = None;
                if state.at.as_ref() != Some(&place) && !state.closed {
                    return self.moved(state, &place, now);
                }
            }
        }
        unlock_and_wake(state);
    }

    /// Makes another server the master: connections to the old one end at once, and new ones are
    /// dialled.
    fn moved(&self, mut state: MutexGuard<'_, State>, place: &Endpoint, now: Instant) {
        let before = state.at.replace(place.clone());
        state.last_error = None;
        state.decisions.handle(pool::Input::Moved, now);
        if let Some(sentinels) = &mut state.sentinels {
            sentinels.denials = 0;
        }
        let open = std::mem::take(&mut state.links);
        let links: Vec<_> = open.into_iter().chain(std::mem::take(&mut state.dialling)).collect();
        self.reroute(&mut state);
        unlock_and_wake(state);
        links.iter().for_each(|(_, link)| link.close(Closing::Moved));
        if before.is_some() {
            self.witness.moved(place);
        }
    }

    /// The connection to a sentinel has ended or could not be opened.
    pub(super) fn unwatched(&self, at: &Endpoint, error: &LinkError) {
        let now = self.now_anyhow();
        let mut orders = None;
        let mut state = lock(&self.state);
        if let Some(sentinels) = &mut state.sentinels {
            orders = sentinels.orders.take();
            sentinels.rounds.handle(Input::Ended, now);
            let source = Shared::new(error.clone());
            sentinels.last_error = Some(LinkError::Sentinel { at: at.to_string(), source });
        }
        // Each waiting caller checks whether there is still hope.
        let woken = state.line.take_waiting();
        let wanted = !state.closed;
        unlock_and_wake(state);
        drop(orders);
        if wanted {
            self.witness.sentinel_lost(at, error);
        }
        woken.into_iter().for_each(Waker::wake);
    }
}

/// How often in a row a sentinel may name a server that is not a master.
const DENIALS: u32 = 3;
