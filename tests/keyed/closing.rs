//! The end of a key, and of the whole.

use std::sync::Arc;
use std::time::Duration;

use llm_pool::keyed::{KeyedPool, Setup};
use llm_pool::{GetError, Lease, ManualClock};

use crate::harness::{Name, assert_free, config, keyed, manual, take, waiter};
use crate::support::{Gate, LIMIT, Script, Task, eventually, millis, secs, spawn, succeed};

#[test]
fn close_wakes_everybody_who_waits_for_whatever_reason() {
    let (script, gate) = (Script::new(), Gate::new());
    let pool = keyed(config(1).max_total(3).max_per_host(2), &script);
    let held = [take(&pool, "h/a", 1), take(&pool, "h/b", 1)];
    script.on_create.set(gate.before(succeed()));
    let waiters = [
        waiter(&pool, "h/a", Duration::MAX), // for a slot
        waiter(&pool, "h/c", Duration::MAX), // for its host
        waiter(&pool, "i/a", Duration::MAX), // for a creation that hangs
        waiter(&pool, "j/a", Duration::MAX), // for the total
    ];
    pool.close();
    for waiter in waiters {
        let error = waiter.result().unwrap_err();
        assert!(matches!(error, GetError::Closed), "{error}");
    }
    assert!(pool.is_closed());
    assert!(matches!(pool.get(&"h/a"), Err(GetError::Closed)));
    assert!(matches!(pool.try_get(&"new"), Err(GetError::Closed)));
    assert!(pool.keys().is_empty());
    gate.open();
    assert!(held[0][0].number > 0, "leases stay valid");
    drop(held);
    eventually(|| script.live() == 0);
    eventually(|| pool.stats().open == 0);
}

/// A pool whose set-up passes through a gate.
fn with_slow_setup(script: &Arc<Script>) -> (KeyedPool<Name, crate::support::Maker>, Arc<Gate>) {
    let gate = Gate::new();
    let setup = {
        let (gate, script) = (gate.clone(), script.clone());
        move |_: &Name| {
            gate.pass();
            Ok(Setup::new(script.maker()))
        }
    };
    (KeyedPool::new(config(1), setup).unwrap(), gate)
}

#[test]
fn a_pool_closed_while_a_key_is_set_up_serves_nobody_and_keeps_nothing() {
    let script = Script::new();
    let (pool, gate) = with_slow_setup(&script);
    let get = |pool: &KeyedPool<Name, _>| -> Task<_> {
        let pool = pool.clone();
        spawn(move || pool.get_timeout(&"a", Duration::MAX).map(drop))
    };
    let maker = get(&pool);
    gate.await_entered(1);
    pool.close();
    gate.open();
    let error = maker.result().unwrap_err();
    assert!(matches!(error, GetError::Closed), "{error}");
    assert!(pool.keys().is_empty());
    eventually(|| script.manager_dropped() && script.live() == 0);
}

#[test]
fn close_wakes_those_who_wait_for_the_set_up_of_another_thread() {
    let script = Script::new();
    let (pool, gate) = with_slow_setup(&script);
    let maker = spawn({
        let pool = pool.clone();
        move || pool.get_timeout(&"a", Duration::MAX).map(drop)
    });
    gate.await_entered(1);
    let other = spawn({
        let pool = pool.clone();
        move || pool.get_timeout(&"a", Duration::MAX).map(drop)
    });
    // Whether it waits already cannot be seen; if not, it is refused when it comes.
    std::thread::sleep(millis(20));
    pool.close();
    let error = other.result().unwrap_err();
    assert!(matches!(error, GetError::Closed), "{error}");
    assert!(!maker.is_done(), "it is still in the user's code");
    gate.open();
    assert!(matches!(maker.result(), Err(GetError::Closed)));
}

#[test]
fn drain_waits_for_the_leases_of_every_key() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(1, &time), &script);
    let mut held = vec![take(&pool, "a", 1), take(&pool, "b", 1)];
    let drained = spawn({
        let pool = pool.clone();
        move || pool.drain(secs(10))
    });
    eventually(|| pool.is_closed());
    held.pop();
    std::thread::sleep(millis(5));
    assert!(!drained.is_done(), "one lease is out");
    held.pop();
    assert!(drained.result());
    assert_eq!(script.live(), 0);
}

#[test]
fn drain_tells_of_leases_still_out_at_its_deadline_and_can_be_called_again() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(1, &time), &script);
    let held = take(&pool, "a", 1);
    let drained = spawn({
        let pool = pool.clone();
        move || pool.drain(secs(10))
    });
    eventually(|| pool.is_closed());
    eventually(|| {
        time.advance(secs(1));
        std::thread::sleep(millis(1));
        drained.is_done()
    });
    assert!(!drained.result());
    assert!(!pool.drain(Duration::ZERO), "the lease is still out");
    drop(held);
    assert!(pool.drain(Duration::ZERO));
}

#[test]
fn drain_after_close_waits_all_the_same() {
    let script = Script::new();
    let pool = keyed(config(1), &script);
    let held = take(&pool, "a", 1);
    pool.close();
    assert!(!pool.drain(Duration::ZERO), "the lease is still out");
    drop(held);
    assert!(pool.drain(Duration::ZERO));
}

#[test]
fn drain_waits_for_the_leases_of_keys_closed_before() {
    let script = Script::new();
    let pool = keyed(config(1), &script);
    let (a, b) = (take(&pool, "a", 1), take(&pool, "b", 1));
    assert!(pool.close_key(&"a"));
    drop(b);
    assert!(!pool.drain(Duration::ZERO), "the lease of a is still out");
    drop(a);
    assert!(pool.drain(Duration::ZERO));
}

#[test]
fn dropping_the_last_handle_closes_every_key() {
    let script = Script::new();
    let pool = keyed(config(2), &script);
    let other = pool.clone();
    let lease = take(&pool, "a", 1);
    drop(take(&pool, "b", 2));
    drop(pool);
    assert_eq!(script.live(), 3);
    drop(other);
    eventually(|| script.live() == 1);
    assert!(lease[0].number > 0);
    drop(lease);
    eventually(|| script.live() == 0 && script.manager_dropped());
}

#[test]
fn who_waits_at_a_key_that_is_closed_goes_on_at_the_next_pool() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(1, &time).max_total(2), &script);
    let held = take(&pool, "a", 1);
    let waiting = spawn({
        let pool = pool.clone();
        move || pool.get_within(&"a", secs(10))
    });
    eventually(|| pool.stats().sum.waiting == 1);
    time.advance(secs(4));
    assert!(pool.close_key(&"a"));
    let lease = waiting.result().expect("a lease of the next pool");
    assert_eq!(Lease::remaining(&lease), Some(secs(6)));
    assert_ne!(lease.number, held[0].number);
    assert_eq!(pool.stats().pools_made, 2);
    assert_eq!(pool.stats().pools_evicted, 0);
    drop((held, lease));
    assert!(!pool.close_key(&"unknown"));
    assert_free(&pool, &[("a", 1), ("b", 1)]);
}

#[test]
fn the_leases_of_a_closed_key_count_towards_the_limits_until_they_are_home() {
    let script = Script::new();
    let pool = keyed(config(2).max_total(2).max_per_host(2).max_open(2), &script);
    let held = take(&pool, "h/a", 2);
    assert!(pool.close_key(&"h/a"));
    let waiting = waiter(&pool, "h/a", LIMIT);
    assert!(pool.try_get(&"i/b").is_err());
    drop(held);
    drop(waiting.result().expect("a lease"));
    assert_free(&pool, &[("h/a", 2)]);
    assert_free(&pool, &[("h/a", 1), ("i/b", 1)]);
}

#[test]
fn a_pool_closed_by_its_own_handle_is_made_anew() {
    let script = Script::new();
    let pool = keyed(config(1), &script);
    drop(take(&pool, "a", 1));
    pool.pool(&"a").unwrap().close();
    drop(take(&pool, "a", 1));
    pool.pool(&"a").unwrap().close();
    drop(pool.try_get(&"a").expect("a lease"));
    assert_eq!(pool.stats().pools_made, 3);
    assert_eq!(pool.keys(), ["a"]);
}
