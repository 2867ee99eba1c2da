//! The authority that other clients trust for TLS; our client reads it from the URL.

use std::fs;

/// Splits `tls_ca` off a URL, and returns the rest and the PEM of the authority that it names, if
/// any.
pub(super) fn split(url: &str) -> (&str, Option<Vec<u8>>) {
    match url.split_once("?tls_ca=") {
        None => (url, None),
        Some((url, path)) => (url, Some(fs::read(path).expect("the file of the authority"))),
    }
}
