//! Limits that keys share: who may, who waits, who is next, and what is said of it.

use std::sync::Arc;
use std::time::Duration;

use llm_pool::pool::SharedLimit;
use llm_pool::{GetError, ManualClock};

use crate::harness::{
    Name, assert_free, config, keyed, limit_named, line_up, manual, served, take, waiter,
};
use crate::support::{Got, LIMIT, Script, Task, eventually, millis, secs};

/// Puts `lease` back and checks that the waiters are served one by one in this order, each by the
/// lease of the one before.
#[track_caller]
fn assert_order(
    lease: llm_pool::Lease<crate::support::Maker>,
    waiters: Vec<Task<Got>>,
    order: &[usize],
) {
    let mut waiters: Vec<_> = waiters.into_iter().map(Some).collect();
    let mut lease = lease;
    for &next in order {
        drop(lease);
        let task = waiters[next].take().unwrap();
        eventually(|| task.is_done() || waiters.iter().flatten().any(Task::is_done));
        assert!(task.is_done(), "number {next} is next");
        let others: Vec<_> = waiters.iter().flatten().collect();
        lease = served(task, &others);
    }
}

#[test]
fn every_limit_binds() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(2, &time).max_per_host(3).max_total(5), &script);
    let (a, b) = (take(&pool, "h/a", 2), take(&pool, "h/b", 1));
    let refused = |key: Name| limit_named(&pool.try_get(&key).unwrap_err());
    assert_eq!(refused("h/a"), None, "its own max_size comes first");
    assert_eq!(refused("h/b").unwrap().to_string(), "max_per_host of h (3 of 3 in use)");
    let c = take(&pool, "i/c", 2);
    assert_eq!(refused("j/d").unwrap().to_string(), "max_total (5 of 5 in use)");
    assert_eq!(refused("h/b").unwrap().to_string(), "max_per_host of h (3 of 3 in use)");
    let stats = pool.stats();
    assert_eq!((stats.sum.in_use, stats.hosts[0].sum.in_use), (5, 3));
    drop((a, b, c));
    assert_free(&pool, &[("h/a", 2), ("h/b", 1), ("i/c", 2)]);
    assert_free(&pool, &[("h/b", 2), ("i/c", 2), ("j/d", 1)]);
}

#[test]
fn who_waits_for_a_full_host_holds_nothing_that_others_could_use() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(5, &time).max_per_host(1).max_total(2), &script);
    let held = take(&pool, "h/a", 1);
    let waiters = line_up(&pool, &time, &["h/a", "h/b", "h/b"]);
    let other = pool.try_get(&"i/a").expect("there is room in the total");
    drop(other);
    assert_eq!(script.made(), 2, "nothing was created for those who wait");
    assert_eq!(pool.stats().sum.in_use, 1);
    assert_order(held.into_iter().next().unwrap(), waiters, &[0, 1, 2]);
    assert_free(&pool, &[("h/a", 1), ("i/a", 1)]);
}

#[test]
fn freed_capacity_goes_to_the_longest_waiter_of_any_key_and_host() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(5, &time).max_total(1), &script);
    let held = take(&pool, "h/a", 1).remove(0);
    let keys = ["h/b", "i/a", "h/a", "j/a", "h/b", "i/a", "h/a"];
    let waiters = line_up(&pool, &time, &keys);
    assert_order(held, waiters, &[0, 1, 2, 3, 4, 5, 6]);
    assert_free(&pool, &[("h/a", 1)]);
}

#[test]
fn freed_capacity_of_a_host_goes_to_the_longest_waiter_of_its_keys() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(5, &time).max_per_host(1), &script);
    let held = take(&pool, "h/a", 1).remove(0);
    let other = take(&pool, "i/a", 1);
    let beside = waiter(&pool, "i/b", Duration::MAX);
    let waiters = line_up(&pool, &time, &["h/b", "h/c", "h/a", "h/b"]);
    assert_order(held, waiters, &[0, 1, 2, 3]);
    assert!(!beside.is_done(), "its host is full");
    drop(other);
    drop(beside.result().expect("a lease"));
    assert_free(&pool, &[("h/a", 1), ("i/a", 1)]);
}

#[test]
fn a_longer_waiter_that_cannot_use_what_is_freed_is_passed_over_and_keeps_its_place() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(5, &time).max_per_host(1).max_total(2), &script);
    let (mut h, mut i) = (take(&pool, "h/a", 1), take(&pool, "i/a", 1));
    let mut waiters = line_up(&pool, &time, &["h/b", "j/a", "k/a"]);
    let (k, j, first) = (waiters.pop().unwrap(), waiters.pop().unwrap(), waiters.pop().unwrap());
    drop(i.pop());
    let j = served(j, &[&first, &k]);
    drop(h.pop());
    let first = served(first, &[&k]);
    drop(j);
    drop((served(k, &[]), first));
    assert_free(&pool, &[("h/a", 1), ("i/a", 1)]);
}

#[test]
fn a_longer_waiter_for_an_item_of_its_key_comes_before_a_younger_one_for_the_total() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(1, &time).max_total(1), &script);
    let held = take(&pool, "h/a", 1).remove(0);
    let waiters = line_up(&pool, &time, &["h/a", "i/b", "h/a", "j/c", "i/b"]);
    assert_order(held, waiters, &[0, 1, 2, 3, 4]);
    assert_free(&pool, &[("h/a", 1)]);
}

#[test]
fn the_same_holds_when_the_item_of_the_key_is_discarded_or_detached() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(1, &time).max_total(1), &script);
    for discard in [true, false] {
        let held = take(&pool, "h/a", 1).remove(0);
        let mut waiters = line_up(&pool, &time, &["h/a", "i/b"]);
        let (younger, elder) = (waiters.pop().unwrap(), waiters.pop().unwrap());
        if discard {
            llm_pool::Lease::discard(held);
        } else {
            drop(llm_pool::Lease::detach(held));
        }
        eventually(|| elder.is_done() || younger.is_done());
        drop(served(elder, &[&younger]));
        drop(served(younger, &[]));
    }
    assert_free(&pool, &[("h/a", 1)]);
}

#[test]
fn who_puts_back_and_asks_again_waits_behind_those_who_wait_at_other_keys() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(5, &time).max_total(1), &script);
    let held = take(&pool, "h/a", 1);
    let other = waiter(&pool, "i/a", Duration::MAX);
    drop(held);
    let again = pool.try_get(&"h/a");
    assert!(again.is_err(), "it went to the one who waits");
    drop(served(other, &[]));
    drop(pool.try_get(&"h/a").expect("now it is free"));
}

#[test]
fn a_time_out_names_the_limit_that_held_it() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(1, &time).max_per_host(2).max_total(3), &script);
    let held = [take(&pool, "h/a", 1), take(&pool, "h/b", 1), take(&pool, "i/a", 1)];
    let at_key = waiter(&pool, "h/a", secs(10));
    let at_host = waiter(&pool, "h/c", secs(10));
    let at_total = waiter(&pool, "j/a", secs(10));
    time.advance(secs(10));
    let error = at_key.result().unwrap_err();
    assert_eq!(limit_named(&error), None);
    assert!(error.to_string().contains("raise max_size, wait longer"), "{error}");

    let error = at_host.result().unwrap_err();
    let Some(SharedLimit::Host { host, max: 2, in_use: 2, .. }) = limit_named(&error) else {
        panic!("{error}");
    };
    assert_eq!(&*host, "h");
    let text = error.to_string();
    assert!(text.starts_with("timed out after 10.0s waiting for an item of pool \"keyed h/c\""));
    assert!(text.contains(", held by max_per_host of h (2 of 2 in use)"), "{text}");
    assert!(text.ends_with("; raise max_per_host, wait longer, or hold leases for less time"));

    let error = at_total.result().unwrap_err();
    let limit = limit_named(&error);
    assert!(matches!(limit, Some(SharedLimit::Total { max: 3, in_use: 3, .. })), "{error}");
    let text = error.to_string();
    assert!(text.contains(", held by max_total (3 of 3 in use)"), "{text}");
    assert!(text.ends_with("; raise max_total, wait longer, or hold leases for less time"));

    let stats = pool.stats();
    let counts = |key: Name| {
        let stats = pool.pool(&key).unwrap().stats();
        (stats.timeouts, stats.timeouts_at_host, stats.timeouts_at_total)
    };
    assert_eq!(counts("h/a"), (1, 0, 0));
    assert_eq!(counts("h/c"), (1, 1, 0));
    assert_eq!(counts("j/a"), (1, 0, 1));
    let sum = stats.sum;
    assert_eq!((sum.timeouts, sum.timeouts_at_host, sum.timeouts_at_total), (3, 1, 1));
    drop(held);
    assert_free(&pool, &[("h/a", 1), ("h/b", 1), ("i/a", 1)]);
}

#[test]
fn try_get_under_a_full_limit_says_so_and_takes_nothing() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(2, &time).max_per_host(1).max_total(2), &script);
    let held = [take(&pool, "h/a", 1), take(&pool, "i/a", 1)];
    let error = pool.try_get(&"h/b").unwrap_err();
    assert!(matches!(error, GetError::Exhausted { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("held by max_per_host of h (1 of 1 in use)"), "{text}");
    assert!(text.ends_with("; raise max_per_host, or wait with get"), "{text}");
    let text = pool.try_get(&"j/a").unwrap_err().to_string();
    assert!(text.ends_with("; raise max_total, or wait with get"), "{text}");
    assert_eq!(script.made(), 2);
    drop(held);
    assert_free(&pool, &[("h/b", 1), ("j/a", 1)]);
}

#[test]
fn a_full_queue_under_a_full_limit_says_so() {
    let (script, time) = (Script::new(), ManualClock::new());
    let mut config = manual(2, &time).max_total(1);
    config.pool = config.pool.max_waiting(1);
    let pool = keyed(config, &script);
    let held = take(&pool, "a", 1);
    let waiting = waiter(&pool, "b", Duration::MAX);
    let error = pool.get(&"b").unwrap_err();
    assert!(matches!(error, GetError::QueueFull { .. }), "{error}");
    assert!(error.to_string().ends_with("; raise max_waiting or max_total"), "{error}");
    drop(held);
    drop(waiting.result().expect("a lease"));
    // With room in the total, one more has an item created and does not count.
    drop(take(&pool, "b", 1));
}

#[test]
fn a_get_without_patience_takes_what_is_free_and_else_times_out() {
    let script = Script::new();
    let pool = keyed(config(2).max_total(1), &script);
    drop(take(&pool, "a", 1));
    let lease = pool.get_timeout(&"a", Duration::ZERO).expect("it is idle");
    let error = pool.get_timeout(&"b", millis(10)).unwrap_err();
    assert!(matches!(limit_named(&error), Some(SharedLimit::Total { .. })), "{error}");
    drop(lease);
    assert_free(&pool, &[("b", 1)]);
}

#[test]
fn an_idle_item_is_of_no_use_without_room_in_the_limits() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(2, &time).max_total(1), &script);
    drop(take(&pool, "a", 1));
    let held = take(&pool, "b", 1);
    assert!(pool.try_get(&"a").is_err());
    let waiting = waiter(&pool, "a", Duration::MAX);
    assert_eq!(pool.pool(&"a").unwrap().stats().idle, 1);
    drop(held);
    let lease = served(waiting, &[]);
    assert_eq!(lease.number, 1, "the idle one, none was created");
    assert_eq!(script.made(), 2);
}

#[test]
fn many_threads_at_many_keys_never_exceed_any_limit_and_are_all_served() {
    let script = Script::new();
    let pool = Arc::new(keyed(config(3).max_per_host(4).max_total(6), &script));
    let keys = ["h/a", "h/b", "i/a", "i/b", "j/a"];
    let worker = |n: usize| {
        let pool = pool.clone();
        crate::support::spawn(move || {
            for turn in 0..100 {
                let key = keys[(n + turn) % keys.len()];
                let lease = pool.get_timeout(&key, LIMIT).expect("a lease");
                if turn % 10 == 0 {
                    let stats = pool.stats();
                    assert!(stats.keys.iter().all(|key| key.pool.in_use <= 3), "{stats}");
                }
                drop(lease);
            }
        })
    };
    let tasks: Vec<_> = (0..12).map(worker).collect();
    tasks.into_iter().for_each(|task| task.result());
    assert_eq!(pool.stats().sum.gets, 1200);
    assert_free(&pool, &[("h/a", 3), ("i/a", 2), ("j/a", 1)]);
    assert_free(&pool, &[("h/a", 2), ("h/b", 2), ("i/a", 2)]);
}

#[test]
fn under_a_shared_limit_no_more_items_are_made_than_can_be_in_use() {
    let script = Script::new();
    let pool = keyed(config(100).max_total(2), &script);
    let worker = |key| {
        let pool = pool.clone();
        crate::support::spawn(move || {
            for _ in 0..2000 {
                drop(pool.get_timeout(&key, LIMIT).expect("a lease"));
            }
        })
    };
    let tasks: Vec<_> = (0..16).map(|n| worker(["a", "b"][n % 2])).collect();
    tasks.into_iter().for_each(|task| task.result());
    // Two a key, and a few that were begun for somebody who was then served by an idle one.
    assert!(script.made() <= 8, "{} items were made", script.made());
}
