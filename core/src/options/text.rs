//! Options as text: reads them one at a time from a URL's query, and writes them back.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::iter;
use core::time::Duration;

use super::error::OptionError;
use super::tls::{self, TlsVerify};
use super::{Options, check};
use crate::key::{KeySpace, Version};
use crate::nearest::nearest;
use crate::protocol::Protocol;
use crate::secret::Secret;
use crate::ttl::{Expiry, Timeout};
use crate::value::Unreadable;

impl Options {
    /// The names that [`Options::set`] accepts.
    pub const NAMES: &'static [&'static str] = &[
        "timeout",
        "ttl",
        "version",
        "key_prefix",
        "minsize",
        "maxsize",
        "max_in_flight",
        "max_queued_bytes",
        "max_waiting",
        "max_entries",
        "max_bytes",
        "connect_timeout",
        "response_timeout",
        "load_wait",
        "max_connection_age",
        "name",
        "tls_ca",
        "tls_cert",
        "tls_key",
        "tls_server_name",
        tls::VERIFY,
        tls::ACCEPT_ANY,
        "sentinel_username",
        "sentinel_password",
        "replica_reads",
        "unreadable",
        "protocol",
    ];

    /// Sets one option of this layer from text. An option can be set only once.
    ///
    /// Whole numbers are digits. Durations are seconds: digits with or without decimals. Flags are
    /// `true` and `false`. `ttl` is another name for `timeout`.
    ///
    /// # Errors
    /// [`OptionError`]; this layer is then unchanged.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        let say = |option| Said { option, value };
        match name {
            "timeout" => say("timeout").once(&mut self.timeout, Said::timeout),
            "ttl" => say("ttl").once(&mut self.timeout, Said::timeout),
            "version" => say("version").once(&mut self.version, Said::version),
            "key_prefix" => say("key_prefix").once(&mut self.key_prefix, Said::key_prefix),
            "minsize" => say("minsize").once(&mut self.minsize, Said::number),
            "maxsize" => say("maxsize").once(&mut self.maxsize, Said::above_zero),
            "max_in_flight" => say("max_in_flight").once(&mut self.max_in_flight, Said::above_zero),
            "max_queued_bytes" => {
                say("max_queued_bytes").once(&mut self.max_queued_bytes, Said::above_zero)
            }
            "max_waiting" => say("max_waiting").once(&mut self.max_waiting, Said::number),
            "max_entries" => say("max_entries").once(&mut self.max_entries, Said::above_zero),
            "max_bytes" => say("max_bytes").once(&mut self.max_bytes, Said::above_zero),
            "connect_timeout" => say("connect_timeout").once(&mut self.connect_timeout, Said::span),
            "response_timeout" => {
                say("response_timeout").once(&mut self.response_timeout, Said::span)
            }
            "load_wait" => say("load_wait").once(&mut self.load_wait, Said::wait),
            "max_connection_age" => {
                say("max_connection_age").once(&mut self.max_connection_age, Said::span)
            }
            "name" => say("name").once(&mut self.name, Said::client_name),
            "tls_ca" => say("tls_ca").once(&mut self.tls_ca, Said::text),
            "tls_cert" => say("tls_cert").once(&mut self.tls_cert, Said::text),
            "tls_key" => say("tls_key").once(&mut self.tls_key, Said::text),
            "tls_server_name" => {
                say("tls_server_name").once(&mut self.tls_server_name, Said::server_name)
            }
            tls::VERIFY => say(tls::VERIFY).once(&mut self.tls_verify, Said::verification),
            tls::ACCEPT_ANY => say(tls::ACCEPT_ANY)
                .once(&mut self.tls_dangerously_accept_any_certificate, Said::flag),
            "sentinel_username" => {
                say("sentinel_username").once(&mut self.sentinel_username, Said::text)
            }
            "sentinel_password" => {
                say("sentinel_password").once(&mut self.sentinel_password, Said::secret)
            }
            "replica_reads" => say("replica_reads").once(&mut self.replica_reads, Said::flag),
            "unreadable" => say("unreadable").once(&mut self.unreadable, Said::unreadable),
            "protocol" => say("protocol").once(&mut self.protocol, Said::protocol),
            _ => {
                // Do not suggest the dangerous option, nor options for sentinels unless the name
                // looks like one.
                let is_for = |known: &str| match known {
                    tls::ACCEPT_ANY => false,
                    known => !known.starts_with("sentinel_") || name.starts_with("sen"),
                };
                let known: Vec<_> =
                    Self::NAMES.iter().copied().filter(|&known| is_for(known)).collect();
                Err(OptionError::Unknown { name: check::cut(name), nearest: nearest(name, &known) })
            }
        }
    }

    /// Calls `say` with the name and the text of each option that this layer sets, except for those
    /// that have no text: an empty text and [`Timeout::Never`].
    pub(crate) fn each(
        &self,
        mut say: impl FnMut(&'static str, &dyn fmt::Display) -> fmt::Result,
    ) -> fmt::Result {
        let mut next = |name, text: Option<&dyn fmt::Display>| match text {
            Some(text) => say(name, text),
            None => Ok(()),
        };
        let timeout = match self.timeout {
            Some(Timeout::After(span)) => Some(Seconds(span)),
            Some(Timeout::Default | Timeout::Never) | None => None,
        };
        let version = match &self.version {
            Some(Version::Integer(number)) => Some(number.to_string()),
            Some(Version::Text(text)) if !text.is_empty() => Some(text.to_string()),
            Some(Version::Text(_) | Version::None) | None => None,
        };
        let prefix = self.key_prefix.as_ref().filter(|prefix| !prefix.is_empty());
        let connect_timeout = self.connect_timeout.map(Seconds);
        let response_timeout = self.response_timeout.map(Seconds);
        let load_wait = self.load_wait.map(Seconds);
        let max_connection_age = self.max_connection_age.map(Seconds);
        next("timeout", shown(timeout.as_ref()))?;
        next("version", shown(version.as_ref()))?;
        next("key_prefix", shown(prefix))?;
        next("minsize", shown(self.minsize.as_ref()))?;
        next("maxsize", shown(self.maxsize.as_ref()))?;
        next("max_in_flight", shown(self.max_in_flight.as_ref()))?;
        next("max_queued_bytes", shown(self.max_queued_bytes.as_ref()))?;
        next("max_waiting", shown(self.max_waiting.as_ref()))?;
        next("max_entries", shown(self.max_entries.as_ref()))?;
        next("max_bytes", shown(self.max_bytes.as_ref()))?;
        next("connect_timeout", shown(connect_timeout.as_ref()))?;
        next("response_timeout", shown(response_timeout.as_ref()))?;
        next("load_wait", shown(load_wait.as_ref()))?;
        next("max_connection_age", shown(max_connection_age.as_ref()))?;
        next("name", shown(self.name.as_ref()))?;
        next("tls_ca", shown(self.tls_ca.as_ref()))?;
        next("tls_cert", shown(self.tls_cert.as_ref()))?;
        next("tls_key", shown(self.tls_key.as_ref()))?;
        next("tls_server_name", shown(self.tls_server_name.as_ref()))?;
        next(tls::VERIFY, shown(self.tls_verify.as_ref()))?;
        next(tls::ACCEPT_ANY, shown(self.tls_dangerously_accept_any_certificate.as_ref()))?;
        next("sentinel_username", shown(self.sentinel_username.as_ref()))?;
        next("sentinel_password", shown(self.sentinel_password.as_ref()))?;
        next("replica_reads", shown(self.replica_reads.as_ref()))?;
        next("unreadable", shown(self.unreadable.as_ref()))?;
        next("protocol", shown(self.protocol.map(Protocol::as_text).as_ref()))
    }
}

fn shown<T: fmt::Display>(option: Option<&T>) -> Option<&dyn fmt::Display> {
    option.map(|it| it as &dyn fmt::Display)
}

/// One option's text.
#[derive(Clone, Copy)]
struct Said<'a> {
    option: &'static str,
    value: &'a str,
}

impl Said<'_> {
    fn once<T>(
        self,
        field: &mut Option<T>,
        read: impl FnOnce(Self) -> Result<T, OptionError>,
    ) -> Result<(), OptionError> {
        let option = self.option;
        if field.is_some() {
            return Err(OptionError::Repeated { option });
        }
        if self.value.is_empty() {
            return Err(OptionError::Empty { option });
        }
        *field = Some(read(self)?);
        Ok(())
    }

    fn timeout(self) -> Result<Timeout, OptionError> {
        let span = self.seconds()?;
        Expiry::after(span)?;
        Ok(Timeout::After(span))
    }

    fn version(self) -> Result<Version, OptionError> {
        let version = Version::from(self.value);
        KeySpace::new("", version.clone())?;
        Ok(version)
    }

    fn key_prefix(self) -> Result<String, OptionError> {
        KeySpace::new(self.value, Version::None)?;
        Ok(self.value.into())
    }

    fn client_name(self) -> Result<String, OptionError> {
        check::client_name(self.value.into())
    }

    fn text(self) -> Result<String, OptionError> {
        Ok(self.value.into())
    }

    fn secret(self) -> Result<Secret, OptionError> {
        Ok(Secret::new(self.value))
    }

    fn server_name(self) -> Result<String, OptionError> {
        check::server_name(self.value)
    }

    fn verification(self) -> Result<TlsVerify, OptionError> {
        match self.value {
            "full" => Ok(TlsVerify::Full),
            "ca" => Ok(TlsVerify::Ca),
            value => {
                let (option, value) = (self.option, check::cut(value));
                Err(OptionError::NotAChoice { option, value, words: "full or ca" })
            }
        }
    }

    fn flag(self) -> Result<bool, OptionError> {
        let Self { option, value } = self;
        value.parse().map_err(|_| OptionError::NotAFlag { option, value: check::cut(value) })
    }

    fn unreadable(self) -> Result<Unreadable, OptionError> {
        let Self { option, value } = self;
        Unreadable::named(value).ok_or_else(|| OptionError::NotAChoice {
            option,
            value: check::cut(value),
            words: Unreadable::WORDS,
        })
    }

    fn protocol(self) -> Result<Protocol, OptionError> {
        let Self { option, value } = self;
        Protocol::from_text(value).ok_or_else(|| OptionError::NotAChoice {
            option,
            value: check::cut(value),
            words: "auto, 2 or 3",
        })
    }

    fn number<N: TryFrom<u64>>(self) -> Result<N, OptionError> {
        let Self { option, value } = self;
        if !is_digits(value) {
            return Err(OptionError::NotANumber { option, value: check::cut(value) });
        }
        let number = value.parse::<u64>().ok().and_then(|number| N::try_from(number).ok());
        number.ok_or(OptionError::TooLarge { option })
    }

    fn above_zero<N: TryFrom<u64> + Default + PartialEq>(self) -> Result<N, OptionError> {
        self.number().and_then(|number| check::above_zero(self.option, number))
    }

    fn span(self) -> Result<Duration, OptionError> {
        self.seconds().and_then(|span| check::span(self.option, span))
    }

    fn wait(self) -> Result<Duration, OptionError> {
        self.seconds().and_then(|wait| check::wait(self.option, wait))
    }

    /// Reads seconds without converting to a double, so it is exact to the nanosecond. Smaller
    /// fractions are rounded up. A value larger than any `Duration` becomes the longest one.
    fn seconds(self) -> Result<Duration, OptionError> {
        let Self { option, value } = self;
        let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(OptionError::NotSeconds { option, value: check::cut(value) });
        }
        let digits = fraction.bytes().map(|digit| u64::from(digit - b'0'));
        let nanos = digits.clone().chain(iter::repeat(0)).take(9).fold(0, |n, d| n * 10 + d);
        let rest = u64::from(digits.skip(9).any(|digit| digit > 0));
        let whole = whole.parse().map_or(Duration::MAX, Duration::from_secs);
        Ok(whole.saturating_add(Duration::from_nanos(nanos + rest)))
    }
}

/// Whether the text is digits only: no sign, space, underscore or exponent.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Formats a duration as [`Said::seconds`] reads it.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write!(text, "{}.{:09}", self.0.as_secs(), self.0.subsec_nanos())?;
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}
