//! What the TLS library says, in the words of whoever set up a server.
#![expect(clippy::wildcard_enum_match_arm, reason = "what is not told apart has its own words")]

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Display;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::TlsError;

/// `expected` is whose certificate the server should have; `greeted` whether it has said anything
/// in TLS yet.
pub(super) fn explain(error: &Error, expected: &ServerName<'_>, greeted: bool) -> TlsError {
    match error {
        Error::InvalidCertificate(problem) => certificate(problem, expected),
        Error::AlertReceived(alert) => TlsError::Alert { alert: name(*alert) },
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) if !greeted => TlsError::NoTls,
        error => failed(error),
    }
}

pub(super) fn failed(problem: impl Display) -> TlsError {
    TlsError::Failed { problem: bounded(problem) }
}

/// Its text, of which a peer may have much to say.
fn bounded(problem: impl Display) -> String {
    format!("{problem}").chars().take(TlsError::MAX_TEXT).collect()
}

fn certificate(problem: &CertificateError, expected: &ServerName<'_>) -> TlsError {
    match problem {
        CertificateError::UnknownIssuer => TlsError::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsError::WrongName { name: expected.to_str().into_owned() }
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsError::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsError::NotYetValid
        }
        problem => TlsError::Certificate { problem: bounded(problem) },
    }
}

/// `CertificateRequired` as `certificate_required`, and `Unknown(93)` as `93`.
fn name(alert: AlertDescription) -> String {
    if let AlertDescription::Unknown(number) = alert {
        return number.to_string();
    }
    let mut name = String::new();
    let mut before = '_';
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() && before.is_ascii_lowercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
        before = letter;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_failure_is_bounded() {
        for (len, kept) in [(3, 3), (TlsError::MAX_TEXT + 1, TlsError::MAX_TEXT)] {
            let problem = "x".repeat(kept);
            assert_eq!(failed("x".repeat(len)), TlsError::Failed { problem });
        }
    }
}
