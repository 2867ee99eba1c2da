//! The sockets of the adapter.

use async_caches_tokio::{Socket, Tokio};

#[tokio::test]
async fn tcp_sockets_do_not_delay_small_writes() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = Tokio::connect_tcp(listener.local_addr().unwrap()).await.unwrap();
    assert!(matches!(socket, Socket::Tcp(stream) if stream.nodelay().unwrap()));
}
