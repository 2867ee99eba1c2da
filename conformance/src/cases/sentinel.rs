//! Sentinels that name the master, and masters that die or are replaced.

use std::net::SocketAddr;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_caches::{Cache, ConnectionError, ConnectionFailure, Error, ServerErrorKind};

use crate::backend::PASSWORD;
use crate::context::{Context, Task, connected};
use crate::frame::Frame;
use crate::sentinels::{self, Trio, is_master, replicated, sentinel, watched};
use crate::server::{Kind, Server, Setup, Watched};

pub async fn the_master_that_a_sentinel_names_is_used(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).await.unwrap();
    assert_eq!(led_to(&cache), Some(cx.server().address().to_string()));
    assert_eq!(cx.raw().text(&["GET", "::key"]), "1");
    let (before, after) = cx.url().split_once("//").expect("it is a URL");
    // The last sentinel alone is enough, under any name of the scheme.
    let (_, last) = after.rsplit_once(',').expect("there are three");
    for scheme in ["redis+sentinel:", "valkey-sentinel:", "valkey+sentinel:", before] {
        let cache = connected(cx.builder_of(&format!("{scheme}//{last}"))).await;
        assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1), "{scheme}");
    }
}

pub async fn sentinels_and_servers_have_separate_passwords(cx: Context) {
    const OTHER: &str = "another c4n4ryPass";
    let kind = kind(&cx);
    let server = Server::start(kind, &Setup::default().password(PASSWORD));
    let guarded = sentinel(kind, &watched(&server, Some(PASSWORD)), Some(OTHER));
    let url = sentinels::url(slice::from_ref(&guarded), &server, 0);
    let cache = connected(cx.builder_of(&url).sentinel_password(OTHER)).await;
    cache.set("key", 1).await.unwrap();
    assert!(!format!("{cache:?}").contains(OTHER));
    // No password, a wrong one, and the server's.
    let none = cx.builder_of(&url);
    let wrong = [cx.builder_of(&url).sentinel_password("hunter2"), none];
    for builder in wrong.into_iter().chain([cx.builder_of(&url).sentinel_password(PASSWORD)]) {
        let error = cx.within(PROMPTLY, "connect", builder.connect()).await.unwrap_err();
        let Error::Unavailable { to, source: ConnectionFailure::Sentinel { at, .. } } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(*to, format!("mymaster@{}", guarded.address()));
        assert_eq!(*at, guarded.address().to_string());
        let refused = error.server_error().expect("the sentinel says why").kind;
        assert!(matches!(refused, ServerErrorKind::NoAuth | ServerErrorKind::WrongPass));
        assert!(!error.is_retryable(), "{error:?}");
    }
    // The sentinel names the master, which demands another password.
    let wrong = url.replace(&server.userinfo(), ":hunter2@");
    let builder = cx.builder_of(&wrong).sentinel_password(OTHER);
    let error = cx.within(PROMPTLY, "connect", builder.connect()).await.unwrap_err();
    assert_eq!(error.server_error().map(|error| error.kind), Some(ServerErrorKind::WrongPass));
    assert!(!matches!(
        error,
        Error::Unavailable { source: ConnectionFailure::Sentinel { .. }, .. }
    ));
}

pub async fn a_service_that_no_sentinel_knows_is_an_error_that_names_it(cx: Context) {
    let url = cx.url().replace("/mymaster/", "/other/");
    let error = cx.within(PROMPTLY, "connect", cx.builder_of(&url).connect()).await.unwrap_err();
    let Error::Unavailable { source: ConnectionFailure::Sentinel { source, .. }, .. } = &error
    else {
        panic!("{error:?}")
    };
    let ConnectionFailure::Connection(ConnectionError::UnknownService { service }) = &**source
    else {
        panic!("{error:?}")
    };
    assert_eq!(&**service, "other");
    assert!(!error.is_retryable() && !error.may_have_run());
}

pub async fn an_outage_of_all_sentinels_is_an_error_that_names_one(cx: Context) {
    let mut server = Server::start(kind(&cx), &Setup::default());
    let mut gone = Server::start(kind(&cx), &Setup::default());
    server.kill();
    gone.kill();
    let url = format!("redis-sentinel://{},{}/mymaster", server.address(), gone.address());
    let error = cx.within(PROMPTLY, "connect", cx.builder_of(&url).connect()).await.unwrap_err();
    let Error::Unavailable { source: ConnectionFailure::Sentinel { at, source }, .. } = &error
    else {
        panic!("{error:?}")
    };
    // The error names the last one that was asked. On a slow machine that may be either.
    assert!([&server, &gone].iter().any(|away| *at == away.address().to_string()), "{at}");
    assert!(matches!(**source, ConnectionFailure::Io(_)) && error.is_retryable(), "{error:?}");
}

pub async fn a_sentinel_that_dies_is_passed_over(cx: Context) {
    passes_over_sentinels(&cx, Server::kill).await;
}

pub async fn a_sentinel_that_falls_silent_is_passed_over(cx: Context) {
    passes_over_sentinels(&cx, |sentinel| sentinel.stop()).await;
}

/// The sentinel that the cache listens to ends. Of the others, one is away and one was silent
/// before.
async fn passes_over_sentinels(cx: &Context, end: fn(&mut Server)) {
    let (kind, server) = (kind(cx), Server::start(kind(cx), &Setup::default()));
    let watched = watched(&server, None);
    let mut all: Vec<_> = (0..3).map(|_| sentinel(kind, &watched, None)).collect();
    let url = sentinels::url(&all, &server, 0);
    all[0].kill();
    all[1].stop();
    let cache = cx.builder_of(&url).build().unwrap();
    cx.within(PROMPTLY + SILENCE, "connect", cache.connect()).await.unwrap();
    cache.set("key", 1).await.unwrap();
    cx.until("the third sentinel is listened to", async || listeners(&all[2]) > 0).await;
    all[1].resume();
    // It reads late what connections that were given up had sent.
    cx.sleep(Duration::from_millis(300)).await;
    cx.until("no connection of before is left", async || listeners(&all[1]) == 0).await;
    end(&mut all[2]);
    // A silent one is found out when it is asked again.
    let another = async {
        while listeners(&all[1]) == 0 {
            cx.sleep(Duration::from_millis(20)).await;
        }
    };
    cx.within(ASKED_EVERY + SILENCE + PROMPTLY, "another sentinel is asked", another).await;
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
    // A disconnect ends the connection to the sentinel as well.
    cache.disconnect().await.unwrap();
    cx.until("nobody listens", async || listeners(&all[1]) == 0).await;
}

pub async fn another_sentinel_is_asked_if_a_stale_one_names_a_replica(cx: Context) {
    let kind = kind(&cx);
    let servers = replicated(kind, None);
    let stale = sentinel(kind, &watched(&servers[1], None), None);
    let url = sentinels::url(slice::from_ref(&stale), &servers[0], 0);
    let builder = cx.builder_of(&url).connect_timeout(BRIEF);
    let start = Instant::now();
    let error = cx.within(PROMPTLY, "connect", builder.connect()).await.unwrap_err();
    assert!(start.elapsed() >= BRIEF, "it is not asked again");
    let Error::Unavailable { source, .. } = &error else { panic!("{error:?}") };
    let not_master = ConnectionFailure::Connection(ConnectionError::NotMaster).to_string();
    assert_eq!(source.to_string(), not_master, "{error:?}");
    assert!(error.is_retryable());
    let right = sentinel(kind, &watched(&servers[0], None), None);
    let both = [stale, right];
    let url = sentinels::url(&both, &servers[0], 0);
    let cache = cx.builder_of(&url).build().unwrap();
    cx.within(PROMPTLY, "connect", cache.connect()).await.unwrap();
    cache.set("key", 1).await.unwrap();
    assert_eq!(servers[0].raw(0).text(&["GET", "::key"]), "1");
}

pub async fn a_master_is_reached_through_the_sentinel_address_map(cx: Context) {
    let kind = kind(&cx);
    let mut servers: Vec<_> = (0..2).map(|_| Server::start(kind, &Setup::default())).collect();
    let watched = Watched { master: inside(&servers[0]), ..watched(&servers[0], None) };
    let only = sentinel(kind, &watched, None);
    let url = sentinels::url(slice::from_ref(&only), &servers[0], 0);
    let builder = cx.builder_of(&url).connect_timeout(BRIEF);
    let error = cx.within(PROMPTLY, "connect", builder.connect()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "nobody listens there: {error:?}");
    // What it returns is no address for any other host.
    let map = |host: &str, port| match host {
        INSIDE => ("127.0.0.1".to_owned(), port),
        _ => (String::new(), 0),
    };
    let cache = connected(cx.builder_of(&url).sentinel_address_map(map)).await;
    cache.set("key", 1).await.unwrap();
    assert_eq!(servers[0].raw(0).text(&["GET", "::key"]), "1");
    assert_eq!(led_to(&cache), Some(servers[0].address().to_string()));
    // Another master is reached in the same way, and one that is named as it is reached as well.
    for address in [inside(&servers[1]), servers[1].address()] {
        servers[0].kill();
        let mut raw = only.raw_sentinel();
        raw.call(&["SENTINEL", "REMOVE", Trio::SERVICE]);
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        raw.call(&["SENTINEL", "MONITOR", Trio::SERVICE, &host, &port, "1"]);
        cx.until("writes are taken", async || cache.set("key", 2).await.is_ok()).await;
        assert_eq!(led_to(&cache), Some(servers[1].address().to_string()));
    }
}

pub async fn named_sentinels_are_reached_through_the_sentinel_address_map(cx: Context) {
    let mut trio = Trio::start(kind(&cx), None, UNDISTURBED);
    for sentinel in &trio.sentinels {
        sentinel.raw_sentinel().call(&["SENTINEL", "CONFIG", "SET", "announce-ip", INSIDE]);
    }
    let others = ["SENTINEL", "SENTINELS", Trio::SERVICE];
    for sentinel in &trio.sentinels {
        let has = |said: &Frame| match said {
            Frame::List(fields) => fields.contains(&Frame::Bulk(INSIDE.into())),
            _ => false,
        };
        let named = async || match sentinel.raw_sentinel().call(&others) {
            Frame::List(others) => others.len() == 2 && others.iter().all(has),
            said => panic!("{said:?}"),
        };
        cx.until("it knows the others by another address", named).await;
    }
    let url = sentinels::url(&trio.sentinels[..1], &trio.servers[0], 0);
    let map = |host: &str, port| (host.replace(INSIDE, "127.0.0.1"), port);
    let cache = connected(cx.builder_of(&url).sentinel_address_map(map)).await;
    cx.until("it listens", async || listeners(&trio.sentinels[0]) > 0).await;
    trio.sentinels.remove(0).kill();
    let listened_to = async || trio.sentinels.iter().any(|other| listeners(other) > 0);
    cx.until("another sentinel is listened to", listened_to).await;
    cache.set("key", 1).await.unwrap();
}

/// Where a server is as a sentinel knows it: an address without a listener.
fn inside(server: &Server) -> SocketAddr {
    SocketAddr::new(INSIDE.parse().expect("it is an address"), server.address().port())
}

pub async fn a_cache_goes_on_while_all_sentinels_are_away(cx: Context) {
    let (kind, server) = (kind(&cx), Server::start(kind(&cx), &Setup::default()));
    let mut only = sentinel(kind, &watched(&server, None), None);
    let url = sentinels::url(slice::from_ref(&only), &server, 0);
    let cache = connected(cx.builder_of(&url).maxsize(1)).await;
    only.kill();
    for n in 0..5 {
        cache.set("key", n).await.unwrap();
        server.raw(0).call(&["CLIENT", "KILL", "TYPE", "normal"]);
        let again = async || cache.get("key").await.is_ok_and(|read| read == Some(n));
        cx.until("the cache is back", again).await;
    }
    cx.within(PROMPTLY, "disconnect", cache.disconnect()).await.unwrap();
}

pub async fn calls_fail_in_time_while_a_lost_master_is_not_replaced(cx: Context) {
    let (kind, mut server) = (kind(&cx), Server::start(kind(&cx), &Setup::default()));
    let only = sentinel(kind, &watched(&server, None), None);
    let url = sentinels::url(slice::from_ref(&only), &server, 0);
    let cache = connected(cx.builder_of(&url).response_timeout(BRIEF)).await;
    cache.set("key", 1).await.unwrap();
    server.kill();
    for _ in 0..3 {
        let error = cx.within(BRIEF + SLACK, "set", cache.set("key", 2)).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
    }
    let loaded = cx.within(BRIEF + SLACK, "a load", cache.get_or_set("other", async { 3 })).await;
    assert_eq!(loaded.unwrap(), 3);
    // The sentinel is not asked without end either.
    let asked = || stat(&only.raw_sentinel().text(&["INFO", "stats"]), "total_commands_processed");
    let before = asked();
    cx.sleep(BRIEF).await;
    let asked = asked() - before;
    assert!((6..60).contains(&asked), "{asked} commands in {BRIEF:?}");
    server.revive();
    cx.until("the cache is back", async || cache.set("key", 4).await.is_ok()).await;
}

pub async fn a_write_that_a_demoted_master_refuses_is_done_by_the_next_one(cx: Context) {
    let kind = kind(&cx);
    let servers = replicated(kind, None);
    let only = sentinel(kind, &watched(&servers[0], None), None);
    let url = sentinels::url(slice::from_ref(&only), &servers[0], 0);
    let cache = connected(cx.builder_of(&url).maxsize(2)).await;
    cache.set("sum", 0).await.unwrap();
    cx.until("the replica has it", async || servers[1].raw(0).number(&["DBSIZE"]) == 1).await;
    servers[1].raw(0).call(&["REPLICAOF", "NO", "ONE"]);
    follow(&servers[0], &servers[1]);
    let incr = cx.spawn({
        let cache = cache.clone();
        async move { cache.incr("sum", 1).await }
    });
    let batch = cx.spawn({
        let cache = cache.clone();
        async move { cache.set_many([("a", 1), ("b", 2)]).await }
    });
    // The sentinel still names the old master for a while, which must not start a storm.
    let asked = || servers[0].raw(0).text(&["INFO", "stats"]);
    cx.sleep(BRIEF).await;
    assert!(!incr.is_done() && !batch.is_done(), "who is the master is not known yet");
    let dials = stat(&asked(), "total_connections_received");
    assert!(dials < 60, "{dials} connections");
    let mut raw = only.raw_sentinel();
    raw.call(&["SENTINEL", "REMOVE", Trio::SERVICE]);
    let port = servers[1].address().port().to_string();
    raw.call(&["SENTINEL", "MONITOR", Trio::SERVICE, "127.0.0.1", &port, "1"]);
    assert_eq!(cx.within(PROMPTLY, "incr", incr).await.unwrap(), 1);
    cx.within(PROMPTLY, "set_many", batch).await.unwrap();
    let mut raw = servers[1].raw(0);
    assert_eq!(raw.text(&["GET", "::sum"]), "1");
    assert_eq!(raw.text(&["GET", "::b"]), "2");
}

pub async fn callers_under_load_survive_the_death_of_the_master_and_its_sentinel(cx: Context) {
    let mut trio = Trio::start(kind(&cx), Some(PASSWORD), MISSED_AFTER);
    let cache = connected(cx.builder_of(&trio.url(0)).maxsize(3)).await;
    let load = Load::begin(&cx, &cache).await;
    // The master and the sentinel die together, as if they were on one machine.
    let listened_to = trio.sentinels.iter().position(|sentinel| listeners(sentinel) > 0);
    trio.sentinels.remove(listened_to.expect("one is listened to")).kill();
    trio.servers[0].kill();
    let promoted_at = promoted(&cx, &trio.servers[1]).await;
    load.writes_again(&cx, promoted_at).await;
    assert_eq!(led_to(&cache), Some(trio.servers[1].address().to_string()));
    load.end(&cx, &trio.servers[1]).await;
}

pub async fn callers_under_load_survive_a_master_that_is_made_a_replica(cx: Context) {
    let trio = Trio::start(kind(&cx), Some(PASSWORD), UNDISTURBED);
    let cache = connected(cx.builder_of(&trio.url(0)).maxsize(3)).await;
    let load = Load::begin(&cx, &cache).await;
    trio.fail_over();
    let promoted_at = promoted(&cx, &trio.servers[1]).await;
    // The old server goes on as a master, and no connection of the cache is left there.
    let left = async || trio.servers[0].raw(0).other_clients().is_empty();
    cx.until("no connection to the old master is left", left).await;
    let took = promoted_at.elapsed();
    assert!(
        took < WRITES_WITHIN,
        "connections to the old master ended {took:?} after the promotion"
    );
    // Sentinels do this too, but only after ten seconds.
    follow(&trio.servers[0], &trio.servers[1]);
    load.writes_again(&cx, promoted_at).await;
    load.end(&cx, &trio.servers[1]).await;
}

pub async fn disconnect_during_a_failover_ends_all_calls(cx: Context) {
    let mut trio = Trio::start(kind(&cx), Some(PASSWORD), MISSED_AFTER);
    let cache = connected(cx.builder_of(&trio.url(0))).await;
    let load = Load::begin(&cx, &cache).await;
    trio.servers[0].kill();
    cx.within(PROMPTLY + SILENCE, "disconnect", cache.disconnect()).await.unwrap();
    for caller in load.callers {
        cx.in_time(PROMPTLY, "a caller", caller).await;
    }
    for sentinel in &trio.sentinels {
        cx.until("no sentinel is listened to", async || listeners(sentinel) == 0).await;
    }
    // It connects again, to the server that is the master by then.
    let again = async || cache.connect().await.is_ok();
    cx.until("the cache connects", again).await;
    cx.until("writes are taken", async || cache.set("key", 1).await.is_ok()).await;
}

fn kind(cx: &Context) -> Kind {
    cx.backend().kind().expect("it is a server")
}

/// How many connections listen to a sentinel, apart from those of other sentinels.
fn listeners(sentinel: &Server) -> usize {
    sentinel
        .raw_sentinel()
        .text(&["CLIENT", "LIST"])
        .lines()
        .filter(|line| line.contains(" sub=1 ") && !line.contains(" name=sentinel-"))
        .count()
}

/// The address that a cache's connections are dialled to.
fn led_to(cache: &Cache) -> Option<String> {
    cache.info().pool()?.endpoint.as_ref().map(ToString::to_string)
}

/// Makes a server the replica of another.
fn follow(server: &Server, master: &Server) {
    let port = master.address().port().to_string();
    server.raw(0).call(&["REPLICAOF", "127.0.0.1", &port]);
}

fn stat(info: &str, name: &str) -> u64 {
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| value.parse().ok()).expect("it is a number")
}

/// Waits until a replica is seen to be a master. Returns when that was.
pub(super) async fn promoted(cx: &Context, replica: &Server) -> Instant {
    cx.until("the replica is promoted", async || is_master(replica)).await;
    Instant::now()
}

/// Callers that add, set and get without a pause until told to stop. Each operation ends with a
/// value or a typed error.
struct Load {
    cache: Cache,
    stop: Arc<AtomicBool>,
    callers: Vec<Task<Report>>,
}

/// The results of one caller's sums.
#[derive(Debug, Default)]
struct Report {
    /// How many additions ran for certain, and how many may have run.
    added: i64,
    maybe: i64,
    /// When its writes succeeded.
    wrote: Vec<Instant>,
    /// The sums that were returned. They rise, unless a server loses writes.
    sums: Vec<i64>,
}

impl Load {
    async fn begin(cx: &Context, cache: &Cache) -> Self {
        let stop = Arc::<AtomicBool>::default();
        for n in 0..CALLERS {
            cache.set(format!("sum{n}"), 0).await.unwrap();
            cache.set(format!("own{n}"), n).await.unwrap();
        }
        let caller = |n| cx.spawn(call(cx.clone(), cache.clone(), Arc::clone(&stop), n));
        let callers = (0..CALLERS).map(caller).collect();
        cx.sleep(Duration::from_millis(100)).await;
        Self { cache: cache.clone(), stop, callers }
    }

    /// Asserts that writes succeed within two seconds of the promotion.
    async fn writes_again(&self, cx: &Context, promoted_at: Instant) {
        let wrote = cx.in_time(PATIENCE, "a write", async {
            while self.cache.set("after", 1).await.is_err() {
                cx.sleep(Duration::from_millis(2)).await;
            }
            Instant::now()
        });
        let took = wrote.await.saturating_duration_since(promoted_at);
        assert!(took < WRITES_WITHIN, "writes were taken {took:?} after the promotion");
    }

    /// Waits until every caller ends, and asserts that no addition ran twice.
    async fn end(self, cx: &Context, master: &Server) {
        cx.sleep(Duration::from_millis(100)).await;
        self.stop.store(true, Ordering::Relaxed);
        let mut raw = master.raw(0);
        for (n, caller) in self.callers.into_iter().enumerate() {
            let report = cx.in_time(PATIENCE, "a caller", caller).await;
            assert!(report.added > 0 && !report.wrote.is_empty());
            let sum: i64 = raw.text(&["GET", &format!("::sum{n}")]).parse().unwrap();
            assert!(sum <= report.added + report.maybe, "{n}: {sum} of {report:?}");
            // The last writes that the old master acknowledged may not have reached the new one.
            // That can happen once.
            let drops = report.sums.windows(2).filter(|pair| pair[1] <= pair[0]).count();
            assert!(drops <= 1, "{n}: {drops} drops in {report:?}");
        }
        self.cache.disconnect().await.unwrap();
    }
}

async fn call(cx: Context, cache: Cache, stop: Arc<AtomicBool>, n: i64) -> Report {
    let (sum, own) = (format!("sum{n}"), format!("own{n}"));
    let mut report = Report::default();
    while !stop.load(Ordering::Relaxed) {
        match cx.in_time(LONGEST, "incr", cache.incr(sum.as_str(), 1)).await {
            Ok(now) => {
                report.added += 1;
                report.sums.push(now);
                report.wrote.push(Instant::now());
            }
            Err(Error::NotConnected) => break,
            Err(error) => {
                report.maybe += i64::from(error.may_have_run());
                bear(&cx, &error).await;
            }
        }
        match cx.in_time(LONGEST, "get", cache.get::<i64>(own.as_str())).await {
            Ok(read) => assert_eq!(read, Some(n)),
            Err(Error::NotConnected) => break,
            Err(error) => bear(&cx, &error).await,
        }
        let both = [(own.as_str(), n), ("shared", 0)];
        match cx.in_time(LONGEST, "set_many", cache.set_many(both)).await {
            Ok(()) => report.wrote.push(Instant::now()),
            Err(Error::NotConnected) => break,
            Err(error) => bear(&cx, &error).await,
        }
    }
    report
}

/// Checks that an error is one that a failover can cause, and waits a moment before the next try.
async fn bear(cx: &Context, error: &Error) {
    match error {
        Error::Disconnected { .. } | Error::Unavailable { .. } | Error::Timeout { .. } => {}
        other => panic!("{other:?}"),
    }
    assert!(error.is_retryable(), "{error:?}");
    cx.sleep(Duration::from_millis(2)).await;
}

const INSIDE: &str = "127.0.0.9";
const CALLERS: i64 = 12;
const BRIEF: Duration = Duration::from_millis(600);
const SLACK: Duration = Duration::from_secs(3);
const PROMPTLY: Duration = Duration::from_secs(4);
/// How long a cache waits for a silent sentinel.
const SILENCE: Duration = Duration::from_secs(2);
/// How often a cache asks the sentinel that it listens to.
const ASKED_EVERY: Duration = Duration::from_secs(10);
const WRITES_WITHIN: Duration = Duration::from_secs(2);
/// The response timeout, plus the delays of a busy machine.
const LONGEST: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_secs(30);
const MISSED_AFTER: Duration = Duration::from_millis(500);
const UNDISTURBED: Duration = Duration::from_secs(60);
