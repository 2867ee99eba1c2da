//! A build without the feature `tls`. Run it with `-p async-caches`: built together with other
//! crates that enable the feature, it would be enabled here too.
#![cfg(not(feature = "tls"))]

use async_caches::runtime::{BoxFuture, ConnectionTask, Endpoint, Instant, Runtime, Timer};
use async_caches::{Error, TlsConfigError, builder};

#[test]
fn a_tls_url_without_the_tls_feature_is_an_error_naming_the_feature() {
    for (scheme, rest) in [
        ("rediss", "localhost"),
        ("REDISS", "localhost"),
        ("valkeys", ":hunter2@localhost:6380/1"),
        ("rediss", "localhost?tls_ca=/no/such/file"),
        ("rediss-sentinel", "localhost/service"),
        ("rediss+sentinel", "localhost/service"),
        ("valkeys-sentinel", "localhost/service"),
        ("valkeys+sentinel", ":hunter2@localhost/service"),
        ("rediss-cluster", "localhost"),
        ("rediss+cluster", "localhost"),
        ("valkeys-cluster", ":hunter2@localhost"),
        ("valkeys+cluster", "localhost"),
        ("rediss", "localhost?cluster=true"),
        ("rediss", "localhost?tls_dangerously_accept_any_certificate=true"),
    ] {
        let url = &format!("{scheme}://{rest}");
        let error = builder(url).runtime(Idle).build().unwrap_err();
        assert!(matches!(error, Error::Tls(TlsConfigError::NotBuilt { .. })), "{url}: {error:?}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("{scheme}://")), "{text}");
        for word in ["async-caches-tokio", "async-caches-smol", "async-caches-async-std", "`tls`"] {
            assert!(text.contains(word), "{text}");
        }
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    builder("redis://localhost").runtime(Idle).build().unwrap();
}

/// A runtime on which nothing happens.
#[derive(Debug)]
struct Idle;

impl Runtime for Idle {
    fn now(&self) -> Instant {
        Instant::ORIGIN
    }

    fn spawn(&self, _: BoxFuture<'static, ()>) {
        unreachable!("nothing is connected");
    }

    fn timer(&self) -> Box<dyn Timer> {
        unreachable!("nothing is connected");
    }

    fn dial(&self, _: Endpoint, _: ConnectionTask) {
        unreachable!("nothing is dialled");
    }
}
