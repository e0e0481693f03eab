//! `max_open`: a bound on items, idle ones included.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use llm_pool::pool::SharedLimit;
use llm_pool::{EvictReason, GetError, ManualClock, WhenUnhealthy};

use crate::harness::{
    Keyed, ask, assert_free, config, host_of, keyed, limit_named, manual, most_open, served, take,
    waiter,
};
use crate::support::{Gate, LIMIT, Script, eventually, fail, millis, secs, spawn, succeed};

fn evicted_for_others(pool: &Keyed) -> u64 {
    pool.stats().sum.evicted_for(EvictReason::MaxOpen)
}

#[test]
fn an_idle_item_of_the_key_used_least_recently_makes_room() {
    let script = Script::new();
    let pool = keyed(config(2).max_total(2).max_open(3), &script);
    for key in ["a", "b", "c", "a"] {
        drop(take(&pool, key, 1));
    }
    assert_eq!((pool.stats().open, script.live()), (3, 3));
    let idle = |key| pool.pool(&key).unwrap().stats().idle;
    drop(take(&pool, "d", 1));
    assert_eq!([idle("a"), idle("b"), idle("c"), idle("d")], [1, 0, 1, 1]);
    drop(take(&pool, "b", 1));
    assert_eq!([idle("a"), idle("b"), idle("c"), idle("d")], [1, 1, 0, 1]);
    assert_eq!((evicted_for_others(&pool), pool.stats().open), (2, 3));
    eventually(|| script.live() == 3);
    assert_eq!(pool.stats().pools_evicted, 0, "the keys stay");
}

#[test]
fn items_in_use_are_not_taken_and_what_comes_back_serves_who_waits() {
    let script = Script::new();
    let pool = keyed(config(3).max_total(2).max_open(2), &script);
    let mut held = take(&pool, "a", 2);
    pool.set_max_open(3).unwrap();
    pool.set_max_total(3).unwrap();
    held.extend(take(&pool, "b", 1));
    let waiting = waiter(&pool, "c", LIMIT);
    assert_eq!((pool.stats().open, script.live()), (3, 3));
    drop(held.remove(0));
    let lease = served(waiting, &[]);
    assert_eq!(evicted_for_others(&pool), 1);
    drop((held, lease));
    assert_free(&pool, &[("a", 3)]);
    assert_free(&pool, &[("b", 1), ("c", 2)]);
}

#[test]
fn when_every_key_has_idle_items_and_all_want_more_nothing_locks_up() {
    let script = Script::new();
    let keys = ["a", "b", "c", "d"];
    let pool = keyed(config(4).max_total(4).max_open(4), &script);
    for key in keys {
        drop(take(&pool, key, 2));
    }
    let worker = |key| {
        let pool = pool.clone();
        spawn(move || {
            for _ in 0..25 {
                let lease = take(&pool, key, 1);
                assert!(pool.stats().open <= 4);
                std::thread::sleep(millis(1));
                drop(lease);
            }
        })
    };
    let tasks: Vec<_> = keys.iter().flat_map(|&key| [worker(key), worker(key)]).collect();
    tasks.into_iter().for_each(|task| task.result());
    assert!(evicted_for_others(&pool) >= 4);
    for key in keys {
        assert_free(&pool, &[(key, 4)]);
    }
    eventually(|| script.live() == pool.stats().open);
}

#[test]
fn a_creation_that_hangs_counts_as_open_and_the_rest_goes_on() {
    let (script, gate) = (Script::new(), Gate::new());
    let pool = keyed(config(2).max_total(2).max_open(2), &script);
    script.on_create.set(gate.before(succeed()));
    let error = pool.get_timeout(&"hanging", millis(20)).unwrap_err();
    assert!(matches!(error, GetError::Timeout { .. }), "{error}");
    script.on_create.set(succeed());
    for key in ["a", "b", "a"] {
        let lease = take(&pool, key, 1);
        assert!(pool.try_get(&"c").is_err(), "one hangs, one is in use");
        assert_eq!(pool.stats().open, 2);
        drop(lease);
    }
    assert_eq!(evicted_for_others(&pool), 2);
    gate.open();
    eventually(|| pool.pool(&"hanging").unwrap().stats().creating == 0);
    assert_free(&pool, &[("a", 2)]);
}

#[test]
fn refill_takes_nothing_from_other_keys() {
    let (script, time) = (Script::new(), ManualClock::new());
    let mut config = manual(3, &time).max_total(2).max_open(2);
    config.pool = config.pool.min_idle(2);
    let pool = keyed(config, &script);
    drop(take(&pool, "a", 1));
    eventually(|| pool.pool(&"a").unwrap().stats().idle == 2);
    let waiting = take(&pool, "b", 1);
    assert_eq!(evicted_for_others(&pool), 1, "for the lease, not for the refill");
    drop(waiting);
    pool.clean_up();
    pool.clean_up();
    let idle = |key| pool.pool(&key).unwrap().stats().idle;
    assert_eq!((idle("a"), idle("b")), (1, 1));
    assert_eq!((evicted_for_others(&pool), pool.stats().open), (1, 2));
    pool.set_max_open(4).unwrap();
    pool.clean_up();
    eventually(|| (idle("a"), idle("b")) == (2, 2));
}

/// A pool in which the one item there may be is being checked.
fn with_check_that_hangs(time: &ManualClock) -> (Keyed, Arc<Script>, Arc<Gate>) {
    let (script, gate) = (Script::new(), Gate::new());
    let pool = keyed(manual(2, time).max_total(1).max_open(1), &script);
    drop(take(&pool, "a", 1));
    script.on_check.set(gate.before(succeed()));
    pool.check_all();
    gate.await_entered(1);
    (pool, script, gate)
}

#[test]
fn a_time_out_at_the_bound_says_so() {
    let time = ManualClock::new();
    let (pool, _script, gate) = with_check_that_hangs(&time);
    let text = pool.try_get(&"b").unwrap_err().to_string();
    assert!(text.contains(", held by max_open (1 of 1 open)"), "{text}");
    let waiting = waiter(&pool, "b", secs(5));
    time.advance(secs(5));
    let error = waiting.result().unwrap_err();
    let limit = limit_named(&error);
    assert!(matches!(limit, Some(SharedLimit::Open { max: 1, open: 1, .. })), "{error}");
    let text = error.to_string();
    assert!(text.contains(", held by max_open (1 of 1 open)"), "{text}");
    assert!(text.ends_with("; raise max_open, wait longer, or hold leases for less time"));
    assert_eq!(pool.stats().sum.timeouts, 1);
    gate.open();
}

#[test]
fn who_gave_up_costs_nobody_an_item() {
    let time = ManualClock::new();
    let (pool, _script, gate) = with_check_that_hangs(&time);
    let waiting = waiter(&pool, "b", secs(5));
    time.advance(secs(5));
    assert!(waiting.result().is_err());
    gate.open();
    eventually(|| pool.stats().sum.checking == 0);
    assert_eq!((pool.stats().sum.idle, evicted_for_others(&pool)), (1, 0));
    assert_free(&pool, &[("b", 1)]);
}

#[test]
fn an_item_whose_check_ends_makes_room_for_who_waits() {
    let time = ManualClock::new();
    let (pool, script, gate) = with_check_that_hangs(&time);
    let waiting = waiter(&pool, "b", secs(5));
    gate.open();
    drop(served(waiting, &[]));
    assert_eq!((pool.stats().open, evicted_for_others(&pool)), (1, 1));
    eventually(|| script.live() == 1);
}

#[test]
fn an_unhealthy_item_makes_room_for_its_own_key() {
    let (time, script) = (ManualClock::new(), Script::new());
    let mut config = manual(2, &time).max_total(1).max_open(1);
    config.pool = config.pool.when_unhealthy(WhenUnhealthy::Replace);
    let pool = keyed(config, &script);
    drop(take(&pool, "a", 1));
    script.on_check.set(fail("down"));
    pool.check_all();
    eventually(|| pool.stats().sum.unhealthy == 1);
    let own = spawn({
        let pool = pool.clone();
        move || pool.get(&"a")
    });
    drop(served(own, &[]));
    let stats = pool.stats();
    assert_eq!((stats.sum.evicted_for(EvictReason::Unhealthy), stats.open), (1, 1));
    assert_free(&pool, &[("a", 1)]);
}

#[test]
fn an_unhealthy_item_makes_room_too() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(2, &time).max_total(1).max_open(1), &script);
    drop(take(&pool, "a", 1));
    script.on_check.set(fail("down"));
    pool.check_all();
    eventually(|| pool.stats().sum.unhealthy == 1);
    drop(take(&pool, "b", 1));
    assert_eq!(pool.stats().open, 1);
    assert_eq!(pool.pool(&"a").unwrap().stats().evicted_for(EvictReason::Unhealthy), 1);
}

#[test]
fn however_many_items_others_give_up_at_once_the_stack_does_not_grow() {
    let (script, many) = (Script::new(), 300);
    let mut config = config(many).max_total(many).max_open(many);
    config.pool = config.pool.max_creating(many);
    let pool = keyed(config, &script);
    drop(take(&pool, "a", many));
    drop(take(&pool, "b", 1));
    let b = pool.pool(&"b").unwrap();
    b.resize(1).unwrap();
    let held = take(&pool, "b", 1);
    let waiters: Vec<_> = (0..many - 1).map(|_| ask(&pool, "b")).collect();
    eventually(|| pool.stats().sum.waiting == many - 1);
    let resize = move || b.resize(many).unwrap();
    let resizer = std::thread::Builder::new().stack_size(128 * 1024).spawn(resize).unwrap();
    let leases: Vec<_> = waiters.into_iter().map(|task| task.result()).collect();
    resizer.join().unwrap();
    assert!(leases.iter().all(Result::is_ok));
    assert_eq!((pool.stats().open, evicted_for_others(&pool)), (many, many as u64));
    drop(held);
}

#[test]
fn a_wider_bound_serves_those_who_wait() {
    let time = ManualClock::new();
    let (pool, script, gate) = with_check_that_hangs(&time);
    let waiting = waiter(&pool, "b", Duration::MAX);
    pool.set_max_open(2).unwrap();
    drop(served(waiting, &[]));
    assert_eq!((pool.stats().open, script.live()), (2, 2));
    gate.open();
    eventually(|| pool.stats().sum.idle == 2);
    pool.set_max_open(1).unwrap();
    assert_eq!(pool.stats().open, 2, "a narrower one evicts nothing by itself");
    drop(take(&pool, "c", 1));
    assert_eq!(pool.stats().open, 1);
}

#[test]
fn a_detached_item_is_no_longer_counted() {
    let script = Script::new();
    let pool = keyed(config(2).max_total(1).max_open(1), &script);
    let kept = llm_pool::Lease::detach(take(&pool, "a", 1).remove(0));
    assert_eq!(pool.stats().open, 0);
    drop(take(&pool, "b", 1));
    assert_eq!(script.live(), 2);
    drop(kept);
}

#[test]
fn many_keys_under_a_narrow_bound_never_hold_more_items_than_it() {
    let script = Script::new();
    let keys = ["h/a", "h/b", "i/a", "i/b", "j/a", "k/a"];
    let pool = keyed(config(3).max_total(3).max_open(4), &script);
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = most_open(&pool, &stop);
    let worker = |n: usize| {
        let pool = pool.clone();
        spawn(move || {
            for turn in 0..60 {
                let key = keys[(n * 5 + turn) % keys.len()];
                let lease = pool.get_timeout(&key, LIMIT).expect("a lease");
                assert!(!host_of(key).is_empty());
                if turn % 9 == 0 { llm_pool::Lease::discard(lease) } else { drop(lease) }
            }
        })
    };
    let tasks: Vec<_> = (0..8).map(worker).collect();
    tasks.into_iter().for_each(|task| task.result());
    stop.store(true, SeqCst);
    let most = watcher.result();
    assert!((1..=4).contains(&most), "{most}");
    assert_eq!(pool.stats().open, pool.stats().size());
    eventually(|| script.live() == pool.stats().open);
    for key in keys {
        assert_free(&pool, &[(key, 3)]);
    }
}
