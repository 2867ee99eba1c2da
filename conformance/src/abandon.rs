//! Futures that are given up before they end.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Polls a future up to `polls` times in a row, without waiting to be woken, and then drops it.
/// Returns its output if that came in time.
pub async fn after_polls<T>(polls: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        // Pending between two polls, so that all other tasks get a turn.
        cx.waker().wake_by_ref();
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Polls a future when it is woken, and drops it as soon as it has been pending `times` times.
/// Returns its output if that came before.
pub async fn after_pending<T>(times: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left <= 1 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Lets all other tasks have a turn.
pub async fn a_turn() {
    let mut had = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut had, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
