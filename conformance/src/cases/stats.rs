//! The counters of a cache.

use crate::backend::Backend;
use crate::context::Context;

pub async fn only_a_connected_store_in_memory_has_stats(cx: Context) {
    let cache = cx.cache().await;
    cache.set("key", 1).await.unwrap();
    assert_eq!(cache.stats().is_some(), cx.backend() == Backend::Locmem);
    cache.disconnect().await.unwrap();
    assert_eq!(cache.stats(), None);
}
