//! An axum service that caches a slow page, with one cache for all handlers.
//!
//! ```text
//! cargo run --example web                              # serves, asks itself a few times, and ends
//! cargo run --example web -- --serve                   # stays, on 127.0.0.1:3000
//! cargo run --example web -- --serve 0.0.0.0:8080
//! CACHE_URL=redis://localhost cargo run --example web  # the cache on a server
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_caches_tokio as caches;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The state of which every handler gets a clone. Clones of a cache share one pool of connections,
/// so it needs no wrapper.
#[derive(Clone)]
struct App {
    cache: caches::Cache,
    rendered: Arc<AtomicU32>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("CACHE_URL").unwrap_or_else(|_| "locmem://web".into());
    let cache = caches::builder(&url).key_prefix("async-caches-web").connect().await?;
    let app = App { cache: cache.clone(), rendered: Arc::default() };

    let mut args = env::args().skip(1);
    match args.next().as_deref() {
        Some("--serve") => {
            let address = args.next().unwrap_or_else(|| "127.0.0.1:3000".into());
            let listener = TcpListener::bind(address).await?;
            println!("try: curl http://{}/pages/hello", listener.local_addr()?);
            axum::serve(listener, router(app)).await?;
        }
        Some("--demo") | None => demo(app).await?,
        Some(other) => return Err(format!("{other:?} is neither --demo nor --serve").into()),
    }
    cache.disconnect().await?;
    Ok(())
}

fn router(app: App) -> Router {
    Router::new().route("/pages/{name}", get(show).delete(forget)).with_state(app)
}

/// Returns a page, rendered at most once in ten seconds, however many clients request it at once.
/// If the cache's server is down, the page is rendered without being stored, and the service keeps
/// working.
async fn show(State(app): State<App>, Path(name): Path<String>) -> Result<String, Trouble> {
    let page = app.cache.get_or_set(&name, render(&name, &app.rendered));
    Ok(page.timeout(Duration::from_secs(10)).await?)
}

/// Forgets a page. A rendering that is under way does not store the old one again.
async fn forget(State(app): State<App>, Path(name): Path<String>) -> Result<String, Trouble> {
    Ok(if app.cache.delete(&name).await? { "forgotten" } else { "not cached" }.into())
}

async fn render(name: &str, rendered: &AtomicU32) -> String {
    tokio::time::sleep(Duration::from_millis(300)).await;
    let times = rendered.fetch_add(1, Ordering::Relaxed) + 1;
    format!("<h1>{name}</h1> (rendering {times})")
}

/// A failure of the cache, as a response.
struct Trouble(caches::Error);

impl From<caches::Error> for Trouble {
    fn from(error: caches::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let status = match self.0.is_retryable() {
            true => StatusCode::SERVICE_UNAVAILABLE,
            false => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.0.to_string()).into_response()
    }
}

/// Serves on a free port and requests the same page in different ways.
async fn demo(app: App) -> Result<(), Box<dyn Error>> {
    app.cache.clear_prefix().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let service = axum::serve(listener, router(app.clone()))
        .with_graceful_shutdown(async { drop(stopped.await) });
    let service = tokio::spawn(service.into_future());

    ask("a miss", address, "GET /pages/hello").await?;
    ask("a hit", address, "GET /pages/hello").await?;
    ask("a delete", address, "DELETE /pages/hello").await?;
    ask("a miss again", address, "GET /pages/hello").await?;

    let before = app.rendered.load(Ordering::Relaxed);
    let rush = (0..10).map(|_| {
        tokio::spawn(async move { ask("ten at once", address, "GET /pages/rush").await.is_ok() })
    });
    for asked in rush.collect::<Vec<_>>() {
        assert!(asked.await?, "a page of the rush did not arrive");
    }
    let times = app.rendered.load(Ordering::Relaxed) - before;
    println!("ten asked for a new page at once, which was rendered {times} time(s)");

    drop(stop);
    service.await??;
    app.cache.clear_prefix().await?;
    Ok(())
}

/// Sends one HTTP request written by hand, so that the example needs no client library.
async fn ask(what: &str, address: SocketAddr, request: &str) -> std::io::Result<()> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let body = response.split_once("\r\n\r\n").map_or("nothing", |(_, body)| body);
    println!("{:>4} ms  {what:<12}  {request:<22}  {body}", began.elapsed().as_millis());
    Ok(())
}
