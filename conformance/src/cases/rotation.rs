//! Credentials that change: requested before each connection, and sent anew on open ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_caches::{
    Cache, ConnectionFailure, Credentials, CredentialsError, Error, ServerErrorKind,
};

use crate::context::{Context, connected};
use crate::proxy::Proxy;
use crate::server::{Server, Setup};

pub async fn a_provider_is_asked_before_each_connection(cx: Context) {
    let server = cx.start(&Setup::default());
    allow(&server, "alice", "first");
    let proxy = Proxy::start(server.address());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let provider = move || {
        let secret = if count.fetch_add(1, Ordering::SeqCst) == 0 { "first" } else { "second" };
        std::future::ready(Ok(who("alice", secret)))
    };
    // The URL's credentials are not sent: they would be refused.
    let url = format!("redis://nobody:hunter2@{}", proxy.address());
    let cache = connected(cx.builder_of(&url).maxsize(1).credentials_provider(provider)).await;
    cache.set("key", 1).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    server.raw(0).call(&["ACL", "SETUSER", "alice", "resetpass", ">second"]);
    proxy.sever();
    let get = cx.within(Duration::from_secs(5), "a get", cache.get::<i32>("key")).await;
    assert_eq!(get.unwrap(), Some(1));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

pub async fn a_failing_provider_is_reported_and_retried_without_a_storm(cx: Context) {
    let server = cx.start(&Setup::default());
    allow(&server, "alice", "secret");
    let proxy = Proxy::start(server.address());
    let (asked, works) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let (count, mended) = (Arc::clone(&asked), Arc::clone(&works));
    let provider = move || {
        count.fetch_add(1, Ordering::SeqCst);
        let said = match mended.load(Ordering::SeqCst) {
            true => Ok(who("alice", "secret")),
            false => Err(CredentialsError::from("the vault is sealed")),
        };
        std::future::ready(said)
    };
    let response = Duration::from_millis(300);
    let url = format!("redis://{}", proxy.address());
    let builder = cx.builder_of(&url).response_timeout(response).credentials_provider(provider);
    works.store(false, Ordering::SeqCst);
    let error = builder.clone().connect().await.unwrap_err();
    assert!(error.with_sources().to_string().contains("the vault is sealed"), "{error}");
    let Error::Unavailable { source: ConnectionFailure::Credentials(_), .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(proxy.accepted(), 0, "nobody is dialled who cannot be told who we are");
    works.store(true, Ordering::SeqCst);
    let cache = connected(builder).await;
    works.store(false, Ordering::SeqCst);
    proxy.sever();
    let (start, before) = (Instant::now(), asked.load(Ordering::SeqCst));
    while start.elapsed() < Duration::from_secs(1) {
        let _ = cx.in_time(Duration::from_secs(2), "a get", cache.get::<i32>("key")).await;
        cx.sleep(Duration::from_millis(5)).await;
    }
    let times = asked.load(Ordering::SeqCst) - before;
    assert!((1..=12).contains(&times), "asked {times} times");
    works.store(true, Ordering::SeqCst);
    cx.until("the cache is back", async || cache.get::<i32>("key").await.is_ok()).await;
}

pub async fn a_provider_that_never_answers_ends_with_the_connect_timeout(cx: Context) {
    let server = cx.start(&Setup::default());
    let url = format!("redis://{}", server.address());
    let builder = cx
        .builder_of(&url)
        .connect_timeout(Duration::from_millis(200))
        .credentials_provider(std::future::pending::<Result<Credentials, CredentialsError>>);
    let connect = cx.within(Duration::from_secs(2), "a connect", builder.connect()).await;
    let Error::Unavailable { source: ConnectionFailure::Connection(_), .. } = connect.unwrap_err()
    else {
        panic!("another error")
    };
}

pub async fn credentials_of_the_builder_beat_those_of_the_url(cx: Context) {
    let server = cx.start(&Setup::default());
    allow(&server, "alice", "p?#[]%é\"'&+");
    let url = format!("redis://nobody:hunter2@{}", server.address());
    let cache = connected(cx.builder_of(&url).credentials(who("alice", "p?#[]%é\"'&+"))).await;
    assert_eq!(users(&server), ["alice"]);
    let shown = format!("{cache:?} {:?}", cx.builder_of(&url).credentials(who("alice", "hunter2")));
    assert!(!shown.contains("hunter2") && !shown.contains("p?#"), "{shown}");
}

pub async fn reauthenticate_changes_open_connections_and_no_call_is_lost(cx: Context) {
    let server = cx.start(&Setup::default());
    allow(&server, "alice", "first");
    allow(&server, "bob", "second");
    let proxy = Proxy::start(server.address());
    let url = format!("redis://alice:first@{}", proxy.address());
    let cache = connected(cx.builder_of(&url).minsize(3)).await;
    cx.until("all connections are open", async || users(&server) == ["alice"; 3]).await;
    let over = Arc::new(AtomicBool::new(false));
    let load: Vec<_> =
        (0..8).map(|task| cx.spawn(hammer(cache.clone(), task, Arc::clone(&over)))).collect();
    cache.reauthenticate(&who("bob", "second"));
    cx.until("all connections are bob's", async || users(&server) == ["bob"; 3]).await;
    // A connection that was still alice's would be closed by this.
    server.raw(0).call(&["ACL", "DELUSER", "alice"]);
    cx.sleep(Duration::from_millis(100)).await;
    over.store(true, Ordering::SeqCst);
    for task in load {
        let calls = cx.within(Duration::from_secs(10), "calls", task).await;
        assert!(calls > 0);
    }
    assert_eq!(proxy.accepted(), 3, "no connection was replaced");
    proxy.sever();
    let ping = cx.within(Duration::from_secs(5), "a ping", cache.ping()).await;
    ping.expect("connections to come are bob's too");
}

pub async fn reauthenticate_before_connect_takes_effect_on_connect(cx: Context) {
    let server = cx.start(&Setup::default());
    allow(&server, "bob", "second");
    let url = format!("redis://alice:first@{}", server.address());
    let cache = cx.builder_of(&url).build().unwrap();
    cache.reauthenticate(&who("bob", "second"));
    cache.connect().await.unwrap();
    assert_eq!(users(&server), ["bob"]);
}

pub async fn a_refused_reauthentication_is_a_typed_error_and_starts_no_storm(cx: Context) {
    let server = cx.start(&Setup::default());
    allow(&server, "alice", "first");
    let proxy = Proxy::start(server.address());
    let url = format!("redis://alice:first@{}", proxy.address());
    let response = Duration::from_millis(500);
    let cache = connected(cx.builder_of(&url).maxsize(2).response_timeout(response)).await;
    cache.reauthenticate(&who("alice", "hunter2"));
    let (start, before) = (Instant::now(), proxy.accepted());
    let mut refusals = 0;
    while start.elapsed() < Duration::from_millis(1_500) {
        let get = cx.within(Duration::from_secs(2), "a get", cache.get::<i32>("key")).await;
        if let Err(error) = get {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
            let kind = error.server_error().map(|error| error.kind);
            refusals += u32::from(kind == Some(ServerErrorKind::WrongPass));
        }
        cx.sleep(Duration::from_millis(10)).await;
    }
    assert!(refusals > 0, "no error says that the credentials were refused");
    let dials = proxy.accepted() - before;
    assert!(dials <= 6, "{dials} dials");
    cache.reauthenticate(&who("alice", "first"));
    let get = cx.within(Duration::from_secs(2), "a get", cache.get::<i32>("key")).await;
    get.expect("nobody waits for the end of a backoff that has lost its cause");
}

fn who(user: &str, password: &str) -> Credentials {
    Credentials { username: Some(user.to_owned()), password: password.into() }
}

fn allow(server: &Server, user: &str, password: &str) {
    let secret = format!(">{password}");
    server.raw(0).call(&["ACL", "SETUSER", user, "on", &secret, "~*", "&*", "+@all"]);
}

/// The user of each of the caches' connections, as the server lists it.
fn users(server: &Server) -> Vec<String> {
    let of = |line: &String| {
        let user = line.split(' ').find_map(|field| field.strip_prefix("user="));
        user.expect("it says the user").to_owned()
    };
    server.raw(0).other_clients().iter().map(of).collect()
}

/// Makes calls until `over` is set. All must succeed. Returns how many there were.
async fn hammer(cache: Cache, task: usize, over: Arc<AtomicBool>) -> usize {
    let key = format!("key{task}");
    let mut calls = 0;
    while !over.load(Ordering::SeqCst) {
        cache.set(&key, calls).await.unwrap();
        assert_eq!(cache.get(&key).await.unwrap(), Some(calls));
        calls += 1;
    }
    calls
}
