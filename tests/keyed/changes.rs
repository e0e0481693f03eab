//! Limits that are changed while threads wait.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use llm_pool::keyed::{KeyedPool, Setup};
use llm_pool::{ManualClock, PoolConfig};

use crate::harness::{
    Keyed, Name, assert_free, config, host_of, keyed, limit_named, line_up, manual, served, take,
    waiter, waiting,
};
use crate::support::{Got, Script, Task, eventually, spawn};

/// Which of the waiters have been served, once `count` have.
#[track_caller]
fn served_so_far(waiters: &[Task<Got>], count: usize) -> Vec<usize> {
    let done = || (0..waiters.len()).filter(|&n| waiters[n].is_done()).collect::<Vec<_>>();
    eventually(|| done().len() >= count);
    done()
}

#[test]
fn a_wider_total_serves_those_who_wait_in_their_order() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(9, &time).max_total(1), &script);
    let held = take(&pool, "h/a", 1);
    let waiters = line_up(&pool, &time, &["i/a", "j/a", "k/a", "l/a", "m/a"]);
    pool.set_max_total(3).unwrap();
    assert_eq!(served_so_far(&waiters, 2), [0, 1]);
    assert_eq!(pool.stats().sum.in_use, 3);
    pool.set_max_total(4).unwrap();
    assert_eq!(served_so_far(&waiters, 3), [0, 1, 2]);
    pool.set_max_total(None).unwrap();
    assert_eq!(served_so_far(&waiters, 5).len(), 5);
    assert_eq!(pool.stats().max_total, None);
    drop((held, waiters));
    pool.set_max_total(2).unwrap();
    assert_free(&pool, &[("h/a", 2)]);
}

#[test]
fn a_wider_total_is_shared_among_the_keys_by_the_order_of_their_waiters() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(9, &time).max_total(1), &script);
    let held = take(&pool, "h/a", 1);
    // One host, so that no host has more than its share; and pools come by their first waiters.
    let waiters = line_up(&pool, &time, &["h/b", "h/c", "h/b", "h/c"]);
    pool.set_max_total(2).unwrap();
    assert_eq!(served_so_far(&waiters, 1), [0]);
    pool.set_max_total(3).unwrap();
    assert_eq!(served_so_far(&waiters, 2), [0, 1]);
    pool.set_max_total(4).unwrap();
    assert_eq!(served_so_far(&waiters, 3), [0, 1, 2]);
    pool.set_max_total(9).unwrap();
    assert_eq!(served_so_far(&waiters, 4), [0, 1, 2, 3]);
    drop((held, waiters));
    assert_free(&pool, &[("h/a", 9)]);
}

#[test]
fn a_wider_host_serves_its_waiters_and_not_those_of_another_limit() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(9, &time).max_per_host(1), &script);
    let held = [take(&pool, "h/x", 1), take(&pool, "i/x", 1)];
    let waiters = line_up(&pool, &time, &["h/a", "i/a", "h/b", "i/b"]);
    pool.set_max_of_host("h", 2).unwrap();
    assert_eq!(served_so_far(&waiters, 1), [0]);
    pool.set_max_per_host(2).unwrap();
    assert_eq!(served_so_far(&waiters, 2), [0, 1]);
    pool.set_max_per_host(5).unwrap();
    assert_eq!(served_so_far(&waiters, 3), [0, 1, 3], "h has a limit of its own");
    pool.set_max_of_host("h", None).unwrap();
    assert_eq!(served_so_far(&waiters, 4).len(), 4);
    let limits: Vec<_> = pool.stats().hosts.iter().map(|host| host.max).collect();
    assert_eq!(limits, [None, Some(5)]);
    drop((held, waiters));
    assert_free(&pool, &[("i/a", 5), ("h/a", 7)]);
}

#[test]
fn a_host_may_have_its_limit_before_its_first_key_and_keeps_it_after_its_last() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(9, &time).max_per_host(1), &script);
    pool.set_max_of_host("h", 2).unwrap();
    let held = take(&pool, "h/a", 2);
    assert!(pool.try_get(&"h/b").is_err());
    drop(held);
    for key in ["h/a", "h/b", "i/a"] {
        pool.close_key(&key);
    }
    drop(take(&pool, "j/a", 1));
    drop(take(&pool, "i/a", 1));
    let held = take(&pool, "h/b", 2);
    assert!(pool.try_get(&"h/a").is_err());
    drop(held);
}

#[test]
fn a_narrower_limit_takes_effect_as_leases_come_back() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(9, &time).max_total(4).max_per_host(4), &script);
    let mut held = take(&pool, "h/a", 3);
    held.extend(take(&pool, "i/a", 1));
    pool.set_max_total(2).unwrap();
    pool.set_max_per_host(1).unwrap();
    assert_eq!(pool.stats().sum.in_use, 4, "nobody loses a lease");
    let waiters = line_up(&pool, &time, &["j/a", "h/b"]);
    drop(held.remove(0));
    drop(held.remove(0));
    assert!(waiters.iter().all(|waiter| !waiter.is_done()), "two are out");
    let error = pool.try_get(&"h/a").unwrap_err();
    let limit = limit_named(&error).unwrap().to_string();
    assert_eq!(limit, "max_per_host of h (1 of 1 in use)");
    drop(held.remove(1));
    assert_eq!(served_so_far(&waiters, 1), [0]);
    drop(held.remove(0));
    assert_eq!(served_so_far(&waiters, 2), [0, 1]);
    drop(waiters);
    assert_free(&pool, &[("h/a", 1), ("i/a", 1)]);
    assert!(pool.stats().max_total == Some(2));
}

#[test]
fn two_limits_changed_at_once_serve_who_was_kept_by_both() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(9, &time).max_total(1).max_per_host(1), &script);
    let held = take(&pool, "h/a", 1);
    let waiting = waiter(&pool, "h/b", Duration::MAX);
    pool.set_max_total(5).unwrap();
    assert!(!waiting.is_done(), "the host is full");
    pool.set_max_per_host(5).unwrap();
    let second = served(waiting, &[]);
    let third = pool.try_get(&"h/a").expect("there is room");
    drop((held, second, third));
    assert_free(&pool, &[("h/a", 5)]);
}

#[test]
fn zero_and_what_contradicts_another_limit_are_refused_and_change_nothing() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(9, &time).max_total(2).max_open(3).max_per_host(2), &script);
    assert_eq!(
        pool.set_max_total(0).unwrap_err().to_string(),
        "invalid set_max_total: max: must be at least 1"
    );
    assert!(pool.set_max_per_host(0).is_err());
    assert!(pool.set_max_of_host("h", 0).is_err());
    assert!(pool.set_max_open(0).is_err());
    assert!(pool.set_max_open(1).is_err(), "less than max_total");
    assert!(pool.set_max_total(4).is_err(), "more than max_open");
    assert!(pool.set_max_total(None).is_err(), "more than max_open");
    let stats = pool.stats();
    assert_eq!((stats.max_total, stats.max_open), (Some(2), Some(3)));
    assert_free(&pool, &[("h/a", 2)]);
    assert!(pool.try_get(&"h/a").is_ok());
    pool.set_max_total(3).unwrap();
    pool.set_max_open(None).unwrap();
    pool.set_max_total(None).unwrap();
}

#[test]
fn two_limits_changed_at_once_do_not_contradict_each_other() {
    let pool = keyed(config(1).max_total(1).max_open(2), &Script::new());
    for _ in 0..2000 {
        let begin = Arc::new(Barrier::new(2));
        let wider = spawn({
            let (pool, begin) = (pool.clone(), begin.clone());
            move || {
                begin.wait();
                pool.set_max_total(2)
            }
        });
        begin.wait();
        let narrower = pool.set_max_open(1);
        assert_ne!(wider.result().is_ok(), narrower.is_ok(), "one of them comes first");
        // Each is allowed by itself, in this order.
        pool.set_max_open(2).unwrap();
        pool.set_max_total(1).unwrap();
    }
}

#[test]
fn a_new_size_is_that_of_the_keys_there_are_and_of_those_to_come() {
    let (script, time) = (Script::new(), ManualClock::new());
    let (host, common) = (script.clone(), manual(2, &time));
    let pool: Keyed = KeyedPool::new(common, move |key: &Name| {
        let setup = Setup::new(host.maker()).host(host_of(key));
        let own = PoolConfig::default().max_size(7).min_idle(0);
        Ok(if *key == "h/own" { setup.config(own) } else { setup })
    })
    .unwrap();
    let size = |key: Name| pool.pool(&key).unwrap().stats().max_size;
    drop((take(&pool, "h/a", 1), take(&pool, "h/own", 1)));
    let held = take(&pool, "h/a", 2);
    let waiting = waiter(&pool, "h/a", Duration::MAX);
    assert!(pool.set_max_size(0).is_err());
    pool.set_max_size(4).unwrap();
    pool.set_max_per_host(90).unwrap();
    pool.set_max_total(99).unwrap();
    let config = pool.config();
    assert_eq!((config.pool.max_size, config.max_per_host), (4, Some(90)));
    assert_eq!((config.max_total, config.max_open), (Some(99), None));
    drop((served(waiting, &[]), held));
    drop(take(&pool, "h/b", 4));
    assert_eq!((size("h/a"), size("h/b"), size("h/own")), (4, 4, 7));
    pool.set_max_size(1).unwrap();
    assert!(pool.close_key(&"h/b"));
    drop(take(&pool, "h/b", 1));
    assert_eq!((size("h/a"), size("h/b"), size("h/own")), (1, 1, 7));
}

#[test]
fn a_new_time_to_wait_is_for_those_who_come_from_then_on() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(1, &time), &script);
    let held = take(&pool, "h/a", 1);
    let get = || {
        let pool = pool.clone();
        spawn(move || pool.get(&"h/a"))
    };
    let before = get();
    eventually(|| waiting(&pool, "h/a") == 1);
    assert!(pool.set_wait_timeout(Duration::ZERO).is_err());
    pool.set_wait_timeout(Duration::from_millis(5)).unwrap();
    assert_eq!(pool.config().pool.wait_timeout, Duration::from_millis(5));
    let after = get();
    eventually(|| waiting(&pool, "h/a") == 2);
    time.advance(Duration::from_millis(5));
    assert!(after.result().is_err() && !before.is_done());
    drop(held);
    drop(served(before, &[]));
}
