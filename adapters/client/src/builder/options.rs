//! The options that a URL can give too.

use std::time::Duration;

use async_caches_core::connection::Protocol;
use async_caches_core::key::Version;
use async_caches_core::options::TlsVerify;
use async_caches_core::secret::Secret;
use async_caches_core::ttl::Timeout;
use async_caches_core::value::Unreadable;

use super::Builder;

/// Options in place of those in the URL.
impl Builder {
    /// The default timeout, for operations without one of their own. Zero is an error. If not
    /// given, entries never expire. `None` leaves the choice to the URL.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.options.timeout = Some(timeout.into());
        self
    }

    /// Another name of [`timeout`](Self::timeout).
    pub fn ttl(self, timeout: impl Into<Timeout>) -> Self {
        self.timeout(timeout)
    }

    /// No default timeout, even if the URL gives one.
    pub fn forever(self) -> Self {
        self.timeout(Timeout::Never)
    }

    /// The default version of keys, for operations without one of their own. A text with a colon is
    /// an error.
    pub fn version(mut self, version: impl Into<Version>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    /// The prefix of all keys. A colon in it is an error.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.options.key_prefix = Some(prefix.into());
        self
    }

    /// How many connections the pool keeps; 1 if not given.
    pub fn minsize(mut self, connections: usize) -> Self {
        self.options.minsize = Some(connections);
        self
    }

    /// How many connections the pool may open; 10 if not given. Zero, fewer than `minsize`, or more
    /// than 10,000 is an error.
    pub fn maxsize(mut self, connections: usize) -> Self {
        self.options.maxsize = Some(connections);
        self
    }

    /// How many commands one connection may have in flight; 16,384 if not given. Zero is an error.
    /// Callers past the limit wait their turn, within their response timeout.
    pub fn max_in_flight(mut self, commands: usize) -> Self {
        self.options.max_in_flight = Some(commands);
        self
    }

    /// How many bytes may be queued on one connection until its socket takes them; 64 MiB if not
    /// given. Zero is an error. Callers past the limit wait their turn, within their response
    /// timeout.
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.options.max_queued_bytes = Some(bytes);
        self
    }

    /// How many callers may wait for a connection, or for room on one; 65,536 if not given. Callers
    /// past the limit get [`Error::Overloaded`](crate::Error::Overloaded) at once.
    pub fn max_waiting(mut self, callers: usize) -> Self {
        self.options.max_waiting = Some(callers);
        self
    }

    /// How many entries a `locmem://` store may hold; no bound if not given. Zero is an error.
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.options.max_entries = Some(entries);
        self
    }

    /// How many bytes a `locmem://` store may hold, including keys and a constant for each entry;
    /// no bound if not given. Zero is an error. A value that is larger than the bound by itself is
    /// refused: it is not stored and the old value of its key is removed, but no other entry is
    /// evicted for it. [`Stats::refused`](crate::Stats::refused) counts such values.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.options.max_bytes = Some(bytes);
        self
    }

    /// The username for sentinels; their default user if not given. It needs
    /// [`sentinel_password`](Self::sentinel_password).
    pub fn sentinel_username(mut self, username: impl Into<String>) -> Self {
        self.options.sentinel_username = Some(username.into());
        self
    }

    /// The password for sentinels. They have credentials of their own and are never sent those of
    /// the master. It is an error if the URL names no sentinels.
    pub fn sentinel_password(mut self, password: impl Into<Secret>) -> Self {
        self.options.sentinel_password = Some(password.into());
        self
    }

    /// Whether read-only commands go to the replicas of a cluster, if some can be reached. If not
    /// given, only masters are read. Replicas lag behind: a value that was just written, by this
    /// cache or another, may not be found yet, and one that was just removed may still be. All
    /// reads of a key go to one replica as long as it can be reached.
    pub fn replica_reads(mut self, reads: bool) -> Self {
        self.options.replica_reads = Some(reads);
        self
    }

    /// What [`get`](crate::Cache::get) and [`get_many`](crate::Cache::get_many) do with an entry
    /// that cannot be read as the type asked for, unless the call sets it; an error if not given.
    /// For [`get_or_set`](crate::Cache::get_or_set) it is always a miss.
    pub fn unreadable(mut self, unreadable: Unreadable) -> Self {
        self.options.unreadable = Some(unreadable);
        self
    }

    /// The version of the protocol. If not given, RESP3 if the server speaks it, and RESP2
    /// otherwise. [`Protocol::Resp2`] never asks for RESP3, and [`Protocol::Resp3`] makes a server
    /// that does not speak it an error.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.options.protocol = Some(protocol);
        self
    }

    /// How long dialling a server and the handshake with it may take; 5 seconds if not given. Zero
    /// is an error.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = Some(timeout);
        self
    }

    /// How long an operation may wait for its reply; 5 seconds if not given. Zero is an error.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.options.response_timeout = Some(timeout);
        self
    }

    /// How long a caller of `get_or_set` may wait for the load of another before it loads by
    /// itself; 10 seconds if not given. If zero, no caller waits and each loads by itself.
    pub fn load_wait(mut self, wait: Duration) -> Self {
        self.options.load_wait = Some(wait);
        self
    }

    /// How old a connection may become before a new one replaces it, so that a change of the
    /// server's DNS name is followed; unlimited if not given. Each connection draws an age of its
    /// own, up to a quarter less. No call fails because of it: the new connection is dialled first,
    /// unless `maxsize` leaves no room for one, and the old one closes after its last commands. If
    /// the new one cannot be dialled, the old one stays. Less than 100 milliseconds is an error.
    pub fn max_connection_age(mut self, age: Duration) -> Self {
        self.options.max_connection_age = Some(age);
        self
    }

    /// The name of the connections in the server's list of clients. It must be printable ASCII
    /// without spaces.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// The file of certificate authorities, in PEM, instead of those that the operating system
    /// trusts. One of them must have issued the certificate of a `rediss://` server.
    pub fn tls_ca(mut self, path: impl Into<String>) -> Self {
        self.options.tls_ca = Some(path.into());
        self
    }

    /// The file of the client certificate for a `rediss://` server, in PEM, followed by the
    /// intermediate certificates up to its authority. It is an error without
    /// [`tls_key`](Self::tls_key).
    pub fn tls_cert(mut self, path: impl Into<String>) -> Self {
        self.options.tls_cert = Some(path.into());
        self
    }

    /// The file of the client certificate's private key, in PEM. It is an error without
    /// [`tls_cert`](Self::tls_cert).
    pub fn tls_key(mut self, path: impl Into<String>) -> Self {
        self.options.tls_key = Some(path.into());
        self
    }

    /// The name or address that the certificate of a `rediss://` server must be for, if it is not
    /// the URL's host.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.options.tls_server_name = Some(name.into());
        self
    }

    /// How much of a `rediss://` server's certificate is verified. If not given, all of it. With
    /// [`TlsVerify::Ca`], all but the name, for certificates without one. Any server is then
    /// accepted whose certificate was issued by an authority in [`tls_ca`](Self::tls_ca). Without
    /// `tls_ca` it is an error.
    pub fn tls_verify(mut self, verify: TlsVerify) -> Self {
        self.options.tls_verify = Some(verify);
        self
    }

    /// Skips certificate verification: any server is accepted, whatever certificate it shows. The
    /// connection is encrypted, but an attacker on the network path may be at its other end, read
    /// everything, including the password, and change it. For tests only. To trust a certificate of
    /// your own, use [`tls_ca`](Self::tls_ca); giving both is an error.
    pub fn tls_dangerously_accept_any_certificate(mut self, accept: bool) -> Self {
        self.options.tls_dangerously_accept_any_certificate = Some(accept);
        self
    }
}
