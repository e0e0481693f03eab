//! Checks of many pools at one time: how many, in turn, and what becomes of one that hangs.
//!
//! The places are the whole process's, so the tests here run one at a time.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use llm_pool::{EvictReason, ManualClock, PoolConfig, WhenUnhealthy};
use log::Level;
use support::*;

fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nothing expires, and checks come only when they are asked for.
fn on_request(name: &str, max_size: usize, time: &ManualClock) -> PoolConfig {
    let config = manual(name, max_size, time).check_interval(None);
    config.idle_timeout(None).max_lifetime(None).check_timeout(secs(5))
}

/// A pool with `items` idle ones.
fn filled(config: PoolConfig, items: usize, script: &Arc<Script>) -> TestPool {
    start(config.max_size(items).min_idle(items), script)
}

/// Opens its gate at the end, so that a test that fails leaves no check hanging for the next.
struct OpensAtEnd(Arc<Gate>);

impl Drop for OpensAtEnd {
    fn drop(&mut self) {
        self.0.open();
    }
}

#[test]
fn eight_checks_run_at_one_time_over_twenty_pools() {
    let _alone = alone();
    let time = ManualClock::new();
    let scripts: Vec<_> = (0..20).map(|_| Script::new()).collect();
    let fill = |script: &Arc<Script>| filled(on_request("eight", 1, &time), 3, script);
    let pools: Vec<_> = scripts.iter().map(fill).collect();
    let gate = Gate::new();
    let _opens = OpensAtEnd(gate.clone());
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let check: Act = {
        let (gate, now, most) = (gate.clone(), now.clone(), most.clone());
        Arc::new(move |_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            gate.pass();
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        })
    };
    scripts.iter().for_each(|script| script.on_check.set(check.clone()));
    pools.iter().for_each(TestPool::check_all);
    gate.await_entered(8);
    let checking: usize = pools.iter().map(|pool| pool.stats().checking).sum();
    let idle: usize = pools.iter().map(|pool| pool.stats().idle).sum();
    assert_eq!((checking, idle), (8, 52), "nothing is reserved that only waits its turn");
    assert!(pools.iter().all(|pool| pool.stats().checking <= 4));
    gate.open();
    for (pool, script) in pools.iter().zip(&scripts) {
        assert_settled(pool, script);
        assert_eq!((pool.stats().checks, pool.stats().idle), (3, 3), "each was checked once");
    }
    assert_eq!(most.load(Ordering::SeqCst), 8);
}

#[test]
fn a_host_whose_checks_hang_delays_no_check_of_others() {
    let _alone = alone();
    let (hanging, time) = (Script::new(), ManualClock::new());
    let bad = filled(on_request("hangs", 1, &time), 20, &hanging);
    let gate = Gate::new();
    let _opens = OpensAtEnd(gate.clone());
    hanging.on_check.set(gate.before(succeed()));
    bad.check_all();
    gate.await_entered(4);
    for _ in 0..20 {
        let script = Script::new();
        let good = filled(on_request("goes on", 1, &time), 5, &script);
        good.check_all();
        assert_settled(&good, &script);
        assert_eq!(good.stats().checks, 5);
    }
    assert_eq!((gate.entered(), bad.stats().checking, bad.stats().idle), (4, 4, 16));
    // Given up, they hold no place, but still count for their own.
    time.advance(secs(5));
    bad.clean_up();
    assert_eq!((bad.stats().checking, bad.stats().check_timeouts), (0, 4));
    assert!(bad.stats().checks_due, "four that hang are enough");
    gate.open();
    eventually(|| bad.stats().checks == 20);
    assert_settled(&bad, &hanging);
}

#[test]
fn a_check_over_its_time_is_given_up_and_its_slot_serves_a_waiter() {
    let _alone = alone();
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = filled(on_request("given up", 1, &time), 1, &script);
    let gate = Gate::new();
    let _opens = OpensAtEnd(gate.clone());
    script.on_check.set(gate.before(succeed()));
    pool.check_all();
    gate.await_entered(1);
    let waiter = waiter(&pool, secs(30));
    time.advance(secs(4));
    pool.clean_up();
    assert_eq!((pool.stats().checking, pool.stats().waiting), (1, 1));
    time.advance(secs(1));
    pool.clean_up();
    let lease = waiter.result().unwrap();
    assert_eq!((lease.number, pool.stats().in_use, pool.stats().checking), (2, 1, 0));
    assert_eq!(pool.stats().evicted_for(EvictReason::Unhealthy), 1);
    let (error, ago) = pool.last_check_error().unwrap();
    assert_eq!((&*error, ago), ("the check took longer than 5s", secs(0)));
    assert_eq!(script.live(), 2, "one is still with the check that hangs");
    // What comes late changes nothing.
    let before = pool.stats();
    gate.open();
    eventually(|| script.live() == 1);
    assert_eq!(pool.stats(), before);
    drop(lease);
    assert_settled(&pool, &script);
    let told = logs::matching("given up", Level::Warn, "gives up");
    assert_eq!(told, ["pool \"given up\": gives up a check that has run for 5.0s"]);
}

#[test]
fn the_maintenance_thread_gives_a_check_up_in_time() {
    let _alone = alone();
    let script = Script::new();
    // Passes come every minute only.
    let config = config("in time", 1).check_interval(None).check_timeout(millis(30));
    let pool = filled(config, 1, &script);
    let gate = Gate::new();
    let _opens = OpensAtEnd(gate.clone());
    script.on_check.set(gate.before(succeed()));
    pool.check_all();
    gate.await_entered(1);
    assert_eq!(pool.get_timeout(LIMIT).unwrap().number, 2);
    assert_eq!(pool.stats().check_timeouts, 1);
}

#[test]
fn a_check_that_hangs_in_a_closed_pool_is_given_up_too() {
    let _alone = alone();
    let script = Script::new();
    let config = config("closed and hanging", 1).check_interval(None).check_timeout(millis(30));
    let pool = filled(config, 1, &script);
    let gate = Gate::new();
    let _opens = OpensAtEnd(gate.clone());
    script.on_check.set(gate.before(succeed()));
    pool.check_all();
    gate.await_entered(1);
    pool.close();
    eventually(|| pool.stats().checking == 0);
    assert_eq!(pool.stats().evicted_for(EvictReason::Closed), 1);
    gate.open();
    eventually(|| script.live() == 0);
}

#[test]
fn with_fail_an_item_whose_check_was_given_up_comes_back_with_its_check() {
    let _alone = alone();
    let (script, time) = (Script::new(), ManualClock::new());
    let config = on_request("comes back late", 1, &time).when_unhealthy(WhenUnhealthy::Fail);
    let pool = filled(config, 1, &script);
    let gate = Gate::new();
    let _opens = OpensAtEnd(gate.clone());
    script.on_check.set(gate.before(succeed()));
    pool.check_all();
    gate.await_entered(1);
    time.advance(secs(5));
    pool.clean_up();
    assert_eq!((pool.stats().unhealthy, pool.stats().checking), (1, 0));
    let error = pool.get().unwrap_err().to_string();
    assert!(error.contains("the check took longer than 5s"), "{error}");
    gate.open();
    // Late is not well: it must pass a check of its own.
    eventually(|| {
        pool.check_all();
        pool.stats().idle == 1
    });
    assert_eq!(pool.get().unwrap().number, 1);
}

#[test]
fn checks_that_end_after_their_pool_is_gone_are_harmless() {
    let _alone = alone();
    let (script, time) = (Script::new(), ManualClock::new());
    let gate = Gate::new();
    let _opens = OpensAtEnd(gate.clone());
    for _ in 0..3 {
        let pool = filled(on_request("gone", 1, &time), 2, &script);
        let before = gate.entered();
        script.on_check.set(gate.before(blow_up("ouch")));
        pool.check_all();
        gate.await_entered(before + 2);
    }
    gate.open();
    eventually(|| script.live() == 0 && script.manager_dropped());
}

/// Law 1, with checks that end just before, at and after their time.
#[test]
fn every_snapshot_balances_while_checks_fail_hang_and_come_late() {
    let _alone = alone();
    for when in [WhenUnhealthy::Replace, WhenUnhealthy::Fail, WhenUnhealthy::Wait] {
        let script = Script::new();
        let config = config("late and later", 4).min_idle(2).max_check_failures(2);
        let config = config.check_interval(millis(1)).maintenance_interval(millis(1));
        let pool = start(config.check_timeout(millis(2)).when_unhealthy(when), &script);
        script.on_check.set(Arc::new(|n| {
            let (began, takes) = (Instant::now(), millis(n as u64 % 5));
            while began.elapsed() < takes {
                std::thread::yield_now();
            }
            if n % 3 == 0 { Err(Refusal("unwell")) } else { Ok(()) }
        }));
        let began = Instant::now();
        while began.elapsed() < millis(300) {
            let taken = [pool.try_get(), pool.get_timeout(millis(1))];
            let stats = pool.stats();
            let size = stats.idle + stats.in_use + stats.checking + stats.unhealthy;
            assert!(size + stats.creating <= stats.max_size, "{stats}");
            let gone = stats.evicted + stats.detached;
            assert_eq!(stats.created, gone + size as u64, "{stats}");
            drop(taken);
        }
        assert!(pool.stats().checks > 10, "{when:?}: {}", pool.stats());
        script.on_check.set(succeed());
        eventually(|| pool.get_timeout(millis(1)).is_ok());
        pool.close();
        eventually(|| script.live() == 0);
        let stats = pool.stats();
        assert_eq!((stats.checking, stats.created), (0, stats.evicted), "{when:?}: {stats}");
    }
}
