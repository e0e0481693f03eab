//! Warming up: items made and checked before they are needed.

mod support;

use std::sync::Arc;

use llm_pool::{ManualClock, PoolConfig, WarmUpError, WhenUnhealthy};
use support::*;

/// Nothing is created or checked but on request, and nothing expires.
fn cold(name: &str, max_size: usize, time: &ManualClock) -> PoolConfig {
    let config = manual(name, max_size, time).check_interval(None);
    config.idle_timeout(None).max_lifetime(None)
}

fn warm_up(pool: &TestPool, n: usize) -> Task<Result<usize, WarmUpError>> {
    let pool = pool.clone();
    spawn(move || pool.warm_up(n))
}

#[test]
fn a_warm_up_creates_and_checks_in_parallel_within_the_bounds() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(cold("parallel", 10, &time).max_creating(3), &script);
    let (creations, checks) = (Gate::new(), Gate::new());
    script.on_create.set(creations.before(succeed()));
    script.on_check.set(checks.before(succeed()));
    let task = warm_up(&pool, 7);
    creations.await_entered(3);
    assert_eq!((pool.stats().creating, creations.entered()), (3, 3));
    creations.open();
    checks.await_entered(4);
    eventually(|| pool.stats().creating == 0);
    assert_eq!((pool.stats().checking, checks.entered()), (4, 4));
    checks.open();
    assert_eq!(task.result().unwrap(), 7);
    assert_settled(&pool, &script);
    assert_eq!((pool.stats().idle, pool.stats().checks, script.made()), (7, 7, 7));
    assert!(pool.items().iter().all(|item| item.last_check.is_some_and(|check| check.passed)));
}

#[test]
fn what_is_there_and_proved_is_left_alone() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(cold("proved", 5, &time), &script);
    drop(take(&pool, 2));
    assert_eq!(pool.warm_up(1).unwrap(), 2, "used items have proved themselves");
    assert_eq!(pool.warm_up(3).unwrap(), 3);
    assert_eq!((script.on_check.calls(), script.made()), (1, 3));
    assert_eq!(pool.warm_up(3).unwrap(), 3);
    assert_eq!((script.on_check.calls(), script.made()), (1, 3));
    // Items that are out count among those that are there, and not among the ready.
    let _leases = take(&pool, 3);
    assert_eq!(pool.warm_up(3).unwrap(), 0);
    assert_eq!(pool.warm_up(5).unwrap(), 2);
    assert_settled(&pool, &script);
}

#[test]
fn more_than_the_pool_may_hold_is_refused() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(cold("too many", 3, &time), &script);
    let error = pool.warm_up(4).unwrap_err();
    assert!(matches!(error, WarmUpError::TooMany { wanted: 4, max_size: 3, .. }));
    assert_eq!(error.to_string(), "cannot warm up 4 items of pool \"too many\": max_size is 3");
    assert_eq!(script.made(), 0);
    assert_eq!(pool.warm_up(0).unwrap(), 0);
    pool.close();
    assert!(matches!(pool.warm_up(1), Err(WarmUpError::Closed)));
}

#[test]
fn a_failed_creation_is_told_with_how_many_are_ready() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(cold("cannot create", 5, &time).max_creating(1), &script);
    script.on_create.set(Arc::new(|n| if n == 2 { Err(Refusal("refused")) } else { Ok(()) }));
    let error = pool.warm_up(4).unwrap_err();
    let text = error.to_string();
    let WarmUpError::NotReady { ready, wanted, .. } = error else { panic!("{text}") };
    assert_eq!((ready, wanted, script.made()), (3, 4, 3));
    assert!(text.starts_with("warmed up 3 of 4 items of pool"), "{text}");
    assert!(text.ends_with("a creation failed: refused"), "{text}");
    assert_settled(&pool, &script);
    assert_eq!(script.on_create.calls(), 4, "each is tried once");
    script.on_create.set(succeed());
    assert_eq!(pool.warm_up(4).unwrap(), 4);
    script.on_create.set(blow_up("ouch"));
    let error = pool.warm_up(5).unwrap_err().to_string();
    assert!(error.ends_with("a creation failed: create panicked: ouch"), "{error}");
}

#[test]
fn a_failed_check_is_told_and_its_item_is_not_lost() {
    for when in [WhenUnhealthy::Replace, WhenUnhealthy::Wait] {
        let (script, time) = (Script::new(), ManualClock::new());
        let pool = start(cold("cannot check", 3, &time).when_unhealthy(when), &script);
        script.on_check.set(Arc::new(|n| if n == 2 { Err(Refusal("unwell")) } else { Ok(()) }));
        let error = pool.warm_up(3).unwrap_err();
        assert!(matches!(error, WarmUpError::NotReady { ready: 2, wanted: 3, .. }), "{error}");
        assert!(error.to_string().ends_with("a check failed: unwell"), "{error}");
        assert_settled(&pool, &script);
        assert_eq!((pool.stats().idle, pool.stats().unhealthy), (2, 1));
    }
}

#[test]
fn a_warm_up_ends_at_its_time_limit_and_what_it_began_goes_on() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(cold("slow", 3, &time).wait_timeout(secs(5)), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let task = warm_up(&pool, 3);
    gate.await_entered(3);
    time.advance(secs(5));
    let error = task.result().unwrap_err();
    assert_eq!(
        error.to_string(),
        "warmed up 0 of 3 items of pool \"slow\" in 5.0s; \
         create or check is slow: raise wait_timeout or warm up fewer"
    );
    gate.open();
    assert_settled(&pool, &script);
    assert_eq!(pool.stats().idle, 3);
    assert_eq!(pool.warm_up(3).unwrap(), 3);
}

#[test]
fn callers_may_take_items_and_the_pool_may_close_meanwhile() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(cold("busy", 4, &time), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let task = warm_up(&pool, 3);
    gate.await_entered(3);
    let waiter = waiter(&pool, secs(30));
    gate.open();
    let lease = waiter.result().unwrap();
    assert!((2..=3).contains(&task.result().unwrap()));
    drop(lease);
    assert_settled(&pool, &script);

    let checks = Gate::new();
    script.on_check.set(checks.before(succeed()));
    pool.reset();
    let task = warm_up(&pool, 4);
    checks.await_entered(4);
    pool.close();
    assert!(matches!(task.result(), Err(WarmUpError::Closed)));
    checks.open();
    assert_settled(&pool, &script);
    assert_eq!(script.live(), 0);
}

#[test]
fn an_item_that_is_taken_before_its_check_keeps_no_warm_up_waiting() {
    let (script, gate) = (Script::new(), Gate::new());
    let config = config("taken", 5).check_timeout(secs(60)).wait_timeout(secs(60));
    let pool = start(config.check_interval(None), &script);
    drop(take(&pool, 4));
    script.on_check.set(gate.before(succeed()));
    pool.check_all();
    gate.await_entered(4);
    // The fifth finds no place to be checked.
    let task = warm_up(&pool, 5);
    eventually(|| pool.stats().checks_due);
    let lease = take(&pool, 1);
    assert_eq!(task.result().unwrap(), 0);
    gate.open();
    drop(lease);
    assert_settled(&pool, &script);
}
