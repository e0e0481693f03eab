//! The pools of several keys under limits that they share, and both laws as they show there.
//!
//! Keys below 10 are of one host, the others of another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use llm_pool::keyed::{KeyedConfig, KeyedPool, Setup};
use llm_pool::{GetError, Lease, ManualClock, PoolConfig};
use shuttle::thread;

use crate::items::{Books, Made, Maker, Planned};
use crate::scene::FOR_EVER;

pub struct KeyedScene {
    pub pools: KeyedPool<u32, Maker>,
    pub time: ManualClock,
    pub books: Arc<Books>,
    /// Leases that the threads have, by host.
    held: Mutex<HashMap<u32, usize>>,
    got: AtomicU64,
    timed_out: AtomicU64,
    drained: AtomicBool,
    /// The widest limits of the scenario.
    max_total: usize,
    max_per_host: usize,
}

pub type Got<'a> = Result<HeldOfKey<'a>, GetError<Planned>>;

impl KeyedScene {
    /// The pool of each key makes its first items as `creations` says.
    pub fn new(config: KeyedConfig, pool: PoolConfig, creations: &'static [Made]) -> Arc<Self> {
        llm_pool::set_may_overtake(false);
        let (time, books) = (ManualClock::new(), Arc::new(Books::default()));
        let max_total = config.max_total.unwrap_or(usize::MAX);
        let max_per_host = config.max_per_host.unwrap_or(usize::MAX);
        let pool = pool.clock(time.clock()).wait_timeout(FOR_EVER);
        let kept = books.clone();
        let pools = KeyedPool::new(config.pool(pool), move |&key: &u32| {
            let host = if key < 10 { "one" } else { "other" };
            Ok(Setup::new(Maker::new(kept.clone(), creations, &[])).host(host))
        });
        let Ok(pools) = pools else { panic!("a scenario's settings can work") };
        Arc::new(Self {
            pools,
            time,
            books,
            held: Mutex::default(),
            got: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            drained: AtomicBool::new(false),
            max_total,
            max_per_host,
        })
    }

    pub fn spawn(
        self: &Arc<Self>,
        code: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) -> thread::JoinHandle<()> {
        let scene = self.clone();
        thread::spawn(move || code(&scene))
    }

    pub fn get(&self, key: u32, timeout: Duration) -> Got<'_> {
        let got = self.pools.get_timeout(&key, timeout);
        if let Err(GetError::Timeout { .. }) = got {
            self.timed_out.fetch_add(1, SeqCst);
        }
        self.note(key, got)
    }

    pub fn try_get(&self, key: u32) -> Got<'_> {
        self.note(key, self.pools.try_get(&key))
    }

    fn note(&self, key: u32, got: Result<Lease<Maker>, GetError<Planned>>) -> Got<'_> {
        let lease = got?;
        self.got.fetch_add(1, SeqCst);
        assert!(!self.drained.load(SeqCst), "a lease after all are said to be home");
        let mut held = self.held.lock().expect("no step of the checker's comes under it");
        *held.entry(key / 10).or_default() += 1;
        let (all, most) = (held.values().sum::<usize>(), held.values().max().copied());
        drop(held);
        assert!(all <= self.max_total, "{all} leases are out");
        assert!(most <= Some(self.max_per_host), "{most:?} leases of a host are out");
        Ok(HeldOfKey { scene: self, key, lease: Some(lease) })
    }

    pub fn drain(&self) {
        assert!(self.pools.drain(FOR_EVER));
        self.drained.store(true, SeqCst);
        let held = self.held.lock().expect("no step of the checker's comes under it");
        assert_eq!(held.values().sum::<usize>(), 0, "leases are out when all are said to be home");
    }

    /// Takes an item however often its creation fails.
    pub fn get_at_last(&self, key: u32) -> HeldOfKey<'_> {
        loop {
            match self.get(key, FOR_EVER) {
                Ok(held) => return held,
                Err(GetError::Create(_) | GetError::CreatePanicked { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// What holds in the end, once all `threads` have ended.
    pub fn end(self: Arc<Self>, threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
        for thread in threads {
            assert!(thread.join().is_ok(), "no thread of a scenario panics");
        }
        while !self.is_settled() {
            thread::yield_now();
        }
        let (books, stats) = (&self.books, self.pools.stats());
        let sum = &stats.sum;
        if let Some(wrong) = &*books.wrong.lock().expect("nothing panics under it") {
            panic!("{wrong}");
        }
        assert_eq!((sum.waiting, sum.in_use), (0, 0), "in the end: {sum:?}");
        assert_eq!(sum.gets, self.got.load(SeqCst), "leases");
        assert_eq!(sum.gets, books.lent.load(SeqCst), "leases, as the managers count");
        assert_eq!(sum.timeouts, self.timed_out.load(SeqCst), "time-outs");
        assert_eq!(sum.created, books.created.load(SeqCst), "items created");
        assert_eq!(sum.create_failures, books.create_failures.load(SeqCst), "failures");
        assert_eq!(sum.created, sum.evicted + sum.detached + sum.size() as u64, "{sum:?}");
        for host in &stats.hosts {
            assert_eq!(host.sum.in_use, 0, "of a host: {host:?}");
        }
        // Nobody is left to wait for: whoever asks is served, at every key. A permit that was lost
        // shows here.
        for key in [0, 10] {
            if !self.pools.is_closed() {
                drop(self.get_at_last(key));
            }
        }

        let books = books.clone();
        let Some(scene) = Arc::into_inner(self) else { panic!("a thread has kept the scene") };
        drop(scene);
        while books.alive.load(SeqCst) > 0 {
            thread::yield_now();
        }
    }

    /// Nothing is created or dropped any more, nor counted as open that is not there. Of keys that are
    /// gone only that shows.
    fn is_settled(&self) -> bool {
        let stats = self.pools.stats();
        let (size, alive) = (stats.sum.size(), self.books.alive.load(SeqCst));
        stats.sum.creating == 0 && size == alive && size == stats.open
    }
}

/// A lease, counted by its scene until it ends.
pub struct HeldOfKey<'a> {
    scene: &'a KeyedScene,
    key: u32,
    lease: Option<Lease<Maker>>,
}

impl HeldOfKey<'_> {
    pub fn discard(mut self) {
        self.leave();
        Lease::discard(self.lease.take().expect("it is held"));
    }

    /// Before the item is given back: another thread may have it at once.
    fn leave(&self) {
        let mut held = self.scene.held.lock().expect("no step of the checker's comes under it");
        *held.entry(self.key / 10).or_default() -= 1;
    }
}

impl Drop for HeldOfKey<'_> {
    fn drop(&mut self) {
        if self.lease.is_some() {
            self.leave();
        }
    }
}
