//! Snapshots of all keys, and what becomes of the totals of keys that are gone.

use llm_pool::keyed::KeyedSnapshot;
use llm_pool::{Lease, ManualClock, Snapshot, Stats};

use crate::harness::{Keyed, config, keyed, manual, take, waiter};
use crate::support::{LIMIT, Script, eventually, secs, spawn};

/// All that must never fall, and what it is made of.
fn totals(pool: &Keyed) -> (u64, u64, u64, u64, u64) {
    let KeyedSnapshot { sum, .. } = pool.snapshot();
    let Snapshot { stats, wait, hold, create, .. } = &sum;
    assert_eq!((wait.count(), create.count()), (stats.waits, stats.created));
    (stats.gets, stats.created, wait.count(), hold.count(), create.count())
}

#[test]
fn a_snapshot_has_every_key_and_their_sum() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(2, &time).max_total(3), &script);
    let held = [take(&pool, "h/a", 2), take(&pool, "i/b", 1)];
    let waiting = waiter(&pool, "h/a", LIMIT);
    time.advance(secs(5));
    drop(held);
    drop(waiting.result().unwrap());
    let all = pool.snapshot();
    let keys: Vec<_> = all.keys.iter().map(|key| (key.key, &*key.host)).collect();
    assert_eq!(keys, [("h/a", "h"), ("i/b", "i")]);
    assert!(all.keys[0].pool.name.ends_with("h/a"), "{:?}", all.keys[0].pool.name);
    assert_eq!((all.keys[0].pool.hold.count(), all.keys[0].pool.wait.max()), (3, Some(secs(5))));
    assert_eq!((all.sum.hold.count(), all.sum.hold.sum()), (4, secs(15)));
    assert_eq!(all.sum.stats, all.stats.sum);
    assert_eq!(all.stats.keys[1].pool, all.keys[1].pool.stats);
    assert_eq!((all.stats.max_total, all.stats.pools_made), (Some(3), 2));
    assert_eq!(*all.sum.name, *pool.config().pool.name);
}

#[test]
fn the_totals_of_keys_that_are_gone_are_kept_and_what_was_there_is_not() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(2, &time).max_pools(2), &script);
    drop(take(&pool, "a", 2));
    drop(take(&pool, "b", 1));
    let before = totals(&pool);
    // The third key takes the place of the first.
    drop(take(&pool, "c", 1));
    assert_eq!(pool.keys(), ["b", "c"]);
    let after = totals(&pool);
    assert_eq!((before.0 + 1, before.1 + 1), (after.0, after.1));
    let Stats { gets, created, evicted, idle, max_size, .. } = pool.stats().sum;
    assert_eq!((gets, created, evicted, idle, max_size), (4, 4, 2, 2, 4));
    eventually(|| script.live() == 2);
    pool.close_key(&"b");
    pool.close_key(&"c");
    let all = pool.snapshot();
    assert_eq!((all.sum.stats.gets, all.sum.stats.evicted, all.keys.len()), (4, 4, 0));
    assert_eq!((all.sum.hold.count(), all.sum.create.count()), (4, 4));
    assert_eq!((all.sum.stats.size(), all.sum.stats.max_size), (0, 0));
}

#[test]
fn a_lease_that_outlives_its_key_is_counted_when_it_ends() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = keyed(manual(2, &time), &script);
    let mut held = take(&pool, "a", 2);
    pool.close_key(&"a");
    assert_eq!(pool.snapshot().sum.hold.count(), 0);
    assert_eq!(totals(&pool).0, 2);
    time.advance(secs(7));
    drop(held.pop());
    let sum = pool.snapshot().sum;
    assert_eq!((sum.hold.count(), sum.hold.sum(), sum.stats.evicted), (1, secs(7), 1));
    // The key anew, and the last lease of the old one.
    drop(take(&pool, "a", 1));
    drop(held);
    let sum = pool.snapshot().sum;
    assert_eq!((sum.stats.gets, sum.hold.count(), sum.hold.sum()), (3, 3, secs(14)));
    assert_eq!((sum.stats.created, sum.stats.evicted, sum.stats.idle), (3, 2, 1));
    assert!(pool.drain(LIMIT));
    assert_eq!(totals(&pool), (3, 3, 3, 3, 3));
}

#[test]
fn no_total_falls_while_keys_come_and_go() {
    const TURNS: u64 = 300;
    let script = Script::new();
    let pool = keyed(config(2).max_pools(2), &script);
    let users: Vec<_> = (0..4_usize)
        .map(|user| {
            let pool = pool.clone();
            spawn(move || {
                let mut got = 0;
                for turn in 0.. {
                    if got == TURNS {
                        return;
                    }
                    let key = ["a", "b", "c", "d", "e"][(turn + user) % 5];
                    let Ok(lease) = pool.get(&key) else { continue };
                    got += 1;
                    if turn % 7 == 0 {
                        pool.close_key(&key);
                    }
                    if turn % 3 == 0 { Lease::discard(lease) } else { drop(lease) }
                }
            })
        })
        .collect();
    let mut before = totals(&pool);
    while !users.iter().all(crate::support::Task::is_done) {
        let now = totals(&pool);
        let pairs = [
            (before.0, now.0),
            (before.1, now.1),
            (before.2, now.2),
            (before.3, now.3),
            (before.4, now.4),
        ];
        assert!(pairs.iter().all(|(before, now)| before <= now), "{before:?} {now:?}");
        before = now;
    }
    users.into_iter().for_each(crate::support::Task::result);
    pool.close();
    eventually(|| script.live() == 0);
    eventually(|| pool.stats().sum.created == pool.stats().sum.evicted);
    let (gets, created, waits, holds, creates) = totals(&pool);
    assert_eq!((gets, holds, created), (4 * TURNS, 4 * TURNS, creates));
    assert_eq!(created as usize, script.made());
    assert!(waits <= gets);
}
