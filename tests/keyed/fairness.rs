//! A busy key takes nothing from the others that is theirs by a fair share.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::keyed::KeyedConfig;
use llm_pool::{Lease, ManualClock};

use crate::harness::{Keyed, Name, assert_free, config, keyed, manual, served, take, waiter};
use crate::support::{LIMIT, Script, Task, eventually, millis, secs, spawn};

const HOLD: Duration = Duration::from_millis(20);

/// Threads that take one lease of `key` after another until told to stop; the worst wait of each.
fn load(pool: &Keyed, key: Name, threads: usize, stop: &Arc<AtomicBool>) -> Vec<Task<Duration>> {
    let worker = |_| {
        let (pool, stop) = (pool.clone(), stop.clone());
        spawn(move || {
            let mut worst = Duration::ZERO;
            while !stop.load(SeqCst) {
                let began = Instant::now();
                let lease = pool.get_timeout(&key, LIMIT).expect("a lease");
                worst = worst.max(began.elapsed());
                thread::sleep(HOLD);
                drop(lease);
            }
            worst
        })
    };
    (0..threads).map(worker).collect()
}

fn worst(tasks: Vec<Task<Duration>>) -> Duration {
    tasks.into_iter().map(Task::result).max().unwrap()
}

/// One of these at a time: each measures waits.
static QUIET: Mutex<()> = Mutex::new(());

/// The worst wait of three threads at one of `keys`, the first of which has 150, and that of three
/// threads in a pool of one item, which is the fair share of three; both at the same time, so that
/// what else the machine does is in both.
fn beside_the_busy_and_alone(config: KeyedConfig, keys: [Name; 3]) -> (Duration, Duration) {
    let _quiet = QUIET.lock().unwrap_or_else(PoisonError::into_inner);
    let script = Script::new();
    let pool = keyed(config, &script);
    let stop = Arc::new(AtomicBool::new(false));
    let busy = load(&pool, keys[0], 150, &stop);
    eventually(|| pool.stats().sum.waiting > 140);
    let others = [load(&pool, keys[1], 3, &stop), load(&pool, keys[2], 3, &stop)];
    let alone = keyed(crate::harness::config(1), &Script::new());
    let alone = load(&alone, "alone", 3, &stop);
    thread::sleep(millis(600));
    stop.store(true, SeqCst);
    let beside = others.into_iter().map(worst).max().unwrap();
    let alone = worst(alone);
    let of_busy = worst(busy);
    assert!(of_busy > beside * 2, "the busy one waits for itself: {of_busy:?}, {beside:?}");
    assert_free(&pool, &[(keys[1], 3)]);
    // Three leases at one time need three items a key.
    assert!(script.made() <= 9, "{} items were made", script.made());
    (beside, alone)
}

#[test]
fn a_host_with_fifty_times_the_demand_keeps_no_other_waiting_beyond_its_share() {
    let config = config(200).max_total(3);
    let (beside, alone) = beside_the_busy_and_alone(config, ["busy/a", "i/a", "j/a"]);
    assert!(beside <= alone * 2, "{beside:?} beside the busy one, {alone:?} alone");
}

#[test]
fn a_key_with_fifty_times_the_demand_keeps_no_other_of_its_host_waiting_beyond_its_share() {
    let config = config(200).max_per_host(3);
    let (beside, alone) = beside_the_busy_and_alone(config, ["h/busy", "h/i", "h/j"]);
    assert!(beside <= alone * 2, "{beside:?} beside the busy one, {alone:?} alone");
}

#[test]
fn keys_of_one_host_share_the_total_fairly_too() {
    let config = config(200).max_total(3);
    let (beside, alone) = beside_the_busy_and_alone(config, ["h/busy", "h/i", "h/j"]);
    assert!(beside <= alone * 2, "{beside:?} beside the busy one, {alone:?} alone");
}

#[test]
fn a_host_below_its_share_comes_before_longer_waiters_of_one_that_has_it() {
    let time = ManualClock::new();
    let pool = keyed(manual(9, &time).max_total(2), &Script::new());
    let mut held = take(&pool, "busy/a", 2);
    let busy = [(); 2].map(|()| waiter(&pool, "busy/a", Duration::MAX));
    time.advance(secs(1));
    let other = waiter(&pool, "i/a", Duration::MAX);
    drop(held.pop());
    let other = served(other, &[&busy[0], &busy[1]]);
    // Each has one of the two now, so what comes back is for those who have none.
    drop(other);
    let [first, second] = busy;
    let first = served(first, &[&second]);
    drop(held);
    drop((served(second, &[]), first));
    assert_free(&pool, &[("i/a", 2)]);
}

#[test]
fn a_key_below_its_share_comes_before_longer_waiters_of_one_that_has_it() {
    let time = ManualClock::new();
    let pool = keyed(manual(9, &time).max_per_host(2), &Script::new());
    let mut held = take(&pool, "h/busy", 2);
    let busy = waiter(&pool, "h/busy", Duration::MAX);
    time.advance(secs(1));
    let other = waiter(&pool, "h/other", Duration::MAX);
    drop(held.pop());
    let other = served(other, &[&busy]);
    drop(other);
    drop((served(busy, &[]), held));
    assert_free(&pool, &[("h/other", 2)]);
}

#[test]
fn what_nobody_else_wants_is_for_the_busy_one() {
    let time = ManualClock::new();
    let pool = keyed(manual(9, &time).max_total(4), &Script::new());
    let idle = take(&pool, "i/a", 1);
    let held: Vec<Lease<_>> = take(&pool, "busy/a", 3);
    assert!(pool.try_get(&"busy/a").is_err(), "four are out");
    drop(idle);
    drop((pool.try_get(&"busy/a").expect("nobody else asks"), held));
}
