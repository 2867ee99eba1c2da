//! How a server is started: its command line and its files.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::port::free_port;
use crate::certificates::{Authority, Certificate};

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    pub(super) password: Option<String>,
    pub(super) tls: Option<Tls>,
    is_node: bool,
    watches: Option<Watched>,
    arguments: Vec<String>,
}

/// How a server speaks TLS. It then accepts nothing else on its port.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The authority that the server's clients trust, and that the server trusts to certify its
    /// clients.
    pub authority: String,
    /// The server's certificate.
    pub certificate: Certificate,
    /// Which clients must show a certificate.
    pub asks: Asks,
}

/// Which clients must show a certificate to a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asks {
    /// No client.
    Nobody,
    /// Every client.
    Everybody,
}

/// The service that a sentinel watches.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The sentinel's name of the service.
    pub service: String,
    /// The master's address at the start.
    pub master: SocketAddr,
    /// The password of the master and its replicas.
    pub password: Option<String>,
    /// How many sentinels must miss a master before it counts as gone.
    pub quorum: usize,
    /// How long a server must be silent before a sentinel misses it.
    pub down_after: Duration,
}

impl Watched {
    /// The configuration of the sentinel. The sentinel demands it in a file that it can write to.
    fn configuration(&self) -> String {
        let Self { service, master, password, quorum, down_after } = self;
        let (ip, port, down_after) = (master.ip(), master.port(), down_after.as_millis());
        let mut lines = format!(
            "sentinel monitor {service} {ip} {port} {quorum}\n\
             sentinel down-after-milliseconds {service} {down_after}\n\
             sentinel failover-timeout {service} 2000\n"
        );
        if let Some(password) = password {
            // Every byte is escaped, so a password may contain any.
            let bytes = password.bytes().map(|byte| format!("\\x{byte:02x}"));
            let quoted: String = bytes.collect();
            let _ = writeln!(lines, "sentinel auth-pass {service} \"{quoted}\"");
        }
        lines
    }
}

impl Tls {
    /// A server of this machine with a certificate of an authority. It demands no certificate of
    /// clients.
    #[must_use]
    pub fn of(authority: &Authority) -> Self {
        Self {
            authority: authority.pem().to_owned(),
            certificate: authority.issue(&["localhost", "127.0.0.1"]),
            asks: Asks::Nobody,
        }
    }

    fn speak<'c>(&self, server: &'c mut Command, port: &str, folder: &Path) -> &'c mut Command {
        let asks = match self.asks {
            Asks::Nobody => "no",
            Asks::Everybody => "yes",
        };
        server.args(["--port", "0", "--tls-port", port, "--tls-auth-clients", asks]);
        server.args(["--tls-replication", "yes"]);
        for (option, name, pem) in [
            ("--tls-ca-cert-file", CA, &self.authority),
            ("--tls-cert-file", CERTIFICATE, &self.certificate.pem),
            ("--tls-key-file", KEY, &self.certificate.key),
        ] {
            let file = folder.join(name);
            fs::write(&file, pem).expect("a temporary file");
            server.arg(option).arg(file);
        }
        server
    }
}

impl Setup {
    /// Makes the server a node of a cluster. It is alone there at first and serves no slot.
    #[must_use]
    pub fn node(mut self) -> Self {
        self.is_node = true;
        self
    }

    /// Demands this password of every client.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Demands this password of every client, unless another one was set.
    #[must_use]
    pub(crate) fn password_or(mut self, password: &str) -> Self {
        self.password.get_or_insert_with(|| password.to_owned());
        self
    }

    /// Makes the server a sentinel.
    #[must_use]
    pub fn watch(mut self, watched: Watched) -> Self {
        self.watches = Some(watched);
        self
    }

    /// Lets the server speak TLS on its port, and nothing else.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Lets the server speak TLS, unless that was set already.
    #[must_use]
    pub(crate) fn tls_or(mut self, tls: impl FnOnce() -> Tls) -> Self {
        self.tls.get_or_insert_with(tls);
        self
    }

    /// Adds arguments to the server's command line.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Writes the start of the command line: the configuration file.
    pub(super) fn begin(&self, server: &mut Command, folder: &Path) {
        if let Some(watched) = &self.watches {
            let file = folder.join(CONFIGURATION);
            fs::write(&file, watched.configuration()).expect("a temporary file");
            server.arg(file).arg("--sentinel");
        }
    }

    /// Writes the end of the command line.
    pub(super) fn finish(&self, server: &mut Command, port: u16, folder: &Path) {
        let port = port.to_string();
        match &self.tls {
            None => server.args(["--port", &port]),
            Some(tls) => tls.speak(server, &port, folder),
        };
        if let Some(password) = &self.password {
            server.args(["--requirepass", password]);
        }
        if self.is_node {
            server.args(["--cluster-enabled", "yes", "--cluster-config-file", NODES]);
            server.args(["--cluster-port", &free_port().to_string()]);
            if self.tls.is_some() {
                server.args(["--tls-cluster", "yes"]);
            }
        }
        server.args(&self.arguments);
    }
}

const CONFIGURATION: &str = "server.conf";
pub(super) const CA: &str = "ca.pem";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
const NODES: &str = "nodes.conf";
