mod forms;

use core::time::Duration;
use std::string::ToString;
use std::vec::Vec;
use std::{format, vec};

use proptest::prelude::*;

use super::*;
use crate::connection::Protocol;
use crate::options::TlsVerify;
use crate::secret::Secret;
use crate::ttl::Timeout;
use crate::value::Unreadable;

fn parse(url: &str) -> CacheUrl {
    CacheUrl::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn server(url: &str) -> Server {
    match parse(url).backend {
        Backend::Redis(server) => server,
        other @ (Backend::Dummy | Backend::Memory { .. }) => panic!("{url}: {other:?}"),
    }
}

fn username(url: &CacheUrl) -> &str {
    match &url.backend {
        Backend::Redis(Server { credentials: Some(Credentials { username, .. }), .. }) => {
            username.as_deref().unwrap_or_default()
        }
        Backend::Redis(_) | Backend::Dummy | Backend::Memory { .. } => "",
    }
}

fn refused(url: &str) -> UrlError {
    match CacheUrl::parse(url) {
        Ok(parsed) => panic!("{url} is {parsed:?}"),
        Err(error) => error,
    }
}

#[test]
fn a_dummy_may_be_called_anything() {
    for url in ["dummy://", "dummy://anything", "dummy://u:p@h:x/y", "dummy://%zz", "DUMMY://"] {
        assert_eq!(parse(url).backend, Backend::Dummy);
    }
}

#[test]
fn a_store_in_memory_is_named_by_everything_up_to_the_query() {
    for (url, name) in [
        ("locmem://", ""),
        ("locmem://?timeout=1", ""),
        ("locmem://default", "default"),
        ("locmem://a/b@c:d", "a/b@c:d"),
        ("locmem://a%20b%3F", "a b?"),
        ("locmem://caf%C3%A9+x", "café+x"),
    ] {
        assert_eq!(parse(url).backend, Backend::Memory { name: name.into() }, "{url}");
    }
}

#[test]
fn a_server_has_an_endpoint_and_a_database() {
    for (url, endpoint, database) in [
        ("redis://", "localhost:6379", 0),
        ("redis://?db=3", "localhost:6379", 3),
        ("redis:///2", "localhost:6379", 2),
        ("redis://:6380", "localhost:6380", 0),
        ("redis://cache", "cache:6379", 0),
        ("redis://cache/", "cache:6379", 0),
        ("redis://cache.example:6380/2", "cache.example:6380", 2),
        ("redis://cache:65535/4294967295", "cache:65535", u32::MAX),
        ("redis://cache/2?db=2", "cache:6379", 2),
        ("redis://10.0.0.1:1", "10.0.0.1:1", 0),
        ("redis://[::1]", "[::1]:6379", 0),
        ("redis://[2001:DB8:0::1]:7000/1", "[2001:db8::1]:7000", 1),
        ("redis://b%C3%BCcher", "bücher:6379", 0),
        ("valkey://cache", "cache:6379", 0),
        ("Redis://Cache", "Cache:6379", 0),
        ("redis+unix:///run/redis.sock", "unix:/run/redis.sock", 0),
        ("redis+unix:///run/redis.sock?db=1", "unix:/run/redis.sock", 1),
        ("redis+unix:///a%20b%40c", "unix:/a b@c", 0),
        ("redis+unix://:p@/s", "unix:/s", 0),
        ("valkey+unix:///s", "unix:/s", 0),
        ("rediss://", "localhost:6379", 0),
        ("rediss://user:pass@cache.example:6380/2", "cache.example:6380", 2),
        ("valkeys://[::1]/1", "[::1]:6379", 1),
    ] {
        let server = server(url);
        assert_eq!(server.topology.to_string(), endpoint, "{url}");
        assert_eq!(server.database, database, "{url}");
    }
}

#[test]
fn a_service_has_a_name_and_sentinels() {
    for (url, topology, database) in [
        ("redis-sentinel:///mymaster", "mymaster@localhost:26379", 0),
        ("redis-sentinel://s1/mymaster", "mymaster@s1:26379", 0),
        ("redis-sentinel://s1:1,s2,[::1]:3/m/", "m@s1:1,s2:26379,[::1]:3", 0),
        ("valkey-sentinel://u:p@s1,s2/m/7", "m@s1:26379,s2:26379", 7),
        ("redis+sentinel://s1/m?db=7", "m@s1:26379", 7),
        ("Valkey+Sentinel://s1/a%2Fb%40%2C/7?db=7", "a%2Fb%40%2C@s1:26379", 7),
    ] {
        let server = server(url);
        assert_eq!(server.topology.to_string(), topology, "{url}");
        assert_eq!((server.database, server.wire), (database, Wire::Plain), "{url}");
    }
    let Topology::Sentinel(service) = server("redis-sentinel://s/a%2Fb").topology else { panic!() };
    assert_eq!(service.name, "a/b");
}

#[test]
fn a_cluster_has_nodes_and_one_database() {
    for (url, topology, wire) in [
        ("redis-cluster://n1", "cluster@n1:6379", Wire::Plain),
        ("redis-cluster://", "cluster@localhost:6379", Wire::Plain),
        ("valkey-cluster://u:p@n1:1,n2,[::1]:3/", "cluster@n1:1,n2:6379,[::1]:3", Wire::Plain),
        ("redis+cluster://n1/0?db=0", "cluster@n1:6379", Wire::Plain),
        ("Valkey+Cluster://n1?cluster=true", "cluster@n1:6379", Wire::Plain),
        ("redis://n1,n2:7?cluster=true", "cluster@n1:6379,n2:7", Wire::Plain),
        ("valkey://n1?timeout=1&cluster=true", "cluster@n1:6379", Wire::Plain),
        ("rediss-cluster://n1,n2", "cluster@n1:6379,n2:6379", Wire::Tls),
        ("valkeys+cluster://n1", "cluster@n1:6379", Wire::Tls),
        ("rediss://n1,n2?cluster=true", "cluster@n1:6379,n2:6379", Wire::Tls),
        ("redis://n1?cluster=false", "n1:6379", Wire::Plain),
    ] {
        let server = server(url);
        assert_eq!(server.topology.to_string(), topology, "{url}");
        assert_eq!((server.database, server.wire), (0, wire), "{url}");
    }
}

#[test]
fn invalid_cluster_urls_are_refused_with_the_reason() {
    let unsupported = |scheme, feature| UrlError::Unsupported { scheme, feature };
    let flag = |value: &str| OptionError::NotAFlag { option: "cluster", value: value.into() };
    for (url, error) in [
        ("redis-cluster://n1,", UrlError::Host),
        ("redis-cluster://n1,,n2", UrlError::Host),
        ("redis-cluster://h\u{f6}st", UrlError::Host),
        ("redis-cluster://n1:0", UrlError::Port),
        ("redis-cluster:///run/s", UrlError::Database { database: "run/s".into() }),
        ("redis://n1,n2", UrlError::Hosts),
        ("redis://n1,n2?cluster=false", UrlError::Hosts),
        ("redis+unix:///s?cluster=true", unsupported("redis+unix", "a cluster on a unix socket")),
        (
            "redis-sentinel://s1/m?cluster=true",
            unsupported("redis-sentinel", "a cluster with Sentinel"),
        ),
        ("redis://n1?cluster=1", flag("1").into()),
        ("redis://n1?cluster", OptionError::Empty { option: "cluster" }.into()),
        (
            "redis-cluster://n1?cluster=false",
            OptionError::Contradiction { option: "cluster", other: "redis-cluster://" }.into(),
        ),
        (
            "redis://n1?cluster=true&cluster=true",
            OptionError::Repeated { option: "cluster" }.into(),
        ),
    ] {
        assert_eq!(refused(url), error, "{url}");
    }
}

#[test]
fn invalid_sentinel_urls_are_refused_by_the_part_at_fault() {
    for (url, error) in [
        ("redis-sentinel://s1", UrlError::Service),
        ("redis-sentinel://s1/", UrlError::Service),
        ("redis-sentinel://s1//2", UrlError::Service),
        ("redis-sentinel://s1/my%20master", UrlError::Service),
        ("redis-sentinel://s1/a%0Ab", UrlError::Service),
        ("redis-sentinel://s1/%ff", UrlError::NotText { part: UrlPart::Service }),
        ("redis-sentinel://s1,/m", UrlError::Host),
        ("redis-sentinel://,s1/m", UrlError::Host),
        ("redis-sentinel://s1,,s2/m", UrlError::Host),
        ("redis-sentinel://s1,s2:0/m", UrlError::Port),
        ("redis-sentinel://s1/m/x", UrlError::Database { database: "x".into() }),
        ("redis-sentinel://s1/m/1/2", UrlError::Database { database: "1/2".into() }),
        ("redis-sentinel://s1/m/1?db=2", UrlError::Databases { path: 1, query: 2 }),
        ("redis-sentinel://s1/m@x", UrlError::StrayAt),
    ] {
        assert_eq!(refused(url), error, "{url}");
    }
}

#[test]
fn sentinel_credentials_are_masked_and_only_for_sentinel_urls() {
    let parsed = parse(
        "redis-sentinel://u:p@s1,s2/m/2?minsize=2&sentinel_username=watch&sentinel_password=hun%40ter2",
    );
    let printed = parsed.to_string();
    assert_eq!(
        printed,
        "redis-sentinel://u:***@s1:26379,s2:26379/m/2?minsize=2&sentinel_username=watch\
         &sentinel_password=***"
    );
    assert!(!format!("{parsed:?}").contains("hun"));
    let settings = Settings::new(parsed.options).unwrap();
    let Backend::Redis(server) = parsed.backend else { panic!("{printed}") };
    let known = server.sentinel_credentials(&settings).unwrap().unwrap();
    assert_eq!(known.username.as_deref(), Some("watch"));
    assert_eq!(known.password.expose(), "hun@ter2");
    let alone = self::server("redis://host");
    assert_eq!(
        alone.sentinel_credentials(&settings),
        Err(OptionError::NotSentinel { option: "sentinel_password" })
    );
    let half = Settings::new(parse("redis-sentinel://s/m?sentinel_username=u").options);
    let (option, missing) = ("sentinel_username", "sentinel_password");
    assert_eq!(half.unwrap_err(), OptionError::Half { option, missing });
}

#[test]
fn an_ipv6_address_stands_without_brackets() {
    let topology = server("redis://[::1]:7").topology;
    assert_eq!(topology, Topology::Standalone(Endpoint::Tcp { host: "::1".into(), port: 7 }));
}

#[test]
fn credentials_are_percent_decoded() {
    for (url, username, password) in [
        ("redis://:pass@host", None, "pass"),
        ("redis://user:pass@host:1/2", Some("user"), "pass"),
        ("redis://us%3Aer:p%40s%3As%2F%3F%23%25@host", Some("us:er"), "p@s:s/?#%"),
        ("redis://user:a:b@host", Some("user"), "a:b"),
        ("redis://user:p+s@host", Some("user"), "p+s"),
        ("redis://user:%F0%9F%94%91@host", Some("user"), "🔑"),
        ("redis+unix://user:pass@/run/s", Some("user"), "pass"),
    ] {
        let credentials = server(url).credentials.unwrap();
        assert_eq!(credentials.username.as_deref(), username, "{url}");
        assert_eq!(credentials.password.expose(), password, "{url}");
    }
    assert_eq!(server("redis://host").credentials, None);
}

#[test]
fn options_are_read_from_the_query_of_any_backend() {
    for url in ["dummy://", "locmem://a", "redis://host/1", "redis+unix:///s"] {
        let url = format!("{url}?timeout=600&key_prefix=f%C3%B6rum+1%2B&&minsize=2&");
        let options = parse(&url).options;
        assert_eq!(options.timeout, Some(Timeout::After(Duration::from_secs(600))));
        assert_eq!(options.key_prefix.as_deref(), Some("förum 1+"));
        assert_eq!(options.minsize, Some(2));
    }
}

#[test]
fn an_encoding_error_names_the_part_of_the_url() {
    for (url, part) in [
        ("locmem://%c3", "name"),
        ("redis://%ff:p@host", "user"),
        ("redis://u:%ff@host", "password"),
        ("redis://%ff", "host"),
        ("redis+unix:///%ff", "path"),
        ("redis-sentinel://s1/%ff", "service"),
        ("redis://h?%ff=1", "option name"),
        ("redis://h?name=%ff", "option value"),
    ] {
        let message = CacheUrl::parse(url).unwrap_err().to_string();
        assert_eq!(message, format!("the URL's {part} is not UTF-8 once percent-decoded"));
    }
}

#[test]
fn malformed_urls_are_refused_by_the_part_at_fault() {
    let database = |text: &str| UrlError::Database { database: text.into() };
    let option = UrlError::Option;
    let empty = |option| UrlError::Option(OptionError::Empty { option });
    let repeated = |option| UrlError::Option(OptionError::Repeated { option });
    for (url, error) in [
        ("", UrlError::NoScheme),
        ("redis", UrlError::NoScheme),
        ("redis:", UrlError::NoScheme),
        ("redis:/host", UrlError::NoScheme),
        ("://host", UrlError::NoScheme),
        ("host:6379", UrlError::NoScheme),
        ("re%64is://host", UrlError::NoScheme),
        (" redis://host", UrlError::Blank { at: 0 }),
        ("redis://ho st", UrlError::Blank { at: 10 }),
        ("redis://host\n", UrlError::Blank { at: 12 }),
        ("redis://ho\0st", UrlError::Blank { at: 10 }),
        ("redis://ho\u{a0}st", UrlError::Blank { at: 10 }),
        ("redis://host#a", UrlError::Fragment),
        ("locmem://#", UrlError::Fragment),
        ("redis://a@b@host", UrlError::StrayAt),
        ("redis://host/@", UrlError::StrayAt),
        ("redis+unix:///a@b", UrlError::StrayAt),
        ("redis://host?key_prefix=a@b", UrlError::StrayAt),
        ("redis://user@host", UrlError::NoPassword),
        ("redis://user:@host", UrlError::NoPassword),
        ("redis://:@host", UrlError::NoPassword),
        ("redis://@host", UrlError::NoPassword),
        ("redis://ho%2st", UrlError::Escape { part: UrlPart::Host }),
        ("redis://ho%", UrlError::Escape { part: UrlPart::Host }),
        ("redis://%zz:p@host", UrlError::Escape { part: UrlPart::Username }),
        ("redis://u:%é1@host", UrlError::Escape { part: UrlPart::Password }),
        ("locmem://%", UrlError::Escape { part: UrlPart::Name }),
        ("redis+unix:///%a", UrlError::Escape { part: UrlPart::Path }),
        ("redis://h?%=1", UrlError::Escape { part: UrlPart::OptionName }),
        ("redis://h?name=%+1", UrlError::Escape { part: UrlPart::OptionValue }),
        ("redis://%ff", UrlError::NotText { part: UrlPart::Host }),
        ("redis://%ff:p@host", UrlError::NotText { part: UrlPart::Username }),
        ("redis://u:%ff@host", UrlError::NotText { part: UrlPart::Password }),
        ("locmem://%c3", UrlError::NotText { part: UrlPart::Name }),
        ("redis+unix:///%ff", UrlError::NotText { part: UrlPart::Path }),
        ("redis://h?%ff=1", UrlError::NotText { part: UrlPart::OptionName }),
        ("redis://h?name=%ff", UrlError::NotText { part: UrlPart::OptionValue }),
        ("redis://ho%20st", UrlError::Host),
        ("redis://a,b", UrlError::Hosts),
        ("redis://a%2Fb", UrlError::Host),
        ("redis://a]b", UrlError::Host),
        ("redis://::1", UrlError::Ipv6),
        ("redis://::1:6379", UrlError::Ipv6),
        ("redis://a:1,b:2", UrlError::Hosts),
        ("redis://[::1", UrlError::Ipv6),
        ("redis://[]", UrlError::Ipv6),
        ("redis://[host]", UrlError::Ipv6),
        ("redis://[127.0.0.1]", UrlError::Ipv6),
        ("redis://[::1]6379", UrlError::Port),
        ("redis://[::1]:", UrlError::Port),
        ("redis://host:", UrlError::Port),
        ("redis://host:0", UrlError::Port),
        ("redis://host:65536", UrlError::Port),
        ("redis://host:+1", UrlError::Port),
        ("redis://host:-1", UrlError::Port),
        ("redis://host:6379x", UrlError::Port),
        ("redis+unix://host/s", UrlError::HostOfSocket),
        ("redis+unix://relative", UrlError::HostOfSocket),
        ("redis+unix://", UrlError::Path),
        ("redis+unix:///", UrlError::Path),
        ("redis+unix:///a%00", UrlError::Path),
        ("redis://host/a", database("a")),
        ("redis://host/-1", database("-1")),
        ("redis://host/+1", database("+1")),
        ("redis://host/1//", database("1/")),
        ("redis://host//1", database("/1")),
        ("redis://host/4294967296", database("4294967296")),
        ("redis://host?db=x", database("x")),
        ("redis://host?db=-1", database("-1")),
        ("redis://host?db=", empty("db")),
        ("redis://host?db=1&db=1", repeated("db")),
        ("redis://host/1?db=2", UrlError::Databases { path: 1, query: 2 }),
        ("redis://host?timeout", empty("timeout")),
        ("redis://host?ttl=1&timeout=1", repeated("timeout")),
        ("locmem://?timeout=0", option(crate::error::TimeoutError::Zero.into())),
    ] {
        assert_eq!(refused(url), error, "{url}");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn an_error_about_an_unknown_scheme_suggests_the_nearest() {
    for (url, scheme, nearest) in [
        ("rediss3://host", Some("rediss3"), Some("rediss")),
        ("redis3://host", Some("redis3"), Some("redis")),
        ("valkyes://host", Some("valkyes"), Some("valkey")),
        ("rdis://host", Some("rdis"), Some("redis")),
        ("valky://host", Some("valky"), Some("valkey")),
        ("mem://", Some("mem"), Some("locmem")),
        ("http://host", Some("http"), None),
        ("rdis://user:pass@host", None, Some("redis")),
    ] {
        let scheme = scheme.map(Into::into);
        assert_eq!(refused(url), UrlError::UnknownScheme { scheme, nearest }, "{url}");
    }
    let message = refused("rdis://host").to_string();
    assert_eq!(message, "the URL's scheme \"rdis\" is not known; did you mean redis?");
    let message = refused("http://u:p@host").to_string();
    assert_eq!(message, "the URL's scheme is not known");
}

#[test]
fn each_scheme_selects_tls_or_plain_text() {
    for (url, wire) in [
        ("redis://host", Wire::Plain),
        ("valkey://host", Wire::Plain),
        ("redis+unix:///s", Wire::Plain),
        ("rediss://host", Wire::Tls),
        ("valkeys://user:pass@host", Wire::Tls),
        ("REDISS://host", Wire::Tls),
        ("redis-sentinel://host/service", Wire::Plain),
        ("rediss-sentinel://host/service", Wire::Tls),
        ("rediss+sentinel://host/service", Wire::Tls),
        ("valkeys-sentinel://host/service", Wire::Tls),
        ("valkeys+sentinel://host/service", Wire::Tls),
    ] {
        assert_eq!(server(url).wire, wire, "{url}");
    }
}

#[test]
fn tls_on_a_unix_socket_is_refused_by_name() {
    for (url, feature) in [
        ("rediss+unix:///s", "TLS on a unix socket"),
        ("valkeys+unix://:p@/s", "TLS on a unix socket"),
    ] {
        let scheme = url.split_once(':').unwrap().0;
        assert_eq!(refused(url), UrlError::Unsupported { scheme, feature });
    }
}

#[test]
fn tls_on_a_unix_socket_is_never_printed_as_plain_text() {
    let mut url = parse("redis+unix:///s");
    let Backend::Redis(server) = &mut url.backend else { panic!("{url}") };
    server.wire = Wire::Tls;
    let unsupported =
        UrlError::Unsupported { scheme: "rediss+unix", feature: "TLS on a unix socket" };
    assert_eq!(refused(&url.to_string()), unsupported);
}

#[test]
fn tls_options_require_a_tls_url() {
    const ACCEPT_ANY: &str = "tls_dangerously_accept_any_certificate";
    for (query, option) in [
        ("tls_ca=/ca.pem", "tls_ca"),
        ("tls_cert=/c.pem&tls_key=/k.pem", "tls_cert"),
        ("tls_server_name=cache.example", "tls_server_name"),
        ("tls_verify=ca&tls_ca=/ca.pem", "tls_ca"),
        ("tls_dangerously_accept_any_certificate=true", ACCEPT_ANY),
    ] {
        for plain in ["redis://host", "valkey://host/1", "redis+unix:///s"] {
            let error = tls(&format!("{plain}?{query}")).unwrap_err();
            assert_eq!(error, OptionError::NotTls { option });
            let message = error.to_string();
            assert!(message.contains(option) && message.contains("rediss://"), "{message}");
        }
        for asked in ["rediss://host", "valkeys://host/1"] {
            let settings = tls(&format!("{asked}?{query}")).unwrap();
            assert_ne!(settings, Some(TlsSettings::default()), "{query}");
        }
    }
    assert_eq!(tls("redis://host"), Ok(None));
    assert_eq!(tls(&format!("redis://host?{ACCEPT_ANY}=false")), Ok(None));
    assert_eq!(tls("rediss://host"), Ok(Some(TlsSettings::default())));
}

fn tls(url: &str) -> Result<Option<TlsSettings>, OptionError> {
    let settings = Settings::new(parse(url).options).unwrap();
    server(url).tls(&settings).map(|tls| tls.cloned())
}

#[test]
fn only_a_server_has_databases() {
    for url in ["locmem://?db=1", "dummy://?db=1"] {
        let unknown = OptionError::Unknown { name: "db".into(), nearest: None };
        assert_eq!(refused(url), UrlError::Option(unknown));
    }
}

#[test]
fn a_printed_url_parses_again_and_masks_its_password() {
    for (url, printed) in [
        ("dummy://x?timeout=1.50", "dummy://?timeout=1.5"),
        ("locmem://a%20b/c", "locmem://a%20b/c"),
        ("redis://", "redis://localhost:6379"),
        ("valkey://[::1]/2?ttl=600", "redis://[::1]:6379/2?timeout=600"),
        ("redis://:pass@host", "redis://:***@host:6379"),
        ("redis://us%3Aer:pass@host?name=x", "redis://us%3Aer:***@host:6379?name=x"),
        ("redis+unix://:p@/a%20b%3F?db=1&maxsize=3", "redis+unix://:***@/a%20b%3F?db=1&maxsize=3"),
        ("redis://h?key_prefix=a+b%2B%26", "redis://h:6379?key_prefix=a%20b%2B%26"),
        ("valkeys://:pass@h/2", "rediss://:***@h:6379/2"),
        ("valkeys+sentinel://h/s?tls_ca=/a", "rediss-sentinel://h:26379/s?tls_ca=%2Fa"),
        ("rediss://h?tls_ca=/a%40b", "rediss://h:6379?tls_ca=%2Fa%40b"),
        (
            "rediss://h?tls_dangerously_accept_any_certificate=true",
            "rediss://h:6379?tls_dangerously_accept_any_certificate=true",
        ),
    ] {
        assert_eq!(parse(url).to_string(), printed);
        assert_eq!(parse(printed).to_string(), printed);
    }
}

#[test]
fn a_password_is_in_no_output() {
    let url = parse("redis://user:hunter2@host/1?timeout=5");
    let Backend::Redis(server) = &url.backend else { panic!("{url}") };
    for output in [
        format!("{url} {url:?} {url:#?}"),
        format!("{server:?} {:?} {}", server.credentials, server.topology),
    ] {
        assert!(!output.contains("hunter2"), "{output}");
        assert!(output.contains(Secret::MASK), "{output}");
    }
}

/// Malformed URLs with a password, in every way that this module detects. Each delimiter or fault
/// is placed before, within and after the password.
#[test]
fn a_password_is_in_no_error_however_malformed_the_url() {
    const CANARY: &str = "hunter2";
    let passwords: Vec<String> = ["", "#", "/", "?", "@", ":", "%", "%zz", "%ff", " ", "\t", "://"]
        .into_iter()
        .chain(["?a=", "&", "/@", "?@", "#@", "[", "]", "//", "\\", ",", "é", "@x?y=", "=", "+"])
        .flat_map(|mark| {
            [
                format!("{mark}{CANARY}"),
                format!("{CANARY}{mark}"),
                format!("{CANARY}{mark}{CANARY}"),
                format!("1{mark}{CANARY}"),
            ]
        })
        .collect();
    let shapes: Vec<(&str, &str)> = vec![
        ("redis://user:", "@host"),
        ("redis://:", "@host:6379/1"),
        ("redis://user:", "@host:notaport"),
        ("redis://user:", "@host:99999"),
        ("redis://user:", "@host/notadb"),
        ("redis://user:", "@host/1?db=2"),
        ("redis://user:", "@host?timout=1"),
        ("redis://user:", "@host?timeout=0"),
        ("redis://user:", "@ho st"),
        ("redis://user:", "@host#"),
        ("redis://user:", "@[::1"),
        ("redis://user:", "@::1"),
        ("redis://user:", "@host%"),
        ("redis://%ff:", "@host"),
        ("redis://", "@host"),
        ("redis:/user:", "@host"),
        ("redis:user:", "@host"),
        ("user:", "@host"),
        ("", "@host://"),
        ("rdis://user:", "@host"),
        ("rediss://user:", "@host"),
        ("rediss-sentinel://user:", "@host/service"),
        ("redis-sentinel://user:", "@host"),
        ("redis-sentinel://user:", "@host,/service"),
        ("redis-sentinel://user:", "@host/service/x"),
        ("redis-sentinel://host/service?sentinel_password=", "&sentinel_username=&minsize=x"),
        ("redis-sentinel://host/service?sentinel_password=", "&sentinel_password=x"),
        ("redis+unix://user:", "@host/path"),
        ("redis+unix://user:", "@"),
        ("redis+unix://user:", "@/p?db=x"),
        ("redis://user:", "@host?minsize=x"),
        ("rediss://user:", "@host?tls_server_name=a b"),
        ("rediss://user:", "@host?tls_dangerously_accept_any_certificate=yes"),
    ];
    let mut errors = 0;
    for (before, after) in shapes {
        for password in &passwords {
            let url = format!("{before}{password}{after}");
            match CacheUrl::parse(&url) {
                // A text before a colon is a user's name.
                Ok(parsed) if username(&parsed).contains(CANARY) => {}
                Ok(parsed) => {
                    let output = format!("{parsed} {parsed:?}");
                    assert!(!output.contains(CANARY), "{url}: {output}");
                }
                Err(error) => {
                    errors += 1;
                    let output = format!("{error} {error:?} {error:#?}");
                    assert!(!output.contains(CANARY), "{url}: {output}");
                }
            }
        }
    }
    assert!(errors > 1000, "only {errors} URLs were malformed");
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}", "[ -~]{1,8}", ".{1,8}"]
}

fn tcp() -> impl Strategy<Value = Endpoint> {
    let host = prop_oneof![
        "[a-z][a-z0-9.-]{0,12}",
        any::<core::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<core::net::Ipv6Addr>().prop_map(|address| address.to_string()),
    ];
    (host, 1..u16::MAX).prop_map(|(host, port)| Endpoint::Tcp { host, port })
}

fn topology() -> impl Strategy<Value = Topology> {
    let service = text().prop_filter_map("a name without blanks", |name| {
        (!name.contains(|c: char| c.is_whitespace() || c.is_control())).then_some(name)
    });
    prop_oneof![
        tcp().prop_map(Topology::Standalone),
        text().prop_filter_map("a path without NUL", |path| {
            let unix = Endpoint::Unix { path: format!("/{path}") };
            (!path.contains('\0')).then_some(Topology::Standalone(unix))
        }),
        (service, prop::collection::vec(tcp(), 1..4))
            .prop_map(|(name, sentinels)| Topology::Sentinel(Service { name, sentinels })),
        prop::collection::vec(tcp(), 1..4).prop_map(Topology::Cluster),
    ]
}

fn backend() -> impl Strategy<Value = Backend> {
    let credentials = prop::option::of(
        prop::option::of(text())
            .prop_map(|username| Credentials { username, password: Secret::new(Secret::MASK) }),
    );
    let server = (topology(), any::<bool>(), credentials, any::<u32>());
    prop_oneof![
        Just(Backend::Dummy),
        // Possible credentials are masked, so the name has no '@'.
        text().prop_map(|name| Backend::Memory { name: name.replace('@', "") }),
        server.prop_map(|(topology, tls, credentials, database)| {
            let wire = match (&topology, tls) {
                (Topology::Standalone(Endpoint::Tcp { .. }) | Topology::Cluster(_), true) => {
                    Wire::Tls
                }
                (Topology::Standalone(_) | Topology::Sentinel(_) | Topology::Cluster(_), _) => {
                    Wire::Plain
                }
            };
            Backend::Redis(Server { topology, wire, credentials, database })
        }),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let span = || prop::option::of((1..1_000_000_000_u64).prop_map(Duration::from_nanos));
    let text = || {
        prop::option::of(text().prop_map(|text| text.replace(':', "")))
            .prop_map(|text| text.filter(|text| !text.is_empty()))
    };
    let tls = (text(), text(), prop::option::of("[a-z0-9.:_-]{1,9}"), any::<Option<bool>>());
    let sentinel = prop::option::of(Just(Secret::new(Secret::MASK)));
    let tls = (tls, sentinel);
    (span(), span(), text(), text(), any::<Option<usize>>(), prop::option::of("[!-~]{1,9}"), tls)
        .prop_map(|(timeout, response_timeout, version, key_prefix, minsize, name, tls)| Options {
            timeout: timeout.map(Timeout::After),
            version: version.map(Into::into),
            response_timeout,
            key_prefix,
            minsize,
            name,
            tls_ca: tls.0.0,
            tls_cert: tls.0.1.clone(),
            tls_key: tls.0.1.clone(),
            sentinel_username: tls.0.1,
            tls_server_name: tls.0.2,
            tls_verify: tls.0.3.map(|ca| if ca { TlsVerify::Ca } else { TlsVerify::Full }),
            tls_dangerously_accept_any_certificate: tls.0.3,
            sentinel_password: tls.1,
            replica_reads: tls.0.3,
            unreadable: tls.0.3.map(|miss| if miss { Unreadable::Miss } else { Unreadable::Error }),
            protocol: tls.0.3.map(|second| match second {
                true => Protocol::Resp2,
                false => Protocol::Resp3,
            }),
            ..Options::default()
        })
}

proptest! {
    #[test]
    fn a_printed_url_parses_to_the_same(backend in backend(), options in options()) {
        let url = CacheUrl { backend, options };
        prop_assert_eq!(CacheUrl::parse(&url.to_string()), Ok(url));
    }

    #[test]
    fn no_text_makes_the_parser_panic(
        scheme in prop::sample::select(vec!["", "locmem://", "redis://", "rediss://", "redis+unix://", "redis-sentinel://", "redis-cluster://"]),
        rest in prop_oneof![".{0,60}", "[a:@/?#%=&\\[\\]0-9.+]{0,40}"],
    ) {
        if let Ok(url) = CacheUrl::parse(&format!("{scheme}{rest}")) {
            let printed = url.to_string();
            prop_assert_eq!(parse(&printed).to_string(), printed);
        }
    }
}
