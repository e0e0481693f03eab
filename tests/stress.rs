//! Many threads, random actions, failing and panicking user code; then the books are checked.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::{GetError, Lease, Manage, Pool, PoolConfig};

/// A cheap random sequence (SplitMix64), so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next() % n == 0
    }
}

#[derive(Default)]
struct Ledger {
    live: AtomicUsize,
    most_live: AtomicUsize,
    created: AtomicU64,
    dropped: AtomicU64,
    calls: AtomicU64,
}

/// An item that knows when it ends, and whose end now and then panics.
struct Item {
    ledger: Arc<Ledger>,
    panics_at_end: bool,
    leased: bool,
}

impl Drop for Item {
    fn drop(&mut self) {
        self.ledger.live.fetch_sub(1, SeqCst);
        self.ledger.dropped.fetch_add(1, SeqCst);
        // A second panic while unwinding is what the pool must not let out of a lease's drop.
        assert!(!self.panics_at_end, "this item's drop panics");
    }
}

/// Fails, panics and finds items broken every so often.
struct Moody(Arc<Ledger>);

impl Moody {
    fn nth_call(&self) -> u64 {
        self.0.calls.fetch_add(1, SeqCst)
    }
}

impl Manage for Moody {
    type Item = Item;
    type Error = std::io::Error;

    fn create(&self) -> Result<Item, std::io::Error> {
        let nth = self.nth_call();
        assert!(nth % 23 != 5, "create panics");
        if nth % 7 == 3 {
            return Err(std::io::Error::other("create fails"));
        }
        self.0.created.fetch_add(1, SeqCst);
        let live = self.0.live.fetch_add(1, SeqCst) + 1;
        self.0.most_live.fetch_max(live, SeqCst);
        Ok(Item { ledger: self.0.clone(), panics_at_end: nth % 11 == 2, leased: false })
    }

    fn check(&self, _: &mut Item) -> Result<(), std::io::Error> {
        let nth = self.nth_call();
        assert!(nth % 13 != 1, "check panics");
        if nth % 3 == 0 { Err(std::io::Error::other("check fails")) } else { Ok(()) }
    }

    fn is_broken(&self, _: &mut Item) -> bool {
        let nth = self.nth_call();
        assert!(nth % 41 != 7, "is_broken panics");
        nth % 17 == 0
    }
}

#[derive(Default)]
struct Tally {
    got: AtomicU64,
    detached: AtomicU64,
    timed_out: AtomicU64,
    queue_full: AtomicU64,
}

const SIZES: [usize; 3] = [2, 5, 9];

/// Does something at random; says whether the pool is closed.
fn act(pool: &Pool<Moody>, random: &mut Random, tally: &Tally, resizes: bool) -> bool {
    let got = match random.next() % 4 {
        0 => pool.try_get(),
        1 => pool.get_timeout(Duration::from_micros(random.next() % 2_000)),
        _ => pool.get_timeout(Duration::from_millis(200)),
    };
    match got {
        Ok(lease) => {
            tally.got.fetch_add(1, SeqCst);
            use_up(lease, random, tally);
        }
        Err(GetError::Timeout { .. }) => {
            tally.timed_out.fetch_add(1, SeqCst);
        }
        Err(GetError::QueueFull { .. }) => {
            tally.queue_full.fetch_add(1, SeqCst);
        }
        Err(GetError::Closed) => return true,
        Err(_) => {}
    }
    if resizes && random.one_in(150) {
        let size = SIZES[(random.next() % 3) as usize];
        pool.resize(size).unwrap();
    }
    if random.one_in(200) {
        pool.reset();
    }
    if random.one_in(40) {
        pool.clean_up();
    }
    if random.one_in(40) {
        pool.check_all();
    }
    let stats = pool.stats();
    // Law 1, on a snapshot of one moment. A lowered cap is kept once what is out has come back.
    let size = stats.idle + stats.in_use + stats.creating + stats.checking + stats.unhealthy;
    assert!(resizes || size <= stats.max_size, "{stats:?}");
    false
}

fn use_up(mut lease: Lease<Moody>, random: &mut Random, tally: &Tally) {
    assert!(!lease.leased, "two leases of one item");
    lease.leased = true;
    if random.one_in(3) {
        thread::yield_now();
    }
    lease.leased = false;
    match random.next() % 12 {
        0 => Lease::discard(lease),
        1 => {
            let item = Lease::detach(lease);
            tally.detached.fetch_add(1, SeqCst);
            let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(item)));
        }
        2 => {
            let _ = panic::catch_unwind(AssertUnwindSafe(|| {
                let _lease = lease;
                panic!("the holder panics");
            }));
        }
        3 => {
            let _ = thread::spawn(move || drop(lease)).join();
        }
        _ => drop(lease),
    }
}

fn config(seed: u64) -> PoolConfig {
    PoolConfig::default()
        .name(format!("stress {seed}"))
        .max_size(SIZES[1])
        .min_idle(2)
        .max_waiting(40)
        .max_uses(30)
        .idle_timeout(Duration::from_millis(5))
        .max_lifetime(Duration::from_millis(20))
        .check_interval(Duration::from_millis(3))
        .maintenance_interval(Duration::from_millis(2))
        .leak_after(Duration::from_secs(30))
}

fn run(seed: u64, resizes: bool, ends_by_drop: bool) {
    let ledger = Arc::new(Ledger::default());
    let tally = Tally::default();
    let pool = Pool::new(config(seed), Moody(ledger.clone())).unwrap();
    thread::scope(|scope| {
        for thread in 0..12 {
            let (pool, tally) = (&pool, &tally);
            scope.spawn(move || {
                let mut random = Random(seed * 1_000 + thread);
                for _ in 0..400 {
                    assert!(!act(pool, &mut random, tally, resizes));
                }
            });
        }
    });
    let stats = pool.stats();
    assert_eq!(stats.in_use, 0, "seed {seed}: {stats:?}");
    assert_eq!(stats.waiting, 0);
    assert_eq!(stats.gets, tally.got.load(SeqCst), "every lease is accounted for");
    assert_eq!(stats.timeouts, tally.timed_out.load(SeqCst));
    assert_eq!(stats.queue_full, tally.queue_full.load(SeqCst));
    assert_eq!(stats.detached, tally.detached.load(SeqCst));
    // More may live than the cap allows while a thread drops what the pool has given up.
    assert!(ledger.most_live.load(SeqCst) <= SIZES[2] + 24, "more items than slots and threads");

    if ends_by_drop {
        drop(pool);
    } else {
        assert!(pool.drain(Duration::from_secs(5)), "{:?}", pool.stats());
        assert!(matches!(pool.get(), Err(GetError::Closed)));
        let deadline = Instant::now() + Duration::from_secs(5);
        while pool.stats().creating + pool.stats().checking > 0 && Instant::now() < deadline {
            thread::yield_now();
        }
        let stats = pool.stats();
        assert_eq!(stats.created, stats.evicted + stats.detached, "{stats:?}");
        assert_eq!(stats.created, ledger.created.load(SeqCst));
    }
    all_end(&ledger, seed);
}

/// Closes the pool in the middle of it all.
fn run_and_close(seed: u64) {
    let ledger = Arc::new(Ledger::default());
    let tally = Tally::default();
    let pool = Pool::new(config(seed), Moody(ledger.clone())).unwrap();
    thread::scope(|scope| {
        for thread in 0..8 {
            let (pool, tally) = (&pool, &tally);
            scope.spawn(move || {
                let mut random = Random(seed * 1_000 + thread);
                // Ends by itself, should the close be missed: 8 threads x 100 000 actions.
                assert!((0..100_000).any(|_| act(pool, &mut random, tally, true)));
            });
        }
        while tally.got.load(SeqCst) < 40 * (seed % 7) {
            thread::yield_now();
        }
        pool.close();
    });
    assert!(pool.drain(Duration::from_secs(5)), "{:?}", pool.stats());
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.waiting, stats.idle, stats.unhealthy), (0, 0, 0, 0));
    assert_eq!(stats.gets, tally.got.load(SeqCst), "every lease is accounted for");
    all_end(&ledger, seed);
}

/// Every item that was made has been dropped, as soon as the last worker is done.
fn all_end(ledger: &Ledger, seed: u64) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while ledger.live.load(SeqCst) > 0 && Instant::now() < deadline {
        thread::yield_now();
    }
    assert_eq!(ledger.live.load(SeqCst), 0, "seed {seed}: an item was lost");
    assert_eq!(ledger.created.load(SeqCst), ledger.dropped.load(SeqCst));
}

#[test]
fn after_random_actions_on_many_threads_the_books_balance() {
    // Panics are part of the plan; their messages would drown a real failure's.
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<&str>().unwrap_or(&"");
        if !text.ends_with("panics") {
            report(info);
        }
    }));
    for seed in 1..=6 {
        run(seed, seed % 3 != 0, seed % 2 == 0);
    }
    for seed in 7..=40 {
        run_and_close(seed);
    }
}
