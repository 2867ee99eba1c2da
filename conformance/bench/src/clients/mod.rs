//! The clients, one file each: their names, their configurations, and what all of them can do.
//!
//! Every client has the fastest configuration that its documentation names, without giving up
//! anything that a careful user would keep. The `ABOUT` in each file describes it.

#[cfg(feature = "peers")]
mod authority;
#[cfg(feature = "peers")]
mod bb8;
#[cfg(feature = "peers")]
mod fred;
mod ours;
mod raw;
#[cfg(feature = "peers")]
mod redis;
#[cfg(feature = "peers")]
mod redis2;
#[cfg(feature = "peers")]
mod redis_smol;
#[cfg(feature = "peers")]
mod rustis;

use std::fmt;
use std::str::FromStr;

use anyhow::Error;
use bytes::Bytes;
use clap::ValueEnum;

use crate::cell::Op;
use crate::turn::host::Host;
use crate::turn::tasks;
use crate::turn::{Measured, Order};

/// The operations of every client. A failure panics, which ends the turn.
pub(crate) trait Client: Clone + Send + Sync + 'static {
    /// The runtime of the client.
    const HOST: Host;
    /// The text that the client itself puts in front of each key.
    const STEM: &'static str = "";

    /// The type in which the client returns a value.
    type Value: Send;

    /// Opens the one client that this many tasks share.
    fn connect(url: &str, tasks: usize) -> impl Future<Output = Self> + Send;

    /// Gets a value. If possible, this is the client's own future, because any wrapper would count
    /// as the client's cost.
    fn get<'a>(&'a mut self, key: &'a str) -> impl Future<Output = Self::Value> + Send;

    /// The length of a value, which must exist.
    fn len(value: &Self::Value) -> usize;

    /// Sets a value with a timeout of [`TIMEOUT_SECONDS`].
    fn set(&mut self, key: &str, value: &Bytes) -> impl Future<Output = ()> + Send;

    /// How many of the keys have values.
    fn get_many(&mut self, keys: &[String]) -> impl Future<Output = usize> + Send;
}

/// What only our client can do: decode values, and load missing ones.
pub(crate) trait Decodes: Client {
    /// Gets and decodes a value that exists.
    fn get_json(&mut self, key: &str) -> impl Future<Output = ()> + Send;

    /// Gets and decodes a value that exists, with a loader in case it did not.
    fn get_or_set(&mut self, key: &str) -> impl Future<Output = ()> + Send;
}

/// A client by its name, with options for its URL: `ours@maxsize=1&minsize=1`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Name {
    pub(crate) who: Who,
    options: String,
}

/// The implementation of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Who {
    /// The bare wire, as fast as it can be filled.
    Raw,
    /// `async-caches` on tokio.
    Ours,
    /// `async-caches` on smol.
    OursSmol,
    /// `async-caches` on async-std.
    OursAsyncStd,
    /// `redis` 1.x on tokio.
    #[cfg(feature = "peers")]
    Redis,
    /// `redis` 2.x, the newest release candidate, on tokio.
    #[cfg(feature = "peers")]
    Redis2,
    /// `redis` 1.x on smol.
    #[cfg(feature = "peers")]
    RedisSmol,
    /// One client of `fred`.
    #[cfg(feature = "peers")]
    Fred,
    /// A pool of `fred`.
    #[cfg(feature = "peers")]
    FredPool,
    /// `rustis`.
    #[cfg(feature = "peers")]
    Rustis,
    /// `bb8` over `redis` 1.x.
    #[cfg(feature = "peers")]
    Bb8,
}

impl Name {
    /// All clients, without options.
    pub(crate) fn all() -> Vec<Self> {
        let plain = |&who| Self { who, options: String::new() };
        Who::value_variants().iter().map(plain).collect()
    }

    /// Adds options to a URL.
    pub(crate) fn url(&self, url: &str) -> String {
        let between = if url.contains('?') { '&' } else { '?' };
        match self.options.as_str() {
            "" => url.to_owned(),
            options => format!("{url}{between}{options}"),
        }
    }

    /// Adds options if the client is one of ours.
    pub(crate) fn with(mut self, options: &str) -> Self {
        if self.who.is_ours() && !options.is_empty() {
            let between = if self.options.is_empty() { "" } else { "&" };
            self.options = format!("{}{between}{options}", self.options);
        }
        self
    }
}

impl Who {
    fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::OursSmol | Self::OursAsyncStd)
    }

    /// Whether the client can run an operation.
    pub(crate) fn can(self, op: Op) -> bool {
        match op {
            Op::Get | Op::Set | Op::Mget | Op::Mix => true,
            Op::GetJson | Op::GetOrSet => self.is_ours(),
            Op::BesideLarge => self != Self::Raw,
        }
    }

    /// Whether the client can speak TLS in this build.
    pub(crate) fn can_speak_tls(self) -> bool {
        match self {
            Self::Raw => false,
            Self::Ours | Self::OursSmol | Self::OursAsyncStd => true,
            #[cfg(feature = "peers")]
            Self::Redis | Self::RedisSmol | Self::Fred | Self::FredPool => true,
            #[cfg(feature = "peers")]
            Self::Redis2 | Self::Rustis | Self::Bb8 => false,
        }
    }

    /// Runs a turn in this process, with or without measuring it.
    pub(crate) fn turn(self, order: &Order) -> Option<Measured> {
        match self {
            Self::Raw => raw::turn(order),
            Self::Ours => tasks::turn_decoding::<ours::Ours<ours::Tokio>>(order),
            Self::OursSmol => tasks::turn_decoding::<ours::Ours<ours::Smol>>(order),
            Self::OursAsyncStd => tasks::turn_decoding::<ours::Ours<ours::AsyncStd>>(order),
            #[cfg(feature = "peers")]
            Self::Redis => tasks::turn::<redis::Redis>(order),
            #[cfg(feature = "peers")]
            Self::Redis2 => tasks::turn::<redis2::Redis2>(order),
            #[cfg(feature = "peers")]
            Self::RedisSmol => tasks::turn::<redis_smol::RedisSmol>(order),
            #[cfg(feature = "peers")]
            Self::Fred => tasks::turn::<fred::Fred<{ fred::SINGLE }>>(order),
            #[cfg(feature = "peers")]
            Self::FredPool => tasks::turn::<fred::Fred<{ fred::POOL }>>(order),
            #[cfg(feature = "peers")]
            Self::Rustis => tasks::turn::<rustis::Rustis>(order),
            #[cfg(feature = "peers")]
            Self::Bb8 => tasks::turn::<bb8::Bb8>(order),
        }
    }

    /// The client's configuration, in words.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Raw => raw::ABOUT,
            Self::Ours | Self::OursSmol | Self::OursAsyncStd => ours::ABOUT,
            #[cfg(feature = "peers")]
            Self::Redis => redis::ABOUT,
            #[cfg(feature = "peers")]
            Self::Redis2 => redis2::ABOUT,
            #[cfg(feature = "peers")]
            Self::RedisSmol => redis_smol::ABOUT,
            #[cfg(feature = "peers")]
            Self::Fred => fred::ABOUT,
            #[cfg(feature = "peers")]
            Self::FredPool => fred::ABOUT_POOL,
            #[cfg(feature = "peers")]
            Self::Rustis => rustis::ABOUT,
            #[cfg(feature = "peers")]
            Self::Bb8 => bb8::ABOUT,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("none is skipped").get_name())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.options.as_str() {
            "" => write!(f, "{}", self.who),
            options => write!(f, "{}@{options}", self.who),
        }
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let (who, options) = name.split_once('@').unwrap_or((name, ""));
        let known = Who::value_variants().iter().map(ToString::to_string).collect::<Vec<_>>();
        let unknown = |_| Error::msg(format!("no client {who:?}, only {}", known.join(", ")));
        Ok(Self { who: Who::from_str(who, false).map_err(unknown)?, options: options.to_owned() })
    }
}

/// `async-caches` on tokio.
pub(crate) type OursOnTokio = ours::Ours<ours::Tokio>;

/// The timeout that is set with each value.
pub(crate) const TIMEOUT_SECONDS: u32 = 600;
