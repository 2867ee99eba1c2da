//! Which version of RESP is spoken with a server.

/// Which version of the protocol a cache speaks.
///
/// ```
/// use async_caches_core::protocol::Protocol;
///
/// assert_eq!(Protocol::from_text("2"), Some(Protocol::Resp2));
/// assert_eq!(Protocol::Resp3.as_text(), "3");
/// assert_eq!(Protocol::from_text("resp3"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// RESP3, or RESP2 if the server speaks no RESP3. In text: `auto`.
    #[default]
    Auto,
    /// RESP2; the client asks for no other. In text: `2`.
    Resp2,
    /// RESP3; if the server does not speak it that is an error. In text: `3`.
    Resp3,
}

impl Protocol {
    /// The protocol with this text: `auto`, `2` or `3`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Auto, Self::Resp2, Self::Resp3].into_iter().find(|it| it.as_text() == text)
    }

    /// The text that [`from_text`](Self::from_text) reads.
    #[must_use]
    pub const fn as_text(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Resp2 => "2",
            Self::Resp3 => "3",
        }
    }
}
