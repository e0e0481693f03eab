//! Deadlines: one for everything, any length, and what slow user code may and may not hold up.

mod support;

use std::time::{Duration, Instant};

use llm_pool::{GetError, Lease, ManualClock};
use support::*;

fn waited(error: &GetError<Refusal>) -> Duration {
    match error {
        GetError::Timeout { waited, .. } => *waited,
        other => unreachable!("{other:?}"),
    }
}

/// Behaviour 6.
#[test]
fn one_deadline_covers_the_queue_and_the_creation() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("one deadline", 1, &time), &script);
    let lease = pool.get().unwrap();
    let waiter = waiter(&pool, secs(10));
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    time.advance(secs(6));
    Lease::discard(lease);
    gate.await_entered(1);
    assert!(!waiter.is_done());
    time.advance(secs(4));
    let error = waiter.result().unwrap_err();
    assert_eq!(waited(&error), secs(10), "no second helping of time for the creation");
    gate.open();
    assert_settled(&pool, &script);
}

/// Behaviour 6: nobody pays for checks on his own time, however stale the items.
#[test]
fn stale_items_are_not_checked_on_the_callers_time() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("stale", 3, &time), &script);
    drop(take(&pool, 3));
    script.on_check.set(blow_up("checked by a caller"));
    time.advance(secs(600));
    let lease = pool.get().unwrap();
    assert_eq!(Lease::waited(&lease), Duration::ZERO);
    assert_eq!((script.on_check.calls(), script.made()), (0, 3));
}

/// Behaviour 7: r2d2 panics here.
#[test]
fn the_longest_duration_waits_for_ever() {
    for clocks in ["system", "manual"] {
        let (script, time) = (Script::new(), ManualClock::new());
        let name = format!("for ever, {clocks}");
        let config = if clocks == "manual" { manual(&name, 1, &time) } else { config(&name, 1) };
        let pool = start(config.max_lifetime(None), &script);
        let lease = pool.get_timeout(Duration::MAX).unwrap();
        let waiter = waiter(&pool, Duration::MAX);
        time.advance(Duration::from_secs(365 * 24 * 3600));
        assert!(!waiter.is_done());
        drop(lease);
        assert_eq!(waiter.result().unwrap().number, 1);
    }
}

/// Behaviour 7.
#[test]
fn every_setting_may_be_as_long_as_durations_go() {
    let script = Script::new();
    let config = config("all for ever", 2)
        .min_idle(1)
        .wait_timeout(Duration::MAX)
        .idle_timeout(Duration::MAX)
        .max_lifetime(Duration::MAX)
        .check_interval(Duration::MAX)
        .maintenance_interval(Duration::MAX)
        .leak_after(Duration::MAX)
        .slow_wait(Duration::MAX)
        .max_uses(u64::MAX)
        .max_waiting(usize::MAX)
        .max_creating(usize::MAX)
        .max_check_failures(u32::MAX);
    let pool = start(config, &script);
    drop(take(&pool, 2));
    script.on_check.set(fail("unwell"));
    pool.check_all();
    eventually(|| pool.stats().unhealthy == 2);
    assert_eq!(pool.clean_up(), 0);
    assert!(pool.drain(Duration::MAX));
}

/// Behaviour 7.
#[test]
fn a_cap_may_be_as_high_as_numbers_go() {
    let script = Script::new();
    let pool = start(config("no cap", usize::MAX).min_idle(1), &script);
    drop(take(&pool, 3));
    pool.clean_up();
    pool.resize(1).unwrap();
    pool.resize(usize::MAX).unwrap();
    drop(take(&pool, 3));
    assert_settled(&pool, &script);
}

#[test]
fn no_time_at_all_takes_what_is_idle_and_else_times_out() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("no time", 1, &time), &script);
    drop(pool.get().unwrap());
    let lease = pool.get_timeout(Duration::ZERO).unwrap();
    let error = pool.get_timeout(Duration::ZERO).unwrap_err();
    assert_eq!(waited(&error), Duration::ZERO);
    drop(lease);
    assert_settled(&pool, &script);
}

#[test]
fn a_wait_by_the_systems_clock_ends_at_its_deadline() {
    let script = Script::new();
    let pool = start(config("on time", 1), &script);
    let _lease = pool.get().unwrap();
    let began = Instant::now();
    let error = pool.get_timeout(millis(30)).unwrap_err();
    assert!(began.elapsed() >= millis(30));
    assert!(waited(&error) >= millis(30));
}

/// Behaviour 18.
#[test]
fn a_creation_that_outlives_its_caller_fills_the_pool() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("late", 1, &time), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let waiter = waiter(&pool, secs(1));
    gate.await_entered(1);
    time.advance(secs(1));
    assert!(waiter.result().is_err());
    assert_eq!(pool.stats().creating, 1);
    gate.open();
    eventually(|| pool.stats().idle == 1);
    assert_eq!(pool.try_get().unwrap().number, 1);
    assert_settled(&pool, &script);
}

/// Behaviour 18: r2d2 has three threads for all, so three hung connects end it.
#[test]
fn hung_creations_hold_up_neither_other_creations_nor_maintenance() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("hung", 10, &time).max_creating(10).max_lifetime(None);
    let pool = start(config.idle_timeout(secs(60)), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let stuck: Vec<_> = (0..6).map(|_| waiter(&pool, secs(5))).collect();
    gate.await_entered(6);
    time.advance(secs(5));
    assert!(stuck.into_iter().all(|waiter| waiter.result().is_err()));

    script.on_create.set(succeed());
    let leases = vec![pool.try_get().unwrap(), pool.try_get().unwrap()];
    drop(leases);
    script.on_check.set(succeed());
    pool.check_all();
    eventually(|| script.on_check.calls() == 2 && pool.stats().idle == 2);
    time.advance(secs(60));
    assert_eq!(pool.clean_up(), 2, "idle items expire meanwhile");
    gate.open();
    assert_settled(&pool, &script);
}

/// Behaviour 18: who waits behind creations that hang is served by whichever ends first.
#[test]
fn a_get_beside_hung_creations_is_served_by_the_first_that_ends() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("hung and served", 4, &time), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let first = waiter(&pool, secs(500));
    let second = waiter(&pool, secs(500));
    gate.await_entered(2);
    script.on_create.set(succeed());
    let third = spawn({
        let pool = pool.clone();
        move || pool.get().map(drop)
    });
    // Its creation is quick, and its item goes to the first in line, then round again.
    let served_first = first.result().unwrap();
    assert_eq!(served_first.number, 1);
    drop(served_first);
    drop(second.result().unwrap());
    third.result().unwrap();
    gate.open();
    assert_settled(&pool, &script);
}

/// Behaviour 18.
#[test]
fn a_creation_that_hangs_keeps_no_later_get_from_its_own() {
    let (script, time, gate) = (Script::new(), ManualClock::new(), Gate::new());
    let pool = start(manual("one hangs", 4, &time).max_creating(1), &script);
    script.on_create.set(gate.before(fail("too late")));
    let unlucky = waiter(&pool, secs(1));
    gate.await_entered(1);
    time.advance(secs(2));
    assert!(matches!(unlucky.result(), Err(GetError::Timeout { .. })));
    script.on_create.set(succeed());
    let lease = pool.get_timeout(secs(1)).expect("a creation of its own");
    // The late failure is nobody's any more, and costs nothing.
    gate.open();
    eventually(|| pool.stats().create_failures == 1);
    drop(lease);
    assert_settled(&pool, &script);
}

/// Behaviour 18: checks run on threads of their own.
#[test]
fn a_hung_check_holds_up_no_get_and_no_other_check() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("hung check", 6, &time), &script);
    drop(take(&pool, 6));
    let gate = Gate::new();
    let hangs = gate.before(succeed());
    script.on_check.set(std::sync::Arc::new(move |n| if n == 1 { hangs(n) } else { Ok(()) }));
    pool.check_all();
    eventually(|| script.on_check.calls() == 6 && pool.stats().checking == 1);
    let others = take(&pool, 5);
    assert!(others.iter().all(|lease| lease.number != 1), "that one is reserved");
    drop(others);
    gate.open();
    assert_settled(&pool, &script);
}

/// Behaviour 6.
#[test]
fn expired_items_are_not_dropped_on_the_callers_time() {
    let (script, time, gate) = (Script::new(), ManualClock::new(), Gate::new());
    let config = manual("slow drops", 3, &time).max_lifetime(secs(60));
    let pool = start(config, &script);
    drop(take(&pool, 3));
    script.on_drop.set(gate.before(succeed()));
    time.advance(secs(61));
    let task = spawn({
        let pool = pool.clone();
        move || pool.get_timeout(secs(5)).map(|lease| lease.number)
    });
    // Its own creation, while the drops of the others still hang.
    assert_eq!(task.result().unwrap(), 4);
    gate.await_entered(1);
    gate.open();
    eventually(|| script.live() == 1);
}

/// Behaviour 18.
#[test]
fn a_hung_drop_holds_up_the_maintenance_of_no_other_pool() {
    let (script, gate) = (Script::new(), Gate::new());
    let often =
        |name| config(name, 2).min_idle(0).idle_timeout(millis(1)).maintenance_interval(millis(2));
    let hanging = start(often("hanging drop"), &script);
    script.on_drop.set(gate.before(succeed()));
    drop(take(&hanging, 1));
    gate.await_entered(1);
    let other_script = Script::new();
    let other = start(often("beside it"), &other_script);
    drop(take(&other, 1));
    eventually(|| other.stats().evicted == 1);
    gate.open();
}

/// Behaviour 18.
#[test]
fn a_drop_that_hangs_on_a_worker_holds_up_no_creation() {
    let (script, time) = (Script::new(), ManualClock::new());
    let (creating, dropping) = (Gate::new(), Gate::new());
    let config = manual("drop on a worker", 4, &time).min_idle(1).max_creating(1);
    let pool = start(config, &script);
    script.on_create.set(creating.before(succeed()));
    pool.reset();
    creating.await_entered(1);
    // Out of date before it is made: its worker drops it, and has the next one to create.
    pool.reset();
    script.on_drop.set(dropping.before(succeed()));
    creating.open();
    dropping.await_entered(1);
    let getting = spawn({
        let pool = pool.clone();
        move || pool.get_timeout(LIMIT).map(drop)
    });
    eventually(|| getting.is_done());
    assert!(getting.result().is_ok());
    dropping.open();
}
