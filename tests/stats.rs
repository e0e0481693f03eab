//! Counts that agree with each other at every moment. Behaviour 20 throughout.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use llm_pool::{EvictReason, Lease, ManualClock, Stats};
use support::*;

#[track_caller]
fn assert_balanced(stats: &Stats) {
    let Stats { idle, in_use, creating, checking, unhealthy, .. } = *stats;
    let size = idle + in_use + creating + checking + unhealthy;
    assert!(size <= stats.max_size, "{stats}");
    let there = (size - creating) as u64;
    assert_eq!(stats.created, stats.evicted + stats.detached + there, "{stats}");
    let by_reason: u64 = EvictReason::ALL.iter().map(|&reason| stats.evicted_for(reason)).sum();
    assert_eq!(stats.evicted, by_reason, "{stats}");
}

#[test]
fn every_snapshot_balances_while_everything_happens_at_once() {
    let script = Script::new();
    let config = config("snapshots", 4).min_idle(1).max_uses(7).max_check_failures(2);
    let pool = start(config.check_interval(millis(1)).maintenance_interval(millis(1)), &script);
    script.on_create.set(Arc::new(|n| match n % 11 {
        3 => Err(Refusal("refused")),
        7 => panic!("create"),
        _ => Ok(()),
    }));
    script.on_check.set(Arc::new(|n| if n % 3 == 0 { Err(Refusal("unwell")) } else { Ok(()) }));
    script.on_is_broken.set(Arc::new(|n| match n % 13 {
        4 => Err(Refusal("broken")),
        8 => panic!("is_broken"),
        _ => Ok(()),
    }));
    script.on_drop.set(Arc::new(|n| {
        assert!(n % 17 != 5, "drop");
        Ok(())
    }));
    let stop = Arc::new(AtomicBool::new(false));
    let users: Vec<_> = (0..6_u64)
        .map(|seed| {
            let (pool, stop) = (pool.clone(), stop.clone());
            spawn(move || {
                let mut random = seed + 1;
                while !stop.load(Ordering::Relaxed) {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                    let pick = random >> 40;
                    let timeout = std::time::Duration::from_micros(pick % 2000);
                    let lease =
                        if pick % 4 == 0 { pool.try_get() } else { pool.get_timeout(timeout) };
                    let Ok(lease) = lease else { continue };
                    match pick % 16 {
                        1 => Lease::discard(lease),
                        2 => {
                            // Ours now, and so is the panic of its drop.
                            let item = Lease::detach(lease);
                            let _ = catch_unwind(AssertUnwindSafe(|| drop(item)));
                        }
                        3 => pool.reset(),
                        4 => pool.check_all(),
                        5 => drop(pool.clean_up()),
                        _ => drop(lease),
                    }
                }
            })
        })
        .collect();
    for _ in 0..3000 {
        assert_balanced(&pool.stats());
        std::thread::yield_now();
    }
    stop.store(true, Ordering::Relaxed);
    users.into_iter().for_each(Task::result);
    assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
    script.on_create.set(succeed());
    pool.close();
    eventually(|| pool.stats().creating + pool.stats().checking == 0);
    assert_balanced(&pool.stats());
    eventually(|| script.live() == 0);
}

/// bb8's count of waiting callers stays up when they give up.
#[test]
fn the_count_of_waiters_falls_when_they_give_up() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("gauges", 1, &time), &script);
    let lease = pool.get().unwrap();
    let waiters: Vec<_> = (0..10).map(|_| waiter(&pool, secs(1))).collect();
    time.advance(secs(1));
    for waiter in waiters {
        assert!(waiter.result().is_err());
    }
    let stats = pool.stats();
    assert_eq!((stats.waiting, stats.timeouts, stats.in_use), (0, 10, 1));
    drop(lease);
    assert_settled(&pool, &script);
}

/// Law 1 and deadpool's negative counts: a lease that outlives the close is counted once.
#[test]
fn counts_stay_right_through_close_and_late_returns() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("late returns", 3, &time), &script);
    let leases = take(&pool, 3);
    pool.close();
    assert_eq!((pool.stats().in_use, pool.stats().idle), (3, 0));
    drop(leases);
    assert_eq!((pool.stats().in_use, pool.stats().idle), (0, 0));
    assert_balanced(&pool.stats());
}

/// bb8's wait time starts again with each wake-up.
#[test]
fn waits_are_measured_from_their_beginning_and_holds_to_their_end() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("measured", 1, &time), &script);
    let lease = pool.get().unwrap();
    let waiter = waiter(&pool, secs(1000));
    time.advance(secs(5));
    script.on_create.set(fail("refused"));
    time.advance(secs(4));
    drop(lease);
    let lease = waiter.result().unwrap();
    assert_eq!(Lease::waited(&lease), secs(9));
    time.advance(secs(2));
    drop(lease);
    let stats = pool.stats();
    assert_eq!((stats.wait_time, stats.longest_wait), (secs(9), secs(9)));
    assert_eq!(stats.hold_time, secs(11));
    assert_eq!((stats.gets, stats.put_back, stats.created), (2, 2, 1));
}

/// Behaviour 14: one way out, whatever the path; deadpool forgets its hook on two.
#[test]
fn every_way_out_drops_the_item_and_counts_its_reason() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("ways out", 4, &time).max_uses(50).max_check_failures(1);
    let pool = start(config.idle_timeout(secs(60)).max_lifetime(secs(1000)), &script);
    let mut gone = 0;
    let mut ends = |reason: EvictReason, how: &dyn Fn()| {
        how();
        gone += 1;
        eventually(|| script.dropped() == gone);
        assert_eq!(pool.stats().evicted_for(reason), 1, "{reason}");
        assert_settled(&pool, &script);
    };
    ends(EvictReason::Discarded, &|| Lease::discard(pool.get().unwrap()));
    ends(EvictReason::Broken, &|| {
        script.on_is_broken.set(fail("broken"));
        drop(pool.get().unwrap());
        script.on_is_broken.set(succeed());
    });
    ends(EvictReason::Panicked, &|| {
        let lease = pool.get().unwrap();
        let outcome = spawn(move || {
            let _lease = lease;
            panic!("half way through");
        })
        .outcome();
        assert!(outcome.is_err());
    });
    ends(EvictReason::Uses, &|| (0..50).for_each(|_| drop(pool.get().unwrap())));
    ends(EvictReason::Idle, &|| {
        drop(pool.get().unwrap());
        time.advance(secs(60));
        pool.clean_up();
    });
    ends(EvictReason::Lifetime, &|| {
        let lease = pool.get().unwrap();
        time.advance(secs(1000));
        drop(lease);
    });
    ends(EvictReason::Unhealthy, &|| {
        drop(pool.get().unwrap());
        script.on_check.set(fail("unwell"));
        pool.check_all();
    });
    ends(EvictReason::Reset, &|| {
        drop(pool.get().unwrap());
        pool.reset();
    });
    ends(EvictReason::Resized, &|| {
        drop(take(&pool, 2));
        pool.resize(1).unwrap();
    });
    ends(EvictReason::Closed, &|| pool.close());
    // All but `MaxOpen`, which is for pools that share limits.
    assert_eq!((script.live(), pool.stats().evicted), (0, EvictReason::ALL.len() as u64 - 1));
}
