//! The checks of single options, for options in text and for options set in code.

use alloc::string::String;
use core::time::Duration;

use super::error::OptionError;
use crate::error::TimeoutError;
use crate::secret::Secret;
use crate::server::Credentials;
use crate::ttl::Expiry;

pub(super) fn above_zero<N: Default + PartialEq>(
    option: &'static str,
    number: N,
) -> Result<N, OptionError> {
    if number == N::default() { Err(OptionError::Zero { option }) } else { Ok(number) }
}

pub(super) fn at_most(option: &'static str, number: usize, most: usize) -> Result<(), OptionError> {
    if number > most { Err(OptionError::TooMany { option, most }) } else { Ok(()) }
}

/// Durations of operations have the same bounds as timeouts of entries.
pub(super) fn span(option: &'static str, span: Duration) -> Result<Duration, OptionError> {
    match Expiry::after(span) {
        Err(TimeoutError::Zero) => Err(OptionError::Zero { option }),
        Err(TimeoutError::TooLong) => Err(OptionError::TooLarge { option }),
        Ok(_) => Ok(span),
    }
}

/// The same for the age of a connection, which has a lower bound of its own.
pub(super) fn age(
    option: &'static str,
    age: Duration,
    least: Duration,
) -> Result<Duration, OptionError> {
    let age = span(option, age)?;
    if age < least { Err(OptionError::TooShort { option, least }) } else { Ok(age) }
}

/// The same, except that zero is valid and means not to wait.
pub(super) fn wait(option: &'static str, wait: Duration) -> Result<Duration, OptionError> {
    if wait.is_zero() { Ok(wait) } else { span(option, wait) }
}

/// A server accepts only `!` to `~` in a client's name (`CLIENT SETNAME`).
pub(super) fn client_name(name: String) -> Result<String, OptionError> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(name)
    } else {
        Err(OptionError::Name { name: cut(&name) })
    }
}

/// Checks whether a certificate could be for this name, as far as the text shows: letters,
/// digits and the punctuation of names and addresses, and at most 253 characters (RFC 1035).
pub(super) fn server_name(name: &str) -> Result<String, OptionError> {
    let is_of_one = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if (1..=253).contains(&name.len()) && name.bytes().all(is_of_one) {
        Ok(name.into())
    } else {
        Err(OptionError::ServerName { name: cut(name) })
    }
}

/// A user name is invalid without a password.
pub(super) fn sentinel_credentials(
    username: Option<String>,
    password: Option<Secret>,
) -> Result<Option<Credentials>, OptionError> {
    const USERNAME: &str = "sentinel_username";
    const PASSWORD: &str = "sentinel_password";
    match (username, password) {
        (Some(username), _) if username.is_empty() => Err(OptionError::Empty { option: USERNAME }),
        (_, Some(password)) if password.expose().is_empty() => {
            Err(OptionError::Empty { option: PASSWORD })
        }
        (Some(_), None) => Err(OptionError::Half { option: USERNAME, missing: PASSWORD }),
        (username, Some(password)) => Ok(Some(Credentials { username, password })),
        (None, None) => Ok(None),
    }
}

/// The part of a text that an error shows.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

/// A path is not empty.
pub(super) fn path(
    option: &'static str,
    path: Option<&String>,
) -> Result<Option<String>, OptionError> {
    match path {
        Some(path) if path.is_empty() => Err(OptionError::Empty { option }),
        path => Ok(path.cloned()),
    }
}
