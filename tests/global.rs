//! The process-wide pool. It is one for all tests here, so they take turns, and each begins and
//! ends without it.

mod support;

use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};

use llm_pool::agent::{AgentConfig, GlobalInUse, OriginPool, Proxy};
use llm_pool::keyed::KeyedConfig;
use llm_pool::test_server::TestServer;
use llm_pool::{GetError, PoolConfig};
use support::*;

/// One test's turn, with no process-wide pool at either end.
struct Turn {
    _turn: MutexGuard<'static, ()>,
}

impl Turn {
    fn take() -> Self {
        static TURNS: Mutex<()> = Mutex::new(());
        // A test that failed has closed the pool on its way out.
        let turn = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!OriginPool::close_global());
        Self { _turn: turn }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        OriginPool::close_global();
    }
}

/// A pool that is told from the default one by its name.
fn own() -> OriginPool {
    let pools = KeyedConfig::default().pool(PoolConfig::default().name("own").min_idle(0));
    OriginPool::new(pools, AgentConfig::default().proxy(Proxy::Direct)).unwrap()
}

fn is_own(pool: &OriginPool) -> bool {
    format!("{pool:?}").contains("\"own\"")
}

/// A URL that nobody calls.
const URL: &str = "http://a.test";

fn gets(pool: &OriginPool) -> u64 {
    pool.pools().stats().sum.gets
}

#[test]
fn the_default_pool_is_made_at_first_use_and_is_the_same_from_then_on() {
    let _turn = Turn::take();
    let first = OriginPool::global().unwrap();
    assert!(format!("{first:?}").contains("\"global\""), "{first:?}");
    assert_eq!(first.pools().stats().pools_made, 0);
    drop(first.get(URL).unwrap());
    let second = OriginPool::global().unwrap();
    drop(second.get("HTTP://A.test:80/v1").unwrap());
    assert_eq!((gets(&first), gets(&second)), (2, 2));
    assert_eq!(first.pools().stats().pools_made, 1);
    drop((first, second));
    assert_eq!(gets(&OriginPool::global().unwrap()), 2, "it outlives its handles");
}

#[test]
fn a_pool_can_be_made_the_process_wide_one_before_the_first_use_only() {
    let _turn = Turn::take();
    let mine = own();
    OriginPool::set_global(mine.clone()).unwrap();
    let global = OriginPool::global().unwrap();
    assert!(is_own(&global));
    drop(global.get(URL).unwrap());
    assert_eq!(gets(&mine), 1);

    let GlobalInUse(refused) = OriginPool::set_global(own()).unwrap_err();
    drop(refused.get(URL).unwrap());
    assert_eq!((gets(&refused), gets(&mine)), (1, 1), "the refused one comes back, usable");
}

#[test]
fn set_global_after_a_first_use_is_refused_and_says_what_to_do() {
    let _turn = Turn::take();
    let default = OriginPool::global().unwrap();
    let refused = OriginPool::set_global(own()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the process-wide pool is in use: set it before its first use, or close it"
    );
    assert!(is_own(&refused.0));
    assert!(!is_own(&OriginPool::global().unwrap()));
    assert!(!default.pools().is_closed());
    assert!(OriginPool::close_global());
    OriginPool::set_global(refused.0).unwrap();
    assert!(is_own(&OriginPool::global().unwrap()));
}

#[test]
fn a_closed_one_is_made_anew_and_its_leases_stay_valid() {
    let _turn = Turn::take();
    let server = TestServer::start().unwrap();
    OriginPool::set_global(own()).unwrap();
    let old = OriginPool::global().unwrap();
    let lease = old.get(server.url()).unwrap();
    assert!(OriginPool::close_global());
    assert!(!OriginPool::close_global(), "there is none now");
    assert!(old.pools().is_closed());
    let closed = old.get(server.url()).unwrap_err();
    assert!(matches!(closed, GetError::Closed), "{closed}");
    assert_eq!(lease.get(server.url()).call().unwrap().status(), 404);

    let new = OriginPool::global().unwrap();
    assert!(!is_own(&new) && !new.pools().is_closed());
    drop(new.get(URL).unwrap());
    drop(lease);
    assert_eq!(gets(&new), 1);
}

#[test]
fn one_that_was_closed_through_a_handle_is_none() {
    let _turn = Turn::take();
    for remade_by_set in [true, false] {
        let old = OriginPool::global().unwrap();
        old.pools().close();
        if remade_by_set {
            OriginPool::set_global(own()).unwrap();
        }
        let new = OriginPool::global().unwrap();
        assert_eq!(is_own(&new), remade_by_set);
        drop(new.get(URL).unwrap());
        assert!(OriginPool::close_global());
    }
    OriginPool::global().unwrap().pools().close();
    assert!(!OriginPool::close_global(), "there was none to close");
}

#[test]
fn threads_that_come_first_together_get_one_pool() {
    let _turn = Turn::take();
    const THREADS: usize = 16;
    let barrier = Barrier::new(THREADS);
    for round in 1..=20 {
        let pools: Vec<_> = std::thread::scope(|scope| {
            let first = || {
                barrier.wait();
                let pool = OriginPool::global().unwrap();
                drop(pool.get(URL).unwrap());
                pool
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(first)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for pool in &pools {
            assert_eq!((gets(pool), pool.pools().stats().pools_made), (16, 1), "round {round}");
        }
        assert!(OriginPool::close_global());
        assert!(pools.iter().all(|pool| pool.pools().is_closed()));
    }
}

#[test]
fn of_threads_that_set_it_together_one_succeeds() {
    let _turn = Turn::take();
    let barrier = Barrier::new(8);
    let set: Vec<_> = std::thread::scope(|scope| {
        let set = || {
            barrier.wait();
            OriginPool::set_global(own()).is_ok()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(set)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(set.iter().filter(|it| **it).count(), 1);
    assert!(is_own(&OriginPool::global().unwrap()));
}

#[test]
fn a_bypass_of_it_works_while_it_is_full_and_after_it_was_closed() {
    let _turn = Turn::take();
    let server = TestServer::start().unwrap();
    let pools = KeyedConfig::default().max_total(1);
    let full = OriginPool::new(pools, AgentConfig::default().proxy(Proxy::Direct)).unwrap();
    OriginPool::set_global(full).unwrap();
    let global = OriginPool::global().unwrap();
    let lease = global.get(server.url()).unwrap();
    let refused = global.get_timeout(server.url(), millis(1)).unwrap_err();
    assert!(refused.to_string().contains("max_total"), "{refused}");
    let bypass = global.bypass();
    assert_eq!(bypass.get(server.url()).call().unwrap().status(), 404);
    assert_eq!(gets(&global), 1);
    assert!(OriginPool::close_global());
    assert_eq!(bypass.get(server.url()).call().unwrap().status(), 404);
    drop(lease);
}
