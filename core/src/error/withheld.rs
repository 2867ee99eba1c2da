//! Replaces the text of server errors that may quote a password.
//!
//! Servers quote the arguments of a command that they do not know: whole, cut or escaped. Searching
//! such a text for the password is not reliable. So if a command contained a password, only the
//! kind of its error is kept ([`ServerError::withheld`]). The text of any other error is kept
//! unless it contains a part of a password ([`ServerError::without`]).

use super::{ServerError, ServerErrorKind};
use crate::secret::Secret;

impl ServerError {
    /// The same kind of error in words of our own, whatever the server wrote.
    #[must_use]
    pub fn withheld(self) -> Self {
        let known = KNOWN.into_iter().find(|known| self.text.starts_with(known));
        Self { kind: self.kind, text: known.unwrap_or_else(|| self.kind.withheld()).into() }
    }

    /// Returns this error, or the same kind of error in words of our own if its text contains four
    /// consecutive bytes of one of these passwords. Shorter passwords are not searched for, as any
    /// text contains such bytes. A redirect is kept as it is, because its target is read from its
    /// text.
    pub(crate) fn without<'s>(self, secrets: impl IntoIterator<Item = &'s Secret>) -> Self {
        let redirects = matches!(self.kind, ServerErrorKind::Moved | ServerErrorKind::Ask);
        let shows = |secret: &Secret| secret.shows_in(&self.text, TELLING);
        if !redirects && secrets.into_iter().any(shows) { self.withheld() } else { self }
    }
}

impl ServerErrorKind {
    /// The text of an error of this kind whose own words are withheld.
    const fn withheld(self) -> &'static str {
        match self {
            Self::Loading => "LOADING (its other words may quote a password and are withheld)",
            Self::NoAuth => "NOAUTH (its other words may quote a password and are withheld)",
            Self::WrongPass => "WRONGPASS (its other words may quote a password and are withheld)",
            Self::NoPerm => "NOPERM (its other words may quote a password and are withheld)",
            Self::NoProto => "NOPROTO (its other words may quote a password and are withheld)",
            Self::Denied => "DENIED (its other words may quote a password and are withheld)",
            Self::Busy
            | Self::NoScript
            | Self::ReadOnly
            | Self::MasterDown
            | Self::NoReplicas
            | Self::Misconf
            | Self::OutOfMemory
            | Self::WrongType
            | Self::Moved
            | Self::Ask
            | Self::TryAgain
            | Self::ClusterDown
            | Self::CrossSlot
            | Self::MaxClients
            | Self::Unreachable
            | Self::Other => "an error whose words may quote a password and are withheld",
        }
    }
}

/// The number of consecutive bytes that reveal something of a password.
const TELLING: usize = 4;

/// Texts that servers are known to send in reply to `HELLO` and `AUTH`, and that quote nothing. An
/// error that begins with one of these is shown as exactly that text, without the rest of the
/// server's own words.
const KNOWN: [&str; 15] = [
    "WRONGPASS invalid username-password pair or user is disabled.",
    "WRONGPASS invalid username-password pair",
    "NOAUTH Authentication required.",
    "NOAUTH HELLO must be called with the client already authenticated",
    "NOPROTO unsupported protocol version",
    "LOADING Redis is loading the dataset in memory",
    "LOADING Valkey is loading the dataset in memory",
    "DENIED Redis is running in protected mode",
    "DENIED Valkey is running in protected mode",
    "ERR AUTH <password> called without any password configured for the default user.",
    "ERR Client sent AUTH, but no password is set",
    "ERR invalid password",
    "ERR max number of clients reached",
    "ERR wrong number of arguments for 'auth' command",
    "ERR unknown command",
];

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn a_withheld_error_keeps_its_kind_and_its_safe_words() {
        for (said, kind, shown) in [
            (
                "WRONGPASS invalid username-password pair or user is disabled. hunter2",
                ServerErrorKind::WrongPass,
                "WRONGPASS invalid username-password pair or user is disabled.",
            ),
            (
                "WRONGPASS hunter2",
                ServerErrorKind::WrongPass,
                "WRONGPASS (its other words may quote a password and are withheld)",
            ),
            ("ERR unknown command 'AUTH' hunter2", ServerErrorKind::Other, "ERR unknown command"),
            (
                "hunter2",
                ServerErrorKind::Other,
                "an error whose words may quote a password and are withheld",
            ),
            (
                "MOVED 1 hunter2:1",
                ServerErrorKind::Moved,
                "an error whose words may quote a password and are withheld",
            ),
        ] {
            let error = ServerError::parse(said.as_bytes()).withheld();
            assert_eq!((error.kind, error.text()), (kind, shown));
        }
    }

    #[test]
    fn an_error_keeps_its_text_unless_it_shows_part_of_a_password() {
        let secrets = [Secret::new("hunter2"), Secret::new("tr0ub4dor&3")];
        let shown = |said: &str| ServerError::parse(said.as_bytes()).without(&secrets);
        let kept = "ERR DB index is out of range";
        assert_eq!(shown(kept).text(), kept);
        for said in ["ERR hunter2", "ERR what is 'unter'?", "ERR tr0ub", "NOPERM ub4d"] {
            let error = shown(said);
            assert_eq!(error.kind, ServerError::parse(said.as_bytes()).kind);
            assert!(format!("{error:?}").contains("withheld"), "{error:?}");
        }
        let moved = "MOVED 7 hunter2:6379";
        assert_eq!(shown(moved).text(), moved, "it says where to go");
    }
}
