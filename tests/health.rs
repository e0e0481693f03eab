//! Checks of idle items: off the lock, with the item reserved; failed, set aside, and back.

mod support;

use std::sync::Arc;

use llm_pool::{EvictReason, GetError, ManualClock, PoolConfig};
use log::Level;
use support::*;

/// Checks every 10 s, passes of maintenance every second, and nothing expires.
fn checked_pool(name: &str, max_size: usize, time: &ManualClock) -> PoolConfig {
    manual(name, max_size, time)
        .check_interval(secs(10))
        .maintenance_interval(secs(1))
        .idle_timeout(None)
        .max_lifetime(None)
}

#[track_caller]
fn check_and_settle(pool: &TestPool, script: &Script) {
    pool.clean_up();
    assert_settled(pool, script);
}

#[test]
fn a_check_runs_with_the_item_reserved_and_the_pool_at_work() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(checked_pool("reserved", 2, &time), &script);
    drop(pool.get().unwrap());
    let gate = Gate::new();
    script.on_check.set(gate.before(succeed()));
    time.advance(secs(10));
    pool.clean_up();
    gate.await_entered(1);
    let stats = pool.stats();
    assert_eq!((stats.checking, stats.idle, stats.in_use), (1, 0, 0));
    assert_eq!(pool.get().unwrap().number, 2, "the one that is checked is not lent");
    pool.clean_up();
    assert_eq!(gate.entered(), 1, "one check at a time of one item");
    gate.open();
    assert_settled(&pool, &script);
    assert_eq!(pool.stats().idle, 2);
}

#[test]
fn a_waiter_gets_the_item_when_its_check_has_passed() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(checked_pool("waits for check", 1, &time), &script);
    drop(pool.get().unwrap());
    let gate = Gate::new();
    script.on_check.set(gate.before(succeed()));
    pool.check_all();
    gate.await_entered(1);
    let waiter = waiter(&pool, secs(30));
    assert!(matches!(pool.try_get(), Err(GetError::Exhausted { .. })));
    gate.open();
    assert_eq!(waiter.result().unwrap().number, 1);
}

#[test]
fn a_waiter_gets_a_fresh_item_when_the_check_has_failed() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(checked_pool("waits in vain", 1, &time), &script);
    drop(pool.get().unwrap());
    let gate = Gate::new();
    script.on_check.set(gate.before(fail("unwell")));
    pool.check_all();
    gate.await_entered(1);
    let waiter = waiter(&pool, secs(30));
    gate.open();
    assert_eq!(waiter.result().unwrap().number, 2, "in the slot of the unhealthy one");
    assert_eq!(pool.stats().evicted_for(EvictReason::Unhealthy), 1);
    assert_settled(&pool, &script);
}

#[test]
fn an_item_that_fails_its_check_is_set_aside_and_replaced() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(checked_pool("set aside", 3, &time).min_idle(1), &script);
    script.on_check.set(fail("unwell"));
    pool.check_all();
    eventually(|| pool.stats().unhealthy == 1 && pool.stats().idle == 1);
    assert_settled(&pool, &script);
    assert_eq!(script.live(), 2, "kept, to be checked again");
    assert_eq!(pool.get().unwrap().number, 2, "never lent while unhealthy");
    // Told after the books were changed.
    let told = || logs::matching("set aside", Level::Warn, "");
    eventually(|| told() == ["pool \"set aside\": an item is unhealthy: unwell"]);
}

#[test]
fn an_unhealthy_item_comes_back_when_it_passes_again() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(checked_pool("recovers", 2, &time), &script);
    drop(pool.get().unwrap());
    script.on_check.set(fail("unwell"));
    pool.check_all();
    assert_settled(&pool, &script);
    assert_eq!((pool.stats().unhealthy, pool.stats().idle), (1, 0));
    script.on_check.set(succeed());
    time.advance(secs(1));
    check_and_settle(&pool, &script);
    assert_eq!((pool.stats().unhealthy, pool.stats().idle), (0, 1));
    // Told after the books were changed.
    eventually(|| logs::matching("recovers", Level::Info, "passed its check again").len() == 1);
    assert_eq!(pool.get().unwrap().number, 1);
}

#[test]
fn an_unhealthy_item_is_evicted_after_max_check_failures_in_a_row() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(checked_pool("gives up", 2, &time).max_check_failures(3), &script);
    drop(pool.get().unwrap());
    let fails = |pool: &TestPool| {
        script.on_check.set(fail("unwell"));
        pool.check_all();
        assert_settled(pool, &script);
    };
    fails(&pool);
    fails(&pool);
    script.on_check.set(succeed());
    pool.check_all();
    assert_settled(&pool, &script);
    // Counted from the start again, since it had passed.
    fails(&pool);
    fails(&pool);
    assert_eq!((pool.stats().unhealthy, script.live()), (1, 1));
    fails(&pool);
    assert_eq!((pool.stats().unhealthy, script.live()), (0, 0));
    let stats = pool.stats();
    assert_eq!((stats.evicted_for(EvictReason::Unhealthy), stats.check_failures), (1, 5));
}

#[test]
fn with_max_check_failures_of_one_the_first_failure_evicts_and_replaces() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = checked_pool("one strike", 2, &time).max_check_failures(1);
    let pool = start(config.min_idle(1), &script);
    script.on_check.set(fail("unwell"));
    pool.check_all();
    eventually(|| script.made() == 2 && pool.stats().idle == 1);
    assert_eq!(pool.stats().evicted_for(EvictReason::Unhealthy), 1);
    assert_settled(&pool, &script);
}

#[test]
fn an_unhealthy_item_is_checked_again_after_growing_pauses() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(checked_pool("pauses", 1, &time).max_check_failures(10), &script);
    drop(pool.get().unwrap());
    script.on_check.set(fail("unwell"));
    time.advance(secs(10));
    let checked_at: Vec<_> = (0..16)
        .filter(|_| {
            let before = script.on_check.calls();
            check_and_settle(&pool, &script);
            time.advance(secs(1));
            script.on_check.calls() > before
        })
        .collect();
    assert_eq!(checked_at, [0, 1, 3, 7, 15]);
}

#[test]
fn only_items_idle_and_unchecked_for_the_interval_are_checked() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(checked_pool("due", 3, &time), &script);
    let mut leases = take(&pool, 3);
    let out = leases.pop();
    drop(leases);
    time.advance(secs(9));
    drop(pool.get().unwrap());
    time.advance(secs(1));
    check_and_settle(&pool, &script);
    assert_eq!(script.on_check.calls(), 1, "one was just used, one is out");
    check_and_settle(&pool, &script);
    assert_eq!(script.on_check.calls(), 1, "one was just checked");
    time.advance(secs(9));
    check_and_settle(&pool, &script);
    assert_eq!(script.on_check.calls(), 2);
    drop(out);
}

#[test]
fn without_a_check_interval_only_check_all_checks() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(checked_pool("asked only", 2, &time).check_interval(None), &script);
    drop(take(&pool, 2));
    time.advance(secs(10_000));
    check_and_settle(&pool, &script);
    assert_eq!(script.on_check.calls(), 0);
    pool.check_all();
    assert_settled(&pool, &script);
    assert_eq!(script.on_check.calls(), 2);
}

#[test]
fn a_check_does_not_keep_an_unused_item_young() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(checked_pool("old all the same", 2, &time).idle_timeout(secs(25)), &script);
    drop(pool.get().unwrap());
    for _ in 0..2 {
        time.advance(secs(10));
        check_and_settle(&pool, &script);
    }
    assert_eq!((script.on_check.calls(), script.live()), (2, 1));
    time.advance(secs(5));
    assert_eq!(pool.clean_up(), 1);
    assert_eq!(pool.stats().evicted_for(EvictReason::Idle), 1);
}

#[test]
fn a_check_does_not_change_the_order_of_the_stack() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(checked_pool("order kept", 3, &time), &script);
    for lease in take(&pool, 3) {
        time.advance(secs(1));
        drop(lease);
    }
    let gate = Gate::new();
    let last = gate.before(succeed());
    script.on_check.set(Arc::new(move |n| if n == 1 { last(n) } else { Ok(()) }));
    pool.check_all();
    eventually(|| pool.stats().idle == 2);
    gate.open();
    assert_settled(&pool, &script);
    let numbers: Vec<_> = take(&pool, 3).iter().map(|lease| lease.number).collect();
    assert_eq!(numbers, [3, 2, 1], "the coldest is still the last");
}

/// Behaviour 8.
#[test]
fn a_check_that_panics_counts_as_failed_and_is_logged() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(checked_pool("check panics", 2, &time), &script);
    drop(pool.get().unwrap());
    script.on_check.set(blow_up("ouch"));
    pool.check_all();
    assert_settled(&pool, &script);
    assert_eq!((pool.stats().unhealthy, pool.stats().check_failures), (1, 1));
    let told = logs::matching("check panics", Level::Error, "check panicked");
    assert_eq!(told, ["pool \"check panics\": check panicked: ouch"]);
}

#[test]
fn an_item_whose_check_ends_after_the_close_is_dropped() {
    for passes in [true, false] {
        let (script, time) = (Script::new(), ManualClock::new());
        let pool = start(checked_pool("checked too late", 2, &time), &script);
        drop(pool.get().unwrap());
        let gate = Gate::new();
        script.on_check.set(gate.before(if passes { succeed() } else { fail("unwell") }));
        pool.check_all();
        gate.await_entered(1);
        pool.close();
        assert_eq!(script.live(), 1);
        gate.open();
        assert_settled(&pool, &script);
        assert_eq!((script.live(), pool.stats().idle), (0, 0));
        assert_eq!(pool.stats().evicted_for(EvictReason::Closed), 1);
    }
}

#[test]
fn an_item_whose_check_ends_after_a_reset_or_a_resize_is_dropped() {
    for reason in [EvictReason::Reset, EvictReason::Resized] {
        let (script, time) = (Script::new(), ManualClock::new());
        let pool = start(checked_pool("overtaken check", 2, &time), &script);
        let held = pool.get().unwrap();
        drop(pool.get().unwrap());
        let gate = Gate::new();
        script.on_check.set(gate.before(succeed()));
        pool.check_all();
        gate.await_entered(1);
        match reason {
            EvictReason::Reset => pool.reset(),
            _ => pool.resize(1).unwrap(),
        }
        gate.open();
        eventually(|| pool.stats().evicted_for(reason) == 1);
        drop(held);
        assert_settled(&pool, &script);
    }
}

#[test]
fn the_background_thread_checks_by_itself() {
    let script = Script::new();
    let config = config("checks by itself", 2).min_idle(2);
    let pool = start(config.check_interval(millis(10)), &script);
    script.on_check.set(fail("unwell"));
    eventually(|| pool.stats().unhealthy == 2);
    drop(take(&pool, 2));
    assert!(script.on_check.calls() >= 2);
}
