//! A TLS server on one machine. `cargo run -p async-caches-conformance --example tls` makes an
//! authority and a certificate, and starts a Redis server that speaks only TLS. A connection
//! without the authority is refused, one with it is served. The server is stopped by its process id
//! at the end, and its files are removed.
//!
//! With `--keep` it waits until its input ends, so that a program of your own can use the URL that
//! it prints.
#![allow(clippy::print_stdout, reason = "it tells what happens")]

use std::io::Read as _;

use async_caches_conformance::certificates::Authority;
use async_caches_conformance::server::{Kind, Server, Setup, Tls};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), async_caches_tokio::Error> {
    let server = Server::start(Kind::Redis, &Setup::default().tls(Tls::of(&Authority::new())));
    let url = server.url(0);
    println!("{url}");
    if std::env::args().any(|argument| argument == "--keep") {
        println!("it runs until the input ends (Ctrl-D)");
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        return Ok(());
    }
    let (anybody, _) = url.split_once("?tls_ca=").unwrap_or((&url, ""));
    match async_caches_tokio::connect(anybody).await {
        Ok(_) => println!("this machine trusts an authority that nobody knows"),
        Err(error) => println!("without tls_ca: {error}"),
    }
    let cache = async_caches_tokio::connect(&url).await?;
    cache.set("said", "in secret").await?;
    println!("with tls_ca: {:?}", cache.get::<String>("said").await?);
    cache.disconnect().await
}
