use std::format;
use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::error::TimeoutError;

fn set(name: &str, value: &str) -> Result<Options, OptionError> {
    let mut options = Options::default();
    options.set(name, value)?;
    Ok(options)
}

fn settings(pairs: &[(&str, &str)]) -> Result<Settings, OptionError> {
    let mut options = Options::default();
    for (name, value) in pairs {
        options.set(name, value)?;
    }
    Settings::new(options)
}

fn a_value_of(name: &str) -> &'static str {
    match name {
        tls::ACCEPT_ANY | "replica_reads" => "true",
        "unreadable" => "miss",
        tls::VERIFY => "full",
        "protocol" => "2",
        _ => "1",
    }
}

fn texts(options: &Options) -> Vec<(&'static str, String)> {
    let mut texts = Vec::new();
    options
        .each(|name, value| {
            texts.push((name, value.to_string()));
            Ok(())
        })
        .unwrap();
    texts
}

#[test]
fn without_options_the_defaults_apply() {
    let settings = Settings::new(Options::default()).unwrap();
    assert_eq!(settings.key_space.stem(), ":");
    assert_eq!(settings.expiry, Expiry::Never);
    assert_eq!((settings.minsize, settings.maxsize), (1, 10));
    assert_eq!((settings.max_entries, settings.max_bytes), (None, None));
    assert_eq!(settings.connect_timeout, Duration::from_secs(5));
    assert_eq!(settings.response_timeout, Duration::from_secs(5));
    assert_eq!(settings.max_in_flight, 16_384);
    assert_eq!(settings.max_queued_bytes, 67_108_864);
    assert_eq!(settings.max_waiting, 65_536);
    assert_eq!(settings.name, None);
    assert_eq!(settings.tls, TlsSettings::default());
    assert_eq!(settings.tls.trust, Trust::Platform);
}

#[test]
fn every_option_is_read_from_its_text() {
    let settings = settings(&[
        ("timeout", "0.5"),
        ("version", "2019"),
        ("key_prefix", "forum"),
        ("minsize", "0"),
        ("maxsize", "1"),
        ("max_entries", "18446744073709551615"),
        ("max_bytes", "1"),
        ("connect_timeout", "0.25"),
        ("response_timeout", "1"),
        ("load_wait", "2.5"),
        ("max_connection_age", "3600"),
        ("name", "web-1"),
    ])
    .unwrap();
    let key = settings.key_space.scope(None).unwrap().key(b"k").to_bytes();
    assert_eq!(key, "forum:2019:k");
    assert_eq!(settings.expiry, Expiry::after(Duration::from_millis(500)).unwrap());
    assert_eq!((settings.minsize, settings.maxsize), (0, 1));
    assert_eq!((settings.max_entries, settings.max_bytes), (Some(u64::MAX), Some(1)));
    assert_eq!(settings.connect_timeout, Duration::from_millis(250));
    assert_eq!(settings.response_timeout, Duration::from_secs(1));
    assert_eq!(settings.load_wait, Duration::from_millis(2_500));
    assert_eq!(settings.max_connection_age, Some(Duration::from_secs(3_600)));
    assert_eq!(settings.name.as_deref(), Some("web-1"));
}

#[test]
fn every_known_option_is_accepted_and_no_other() {
    for &name in Options::NAMES {
        set(name, a_value_of(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, nearest) in [
        ("timout", Some("timeout")),
        ("Timeout", Some("timeout")),
        ("prefix", Some("key_prefix")),
        ("max_size", Some("maxsize")),
        ("connection_timeout", Some("connect_timeout")),
        ("ca", None),
        ("tls_cart", Some("tls_cert")),
        ("server_name", Some("tls_server_name")),
        ("password", None),
        ("username", Some("name")),
        ("sentinel_pass_word", Some("sentinel_password")),
        ("", None),
    ] {
        let error = set(name, "").unwrap_err();
        assert_eq!(error, OptionError::Unknown { name: name.into(), nearest });
    }
    let error = set("timout", "1").unwrap_err().to_string();
    assert_eq!(error, "there is no option \"timout\"; did you mean timeout?");
}

#[test]
fn the_unreadable_option_is_error_or_miss() {
    assert_eq!(settings(&[]).unwrap().unreadable, Unreadable::Error);
    for (word, unreadable) in [("error", Unreadable::Error), ("miss", Unreadable::Miss)] {
        assert_eq!(settings(&[("unreadable", word)]).unwrap().unreadable, unreadable);
        assert_eq!(texts(&set("unreadable", word).unwrap()), [("unreadable", word.into())]);
    }
    for word in ["Miss", "misses", "true", "0"] {
        let error = set("unreadable", word).unwrap_err();
        let value = word.into();
        assert_eq!(
            error,
            OptionError::NotAChoice { option: "unreadable", value, words: "error or miss" }
        );
    }
}

#[test]
fn seconds_are_exact_and_rounded_up() {
    for (text, span) in [
        ("600", Duration::from_secs(600)),
        ("0600", Duration::from_secs(600)),
        ("0.5", Duration::from_millis(500)),
        ("1.000000001", Duration::new(1, 1)),
        ("0.9999999999", Duration::from_secs(1)),
        ("0.00000000000000000001", Duration::from_nanos(1)),
        ("9007199254740.992", Duration::from_millis(Expiry::MAX_MILLIS)),
    ] {
        let options = set("timeout", text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(options.timeout, Some(Timeout::After(span)), "{text}");
        assert_eq!(set("ttl", text), Ok(options), "{text}");
        assert_eq!(set("connect_timeout", text).unwrap().connect_timeout, Some(span), "{text}");
    }
}

#[test]
fn invalid_seconds_are_refused_by_name_and_value() {
    for text in [
        "-1", "+1", "-0", "NaN", "nan", "inf", "Infinity", "1e9", "0x10", "1_000", "1,5", ".5",
        "5.", ".", "1.2.3", " 1", "1s", "ten", "١", "None",
    ] {
        for option in
            ["timeout", "ttl", "connect_timeout", "response_timeout", "max_connection_age"]
        {
            let error = set(option, text).unwrap_err();
            assert_eq!(error, OptionError::NotSeconds { option, value: text.into() });
            let message = error.to_string();
            assert!(message.contains(option) && message.contains(text), "{message}");
        }
    }
}

#[test]
fn load_wait_defaults_to_ten_seconds_and_may_be_zero_but_not_endless() {
    assert_eq!(settings(&[]).unwrap().load_wait, Duration::from_secs(10));
    assert_eq!(settings(&[("load_wait", "0")]).unwrap().load_wait, Duration::ZERO);
    let option = "load_wait";
    assert_eq!(set(option, &"9".repeat(20)), Err(OptionError::TooLarge { option }));
    let options = Options { load_wait: Some(Duration::MAX), ..Options::default() };
    assert_eq!(Settings::new(options).unwrap_err(), OptionError::TooLarge { option });
}

#[test]
fn timeouts_that_are_zero_or_too_long_are_refused_everywhere() {
    for text in ["0", "0.0", "0.000000000000"] {
        for name in ["timeout", "ttl"] {
            assert_eq!(set(name, text), Err(OptionError::Timeout(TimeoutError::Zero)));
        }
        for option in ["connect_timeout", "response_timeout", "max_connection_age"] {
            assert_eq!(set(option, text), Err(OptionError::Zero { option }));
        }
    }
    for text in ["9007199254740.993", "18446744073709551616", &"9".repeat(1000)] {
        assert_eq!(set("timeout", text), Err(OptionError::Timeout(TimeoutError::TooLong)));
        let option = "connect_timeout";
        assert_eq!(set(option, text), Err(OptionError::TooLarge { option }));
    }

    let refused = |options| Settings::new(options).unwrap_err();
    let zero = Some(Duration::ZERO);
    let timeout = Some(Timeout::After(Duration::ZERO));
    let error = refused(Options { timeout, ..Options::default() });
    assert_eq!(error, OptionError::Timeout(TimeoutError::Zero));
    let error = refused(Options { connect_timeout: zero, ..Options::default() });
    assert_eq!(error, OptionError::Zero { option: "connect_timeout" });
    let error = refused(Options { response_timeout: Some(Duration::MAX), ..Options::default() });
    assert_eq!(error, OptionError::TooLarge { option: "response_timeout" });
}

#[test]
fn invalid_integers_are_refused_by_name_and_value() {
    for option in ["minsize", "maxsize", "max_entries", "max_bytes"] {
        for text in ["-1", "+1", "1.0", "1e3", "ten", "0x1", " 1", "1_0", "١"] {
            let error = set(option, text).unwrap_err();
            assert_eq!(error, OptionError::NotANumber { option, value: text.into() });
        }
        let error = set(option, "18446744073709551616").unwrap_err();
        assert_eq!(error, OptionError::TooLarge { option });
    }
}

#[test]
fn zero_is_refused_for_maxsize_and_store_bounds() {
    for option in ["maxsize", "max_entries", "max_bytes"] {
        assert_eq!(set(option, "0"), Err(OptionError::Zero { option }));
    }
    let refused = |options| Settings::new(options).unwrap_err();
    let error = refused(Options { maxsize: Some(0), ..Options::default() });
    assert_eq!(error, OptionError::Zero { option: "maxsize" });
    let error = refused(Options { max_entries: Some(0), ..Options::default() });
    assert_eq!(error, OptionError::Zero { option: "max_entries" });
    let error = refused(Options { max_bytes: Some(0), ..Options::default() });
    assert_eq!(error, OptionError::Zero { option: "max_bytes" });
}

#[test]
fn minsize_may_not_exceed_maxsize() {
    let error = settings(&[("minsize", "3"), ("maxsize", "2")]).unwrap_err();
    assert_eq!(error.to_string(), "the option minsize is 3, more than maxsize, which is 2");
    let error = settings(&[("minsize", "20")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the option minsize is 20, more than maxsize, which is 10 unless given"
    );
    assert!(settings(&[("minsize", "20"), ("maxsize", "20")]).is_ok());
}

#[test]
fn pool_sizes_beyond_the_limit_are_refused() {
    for text in ["10001", "1000000", "4294967296", "18446744073709551615"] {
        let both = settings(&[("minsize", text), ("maxsize", text)]).unwrap_err();
        let said = "the option minsize is more than 10000, which is the most that it may be";
        assert_eq!(both.to_string(), said);
        let maxsize = settings(&[("maxsize", text)]).unwrap_err();
        assert_eq!(
            maxsize,
            OptionError::TooMany { option: "maxsize", most: Settings::MOST_CONNECTIONS }
        );
        let minsize = settings(&[("minsize", text)]).unwrap_err();
        assert_eq!(
            minsize,
            OptionError::TooMany { option: "minsize", most: Settings::MOST_CONNECTIONS }
        );
    }
    assert!(settings(&[("minsize", "10000"), ("maxsize", "10000")]).is_ok());
    let built = Options { maxsize: Some(usize::MAX), ..Options::default() };
    assert!(matches!(Settings::new(built), Err(OptionError::TooMany { option: "maxsize", .. })));
}

#[test]
fn a_max_connection_age_below_100_ms_is_refused() {
    for text in ["0.000000001", "0.0999"] {
        let error = settings(&[("max_connection_age", text)]).unwrap_err();
        let said = "the option max_connection_age is shorter than 100ms, which is the least that it may be";
        assert_eq!(error.to_string(), said);
    }
    assert!(settings(&[("max_connection_age", "0.1")]).is_ok());
}

#[test]
fn an_option_is_given_once_and_has_a_value() {
    for &name in Options::NAMES {
        let mut options = set(name, a_value_of(name)).unwrap();
        let before = options.clone();
        let error = options.set(name, a_value_of(name)).unwrap_err();
        assert_eq!(error, OptionError::Repeated { option: name });
        assert_eq!(options, before);
        assert_eq!(set(name, ""), Err(OptionError::Empty { option: name }));
    }
}

#[test]
fn timeout_and_ttl_are_one_option() {
    let error = settings(&[("timeout", "1"), ("ttl", "1")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the option ttl is given more than once (timeout and ttl are one option)"
    );
    let error = settings(&[("ttl", "1"), ("timeout", "1")]).unwrap_err();
    assert_eq!(error, OptionError::Repeated { option: "timeout" });
}

#[test]
fn a_colon_in_a_prefix_or_a_version_is_refused() {
    for name in ["key_prefix", "version"] {
        let error = set(name, "a:b").unwrap_err();
        assert!(matches!(error, OptionError::Key(_)), "{error}");
        assert!(error.to_string().contains("a:b"), "{error}");
    }
    let key_prefix = Some("a:b".into());
    assert!(Settings::new(Options { key_prefix, ..Options::default() }).is_err());
    let version = Some("a:b".into());
    assert!(Settings::new(Options { version, ..Options::default() }).is_err());
}

#[test]
fn a_connection_name_must_be_acceptable_to_servers() {
    for name in ["a b", "a\n", "é", "\u{7f}", "\0"] {
        let error = set("name", name).unwrap_err();
        assert_eq!(error, OptionError::Name { name: name.into() });
    }
    assert!(set("name", "!~").is_ok());
    let empty = Options { name: Some(String::new()), ..Options::default() };
    assert!(Settings::new(empty).is_err());
}

#[test]
fn tls_options_set_trust_client_certificate_and_server_name() {
    let settings = settings(&[
        ("tls_ca", "/etc/ca.pem"),
        ("tls_cert", "/etc/own.pem"),
        ("tls_key", "/etc/own.key"),
        ("tls_server_name", "cache.example"),
        ("tls_verify", "ca"),
        ("tls_dangerously_accept_any_certificate", "false"),
    ])
    .unwrap();
    let certificate =
        ClientCertificate { certificate: "/etc/own.pem".into(), key: "/etc/own.key".into() };
    let tls = TlsSettings {
        trust: Trust::File { path: "/etc/ca.pem".into() },
        certificate: Some(certificate),
        server_name: Some("cache.example".into()),
        verify: TlsVerify::Ca,
    };
    // The option that accepts any certificate contradicts nothing if it is `false`.
    assert_eq!(settings.tls, tls);
}

#[test]
fn tls_verify_is_full_unless_set_to_ca() {
    let ca = ("tls_ca", "/ca.pem");
    for (value, verify) in [("full", TlsVerify::Full), ("ca", TlsVerify::Ca)] {
        assert_eq!(settings(&[ca, ("tls_verify", value)]).unwrap().tls.verify, verify);
        assert_eq!(verify.to_string(), value);
    }
    assert_eq!(settings(&[ca]).unwrap().tls.verify, TlsVerify::Full);
    assert!(settings(&[("tls_verify", "full")]).is_ok());
    for value in ["none", "CA", "peer", "true", "verify-ca", " ca"] {
        let error = set("tls_verify", value).unwrap_err();
        let (option, words) = ("tls_verify", "full or ca");
        assert_eq!(error, OptionError::NotAChoice { option, value: value.into(), words });
    }
    // With the platform's authorities, any publicly issued certificate would be accepted.
    let (option, missing) = ("tls_verify", "tls_ca");
    let error = settings(&[(option, "ca")]).unwrap_err();
    assert_eq!(error, OptionError::Half { option, missing });
    let other = "tls_dangerously_accept_any_certificate";
    for value in ["ca", "full"] {
        let error = settings(&[(option, value), (other, "true")]).unwrap_err();
        assert_eq!(error, OptionError::Contradiction { option, other });
    }
}

#[test]
fn sentinel_credentials_are_a_password_and_an_optional_user() {
    let both = [("sentinel_username", "u"), ("sentinel_password", "hunter2")];
    let known = settings(&both).unwrap().sentinel_credentials.unwrap();
    assert_eq!((known.username.as_deref(), known.password.expose()), (Some("u"), "hunter2"));
    let known = settings(&both[1..]).unwrap().sentinel_credentials.unwrap();
    assert_eq!((known.username, known.password.expose()), (None, "hunter2"));
    assert_eq!(settings(&[]).unwrap().sentinel_credentials, None);
    let (option, missing) = ("sentinel_username", "sentinel_password");
    assert_eq!(settings(&both[..1]).unwrap_err(), OptionError::Half { option, missing });
    let password = Some(Secret::new(""));
    let empty = Options { sentinel_password: password, ..Options::default() };
    assert_eq!(Settings::new(empty).unwrap_err(), OptionError::Empty { option: missing });
    let empty = Options {
        sentinel_username: Some(String::new()),
        sentinel_password: Some(Secret::new("p")),
        ..Options::default()
    };
    assert_eq!(Settings::new(empty).unwrap_err(), OptionError::Empty { option });
}

#[test]
fn options_of_tls_that_contradict_each_other_are_refused() {
    let (option, other) = ("tls_ca", "tls_dangerously_accept_any_certificate");
    let error = settings(&[(option, "/ca.pem"), (other, "true")]).unwrap_err();
    assert_eq!(error, OptionError::Contradiction { option, other });
    for (option, missing) in [("tls_cert", "tls_key"), ("tls_key", "tls_cert")] {
        let error = settings(&[(option, "/a.pem")]).unwrap_err();
        assert_eq!(error, OptionError::Half { option, missing });
        let message = error.to_string();
        assert_eq!(message, format!("the option {option} is given without {missing}"));
    }
    let empty = || Some(String::new());
    for (options, option) in [
        (Options { tls_ca: empty(), ..Options::default() }, "tls_ca"),
        (Options { tls_cert: empty(), tls_key: empty(), ..Options::default() }, "tls_cert"),
    ] {
        assert_eq!(Settings::new(options).unwrap_err(), OptionError::Empty { option });
    }
}

#[test]
fn only_true_accepts_any_certificate_and_is_printed() {
    let option = "tls_dangerously_accept_any_certificate";
    for value in ["1", "yes", "True", "TRUE", " true", "on"] {
        let error = set(option, value).unwrap_err();
        assert_eq!(error, OptionError::NotAFlag { option, value: value.into() });
    }
    assert_eq!(settings(&[(option, "false")]).unwrap().tls, TlsSettings::default());
    let settings = settings(&[(option, "true")]).unwrap();
    assert_eq!(settings.tls.trust, Trust::DangerouslyAnyCertificate);
    assert!(format!("{settings:?}").contains("DangerouslyAnyCertificate"));
}

#[test]
fn the_option_that_accepts_any_certificate_is_never_suggested() {
    for name in ["cert", "certificate", "any", "accept", "tls_dangerously_accept_any"] {
        let OptionError::Unknown { nearest, .. } = set(name, "x").unwrap_err() else {
            panic!("{name} is taken");
        };
        assert_ne!(nearest, Some(tls::ACCEPT_ANY), "{name}");
    }
}

#[test]
fn a_tls_server_name_is_a_host_name_or_an_address() {
    for name in ["cache.example", "_a-b.C9", "127.0.0.1", "::1", &"a".repeat(253)] {
        assert!(set("tls_server_name", name).is_ok(), "{name}");
    }
    for name in ["a b", "a/b", "[::1]", "*.example", "bücher", "a\0", &"a".repeat(254)] {
        let error = set("tls_server_name", name).unwrap_err();
        assert_eq!(error, OptionError::ServerName { name: name.chars().take(64).collect() });
        let tls_server_name = Some(name.into());
        let error = Settings::new(Options { tls_server_name, ..Options::default() }).unwrap_err();
        assert!(matches!(error, OptionError::ServerName { .. }), "{error}");
    }
}

#[test]
fn text_in_option_errors_is_bounded() {
    let long = "x".repeat(100_000);
    for error in [
        set(&long, "1").unwrap_err(),
        set("timeout", &long).unwrap_err(),
        set("minsize", &long).unwrap_err(),
        set("name", &format!("{long} ")).unwrap_err(),
        set("tls_server_name", &long).unwrap_err(),
        set("tls_dangerously_accept_any_certificate", &long).unwrap_err(),
    ] {
        assert!(error.to_string().len() < 200);
        assert!(format!("{error:?}").len() < 200);
    }
}

#[test]
fn the_upper_layer_wins_option_by_option() {
    let upper = Options { minsize: Some(2), name: Some("upper".into()), ..Options::default() };
    let lower = Options { minsize: Some(5), maxsize: Some(7), ..Options::default() };
    let both = upper.over(lower);
    assert_eq!(
        (both.minsize, both.maxsize, both.name.as_deref()),
        (Some(2), Some(7), Some("upper"))
    );
}

#[test]
fn each_option_shows_through_an_empty_layer() {
    for &name in Options::NAMES {
        let layer = set(name, a_value_of(name)).unwrap();
        assert_eq!(Options::default().over(layer.clone()), layer);
        assert_eq!(layer.clone().over(Options::default()), layer);
    }
}

#[test]
fn forever_beats_a_lower_timeout_and_default_does_not() {
    let minute = Timeout::After(Duration::from_secs(60));
    let layer = |timeout| Options { timeout: Some(timeout), ..Options::default() };
    assert_eq!(layer(Timeout::Never).over(layer(minute)).timeout, Some(Timeout::Never));
    assert_eq!(layer(Timeout::Default).over(layer(minute)).timeout, Some(minute));
    let settings = Settings::new(layer(Timeout::Default)).unwrap();
    assert_eq!(settings.expiry, Expiry::Never);
}

#[test]
fn options_print_as_text() {
    let mut options = Options::default();
    for (name, value) in [("ttl", "1.50"), ("version", "7"), ("minsize", "0")] {
        options.set(name, value).unwrap();
    }
    let told = [("timeout", "1.5".into()), ("version", "7".into()), ("minsize", "0".into())];
    assert_eq!(texts(&options), told);
    let mute = Options {
        timeout: Some(Timeout::Never),
        version: Some("".into()),
        key_prefix: Some(String::new()),
        ..Options::default()
    };
    assert_eq!(texts(&mute), []);
}

proptest! {
    #[test]
    fn printed_options_parse_to_the_same_options(
        pairs in prop::collection::vec((prop::sample::select(Options::NAMES), "[0-9.a-z]{0,12}"), 0..12),
    ) {
        let mut options = Options::default();
        for (name, value) in pairs {
            let _ = options.set(name, &value);
        }
        let mut again = Options::default();
        for (name, value) in texts(&options) {
            again.set(name, &value).unwrap();
        }
        // A password is printed as its mask.
        let password = &mut options.sentinel_password;
        *password = password.take().map(|_| Secret::new(Secret::MASK));
        prop_assert_eq!(again, options);
    }

    #[test]
    fn no_text_makes_set_panic(name in ".{0,40}", value in ".{0,40}") {
        let _ = set(&name, &value);
        for &name in Options::NAMES {
            let _ = set(name, &value);
        }
    }
}
