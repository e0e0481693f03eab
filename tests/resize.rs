//! A cap that changes while the pool is at work. Behaviour 13 throughout.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use llm_pool::{EvictReason, GetError, Lease, ManualClock};
use support::*;

/// deadpool shrunk from 10 to 2 while one item exists still lets ten out.
#[test]
fn a_lower_cap_counts_at_once_however_few_items_exist() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("shrink empty", 10, &time), &script);
    drop(pool.get().unwrap());
    pool.resize(2).unwrap();
    let leases = take(&pool, 2);
    assert!(matches!(pool.try_get(), Err(GetError::Exhausted { .. })));
    assert!(matches!(pool.get_timeout(secs(0)), Err(GetError::Timeout { .. })));
    assert_eq!((leases.len(), script.most_live()), (2, 2));
}

/// deadpool at 5, then 10, with ten out lets fifteen out.
#[test]
fn down_and_up_again_lets_no_more_out_than_the_cap() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("down and up", 10, &time), &script);
    let leases = take(&pool, 10);
    pool.resize(5).unwrap();
    pool.resize(10).unwrap();
    assert!(matches!(pool.try_get(), Err(GetError::Exhausted { .. })));
    assert!(matches!(pool.get_timeout(secs(0)), Err(GetError::Timeout { .. })));
    drop(leases);
    let leases = take(&pool, 10);
    assert!(matches!(pool.try_get(), Err(GetError::Exhausted { .. })));
    drop(leases);
    assert_eq!(script.most_live(), 10);
    assert_settled(&pool, &script);
}

#[test]
fn no_lease_is_given_while_as_many_are_out_as_the_new_cap_allows() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("shrink full", 4, &time), &script);
    let mut leases = take(&pool, 4);
    pool.resize(2).unwrap();
    let waiter = waiter(&pool, secs(30));
    for _ in 0..2 {
        drop(leases.pop());
        assert!(!waiter.is_done());
        assert!(pool.try_get().is_err());
    }
    assert_eq!(pool.stats().evicted_for(EvictReason::Resized), 2);
    drop(leases.pop());
    let lease = waiter.result().unwrap();
    assert_eq!(pool.stats().in_use, 2);
    drop(lease);
    assert_settled(&pool, &script);
}

#[test]
fn a_lower_cap_evicts_idle_items_at_once_the_coldest_first() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("shrink idle", 4, &time), &script);
    take(&pool, 4).into_iter().for_each(drop);
    pool.resize(2).unwrap();
    assert_eq!((script.live(), pool.stats().evicted_for(EvictReason::Resized)), (2, 2));
    let numbers: Vec<_> = take(&pool, 2).iter().map(|lease| lease.number).collect();
    assert_eq!(numbers, [4, 3]);
}

#[test]
fn a_higher_cap_serves_those_who_wait_at_once() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("grow", 1, &time), &script);
    let lease = pool.get().unwrap();
    let waiters = [waiter(&pool, secs(30)), waiter(&pool, secs(30)), waiter(&pool, secs(30))];
    pool.resize(3).unwrap();
    let [first, second, third] = waiters;
    let served = (first.result().unwrap(), second.result().unwrap());
    assert!(!third.is_done());
    assert_eq!(pool.stats().in_use, 3);
    drop(lease);
    assert_eq!(third.result().unwrap().number, 1);
    drop(served);
    assert_settled(&pool, &script);
}

#[test]
fn a_creation_under_way_counts_against_a_lower_cap() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("shrink creating", 2, &time), &script);
    let held = pool.get().unwrap();
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let waiter = waiter(&pool, secs(30));
    gate.await_entered(1);
    pool.resize(1).unwrap();
    gate.open();
    eventually(|| pool.stats().creating == 0);
    assert_eq!((pool.stats().in_use, waiter.is_done()), (1, false));
    drop(held);
    assert_eq!(waiter.result().unwrap().number, 1);
    assert_settled(&pool, &script);
}

#[test]
fn a_try_get_that_creates_counts_against_a_lower_cap() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("shrink try_get", 2, &time), &script);
    let held = pool.get().unwrap();
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let own = spawn({
        let pool = pool.clone();
        move || pool.try_get()
    });
    gate.await_entered(1);
    pool.resize(1).unwrap();
    gate.open();
    let got = own.result();
    assert!(matches!(&got, Err(GetError::Exhausted { .. })), "{got:?}");
    assert_eq!(pool.stats().in_use, 1);
    assert_eq!(pool.stats().evicted_for(EvictReason::Resized), 1);
    drop(held);
    assert_settled(&pool, &script);
}

#[test]
fn a_cap_of_zero_is_refused_and_changes_nothing() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("no cap of zero", 3, &time), &script);
    let error = pool.resize(0).unwrap_err();
    assert_eq!(error.to_string(), "invalid resize: max_size: must be at least 1");
    assert_eq!(pool.stats().max_size, 3);
}

#[test]
fn a_cap_below_min_idle_holds() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("below min_idle", 4, &time).min_idle(3), &script);
    pool.resize(1).unwrap();
    assert_eq!(script.live(), 1);
    pool.clean_up();
    assert_settled(&pool, &script);
    assert_eq!((script.live(), script.made()), (1, 3));
    pool.resize(4).unwrap();
    pool.clean_up();
    eventually(|| pool.stats().idle == 3);
    assert_settled(&pool, &script);
}

#[test]
fn a_cap_that_changes_all_the_time_is_never_exceeded() {
    const MOST: usize = 4;
    let script = Script::new();
    let pool = start(config("restless", MOST), &script);
    let stop = Arc::new(AtomicBool::new(false));
    let users: Vec<_> = (0..6)
        .map(|user| {
            let (pool, stop) = (pool.clone(), stop.clone());
            spawn(move || {
                let mut turn = user;
                while !stop.load(Ordering::Relaxed) {
                    let Ok(lease) = (if turn % 5 == 0 { pool.try_get() } else { pool.get() })
                    else {
                        turn += 1;
                        continue;
                    };
                    match turn % 3 {
                        0 => Lease::discard(lease),
                        _ => drop(lease),
                    }
                    turn += 1;
                }
            })
        })
        .collect();
    for round in 0..400 {
        pool.resize(1 + round % MOST).unwrap();
        let stats = pool.stats();
        let size = stats.idle + stats.in_use + stats.creating + stats.checking + stats.unhealthy;
        assert!(size <= MOST, "{stats}");
        std::thread::yield_now();
    }
    stop.store(true, Ordering::Relaxed);
    users.into_iter().for_each(Task::result);
    // An item that was taken out of the books may live a moment longer, until it is dropped.
    pool.resize(1).unwrap();
    assert_settled(&pool, &script);
    assert_eq!(pool.stats().in_use, 0);
    drop(pool.get().unwrap());
}
