//! A master, a replica and three sentinels that watch them.

use std::fmt::Write as _;
use std::time::Duration;

use crate::server::{Kind, Server, Setup, Tls, Watched};

/// A master, a replica and three sentinels. Dropping it kills them all.
#[derive(Debug)]
pub struct Trio {
    /// The first is the master to begin with.
    pub servers: Vec<Server>,
    /// The sentinels.
    pub sentinels: Vec<Server>,
}

impl Trio {
    /// The sentinels' name of the service.
    pub const SERVICE: &str = "mymaster";

    /// Starts all five and waits until they know each other. A server that is silent for
    /// `down_after` counts as gone.
    ///
    /// # Panics
    /// When such a server is not installed, or they do not start.
    #[must_use]
    pub fn start(kind: Kind, password: Option<&str>, down_after: Duration) -> Self {
        Self::begin(kind, password, None, down_after)
    }

    /// Like [`start`](Self::start), with TLS on all connections, also between the servers.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_over_tls(kind: Kind, tls: &Tls, down_after: Duration) -> Self {
        Self::begin(kind, None, Some(tls), down_after)
    }

    fn begin(kind: Kind, password: Option<&str>, tls: Option<&Tls>, down_after: Duration) -> Self {
        let over = |setup: Setup| match tls {
            Some(tls) => setup.tls(tls.clone()),
            None => setup,
        };
        let servers = pair(kind, &over(secured(password)));
        let watched = Watched { quorum: 2, down_after, ..watched(&servers[0], password) };
        let setup = over(Setup::default().watch(watched));
        let sentinels = (0..3).map(|_| Server::start(kind, &setup)).collect();
        let trio = Self { servers, sentinels };
        for sentinel in &trio.sentinels {
            let mut raw = sentinel.raw_sentinel();
            raw.ask_until("the sentinels know each other", &["INFO", "sentinel"], |info| {
                info.contains("status=ok") && info.contains("slaves=1,sentinels=3")
            });
        }
        trio
    }

    /// The URL of one of the master's databases, by way of the sentinels.
    #[must_use]
    pub fn url(&self, database: u32) -> String {
        url(&self.sentinels, &self.servers[0], database)
    }

    /// Tells a sentinel to promote the replica, and waits until the sentinel agrees.
    pub fn fail_over(&self) {
        let fail_over = ["SENTINEL", "FAILOVER", Self::SERVICE];
        self.sentinels[0].raw_sentinel().ask_until("it agrees", &fail_over, |said| said == "OK");
    }
}

/// A master and a replica that has its data.
///
/// # Panics
/// When such a server is not installed, or they do not start.
#[must_use]
pub fn replicated(kind: Kind, password: Option<&str>) -> Vec<Server> {
    pair(kind, &secured(password))
}

/// A server that demands a password, and sends the same one to its master.
fn secured(password: Option<&str>) -> Setup {
    match password {
        Some(password) => Setup::default().password(password).with(&["--masterauth", password]),
        None => Setup::default(),
    }
}

fn pair(kind: Kind, setup: &Setup) -> Vec<Server> {
    let setup = setup.clone().with(&["--repl-diskless-sync-delay", "0"]);
    let master = Server::start(kind, &setup);
    let port = master.address().port().to_string();
    let replica = Server::start(kind, &setup.with(&["--replicaof", "127.0.0.1", &port]));
    replica.raw(0).ask_until("it has its master's data", &["INFO", "replication"], |info| {
        info.contains("master_link_status:up")
    });
    vec![master, replica]
}

/// The configuration of a single sentinel: it watches a master that it does not take for gone.
#[must_use]
pub fn watched(master: &Server, password: Option<&str>) -> Watched {
    Watched {
        service: Trio::SERVICE.to_owned(),
        master: master.address(),
        password: password.map(str::to_owned),
        quorum: 1,
        down_after: Duration::from_secs(60),
    }
}

/// Starts a sentinel, which demands a password if one is given.
///
/// # Panics
/// When such a server is not installed, or it does not start.
#[must_use]
pub fn sentinel(kind: Kind, watched: &Watched, password: Option<&str>) -> Server {
    let setup = Setup::default().watch(watched.clone());
    let setup = match password {
        Some(password) => setup.password(password),
        None => setup,
    };
    Server::start(kind, &setup)
}

/// The URL of a database of the master that these sentinels know. `server` gives the password, and
/// the authority to trust over TLS.
#[must_use]
pub fn url(sentinels: &[Server], server: &Server, database: u32) -> String {
    let (scheme, query) = match server.authority() {
        Some(ca) => ("rediss-sentinel", format!("?tls_ca={}", ca.display())),
        None => ("redis-sentinel", String::new()),
    };
    let mut url = format!("{scheme}://{}", server.userinfo());
    for (nth, sentinel) in sentinels.iter().enumerate() {
        let comma = if nth > 0 { "," } else { "" };
        let _ = write!(url, "{comma}{}", sentinel.address());
    }
    let _ = write!(url, "/{}/{database}{query}", Trio::SERVICE);
    url
}

/// Whether a server answers and reports that it is a master. A promotion cuts its connections, so
/// it may fail to answer for a moment.
#[must_use]
pub fn is_master(server: &Server) -> bool {
    let info = server.greeted().and_then(|mut raw| raw.ask(&["INFO", "replication"]));
    info.is_ok_and(|info| info.text().contains("role:master"))
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_trio_fails_over_and_leaves_nothing_behind() {
        let trio = Trio::start(Kind::Redis, Some("p \"q"), Duration::from_secs(60));
        assert!(is_master(&trio.servers[0]) && !is_master(&trio.servers[1]));
        trio.fail_over();
        let start = Instant::now();
        while !is_master(&trio.servers[1]) {
            assert!(start.elapsed() < Duration::from_secs(30), "it is no master");
            thread::sleep(Duration::from_millis(20));
        }
        let folders: Vec<_> =
            trio.sentinels.iter().chain(&trio.servers).map(Server::folder).collect();
        drop(trio);
        assert!(folders.iter().all(|folder| !folder.exists()), "{folders:?}");
    }
}
