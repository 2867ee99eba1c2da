//! How a connection greets its server: in which version of the protocol, and with how many
//! commands.
//!
//! # Theory of operation
//!
//! If a server refuses `HELLO` with an error, the connection goes on in RESP2. Some proxies hang up
//! instead, on `HELLO` and on `CLIENT` as well. If a connection ends like that before it is ready,
//! the next one sends only the necessary commands ([`Greeting::Bare`]), and may be dialled at once.
//! If that one gets ready, new connections greet in the same way for [`Greetings::BARE_FOR`], and
//! then one tries the full greeting again. If it ends before it is ready, whatever the reason, the
//! greeting was not the cause: the next one sends the full greeting again. So a server that is away
//! is dialled at most twice for each time that it would be dialled otherwise.
//!
//! RESP2 has no pushes, so a connection that relies on pushes never uses the bare greeting.

use core::time::Duration;

use super::setup::{Greeting, Setup};
use super::tracking::Pushes;
use crate::protocol::Protocol;
use crate::time::Instant;

/// Chooses how the connections of one pool greet their server, from the outcomes of earlier ones.
///
/// ```
/// use async_caches_core::connection::{Greeting, Greetings, Protocol, Setup};
/// use async_caches_core::time::Instant;
/// use core::time::Duration;
///
/// let setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
/// let mut greetings = Greetings::new(Protocol::Auto, &setup);
/// let now = Instant::ORIGIN;
/// assert_eq!(greetings.next(now), Greeting::Either);
/// assert!(greetings.ended(Greeting::Either, true, now)); // a proxy hung up: dial again at once
/// assert_eq!(greetings.next(now), Greeting::Bare);
/// assert_eq!(greetings.next(now + Greetings::BARE_FOR), Greeting::Either);
/// ```
#[derive(Clone, Debug)]
pub struct Greetings {
    protocol: Protocol,
    /// Whether a bare greeting is useful: it would be shorter, and the setup does not rely on
    /// pushes.
    may_be_bare: bool,
    bare_until: Option<Instant>,
}

impl Greetings {
    /// How long connections use the bare greeting before one tries the full greeting again.
    pub const BARE_FOR: Duration = Duration::from_secs(600);

    /// Greetings for connections with this protocol and setup; the greeting in the setup is
    /// ignored.
    #[must_use]
    pub fn new(protocol: Protocol, setup: &Setup) -> Self {
        let relies_on_pushes = matches!(setup.pushes, Pushes::Told { tracking: Some(_) });
        let has_words = match protocol {
            Protocol::Auto => true,
            Protocol::Resp2 => setup.name.is_some(),
            Protocol::Resp3 => false,
        };
        Self { protocol, may_be_bare: has_words && !relies_on_pushes, bare_until: None }
    }

    /// How the next connection greets. Changes with time and with [`ended`](Self::ended).
    #[must_use]
    pub fn next(&self, now: Instant) -> Greeting {
        if self.bare_until.is_some_and(|until| now < until) {
            return Greeting::Bare;
        }
        match self.protocol {
            Protocol::Auto => Greeting::Either,
            Protocol::Resp2 => Greeting::Resp2,
            Protocol::Resp3 => Greeting::Resp3,
        }
    }

    /// Reports that a connection with this greeting ended before it was ready. `hung_up` means that
    /// the server closed it after it was dialled. Returns whether to dial again at once, with
    /// another greeting.
    pub fn ended(&mut self, greeting: Greeting, hung_up: bool, now: Instant) -> bool {
        match greeting {
            Greeting::Bare => self.bare_until = None,
            Greeting::Either | Greeting::Resp2 if hung_up && self.may_be_bare => {
                self.bare_until = Some(now + Self::BARE_FOR);
                return true;
            }
            Greeting::Either | Greeting::Resp2 | Greeting::Resp3 => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Role, Tracking};
    use super::*;
    use crate::resp::scan::Limits;

    const NOW: Instant = Instant::from_millis(1_000);

    fn greetings(protocol: Protocol, change: impl FnOnce(&mut Setup)) -> Greetings {
        let mut setup = Setup {
            credentials: None,
            database: 0,
            greeting: Greeting::default(),
            role: Role::Any,
            name: None,
            limits: Limits::default(),
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
            pushes: Pushes::Dropped,
        };
        change(&mut setup);
        Greetings::new(protocol, &setup)
    }

    #[test]
    fn a_hang_up_on_hello_leads_to_bare_greetings_for_a_while() {
        let mut it = greetings(Protocol::Auto, |_| {});
        assert_eq!(it.next(NOW), Greeting::Either);
        assert!(it.ended(Greeting::Either, true, NOW));
        assert_eq!(it.next(NOW), Greeting::Bare);
        assert!(it.ended(Greeting::Either, true, NOW), "one that was dialled meanwhile");
        assert_eq!(it.next(NOW + Greetings::BARE_FOR / 2), Greeting::Bare);
        assert_eq!(it.next(NOW + Greetings::BARE_FOR), Greeting::Either);
    }

    #[test]
    fn a_hang_up_on_a_bare_greeting_restores_the_full_one_with_backoff() {
        let mut it = greetings(Protocol::Auto, |_| {});
        for _ in 0..3 {
            assert!(it.ended(Greeting::Either, true, NOW));
            assert!(!it.ended(Greeting::Bare, true, NOW));
            assert_eq!(it.next(NOW), Greeting::Either);
        }
    }

    #[test]
    fn a_connection_that_ends_for_another_reason_changes_nothing() {
        let mut it = greetings(Protocol::Auto, |_| {});
        assert!(!it.ended(Greeting::Either, false, NOW));
        assert_eq!(it.next(NOW), Greeting::Either);
    }

    #[test]
    fn a_required_protocol_is_the_one_used() {
        let mut it = greetings(Protocol::Resp3, |setup| setup.name = Some("n".into()));
        assert_eq!(it.next(NOW), Greeting::Resp3);
        assert!(!it.ended(Greeting::Resp3, true, NOW));
        assert_eq!(it.next(NOW), Greeting::Resp3);
        let mut it = greetings(Protocol::Resp2, |_| {});
        assert_eq!(it.next(NOW), Greeting::Resp2);
        assert!(!it.ended(Greeting::Resp2, true, NOW), "there is nothing to leave out");
        let mut it = greetings(Protocol::Resp2, |setup| setup.name = Some("n".into()));
        assert!(it.ended(Greeting::Resp2, true, NOW));
        assert_eq!(it.next(NOW), Greeting::Bare);
    }

    #[test]
    fn a_connection_that_needs_pushes_never_uses_a_bare_greeting() {
        let tracking = Some(Tracking::Read);
        let mut it = greetings(Protocol::Auto, |setup| setup.pushes = Pushes::Told { tracking });
        assert!(!it.ended(Greeting::Either, true, NOW));
        assert_eq!(it.next(NOW), Greeting::Either);
    }

    #[test]
    fn a_printed_protocol_parses_back() {
        for protocol in [Protocol::Auto, Protocol::Resp2, Protocol::Resp3] {
            assert_eq!(Protocol::from_text(protocol.as_text()), Some(protocol));
        }
        for text in ["", "1", "4", "resp3", "AUTO", "03"] {
            assert_eq!(Protocol::from_text(text), None, "{text}");
        }
    }
}
