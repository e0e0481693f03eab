//! Closing, draining and dropping a pool, and what may outlive it.

mod support;

use llm_pool::{EvictReason, GetError, Lease, ManualClock};
use support::*;

/// Behaviour 11.
#[test]
fn close_wakes_every_waiter_at_once() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("wake all", 1, &time), &script);
    let lease = pool.get().unwrap();
    let waiters: Vec<_> = (0..5).map(|_| waiter(&pool, secs(1000))).collect();
    pool.close();
    // The lease is still out and time stands still.
    for waiter in waiters {
        let error = waiter.result().unwrap_err();
        assert!(matches!(&error, GetError::Closed), "{error:?}");
        assert_eq!(error.to_string(), "the pool is closed");
    }
    assert_eq!(pool.stats().waiting, 0);
    drop(lease);
    assert_settled(&pool, &script);
}

#[test]
fn a_closed_pool_refuses_and_drops_what_was_idle() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("refuses", 3, &time), &script);
    drop(take(&pool, 2));
    assert!(!pool.is_closed());
    pool.close();
    assert!(pool.is_closed());
    assert_eq!((script.live(), pool.stats().evicted_for(EvictReason::Closed)), (0, 2));
    assert!(matches!(pool.get(), Err(GetError::Closed)));
    assert!(matches!(pool.get_timeout(secs(1)), Err(GetError::Closed)));
    assert!(matches!(pool.try_get(), Err(GetError::Closed)));
    // None of these brings it back to life.
    pool.close();
    pool.clean_up();
    pool.check_all();
    pool.reset();
    pool.resize(5).unwrap();
    assert_eq!(script.made(), 2);
    assert_settled(&pool, &script);
}

#[test]
fn a_lease_stays_valid_after_the_close_and_ends_as_it_comes_home() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("still valid", 2, &time), &script);
    let lease = pool.get().unwrap();
    pool.close();
    assert_eq!((lease.number, script.live()), (1, 1));
    drop(lease);
    assert_eq!((script.live(), pool.stats().in_use), (0, 0));
    assert_eq!(pool.stats().evicted_for(EvictReason::Closed), 1);
}

/// Behaviour 12: puddle pushes the new item into the closed pool.
#[test]
fn an_item_whose_creation_ends_after_the_close_is_dropped() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("close races create", 1, &time), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let waiter = waiter(&pool, secs(30));
    gate.await_entered(1);
    pool.close();
    assert!(matches!(waiter.result(), Err(GetError::Closed)));
    assert!(pool.drain(secs(0)), "a hung creation holds up no drain");
    gate.open();
    eventually(|| script.made() == 1 && script.live() == 0);
    assert_settled(&pool, &script);
    assert_eq!(pool.stats().evicted_for(EvictReason::Closed), 1);
}

/// Behaviour 12.
#[test]
fn a_try_get_whose_creation_ends_after_the_close_gets_nothing() {
    for (then, made) in [(succeed(), 1), (fail("refused"), 0)] {
        let (script, time) = (Script::new(), ManualClock::new());
        let pool = start(manual("close races try_get", 1, &time), &script);
        let gate = Gate::new();
        script.on_create.set(gate.before(then));
        let own = spawn({
            let pool = pool.clone();
            move || pool.try_get()
        });
        gate.await_entered(1);
        pool.close();
        gate.open();
        assert!(matches!(own.result(), Err(GetError::Closed | GetError::Create(_))));
        assert_settled(&pool, &script);
        assert_eq!((script.made(), script.live(), pool.stats().in_use), (made, 0, 0));
    }
}

#[test]
fn drain_waits_until_every_lease_has_come_home() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("drain", 3, &time), &script);
    let mut leases = take(&pool, 3);
    let draining = spawn({
        let pool = pool.clone();
        move || pool.drain(secs(60))
    });
    eventually(|| pool.is_closed());
    // Each way of giving back counts.
    drop(leases.pop());
    Lease::discard(leases.pop().unwrap());
    assert!(!draining.is_done());
    let item = Lease::detach(leases.pop().unwrap());
    assert!(draining.result());
    assert_eq!(script.live(), 1);
    drop(item);
}

#[test]
fn drain_says_when_leases_are_still_out_at_its_deadline() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("drain in vain", 1, &time), &script);
    let lease = pool.get().unwrap();
    assert!(!pool.drain(secs(0)));
    let draining = spawn({
        let pool = pool.clone();
        move || pool.drain(secs(60))
    });
    time.advance(secs(30));
    assert!(!draining.is_done());
    // Advanced until it notices: it may have begun after the first step.
    eventually(|| {
        time.advance(secs(60));
        draining.is_done()
    });
    assert!(!draining.result());
    drop(lease);
    assert!(pool.drain(secs(0)));
}

#[test]
fn a_drain_by_the_systems_clock_ends_with_the_last_lease() {
    let script = Script::new();
    let pool = start(config("drain for real", 2), &script);
    let lease = pool.get().unwrap();
    let draining = spawn({
        let pool = pool.clone();
        move || pool.drain(LIMIT * 10)
    });
    eventually(|| pool.is_closed());
    drop(lease);
    assert!(draining.result());
}

#[test]
fn the_last_handle_closes_the_pool_and_an_earlier_one_does_not() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("handles", 2, &time), &script);
    drop(take(&pool, 2));
    let other = pool.clone();
    drop(pool);
    assert!(!other.is_closed());
    drop(other.get().unwrap());
    drop(other);
    assert_eq!(script.live(), 0);
    eventually(|| script.manager_dropped());
}

#[test]
fn the_pool_may_be_dropped_while_leases_are_out() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("orphans", 3, &time), &script);
    let mut leases = take(&pool, 3);
    drop(pool);
    assert_eq!(leases.iter().map(|lease| lease.number).sum::<usize>(), 6);
    Lease::discard(leases.pop().unwrap());
    let item = Lease::detach(leases.pop().unwrap());
    assert!(!script.manager_dropped(), "a lease still needs it");
    drop(leases.pop());
    assert_eq!(script.live(), 1);
    eventually(|| script.manager_dropped());
    drop(item);
}

#[test]
fn the_manager_is_dropped_after_pool_and_leases_are_gone() {
    let script = Script::new();
    // With the background maintenance, which must not keep the pool alive.
    let pool = start(config("no cycle", 3).maintenance_interval(millis(1)), &script);
    let lease = pool.get().unwrap();
    drop(pool.get().unwrap());
    pool.check_all();
    drop(pool);
    assert!(!script.manager_dropped());
    drop(lease);
    eventually(|| script.manager_dropped() && script.live() == 0);
}

#[test]
fn the_manager_is_dropped_after_the_last_creation_that_still_runs() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("late creation", 1, &time), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    assert!(pool.get_timeout(secs(0)).is_err());
    gate.await_entered(1);
    drop(pool);
    assert!(!script.manager_dropped());
    gate.open();
    eventually(|| script.manager_dropped() && script.made() == 1 && script.live() == 0);
}

#[test]
fn a_pool_dropped_by_an_unwinding_thread_closes() {
    let script = Script::new();
    let pool = start(config("dropped in panic", 2), &script);
    drop(take(&pool, 2));
    script.on_drop.set(blow_up("would not go"));
    let outcome = spawn(move || {
        let _pool = pool;
        panic!("first panic");
    })
    .outcome();
    assert_eq!(words(&*outcome.unwrap_err()), "first panic");
    eventually(|| script.live() == 0 && script.manager_dropped());
}
