//! An observer, when everything happens at once: what it is told is what the books say.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use llm_pool::pool::SharedLimit;
use llm_pool::{EventLog, EvictReason, Lease, Observer};
use support::*;

/// Counts what it is told.
#[derive(Default)]
struct Books {
    created: AtomicU64,
    create_failures: AtomicU64,
    got: AtomicU64,
    put_back: AtomicU64,
    detached: AtomicU64,
    timed_out: AtomicU64,
    evicted: [AtomicU64; EvictReason::ALL.len()],
}

fn count(count: &AtomicU64) {
    count.fetch_add(1, SeqCst);
}

impl Observer for Books {
    fn created(&self, _: &Arc<str>, _: Duration) {
        count(&self.created);
    }

    fn create_failed(&self, _: &Arc<str>, _: &str) {
        count(&self.create_failures);
    }

    fn got(&self, _: &Arc<str>, _: Duration) {
        count(&self.got);
    }

    fn put_back(&self, _: &Arc<str>, _: Duration) {
        count(&self.put_back);
    }

    fn detached(&self, _: &Arc<str>, _: Duration) {
        count(&self.detached);
    }

    fn evicted(&self, _: &Arc<str>, reason: EvictReason) {
        count(&self.evicted[reason as usize]);
    }

    fn timed_out(&self, _: &Arc<str>, _: Duration, _: Option<&SharedLimit>) {
        count(&self.timed_out);
    }
}

#[test]
fn under_stress_an_observer_is_told_what_the_books_say() {
    let (script, books) = (Script::new(), Arc::<Books>::default());
    // With another beside it, which takes nothing from it.
    let observer = (books.clone(), EventLog::default());
    let config = config("observed", 3).max_uses(5).max_check_failures(2).observer(observer);
    let pool = start(config.check_interval(millis(1)).maintenance_interval(millis(1)), &script);
    script.on_create.set(Arc::new(|n| if n % 11 == 3 { Err(Refusal("no")) } else { Ok(()) }));
    script.on_check.set(Arc::new(|n| if n % 3 == 0 { Err(Refusal("ill")) } else { Ok(()) }));
    script.on_is_broken.set(Arc::new(|n| if n % 13 == 4 { Err(Refusal("")) } else { Ok(()) }));
    let users: Vec<_> = (0..8_u64)
        .map(|user| {
            let pool = pool.clone();
            spawn(move || {
                let mut random = user + 1;
                for _ in 0..400 {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                    let pick = random >> 40;
                    let timeout = Duration::from_micros(pick % 900);
                    let lease =
                        if pick % 4 == 0 { pool.try_get() } else { pool.get_timeout(timeout) };
                    let Ok(lease) = lease else { continue };
                    match pick % 16 {
                        1 => Lease::discard(lease),
                        2 => drop(Lease::detach(lease)),
                        3 => pool.reset(),
                        4 => pool.check_all(),
                        5 => drop(pool.resize(1 + (pick as usize / 16) % 4)),
                        _ => drop(lease),
                    }
                }
            })
        })
        .collect();
    users.into_iter().for_each(Task::result);
    let agrees = || {
        let stats = pool.stats();
        let Books { created, create_failures, got, put_back, detached, timed_out, evicted } =
            &*books;
        let of = |count: &AtomicU64| count.load(SeqCst);
        let evicted: Vec<_> = evicted.iter().map(of).collect();
        let there = (stats.size() - stats.creating) as u64;
        evicted == EvictReason::ALL.map(|reason| stats.evicted_for(reason))
            && of(created) == evicted.iter().sum::<u64>() + of(detached) + there
            && (of(created), of(create_failures)) == (stats.created, stats.create_failures)
            && (of(got), of(put_back)) == (stats.gets, stats.put_back)
            && (of(detached), of(timed_out)) == (stats.detached, stats.timeouts)
    };
    eventually(agrees);
    pool.close();
    eventually(|| pool.stats().creating + pool.stats().checking == 0 && agrees());
    assert!(pool.stats().evicted > 0 && pool.stats().timeouts > 0);
}
