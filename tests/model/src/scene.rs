//! One pool, its threads, and both laws of the pool as they show from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use llm_pool::{GetError, Lease, ManualClock, Pool, PoolConfig, Stats};
use shuttle::thread;

use crate::items::{Books, Checked, Item, Made, Maker, Planned};

pub const FOR_EVER: Duration = Duration::MAX;
/// The deadline of those who have one.
pub const A_WHILE: Duration = Duration::from_secs(10);

pub struct Scene {
    pub pool: Pool<Maker>,
    pub time: ManualClock,
    pub books: Arc<Books>,
    /// How many leases the threads have.
    held: AtomicUsize,
    got: AtomicU64,
    timed_out: AtomicU64,
    /// The widest cap so far: after a lower one, leases may be out beyond it.
    widest: AtomicUsize,
    max_creating: usize,
    /// Some waiter may be in its first moment, and overtaken.
    pub may_overtake: bool,
    closed: AtomicBool,
}

pub type Got<'a> = Result<Held<'a>, GetError<Planned>>;

impl Scene {
    pub fn new(config: PoolConfig, creations: &[Made], checks: &[Checked]) -> Arc<Self> {
        Self::with_overtaking(false, config, creations, checks)
    }

    pub fn with_overtaking(
        may_overtake: bool,
        config: PoolConfig,
        creations: &[Made],
        checks: &[Checked],
    ) -> Arc<Self> {
        llm_pool::set_may_overtake(may_overtake);
        let (time, books) = (ManualClock::new(), Arc::new(Books::default()));
        let (widest, max_creating) = (AtomicUsize::new(config.max_size), config.max_creating);
        let config = config.clock(time.clock()).wait_timeout(FOR_EVER);
        let pool = Pool::new(config, Maker::new(books.clone(), creations, checks));
        let Ok(pool) = pool else { panic!("a scenario's pool starts") };
        Arc::new(Self {
            pool,
            time,
            books,
            held: AtomicUsize::new(0),
            got: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            widest,
            max_creating,
            may_overtake,
            closed: AtomicBool::new(false),
        })
    }

    pub fn spawn(
        self: &Arc<Self>,
        code: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) -> thread::JoinHandle<()> {
        let scene = self.clone();
        thread::spawn(move || code(&scene))
    }

    // ---- What the threads do ----

    pub fn get(&self, timeout: Duration) -> Got<'_> {
        self.note(self.pool.get_timeout(timeout))
    }

    pub fn try_get(&self) -> Got<'_> {
        self.note(self.pool.try_get())
    }

    fn note(&self, got: Result<Lease<Maker>, GetError<Planned>>) -> Got<'_> {
        if let Err(GetError::Timeout { .. }) = got {
            self.timed_out.fetch_add(1, SeqCst);
        }
        let lease = got.inspect_err(|_| self.audit())?;
        self.got.fetch_add(1, SeqCst);
        let held = self.held.fetch_add(1, SeqCst) + 1;
        assert!(held <= self.widest.load(SeqCst), "{held} leases are out");
        let held = Held { scene: self, lease: Some(lease) };
        self.audit();
        Ok(held)
    }

    /// Takes an item however often its creation fails.
    pub fn get_at_last(&self) -> Held<'_> {
        loop {
            match self.get(FOR_EVER) {
                Ok(held) => return held,
                Err(GetError::Create(_) | GetError::CreatePanicked { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub fn resize(&self, max_size: usize) {
        self.widest.fetch_max(max_size, SeqCst);
        assert!(self.pool.resize(max_size).is_ok());
        self.audit();
    }

    pub fn close(&self) {
        self.closed.store(true, SeqCst);
        self.pool.close();
        self.audit();
    }

    /// Waits, off every lock, until so many threads wait in the pool.
    pub fn until_waiting(&self, threads: usize) {
        while self.pool.stats().waiting < threads {
            thread::yield_now();
        }
    }

    // ---- The laws ----

    /// What holds after every step, whatever other threads are at.
    pub fn audit(&self) {
        if let Some(wrong) = &*self.books.wrong.lock().expect("nothing panics under it") {
            panic!("{wrong}");
        }
        let stats = self.pool.stats();
        // Law 1.
        assert!(stats.size() <= self.widest.load(SeqCst), "too many items: {stats:?}");
        balance(&stats);
        // Law 2: nobody waits for what is there, or for what could be made.
        if stats.waiting > 0 && !self.may_overtake {
            assert_eq!(stats.idle, 0, "items are idle while threads wait: {stats:?}");
            // Whether unhealthy items make room is a setting.
            let is_full = stats.size() >= stats.max_size || stats.unhealthy > 0;
            let enough = stats.waiting.min(self.max_creating);
            assert!(is_full || stats.creating >= enough, "nothing is made for a waiter: {stats:?}");
        }
    }

    /// What holds in the end, once all `threads` have ended.
    pub fn end(self: Arc<Self>, threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
        for thread in threads {
            assert!(thread.join().is_ok(), "no thread of a scenario panics");
        }
        self.audit();
        // The pool's own threads may still be at it.
        while !self.is_settled() {
            thread::yield_now();
        }
        let (books, stats) = (&self.books, self.pool.stats());
        assert_eq!((stats.waiting, stats.in_use), (0, 0), "in the end: {stats:?}");
        assert!(stats.size() <= stats.max_size, "in the end: {stats:?}");
        assert_eq!(stats.gets, self.got.load(SeqCst), "leases");
        assert_eq!(stats.gets, books.lent.load(SeqCst), "leases, as the manager counts");
        assert_eq!(stats.timeouts, self.timed_out.load(SeqCst), "time-outs");
        assert_eq!(stats.created, books.created.load(SeqCst), "items created");
        assert_eq!(stats.create_failures, books.create_failures.load(SeqCst), "failures");
        assert!(!self.closed.load(SeqCst) || stats.size() == 0, "closed: {stats:?}");
        balance(&stats);

        let books = books.clone();
        let Some(scene) = Arc::into_inner(self) else { panic!("a thread has kept the scene") };
        drop(scene);
        while books.alive.load(SeqCst) > books.detached.load(SeqCst) {
            thread::yield_now();
        }
    }

    /// Nothing is created, checked or dropped any more. A slot or an item that is lost is never
    /// settled, which the checker's bound of steps shows.
    fn is_settled(&self) -> bool {
        let stats = self.pool.stats();
        let alive = self.books.alive.load(SeqCst) - self.books.detached.load(SeqCst);
        stats.creating == 0 && stats.checking == 0 && !stats.checks_due && stats.size() == alive
    }
}

fn balance(stats: &Stats) {
    let ended = stats.evicted + stats.detached;
    let there = (stats.size() - stats.creating) as u64;
    assert_eq!(stats.created, ended + there, "totals do not balance: {stats:?}");
}

/// A lease, counted by its scene until it ends.
pub struct Held<'a> {
    scene: &'a Scene,
    lease: Option<Lease<Maker>>,
}

impl Held<'_> {
    pub fn item(&mut self) -> &mut Item {
        self.lease.as_mut().expect("it is held")
    }

    pub fn discard(mut self) {
        self.leave();
        Lease::discard(self.lease.take().expect("it is held"));
    }

    pub fn detach(mut self) {
        self.leave();
        self.scene.books.detached.fetch_add(1, SeqCst);
        let item = Lease::detach(self.lease.take().expect("it is held"));
        drop(item);
        self.scene.books.detached.fetch_sub(1, SeqCst);
    }

    pub fn put_back(self) {}

    /// Before the item is given back: another thread may have it at once.
    fn leave(&self) {
        self.scene.held.fetch_sub(1, SeqCst);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.lease.is_some() {
            self.leave();
            self.lease = None;
        }
        if !std::thread::panicking() {
            self.scene.audit();
        }
    }
}
