//! What is told of the keys, and what is done to all of them.

use std::time::Duration;

use llm_pool::keyed::LimitOf;
use llm_pool::{EvictReason, GetError, Lease, ManualClock, RequestStats, Stats};

use crate::harness::{Keyed, Name, config, keyed, manual, take, waiter};
use crate::support::{LIMIT, Script, eventually, fail, secs, spawn, succeed};

#[test]
fn sums_agree_with_the_keys_and_the_hosts() {
    let script = Script::new();
    let pool = keyed(config(3).max_total(7).max_per_host(5).max_open(9).max_pools(8), &script);
    let held = [take(&pool, "h/a", 2), take(&pool, "h/b", 1), take(&pool, "i/a", 1)];
    drop(take(&pool, "i/a", 2));
    Lease::discard(take(&pool, "i/a", 1).remove(0));
    drop(take(&pool, "h/a", 1));
    let stats = pool.stats();
    let names: Vec<_> = stats.hosts.iter().map(|host| &*host.host).collect();
    assert_eq!(names, ["h", "i"]);
    let keys: Vec<_> = stats.hosts.iter().map(|host| (host.keys, host.max)).collect();
    assert_eq!(keys, [(2, Some(5)), (1, Some(5))]);
    let mut sum = Stats::default();
    stats.keys.iter().for_each(|key| sum += &key.pool);
    assert_eq!(sum, stats.sum);
    let mut sum = Stats::default();
    stats.hosts.iter().for_each(|host| sum += &host.sum);
    assert_eq!(sum, stats.sum);
    assert_eq!(stats.sum.in_use, 4);
    assert_eq!(stats.sum.gets, 4 + 2 + 1 + 1);
    assert_eq!(stats.hosts[0].sum.in_use, 3);
    assert_eq!((stats.max_total, stats.max_open, stats.max_pools), (Some(7), Some(9), 8));
    assert_eq!((stats.open, stats.size()), (6, 6));
    assert_eq!(stats.utilisation(), Some(4.0 / 6.0));
    assert_eq!(stats.health_rate(), Some(1.0));
    assert_eq!((stats.pools_made, stats.pools_evicted), (3, 0));
    let text = stats.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2 + 2 + 3, "{text}");
    assert_eq!(lines[0], "keys 3 (max 8), open 6 (max 9)");
    assert!(lines[1].starts_with("total (max 7): max 9, idle 2, in use 4, "), "{text}");
    assert!(lines[2].starts_with("host h (max 5): max 6, "), "{text}");
    assert!(text.contains("\nkey i/a: max 3, "), "{text}");
    drop(held);
}

#[test]
fn without_items_there_are_no_rates_and_without_limits_none_is_shown() {
    let pool = keyed(config(3), &Script::new());
    let stats = pool.stats();
    assert_eq!((stats.utilisation(), stats.health_rate(), stats.size()), (None, None, 0));
    assert_eq!((stats.max_total, stats.max_open), (None, None));
    assert!(
        stats.to_string().starts_with("keys 0 (max 1000), open 0 (max none)\ntotal (max none)")
    );
    assert!(stats.advice().is_empty());
}

#[test]
fn the_health_rate_counts_what_failed_its_check() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(4, &time), &script);
    drop((take(&pool, "a", 3), take(&pool, "b", 1)));
    script.on_check.set(fail("down"));
    pool.pool(&"b").unwrap().check_all();
    eventually(|| pool.stats().sum.unhealthy == 1);
    assert_eq!(pool.stats().health_rate(), Some(0.75));
    assert_eq!(pool.stats().size(), 4);
}

#[test]
fn check_all_and_clean_up_reach_every_key() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(2, &time), &script);
    for key in ["a", "b", "c"] {
        drop(take(&pool, key, 2));
    }
    script.on_check.set(succeed());
    pool.check_all();
    eventually(|| script.on_check.calls() == 6 && pool.stats().sum.checking == 0);
    assert_eq!(pool.clean_up(), 0);
    time.advance(secs(301));
    assert_eq!(pool.clean_up(), 6);
    assert_eq!(pool.stats().sum.evicted_for(EvictReason::Idle), 6);
    assert_eq!(pool.stats().open, 0);
    eventually(|| script.live() == 0);
}

#[test]
fn what_remains_of_a_deadline_counts_the_wait_at_a_shared_limit() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(2, &time).max_total(1), &script);
    let held = take(&pool, "a", 1);
    let waiting = spawn({
        let pool = pool.clone();
        move || pool.get_within(&"b", secs(10))
    });
    eventually(|| pool.stats().sum.waiting == 1);
    time.advance(secs(4));
    drop(held);
    let lease = waiting.result().unwrap();
    assert_eq!(Lease::remaining(&lease), Some(secs(6)));
    assert_eq!(Lease::waited(&lease), secs(4));
    time.advance(secs(7));
    assert_eq!(Lease::remaining(&lease), Some(Duration::ZERO));
    assert_eq!(pool.stats().sum.longest_wait, secs(4));
}

// ---- Advice ----

fn advice(pool: &Keyed) -> Vec<String> {
    pool.advice().iter().map(ToString::to_string).collect()
}

/// Two in use of `key` and three more that wait there for 10 s; then two of these are served and
/// hold for 50 s, while the third times out.
#[track_caller]
fn crowd(pool: &Keyed, time: &ManualClock, key: Name) {
    let held = take(pool, key, 2);
    let waiters: Vec<_> = (0..3).map(|_| waiter(pool, key, secs(60))).collect();
    let before = advice(pool);
    assert!(before[0].contains(": 3 waiting"), "{before:?}");
    time.advance(secs(10));
    drop(held);
    eventually(|| waiters.iter().filter(|task| task.is_done()).count() == 2);
    time.advance(secs(50));
    eventually(|| pool.stats().sum.timeouts == 1);
    drop(waiters);
}

#[test]
fn advice_for_a_key_that_is_too_narrow() {
    let time = ManualClock::new();
    let pool = keyed(manual(2, &time).max_total(9).max_per_host(9), &Script::new());
    crowd(&pool, &time, "a");
    let advice = pool.advice();
    assert_eq!(advice.len(), 1);
    // The two leases in use at first waited too, for their creation: 0 s by this clock.
    assert_eq!(advice[0].limit, LimitOf::Key("a"));
    assert_eq!((advice[0].from, advice[0].to), (2, 6));
    assert_eq!(
        advice[0].to_string(),
        "raise max_size of key a from 2 to 6: 0 waiting, 1 time-outs, mean wait 5.0s, mean hold \
         30.0s"
    );
    assert_eq!(pool.stats().advice().len(), 1);
    pool.pool(&"a").unwrap().resize(6).unwrap();
    assert_eq!(pool.advice(), []);
}

#[test]
fn advice_for_a_host_that_is_too_narrow() {
    let time = ManualClock::new();
    let pool = keyed(manual(9, &time).max_total(9).max_per_host(2), &Script::new());
    crowd(&pool, &time, "h/a");
    let advice = pool.advice();
    assert_eq!(advice.len(), 1);
    assert_eq!(advice[0].limit, LimitOf::Host("h".into()));
    assert!(
        advice[0].to_string().starts_with("raise max_per_host of h from 2 to 6: "),
        "{}",
        advice[0]
    );
    pool.set_max_of_host("h", 6).unwrap();
    assert_eq!(pool.advice(), []);
}

#[test]
fn advice_for_a_total_that_is_too_narrow() {
    let time = ManualClock::new();
    let pool = keyed(manual(9, &time).max_total(2).max_per_host(9), &Script::new());
    crowd(&pool, &time, "h/a");
    let advice = pool.advice();
    assert_eq!(advice.len(), 1);
    assert_eq!(advice[0].limit, LimitOf::Total);
    assert!(advice[0].to_string().starts_with("raise max_total from 2 to 10: "), "{}", advice[0]);
    assert_eq!((advice[0].waiting, advice[0].timeouts), (0, 1));
    assert_eq!((advice[0].mean_wait, advice[0].mean_hold), (Some(secs(5)), Some(secs(30))));
}

#[test]
fn no_advice_while_nobody_waits_in_vain() {
    let time = ManualClock::new();
    let pool = keyed(manual(3, &time).max_total(3).max_per_host(3), &Script::new());
    let held = take(&pool, "a", 3);
    time.advance(secs(100));
    drop(held);
    assert_eq!(pool.advice(), []);
    // A short wait now and then is no reason either.
    let mut held = take(&pool, "a", 3);
    time.advance(secs(100));
    let waiting = waiter(&pool, "a", LIMIT);
    time.advance(secs(1));
    drop(held.pop());
    drop(waiting.result().unwrap());
    drop(held);
    assert_eq!(pool.advice(), []);
}

/// Whatever else the settings of the pools are.
#[test]
fn while_all_items_of_a_key_are_unhealthy_a_get_fails_at_once_and_other_keys_go_on() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(2, &time), &script);
    drop(pool.get(&"a").unwrap());
    script.on_check.set(fail("the server is down"));
    pool.check_all();
    eventually(|| pool.stats().sum.unhealthy == 1);
    let error = pool.get(&"a").unwrap_err();
    assert!(error.to_string().contains("the server is down"), "{error}");
    assert!(matches!(error, GetError::Unhealthy { .. }));
    assert!(pool.get(&"b").is_ok());
    assert_eq!(pool.stats().health_rate(), Some(0.5));
}

#[test]
fn sums_at_the_end_of_their_range_give_a_mean_all_the_same() {
    let time = ManualClock::new();
    let pool = keyed(manual(1, &time).max_total(1), &Script::new());
    let mut stats = pool.stats();
    stats.sum.wait_time = Duration::MAX;
    (stats.sum.waits, stats.sum.waiting, stats.sum.peak_demand) = (1, 1, 2);
    assert_eq!(stats.advice()[0].mean_wait, Some(Duration::MAX));
    let requests = RequestStats::default().requests(1).response_time(Duration::MAX);
    assert_eq!(requests.mean_response_time(), Some(Duration::MAX));
}

#[test]
fn callers_turned_away_are_demand_too() {
    let time = ManualClock::new();
    let common = manual(1, &time).pool.max_waiting(0);
    let pool = keyed(manual(1, &time).pool(common), &Script::new());
    let held = take(&pool, "a", 1);
    assert!(matches!(pool.get(&"a"), Err(GetError::QueueFull { .. })));
    drop(held);
    let advice = pool.advice();
    assert_eq!((advice.len(), advice[0].refused, advice[0].to), (1, 1, 3));
    assert!(advice[0].to_string().contains("from 1 to 3: 0 waiting, 1 refused"), "{}", advice[0]);
}
