//! Who is served, when, and by what: the order of waiters and everything that frees capacity.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use llm_pool::{EvictReason, GetError, Lease, ManualClock};
use support::*;

/// Behaviour 1.
#[test]
fn a_broken_give_back_serves_the_waiter() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("broken give-back", 1, &time), &script);
    let lease = pool.get().unwrap();
    let waiter = waiter(&pool, secs(30));
    script.on_is_broken.set(fail("broken"));
    drop(lease);
    let lease = waiter.result().unwrap();
    assert_eq!(lease.number, 2, "a fresh one, in the slot of the broken one");
    assert_eq!(pool.stats().evicted_for(EvictReason::Broken), 1);
    drop(lease);
    assert_settled(&pool, &script);
}

#[test]
fn a_discarded_item_serves_the_waiter() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("discard", 1, &time), &script);
    let lease = pool.get().unwrap();
    let waiter = waiter(&pool, secs(30));
    Lease::discard(lease);
    assert_eq!(waiter.result().unwrap().number, 2);
    assert_eq!(pool.stats().evicted_for(EvictReason::Discarded), 1);
    assert_settled(&pool, &script);
}

#[test]
fn a_detached_item_frees_its_slot_and_serves_the_waiter() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("detach", 1, &time), &script);
    let lease = pool.get().unwrap();
    let waiter = waiter(&pool, secs(30));
    let item = Lease::detach(lease);
    let lease = waiter.result().unwrap();
    assert_eq!((item.number, lease.number), (1, 2));
    assert_eq!(script.live(), 2, "the detached item lives on");
    drop(lease);
    let stats = pool.stats();
    assert_eq!((stats.detached, stats.idle, stats.in_use, stats.evicted), (1, 1, 0, 0));
    assert_settled(&pool, &script);
    drop(item);
    assert_eq!(pool.stats(), stats, "the pool no longer knows of it");
}

#[test]
fn an_item_at_its_last_use_serves_the_waiter_with_a_fresh_one() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("uses and waiter", 1, &time).max_uses(1), &script);
    let lease = pool.get().unwrap();
    let waiter = waiter(&pool, secs(30));
    drop(lease);
    assert_eq!(waiter.result().unwrap().number, 2);
}

#[test]
fn waiters_are_served_in_the_order_they_came() {
    const WAITERS: usize = 8;
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("order", 1, &time), &script);
    let first = pool.get().unwrap();
    let (served, order) = unbounded();
    let tasks: Vec<_> = (0..WAITERS)
        .map(|place| {
            let (pool_of_task, served) = (pool.clone(), served.clone());
            let task = spawn(move || {
                let lease = pool_of_task.get().unwrap();
                served.send(place).unwrap();
                // Each way of giving back serves the next.
                match place % 3 {
                    0 => drop(lease),
                    1 => Lease::discard(lease),
                    _ => drop(Lease::detach(lease)),
                }
            });
            eventually(|| pool.stats().waiting == place + 1);
            task
        })
        .collect();
    time.advance(PAST_THE_MOMENT);
    drop(first);
    tasks.into_iter().for_each(Task::result);
    assert!(order.try_iter().eq(0..WAITERS));
    assert_settled(&pool, &script);
}

/// Behaviour 3.
#[test]
fn a_waiter_that_times_out_passes_its_turn_on() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("turn", 1, &time), &script);
    let lease = pool.get().unwrap();
    let impatient = waiter(&pool, secs(1));
    let patient = waiter(&pool, secs(100));
    time.advance(secs(2));
    assert!(matches!(impatient.result(), Err(GetError::Timeout { .. })));
    drop(lease);
    assert_eq!(patient.result().unwrap().number, 1);
    let stats = pool.stats();
    // The first wait was for the creation of the item.
    assert_eq!((stats.timeouts, stats.waits, stats.waiting), (1, 2, 0));
}

/// Behaviours 3 and 4: hand-over, nudge and time-out race, thousands of times.
#[test]
fn hand_over_racing_time_outs_loses_no_item_and_no_waiter() {
    const ITEMS: usize = 2;
    let script = Script::new();
    let pool = start(config("race", ITEMS), &script);
    drop(take(&pool, ITEMS));
    let stop = Arc::new(AtomicBool::new(false));
    let hasty: Vec<_> = (0..5_u64)
        .map(|seed| {
            let (pool, stop) = (pool.clone(), stop.clone());
            spawn(move || {
                let mut random = seed + 1;
                while !stop.load(Ordering::Relaxed) {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                    let timeout = Duration::from_micros((random >> 33) % 800);
                    if let Ok(lease) = pool.get_timeout(timeout) {
                        let hold = Duration::from_micros((random >> 20) % 400);
                        let until = Instant::now() + hold;
                        while Instant::now() < until {
                            thread::yield_now();
                        }
                        drop(lease);
                    }
                }
            })
        })
        .collect();
    // Those who wait patiently beside them are served, each in turn.
    let (mut served, began) = (0, Instant::now());
    while served < 300 || pool.stats().timeouts < 300 {
        drop(pool.get_timeout(LIMIT).expect("served beside hasty threads"));
        served += 1;
        assert!(began.elapsed() < LIMIT, "no race took place: {}", pool.stats());
    }
    stop.store(true, Ordering::Relaxed);
    hasty.into_iter().for_each(Task::result);
    let stats = pool.stats();
    assert_eq!((stats.idle, stats.in_use, stats.waiting), (ITEMS, 0, 0));
    assert_eq!((script.made(), script.live()), (ITEMS, ITEMS));
    assert_settled(&pool, &script);
}

/// Behaviour 5: whoever gives back and asks again at once queues behind those who waited.
#[test]
fn a_thread_that_gives_back_and_asks_again_does_not_overtake() {
    let script = Script::new();
    let pool = start(config("barging", 1), &script);
    let lease = pool.get().unwrap();
    let waiter = waiter(&pool, LIMIT);
    thread::sleep(PAST_THE_MOMENT);
    drop(lease);
    // Handed over within the drop: nothing is left to barge in on, not even for a moment.
    let hasty = pool.try_get();
    assert!(matches!(hasty, Err(GetError::Exhausted { .. })), "{hasty:?}");
    assert_eq!(waiter.result().unwrap().number, 1);
}

/// Behaviour 5, in bulk: shares are even although every thread asks again at once.
#[test]
fn threads_that_ask_again_at_once_get_even_shares() {
    const TURNS: usize = 20;
    const THREADS: usize = 4;
    let script = Script::new();
    let pool = start(config("shares", 1), &script);
    let first = pool.get().unwrap();
    let turns = Arc::new([const { AtomicUsize::new(0) }; THREADS]);
    let tasks: Vec<_> = (0..THREADS)
        .map(|me| {
            let (pool, turns) = (pool.clone(), turns.clone());
            spawn(move || {
                let mut widest = 0;
                for _ in 0..TURNS {
                    let lease = pool.get_timeout(LIMIT).unwrap();
                    let own = turns[me].fetch_add(1, Ordering::SeqCst) + 1;
                    let least = turns.iter().map(|n| n.load(Ordering::SeqCst)).min();
                    widest = widest.max(own - least.unwrap_or(0));
                    // Long beside the moment in which a waiter may be overtaken.
                    thread::sleep(PAST_THE_MOMENT);
                    drop(lease);
                }
                widest
            })
        })
        .collect();
    eventually(|| pool.stats().waiting == THREADS);
    thread::sleep(PAST_THE_MOMENT);
    drop(first);
    for task in tasks {
        let widest = task.result();
        // One turn ahead is the ideal. A starved thread may be late to queue a few times.
        assert!(widest <= TURNS / 2, "one thread was {widest} turns ahead of another");
    }
}

#[test]
fn try_get_leaves_room_to_those_who_wait() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("room", 2, &time).max_creating(1), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let waiters = [waiter(&pool, secs(30)), waiter(&pool, secs(30))];
    gate.await_entered(1);
    assert_eq!(pool.stats().creating, 1, "the second waits for max_creating");
    assert!(matches!(pool.try_get(), Err(GetError::Exhausted { .. })));
    gate.open();
    let leases = waiters.map(|waiter| waiter.result().unwrap());
    assert_eq!(leases.len(), 2);
}

#[test]
fn a_get_is_served_while_a_try_get_creates() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("beside try_get", 2, &time), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let own = spawn({
        let pool = pool.clone();
        move || pool.try_get()
    });
    gate.await_entered(1);
    script.on_create.set(succeed());
    let got = waiterless_get(&pool).result().unwrap();
    gate.open();
    let own = own.result().unwrap();
    assert_eq!(pool.stats().in_use, 2);
    drop((got, own));
    assert_settled(&pool, &script);
}

#[test]
fn the_end_of_a_try_gets_creation_lets_the_next_creation_begin() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("after try_get", 2, &time).max_creating(1), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let own = spawn({
        let pool = pool.clone();
        move || pool.try_get()
    });
    gate.await_entered(1);
    script.on_create.set(succeed());
    let waiter = waiter(&pool, secs(30));
    gate.open();
    let own = own.result().unwrap();
    let lease = waiter.result().unwrap();
    assert_eq!(pool.stats().in_use, 2);
    drop((own, lease));
}

/// A waiter that was told to look and found nothing is not forgotten, although a clock that
/// stands still never ends its first moment.
#[test]
fn an_overtaken_waiter_is_served_while_the_clock_stands_still() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("still", 1, &time), &script);
    for _ in 0..50 {
        let lease = pool.get().unwrap();
        let waiter = waiter(&pool, secs(30));
        drop(lease);
        // Not to be had, unless waiters may be overtaken.
        if let Ok(overtaking) = pool.try_get() {
            // Time for the waiter to look, in vain.
            thread::sleep(millis(1));
            drop(overtaking);
        }
        drop(waiter.result().unwrap());
    }
}

#[test]
fn the_item_created_for_one_waiter_goes_to_the_first_in_line() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("first in line", 2, &time), &script);
    let held = pool.get().unwrap();
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let first = waiter(&pool, secs(30));
    gate.await_entered(1);
    let second = waiter(&pool, secs(30));
    time.advance(PAST_THE_MOMENT);
    drop(held);
    let first = first.result().unwrap();
    assert_eq!(first.number, 1, "what came back first went to who came first");
    assert!(!second.is_done());
    gate.open();
    assert_eq!(second.result().unwrap().number, 2);
}

/// A `get` on a thread of its own, which may be served before it is seen to wait.
fn waiterless_get(pool: &TestPool) -> Task<Got> {
    let pool = pool.clone();
    spawn(move || pool.get())
}
