//! The pool: generic, fair, blocking.
//!
//! ```text
//!   Pool ──get──▶ an idle item? ──yes──────────────────────────▶ Lease
//!     │                │ no                                        │
//!     │                ▼                                           │ drop: put back
//!     │     wait in line ◀── hands over ── whatever frees capacity ◀┘ discard, detach
//!     │                │                     ▲        ▲
//!     │   below the cap│                     │        │
//!     │                ▼                     │        │
//!     │      worker: create ─────────────────┘   checker: check ◀── maintenance: expire, refill
//!     ▼
//!   Slots: the books, under the one lock
//! ```
//!
//! **Two laws.** An item is in exactly one place: idle, being created, being checked, unhealthy,
//! or leased (which counts it on its way to a waiter); all of them together are at most
//! `max_size` after every step (after a `resize` below what is out, as soon as that has come back).
//! An item whose check was given up may be none of the pool's any more; see the `checks` module.
//! And waiters are served in the order they came, by whatever frees
//! capacity, at once. Both are kept in the `slots` module, which one can read in ten minutes.
//!
//! **All unhealthy.** An item that fails its check is set aside and checked again after growing
//! pauses. Callers get others meanwhile; what they get when there is no other is the pool's
//! [`WhenUnhealthy`]: a new item, an error at once, or a wait until one is well again.
//!
//! **One lock** guards the books. No user code runs under it, nor anything that blocks.
//!
//! **Seen from outside.** [`Pool::stats`] has the counts, [`Pool::snapshot`] also how long waits, holds
//! and creations took, and an [`Observer`] is told of each event. What the books have to tell it
//! they leave in their outbox, like all else that is to be done after the lock.
//!
//! **Waiting for yourself.** A thread that waits while it holds leases of the same pool may be
//! waiting for itself: a `get` inside a `get`, or a rayon worker that, while it holds a lease, calls
//! anything of rayon's and so runs another task on the same stack. When `n` threads each hold up to `k` leases at a time, a pool of
//! `n x (k - 1) + 1` cannot lock up; a smaller one may, until `wait_timeout`. Such a wait is
//! logged when it begins, at most once every `maintenance_interval`, and a time-out says so. A
//! thread that took a lease and gave it to another thread is told the same: the pool knows who
//! took a lease, not who has it.

mod alerts;
mod checkers;
mod config;
mod ending;
mod error;
mod get;
mod holder;
mod item_stats;
mod lease;
pub(crate) mod maintenance;
mod manage;
mod observer;
pub(crate) mod permits;
mod request_stats;
mod shared;
mod slots;
mod snapshot;
mod stats;
mod warm_up;
mod watching;
mod worker;

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Weak};
use std::time::Duration;

pub use config::{PoolConfig, WhenUnhealthy};
pub(crate) use ending::{Heir, Left, WeakPool, Will};
pub use error::{CreateError, GetError, Picture, StartError};
pub use item_stats::{ItemState, ItemStats, LastCheck};
pub use lease::Lease;
pub use manage::{Manage, Terms};
pub use observer::{Observer, StateChange};
pub use permits::SharedLimit;
pub use request_stats::RequestStats;
pub use snapshot::Snapshot;
pub(crate) use stats::mean;
pub use stats::{EvictReason, Stats};
pub use warm_up::WarmUpError;

use crate::caught::say;
use crate::clock::Time;
use crate::error::{ConfigError, Problems};
use ending::CloseOnDrop;
use maintenance::Upkeep;
use permits::{Permits, Permitted};
use shared::{Drops, Shared};

/// A fair, blocking pool of the items that a [`Manage`] makes. Cloning gives another handle to
/// the same pool; dropping the last handle closes it, and leases still out end as they come home.
///
/// ```
/// use llm_pool::{Manage, Pool, PoolConfig};
///
/// struct Numbers;
/// impl Manage for Numbers {
///     type Item = u64;
///     type Error = std::io::Error;
///     fn create(&self) -> Result<u64, std::io::Error> { Ok(1) }
/// }
///
/// let pool = Pool::new(PoolConfig::default().min_idle(3).max_size(10), Numbers)?;
/// {
///     let mut number = pool.get()?;
///     *number += 1;
/// } // put back here
/// assert_eq!(pool.stats().idle, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pool<M: Manage> {
    shared: Arc<Shared<M>>,
    /// Closes the pool when the last handle goes.
    _last: Arc<CloseOnDrop<M>>,
}

impl<M: Manage> Pool<M> {
    /// Makes a pool and creates `min_idle` items, several at a time.
    ///
    /// Blocks until they are there, at most for `wait_timeout`. If some cannot be had, the pool
    /// starts with what there is and logs it, unless `fail_fast` is set.
    ///
    /// # Errors
    /// [`StartError::Config`] names all settings that cannot work; nothing is created then.
    /// [`StartError::NotReady`] only with `fail_fast`.
    pub fn new(config: PoolConfig, manager: M) -> Result<Self, StartError<M::Error>> {
        let pool = Self::build(config, manager, None, None, None)?;
        pool.create_first_items()?;
        pool.start_maintenance();
        Ok(pool)
    }

    /// The same under limits shared with other pools, the checks of `host` among them, and without
    /// waiting for the first items; what is left of it in the end is bequeathed.
    pub(crate) fn start(
        config: PoolConfig,
        manager: M,
        permits: Arc<dyn Permits>,
        host: Arc<str>,
        will: Will,
    ) -> Result<Self, ConfigError> {
        let pool = Self::build(config, manager, Some(permits.clone()), Some(host), Some(will))?;
        let shared = &pool.shared;
        permits.bind(Arc::downgrade(shared) as Weak<dyn Permitted>);
        shared.with_exact_time(Drops::Here, |books, now| books.fill(now));
        pool.start_maintenance();
        Ok(pool)
    }

    fn build(
        config: PoolConfig,
        manager: M,
        permits: Option<Arc<dyn Permits>>,
        check_group: Option<Arc<str>>,
        will: Option<Will>,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let shared = Arc::new(Shared::new(config, manager, permits, check_group, will));
        Ok(Self { shared: shared.clone(), _last: Arc::new(CloseOnDrop(shared)) })
    }

    fn start_maintenance(&self) {
        let shared = &self.shared;
        if shared.clock().is_system() {
            let weak: Weak<Shared<M>> = Arc::downgrade(shared);
            let first = shared.with_exact_time(Drops::Here, |books, now| books.plan_pass(now));
            maintenance::enrol(weak, first);
        }
        let (name, stats) = (shared.name(), shared.stats());
        say!(
            Debug,
            { pool = **name, key:? = shared.key(), event = "started", ..stats },
            "pool \"{name}\": started: {stats}"
        );
    }

    fn create_first_items(&self) -> Result<(), StartError<M::Error>> {
        let shared = &self.shared;
        let began = shared.clock().now();
        let deadline = began.after(shared.config.wait_timeout);
        shared.with_exact_time(Drops::Here, |books, now| books.fill(now));
        shared.wait_until(deadline, |books| books.is_filled());
        let (ready, wanted) = (shared.stats().idle, shared.config.min_idle_or_default());
        if ready >= wanted {
            return Ok(());
        }
        let pool = shared.name().clone();
        say!(
            Warn,
            { pool = *pool, event = "not_ready", idle = ready, min_idle = wanted },
            "pool \"{pool}\": starts with {ready} of {wanted} items ready"
        );
        if !shared.config.fail_fast {
            return Ok(());
        }
        let waited = shared.clock().now().since(began);
        let cause = shared.take_unclaimed_error();
        Err(StartError::NotReady { pool, ready, wanted, waited, cause })
    }

    /// Takes an item, waiting up to `wait_timeout`.
    ///
    /// An idle item is taken at once. If none is idle and the pool is below its cap, one is
    /// created, on another thread. At the cap the caller blocks until an item comes back. Callers
    /// are served in the order they came.
    ///
    /// # Errors
    /// Every variant of [`GetError`] but `Exhausted`.
    #[inline]
    #[track_caller]
    pub fn get(&self) -> Result<Lease<M>, GetError<M::Error>> {
        self.shared.get(self.shared.config.wait_timeout, Location::caller())
    }

    /// The same, waiting up to `timeout` in all, creation included. `Duration::MAX` waits for
    /// ever; zero takes an idle item or times out. A creation that outlives its caller fills the
    /// pool.
    ///
    /// # Errors
    /// Every variant of [`GetError`] but `Exhausted`.
    #[inline]
    #[track_caller]
    pub fn get_timeout(&self, timeout: Duration) -> Result<Lease<M>, GetError<M::Error>> {
        self.shared.get(timeout, Location::caller())
    }

    /// Takes an item for a job that must be done, waiting included, within `timeout`: waits as
    /// [`get_timeout`](Self::get_timeout) does, and the lease knows what
    /// [remains](Lease::remaining) for its use. An agent of [`agent`](crate::agent) keeps to that
    /// by itself, so that 120 s means 120 s, queue included.
    ///
    /// # Errors
    /// Every variant of [`GetError`] but `Exhausted`.
    #[inline]
    #[track_caller]
    pub fn get_within(&self, timeout: Duration) -> Result<Lease<M>, GetError<M::Error>> {
        self.shared.get_within(timeout, Location::caller())
    }

    /// Takes an idle item, or creates one if the pool is below its cap and nobody waits; waits
    /// for no other thread. The creation runs on the calling thread, for as long as it takes.
    ///
    /// # Errors
    /// `Exhausted`, `Create`, `CreatePanicked`, `Unhealthy` or `Closed`.
    #[track_caller]
    pub fn try_get(&self) -> Result<Lease<M>, GetError<M::Error>> {
        self.shared.try_get(Location::caller())
    }

    /// Brings the pool to at least `n` items in all, created several at a time (`max_creating`),
    /// and has every idle one that was neither used nor checked pass its check, four at a time.
    /// A check that makes a request leaves its connection open for the first caller. Returns how
    /// many items are idle and were used or have passed; callers may have taken some meanwhile.
    /// Idle items beyond `min_idle` still go after `idle_timeout`.
    ///
    /// Blocks until done, at most for `wait_timeout`. Each missing item is tried once. What was
    /// begun goes on after an error, and what was made stays.
    ///
    /// # Errors
    /// [`WarmUpError::TooMany`] if `n` is more than `max_size`; [`WarmUpError::NotReady`], with
    /// the reason and how many are ready, if a creation or check of this pool failed meanwhile or
    /// the time was too short; [`WarmUpError::Closed`].
    pub fn warm_up(&self, n: usize) -> Result<usize, WarmUpError> {
        let shared = &self.shared;
        shared.warm_up(n, shared.clock().now().after(shared.config.wait_timeout))
    }

    pub(crate) fn warm_up_by(&self, n: usize, deadline: Time) -> Result<usize, WarmUpError> {
        self.shared.warm_up(n, deadline)
    }

    /// What the last check that failed said, and how long ago; `None` if none ever did.
    #[must_use]
    pub fn last_check_error(&self) -> Option<(Arc<str>, Duration)> {
        self.shared.last_check_error()
    }

    /// Counts and totals, all from one moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Counts and totals, and how long waits, holds and creations took, all from one moment. The
    /// pool's lock is held for a copy of up to 3 kB.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// What the requests made with the items came to, as far as the manager counts them; zero if
    /// counting panics.
    #[must_use]
    pub fn requests(&self) -> RequestStats {
        self.shared.requests()
    }

    /// Every item there is and every one being created, all from one moment, in no order that
    /// means anything. Looks at each slot under the pool's lock, so not for every get.
    #[must_use]
    pub fn items(&self) -> Vec<ItemStats> {
        self.shared.items()
    }

    /// What makes and judges the items.
    #[must_use]
    pub fn manager(&self) -> &M {
        self.shared.manager()
    }

    /// Changes `max_size` while running. A higher cap serves those who wait at once. A lower one
    /// evicts idle items at once and leased ones as they come back; no new lease is given while
    /// as many are out as the new cap allows. `min_idle` yields to a cap below it.
    ///
    /// # Errors
    /// Zero is refused, and changes nothing.
    pub fn resize(&self, max_size: usize) -> Result<(), ConfigError> {
        let mut problems = Problems::of("resize");
        problems.unless(max_size > 0, "max_size", "must be at least 1");
        problems.check()?;
        self.shared.with_exact_time(Drops::Here, |books, now| books.resize(max_size, now));
        Ok(())
    }

    /// Ends every item made before now: the idle at once, the leased when they come back. New
    /// ones are created up to `min_idle`, in the background.
    pub fn reset(&self) {
        self.shared.with_exact_time(Drops::Here, |books, now| books.reset(now));
    }

    /// Runs a pass of maintenance now, as the background thread does every
    /// `maintenance_interval`: evicts what is idle or old, refills to `min_idle`, starts due
    /// checks, gives up those that hang, reports leaks. Returns how many items it evicted; refill
    /// and checks go on in the background.
    pub fn clean_up(&self) -> u64 {
        self.shared.with_exact_time(Drops::Here, |books, now| books.sweep(now))
    }

    /// Has every idle and every unhealthy item checked now, in the background: at most eight at a
    /// time in the whole process, four of them of this pool. Returns at once.
    pub fn check_all(&self) {
        self.shared.with_exact_time(Drops::Here, |books, now| books.make_all_due(now));
    }

    /// Closes the pool for all its handles: refuses every further `get`, wakes everybody who
    /// waits, drops the idle items. Leases out stay valid and end as they come home. Does not
    /// wait for them; [`drain`](Self::drain) does.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Closes the pool if nobody uses it or waits for it. Says whether it did. The thread that
    /// calls it asks for an item of another pool, and does not wait for what is dropped here.
    pub(crate) fn close_if_unused(&self) -> bool {
        self.shared.close_if(Drops::Elsewhere, |books| books.is_unused())
    }

    pub(crate) fn downgrade(&self) -> WeakPool<M> {
        WeakPool(Arc::downgrade(&self.shared))
    }

    /// Closes the pool and waits, up to `timeout`, until every lease has come home. Says whether
    /// they did. Waits for leases only: a creation or a check under way ends by itself, and its
    /// item with it.
    #[must_use = "false means that leases are still out"]
    pub fn drain(&self, timeout: Duration) -> bool {
        self.close();
        let deadline = self.shared.clock().now().after(timeout);
        self.shared.wait_until(deadline, |books| books.in_use() == 0)
    }

    /// Whether the pool was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }
}

impl<M: Manage> Clone for Pool<M> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), _last: self._last.clone() }
    }
}

impl<M: Manage> fmt::Debug for Pool<M> {
    /// Name and counts. Not the manager, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", self.shared.name())
            .field("stats", &self.shared.stats())
            .finish_non_exhaustive()
    }
}

impl<M: Manage> Shared<M> {
    /// Has the background maintenance come within `pause`, if there is one.
    fn come_within(self: &Arc<Self>, pause: Option<Duration>) {
        if let (Some(pause), true) = (pause, self.clock().is_system()) {
            maintenance::hasten(&(Arc::downgrade(self) as Weak<dyn Upkeep>), pause);
        }
    }
}

impl<M: Manage> Upkeep for Shared<M> {
    fn upkeep(self: Arc<Self>) -> Option<Duration> {
        // Drops on a worker: one that hangs shall not keep the other pools from their maintenance.
        self.with_exact_time(Drops::Elsewhere, |books, now| {
            books.upkeep(now).map(|next| next.since(now))
        })
    }
}
