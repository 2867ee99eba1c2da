//! Whom a pool tells what happens, outside of all locks: the log, and the application's recorder.

use std::time::Duration;

use async_caches_core::command::Command;
use async_caches_core::url::{Endpoint, Topology};

use super::link::Measured;
use crate::error::{Error, LinkError};
use crate::events::{self, Place};
use crate::info::ServerSeen;
use crate::notices::{LinkName, Notice, Push, Subscriber};
use crate::recorder::Recording;

#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) topology: Topology,
    pub(crate) database: u32,
    pub(crate) recorder: Option<Recording>,
    pub(crate) subscriber: Option<Subscriber>,
}

/// How a link came to its end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    /// It was to end.
    Closed,
    /// It was open.
    Lost,
    /// It never opened; so many dials have failed by now.
    NotOpened { in_a_row: u32 },
}

impl Witness {
    /// A server there, of the same database.
    fn at<'a>(&self, endpoint: &'a Endpoint) -> Place<'a> {
        Place { endpoint: Some(endpoint), database: Some(self.database) }
    }

    /// The server there, or where there is no link whichever does what is asked for.
    fn wherever<'a>(&'a self, at: Option<&'a Endpoint>) -> Place<'a> {
        let endpoint = at.or(match &self.topology {
            Topology::Standalone(endpoint) => Some(endpoint),
            Topology::Sentinel(_) | Topology::Cluster(_) => None,
        });
        Place { endpoint, database: Some(self.database) }
    }

    /// A link has opened: the name for it that the subscriber, if there is one, was told.
    #[cold]
    pub(super) fn pushes_may_come(&self) -> Option<LinkName> {
        self.subscriber.as_ref().map(Subscriber::opened)
    }

    /// The server has pushed something on a link of this name.
    #[cold]
    pub(super) fn pushed(&self, link: Option<LinkName>, push: &Push) {
        if let (Some(subscriber), Some(link)) = (&self.subscriber, link) {
            subscriber.tell(Notice::Pushed { link, push });
        }
    }

    /// A link that the subscriber knows by this name has ended.
    #[cold]
    pub(super) fn no_more_pushes(&self, link: LinkName) {
        if let Some(subscriber) = &self.subscriber {
            subscriber.tell(Notice::Ended { link });
        }
    }

    pub(super) fn opened(
        &self,
        endpoint: &Endpoint,
        server: impl FnOnce() -> ServerSeen,
        reconnect: bool,
    ) {
        events::opened(self.at(endpoint), server, reconnect);
        if let Some(recorder) = &self.recorder {
            recorder.opened(reconnect);
        }
    }

    pub(super) fn ended(
        &self,
        endpoint: &Endpoint,
        how: Ending,
        why: &LinkError,
        held_back: Option<Duration>,
    ) {
        let place = self.at(endpoint);
        match how {
            Ending::Closed => return events::closed(place),
            Ending::Lost => events::lost(place, why),
            Ending::NotOpened { .. } if why.is_refusal() => {}
            Ending::NotOpened { in_a_row } => events::dial_failed(place, why, in_a_row),
        }
        if why.is_refusal() {
            events::refused(place, why);
        }
        if let Some(delay) = held_back {
            events::held_back(place, delay);
        }
        match (&self.recorder, how) {
            (None, _) | (Some(_), Ending::Closed) => {}
            (Some(recorder), Ending::Lost) => recorder.lost(),
            (Some(recorder), Ending::NotOpened { .. }) => recorder.dial_failed(),
        }
    }

    /// The server there takes no names of connections.
    pub(super) fn unnamed(&self, endpoint: &Endpoint) {
        events::unnamed(self.at(endpoint));
    }

    /// A sentinel does not say of itself when the master is another.
    pub(super) fn sentinel_polled(&self, at: &Endpoint) {
        events::sentinel_polled(Place { endpoint: Some(at), database: None });
    }

    /// The server that this pool is about is another one now.
    pub(super) fn moved(&self, to: &Endpoint) {
        events::moved(self.at(to));
        if let Some(recorder) = &self.recorder {
            recorder.moved();
        }
    }

    /// A sentinel has left, or was none.
    pub(super) fn sentinel_lost(&self, at: &Endpoint, why: &LinkError) {
        events::sentinel_lost(Place { endpoint: Some(at), database: None }, why);
        if let Some(recorder) = &self.recorder {
            recorder.sentinel_lost();
        }
    }

    /// A command came to this, on a link to there or without one.
    #[cold]
    pub(crate) fn failed(&self, at: Option<&Endpoint>, command: &Command<'_>, error: &Error) {
        if let Error::Timeout { after, may_have_run } = error {
            events::timed_out(self.wherever(at), command, *after, *may_have_run);
            if let Some(recorder) = &self.recorder {
                recorder.timed_out(command.name());
            }
        }
    }

    /// A command was lost with its link to there.
    #[cold]
    pub(super) fn sent_again(
        &self,
        at: &Endpoint,
        command: &Command<'_>,
        why: &LinkError,
        may_have_run: bool,
    ) {
        events::sent_again(self.at(at), command, why, may_have_run);
        if let Some(recorder) = &self.recorder {
            recorder.sent_again(command.name());
        }
    }

    /// A caller has waited so long for its link.
    pub(super) fn waited(&self, span: impl FnOnce() -> Duration) {
        if let Some(recorder) = &self.recorder {
            recorder.waited(span());
        }
    }

    /// What a link has measured in a turn.
    #[cold]
    pub(super) fn measured(&self, measured: Measured) {
        let Some(recorder) = &self.recorder else { return };
        if let Some(batch) = measured.batch {
            recorder.wrote(batch);
        }
        if let Some(took) = measured.round_trip {
            recorder.round_trip(took);
        }
    }
}
