//! URLs. The parser must accept any text without a panic. A printed URL must parse to the same URL.
//! A URL that asks for TLS must keep asking for it. Nothing before an `@` may ever be printed
//! except a user's name.

#![no_main]

use async_caches_core::secret::Secret;
use async_caches_core::url::{Backend, CacheUrl, Credentials, Server, Wire};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|url: &str| {
    prints_what_it_parsed(url);
    if let Some((before, after)) = url.rsplit_once('@')
        && !url.contains(CANARY)
    {
        for (at, _) in before.char_indices().take(64) {
            let (head, tail) = before.split_at(at);
            keeps_the_canary(&format!("{head}{CANARY}{tail}@{after}"));
        }
    }
});

fn prints_what_it_parsed(url: &str) {
    let Ok(mut parsed) = CacheUrl::parse(url) else { return };
    let printed = parsed.to_string();
    assert_eq!(asks_for_tls(url), is_tls(&parsed), "{url:?}");
    assert_eq!(asks_for_tls(&printed), is_tls(&parsed), "{printed}");
    if let Some(credentials) = credentials(&mut parsed) {
        credentials.password = Secret::new(Secret::MASK);
    }
    let password = &mut parsed.options.sentinel_password;
    *password = password.take().map(|_| Secret::new(Secret::MASK));
    let again = CacheUrl::parse(&printed);
    assert_eq!(again.as_ref().map(CacheUrl::to_string).as_ref(), Ok(&printed));
    // What may be credentials in the name of a store in memory is masked, and so is not read again.
    if !printed.starts_with("locmem://***") {
        assert_eq!(again.as_ref(), Ok(&parsed), "{printed}");
    }
}

fn keeps_the_canary(url: &str) {
    match CacheUrl::parse(url) {
        Err(error) => assert!(!format!("{error} {error:?}").contains(CANARY), "{url:?}"),
        Ok(mut parsed) => {
            let is_secret = credentials(&mut parsed).is_some_and(|credentials| {
                let name = credentials.username.as_deref().unwrap_or_default();
                credentials.password.expose().contains(CANARY) && !name.contains(CANARY)
            });
            let output = format!("{parsed} {parsed:?}");
            assert!(!is_secret || !output.contains(CANARY), "{url:?} is {output}");
        }
    }
}

/// Whether the URL asks for TLS, judged by its text alone.
fn asks_for_tls(url: &str) -> bool {
    let scheme = url.split(':').next().unwrap_or_default();
    ["rediss", "valkeys"].into_iter().any(|tls| scheme.eq_ignore_ascii_case(tls))
}

fn is_tls(url: &CacheUrl) -> bool {
    match &url.backend {
        Backend::Redis(Server { wire, .. }) => *wire == Wire::Tls,
        Backend::Dummy | Backend::Memory { .. } => false,
    }
}

fn credentials(url: &mut CacheUrl) -> Option<&mut Credentials> {
    match &mut url.backend {
        Backend::Redis(Server { credentials, .. }) => credentials.as_mut(),
        Backend::Dummy | Backend::Memory { .. } => None,
    }
}

const CANARY: &str = "canary";
