//! Whom the other clients are to trust over TLS, which ours read in the URL themselves.

use std::fs;

/// A URL without `tls_ca`, and the authority in PEM that this names, if any.
pub(super) fn split(url: &str) -> (&str, Option<Vec<u8>>) {
    match url.split_once("?tls_ca=") {
        None => (url, None),
        Some((url, path)) => (url, Some(fs::read(path).expect("the file of the authority"))),
    }
}
