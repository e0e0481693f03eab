//! What the tests share: a manager that does as it is told and keeps count, threads whose end is
//! waited for no longer than [`LIMIT`], and the pools they meet in.

// Each test binary uses its own part of this, and a helper reports by panicking, as tests do.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod logs;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use llm_pool::{Clock, GetError, Lease, Manage, ManualClock, Pool, PoolConfig};

/// No wait in a test is longer, so that a bug fails the test and does not hang it.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Longer than a waiter may be overtaken.
pub const PAST_THE_MOMENT: Duration = Duration::from_millis(3);

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "this never came true");
        thread::yield_now();
    }
}

// ---- A manager that does as it is told ----

/// What a [`Maker`] or an [`Item`] does at one of its stages; it is told the item's number.
pub type Act = Arc<dyn Fn(usize) -> Result<(), Refusal> + Send + Sync>;

/// What a stage says when it fails.
#[derive(Debug)]
pub struct Refusal(pub &'static str);

/// With this text, printing a [`Refusal`] panics.
pub const UNPRINTABLE: &str = "unprintable";

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(self.0 != UNPRINTABLE, "an error that cannot be printed");
        f.write_str(self.0)
    }
}

impl std::error::Error for Refusal {}

pub fn succeed() -> Act {
    Arc::new(|_| Ok(()))
}

pub fn fail(text: &'static str) -> Act {
    Arc::new(move |_| Err(Refusal(text)))
}

pub fn blow_up(text: &'static str) -> Act {
    Arc::new(move |_| panic!("{text}"))
}

/// Tells the stages of the items what to do, and counts them. Shared by the test, the manager
/// and every item.
#[derive(Default)]
pub struct Script {
    pub on_create: Stage,
    pub on_check: Stage,
    /// `Err` means broken.
    pub on_is_broken: Stage,
    /// The result is ignored.
    pub on_drop: Stage,
    live: AtomicUsize,
    made: AtomicUsize,
    most_live: AtomicUsize,
    manager_dropped: AtomicBool,
}

impl Script {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn maker(self: &Arc<Self>) -> Maker {
        Maker(self.clone())
    }

    /// Items that exist, wherever they are.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }

    /// Items made so far.
    pub fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    pub fn dropped(&self) -> usize {
        self.made() - self.live()
    }

    /// Most items that existed at one time.
    pub fn most_live(&self) -> usize {
        self.most_live.load(Ordering::SeqCst)
    }

    pub fn manager_dropped(&self) -> bool {
        self.manager_dropped.load(Ordering::SeqCst)
    }
}

/// One stage: what it does, and how often it was run.
#[derive(Default)]
pub struct Stage {
    act: Mutex<Option<Act>>,
    calls: AtomicUsize,
}

impl Stage {
    pub fn set(&self, act: Act) {
        *self.act.lock().unwrap() = Some(act);
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn run(&self, number: usize) -> Result<(), Refusal> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        // The lock is not held while it runs: it may block or panic.
        let act = self.act.lock().unwrap().clone();
        act.map_or(Ok(()), |act| act(number))
    }
}

/// The manager. Numbers its items from 1, counting attempts.
pub struct Maker(pub Arc<Script>);

#[derive(Debug)]
pub struct Item {
    pub number: usize,
    script: Arc<Script>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl Manage for Maker {
    type Item = Item;
    type Error = Refusal;

    fn create(&self) -> Result<Item, Refusal> {
        let script = &self.0;
        let number = script.on_create.calls() + 1;
        script.on_create.run(number)?;
        let live = script.live.fetch_add(1, Ordering::SeqCst) + 1;
        script.most_live.fetch_max(live, Ordering::SeqCst);
        let number = script.made.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(Item { number, script: script.clone() })
    }

    fn check(&self, item: &mut Item) -> Result<(), Refusal> {
        self.0.on_check.run(item.number)
    }

    fn is_broken(&self, item: &mut Item) -> bool {
        self.0.on_is_broken.run(item.number).is_err()
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.script.live.fetch_sub(1, Ordering::SeqCst);
        let _ = self.script.on_drop.run(self.number);
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.0.manager_dropped.store(true, Ordering::SeqCst);
    }
}

/// Holds up every stage that passes through it until it is opened.
#[derive(Default)]
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    entered: usize,
    open: bool,
}

impl Gate {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A stage that waits here, then does `then`.
    pub fn before(self: &Arc<Self>, then: Act) -> Act {
        let gate = self.clone();
        Arc::new(move |number| {
            gate.pass();
            then(number)
        })
    }

    pub fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.entered += 1;
        self.changed.notify_all();
        let (state, timed) =
            self.changed.wait_timeout_while(state, LIMIT, |state| !state.open).unwrap();
        drop(state);
        assert!(!timed.timed_out(), "a gate that was never opened");
    }

    /// Waits until `count` stages have come here in all.
    #[track_caller]
    pub fn await_entered(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let (state, timed) =
            self.changed.wait_timeout_while(state, LIMIT, |state| state.entered < count).unwrap();
        drop(state);
        assert!(!timed.timed_out(), "fewer than {count} came to the gate");
    }

    pub fn entered(&self) -> usize {
        self.state.lock().unwrap().entered
    }

    pub fn open(&self) {
        self.state.lock().unwrap().open = true;
        self.changed.notify_all();
    }
}

// ---- Pools ----

pub type TestPool = Pool<Maker>;
pub type Got = Result<Lease<Maker>, GetError<Refusal>>;

/// A pool of at most `max_size` that creates at need, by the system's clock.
pub fn config(name: &str, max_size: usize) -> PoolConfig {
    logs::install();
    PoolConfig::default().name(name).max_size(max_size).min_idle(0)
}

/// The same by a clock that the test moves; the background maintenance is off.
pub fn manual(name: &str, max_size: usize, time: &ManualClock) -> PoolConfig {
    let clock: Clock = time.clock();
    config(name, max_size).clock(clock)
}

#[track_caller]
pub fn start(config: PoolConfig, script: &Arc<Script>) -> TestPool {
    Pool::new(config, script.maker()).expect("the pool starts")
}

/// Takes `count` leases at once.
#[track_caller]
pub fn take(pool: &TestPool, count: usize) -> Vec<Lease<Maker>> {
    (0..count).map(|_| pool.get().expect("a lease")).collect()
}

/// Checks that every count agrees with every other, once nothing is under way.
#[track_caller]
pub fn assert_settled(pool: &TestPool, script: &Script) {
    eventually(|| {
        let stats = pool.stats();
        stats.creating + stats.checking + stats.waiting == 0 && !stats.checks_due
    });
    let stats = pool.stats();
    let size = stats.idle + stats.in_use + stats.unhealthy;
    assert!(size <= stats.max_size, "{stats}");
    assert_eq!(stats.created, stats.evicted + stats.detached + size as u64, "{stats}");
    assert_eq!(stats.created, script.made() as u64, "{stats}");
    // Evicted items are dropped just after the books say so; detached ones when the test does.
    let detached = usize::try_from(stats.detached).unwrap();
    eventually(|| (size..=size + detached).contains(&script.live()));
}

// ---- Threads ----

/// A thread whose result is waited for no longer than [`LIMIT`].
pub struct Task<T>(Receiver<thread::Result<T>>);

pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
    spawn_named("a test's thread", work)
}

pub fn spawn_named<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Task<T> {
    let (tell, result) = bounded(1);
    let body = move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let _ = tell.send(outcome);
    };
    thread::Builder::new().name(name.into()).spawn(body).unwrap();
    Task(result)
}

impl<T> Task<T> {
    /// What the thread returned, or what it panicked with.
    #[track_caller]
    pub fn outcome(self) -> thread::Result<T> {
        self.0.recv_timeout(LIMIT).expect("the thread ends in time")
    }

    #[track_caller]
    pub fn result(self) -> T {
        self.outcome().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    }

    pub fn is_done(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Starts a thread that takes a lease, and returns once it waits in line.
#[track_caller]
pub fn waiter(pool: &TestPool, timeout: Duration) -> Task<Got> {
    let before = pool.stats().waiting;
    let task = spawn({
        let pool = pool.clone();
        move || pool.get_timeout(timeout)
    });
    eventually(|| pool.stats().waiting == before + 1);
    task
}

/// What a panic said.
pub fn words(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("")
}
