//! Snapshots: counts and times of one moment, in agreement with each other.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use llm_pool::{Lease, ManualClock, Snapshot};
use support::*;

#[track_caller]
fn assert_balanced(snapshot: &Snapshot) {
    let Snapshot { stats, wait, hold, create, .. } = snapshot;
    assert_eq!(wait.count(), stats.waits, "{snapshot}");
    assert_eq!(hold.count() + stats.in_use as u64, stats.gets, "{snapshot}");
    assert_eq!(create.count(), stats.created, "{snapshot}");
    assert_eq!((wait.sum(), hold.sum()), (stats.wait_time, stats.hold_time), "{snapshot}");
    assert_eq!(wait.max().unwrap_or_default(), stats.longest_wait, "{snapshot}");
    let size = stats.size() - stats.creating;
    assert_eq!(stats.created, stats.evicted + stats.detached + size as u64, "{snapshot}");
}

#[test]
fn times_are_those_of_the_waits_holds_and_creations() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("times", 1, &time), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let first = waiter(&pool, Duration::MAX);
    gate.await_entered(1);
    time.advance(secs(3));
    gate.open();
    let lease = first.result().unwrap();
    let second = waiter(&pool, Duration::MAX);
    time.advance(secs(60));
    drop(lease);
    let lease = second.result().unwrap();
    time.advance(secs(2));
    drop(lease);
    Lease::discard(pool.get().unwrap());
    let snapshot = pool.snapshot();
    assert_balanced(&snapshot);
    assert_eq!((&*snapshot.name, snapshot.stats), ("times", pool.stats()));
    let Snapshot { wait, hold, create, .. } = &snapshot;
    assert_eq!((wait.count(), wait.sum(), wait.max()), (2, secs(63), Some(secs(60))));
    assert_eq!((hold.count(), hold.sum(), hold.max()), (3, secs(62), Some(secs(60))));
    assert_eq!((create.count(), create.sum()), (1, secs(3)));
    assert!(snapshot.to_string().contains("\nwait: 2, p50 "), "{snapshot}");
}

#[test]
fn a_failed_creation_and_a_wait_in_vain_are_no_entries() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("in vain", 1, &time), &script);
    script.on_create.set(fail("refused"));
    assert!(pool.get().is_err());
    script.on_create.set(succeed());
    let lease = pool.get().unwrap();
    let late = waiter(&pool, secs(1));
    time.advance(secs(1));
    assert!(late.result().is_err());
    let snapshot = pool.snapshot();
    assert_balanced(&snapshot);
    assert_eq!((snapshot.stats.timeouts, snapshot.wait.count()), (1, 1));
    assert_eq!((snapshot.create.count(), snapshot.hold.count()), (1, 0));
    drop(lease);
    assert_eq!(pool.snapshot().hold.count(), 1);
}

#[test]
fn every_snapshot_balances_while_everything_happens_at_once() {
    let script = Script::new();
    let pool = start(config("moments", 3).max_uses(9), &script);
    script.on_create.set(Arc::new(|n| if n % 7 == 3 { Err(Refusal("refused")) } else { Ok(()) }));
    let stop = Arc::new(AtomicBool::new(false));
    let users: Vec<_> = (0..6_u64)
        .map(|user| {
            let (pool, stop) = (pool.clone(), stop.clone());
            spawn(move || {
                for turn in user.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let Ok(lease) = pool.get_timeout(millis(turn % 3)) else { continue };
                    match turn % 11 {
                        1 => Lease::discard(lease),
                        2 => drop(Lease::detach(lease)),
                        3 => pool.reset(),
                        _ => drop(lease),
                    }
                }
            })
        })
        .collect();
    (0..1000).for_each(|_| assert_balanced(&pool.snapshot()));
    stop.store(true, Ordering::Relaxed);
    users.into_iter().for_each(Task::result);
    assert_balanced(&pool.snapshot());
}
