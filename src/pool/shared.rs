//! What a pool, its leases, its workers and its maintenance share, and the pool's one lock.
//!
//! The lock guards the [`Slots`] and nothing else. It is taken in [`Shared::lock`],
//! held for plain bookkeeping only, and released before anything that the
//! bookkeeping asked for is carried out: no user code, no log line, no wake-up and no thread start
//! runs under it. One other lock is taken while it is held: that of limits shared with other pools
//! ([`Permits`]), under which nothing is locked. Two small ones beside it keep the last creation
//! errors.

use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::config::PoolConfig;
use super::ending::Will;
use super::error::{CreateError, Picture, Refusal};
use super::holder::ThreadTag;
use super::item_stats::ItemStats;
use super::manage::Manage;
use super::permits::{self, Granted, Permits, Permitted, SharedLimit};
use super::request_stats::RequestStats;
use super::slots::{Grant, Outbox, Slots};
use super::snapshot::Snapshot;
use super::stats::{EvictReason, Stats};
use super::watching::Watching;
use crate::caught::{Kept, caught, one_line, say};
use crate::clock::{Clock, Time};
use crate::sync::channel::Sender;
use crate::sync::{Condvar, Mutex, MutexGuard};

/// What a waiting thread receives: what the books grant, or that its creation failed.
pub(super) enum Message<M: Manage> {
    Grant(Grant<M::Item>),
    CreateFailed(CreateError<M::Error>),
}

pub(super) type Wake<M> = Sender<Message<M>>;
pub(super) type Books<M> = Slots<<M as Manage>::Item, Wake<M>>;
pub(super) type PoolOutbox<M> = Outbox<<M as Manage>::Item, Wake<M>>;

/// Where items are dropped that a step gave up.
#[derive(Clone, Copy)]
pub(super) enum Drops {
    /// On the thread that made the step.
    Here,
    /// On a worker of their own: the thread asks for an item and has a deadline, has a creation to
    /// go on with, or maintains other pools too.
    Elsewhere,
}

pub(crate) struct Shared<M: Manage> {
    books: Mutex<Books<M>>,
    /// Signalled when the last lease of a closed pool came home, when creation has settled, and
    /// after every step but the shortest while somebody warms the pool up.
    changed: Condvar,
    permits: Option<Arc<dyn Permits>>,
    name: Arc<str>,
    pub(super) watching: Option<Watching>,
    /// Pools with the same text here share the checks that one group may have under way.
    pub(super) check_group: Arc<str>,
    pub(super) config: PoolConfig,
    trouble: Mutex<Option<Trouble>>,
    /// The last creation error that no waiter was there to hear.
    pub(super) unclaimed_error: Mutex<Option<CreateError<M::Error>>>,
    pub(super) will: Option<Will>,
    /// Last: its drop may take its time, and no permit of others shall wait for that.
    manager: Kept<M>,
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
    pub(super) fn new(
        mut config: PoolConfig,
        manager: M,
        permits: Option<Arc<dyn Permits>>,
        check_group: Option<Arc<str>>,
        will: Option<Will>,
    ) -> Self {
        Self {
            books: Mutex::new(Slots::new(&config, permits.clone())),
            changed: Condvar::new(),
            permits,
            name: config.name.as_str().into(),
            watching: config.observer.take().map(Watching::new),
            check_group: check_group.unwrap_or_else(own_group),
            config,
            trouble: Mutex::new(None),
            unclaimed_error: Mutex::new(None),
            will,
            manager: Kept::new(manager),
        }
    }

    /// For the shortest path: without a way to panic, which costs a tenth of a get.
    #[inline]
    pub(super) fn manager_if(&self) -> Option<&M> {
        self.manager.get()
    }

    #[inline]
    pub(super) fn manager(&self) -> &M {
        &self.manager
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Of the pool of a key, for the log.
    pub(super) fn key(&self) -> Option<&str> {
        self.will.as_ref().map(|will| &*will.key)
    }

    #[inline]
    pub(super) fn clock(&self) -> &Clock {
        &self.config.clock
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().stats()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let name = self.name.clone();
        self.lock().snapshot(name)
    }

    pub(super) fn requests(&self) -> RequestStats {
        caught(|| self.manager().requests()).unwrap_or_default()
    }

    pub(super) fn items(&self) -> Vec<ItemStats> {
        let books = self.lock();
        books.items(self.clock().now())
    }

    pub(super) fn last_check_error(&self) -> Option<(Arc<str>, Duration)> {
        let now = self.clock().now();
        let last = self.lock().last_check_error();
        last.map(|(text, at)| (text, now.since(at)))
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
    pub(super) fn with<R>(
        self: &Arc<Self>,
        drops: Drops,
        step: impl FnOnce(&mut Books<M>, Time) -> R,
    ) -> R {
        let (result, outbox) = self.step(step);
        if let Some(outbox) = outbox {
            self.carry_out(outbox, drops);
        }
        result
    }

    /// The same up to where the lock is released.
    #[inline]
    fn step<R>(&self, step: impl FnOnce(&mut Books<M>, Time) -> R) -> (R, Option<PoolOutbox<M>>) {
        // Before the lock: the first coarse reading starts a thread.
        let coarse = self.clock().coarse();
        let mut books = self.lock();
        let now = if books.has_waiters() { self.clock().now() } else { coarse };
        let result = step(&mut books, now);
        let outbox = books.take_outbox();
        (result, outbox)
    }

    /// The same with an exact time, for all but the shortest path.
    pub(super) fn with_exact_time<R>(
        self: &Arc<Self>,
        drops: Drops,
        step: impl FnOnce(&mut Books<M>, Time) -> R,
    ) -> R {
        let (result, outbox) = self.locked(step);
        self.carry_out(outbox, drops);
        result
    }

    pub(super) fn locked<R>(
        &self,
        step: impl FnOnce(&mut Books<M>, Time) -> R,
    ) -> (R, PoolOutbox<M>) {
        let mut books = self.lock();
        // Under the lock, so that exact times never run back from one step to the next.
        let now = self.clock().now();
        let result = step(&mut books, now);
        let outbox = books.take_outbox().unwrap_or_default();
        let changed = books.in_use() == 0 || books.is_filled() || books.is_warming();
        drop(books);
        if changed {
            self.changed.notify_all();
        }
        (result, outbox)
    }

    #[inline]
    pub(super) fn put_back(self: &Arc<Self>, slot: usize, item: M::Item) {
        let ((stays, closed), outbox) =
            self.step(|books, now| (books.put_back(slot, item, now), books.is_closed()));
        self.tell_put_back(stays);
        if let Some(outbox) = outbox {
            self.carry_out(outbox, Drops::Here);
        }
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
            self.clock().wait(&self.changed, &mut books, remaining);
        }
    }

    // ---- After the lock ----

    pub(super) fn carry_out(self: &Arc<Self>, outbox: PoolOutbox<M>, drops: Drops) {
        let Outbox { news, grants, shared, reclaim, jobs, trash, alerts } = outbox;
        // First, so that nothing is told before what led to it.
        self.tell_news(news);
        for (wake, grant) in grants {
            self.send(&wake, Message::Grant(grant));
        }
        permits::tell(shared);
        if let (true, Some(permits)) = (reclaim, &self.permits) {
            permits.reclaim();
        }
        for job in jobs {
            self.start_worker(|shared| shared.work(job));
        }
        for alert in alerts {
            self.tell(alert);
        }
        // Last: a drop may take its time, and nobody who waits shall.
        match drops {
            Drops::Elsewhere if !trash.is_empty() => {
                self.start_worker(|shared| shared.dispose_of(trash));
            }
            _ => self.dispose_of(trash),
        }
    }

    /// Never blocks: a waiter is sent at most one `Look` at a time and one last message, and its
    /// channel has room for both. It never leaves while that last message is under way; while a
    /// `Look` is, it may give up, and then the next in line has been told to look.
    pub(super) fn send(&self, wake: &Wake<M>, message: Message<M>) {
        let may_be_gone = matches!(message, Message::Grant(Grant::Look));
        if wake.try_send(message).is_err() && !may_be_gone {
            say!(
                Error,
                { pool = *self.name, key:? = self.key(), event = "lost_grant" },
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
        say!(
            Debug,
            { pool = *self.name, key:? = self.key(), event = "evicted", reason:% = reason },
            "pool \"{}\": evicts an item: {reason}",
            self.name
        );
        if let Err(said) = caught(|| drop(item)) {
            self.log_panic("an item's drop", &said);
        }
    }

    pub(super) fn note_trouble(&self, text: &str) {
        let trouble = Trouble { text: text.into(), at: self.clock().now(), over: false };
        *self.trouble.lock() = Some(trouble);
    }

    pub(super) fn last_create_error(&self) -> Option<Arc<str>> {
        self.trouble.lock().as_ref().map(|trouble| trouble.text.clone())
    }

    pub(super) fn trouble_is_over(&self) {
        if let Some(trouble) = self.trouble.lock().as_mut() {
            trouble.over = true;
        }
    }

    // ---- Telling ----

    pub(super) fn log_panic(&self, who: &str, said: &str) {
        let said = one_line(said);
        say!(
            Error,
            { pool = *self.name, key:? = self.key(), event = "panicked", reason = *said },
            "pool \"{}\": {who} panicked: {said}",
            self.name
        );
    }

    /// The pool as the calling thread finds it that it refuses, kept by `limit` if it waited for
    /// one.
    pub(super) fn picture(&self, refusal: Refusal, limit: Option<SharedLimit>) -> Box<Picture> {
        let now = self.clock().now();
        let (stats, held_by_caller, oldest_lease, shared_limit, health) = {
            let books = self.lock();
            // Counting looks at every slot; nearly always the thread itself knows better.
            let may_hold = ThreadTag::may_hold();
            let held = if may_hold { books.held_by(ThreadTag::current()) } else { 0 };
            // So does this; not for `try_get`, which may be called in a loop.
            let waited = matches!(refusal, Refusal::Timeout { .. });
            let oldest = if waited { books.oldest_lease(now) } else { None };
            let oldest = oldest.map(|(age, holder)| (age, holder.place()));
            let limit = limit.or_else(|| if waited { None } else { books.shared_limit_in_force() });
            let health = (books.last_check_error(), books.next_recheck(now));
            (books.stats(), held, oldest, limit, health)
        };
        let (check_error, next_check) = health;
        let trouble = self.trouble.lock().clone();
        Box::new(Picture {
            pool: self.name.clone(),
            stats,
            held_by_caller,
            oldest_lease,
            shared_limit,
            refusal,
            last_check_error: check_error.map(|(text, at)| (text, now.since(at))),
            next_check: next_check.map(|due| due.since(now)),
            creation_fails: trouble.as_ref().is_some_and(|trouble| !trouble.over),
            last_create_error: trouble.map(|trouble| (trouble.text, now.since(trouble.at))),
        })
    }
}

impl<M: Manage> Permitted for Shared<M> {
    fn granted(self: Arc<Self>, what: Granted) {
        self.with_exact_time(Drops::Elsewhere, |books, now| books.granted(what, now));
    }

    fn give_up_idle(self: Arc<Self>) -> bool {
        self.with_exact_time(Drops::Elsewhere, |books, now| books.give_up_idle(now))
    }
}

/// A group for one pool alone. With a space, which no real host's name has;
/// a key that does shares its places, no more.
fn own_group() -> Arc<str> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("pool {}", LAST.fetch_add(1, Ordering::Relaxed)).into()
}
