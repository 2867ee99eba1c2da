//! TLS as one more machine between two buffers: what the wire brought becomes plain text, and plain
//! text what the wire is to bring. With the feature `tls`.
//!
//! A [`Session`] stands between a [`Connection`](crate::connection::Connection) and its transport,
//! for any runtime and any loop: it is `rustls` with neither a socket nor a clock of ours. Who is
//! trusted, and which cryptography is used, is in the `rustls::ClientConfig` that it is given; this
//! crate brings none.
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
