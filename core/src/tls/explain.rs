//! Turns the TLS library's errors into sentences for the person who sets up a server.
//!
//! The library prints most of its errors as the names of variants with their fields. Here each
//! common error has a sentence. Any other name is split into its words, and its fields are left
//! out. So no message contains program syntax.
#![expect(clippy::wildcard_enum_match_arm, reason = "what is not told apart has its own words")]

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Debug, Display};

use rustls::pki_types::ServerName;
use rustls::{
    AlertDescription, CertificateError, Error, InconsistentKeys, InvalidMessage, PeerIncompatible,
};

use super::error::TlsError;

/// `expected` is the name that the server's certificate should be for; `greeted` is whether the
/// server has sent anything in TLS yet.
pub(super) fn explain(error: &Error, expected: &ServerName<'_>, greeted: bool) -> TlsError {
    match error {
        Error::InvalidCertificate(problem) => certificate(problem, expected),
        Error::AlertReceived(alert) => TlsError::Alert { alert: alert_name(*alert) },
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) if !greeted => TlsError::NoTls,
        error => failed(in_words(error)),
    }
}

pub(super) fn failed(problem: impl Display) -> TlsError {
    TlsError::Failed { problem: bounded(problem) }
}

/// The error's text, cut because a peer may influence its length.
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
        problem => TlsError::Certificate { problem: bounded(certificate_in_words(problem)) },
    }
}

/// An error of the TLS library, which prints [in words](in_words).
///
/// ```
/// use async_caches_core::tls::InWords;
///
/// let error = InWords(rustls::Error::NoCertificatesPresented);
/// assert_eq!(error.to_string(), "the other side showed no certificate");
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct InWords(pub Error);

impl fmt::Display for InWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_words(&self.0))
    }
}

/// Has no `source`: the text is complete, and the source would print as the names of variants.
impl core::error::Error for InWords {}

/// An error of the TLS library as a sentence without a full stop; cut after [`TlsError::MAX_TEXT`]
/// characters.
#[must_use]
pub fn in_words(error: &Error) -> String {
    let words = match error {
        Error::InvalidCertificate(problem) => {
            format!("the certificate is not accepted: {}", certificate_in_words(problem))
        }
        Error::AlertReceived(alert) => {
            format!("the other side ended the session with the alert {}", alert_name(*alert))
        }
        Error::PeerIncompatible(why) => incompatible(why),
        Error::PeerMisbehaved(why) => {
            format!("the other side broke the protocol ({})", words_of(why))
        }
        Error::InvalidMessage(InvalidMessage::MessageTooLarge) => {
            "a message is larger than any may be".into()
        }
        Error::InvalidMessage(why) => format!("a message is malformed ({})", words_of(why)),
        Error::InappropriateMessage { got_type, .. } => {
            format!("a message came that is not due ({})", words_of(got_type))
        }
        Error::InappropriateHandshakeMessage { got_type, .. } => {
            format!("a message of the handshake came that is not due ({})", words_of(got_type))
        }
        Error::NoCertificatesPresented => "the other side showed no certificate".into(),
        Error::UnsupportedNameType => {
            "the server's name is of a kind that TLS does not have".into()
        }
        Error::DecryptError => "a message cannot be deciphered".into(),
        Error::EncryptError => "a message cannot be encrypted".into(),
        Error::PeerSentOversizedRecord => "a record is larger than any may be".into(),
        Error::HandshakeNotComplete => "the handshake is not over".into(),
        Error::NoApplicationProtocol => {
            "the two sides have no application protocol in common".into()
        }
        Error::BadMaxFragmentSize => "the largest size of a fragment is out of range".into(),
        Error::FailedToGetCurrentTime => "the time of day is not known".into(),
        Error::FailedToGetRandomBytes => "there is no randomness".into(),
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the private key does not belong to the certificate".into()
        }
        Error::InconsistentKeys(_) => {
            "it cannot be told whether the private key belongs to the certificate".into()
        }
        Error::InvalidEncryptedClientHello(why) => {
            format!("the encrypted greeting failed ({})", words_of(why))
        }
        Error::InvalidCertRevocationList(why) => {
            format!("the list of revoked certificates is of no use ({})", words_of(why))
        }
        Error::General(text) => plain(text),
        Error::Other(other) => plain(&other.to_string()),
        other => words_of(other),
    };
    bounded(words)
}

fn certificate_in_words(problem: &CertificateError) -> String {
    let words = match problem {
        CertificateError::BadEncoding => "it is malformed",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet"
        }
        CertificateError::Revoked => "it was revoked",
        CertificateError::UnhandledCriticalExtension => {
            "it has an extension that must be understood and is not"
        }
        CertificateError::UnknownIssuer => "its issuer is not trusted",
        CertificateError::UnknownRevocationStatus => "whether it was revoked is not known",
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => {
            "the list of revoked certificates has expired"
        }
        CertificateError::BadSignature => "its signature is wrong",
        CertificateError::UnsupportedSignatureAlgorithmContext { .. } => {
            "it is signed by an algorithm that is not supported"
        }
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed by an algorithm that does not fit the issuer's key"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not for servers"
        }
        CertificateError::InvalidOcspResponse => "what vouches for it is malformed",
        CertificateError::ApplicationVerificationFailure => {
            "the application's own verification refused it"
        }
        CertificateError::Other(other) => return of_other(&other.to_string()),
        other => return words_of(other),
    };
    words.into()
}

/// Explains another verifier error. Those of the TLS library's own verifier are names of variants.
fn of_other(text: &str) -> String {
    match text {
        "CaUsedAsEndEntity" => "it is the certificate of an authority and not of a server".into(),
        "EndEntityUsedAsCa" => "its issuer's certificate is not one of an authority".into(),
        "UnsupportedCertVersion" => "it is of a version before the third".into(),
        text => plain(text),
    }
}

fn incompatible(why: &PeerIncompatible) -> String {
    let words = match why {
        PeerIncompatible::NoCipherSuitesInCommon => "the two sides have no cipher suite in common",
        PeerIncompatible::NoKxGroupsInCommon => {
            "the two sides have no group for the key exchange in common"
        }
        PeerIncompatible::NoSignatureSchemesInCommon => {
            "the two sides have no signature scheme in common"
        }
        PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            "the server takes no signature that the key of our certificate can make"
        }
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "the two sides have no version of TLS in common; 1.2 and 1.3 are spoken here"
        }
        why => return format!("the other side is not compatible ({})", words_of(why)),
    };
    words.into()
}

/// Returns a text as it is, unless it is the name of a variant, with or without fields.
fn plain(text: &str) -> String {
    let name = text.split(['(', '{', ' ']).next().unwrap_or_default();
    let rest = text.strip_prefix(name).unwrap_or_default();
    let has_more = rest.starts_with('(') || rest.trim_start().starts_with('{');
    let is_joined = name.chars().skip(1).any(|letter| letter.is_ascii_uppercase());
    let is_name = name.starts_with(|letter: char| letter.is_ascii_uppercase())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric())
        && (has_more || is_joined && rest.is_empty());
    if is_name { apart(name) } else { text.replace(['{', '}'], "") }
}

/// The name of a variant, as words; its fields are left out.
fn words_of(variant: &impl Debug) -> String {
    let text = format!("{variant:?}");
    apart(text.split(['(', '{', ' ']).next().unwrap_or_default())
}

/// `NoCipherSuitesInCommon` as `no cipher suites in common`.
fn apart(name: &str) -> String {
    let mut words = String::new();
    let mut before = ' ';
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
        before = letter;
    }
    words
}

/// `CertificateRequired` as `certificate_required`, and `Unknown(93)` as `93`.
fn alert_name(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::Unknown(number) => number.to_string(),
        alert => words_of(&alert).replace(' ', "_"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;
    use std::vec::Vec;

    use rustls::pki_types::UnixTime;
    use rustls::{
        CertRevocationListError, ContentType, EncryptedClientHelloError, HandshakeType, OtherError,
        PeerMisbehaved,
    };

    use super::*;

    #[test]
    fn descriptions_of_failures_are_bounded() {
        for (len, kept) in [(3, 3), (TlsError::MAX_TEXT + 1, TlsError::MAX_TEXT)] {
            let problem = "x".repeat(kept);
            assert_eq!(failed("x".repeat(len)), TlsError::Failed { problem });
        }
        assert_eq!(in_words(&Error::General("y".repeat(900))).len(), TlsError::MAX_TEXT);
    }

    /// An error that prints the name of its variant, as those of webpki do.
    #[derive(Debug)]
    struct Named(&'static str);

    impl core::fmt::Display for Named {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl core::error::Error for Named {}

    fn other(text: &'static str) -> OtherError {
        OtherError(Arc::new(Named(text)))
    }

    #[expect(deprecated, reason = "it is made as long as it is there")]
    fn of_certificates() -> Vec<CertificateError> {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(1));
        let (algorithm, key) = (Vec::from([1, 2]), Vec::from([3]));
        Vec::from([
            CertificateError::BadEncoding,
            CertificateError::Expired,
            CertificateError::ExpiredContext { time, not_after: time },
            CertificateError::NotValidYet,
            CertificateError::NotValidYetContext { time, not_before: time },
            CertificateError::Revoked,
            CertificateError::UnhandledCriticalExtension,
            CertificateError::UnknownIssuer,
            CertificateError::UnknownRevocationStatus,
            CertificateError::ExpiredRevocationList,
            CertificateError::ExpiredRevocationListContext { time, next_update: time },
            CertificateError::BadSignature,
            CertificateError::UnsupportedSignatureAlgorithm,
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: algorithm.clone(),
                supported_algorithms: Vec::new(),
            },
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: algorithm,
                public_key_algorithm_id: key,
            },
            CertificateError::NotValidForName,
            CertificateError::NotValidForNameContext {
                expected: ServerName::try_from("h").unwrap(),
                presented: Vec::from(["DnsName(\"x\")".into()]),
            },
            CertificateError::InvalidPurpose,
            CertificateError::InvalidOcspResponse,
            CertificateError::ApplicationVerificationFailure,
            CertificateError::Other(other("CaUsedAsEndEntity")),
            CertificateError::Other(other("EndEntityUsedAsCa")),
            CertificateError::Other(other("UnsupportedCertVersion")),
            CertificateError::Other(other("TrailingData(Certificate)")),
            CertificateError::Other(other("MaximumSignatureChecksExceeded")),
            CertificateError::Other(other("Context { time: UnixTime(1) }")),
            CertificateError::Other(other("the application says no")),
        ])
    }

    fn all() -> Vec<Error> {
        let certificates = of_certificates().into_iter().map(Error::InvalidCertificate);
        let plain = [
            Error::InappropriateMessage {
                expect_types: Vec::from([ContentType::Alert]),
                got_type: ContentType::ApplicationData,
            },
            Error::InappropriateHandshakeMessage {
                expect_types: Vec::from([HandshakeType::ClientHello]),
                got_type: HandshakeType::Unknown(99),
            },
            Error::InvalidEncryptedClientHello(EncryptedClientHelloError::NoCompatibleConfig),
            Error::InvalidMessage(InvalidMessage::MessageTooLarge),
            Error::InvalidMessage(InvalidMessage::MissingData("Certificate")),
            Error::InvalidMessage(InvalidMessage::TrailingData("ServerHello")),
            Error::NoCertificatesPresented,
            Error::UnsupportedNameType,
            Error::DecryptError,
            Error::EncryptError,
            Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
            Error::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig),
            Error::PeerIncompatible(PeerIncompatible::ExtendedMasterSecretExtensionRequired),
            Error::PeerMisbehaved(PeerMisbehaved::TooManyEmptyFragments),
            Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedCipherSuite),
            Error::AlertReceived(AlertDescription::HandshakeFailure),
            Error::AlertReceived(AlertDescription::Unknown(93)),
            Error::InvalidCertRevocationList(CertRevocationListError::BadSignature),
            Error::General("all went wrong".into()),
            Error::FailedToGetCurrentTime,
            Error::FailedToGetRandomBytes,
            Error::HandshakeNotComplete,
            Error::PeerSentOversizedRecord,
            Error::NoApplicationProtocol,
            Error::BadMaxFragmentSize,
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch),
            Error::InconsistentKeys(InconsistentKeys::Unknown),
            Error::Other(other("InvalidDnsNameError")),
        ];
        certificates.chain(plain).collect()
    }

    #[test]
    fn errors_are_described_in_words_without_debug_syntax() {
        let expected = ServerName::try_from("cache.example").unwrap();
        for error in all() {
            let told = [in_words(&error), explain(&error, &expected, true).to_string()];
            for text in told {
                assert!(text.contains(' '), "{error:?}: {text}");
                assert!(!text.contains(['{', '}', '[', ']', '"']), "{error:?}: {text}");
                let is_name = |word: &str| {
                    let word = word.trim_matches(|letter: char| !letter.is_alphanumeric());
                    let mut letters = word.chars().skip_while(|letter| letter.is_ascii_uppercase());
                    letters.any(|letter| letter.is_ascii_uppercase())
                };
                assert!(!text.split(' ').any(is_name), "{error:?}: {text}");
            }
        }
    }

    #[test]
    fn the_commonest_errors_have_sentences() {
        for (error, words) in [
            (
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch),
                "the private key does not belong to the certificate",
            ),
            (
                Error::InvalidCertificate(CertificateError::Other(other("CaUsedAsEndEntity"))),
                "the certificate is not accepted: it is the certificate of an authority and not of a \
                 server",
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled),
                "the two sides have no version of TLS in common; 1.2 and 1.3 are spoken here",
            ),
            (
                Error::PeerMisbehaved(PeerMisbehaved::TooManyEmptyFragments),
                "the other side broke the protocol (too many empty fragments)",
            ),
            (
                Error::InvalidMessage(InvalidMessage::MissingData("Certificate")),
                "a message is malformed (missing data)",
            ),
        ] {
            assert_eq!(in_words(&error), words);
        }
    }
}
