//! Which items go, when and why; and that enough stay.

mod support;

use llm_pool::{EvictReason, Lease, ManualClock};
use support::*;

#[test]
fn idle_items_are_a_stack() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("stack", 3, &time), &script);
    let mut leases = take(&pool, 3);
    for at in [1, 0, 0] {
        drop(leases.remove(at));
    }
    // Put back: 2, 1, 3.
    let numbers: Vec<_> = take(&pool, 3).iter().map(|lease| lease.number).collect();
    assert_eq!(numbers, [3, 1, 2], "last in, first out");
    assert_eq!(pool.get().unwrap().number, 2, "and again");
}

/// Behaviour 16: r2d2 and bb8 close everything idle.
#[test]
fn idle_timeout_evicts_the_excess_and_keeps_min_idle() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("excess", 6, &time).min_idle(2).idle_timeout(secs(60));
    let pool = start(config.max_lifetime(None).check_interval(None), &script);
    drop(take(&pool, 6));
    time.advance(secs(59));
    assert_eq!(pool.clean_up(), 0);
    time.advance(secs(1));
    assert_eq!(pool.clean_up(), 4);
    assert_eq!(pool.stats().evicted_for(EvictReason::Idle), 4);
    time.advance(secs(600));
    assert_eq!(pool.clean_up(), 0, "the last two stay however long");
    assert_eq!((pool.stats().idle, script.made(), script.live()), (2, 6, 2));
    assert_settled(&pool, &script);
}

#[test]
fn the_items_of_a_burst_go_cold_while_one_is_used() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("cold", 4, &time).idle_timeout(secs(60)).max_lifetime(None);
    let pool = start(config, &script);
    drop(take(&pool, 4));
    for _ in 0..7 {
        time.advance(secs(10));
        drop(pool.get().unwrap());
    }
    assert_eq!(pool.clean_up(), 3);
    assert_eq!((pool.stats().idle, script.made()), (1, 4));
}

/// Behaviour 16.
#[test]
fn items_past_their_lifetime_are_replaced_before_they_are_closed() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("refill first", 5, &time).min_idle(2).idle_timeout(None);
    let pool = start(config.max_lifetime(secs(100)), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    time.advance(secs(100));
    assert_eq!(pool.clean_up(), 0);
    gate.await_entered(2);
    assert_eq!((script.live(), pool.stats().idle), (2, 2), "both stay until there are others");
    gate.open();
    eventually(|| pool.stats().evicted_for(EvictReason::Lifetime) == 2);
    assert_settled(&pool, &script);
    assert_eq!((script.live(), pool.stats().idle, script.made()), (2, 2, 4));
    assert!(take(&pool, 2).iter().all(|lease| lease.number > 2));
}

/// Behaviour 16: what is not needed for `min_idle` goes at once and is not replaced.
#[test]
fn only_min_idle_of_the_expired_are_replaced() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("some refilled", 10, &time).min_idle(2).idle_timeout(None);
    let pool = start(config.max_lifetime(secs(100)), &script);
    drop(take(&pool, 6));
    time.advance(secs(100));
    assert_eq!(pool.clean_up(), 4);
    eventually(|| pool.stats().evicted_for(EvictReason::Lifetime) == 6);
    assert_settled(&pool, &script);
    assert_eq!((pool.stats().idle, script.made()), (2, 8));
}

/// Behaviour 16: with no room to create first, an expired item goes first.
#[test]
fn a_full_pool_closes_an_expired_item_to_replace_it() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("no room", 2, &time).min_idle(2).idle_timeout(None);
    let pool = start(config.max_lifetime(secs(100)), &script);
    time.advance(secs(100));
    pool.clean_up();
    eventually(|| pool.stats().created == 4 && pool.stats().idle == 2);
    assert_settled(&pool, &script);
    assert_eq!(pool.stats().evicted_for(EvictReason::Lifetime), 2);
}

/// Behaviour 15.
#[test]
fn an_idle_item_past_its_lifetime_is_not_lent() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("old on borrow", 2, &time).max_lifetime(secs(100)), &script);
    drop(take(&pool, 2));
    time.advance(secs(100));
    assert_eq!(pool.get().unwrap().number, 3);
    assert_eq!(pool.stats().evicted_for(EvictReason::Lifetime), 2);
    assert_settled(&pool, &script);
    time.advance(secs(100));
    assert_eq!(pool.try_get().unwrap().number, 4);
}

/// Behaviour 15: r2d2's busy items never expire.
#[test]
fn a_leased_item_past_its_lifetime_ends_when_it_comes_back() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("old on return", 1, &time).max_lifetime(secs(100)), &script);
    let lease = pool.get().unwrap();
    time.advance(secs(100));
    pool.clean_up();
    assert_eq!(script.live(), 1, "not while it is out");
    drop(lease);
    assert_eq!((script.live(), pool.stats().idle), (0, 0));
    assert_eq!(pool.stats().evicted_for(EvictReason::Lifetime), 1);
}

/// Behaviour 17.
#[test]
fn items_made_together_do_not_end_together() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("spread", 20, &time).idle_timeout(None).max_lifetime(secs(1000));
    let pool = start(config.check_interval(None), &script);
    drop(take(&pool, 20));
    time.advance(secs(899));
    assert_eq!(pool.clean_up(), 0, "none ends more than a tenth early");
    let ends: Vec<_> = (0..10)
        .map(|_| {
            time.advance(secs(11));
            pool.clean_up()
        })
        .collect();
    assert_eq!(ends.iter().sum::<u64>(), 20, "all end in the last tenth: {ends:?}");
    assert!(ends.iter().all(|&together| together <= 4), "spread evenly: {ends:?}");
}

#[test]
fn an_item_is_replaced_after_max_uses_leases() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("uses", 1, &time).max_uses(3), &script);
    let numbers: Vec<_> = (0..7).map(|_| pool.get().unwrap().number).collect();
    assert_eq!(numbers, [1, 1, 1, 2, 2, 2, 3]);
    assert_eq!(pool.stats().evicted_for(EvictReason::Uses), 2);
    assert_settled(&pool, &script);
}

#[test]
fn a_pass_of_maintenance_refills_to_min_idle_as_far_as_there_is_room() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("refill", 4, &time).min_idle(2), &script);
    let mut leases = take(&pool, 3);
    pool.clean_up();
    eventually(|| pool.stats().idle == 1);
    assert_settled(&pool, &script);
    assert_eq!(script.most_live(), 4, "never above the cap");
    leases.drain(..).for_each(Lease::discard);
    pool.clean_up();
    eventually(|| pool.stats().idle == 2);
    assert_settled(&pool, &script);
}

#[test]
fn a_reset_ends_every_item_made_before_it() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("reset", 4, &time).min_idle(2), &script);
    let leased = pool.get().unwrap();
    pool.reset();
    eventually(|| pool.stats().idle == 2);
    assert_eq!(pool.stats().evicted_for(EvictReason::Reset), 1, "the idle one at once");
    drop(leased);
    assert_eq!(pool.stats().evicted_for(EvictReason::Reset), 2, "the leased one as it came back");
    assert!(take(&pool, 2).iter().all(|lease| lease.number > 2));
    assert_settled(&pool, &script);
}

#[test]
fn an_item_begun_before_a_reset_serves_its_waiter_once() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("reset meanwhile", 1, &time), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let waiter = waiter(&pool, secs(30));
    gate.await_entered(1);
    pool.reset();
    gate.open();
    drop(waiter.result().unwrap());
    assert_eq!(pool.stats().evicted_for(EvictReason::Reset), 1);
    assert_eq!(pool.get().unwrap().number, 2);
    assert_settled(&pool, &script);
}

#[test]
fn the_background_thread_expires_and_refills_by_itself() {
    let script = Script::new();
    let config = config("by itself", 5).min_idle(1).maintenance_interval(millis(10));
    let pool = start(config.idle_timeout(millis(30)), &script);
    take(&pool, 4).into_iter().skip(1).for_each(drop);
    eventually(|| pool.stats().idle == 1);
    Lease::discard(pool.get().unwrap());
    eventually(|| pool.stats().idle == 1);
    assert_settled(&pool, &script);
}
