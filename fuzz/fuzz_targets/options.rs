//! Combined options. A printed URL must parse to the same URL except for its password, which must
//! not be printed. Each option's text must be accepted, or refused without a change.
#![no_main]

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use async_caches_core::connection::Protocol;
use async_caches_core::key::Version;
use async_caches_core::options::{Options, Settings, TlsVerify, Trust};
use async_caches_core::secret::Secret;
use async_caches_core::ttl::Timeout;
use async_caches_core::url::{
    Backend, CacheUrl, Credentials, Endpoint, Server, Service, Topology, Wire,
};
use async_caches_core::value::Unreadable;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // Running out of input ends the story; it is not an error.
    let _ = run(&mut Unstructured::new(input));
});

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let (upper, lower) = (options(u)?, options(u)?);
    prints_and_parses(u, upper.clone())?;
    layers(&upper, &lower);
    texts(u, upper)
}

fn prints_and_parses(u: &mut Unstructured<'_>, options: Options) -> Result<()> {
    let url = CacheUrl { backend: backend(u)?, options };
    let printed = url.to_string();
    for output in [&printed, &format!("{url:?}"), &format!("{url:#?}")] {
        assert!(!output.contains(CANARY), "{output}");
    }
    let mut masked = url;
    if let Backend::Redis(Server { credentials: Some(credentials), .. }) = &mut masked.backend {
        credentials.password = Secret::new(Secret::MASK);
    }
    let password = &mut masked.options.sentinel_password;
    *password = password.take().map(|_| Secret::new(Secret::MASK));
    let parsed = CacheUrl::parse(&printed);
    assert_eq!(parsed.as_ref().map(CacheUrl::to_string).as_ref(), Ok(&printed));
    // What may be credentials in the name of a store in memory is masked, and so is not read again.
    if !printed.starts_with("locmem://***") {
        assert_eq!(parsed.as_ref(), Ok(&masked), "{printed}");
    }
    Ok(())
}

/// The upper layer wins, and the lower layer provides the options that the upper one leaves unset.
fn layers(upper: &Options, lower: &Options) {
    let both = upper.clone().over(lower.clone());
    assert_eq!(both.maxsize, upper.maxsize.or(lower.maxsize));
    assert_eq!(both.name, upper.name.clone().or(lower.name.clone()));
    assert_eq!(both.clone().over(both.clone()), both);
    assert_eq!(Options::default().over(both.clone()), both);
    assert_eq!(both.clone().over(Options::default()), both);
    let accepts_any = both.tls_dangerously_accept_any_certificate == Some(true);
    if let Ok(settings) = Settings::new(both) {
        assert_eq!(settings.tls.trust == Trust::DangerouslyAnyCertificate, accepts_any);
        assert!(settings.minsize <= settings.maxsize && settings.maxsize > 0);
        assert!(settings.max_in_flight > 0 && settings.max_queued_bytes > 0);
        assert!(!settings.connect_timeout.is_zero() && !settings.response_timeout.is_zero());
    }
}

/// Any text for any option, over any options.
fn texts(u: &mut Unstructured<'_>, mut options: Options) -> Result<()> {
    while !u.is_empty() {
        let before = options.clone();
        let name = *u.choose(Options::NAMES)?;
        let len = u.int_in_range(0..=24)?.min(u.len());
        let value = String::from_utf8_lossy(u.bytes(len)?).into_owned();
        match options.set(name, &value) {
            Err(error) => {
                assert_eq!(options, before);
                assert!(error.to_string().len() < 1_000);
            }
            Ok(()) => {
                assert!(options.set(name, &value).is_err(), "{name} was said twice");
                let mut url = CacheUrl { backend: Backend::Dummy, options: options.clone() };
                let password = &mut url.options.sentinel_password;
                *password = password.take().map(|_| Secret::new(Secret::MASK));
                assert_eq!(CacheUrl::parse(&url.to_string()), Ok(url));
            }
        }
    }
    Ok(())
}

/// Options that can be written in a URL, each valid by itself.
fn options(u: &mut Unstructured<'_>) -> Result<Options> {
    let mut options = Options::default();
    options.timeout = maybe(u, |u| span(u).map(Timeout::After))?;
    options.version = maybe(u, |u| {
        Ok(if u.arbitrary()? { Version::from(u.arbitrary::<i64>()?) } else { word(u)?.into() })
    })?;
    options.key_prefix = maybe(u, word)?;
    options.minsize = u.arbitrary()?;
    options.maxsize = u.arbitrary::<Option<NonZeroUsize>>()?.map(NonZeroUsize::get);
    options.max_in_flight = u.arbitrary::<Option<NonZeroUsize>>()?.map(NonZeroUsize::get);
    options.max_queued_bytes = u.arbitrary::<Option<NonZeroUsize>>()?.map(NonZeroUsize::get);
    options.max_waiting = u.arbitrary()?;
    options.max_entries = u.arbitrary::<Option<NonZeroU64>>()?.map(NonZeroU64::get);
    options.max_bytes = u.arbitrary::<Option<NonZeroU64>>()?.map(NonZeroU64::get);
    options.connect_timeout = maybe(u, span)?;
    options.response_timeout = maybe(u, span)?;
    options.name =
        maybe(u, |u| Ok(no_secret(word(u)?.chars().filter(char::is_ascii_graphic).collect())))?;
    options.tls_ca = maybe(u, word)?;
    options.tls_cert = maybe(u, word)?;
    options.tls_key = maybe(u, word)?;
    options.tls_server_name =
        maybe(u, |u| Ok((*u.choose(&["localhost", "127.0.0.1", "::1", "a.b-c.example"])?).into()))?;
    options.tls_verify = maybe(u, |u| Ok(*u.choose(&[TlsVerify::Full, TlsVerify::Ca])?))?;
    options.tls_dangerously_accept_any_certificate = u.arbitrary()?;
    options.replica_reads = u.arbitrary()?;
    options.unreadable = maybe(u, |u| Ok(*u.choose(&[Unreadable::Error, Unreadable::Miss])?))?;
    options.protocol =
        maybe(u, |u| Ok(*u.choose(&[Protocol::Auto, Protocol::Resp2, Protocol::Resp3])?))?;
    options.sentinel_username = maybe(u, word)?;
    options.sentinel_password =
        maybe(u, |u| Ok(Secret::new(format!("{CANARY}{}", u.arbitrary::<&str>()?))))?;
    Ok(options)
}

fn backend(u: &mut Unstructured<'_>) -> Result<Backend> {
    Ok(match u.int_in_range(0..=7_u8)? {
        0 => Backend::Dummy,
        1 => Backend::Memory { name: word(u)? },
        kind => Backend::Redis(Server {
            wire: if kind == 4 || kind == 7 { Wire::Tls } else { Wire::Plain },
            topology: match u.int_in_range(0..=3_u8)? {
                _ if kind == 5 => Topology::Sentinel(Service {
                    name: word(u)?.replace(|c: char| c.is_whitespace() || c.is_control(), "_"),
                    sentinels: (0..=u.int_in_range(0..=3_u8)?)
                        .map(|_| tcp(u))
                        .collect::<Result<_>>()?,
                }),
                _ if kind > 5 => Topology::Cluster(
                    (0..=u.int_in_range(0..=3_u8)?).map(|_| tcp(u)).collect::<Result<_>>()?,
                ),
                0 if kind < 4 => {
                    Topology::Standalone(Endpoint::Unix { path: format!("/{}", word(u)?) })
                }
                _ => Topology::Standalone(tcp(u)?),
            },
            credentials: maybe(u, |u| {
                let username = maybe(u, word)?;
                let password = format!("{CANARY}{}", u.arbitrary::<&str>()?);
                Ok(Credentials { username, password: Secret::new(password) })
            })?,
            database: if kind > 5 { 0 } else { u.arbitrary()? },
        }),
    })
}

fn tcp(u: &mut Unstructured<'_>) -> Result<Endpoint> {
    Ok(Endpoint::Tcp {
        host: (*u.choose(&["localhost", "127.0.0.1", "::1", "a.b-c.example"])?).into(),
        port: u.int_in_range(1..=u16::MAX)?,
    })
}

fn maybe<T>(
    u: &mut Unstructured<'_>,
    make: impl FnOnce(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Option<T>> {
    if u.arbitrary()? { make(u).map(Some) } else { Ok(None) }
}

fn span(u: &mut Unstructured<'_>) -> Result<Duration> {
    let nanos = u.arbitrary::<u64>()? >> u.int_in_range(0..=63)?;
    Ok(Duration::from_nanos(nanos.max(1)))
}

/// A text that is not empty and contains no colon, no NUL and not the secret.
fn word(u: &mut Unstructured<'_>) -> Result<String> {
    let len = u.int_in_range(1..=12)?.min(u.len());
    Ok(no_secret(String::from_utf8_lossy(u.bytes(len)?).replace([':', '\0'], "")))
}

fn no_secret(text: String) -> String {
    if text.is_empty() || text.contains(CANARY) { "w".to_owned() } else { text }
}

const CANARY: &str = "canary";
