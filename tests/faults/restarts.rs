//! Servers that go away, move, or have too many requests, under load.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::agent::AgentManager;
use llm_pool::chat::{ChatConfig, ErrorKind, Seen};
use llm_pool::keyed::{KeyedConfig, ModelKey};
use llm_pool::llm::{LlmConfig, Provider};
use llm_pool::test_server::{Reply, TestServer};
use llm_pool::{Lease, PoolConfig};
use ureq::Error;

use crate::books::{Books, problem};
use crate::support::{LIMIT, eventually};
use crate::wire::{LONG, good_call, millis};
use crate::{assert_whole, pool_of, pool_with, raw, word};

#[test]
fn a_server_that_restarts_under_load_costs_the_calls_of_its_absence_and_no_others() {
    const SERVING: usize = 0;
    const AGAIN: usize = 2;
    let server = TestServer::start().unwrap();
    let (url, port) = (server.chat_url(), server.addr().port());
    let pool = pool_with(raw::config().total_timeout(LONG), 8);
    let (phase, stop) = (AtomicUsize::new(SERVING), AtomicBool::new(false));
    let (good, failed) = ([const { AtomicUsize::new(0) }; 3], AtomicUsize::new(0));
    let _again = thread::scope(|scope| {
        let callers: Vec<_> = (0..32)
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(SeqCst) {
                        let agent = pool.get().unwrap();
                        let began_in = phase.load(SeqCst);
                        match good_call(&agent, &url, word()) {
                            Ok(()) => _ = good[began_in].fetch_add(1, SeqCst),
                            Err(error) => {
                                assert!(began_in < AGAIN, "the server serves again: {error:?}");
                                assert!(is_lost(&error), "{error:?}");
                                failed.fetch_add(1, SeqCst);
                                // Else they would call a million times for nothing.
                                thread::sleep(millis(1));
                            }
                        }
                    }
                })
            })
            .collect();
        let reach = |count: &AtomicUsize, wanted| {
            eventually(|| {
                count.load(SeqCst) >= wanted || callers.iter().any(|it| it.is_finished())
            });
        };
        reach(&good[SERVING], 200);
        phase.store(1, SeqCst);
        drop(server);
        reach(&failed, 200);
        // A port is not had back while one of the callers tries to connect from it.
        let again = || TestServer::builder().port(port).start();
        let began = Instant::now();
        let again = loop {
            match again() {
                Ok(server) => break server,
                Err(error) => assert!(began.elapsed() < LIMIT, "{error}"),
            }
        };
        phase.store(AGAIN, SeqCst);
        reach(&good[AGAIN], 200);
        stop.store(true, SeqCst);
        again
    });
    assert_whole(&pool);
    assert_eq!(pool.stats().evicted, 0, "no agent was to blame");
}

/// What a call may come to whose server goes away before, during or after it connects.
fn is_lost(error: &Error) -> bool {
    use io::ErrorKind::*;
    let Error::Io(error) = error else { return false };
    matches!(error.kind(), ConnectionRefused | ConnectionReset | UnexpectedEof | BrokenPipe)
}

#[test]
fn a_storm_of_429_is_told_to_every_caller_and_costs_no_connection() {
    let server = TestServer::start().unwrap();
    let provider = Provider::new(format!("{}/v1", server.url()));
    let each = PoolConfig::default().max_size(8).min_idle(0);
    let pools = KeyedConfig::default().pool(each).max_per_host(6).max_total(7);
    let config = LlmConfig::default().agents(raw::config()).pools(pools);
    let chat = ChatConfig::default().max_retries(0);
    let pool = config.chat(chat).provider("test", provider).build().unwrap();
    let key = ModelKey::new("test", "small");
    let storm = |calls: usize, check: &(dyn Fn(usize) + Sync)| {
        thread::scope(|scope| {
            for caller in 0..64 {
                scope.spawn(move || (0..calls).for_each(|call| check(caller * calls + call)));
            }
        });
    };

    server.set_reply(Reply::status(429).retry_after(Duration::from_secs(7)));
    storm(10, &|number| {
        let error = pool.chat(&key, &*number.to_string()).unwrap_err();
        assert_eq!((error.kind(), error.seen()), (ErrorKind::RateLimited, Seen::Yes), "{error}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        assert!(error.is_retryable());
    });
    server.set_reply(Reply::ok());
    storm(10, &|number| {
        let reply = pool.chat(&key, &*number.to_string()).unwrap();
        assert_eq!(reply.text(), format!("You said: {number}"));
    });

    let (seen, stats) = (server.stats(), pool.stats());
    assert_eq!(seen.requests, 2 * 640);
    assert!(seen.connections <= 6 && seen.max_in_flight <= 6, "{seen:?}");
    assert_eq!(problem(&stats.sum), None);
    let books = Books::of(&stats.sum);
    assert_eq!((books.gets, books.put_back), (2 * 640, 2 * 640), "{books}");
}

/// Nobody listens at 127.0.0.3, which other systems have not got.
#[cfg(target_os = "linux")]
#[test]
fn a_host_that_has_moved_is_found_at_its_new_address_long_before_the_old_one_is_too_old() {
    let server = TestServer::start().unwrap();
    let (moved, look_ups) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
    let (has_moved, counter) = (moved.clone(), look_ups.clone());
    let manager = AgentManager::with_look_up(raw::config(), move |host| {
        assert_eq!(host, "api.test");
        counter.fetch_add(1, SeqCst);
        Ok(vec![Ipv4Addr::new(127, 0, 0, if has_moved.load(SeqCst) { 1 } else { 3 }).into()])
    });
    let pool = pool_of(manager.unwrap(), 2);
    let url = format!("http://api.test:{}/v1/chat/completions", server.addr().port());
    let call = || good_call(&pool.get().unwrap(), &url, word());

    assert!(call().is_err());
    moved.store(true, SeqCst);
    let began = Instant::now();
    while let Err(error) = call() {
        assert!(matches!(&error, Error::Io(it) if it.kind() == io::ErrorKind::ConnectionRefused));
        assert!(began.elapsed() < LIMIT, "it is never looked for");
        thread::sleep(millis(10));
    }
    // Not with every call that failed.
    assert_eq!(look_ups.load(SeqCst), 2);
    // And with none that succeeds.
    for _ in 0..10 {
        let agent = pool.get().unwrap();
        good_call(&agent, &url, word()).unwrap();
        Lease::discard(agent);
    }
    assert_eq!(look_ups.load(SeqCst), 2);
    assert_whole(&pool);
}
