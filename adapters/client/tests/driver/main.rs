//! Tests the driver of a link on a socket that does exactly what a test says, including what no
//! real socket can be made to do on purpose.

mod script;
mod wakers;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_caches::{ConnectionFailure, Error};

use self::script::{Script, Wakes};

#[test]
fn a_fully_written_command_is_not_repeated_when_the_next_write_fails() {
    let script = Script::default();
    let cache = script.connected();
    let noop = &mut Context::from_waker(Waker::noop());
    let (mut add, mut large) = (cache.add("k", 1), cache.set("large", "x".repeat(1_000)));
    assert!(Pin::new(&mut add).poll(noop).is_pending());
    assert!(Pin::new(&mut large).poll(noop).is_pending());
    // Both are in one buffer. The write that takes the first one succeeds, and the next write
    // fails.
    let writes = [Ok(100), Err(io::ErrorKind::ConnectionReset.into())];
    script.socket.lock().unwrap().writes = writes.into();
    script.run();
    let Poll::Ready(Err(error)) = script.poll(&mut add) else { panic!("it was not answered") };
    assert!(
        matches!(
            &error,
            Error::Disconnected { may_have_run: true, source: ConnectionFailure::Io(_) }
        ),
        "{error:?}"
    );
    assert!(script.poll(&mut large).is_pending());
    script.socket.lock().unwrap().now += Duration::from_millis(60);
    script.run();
    assert!(script.poll(&mut large).is_pending());
    let written = script.socket.lock().unwrap().written.clone();
    let times = |word: &[u8]| written.windows(word.len()).filter(|bytes| *bytes == word).count();
    assert_eq!(times(b"::k\r\n"), 1);
    assert_eq!(times(b"::large\r\n"), 2);
}

#[test]
fn a_disconnect_that_waits_for_a_reply_does_not_keep_waking_itself() {
    let script = Script::default();
    let cache = script.connected();
    let mut get = cache.get_raw("k");
    assert!(script.poll(&mut get).is_pending());
    let wakes = Arc::<Wakes>::default();
    let waker = Waker::from(wakes.clone());
    let mut cx = Context::from_waker(&waker);
    let mut disconnect = cache.disconnect();
    for _ in 0..3 {
        assert!(Pin::new(&mut disconnect).poll(&mut cx).is_pending());
        script.run();
    }
    assert_eq!(wakes.count(), 0, "nothing has happened that it waits for");
    script.socket.lock().unwrap().replies = b"$1\r\nv\r\n".iter().copied().collect();
    script.run();
    assert!(wakes.count() > 0);
    assert!(matches!(Pin::new(&mut disconnect).poll(&mut cx), Poll::Ready(Ok(()))));
    assert!(matches!(script.poll(&mut get), Poll::Ready(Ok(Some(value))) if value == "v"));
}

#[test]
fn callers_beyond_the_bound_wait_their_turn_and_no_turn_is_lost() {
    let script = Script::default();
    let cache = script.connected_at("redis://script?maxsize=1&max_in_flight=2");
    script.sent();
    let mut gets: Vec<_> = ["a", "b", "c", "d", "e"].map(|key| cache.get_raw(key)).into();
    for get in &mut gets {
        assert!(script.poll(get).is_pending());
    }
    let sent = script.sent();
    assert!(sent.contains("::a") && sent.contains("::b") && !sent.contains("::c"), "{sent}");

    // One place is free: it belongs to the caller that has waited longest, and if that goes away,
    // to the next.
    let wakes = Arc::<Wakes>::default();
    let waker = Waker::from(wakes.clone());
    assert!(Pin::new(&mut gets[3]).poll(&mut Context::from_waker(&waker)).is_pending());
    script.reply(b"$1\r\n1\r\n");
    assert_eq!(wakes.count(), 0, "the place is another's");
    drop(gets.remove(2));
    assert_eq!(wakes.count(), 1);
    assert!(script.poll(&mut gets[0]).is_ready());
    assert!(script.poll(&mut gets[2]).is_pending());
    let sent = script.sent();
    assert!(sent.contains("::d") && !sent.contains("::c") && !sent.contains("::e"), "{sent}");

    script.reply(b"$1\r\n2\r\n$1\r\n4\r\n");
    for (index, value) in [(1, "2"), (2, "4")] {
        let Poll::Ready(Ok(Some(got))) = script.poll(&mut gets[index]) else { panic!("{index}") };
        assert_eq!(got, value);
    }
    assert!(script.poll(&mut gets[3]).is_pending());
    assert!(script.sent().contains("::e"));
}

#[test]
fn a_connection_takes_no_commands_beyond_max_queued_bytes() {
    let script = Script::default();
    let cache = script.connected_at("redis://script?maxsize=1&max_queued_bytes=1000");
    script.sent();
    let noop = &mut Context::from_waker(Waker::noop());
    let value = || vec![b'x'; 900];
    let mut sets = ["a", "b", "c"].map(|key| cache.set_raw(key, value()));
    for set in &mut sets {
        // Nothing is written in between.
        assert!(Pin::new(set).poll(noop).is_pending());
    }
    script.run();
    let sent = script.sent();
    assert!(sent.contains("::a") && sent.contains("::b") && !sent.contains("::c"));
    assert!(script.poll(&mut sets[2]).is_pending());
    assert!(script.sent().contains("::c"), "what was queued has left");
}

#[test]
fn a_long_wait_and_a_full_wait_queue_are_reported_as_overloaded() {
    let script = Script::default();
    let url = "redis://script?maxsize=1&max_in_flight=1&max_waiting=1&response_timeout=1";
    let cache = script.connected_at(url);
    script.sent();
    let [mut sent, mut waiting, mut refused] = ["a", "b", "c"].map(|key| cache.get_raw(key));
    assert!(script.poll(&mut sent).is_pending());
    script.socket.lock().unwrap().now += Duration::from_millis(500);
    assert!(script.poll(&mut waiting).is_pending());
    let Poll::Ready(Err(error)) = script.poll(&mut refused) else { panic!("it was not refused") };
    assert!(matches!(error, Error::Overloaded { .. }), "{error:?}");
    assert!(error.is_retryable() && !error.may_have_run());
    assert!(!script.sent().contains("::b"));

    // The server keeps sending, so the link stays; the first reply takes its time.
    script.reply(b"$1");
    script.socket.lock().unwrap().now += Duration::from_millis(999);
    script.run();
    assert!(script.poll(&mut waiting).is_pending());
    script.socket.lock().unwrap().now += Duration::from_millis(1);
    let Poll::Ready(Err(error)) = script.poll(&mut waiting) else { panic!("it waits for ever") };
    assert!(matches!(error, Error::Overloaded { .. }), "{error:?}");
}
