//! Why an option is refused.

use alloc::string::String;
use core::time::Duration;

use thiserror::Error;

use crate::error::{KeyError, TimeoutError};
use crate::secret::Secret;

/// An option that is invalid, or two that contradict each other.
///
/// ```
/// use async_caches_core::options::{OptionError, Options};
///
/// let error = Options::default().set("max_size", "4").unwrap_err();
/// assert_eq!(error.to_string(), "there is no option \"max_size\"; did you mean maxsize?");
/// let error = Options::default().set("maxsize", "many").unwrap_err();
/// assert_eq!(error, OptionError::NotANumber { option: "maxsize", value: "many".into() });
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum OptionError {
    /// No option has this name.
    #[error("there is no option {name:?}{}", Hint(*.nearest))]
    Unknown {
        /// The name, cut to a sane length.
        name: String,
        /// The most similar known option, if there is a similar one.
        nearest: Option<&'static str>,
    },
    /// An option is given twice.
    #[error("the option {option} is given more than once{}", alias(.option))]
    Repeated {
        /// The option.
        option: &'static str,
    },
    /// An option is named and has no value.
    #[error("the option {option} has no value")]
    Empty {
        /// The option.
        option: &'static str,
    },
    /// The value should be a whole number.
    #[error("the option {option} is {value:?}, which is not a whole number in digits")]
    NotANumber {
        /// The option.
        option: &'static str,
        /// Its value, cut to a sane length.
        value: String,
    },
    /// The value should be a number of seconds.
    #[error(
        "the option {option} is {value:?}, which is not a number of seconds such as 600 or 0.5"
    )]
    NotSeconds {
        /// The option.
        option: &'static str,
        /// Its value, cut to a sane length.
        value: String,
    },
    /// The value is zero, which makes no sense for this option.
    #[error("the option {option} is zero, and must be above it")]
    Zero {
        /// The option.
        option: &'static str,
    },
    /// The value is a number past the largest one that can be used.
    #[error("the option {option} is too large")]
    TooLarge {
        /// The option.
        option: &'static str,
    },
    /// The value is a number above this option's own bound.
    #[error("the option {option} is more than {most}, which is the most that it may be")]
    TooMany {
        /// The option.
        option: &'static str,
        /// The highest valid value.
        most: usize,
    },
    /// The value is a duration below this option's own bound.
    #[error("the option {option} is shorter than {least:?}, which is the least that it may be")]
    TooShort {
        /// The option.
        option: &'static str,
        /// The lowest valid value.
        least: Duration,
    },
    /// The pool should keep more connections open than it may open.
    #[error(
        "the option minsize is {minsize}, more than maxsize, which is {maxsize}{}",
        if *.default { " unless given" } else { "" }
    )]
    Sizes {
        /// How many connections to keep open.
        minsize: usize,
        /// How many connections may be open.
        maxsize: usize,
        /// Whether `maxsize` was not given and is the default.
        default: bool,
    },
    /// The name of connections is not one that a server accepts.
    #[error("the option name is {name:?}, and must be printable ASCII without spaces")]
    Name {
        /// The name, cut to a sane length.
        name: String,
    },
    /// The value should be `true` or `false`.
    #[error("the option {option} is {value:?}, which is neither true nor false")]
    NotAFlag {
        /// The option.
        option: &'static str,
        /// Its value, cut to a sane length.
        value: String,
    },
    /// The value should be one of a few words.
    #[error("the option {option} is {value:?}, and must be {words}")]
    NotAChoice {
        /// The option.
        option: &'static str,
        /// Its value, cut to a sane length.
        value: String,
        /// The valid words.
        words: &'static str,
    },
    /// The name that the certificate must be for is neither a host name nor an address.
    #[error(
        "the option tls_server_name is {name:?}, which is neither a host's name nor an address"
    )]
    ServerName {
        /// The name, cut to a sane length.
        name: String,
    },
    /// An option is given without another one that it requires.
    #[error("the option {option} is given without {missing}")]
    Half {
        /// The option that is given.
        option: &'static str,
        /// The option that is missing.
        missing: &'static str,
    },
    /// Two options are given that exclude each other.
    #[error("the options {option} and {other} contradict each other")]
    Contradiction {
        /// One of the options.
        option: &'static str,
        /// The other option.
        other: &'static str,
    },
    /// An option is about TLS, and the URL asks for plain text.
    #[error("the option {option} is about TLS, and the URL asks for plain text; write rediss://")]
    NotTls {
        /// The option.
        option: &'static str,
    },
    /// An option is about sentinels, and the URL names none.
    #[error("the option {option} is about sentinels, and the URL names none")]
    NotSentinel {
        /// The option.
        option: &'static str,
    },
    /// The default timeout is zero or too long.
    #[error(transparent)]
    Timeout(#[from] TimeoutError),
    /// The key prefix or the version contains a colon.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl OptionError {
    /// The error without the values that it quotes.
    pub(crate) fn concealed(self) -> Self {
        let masked = || String::from(Secret::MASK);
        match self {
            Self::Unknown { .. } => Self::Unknown { name: masked(), nearest: None },
            Self::NotANumber { option, .. } => Self::NotANumber { option, value: masked() },
            Self::NotSeconds { option, .. } => Self::NotSeconds { option, value: masked() },
            Self::NotAFlag { option, .. } => Self::NotAFlag { option, value: masked() },
            Self::NotAChoice { option, words, .. } => {
                Self::NotAChoice { option, value: masked(), words }
            }
            Self::Name { .. } => Self::Name { name: masked() },
            Self::ServerName { .. } => Self::ServerName { name: masked() },
            Self::Key(KeyError::ColonInPrefix { .. }) => {
                Self::Key(KeyError::ColonInPrefix { prefix: Secret::MASK.into() })
            }
            Self::Key(KeyError::ColonInVersion { .. }) => {
                Self::Key(KeyError::ColonInVersion { version: Secret::MASK.into() })
            }
            error @ (Self::Repeated { .. }
            | Self::Empty { .. }
            | Self::Zero { .. }
            | Self::TooLarge { .. }
            | Self::TooMany { .. }
            | Self::TooShort { .. }
            | Self::Sizes { .. }
            | Self::Half { .. }
            | Self::Contradiction { .. }
            | Self::NotTls { .. }
            | Self::NotSentinel { .. }
            | Self::Timeout(_)) => error,
        }
    }
}

fn alias(option: &str) -> &'static str {
    if matches!(option, "timeout" | "ttl") { " (timeout and ttl are one option)" } else { "" }
}

/// The end of a message about an unknown word.
pub(crate) struct Hint(pub(crate) Option<&'static str>);

impl core::fmt::Display for Hint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None => Ok(()),
        }
    }
}
