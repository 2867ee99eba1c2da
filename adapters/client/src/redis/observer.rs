//! The observers of a pool: the log, and the application's recorder and subscriber. Called outside
//! of all locks.

use std::time::Duration;

use async_caches_core::command::Command;
use async_caches_core::url::{Endpoint, Topology};

use crate::error::{ConnectionFailure, Error};
use crate::events::{self, ServerPlace};
use crate::info::ServerSeen;
use crate::notices::{ConnectionName, Notice, Push, Subscriber};
use crate::recorder::{Batch, Recording};

/// The observers of a pool.
#[derive(Debug)]
pub(crate) struct Observer {
    pub(crate) topology: Topology,
    pub(crate) database: u32,
    pub(crate) recorder: Option<Recording>,
    pub(crate) subscriber: Option<Subscriber>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug)]
pub(in crate::redis) enum Ending {
    /// It was closed on purpose.
    Closed,
    /// It was open, and was lost.
    Lost,
    /// It never opened. `in_a_row` dials have failed since the last success.
    NotOpened { in_a_row: u32 },
}

impl Observer {
    /// The place of a server at `endpoint`.
    fn at<'a>(&self, endpoint: &'a Endpoint) -> ServerPlace<'a> {
        ServerPlace { endpoint: Some(endpoint), database: Some(self.database) }
    }

    /// The place of the server at `at`. Without a connection it is that of the only server, if
    /// there is one.
    fn wherever<'a>(&'a self, at: Option<&'a Endpoint>) -> ServerPlace<'a> {
        let endpoint = at.or(match &self.topology {
            Topology::Standalone(endpoint) => Some(endpoint),
            Topology::Sentinel(_) | Topology::Cluster(_) => None,
        });
        ServerPlace { endpoint, database: Some(self.database) }
    }

    /// Reports a new connection to the subscriber, if there is one. Returns the connection's name.
    #[cold]
    pub(in crate::redis) fn pushes_may_come(&self) -> Option<ConnectionName> {
        self.subscriber.as_ref().map(Subscriber::opened)
    }

    /// Reports a push on the connection of this name.
    #[cold]
    pub(in crate::redis) fn pushed(&self, connection: Option<ConnectionName>, push: &Push) {
        if let (Some(subscriber), Some(connection)) = (&self.subscriber, connection) {
            subscriber.tell(Notice::Pushed { connection, push });
        }
    }

    /// Reports the end of the connection of this name.
    #[cold]
    pub(in crate::redis) fn no_more_pushes(&self, connection: ConnectionName) {
        if let Some(subscriber) = &self.subscriber {
            subscriber.tell(Notice::Ended { connection });
        }
    }

    pub(in crate::redis) fn opened(
        &self,
        endpoint: &Endpoint,
        server: impl FnOnce() -> ServerSeen,
        reconnect: bool,
    ) {
        events::opened(self.at(endpoint), server, reconnect);
        if let Some(recorder) = &self.recorder {
            recorder.connection_opened(reconnect);
        }
    }

    pub(in crate::redis) fn ended(
        &self,
        endpoint: &Endpoint,
        how: Ending,
        why: &ConnectionFailure,
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
            (Some(recorder), Ending::Lost) => recorder.connection_lost(),
            (Some(recorder), Ending::NotOpened { .. }) => recorder.dial_failed(),
        }
    }

    /// Reports that the server refuses to name its connections.
    pub(in crate::redis) fn unnamed(&self, endpoint: &Endpoint) {
        events::unnamed(self.at(endpoint));
    }

    /// The server there is a node of a cluster, though the URL names one server.
    pub(in crate::redis) fn is_in_cluster(&self, endpoint: &Endpoint) {
        events::is_in_cluster(self.at(endpoint));
    }

    /// Reports that a sentinel does not announce a new master by itself.
    pub(in crate::redis) fn sentinel_polled(&self, at: &Endpoint) {
        events::sentinel_polled(ServerPlace { endpoint: Some(at), database: None });
    }

    /// Reports another master.
    pub(in crate::redis) fn moved(&self, to: &Endpoint) {
        events::moved(self.at(to));
        if let Some(recorder) = &self.recorder {
            recorder.master_changed();
        }
    }

    /// Reports that the connection to a sentinel has ended, or could not be opened.
    pub(in crate::redis) fn sentinel_lost(&self, at: &Endpoint, why: &ConnectionFailure) {
        events::sentinel_lost(ServerPlace { endpoint: Some(at), database: None }, why);
        if let Some(recorder) = &self.recorder {
            recorder.sentinel_lost();
        }
    }

    /// Reports that a command failed with this error, on a connection to `at` or without one.
    #[cold]
    pub(crate) fn failed(&self, at: Option<&Endpoint>, command: &Command<'_>, error: &Error) {
        if let Error::Timeout { after, may_have_run } = error {
            events::timed_out(self.wherever(at), command, *after, *may_have_run);
            if let Some(recorder) = &self.recorder {
                recorder.timed_out(command.name());
            }
        }
    }

    /// Reports that a command is sent again after its connection was lost.
    #[cold]
    pub(in crate::redis) fn sent_again(
        &self,
        at: &Endpoint,
        command: &Command<'_>,
        why: &ConnectionFailure,
        may_have_run: bool,
    ) {
        events::sent_again(self.at(at), command, why, may_have_run);
        if let Some(recorder) = &self.recorder {
            recorder.sent_again(command.name());
        }
    }

    /// Reports how long a caller waited for its connection.
    pub(in crate::redis) fn waited(&self, span: impl FnOnce() -> Duration) {
        if let Some(recorder) = &self.recorder {
            recorder.waited_for_connection(span());
        }
    }

    /// Records the measurements of a connection's turn.
    #[cold]
    pub(in crate::redis) fn measured(&self, batch: Option<Batch>, round_trip: Option<Duration>) {
        let Some(recorder) = &self.recorder else { return };
        if let Some(batch) = batch {
            recorder.batch_written(batch);
        }
        if let Some(took) = round_trip {
            recorder.round_trip(took);
        }
    }
}
