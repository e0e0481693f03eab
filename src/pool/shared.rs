//! What a pool, its leases, its workers and its maintenance share, and the pool's one lock.
//!
//! The lock guards the [`Slots`] and nothing else. It is taken in [`Shared::lock`],
//! held for plain bookkeeping only, and released before anything that the
//! bookkeeping asked for is carried out: no user code, no log line, no wake-up and no thread start
//! runs under it. No other lock is taken while it is held; two small ones beside it keep the last
//! creation errors.

use std::hint;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::config::PoolConfig;
use super::error::{CreateError, Picture, Refusal};
use super::holder::ThreadTag;
use super::manage::Manage;
use super::slots::{Alert, Grant, Job, Outbox, Slots};
use super::stats::{EvictReason, Stats};
use crate::caught::{caught, say};
use crate::clock::{Clock, Time};

/// What a waiting thread receives: what the books grant, or that its creation failed.
pub(super) enum Message<M: Manage> {
    Grant(Grant<M::Item>),
    CreateFailed(CreateError<M::Error>),
}

pub(super) type Wake<M> = Sender<Message<M>>;
pub(super) type Books<M> = Slots<<M as Manage>::Item, Wake<M>>;
type PoolOutbox<M> = Outbox<<M as Manage>::Item, Wake<M>>;

pub(crate) struct Shared<M: Manage> {
    books: Mutex<Books<M>>,
    /// Signalled when the last lease of a closed pool came home, and when creation has settled.
    changed: Condvar,
    manager: M,
    name: Arc<str>,
    pub(super) config: PoolConfig,
    trouble: Mutex<Option<Trouble>>,
    /// The last creation error that no waiter was there to hear.
    unclaimed_error: Mutex<Option<CreateError<M::Error>>>,
}

/// The last creation that failed.
#[derive(Clone)]
struct Trouble {
    text: Arc<str>,
    at: Time,
    /// A later one succeeded.
    over: bool,
}

impl<M: Manage> Shared<M> {
    pub(super) fn new(config: PoolConfig, manager: M) -> Self {
        Self {
            books: Mutex::new(Slots::new(&config)),
            changed: Condvar::new(),
            manager,
            name: config.name.as_str().into(),
            config,
            trouble: Mutex::new(None),
            unclaimed_error: Mutex::new(None),
        }
    }

    #[inline]
    pub(super) fn manager(&self) -> &M {
        &self.manager
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    #[inline]
    pub(super) fn clock(&self) -> &Clock {
        &self.config.clock
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().stats()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed()
    }

    // ---- Under the lock ----

    #[inline]
    fn lock(&self) -> MutexGuard<'_, Books<M>> {
        match self.books.try_lock() {
            Some(books) => books,
            None => self.lock_contended(),
        }
    }

    /// Stays away from the lock for a moment, many times as long as it is ever held. The thread
    /// that has it then often gets through its next few steps undisturbed, and the cache lines of
    /// the books move between cores once for all of them; asking at once makes them move for each.
    #[cold]
    fn lock_contended(&self) -> MutexGuard<'_, Books<M>> {
        const TRIES: u32 = 4;
        const PAUSES: u32 = 64;
        for _ in 0..TRIES {
            (0..PAUSES).for_each(|_| hint::spin_loop());
            if let Some(books) = self.books.try_lock() {
                return books;
            }
        }
        self.books.lock()
    }

    /// Runs `step` under the lock, then carries out what it asked for. The time it is told is
    /// exact if anybody waits, else coarse. The shortest path: it tells nobody who waits for
    /// `changed`.
    #[inline]
    pub(super) fn with<R>(self: &Arc<Self>, step: impl FnOnce(&mut Books<M>, Time) -> R) -> R {
        let (result, outbox) = self.locked_briefly(step);
        if let Some(outbox) = outbox {
            self.carry_out(outbox);
        }
        result
    }

    /// [`Self::with`] for a thread that asks for an item, as above.
    #[inline]
    pub(super) fn with_dropping_elsewhere<R>(
        self: &Arc<Self>,
        step: impl FnOnce(&mut Books<M>, Time) -> R,
    ) -> R {
        let (result, outbox) = self.locked_briefly(step);
        if let Some(outbox) = outbox {
            self.carry_out_elsewhere(outbox);
        }
        result
    }

    #[inline]
    fn locked_briefly<R>(
        &self,
        step: impl FnOnce(&mut Books<M>, Time) -> R,
    ) -> (R, Option<PoolOutbox<M>>) {
        // Before the lock: the first coarse reading starts a thread.
        let coarse = self.clock().coarse();
        let mut books = self.lock();
        let now = if books.has_waiters() { self.clock().now() } else { coarse };
        let result = step(&mut books, now);
        (result, books.take_outbox())
    }

    /// The same with an exact time, for all but the shortest path.
    pub(super) fn with_exact_time<R>(
        self: &Arc<Self>,
        step: impl FnOnce(&mut Books<M>, Time) -> R,
    ) -> R {
        let (result, outbox) = self.locked(step);
        self.carry_out(outbox);
        result
    }

    /// [`Self::with_exact_time`] for a thread that asks for an item: what is dropped on the way is
    /// not dropped on its time.
    pub(super) fn with_exact_time_dropping_elsewhere<R>(
        self: &Arc<Self>,
        step: impl FnOnce(&mut Books<M>, Time) -> R,
    ) -> R {
        let (result, outbox) = self.locked(step);
        self.carry_out_elsewhere(outbox);
        result
    }

    fn locked<R>(&self, step: impl FnOnce(&mut Books<M>, Time) -> R) -> (R, PoolOutbox<M>) {
        let mut books = self.lock();
        // Under the lock, so that exact times never run back from one step to the next.
        let now = self.clock().now();
        let result = step(&mut books, now);
        let outbox = books.take_outbox().unwrap_or_default();
        let changed = books.in_use() == 0 || books.is_filled();
        drop(books);
        if changed {
            self.changed.notify_all();
        }
        (result, outbox)
    }

    #[inline]
    pub(super) fn put_back(self: &Arc<Self>, slot: usize, item: M::Item) {
        let closed = self.with(|books, now| {
            books.put_back(slot, item, now);
            books.is_closed()
        });
        if closed {
            self.changed.notify_all();
        }
    }

    /// Waits until `done`, or until `deadline`; says which.
    pub(super) fn wait_until(&self, deadline: Time, done: impl Fn(&Books<M>) -> bool) -> bool {
        let mut books = self.lock();
        loop {
            if done(&books) {
                return true;
            }
            let remaining = deadline.since(self.clock().now());
            if remaining.is_zero() {
                return false;
            }
            // parking_lot panics on deadlines beyond the reach of Instant; an hour at a time.
            let nap = self.clock().nap(remaining).min(Duration::from_secs(3600));
            self.changed.wait_for(&mut books, nap);
        }
    }

    // ---- After the lock ----

    fn carry_out(self: &Arc<Self>, outbox: PoolOutbox<M>) {
        let Outbox { grants, jobs, trash, alerts } = outbox;
        for (wake, grant) in grants {
            self.send(&wake, Message::Grant(grant));
        }
        for job in jobs {
            self.start_worker(|shared| shared.work(job));
        }
        // Last: a drop may take its time, and nobody who waits shall.
        self.dispose_of(trash);
        for alert in alerts {
            self.tell(alert);
        }
    }

    /// The same, with the dropping left to a worker.
    pub(super) fn carry_out_elsewhere(self: &Arc<Self>, mut outbox: PoolOutbox<M>) {
        let trash = std::mem::take(&mut outbox.trash);
        self.carry_out(outbox);
        if !trash.is_empty() {
            self.start_worker(|shared| shared.dispose_of(trash));
        }
    }

    /// Never blocks: a waiter is sent at most one `Look` at a time and one last message, and its
    /// channel has room for both. It never leaves while that last message is under way.
    fn send(&self, wake: &Wake<M>, message: Message<M>) {
        if wake.try_send(message).is_err() {
            say!(
                Error,
                "pool \"{}\": a waiter left without its grant; please report this",
                self.name
            );
        }
    }

    fn dispose_of(&self, trash: Vec<(M::Item, EvictReason)>) {
        for (item, reason) in trash {
            self.dispose(item, reason);
        }
    }

    /// The one place where the pool drops an item.
    fn dispose(&self, item: M::Item, reason: EvictReason) {
        say!(Debug, "pool \"{}\": evicts an item: {reason}", self.name);
        if let Err(said) = caught(|| drop(item)) {
            self.log_panic("an item's drop", &said);
        }
    }

    fn tell(&self, alert: Alert) {
        match alert {
            Alert::NearlyFull => {
                say!(Warn, "pool \"{}\": nearly full: {}", self.name, self.stats());
            }
            Alert::Leak { holder, held } => say!(
                Warn,
                "pool \"{}\": a lease has been held for {held:.1?}, by thread \"{}\", taken at {}",
                self.name,
                holder.thread_name(),
                holder.place()
            ),
            Alert::Recovered => {
                say!(Info, "pool \"{}\": an unhealthy item passed its check again", self.name);
            }
        }
    }

    // ---- Workers: creation and checks, off the lock and off the caller's thread ----

    /// Starts a thread that does `work`. One that hangs in user code holds up no caller past its
    /// deadline, and no other worker.
    fn start_worker(self: &Arc<Self>, work: impl FnOnce(&Arc<Self>) + Send + 'static) {
        // In a cell, so that the work is still at hand if no thread can be had.
        let work = Arc::new(Mutex::new(Some(work)));
        let on_thread = {
            let (shared, work) = (self.clone(), work.clone());
            move || do_once(&work, &shared)
        };
        let spawned = thread::Builder::new().name("llm-pool-worker".into()).spawn(on_thread);
        if let Err(error) = spawned {
            // It must be done all the same, or slots and waiters are lost.
            say!(Warn, "pool \"{}\": cannot start a worker thread: {error}", self.name);
            do_once(&work, self);
        }
    }

    fn work(self: &Arc<Self>, first: Job<M::Item>) {
        let mut next = Some(first);
        while let Some(job) = next {
            next = match job {
                Job::Create(slot) => self.create_for_queue(slot),
                Job::Check(slot, item) => self.check(slot, item),
            };
        }
    }

    fn create_for_queue(self: &Arc<Self>, slot: usize) -> Option<Job<M::Item>> {
        match self.create() {
            Ok(item) => self.work_step(|books, now| books.created(slot, item, now)),
            Err(error) => self.tell_create_failed(slot, error),
        }
    }

    fn tell_create_failed(
        self: &Arc<Self>,
        slot: usize,
        error: CreateError<M::Error>,
    ) -> Option<Job<M::Item>> {
        // Held across the step: whoever sees that creation has settled finds its error here.
        let mut unclaimed = self.unclaimed_error.lock();
        let (waiter, outbox) = self.locked(|books, now| books.create_failed(slot, now));
        let (claimed, replaced) = match waiter {
            Some(wake) => (Some((wake, error)), None),
            None => (None, unclaimed.replace(error)),
        };
        drop(unclaimed);
        if let Err(said) = caught(|| drop(replaced)) {
            self.log_panic("an error's drop", &said);
        }
        if let Some((wake, error)) = claimed {
            self.send(&wake, Message::CreateFailed(error));
        }
        self.carry_out_but_one(outbox)
    }

    fn check(self: &Arc<Self>, slot: usize, mut item: M::Item) -> Option<Job<M::Item>> {
        // To text at once: printing and dropping the error are the user's code too.
        let probe = || self.manager.check(&mut item).map_err(|error| one_line(&error.to_string()));
        let passed = match caught(probe) {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                say!(Warn, "pool \"{}\": an item failed its check: {error}", self.name);
                false
            }
            Err(said) => {
                self.log_panic("check", &said);
                false
            }
        };
        self.work_step(|books, now| books.checked(slot, item, passed, now))
    }

    /// Enters what a worker did, and names the next job for it.
    fn work_step(self: &Arc<Self>, step: impl FnOnce(&mut Books<M>, Time)) -> Option<Job<M::Item>> {
        let ((), outbox) = self.locked(step);
        self.carry_out_but_one(outbox)
    }

    /// Carries out what was asked for, but keeps one job for the calling worker.
    fn carry_out_but_one(self: &Arc<Self>, mut outbox: PoolOutbox<M>) -> Option<Job<M::Item>> {
        let next = outbox.jobs.pop();
        self.carry_out(outbox);
        next
    }

    /// Runs the user's `create`, and logs how it went.
    pub(super) fn create(&self) -> Result<M::Item, CreateError<M::Error>> {
        // To text at once: printing the error is the user's code too.
        let attempt =
            || self.manager.create().map_err(|error| (one_line(&error.to_string()), error));
        let (text, error) = match caught(attempt) {
            Ok(Ok(item)) => {
                say!(Debug, "pool \"{}\": created an item", self.name);
                if let Some(trouble) = self.trouble.lock().as_mut() {
                    trouble.over = true;
                }
                return Ok(item);
            }
            Ok(Err((text, error))) => (text, CreateError::Failed(error)),
            Err(said) => {
                self.log_panic("create", &said);
                let error = CreateError::Panicked(said);
                (one_line(&error.to_string()), error)
            }
        };
        say!(Warn, "pool \"{}\": cannot create an item: {text}", self.name);
        let trouble = Trouble { text: text.into(), at: self.clock().now(), over: false };
        *self.trouble.lock() = Some(trouble);
        Err(error)
    }

    pub(super) fn take_unclaimed_error(&self) -> Option<CreateError<M::Error>> {
        self.unclaimed_error.lock().take()
    }

    // ---- Telling ----

    pub(super) fn log_panic(&self, who: &str, said: &str) {
        say!(Error, "pool \"{}\": {who} panicked: {}", self.name, one_line(said));
    }

    /// The pool as the calling thread finds it that it refuses.
    pub(super) fn picture(&self, refusal: Refusal) -> Box<Picture> {
        let now = self.clock().now();
        let (stats, held_by_caller, oldest_lease) = {
            let books = self.lock();
            // Counting looks at every slot; nearly always the thread itself knows better.
            let may_hold = ThreadTag::may_hold();
            let held = if may_hold { books.held_by(ThreadTag::current()) } else { 0 };
            // So does this; not for `try_get`, which may be called in a loop.
            let waited = matches!(refusal, Refusal::Timeout { .. });
            let oldest = if waited { books.oldest_lease(now) } else { None };
            let oldest = oldest.map(|(age, holder)| (age, holder.place()));
            (books.stats(), held, oldest)
        };
        let trouble = self.trouble.lock().clone();
        Box::new(Picture {
            pool: self.name.clone(),
            stats,
            held_by_caller,
            oldest_lease,
            refusal,
            creation_fails: trouble.as_ref().is_some_and(|trouble| !trouble.over),
            last_create_error: trouble.map(|trouble| (trouble.text, now.since(trouble.at))),
        })
    }
}

/// The user's words may span lines; a log line and a picture may not.
fn one_line(words: &str) -> String {
    words.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn do_once<S>(work: &Mutex<Option<impl FnOnce(&S)>>, shared: &S) {
    let work = work.lock().take();
    if let Some(work) = work {
        work(shared);
    }
}
