//! Forms of URLs that other clients accept, and the parts of a URL that messages quote.

use super::*;
use crate::secret::Secret;

#[test]
fn url_forms_of_other_clients_are_accepted() {
    for (url, topology, database) in [
        ("unix:///run/redis.sock", "unix:/run/redis.sock", 0),
        ("unix:///run/redis.sock?db=3", "unix:/run/redis.sock", 3),
        ("UNIX://:p@/run/redis.sock", "unix:/run/redis.sock", 0),
        ("redis+socket:///run/redis.sock?db=1", "unix:/run/redis.sock", 1),
        ("redis-socket:///run/redis.sock", "unix:/run/redis.sock", 0),
        ("redis:///0", "localhost:6379", 0),
        ("redis:///2/", "localhost:6379", 2),
        ("redis://host/1/", "host:6379", 1),
        ("redis://host/", "host:6379", 0),
        ("redis://host/?db=1", "host:6379", 1),
        ("redis://[fe80::1%25eth0]", "[fe80::1%eth0]:6379", 0),
        ("redis://[fe80::1%eth0]:7/1", "[fe80::1%eth0]:7", 1),
        ("redis://[FE80::1%25en0.100]", "[fe80::1%en0.100]:6379", 0),
        ("redis-cluster://n1/1", "cluster@n1:6379", 1),
        ("redis-cluster://n1,n2?db=2", "cluster@n1:6379,n2:6379", 2),
        ("redis://n1/3?cluster=true", "cluster@n1:6379", 3),
    ] {
        let parsed = server(url);
        assert_eq!(
            (parsed.topology.to_string().as_str(), parsed.database),
            (topology, database),
            "{url}"
        );
        let printed = parse(url).to_string();
        assert_eq!(parse(&printed).to_string(), printed, "{url}");
    }
}

#[test]
fn unsupported_url_forms_are_refused_with_the_form_to_write() {
    for (url, form) in [
        ("redis://user:@host", "user:password@host or :password@host, or the host alone"),
        ("redis://:@host", "user:password@host or :password@host, or the host alone"),
        ("redis://user@host", "user:password@host"),
        ("rediss://host/#insecure", "tls_ca"),
        ("redis://a,b", "redis-cluster://host,host"),
        ("redis://a:1,b:2", "redis-sentinel://host,host/service"),
        ("redis://host?password=hunter2", "user:password@ before the host"),
        ("redis://host?username=app&password=hunter2", "user:password@ before the host"),
        ("redis+socket:///s?virtual_host=1", "write db"),
        ("redis://host?database=1", "write db"),
        ("redis://host?ssl=true", "write rediss://"),
        ("rediss://host?ssl_ca_certs=/ca", "write tls_ca"),
        ("rediss://host?ssl_cert_reqs=none", "write tls_verify"),
        ("redis://host?socket_timeout=1", "write response_timeout"),
        ("redis://host?max_connections=5", "write maxsize"),
        ("redis-sentinel://host?sentinelMasterId=m", "redis-sentinel://host,host/service"),
        ("redis+tls://host", "did you mean rediss?"),
        ("redis+ssl://host", "did you mean rediss?"),
        ("unix://run/redis.sock", "redis+unix:///run/redis.sock"),
        ("redis://fe80::1", "such as [::1]"),
        ("redis://[fe80::1%25]", "such as [::1]"),
        ("redis://[fe80::1%25eth0%0a]", "such as [::1]"),
    ] {
        let message = CacheUrl::parse(url).unwrap_err().to_string();
        let said = message.contains(form) || url.starts_with("unix://run");
        assert!(said, "{url}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

/// Line breaks, sequences that move the cursor, and characters that reorder or hide text.
const FORGED: &str = "a%0D%0Ab%1B%5B31m%E2%80%AEc%E2%81%A6%E2%80%A8%EF%BB%BF%E2%80%8Bd";

fn is_plain(text: &str) -> bool {
    let hidden = ['\u{202e}', '\u{2066}', '\u{2028}', '\u{feff}', '\u{200b}'];
    !text.contains(|c: char| c.is_control() || hidden.contains(&c))
}

#[test]
fn no_part_of_a_url_forges_a_line_of_a_message() {
    for url in [
        format!("locmem://{FORGED}"),
        format!("redis+unix:///{FORGED}"),
        format!("redis+unix://{FORGED}:p@/s"),
        format!("redis://h?key_prefix={FORGED}"),
        format!("redis-sentinel://h/{FORGED}"),
        format!("redis://{FORGED}"),
        format!("redis-sentinel://{FORGED}/s"),
        format!("redis-cluster://{FORGED}"),
        format!("redis://h?name={FORGED}"),
        format!("redis://h?{FORGED}=1"),
        format!("redis://h?timeout={FORGED}"),
        format!("redis://h/{FORGED}"),
        format!("redis://h?key_prefix=%3A{FORGED}"),
        format!("rediss://h?tls_server_name={FORGED}"),
    ] {
        let shown = match CacheUrl::parse(&url) {
            Err(error) => format!("{error} {error:?}"),
            Ok(parsed) => match &parsed.backend {
                Backend::Redis(server) => format!("{parsed} {parsed:?} {}", server.topology),
                Backend::Dummy | Backend::Memory { .. } => format!("{parsed} {parsed:?}"),
            },
        };
        assert!(is_plain(&shown), "{url}: {shown:?}");
    }
    for host in ["%E2%80%AE", "a%0Ab", "h\u{202e}", "h%E2%80%8B"] {
        assert_eq!(refused(&format!("redis://{host}")), UrlError::Host, "{host}");
    }
}

#[test]
fn url_text_in_messages_is_bounded() {
    let long = "x".repeat(1 << 20);
    for url in [
        format!("redis://{long}"),
        format!("redis-sentinel://{long}/s"),
        format!("redis-sentinel://h/{long}"),
        format!("redis://h/{long}"),
        format!("redis://h?key_prefix=%3A{long}"),
        format!("redis://h?version=%3A{long}"),
        format!("redis://h?name=%20{long}"),
        format!("redis://h?{long}=1"),
        format!("redis://h?timeout={long}"),
        format!("{long}://h"),
        format!("rediss://h?tls_server_name={long}"),
    ] {
        let error = refused(&url);
        let shown = format!("{error} {error:?}");
        assert!(shown.len() < 1_000, "{} bytes: {}", shown.len(), &shown[..200]);
    }
    let Backend::Redis(server) = parse(&format!("redis+unix:///{long}")).backend else { panic!() };
    assert!(server.topology.to_string().len() < 300);
}

#[test]
fn possible_credentials_in_a_store_name_are_masked() {
    for url in [
        "locmem://:secret@x",
        "locmem://user:secret@x",
        "locmem://a:secret%40x",
        "locmem://u:se@secret@x",
    ] {
        let parsed = parse(url);
        let Backend::Memory { name } = &parsed.backend else { panic!("{parsed}") };
        assert!(name.contains("secret"), "it is the name all the same");
        for shown in [parsed.to_string(), format!("{parsed:?}"), format!("{parsed:#?}")] {
            assert!(!shown.contains("secret"), "{shown}");
            assert!(shown.contains(Secret::MASK), "{shown}");
        }
    }
}

#[test]
fn text_after_a_password_with_an_ampersand_is_not_quoted() {
    for rest in [
        "hunter2",
        "hunter2=",
        "hunter2=1",
        "db=hunter2",
        "timeout=hunter2",
        "maxsize=hunter2",
        "minsize=-hunter2",
        "name=hunter2%20",
        "key_prefix=hunter2:",
        "version=hunter2:",
        "tls_verify=hunter2",
        "unreadable=hunter2",
        "protocol=hunter2",
        "replica_reads=hunter2",
        "cluster=hunter2",
        "tls_server_name=hunter2%20",
        "tls_dangerously_accept_any_certificate=hunter2",
        "load_wait=hunter2",
    ] {
        let error = refused(&format!("rediss-sentinel://h/s?sentinel_password=x&{rest}"));
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{rest}: {shown}");
    }
}
