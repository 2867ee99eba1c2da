//! TLS as one more state machine between two buffers: it turns bytes from the wire into plain text,
//! and plain text into bytes for the wire. Requires the feature `tls`.
//!
//! A [`Session`] stands between a [`Connection`](crate::connection::Connection) and its transport,
//! for any runtime and any loop. It is `rustls` without a socket or a clock. The caller passes in a
//! `rustls::ClientConfig`, which decides on the trusted authorities and on the cryptography; this
//! crate brings neither.
//!
//! ```text
//!  transport ── bytes ──▶ open ──▶ plain text ──▶ Connection
//!      ▲                                              │
//!      └───── outgoing ◀──────── seal ◀───────────────┘
//! ```

mod error;
mod explain;
mod session;
#[cfg(test)]
mod tests;

pub use self::error::TlsError;
pub use self::explain::{InWords, in_words};
pub use self::session::Session;
