//! What is logged, at which level, and how often.

mod support;

use std::time::Duration;

use llm_pool::{Lease, ManualClock};
use log::Level;
use support::*;

#[test]
fn creation_and_every_eviction_with_its_reason_are_logged() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("life", 5, &time).idle_timeout(secs(60)).max_lifetime(secs(1000));
    let pool = start(config.max_check_failures(1).max_uses(3), &script);
    let evicted = |reason: &str| {
        let line = format!("evicts an item: {reason}");
        eventually(|| logs::matching("life", Level::Debug, &line).len() == 1);
    };

    Lease::discard(pool.get().unwrap());
    evicted("discarded by its holder");
    script.on_is_broken.set(fail("broken"));
    drop(pool.get().unwrap());
    script.on_is_broken.set(succeed());
    evicted("broken at put-back");
    (0..3).for_each(|_| drop(pool.get().unwrap()));
    evicted("max_uses");
    drop(pool.get().unwrap());
    time.advance(secs(60));
    pool.clean_up();
    evicted("idle_timeout");
    let lease = pool.get().unwrap();
    time.advance(secs(1000));
    drop(lease);
    evicted("max_lifetime");
    drop(pool.get().unwrap());
    script.on_check.set(fail("unwell"));
    pool.check_all();
    evicted("failed its checks");
    drop(pool.get().unwrap());
    pool.reset();
    evicted("reset");
    drop(take(&pool, 2));
    pool.resize(1).unwrap();
    evicted("resize");
    pool.close();
    evicted("pool closed");
    assert_eq!(logs::matching("life", Level::Debug, "created an item").len(), script.made());
    assert_settled(&pool, &script);
}

#[test]
fn the_eviction_of_a_panicking_threads_item_is_logged_with_its_reason() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("panicking holder", 1, &time), &script);
    let lease = pool.get().unwrap();
    let outcome = spawn(move || {
        let _lease = lease;
        panic!("half way through");
    })
    .outcome();
    assert!(outcome.is_err());
    let told = logs::matching("panicking holder", Level::Debug, "evicts an item");
    assert_eq!(told, ["pool \"panicking holder\": evicts an item: its holder panicked"]);
}

#[test]
fn start_and_close_are_logged_and_a_failed_creation_warns() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("begin and end", 1, &time), &script);
    script.on_create.set(fail("refused"));
    assert!(pool.get().is_err());
    pool.close();
    pool.close();
    assert_eq!(logs::matching("begin and end", Level::Debug, "started").len(), 1);
    assert_eq!(logs::matching("begin and end", Level::Debug, "closed").len(), 1);
    let told = logs::matching("begin and end", Level::Warn, "");
    assert_eq!(told, ["pool \"begin and end\": cannot create an item: refused"]);
}

/// Waits for `wait` by the pool's clock, and is then served.
fn slow_wait(pool: &TestPool, time: &ManualClock, wait: Duration) {
    let lease = pool.get().expect("a lease");
    let waiter = spawn({
        let pool = pool.clone();
        move || drop(pool.get_timeout(Duration::MAX).expect("a lease"))
    });
    eventually(|| pool.stats().waiting == 1);
    time.advance(wait);
    drop(lease);
    waiter.result();
}

#[test]
fn a_slow_wait_warns_at_most_once_per_interval() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("slow wait", 1, &time).slow_wait(secs(2)).nearly_full(None);
    let pool = start(config.maintenance_interval(secs(60)), &script);
    let told = || logs::matching("slow wait", Level::Warn, "a wait of");
    slow_wait(&pool, &time, millis(1900));
    assert_eq!(told().len(), 0);
    slow_wait(&pool, &time, secs(2));
    assert_eq!(told().len(), 1);
    let [line] = &told()[..] else { panic!("{:?}", told()) };
    assert!(line.contains("a wait of 2.0s at tests/log_lines.rs:"), "{line}");
    assert!(line.contains("max 1, idle"), "with the counts: {line}");
    // Whatever passes of maintenance there are meanwhile: checks may need more of them.
    for _ in 0..5 {
        pool.clean_up();
        slow_wait(&pool, &time, secs(3));
    }
    assert_eq!(told().len(), 1);
    time.advance(secs(60));
    pool.clean_up();
    slow_wait(&pool, &time, secs(3));
    assert_eq!(told().len(), 2);
}

#[test]
fn a_nearly_full_pool_warns_above_the_share_at_most_once_per_interval() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("nearly full", 10, &time).maintenance_interval(secs(60));
    let pool = start(config.max_lifetime(None).idle_timeout(None), &script);
    let told = || logs::matching("nearly full", Level::Warn, "nearly full:");
    let mut leases = take(&pool, 8);
    assert_eq!(told().len(), 0, "80 per cent is not above 80 per cent");
    leases.push(pool.get().unwrap());
    eventually(|| told().len() == 1);
    assert!(told()[0].contains("max 10, idle 0, in use 9"), "{:?}", told());
    leases.extend(pool.get().ok());
    leases.clear();
    pool.clean_up();
    leases.extend(take(&pool, 10));
    assert_eq!(told().len(), 1);
    leases.clear();
    time.advance(secs(60));
    pool.clean_up();
    leases.extend(take(&pool, 10));
    eventually(|| told().len() == 2);
}

#[test]
fn without_limits_nothing_warns() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("silent", 1, &time).slow_wait(None).nearly_full(None);
    let pool = start(config.leak_after(None), &script);
    slow_wait(&pool, &time, secs(10_000));
    pool.clean_up();
    assert!(logs::matching("silent", Level::Warn, "").is_empty(), "{:?}", logs::of("silent"));
}

#[test]
fn a_leak_is_logged_once_with_its_thread_and_line() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("leak", 3, &time).leak_after(secs(60)), &script);
    let (get, get_timeout, try_get) = {
        let (a, b, c) = (pool.clone(), pool.clone(), pool.clone());
        let line = line!();
        (
            (spawn_named("tidy", move || a.get().unwrap()).result(), line + 2),
            (spawn_named("untidy", move || b.get_timeout(secs(1)).unwrap()).result(), line + 3),
            (spawn_named("messy", move || c.try_get().unwrap()).result(), line + 4),
        )
    };
    let told = || logs::matching("leak", Level::Warn, "a lease has been held");
    time.advance(secs(59));
    pool.clean_up();
    assert!(told().is_empty());
    drop(get);
    time.advance(secs(1));
    pool.clean_up();
    let told_now = told();
    assert_eq!(told_now.len(), 2, "{told_now:?}");
    for (thread, line) in [("untidy", get_timeout.1), ("messy", try_get.1)] {
        let place = format!("by thread \"{thread}\", taken at {}:{line}:", file!());
        let of_thread = told_now.iter().find(|text| text.contains(thread)).unwrap();
        assert!(of_thread.contains("held for 60.0s"), "{of_thread}");
        assert!(of_thread.contains(&place), "{of_thread} lacks {place}");
    }
    time.advance(secs(1000));
    pool.clean_up();
    assert_eq!(told().len(), 2, "once a lease");
    // A later lease of the same item is another lease.
    drop((get_timeout, try_get));
    let _again = pool.get().unwrap();
    time.advance(secs(60));
    pool.clean_up();
    assert_eq!(told().len(), 3);
}

#[test]
fn a_leak_behind_a_closed_pool_is_logged_too() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("closed leak", 1, &time).leak_after(secs(60)), &script);
    let _lease = pool.get().unwrap();
    pool.close();
    time.advance(secs(60));
    pool.clean_up();
    assert_eq!(logs::matching("closed leak", Level::Warn, "a lease has been held").len(), 1);
}

#[test]
fn each_time_out_is_a_line_and_the_first_of_an_interval_warns() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("times out", 1, &time).maintenance_interval(secs(60));
    let pool = start(config.nearly_full(None), &script);
    let _lease = pool.get().unwrap();
    let told = |level| logs::matching("times out", level, "timed out").len();
    for so_far in 1..=3 {
        assert!(pool.get_timeout(Duration::ZERO).is_err());
        assert_eq!((told(Level::Warn), told(Level::Debug)), (1, so_far - 1));
    }
    time.advance(secs(60));
    assert!(pool.get_timeout(Duration::ZERO).is_err());
    assert_eq!((told(Level::Warn), told(Level::Debug)), (2, 2));
}

#[test]
fn a_pass_that_did_something_says_what_and_one_that_did_not_says_nothing() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("cleans up", 5, &time).idle_timeout(secs(60)).max_lifetime(None);
    let pool = start(config.min_idle(2).check_interval(secs(1000)), &script);
    let told = || logs::matching("cleans up", Level::Debug, "clean-up");
    pool.clean_up();
    assert!(told().is_empty(), "{:?}", told());
    drop(take(&pool, 5));
    time.advance(secs(60));
    pool.clean_up();
    let line = |evicted, refilled, checked| {
        format!(
            "pool \"cleans up\": clean-up: {evicted} evicted, {refilled} to be created, {checked} to \
             be checked"
        )
    };
    assert_eq!(told(), [line(3, 0, 0)]);
    Lease::discard(pool.get().unwrap());
    pool.clean_up();
    assert_eq!(told()[1..], [line(0, 1, 0)]);
    assert_settled(&pool, &script);
    time.advance(secs(1000));
    pool.clean_up();
    assert_eq!(told()[2..], [line(0, 0, 2)]);
    assert_settled(&pool, &script);
}

#[test]
fn an_item_that_keeps_failing_warns_once_and_a_later_failure_warns_again() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("keeps failing", 1, &time).max_check_failures(5);
    let pool = start(config, &script);
    drop(pool.get().unwrap());
    let told = |level, text| logs::matching("keeps failing", level, text).len();
    let check = |failures| {
        pool.check_all();
        eventually(|| pool.stats().check_failures == failures);
        assert_settled(&pool, &script);
    };
    script.on_check.set(fail("unwell"));
    (1..=3).for_each(check);
    eventually(|| told(Level::Debug, "failed its check: unwell") == 3);
    eventually(|| told(Level::Warn, "is unhealthy: unwell") == 1);
    script.on_check.set(succeed());
    pool.check_all();
    eventually(|| told(Level::Info, "passed its check again") == 1);
    script.on_check.set(fail("unwell"));
    check(4);
    eventually(|| told(Level::Warn, "is unhealthy: unwell") == 2);
}

#[test]
fn an_item_that_goes_at_its_first_failure_warns_too() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("goes at once", 1, &time).nearly_full(None);
    let pool = start(config.max_check_failures(1), &script);
    drop(pool.get().unwrap());
    script.on_check.set(fail("unwell"));
    pool.check_all();
    let told = || logs::matching("goes at once", Level::Warn, "");
    eventually(|| told() == ["pool \"goes at once\": an item is unhealthy: unwell"]);
}
