//! The proxy injects the faults that it is told to, and no others.

use std::time::Duration;

use async_caches::rustls::crypto::ring;
use async_caches::rustls::pki_types::pem::PemObject;
use async_caches::rustls::pki_types::{CertificateDer, ServerName};
use async_caches::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;
use crate::certificates::Authority;
use crate::raw::Raw;
use crate::server::{Kind, Server, Setup, Tls};

fn set_up() -> (Server, Proxy, Raw) {
    let server = Server::start(Kind::Redis, &Setup::default());
    let proxy = Proxy::start(server.address());
    let raw = Raw::connect(proxy.address()).unwrap();
    (server, proxy, raw)
}

#[test]
fn replies_are_counted_and_injected_bytes_precede_them() {
    let (_server, proxy, mut raw) = set_up();
    proxy.inject_once(b":1\r\n");
    proxy.drip(1);
    assert_eq!(raw.number(&["PING"]), 1);
    assert_eq!(raw.text(&["DBSIZE"]), "PONG");
    assert_eq!(raw.number(&["PING"]), 0);
    assert_eq!(proxy.accepted(), 1);
    assert!(proxy.replies() >= 2);
}

#[test]
fn one_reply_is_let_through_and_the_next_is_held_back() {
    let (_server, proxy, mut raw) = set_up();
    assert_eq!(raw.text(&["PING"]), "PONG");
    proxy.hold();
    proxy.let_through(1);
    assert_eq!(raw.text(&["PING"]), "PONG");
    let asked = thread::spawn(move || raw.text(&["PING"]));
    thread::sleep(Duration::from_millis(30));
    assert!(!asked.is_finished());
    proxy.release();
    assert_eq!(asked.join().unwrap(), "PONG");
}

#[test]
fn delayed_requests_reach_the_server_after_their_client_disconnects() {
    let (server, proxy, mut raw) = set_up();
    assert_eq!(raw.text(&["PING"]), "PONG");
    proxy.delay_requests();
    let asked = thread::spawn(move || raw.ask(&["INCR", "n"]));
    thread::sleep(Duration::from_millis(30));
    proxy.hang_up();
    assert!(asked.join().unwrap().is_err());
    // Only the connections that were open are delayed.
    let mut other = Raw::connect(proxy.address()).unwrap();
    assert_eq!(other.number(&["EXISTS", "n"]), 0);
    proxy.heal();
    let mut direct = server.raw(0);
    let patience = std::time::Instant::now() + Duration::from_secs(10);
    while direct.number(&["EXISTS", "n"]) == 0 {
        assert!(std::time::Instant::now() < patience, "it never arrived");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(direct.text(&["GET", "n"]), "1");
}

#[test]
fn a_connection_is_closed_in_the_middle_of_a_reply() {
    let (_server, proxy, mut raw) = set_up();
    proxy.cut_after(9, Ending::Closed);
    assert_eq!(raw.text(&["PING"]), "PONG");
    let error = raw.ask(&["PING"]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[cfg(target_os = "linux")]
#[test]
fn a_connection_is_reset_in_the_middle_of_a_reply() {
    let (_server, proxy, mut raw) = set_up();
    proxy.cut_after(9, Ending::Reset);
    assert_eq!(raw.text(&["PING"]), "PONG");
    let error = raw.ask(&["PING"]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[cfg(target_os = "linux")]
#[test]
fn lost_packets_are_sent_again_until_they_come_through() {
    let (_server, proxy, mut raw) = set_up();
    assert_eq!(raw.text(&["PING"]), "PONG");
    assert_eq!(proxy.lose_packets(), Loss::InTheKernel);
    let asked = thread::spawn(move || raw.text(&["PING"]));
    thread::sleep(Duration::from_millis(30));
    assert!(!asked.is_finished());
    proxy.heal();
    assert_eq!(asked.join().unwrap(), "PONG");
}

#[cfg(target_os = "linux")]
#[test]
fn a_lost_dial_is_neither_answered_nor_refused() {
    let (_server, proxy, _raw) = set_up();
    assert_eq!(proxy.lose_dials(), Loss::InTheKernel);
    let dial = TcpStream::connect_timeout(&proxy.address(), Duration::from_millis(50));
    assert_eq!(dial.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn one_byte_of_the_next_reply_is_changed() {
    let (_server, proxy, mut raw) = set_up();
    proxy.corrupt(1, 0b11);
    assert_eq!(raw.text(&["PING"]), "SONG");
    assert_eq!(raw.text(&["PING"]), "PONG");
}

#[test]
fn held_or_vanished_replies_arrive_after_the_proxy_recovers() {
    for (fault, cure) in
        [(Proxy::hold as fn(&Proxy), Proxy::release as fn(&Proxy)), (Proxy::vanish, Proxy::heal)]
    {
        let (_server, proxy, mut raw) = set_up();
        fault(&proxy);
        let asked = thread::spawn(move || raw.text(&["PING"]));
        thread::sleep(Duration::from_millis(30));
        assert!(!asked.is_finished());
        cure(&proxy);
        assert_eq!(asked.join().unwrap(), "PONG");
    }
}

#[test]
fn a_proxy_refuses_new_connections_and_ends_all_when_dropped() {
    let (_server, proxy, mut raw) = set_up();
    assert_eq!(raw.text(&["PING"]), "PONG");
    proxy.refuse();
    let refused = Raw::connect(proxy.address()).and_then(|mut raw| raw.ask(&["PING"]));
    assert!(refused.is_err());
    assert_eq!(raw.text(&["PING"]), "PONG");
    drop(proxy);
    assert!(raw.ask(&["PING"]).is_err());
}

#[test]
fn tls_records_count_as_replies() {
    let authority = Authority::new();
    let server = Server::start(Kind::Redis, &Setup::default().tls(Tls::of(&authority)));
    let proxy = Proxy::start(server.address());
    let mut connection = encrypted(&proxy, &authority);
    connection.write_all(b"PING\r\n").unwrap();
    assert_eq!(read(&mut connection), b"+PONG\r\n");
    proxy.drip(1);
    connection.write_all(b"PING\r\n").unwrap();
    assert_eq!(read(&mut connection), b"+PONG\r\n");
    proxy.hold();
    let before = proxy.replies();
    connection.write_all(b"PING\r\n").unwrap();
    let patience = std::time::Instant::now() + Duration::from_secs(10);
    while proxy.replies() == before {
        assert!(std::time::Instant::now() < patience, "it was never answered");
        thread::sleep(Duration::from_millis(5));
    }
    proxy.cut_after(10, Ending::Closed);
    proxy.release();
    let error = connection.read(&mut [0; 64]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
}

#[test]
fn a_record_is_complete_at_its_last_byte() {
    let record = [23, 3, 3, 1, 2].into_iter().chain([b'x'; 258]).collect::<Vec<u8>>();
    for length in 0..record.len() {
        assert_eq!(whole(&record[..length]), None, "{length}");
    }
    let two = [&record[..], b"\x17\x03"].concat();
    assert_eq!(whole(&record), Some(263));
    assert_eq!(whole(&two), Some(263));
    assert_eq!(whole(b":1\r\n"), Some(4));
}

fn encrypted(proxy: &Proxy, authority: &Authority) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    StreamOwned::new(connection, stream)
}

fn read(connection: &mut impl Read) -> Vec<u8> {
    let mut bytes = [0; 64];
    let length = connection.read(&mut bytes).unwrap();
    bytes[..length].to_vec()
}
