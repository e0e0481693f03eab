//! What callers get while all items are unhealthy: new ones, an error at once, or a wait.

mod support;

use std::sync::Arc;

use llm_pool::{EvictReason, GetError, ManualClock, PoolConfig, WhenUnhealthy};
use support::*;

fn on_request(name: &str, time: &ManualClock, when: WhenUnhealthy) -> PoolConfig {
    let config = manual(name, 3, time).check_interval(None).maintenance_interval(secs(60));
    config.idle_timeout(None).max_lifetime(None).min_idle(1).when_unhealthy(when)
}

/// A pool whose one item has just failed a check.
fn unhealthy(config: PoolConfig, script: &Arc<Script>) -> TestPool {
    let pool = start(config, script);
    fail_check(&pool, script);
    pool
}

fn fail_check(pool: &TestPool, script: &Script) {
    script.on_check.set(fail("host is down"));
    check(pool, script);
}

fn pass_check(pool: &TestPool, script: &Script) {
    script.on_check.set(succeed());
    check(pool, script);
}

/// Has all checked, and waits for the outcome. Waiters may go on waiting.
fn check(pool: &TestPool, script: &Script) {
    let (checks, stats) = (script.on_check.calls(), pool.stats());
    pool.check_all();
    let due = checks + stats.idle + stats.unhealthy;
    eventually(|| script.on_check.calls() >= due && pool.stats().checking == 0);
}

#[test]
fn replace_gives_a_new_item_beside_the_unhealthy_one() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = on_request("replace", &time, WhenUnhealthy::Replace);
    let pool = unhealthy(config.min_idle(1).max_size(1), &script);
    assert_eq!(pool.get().unwrap().number, 2);
    assert_eq!(pool.stats().evicted_for(EvictReason::Unhealthy), 1);
    assert_eq!(PoolConfig::default().when_unhealthy, None);
}

#[test]
fn fail_refuses_every_kind_of_get_at_once_and_says_why() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = unhealthy(on_request("fail", &time, WhenUnhealthy::Fail), &script);
    time.advance(secs(7));
    pool.clean_up();
    let refused = [
        pool.get().unwrap_err(),
        pool.get_timeout(secs(9)).unwrap_err(),
        pool.get_within(secs(9)).unwrap_err(),
        pool.try_get().unwrap_err(),
    ];
    for error in refused {
        let text = error.to_string();
        let GetError::Unhealthy { last_error, picture, .. } = error else { panic!("{text}") };
        assert_eq!(&*last_error, "host is down");
        assert_eq!(picture.last_check_error, Some((last_error, secs(7))));
        assert_eq!(picture.next_check, Some(secs(53)));
        assert_eq!(
            text,
            "no healthy item in pool \"fail\": max_size 3, in use 0, idle 0, creating 0, \
             unhealthy 1, waiting 0, last check error 7.0s ago: host is down, next check in 53.0s; \
             an item comes back when it passes its check: see the last check error"
        );
    }
    assert_eq!((script.made(), pool.stats().idle), (1, 0), "no fresh item hides the trouble");
}

#[test]
fn fail_goes_on_while_the_unhealthy_item_is_checked_again_and_ends_when_it_passes() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = unhealthy(on_request("rechecked", &time, WhenUnhealthy::Fail), &script);
    let gate = Gate::new();
    script.on_check.set(gate.before(succeed()));
    time.advance(secs(60));
    // By itself: maintenance has it checked when it is due.
    pool.clean_up();
    gate.await_entered(1);
    let error = pool.get().unwrap_err();
    assert!(matches!(error, GetError::Unhealthy { .. }), "{error}");
    assert!(error.to_string().contains("next check now"), "{error}");
    gate.open();
    eventually(|| pool.stats().idle == 1);
    assert_eq!(pool.get().unwrap().number, 1);
    assert_settled(&pool, &script);
}

#[test]
fn fail_tells_those_who_wait_when_the_last_good_item_turns_unhealthy() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = on_request("queued", &time, WhenUnhealthy::Fail).max_size(1);
    let pool = start(config, &script);
    let gate = Gate::new();
    script.on_check.set(gate.before(fail("host is down")));
    pool.check_all();
    gate.await_entered(1);
    // It may pass: worth waiting for.
    let waiters = [waiter(&pool, secs(30)), waiter(&pool, secs(30))];
    gate.open();
    for waiter in waiters {
        assert!(matches!(waiter.result(), Err(GetError::Unhealthy { .. })));
    }
    assert_settled(&pool, &script);
    assert_eq!(script.made(), 1);
}

#[test]
fn fail_tells_those_who_wait_when_the_last_good_item_is_discarded() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = on_request("discarded", &time, WhenUnhealthy::Fail).max_size(2);
    let pool = start(config.min_idle(2), &script);
    let lease = pool.get().unwrap();
    fail_check(&pool, &script);
    // The unhealthy one keeps its slot, so this waits for the one that is leased.
    let waiter = waiter(&pool, secs(30));
    llm_pool::Lease::discard(lease);
    assert!(matches!(waiter.result(), Err(GetError::Unhealthy { .. })));
    assert_settled(&pool, &script);
}

#[test]
fn fail_tries_a_new_item_once_one_was_evicted() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = on_request("evicted", &time, WhenUnhealthy::Fail).max_check_failures(2);
    let pool = unhealthy(config, &script);
    assert!(pool.get().is_err());
    fail_check(&pool, &script);
    assert_eq!(pool.get().unwrap().number, 2);
    assert_eq!(pool.stats().evicted_for(EvictReason::Unhealthy), 1);
    assert_settled(&pool, &script);
}

#[test]
fn wait_waits_until_an_item_passes_its_check_again() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = unhealthy(on_request("wait", &time, WhenUnhealthy::Wait), &script);
    assert!(matches!(pool.try_get(), Err(GetError::Exhausted { .. })));
    let [first, second] = [waiter(&pool, secs(300)), waiter(&pool, secs(300))];
    fail_check(&pool, &script);
    assert_eq!((pool.stats().waiting, script.made()), (2, 1));
    pass_check(&pool, &script);
    assert_eq!(first.result().unwrap().number, 1);
    assert!(second.result().is_ok());
    assert_settled(&pool, &script);
}

#[test]
fn wait_ends_at_the_deadline_and_names_the_trouble() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = unhealthy(on_request("in vain", &time, WhenUnhealthy::Wait), &script);
    let waiter = waiter(&pool, secs(10));
    time.advance(secs(10));
    let error = waiter.result().unwrap_err();
    assert!(matches!(error, GetError::Timeout { .. }));
    let text = error.to_string();
    assert!(
        text.contains("last check error 10.0s ago: host is down, next check in 50.0s"),
        "{text}"
    );
    assert!(text.ends_with("see the last check error"), "{text}");
    assert_eq!(script.made(), 1);
}

#[test]
fn wait_ends_with_a_new_item_when_the_unhealthy_one_is_evicted() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = on_request("replaced at last", &time, WhenUnhealthy::Wait).max_check_failures(2);
    let pool = unhealthy(config.max_size(1), &script);
    let waiter = waiter(&pool, secs(300));
    fail_check(&pool, &script);
    assert_eq!(waiter.result().unwrap().number, 2);
    assert_settled(&pool, &script);
}

#[test]
fn unhealthy_items_beside_good_ones_trouble_nobody() {
    for when in [WhenUnhealthy::Fail, WhenUnhealthy::Wait] {
        let (script, time) = (Script::new(), ManualClock::new());
        let pool = start(on_request("mixed", &time, when).min_idle(2), &script);
        let bad = Arc::new(|n| if n == 1 { Err(Refusal("unwell")) } else { Ok(()) });
        script.on_check.set(bad);
        pool.check_all();
        assert_settled(&pool, &script);
        pool.clean_up();
        assert_eq!(
            (pool.stats().idle, pool.stats().unhealthy),
            (1, 1),
            "counts as there: {when:?}"
        );
        let lease = pool.get().unwrap();
        // There is room for one more beside the one that is unhealthy.
        assert_eq!((lease.number, pool.get().unwrap().number), (2, 3));
    }
}

#[test]
fn the_background_thread_brings_a_pool_back_by_itself() {
    for when in [WhenUnhealthy::Fail, WhenUnhealthy::Wait] {
        let script = Script::new();
        let config = config("by itself", 2).min_idle(1).when_unhealthy(when);
        let config = config.check_interval(None).max_check_failures(1000);
        let pool = start(config.maintenance_interval(millis(5)), &script);
        script.on_check.set(fail("host is down"));
        pool.check_all();
        eventually(|| script.on_check.calls() >= 3 && pool.stats().unhealthy == 1);
        if when == WhenUnhealthy::Fail {
            assert!(matches!(pool.get(), Err(GetError::Unhealthy { .. })));
        } else {
            assert!(matches!(pool.get_timeout(millis(1)), Err(GetError::Timeout { .. })));
        }
        script.on_check.set(succeed());
        eventually(|| pool.stats().idle == 1);
        assert_eq!(pool.get().unwrap().number, 1);
        assert_eq!(script.made(), 1);
    }
}

/// Many of them are under their first check when the first one fails.
#[test]
fn fail_and_wait_make_no_unchecked_item_while_the_rest_are_being_checked() {
    for when in [WhenUnhealthy::Fail, WhenUnhealthy::Wait] {
        for n in [2, 4, 8] {
            let (script, time) = (Script::new(), ManualClock::new());
            let config = on_request("many", &time, when).max_size(10).min_idle(n);
            let pool = unhealthy(config, &script);
            eventually(|| pool.stats().unhealthy == n);
            let stats = pool.stats();
            assert_eq!((stats.idle, stats.creating, stats.created), (0, 0, n as u64), "{n}");
        }
    }
}
