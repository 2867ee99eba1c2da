//! Credentials: which users get in, and the errors of those that do not.

use std::time::{Duration, Instant};

use async_caches::{Error, Remaining, ServerErrorKind};

use super::ops::LONG;
use crate::backend::{CANARY, PASSWORD};
use crate::context::{Context, connected};
use crate::proxy::Proxy;
use crate::server::{Server, Setup, percent_encoded};

pub async fn a_wrong_password_fails_at_once_and_starts_no_storm(cx: Context) {
    let server = cx.start(&Setup::default().password("the right one"));
    let proxy = Proxy::start(server.address());
    let urls = [
        format!("redis://:hunter2@{}", proxy.address()),
        format!("redis://nobody:hunter2@{}", proxy.address()),
        format!("redis://{}", proxy.address()),
    ];
    for url in urls {
        let before = proxy.accepted();
        let start = Instant::now();
        let cache = cx.builder_of(&url).minsize(2).build().unwrap();
        let error = cache.connect().await.unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(2), "{url}: {:?}", start.elapsed());
        assert!(is_refusal(&error), "{url}: {error:?}");
        let shown = format!("{error} {error:?} {cache:?}");
        assert!(!shown.contains("hunter2"), "{url}: {shown}");
        cx.sleep(Duration::from_millis(300)).await;
        let dials = proxy.accepted() - before;
        assert!((1..=3).contains(&dials), "{url}: {dials} dials");
    }
}

pub async fn a_password_changed_under_a_cache_starts_no_storm(cx: Context) {
    let server = cx.start(&Setup::default().password("old"));
    let proxy = Proxy::start(server.address());
    let url = server.url_at(proxy.address(), 0);
    let response = Duration::from_millis(500);
    let cache = connected(cx.builder_of(&url).maxsize(2).response_timeout(response)).await;
    cache.set("key", 1).await.unwrap();
    server.raw(0).call(&["CONFIG", "SET", "requirepass", "new"]);
    proxy.sever();
    let before = proxy.accepted();
    let start = Instant::now();
    let mut refusals = 0;
    while start.elapsed() < Duration::from_millis(1_500) {
        let get = cx.within(Duration::from_secs(2), "a get", cache.get::<i32>("key")).await;
        let error = get.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("old"), "{error:?}");
        refusals += u32::from(is_refusal(&error));
        cx.sleep(Duration::from_millis(10)).await;
    }
    assert!(refusals > 0, "no error says that the credentials were refused");
    let dials = proxy.accepted() - before;
    assert!((1..=6).contains(&dials), "{dials} dials");
}

pub async fn credentials_with_reserved_url_characters_are_accepted(cx: Context) {
    let server = cx.start(&Setup::default());
    let (user, password) = ("a@b:c/d", "p?#[]%é\"'&+");
    let rule = format!(">{password}");
    server.raw(0).call(&["ACL", "SETUSER", user, "on", &rule, "~*", "&*", "+@all"]);
    server.raw(0).call(&["ACL", "SETUSER", "default", "off"]);
    let userinfo = format!("{}:{}", percent_encoded(user), percent_encoded(password));
    let url = format!("redis://{userinfo}@{}/5", server.address());
    let cache = connected(cx.builder_of(&url)).await;
    cache.set("key", 1).await.unwrap();
    assert_eq!(cache.get::<i32>("key").await.unwrap(), Some(1));
}

pub async fn a_command_without_permission_is_a_server_error(cx: Context) {
    let server = cx.start(&Setup::default());
    let rules = ["ACL", "SETUSER", "reader", "on", ">pass", "~*", "+@read", "+@connection"];
    server.raw(0).call(&rules);
    let cache =
        connected(cx.builder_of(&format!("redis://reader:pass@{}", server.address()))).await;
    let Error::Server(error) = cache.set("key", 1).await.unwrap_err() else { panic!() };
    assert_eq!(error.kind, ServerErrorKind::NoPerm, "{error}");
    assert_eq!(cache.get::<i32>("key").await.unwrap(), None);
}

pub async fn operations_that_need_a_script_fail_for_a_user_without_scripts(cx: Context) {
    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&scriptless(&server, &["-@scripting"]))).await;
    cache.set("key", 1).await.unwrap();
    let refused = [
        cache.incr("key", 1).await.map(drop),
        cache.incr("absent", 1).or_insert(0).timeout(LONG).await.map(drop),
        cache.incr("absent", 0.5).or_insert(0.0).await.map(drop),
        cache.delete_if_equals("key", 1).await.map(drop),
    ];
    for outcome in refused {
        let Error::Server(error) = outcome.unwrap_err() else { panic!() };
        assert_eq!(error.kind, ServerErrorKind::NoPerm, "{error}");
        let names_it = ["'eval'", "'evalsha'"].iter().any(|name| error.text().contains(name));
        assert!(names_it, "it does not say what is not permitted: {error}");
    }
    assert_eq!(cache.get_many::<i32>(["key", "absent"]).await.unwrap(), [Some(1), None]);
}

pub async fn a_user_without_scripts_removes_timeouts_by_plain_commands(cx: Context) {
    let server = cx.start(&Setup::default());
    let cache = connected(cx.builder_of(&scriptless(&server, &[])).maxsize(1)).await;
    cache.set("key", 1).timeout(LONG).await.unwrap();
    cache.set("eternal", 2).forever().await.unwrap();
    for _ in 0..3 {
        assert!(cache.touch("key").forever().await.unwrap());
        assert!(cache.touch("eternal").await.unwrap());
        assert!(!cache.touch("absent").forever().await.unwrap());
    }
    for key in ["key", "eternal"] {
        assert_eq!(cache.remaining(key).await.unwrap(), Remaining::Forever, "{key}");
    }
    assert_eq!(cache.remaining("absent").await.unwrap(), Remaining::Absent);
    assert_eq!(refused_scripts(&server), 1, "the connection keeps in mind that it may not");
    // On other connections it is tried again, as they may be another user's.
    let cache = connected(cx.builder_of(&scriptless(&server, &[])).maxsize(1)).await;
    assert!(cache.touch("key").forever().await.unwrap());
    assert_eq!(refused_scripts(&server), 2);
}

pub async fn a_user_unable_to_remove_timeouts_gets_a_server_error(cx: Context) {
    let server = cx.start(&Setup::default());
    for denied in ["persist", "exists"] {
        let url = scriptless(&server, &[&format!("-{denied}")]);
        let cache = connected(cx.builder_of(&url).maxsize(1)).await;
        cache.set("key", 1).timeout(LONG).await.unwrap();
        for _ in 0..2 {
            let touch = cx.within(PROMPTLY, "a touch", cache.touch("key").forever()).await;
            let Error::Server(error) = touch.unwrap_err() else { panic!() };
            assert_eq!(error.kind, ServerErrorKind::NoPerm, "{error}");
            assert!(error.text().contains(&format!("'{denied}'")), "{error}");
        }
    }
}

/// The URL of a user who may do all but run scripts, and what else is denied.
pub(super) fn scriptless(server: &Server, denied: &[&str]) -> String {
    allow_no_scripts(server, denied);
    format!("redis://plain:pass@{}", server.address())
}

/// The user `plain`, whose password is `pass`, may do all but run scripts, and what else is denied.
pub(super) fn allow_no_scripts(server: &Server, denied: &[&str]) {
    let mut rules = vec!["ACL", "SETUSER", "plain", "reset", "on", ">pass", "~*", "&*", "+@all"];
    rules.extend(["-eval", "-evalsha"].iter().chain(denied));
    server.raw(0).call(&rules);
}

/// How many scripts the server refused to run.
fn refused_scripts(server: &Server) -> u64 {
    let stats = server.raw(0).text(&["INFO", "commandstats"]);
    let of_scripts = stats.lines().filter(|line| line.starts_with("cmdstat_eval"));
    let refused =
        of_scripts.filter_map(|line| line.split_once("rejected_calls=")?.1.split(',').next());
    refused.map(|count| count.parse::<u64>().expect("it is a number")).sum()
}

pub async fn a_password_is_in_no_debug_output_of_a_connected_cache(cx: Context) {
    let cache = cx.cache().await;
    cache.ping().await.unwrap();
    let shown = format!("{cache:?} {cache:#?} {:?}", cx.builder());
    assert!(PASSWORD.starts_with(CANARY) && percent_encoded(PASSWORD).starts_with(CANARY));
    assert!(!shown.contains(CANARY), "{shown}");
}

const PROMPTLY: Duration = Duration::from_secs(2);

/// Whether an error is the server's refusal of credentials, or has one as its source.
fn is_refusal(error: &Error) -> bool {
    error.server_error().is_some_and(|error| error.kind.is_refusal_of_credentials())
}
