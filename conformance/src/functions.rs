//! Tests of the functions that an adapter crate has beside its builder.

/// Expands to a module `functions` with tests of an adapter crate's `open`, `connect`, `builder`
/// and `with`. The first argument is that of [`suite!`](crate::suite), the second the crate's name.
#[macro_export]
macro_rules! functions {
    ($harness:expr, $adapter:ident) => {
        mod functions {
            use $adapter as adapter;
            use $crate::{Backend, Context};

            fn run<F: Future<Output = ()> + 'static>(case: fn(Context) -> F) {
                let backends =
                    [Backend::Dummy, Backend::Locmem, Backend::Redis, Backend::RedisOverTls];
                for backend in backends {
                    $crate::run($harness, backend, case);
                }
            }

            #[test]
            fn open_leaves_a_cache_unconnected() {
                run(|cx: Context| async move {
                    let cache = adapter::open(cx.url()).unwrap();
                    assert!(!cache.is_connected());
                    cache.connect().await.unwrap();
                    cache.ping().await.unwrap();
                });
            }

            #[test]
            fn open_needs_no_runtime_around_it() {
                let builder = adapter::builder("locmem://no-runtime-around");
                for cache in [adapter::open("redis://localhost"), builder.build()] {
                    assert!(!cache.unwrap().is_connected());
                }
            }

            #[test]
            fn connect_opens_and_connects() {
                run(|cx: Context| async move {
                    let cache = adapter::connect(cx.url()).await.unwrap();
                    assert!(cache.is_connected());
                    cache.ping().await.unwrap();
                });
            }

            #[test]
            fn a_builder_builds_with_or_without_connecting() {
                run(|cx: Context| async move {
                    let built = adapter::builder(cx.url()).key_prefix("a").build().unwrap();
                    assert!(!built.is_connected());
                    let connected = adapter::builder(cx.url()).connect().await.unwrap();
                    assert!(connected.is_connected());
                });
            }

            #[test]
            fn with_connects_and_disconnects_again() {
                run(|cx: Context| async move {
                    let mut kept = None;
                    let value: Result<i32, adapter::Error> =
                        adapter::with(cx.url(), async |cache| {
                            cache.set("test", "Ok!").await?;
                            kept = Some(cache.clone());
                            Ok(42)
                        })
                        .await;
                    assert_eq!(value.unwrap(), 42);
                    let error = kept.unwrap().ping().await.unwrap_err();
                    assert!(matches!(error, adapter::Error::NotConnected), "{error:?}");
                });
            }

            #[test]
            fn with_may_run_in_a_task() {
                run(|cx: Context| async move {
                    let url = cx.url().to_owned();
                    let task = cx.spawn(async move {
                        let body = async |cache: adapter::Cache| {
                            cache.set("test", 1).await?;
                            cache.get::<i32>("test").await
                        };
                        adapter::with::<_, adapter::Error>(&url, body).await
                    });
                    task.await.unwrap();
                });
            }

            #[test]
            fn with_disconnects_after_an_error_too() {
                #[derive(Debug)]
                enum Own {
                    Cache,
                    Mine,
                }
                impl From<adapter::Error> for Own {
                    fn from(_: adapter::Error) -> Self {
                        Self::Cache
                    }
                }
                run(|cx: Context| async move {
                    let mut kept = None;
                    let outcome = adapter::with(cx.url(), async |cache| {
                        kept = Some(cache);
                        Err::<(), _>(Own::Mine)
                    });
                    assert!(matches!(outcome.await, Err(Own::Mine)));
                    let error = kept.unwrap().ping().await.unwrap_err();
                    assert!(matches!(error, adapter::Error::NotConnected), "{error:?}");
                    let outcome = adapter::with("reddis://", async |_| Ok::<(), Own>(())).await;
                    assert!(matches!(outcome, Err(Own::Cache)));
                });
            }

            #[test]
            fn every_adapter_makes_the_same_type() {
                fn neutral(cache: $crate::Cache) -> $crate::Cache {
                    cache
                }
                run(|cx: Context| async move {
                    let cache: adapter::Cache = neutral(adapter::connect(cx.url()).await.unwrap());
                    cache.disconnect().await.unwrap();
                });
            }
        }
    };
}
