//! Many threads, random actions; the books are checked meanwhile and at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::{GetError, Lease};

use crate::harness::{Keyed, Name, assert_free, config, host_of, keyed, most_open};
use crate::support::{LIMIT, Maker, Refusal, Script, Task, eventually, spawn};

const KEYS: [Name; 12] =
    ["h/a", "h/b", "h/c", "h/d", "i/a", "i/b", "i/c", "j/a", "j/b", "k/a", "l/a", "m/a"];

const TIME: Duration = Duration::from_millis(1500);

/// A cheap random sequence (SplitMix64), so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn micros(&mut self, most: usize) -> Duration {
        Duration::from_micros(self.below(most) as u64)
    }
}

/// Counts leases held, by host and in all, and remembers the most.
#[derive(Default)]
struct Ledger {
    now: AtomicUsize,
    most: AtomicUsize,
    of_h: AtomicUsize,
    most_of_h: AtomicUsize,
    served: AtomicUsize,
}

impl Ledger {
    /// Holds the lease for a moment, then ends it in one of the ways there are.
    fn hold(&self, key: Name, lease: Lease<Maker>, random: &mut Random) {
        self.served.fetch_add(1, SeqCst);
        let is_h = host_of(key) == "h";
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
        if is_h {
            self.most_of_h.fetch_max(self.of_h.fetch_add(1, SeqCst) + 1, SeqCst);
        }
        thread::sleep(random.micros(300));
        self.now.fetch_sub(1, SeqCst);
        if is_h {
            self.of_h.fetch_sub(1, SeqCst);
        }
        match random.below(12) {
            0 => Lease::discard(lease),
            1 => drop(Lease::detach(lease)),
            _ => drop(lease),
        }
    }
}

/// Runs `turn` on so many threads, over and over.
fn run(threads: usize, turn: impl Fn(&mut Random) + Clone + Send + 'static) -> Vec<Task<()>> {
    let until = Instant::now() + TIME;
    let worker = |n| {
        let turn = turn.clone();
        spawn(move || {
            let mut random = Random(n as u64);
            while Instant::now() < until {
                turn(&mut random);
            }
        })
    };
    (0..threads).map(worker).collect()
}

fn wait_for(tasks: Vec<Task<()>>) {
    tasks.into_iter().for_each(Task::result);
}

/// Nothing is left behind: no permit, no item, no leave to make one.
#[track_caller]
fn assert_books_closed(pool: &Keyed, script: &Script, load: &[(Name, usize)]) {
    assert_free(pool, load);
    eventually(|| script.live() == pool.stats().open);
    assert_eq!(pool.stats().open, pool.stats().size());
    assert!(pool.drain(LIMIT));
    eventually(|| script.live() == 0 && pool.stats().open == 0);
}

#[test]
fn evictions_against_gets() {
    let (script, ledger) = (Script::new(), Arc::new(Ledger::default()));
    let pool = keyed(config(2).max_pools(4).max_total(5), &script);
    let tasks = run(8, {
        let (pool, ledger) = (pool.clone(), ledger.clone());
        move |random| {
            let key = KEYS[random.below(12)];
            let got =
                if random.one_in(4) { pool.try_get(&key) } else { pool.get_timeout(&key, LIMIT) };
            match got {
                Ok(lease) => ledger.hold(key, lease, random),
                Err(
                    GetError::TooManyKeys { .. }
                    | GetError::Exhausted { .. }
                    | GetError::KeyNotReady { .. },
                ) => {}
                Err(error) => panic!("{error}"),
            }
            assert!(pool.keys().len() <= 4);
        }
    });
    wait_for(tasks);
    assert!(ledger.most.load(SeqCst) <= 5);
    let stats = pool.stats();
    assert!(stats.pools_evicted > 20 && ledger.served.load(SeqCst) > 100, "{stats}");
    assert_eq!(stats.pools_made, stats.pools_evicted + stats.keys.len() as u64);
    assert_books_closed(&pool, &script, &[("h/a", 2), ("i/a", 2), ("j/a", 1)]);
}

#[test]
fn closing_keys_against_gets() {
    let (script, ledger) = (Script::new(), Arc::new(Ledger::default()));
    let pool = keyed(config(2).max_total(3).max_per_host(2), &script);
    let mut tasks = run(6, {
        let (pool, ledger) = (pool.clone(), ledger.clone());
        move |random| {
            let key = KEYS[random.below(6)];
            let lease = pool.get_timeout(&key, LIMIT).expect("nobody hears of a closed key");
            ledger.hold(key, lease, random);
        }
    });
    tasks.extend(run(1, {
        let pool = pool.clone();
        move |random| {
            pool.close_key(&KEYS[random.below(6)]);
            thread::sleep(random.micros(500));
        }
    }));
    wait_for(tasks);
    assert!(ledger.most.load(SeqCst) <= 3 && ledger.most_of_h.load(SeqCst) <= 2);
    let stats = pool.stats();
    assert!(stats.pools_made > 50 && ledger.served.load(SeqCst) > 100, "{stats}");
    assert_books_closed(&pool, &script, &[("h/a", 2), ("i/a", 1)]);
}

#[test]
fn changes_of_the_limits_against_short_waits() {
    let (script, ledger) = (Script::new(), Arc::new(Ledger::default()));
    let pool = keyed(config(3).max_total(6).max_per_host(4), &script);
    // No set-up is under way later, which short waits might end in.
    for key in KEYS {
        drop(crate::harness::take(&pool, key, 1));
    }
    let timeouts = Arc::new(AtomicUsize::new(0));
    let mut tasks = run(10, {
        let (pool, ledger, timeouts) = (pool.clone(), ledger.clone(), timeouts.clone());
        move |random| {
            let key = KEYS[random.below(12)];
            match pool.get_timeout(&key, random.micros(3000)) {
                Ok(lease) => ledger.hold(key, lease, random),
                Err(GetError::Timeout { .. }) => {
                    timeouts.fetch_add(1, SeqCst);
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
    tasks.extend(run(2, {
        let pool = pool.clone();
        move |random| {
            pool.set_max_total(1 + random.below(6)).unwrap();
            pool.set_max_per_host(1 + random.below(4)).unwrap();
            pool.set_max_of_host("h", 1 + random.below(4)).unwrap();
            thread::sleep(random.micros(400));
        }
    }));
    wait_for(tasks);
    assert!(ledger.most.load(SeqCst) <= 6 && ledger.most_of_h.load(SeqCst) <= 4);
    assert!(ledger.served.load(SeqCst) > 100);
    assert_eq!(pool.stats().sum.timeouts, timeouts.load(SeqCst) as u64);
    pool.set_max_total(4).unwrap();
    pool.set_max_of_host("h", 3).unwrap();
    pool.set_max_per_host(3).unwrap();
    assert_books_closed(&pool, &script, &[("h/a", 3), ("i/a", 1)]);
}

#[test]
fn everything_at_once() {
    let (script, ledger) = (Script::new(), Arc::new(Ledger::default()));
    let pool = keyed(config(3).max_total(4).max_per_host(3).max_open(5).max_pools(9), &script);
    let attempts = AtomicUsize::new(0);
    script.on_create.set(Arc::new(move |_| match attempts.fetch_add(1, SeqCst) % 100 {
        99 => panic!("now and then"),
        n if n % 8 == 7 => Err(Refusal("now and then")),
        _ => Ok(()),
    }));
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = most_open(&pool, &stop);
    let mut tasks = run(10, {
        let (pool, ledger) = (pool.clone(), ledger.clone());
        move |random| {
            let key = KEYS[random.below(12)];
            let got = match random.below(4) {
                0 => pool.try_get(&key),
                1 => pool.get_timeout(&key, random.micros(2000)),
                _ => pool.get_timeout(&key, LIMIT),
            };
            match got {
                Ok(lease) => ledger.hold(key, lease, random),
                Err(GetError::Closed | GetError::Key(_)) => panic!("neither closed nor bad"),
                Err(error @ GetError::Timeout { waited, .. }) => {
                    assert!(waited < LIMIT / 2, "{error}");
                }
                Err(_) => {}
            }
        }
    });
    tasks.extend(run(1, {
        let pool = pool.clone();
        move |random| {
            match random.below(6) {
                0 => drop(pool.close_key(&KEYS[random.below(12)])),
                1 => pool.set_max_total(1 + random.below(5)).unwrap(),
                2 => pool.set_max_per_host(1 + random.below(3)).unwrap(),
                3 => pool.set_max_open(5 + random.below(3)).unwrap(),
                4 => pool.check_all(),
                _ => drop(pool.clean_up()),
            }
            thread::sleep(random.micros(600));
        }
    }));
    wait_for(tasks);
    stop.store(true, SeqCst);
    let most_open = watcher.result();
    assert!((1..=7).contains(&most_open), "{most_open}");
    assert!(ledger.most.load(SeqCst) <= 5 && ledger.most_of_h.load(SeqCst) <= 3);
    assert!(ledger.served.load(SeqCst) > 100);
    script.on_create.set(crate::support::succeed());
    pool.set_max_per_host(3).unwrap();
    pool.set_max_total(5).unwrap();
    assert_books_closed(&pool, &script, &[("h/a", 3), ("i/a", 2)]);
}
