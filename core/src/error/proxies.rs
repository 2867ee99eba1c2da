//! The errors of proxies that cannot reach the server behind them.
//!
//! Proxies have no error code for this. Envoy sends a bare sentence, Twemproxy sends the operating
//! system's words after `ERR`, and others send a sentence after `ERR`. So this module strips such a
//! prefix and compares the start of the text, ignoring case, with the known sentences. Sources:
//! Envoy's `command_splitter_impl.h`, Twemproxy's `nc_response.c`, predixy's `Response.cpp`, Redis
//! Cluster Proxy's `cluster.c` and `proxy.c`, Codis's `forward.go`.

/// Whether `text` is such an error.
pub(super) fn is_outage(text: &str) -> bool {
    begins(text, &NOTHING_SENT) || begins(text, &LOST)
}

/// Whether `text` means that the proxy had no connection to the server, so that it sent nothing.
pub(super) fn has_sent_nothing(text: &str) -> bool {
    begins(text, &NOTHING_SENT)
}

fn begins(text: &str, sentences: &[&str]) -> bool {
    let text = text.trim_start();
    let text = match text.split_once(' ') {
        Some((code, rest)) if code.eq_ignore_ascii_case("ERR") => rest.trim_start(),
        Some(_) | None => text,
    };
    let is_start = |sentence: &&str| {
        text.get(..sentence.len()).is_some_and(|start| start.eq_ignore_ascii_case(sentence))
    };
    sentences.iter().any(is_start)
}

const NOTHING_SENT: [&str; 12] = [
    // Envoy.
    "no upstream host",
    "no healthy upstream",
    // Twemproxy, and every proxy that passes on the operating system's error for a failed dial.
    "connection refused",
    "no route to host",
    "host is down",
    "host is unreachable",
    "network is unreachable",
    "network is down",
    // predixy, which misspells the word; and the correct spelling.
    "no server avaliable",
    "no server available",
    "no server connection ava",
    // Redis Cluster Proxy.
    "could not connect to ",
];

const LOST: [&str; 15] = [
    // Envoy.
    "upstream failure",
    "upstream protocol error",
    "upstream connect error",
    "upstream request timeout",
    // Twemproxy.
    "connection timed out",
    "connection reset by peer",
    "operation timed out",
    "broken pipe",
    "server closed the connection",
    // predixy.
    "server connection close",
    "deliver request fail",
    // Redis Cluster Proxy.
    "cluster node disconnected",
    "failed to read from ",
    // Codis.
    "backend conn",
    "handle response, backend conn",
];

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::ToString;

    use super::*;
    use crate::error::{ServerError, ServerErrorKind};

    #[test]
    fn an_outage_at_a_proxy_is_recognized_in_any_case() {
        for sentence in NOTHING_SENT.iter().chain(&LOST) {
            for text in [
                sentence.to_string(),
                format!("ERR {sentence}"),
                format!("err {}", sentence.to_uppercase()),
                format!("Err {sentence}: 10.0.0.1:6379"),
            ] {
                let error = ServerError::parse(text.as_bytes());
                assert_eq!(error.kind, ServerErrorKind::Unreachable, "{text}");
                assert!(error.kind.is_outage());
            }
        }
    }

    #[test]
    fn a_command_has_not_run_if_the_proxy_had_no_connection() {
        for (text, may_have_run) in [
            ("no upstream host", false),
            ("ERR Connection refused", false),
            ("ERR no server connection avaliable", false),
            ("upstream failure", true),
            ("ERR Connection timed out", true),
            ("ERR server connection close", true),
            ("ERR unknown command", false),
        ] {
            assert_eq!(ServerError::parse(text.as_bytes()).may_have_run(), may_have_run, "{text}");
        }
    }

    #[test]
    fn errors_that_merely_quote_an_outage_are_not_outages() {
        for text in [
            "ERR",
            "",
            "ERR unknown command 'upstream failure'",
            "WRONGTYPE upstream failure",
            "ERR value is not an integer or out of range",
            "shard is away",
            "upstream",
        ] {
            let kind = ServerError::parse(text.as_bytes()).kind;
            assert_ne!(kind, ServerErrorKind::Unreachable, "{text}");
        }
    }
}
