use alloc::string::String;

use thiserror::Error;

/// Why a session could not be opened, or has ended. The TLS library's words, which may quote the
/// server, are cut after [`MAX_TEXT`](Self::MAX_TEXT) characters.
///
/// ```
/// use async_caches_core::tls::TlsError;
///
/// assert!(TlsError::UnknownIssuer.is_refusal()); // trying again is of no use
/// assert!(!TlsError::Stalled.is_refusal()); // trying again may help
/// assert_eq!(TlsError::Expired.to_string(), "the server's certificate has expired");
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The server's certificate was not issued by a trusted authority.
    #[error("the server's certificate was issued by an authority that is not trusted")]
    UnknownIssuer,
    /// The server's certificate is for another name.
    #[error("the server's certificate is not for {name}, whom we wanted")]
    WrongName {
        /// The expected name.
        name: String,
    },
    /// The server's certificate has expired.
    #[error("the server's certificate has expired")]
    Expired,
    /// The server's certificate is not valid yet, or our clock is slow.
    #[error("the server's certificate is not valid yet")]
    NotYetValid,
    /// Something else is wrong with the server's certificate.
    #[error("the server's certificate is not accepted: {problem}")]
    Certificate {
        /// The problem, in the words of the TLS library.
        problem: String,
    },
    /// The server has ended the session with an alert.
    #[error("the server refused TLS with the alert {alert}{}", meaning(.alert))]
    Alert {
        /// The alert's name, as in RFC 8446.
        alert: String,
    },
    /// The peer does not speak TLS.
    #[error("what answered speaks no TLS")]
    NoTls,
    /// The stream ended without the server's closing alert; an attacker may have cut it off.
    #[error("the connection was cut off without an end of TLS")]
    Truncated,
    /// The handshake was not completed in time.
    #[error("the TLS handshake was not over in time")]
    Stalled,
    /// The server broke the protocol, or has no parameters in common with us.
    #[error("TLS failed: {problem}")]
    Failed {
        /// The problem, in the words of the TLS library.
        problem: String,
    },
}

impl TlsError {
    /// The number of characters that are kept of the TLS library's words.
    pub const MAX_TEXT: usize = 200;

    /// Whether one side refused the other's identity. Trying again soon is then of no use, unless a
    /// certificate or a setting is changed.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::UnknownIssuer
            | Self::WrongName { .. }
            | Self::Expired
            | Self::NotYetValid
            | Self::Certificate { .. } => true,
            Self::Alert { alert } => REFUSALS.iter().any(|(name, _)| name == alert),
            Self::NoTls | Self::Truncated | Self::Stalled | Self::Failed { .. } => false,
        }
    }
}

/// What an alert means about our certificate, for a message.
fn meaning(alert: &str) -> &'static str {
    REFUSALS.iter().find(|(name, _)| *name == alert).map_or("", |(_, meaning)| meaning)
}

/// The alerts with which a server refuses our identity.
const REFUSALS: [(&str, &str); 11] = [
    ("certificate_required", ": it wants a certificate of ours, and was shown none"),
    ("bad_certificate", ": our certificate is malformed"),
    ("unsupported_certificate", ": our certificate is of a kind that it does not take"),
    ("certificate_revoked", ": our certificate was revoked"),
    ("certificate_expired", ": our certificate has expired"),
    ("certificate_unknown", ": our certificate was not accepted"),
    ("unknown_ca", ": our certificate was issued by an authority that it does not trust"),
    ("access_denied", ": our certificate gives no access"),
    ("handshake_failure", ": it has no cipher in common with us, or wants a certificate of ours"),
    ("protocol_version", ": it has no version of TLS in common with us"),
    ("unrecognized_name", ": it goes by another name"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_alerts_about_the_client_are_refusals() {
        for (alert, is_refusal) in
            [("unknown_ca", true), ("unrecognized_name", true), ("internal_error", false)]
        {
            assert_eq!(TlsError::Alert { alert: alert.into() }.is_refusal(), is_refusal, "{alert}");
        }
    }
}
