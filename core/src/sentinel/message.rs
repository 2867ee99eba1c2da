//! Reads and checks the messages of sentinels: nothing is taken for an address that cannot be one.
//!
//! All messages are RESP2, which every sentinel speaks.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::Ipv6Addr;

use super::rounds::Rounds;
use crate::error::ProtocolError;
use crate::resp::decode::{self, FramePart};
use crate::resp::kind::Kind;
use crate::server::Endpoint;

/// The kind of a frame from a sentinel to a subscribed client.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum SentinelMessage<'a> {
    /// A message on the channel.
    Message(&'a [u8]),
    /// Anything else: the reply to a command.
    Answer,
}

/// Separates messages from replies. A message is an array of three texts of which the first is
/// `message`.
pub(super) fn heard(frame: &[u8]) -> Result<SentinelMessage<'_>, ProtocolError> {
    let Some(mut parts) = decode::first(frame)?.elements() else {
        return Ok(SentinelMessage::Answer);
    };
    if parts.remaining() != 3 || text(parts.next())? != Some(b"message") {
        return Ok(SentinelMessage::Answer);
    }
    let (channel, message) = (text(parts.next())?, text(parts.next())?);
    match (channel, message) {
        (Some(CHANNEL), Some(message)) => Ok(SentinelMessage::Message(message)),
        _ => Err(ProtocolError::Malformed(MESSAGE)),
    }
}

/// The master's address in a reply to `SENTINEL GET-MASTER-ADDR-BY-NAME`, or `None` if the sentinel
/// does not know the service.
pub(super) fn master(frame: &[u8]) -> Result<Option<Endpoint>, ProtocolError> {
    const EXPECTED: &str = "a master's address";
    let whole = decode::first(frame)?;
    if whole.is_null() {
        return Ok(None);
    }
    let parts = if whole.kind() == Kind::Array { whole.elements() } else { None };
    let Some(mut parts) = parts.filter(|parts| parts.remaining() == 2) else {
        return Err(ProtocolError::Unexpected { found: whole.kind().name(), expected: EXPECTED });
    };
    let (host, port) = (text(parts.next())?, text(parts.next())?);
    let place = host.zip(port).and_then(|(host, port)| endpoint(host, port));
    place.map(Some).ok_or(ProtocolError::Malformed(EXPECTED))
}

/// The sentinels' addresses in a reply to `SENTINEL SENTINELS`: those that can be addresses, and no
/// more of them than are kept.
pub(super) fn sentinels(frame: &[u8]) -> Result<Vec<Endpoint>, ProtocolError> {
    let mut found = Vec::new();
    for one in decode::elements(frame)? {
        let one = one?;
        let (mut host, mut port) = (None, None);
        let expected = "a sentinel's description";
        let mut fields = one
            .elements()
            .ok_or(ProtocolError::Unexpected { found: one.kind().name(), expected })?;
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            let (name, value) = (name?, value?);
            match name.bytes() {
                Some(b"ip") => host = value.bytes(),
                Some(b"port") => port = value.bytes(),
                Some(_) | None => {}
            }
        }
        if let Some(place) = host.zip(port).and_then(|(host, port)| endpoint(host, port))
            && found.len() < Rounds::MOST
            && !found.contains(&place)
        {
            found.push(place);
        }
    }
    Ok(found)
}

/// The new address of this service's master in a message on the channel:
/// `service old-host old-port host port`. `None` if the message is about another service.
pub(super) fn switched(service: &str, message: &[u8]) -> Result<Option<Endpoint>, ProtocolError> {
    let Some(rest) =
        message.strip_prefix(service.as_bytes()).and_then(|rest| rest.strip_prefix(b" "))
    else {
        return Ok(None);
    };
    let words: Vec<&[u8]> = rest.split(|&byte| byte == b' ').take(5).collect();
    let [_, _, host, port] = words[..] else { return Err(ProtocolError::Malformed(MESSAGE)) };
    endpoint(host, port).map(Some).ok_or(ProtocolError::Malformed(MESSAGE))
}

/// Checks that a reply confirms the subscription to the channel, or its end.
pub(super) fn subscription(frame: &[u8], verb: &[u8]) -> Result<(), ProtocolError> {
    const EXPECTED: &str = "an answer about the subscription";
    let whole = decode::first(frame)?;
    let unexpected = ProtocolError::Unexpected { found: whole.kind().name(), expected: EXPECTED };
    let mut parts = whole.elements().ok_or(unexpected)?;
    match (text(parts.next())?, text(parts.next())?) {
        (Some(said), Some(CHANNEL)) if said == verb => Ok(()),
        _ => Err(ProtocolError::Malformed(EXPECTED)),
    }
}

/// The endpoint with this host and port, if they are valid: a host has only the letters, digits and
/// marks of names and addresses, and at most 253 of them (RFC 1035), and a port is from 1 to 65535.
fn endpoint(host: &[u8], port: &[u8]) -> Option<Endpoint> {
    let is_of_one = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:".contains(byte);
    let host = str::from_utf8(host).ok().filter(|host| (1..=253).contains(&host.len()))?;
    if !host.as_bytes().iter().all(is_of_one) {
        return None;
    }
    let host: String = match host.contains(':') {
        true => host.parse::<Ipv6Addr>().ok()?.to_string(),
        false => host.into(),
    };
    let is_number = (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
    let port = str::from_utf8(port).ok().filter(|_| is_number)?.parse().ok()?;
    (port != 0).then_some(Endpoint::Tcp { host, port })
}

fn text<'a>(
    part: Option<Result<FramePart<'a>, ProtocolError>>,
) -> Result<Option<&'a [u8]>, ProtocolError> {
    Ok(part.transpose()?.and_then(|part| part.bytes()))
}

/// The channel on which sentinels announce a service's new master.
pub(super) const CHANNEL: &[u8] = b"+switch-master";

const MESSAGE: &str = "a message on +switch-master";

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp { host: host.into(), port }
    }

    #[test]
    fn a_subscription_reply_must_match_its_kind_and_channel() {
        let frame = "*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n";
        let heard = |frame: &str| subscription(frame.as_bytes(), b"subscribe");
        assert_eq!(heard(frame), Ok(()));
        for other in [
            frame.replace("$9\r\nsub", "$11\r\nunsub"),
            frame.replace("switch", "sdown+"),
            "*1\r\n$9\r\nsubscribe\r\n".into(),
            "*0\r\n".into(),
            "+OK\r\n".into(),
        ] {
            assert!(heard(&other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn only_valid_addresses_are_accepted() {
        let told = |host: &str, port: &str| endpoint(host.as_bytes(), port.as_bytes());
        assert_eq!(told("10.0.0.7", "6379"), Some(tcp("10.0.0.7", 6379)));
        assert_eq!(told("redis-1.cache_a.example", "1"), Some(tcp("redis-1.cache_a.example", 1)));
        assert_eq!(told("fe80:0::1", "65535"), Some(tcp("fe80::1", 65_535)));
        for (host, port) in [
            ("", "6379"),
            ("a b", "6379"),
            ("a/b", "6379"),
            ("a@b", "6379"),
            ("[::1]", "6379"),
            ("::g", "6379"),
            ("h:1", "6379"),
            ("h", ""),
            ("h", "0"),
            ("h", "+1"),
            ("h", "65536"),
            ("h", "000001"),
            ("h\r\n", "1"),
            ("h\u{e9}", "1"),
        ] {
            assert_eq!(told(host, port), None, "{host:?} {port:?}");
        }
        assert_eq!(told(&"h".repeat(254), "1"), None);
    }

    #[test]
    fn a_switch_is_read_unless_it_is_about_another_service() {
        let read = |message: &str| switched("mymaster", message.as_bytes());
        assert_eq!(read("mymaster 10.0.0.1 1 10.0.0.2 2"), Ok(Some(tcp("10.0.0.2", 2))));
        assert_eq!(read("mymaster2 10.0.0.1 1 10.0.0.2 2"), Ok(None));
        assert_eq!(read("other nonsense"), Ok(None));
        assert_eq!(read(""), Ok(None));
        for broken in ["mymaster ", "mymaster a 1 b", "mymaster a 1 b 2 c", "mymaster a 1 b 0"] {
            assert_eq!(read(broken), Err(ProtocolError::Malformed(MESSAGE)), "{broken}");
        }
    }

    #[test]
    fn named_sentinels_are_deduplicated_and_bounded() {
        let one =
            |n: usize| format!("*4\r\n$2\r\nip\r\n$1\r\nh\r\n$4\r\nport\r\n$4\r\n{}\r\n", 1000 + n);
        let mut frame = format!("*{}\r\n{}{}", 202, one(0), "*2\r\n$2\r\nip\r\n$-1\r\n");
        (0..200).for_each(|n| frame.push_str(&one(n)));
        let found = sentinels(frame.as_bytes()).unwrap();
        assert_eq!(found.len(), Rounds::MOST);
        assert_eq!(found.first(), Some(&tcp("h", 1000)));
        assert_eq!(found.get(1), Some(&tcp("h", 1001)));
        assert!(sentinels(b"*1\r\n$1\r\na\r\n").is_err());
        assert!(sentinels(b"+OK\r\n").is_err());
        assert_eq!(sentinels(b"*0\r\n"), Ok(Vec::new()));
    }
}
