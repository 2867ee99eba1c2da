//! TLS, as far as it is settled before there is a connection.

mod error;

pub use self::error::TlsConfigError;
