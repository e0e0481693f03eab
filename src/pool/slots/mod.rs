//! The books of a pool: where every item is and who waits. Plain data, no lock, no clock, no
//! user code: it is told the time, and leaves in its [`Outbox`] what its owner must do once the
//! lock is released.
//!
//! ```text
//!                 reserve            created               take / hand over
//!     vacant ───────────────▶ creating ─────────▶ idle ─────────────────────▶ leased
//!       ▲                        │                │  ▲ ▲                        │
//!       │        create_failed   │     start check│  │ └────────────────────────┤ put_back
//!       ├────────────────────────┘                ▼  │ passed                   │
//!       │                                      checking                         │
//!       │          evict, discard, detach         │  ▲                          │
//!       ├───────────────◀──────────────── failed  ▼  │ checked again            │
//!       │                                      unhealthy                        │
//!       └───────────────◀───────────────────────────────────────────────────────┘
//! ```
//!
//! The times it is told never run back, save coarse ones, which are told only while nobody waits.
//!
//! Each slot is in exactly one of these places, so law 1 holds by construction; `size() <=
//! max_size` is kept by the only door in, `Slots::reserve`. Law 2 is kept by one routine,
//! [`Slots::settle`], run after every step that may have freed capacity.

mod admission;
mod allowance;
mod checks;
mod create;
mod items;
mod outbox;
mod queue;
mod rules;
mod times;
mod unhealthy;
mod upkeep;
mod warm_up;

#[cfg(test)]
mod model_driver;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod permit_model_tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::config::PoolConfig;
use super::holder::{Holder, ThreadTag};
use super::observer::StateChange;
use super::permits::Permits;
use super::stats::{EvictReason, Stats};
use crate::clock::Time;

pub(crate) use admission::Late;
pub(crate) use create::Offer;
pub(crate) use outbox::{Alert, Grant, Job, News, Outbox};

use outbox::Pending;
pub(crate) use queue::{GaveUp, Joined, Look, Refused, Ticket};
pub(crate) use warm_up::Warmth;

use allowance::Allowance;
use checks::UnderWay;
use create::Purpose;
use queue::Waiter;
use rules::Rules;
use times::Times;

/// `T` is the item; `W` is how to reach a waiter, cheap to clone.
///
/// Aligned so that the lock has a cache line of its own: who waits for the lock reads its line over
/// and over, and would take the line from the holder at each of the holder's writes beside it.
#[repr(align(128))]
pub(crate) struct Slots<T, W> {
    slots: Vec<Slot<T>>,
    /// Indices of the vacant slots among `slots`.
    vacant: Vec<usize>,
    /// Idle slots, the coldest in front: taken from the back, expired from the front.
    idle: VecDeque<usize>,
    /// Unhealthy slots, the longest so in front.
    unhealthy: VecDeque<usize>,
    creating: usize,
    /// Of these, the ones for the queue and for refill.
    creating_for_queue: usize,
    /// And the ones that nobody counts on any more.
    abandoned: usize,
    /// Checks under way, save those given up.
    checks: Vec<UnderWay>,
    /// The checkers were told that more are due, and have not come yet.
    checks_due: bool,
    /// An item was evicted after its checks, and none was created since.
    may_replace: bool,
    /// Who waits, in the order they came.
    waiters: VecDeque<Waiter<W>>,
    next_ticket: u64,
    /// Creations wanted to bring the idle items back to `min_idle`.
    refill: usize,
    /// Threads that warm the pool up.
    warming: usize,
    /// Counts resets; a slot of an earlier epoch ends when its item comes back.
    epoch: u64,
    closed: bool,
    /// How long leases were held of late; kept for `admission` only.
    recent_hold: Option<Duration>,
    rules: Rules,
    /// Of limits shared with other pools.
    allowance: Allowance,
    totals: Stats,
    times: Times,
    /// What the last failed check said, and when.
    last_check_error: Option<(Arc<str>, Time)>,
    /// When the next pass of maintenance is due.
    pass_due: Time,
    /// When last warned about too much in use, a slow wait, a time-out, and a wait that may be for
    /// itself.
    warned_full: Option<Time>,
    warned_slow: Option<Time>,
    warned_timeout: Option<Time>,
    warned_itself: Option<Time>,
    outbox: Pending<T, W>,
}

/// One unit of `max_size`, and what is known of the item in it.
struct Slot<T> {
    place: Place<T>,
    /// When its lease, its idle time or its creation began. A check does not end its idle time.
    since: Time,
    expires: Time,
    uses: u64,
    epoch: u64,
    /// Of the present lease, or the last one.
    holder: Option<Holder>,
    leak_told: bool,
    /// When it was created.
    made: Time,
    /// The last check, and whether it passed.
    last_check: Option<(Time, bool)>,
    /// Failed checks in a row, from when on `check_interval` runs, and when a check is due out of
    /// turn.
    failures: u32,
    checked_at: Time,
    check_due: Time,
}

/// Where a slot's item is.
enum Place<T> {
    Vacant,
    Creating(Purpose),
    Idle(T),
    /// Out with the check of this number.
    Checking(u64),
    Unhealthy(T),
    /// Unhealthy, and still out with the check of this number, which was given up.
    Absent(u64),
    /// Out with a lease, or on its way to a waiter.
    Leased,
}

impl<T, W: Clone> Slots<T, W> {
    pub(crate) fn new(config: &PoolConfig, permits: Option<Arc<dyn Permits>>) -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            idle: VecDeque::new(),
            unhealthy: VecDeque::new(),
            creating: 0,
            creating_for_queue: 0,
            abandoned: 0,
            checks: Vec::new(),
            checks_due: false,
            may_replace: false,
            waiters: VecDeque::new(),
            next_ticket: 0,
            refill: 0,
            warming: 0,
            epoch: 0,
            closed: false,
            recent_hold: None,
            rules: Rules::new(config),
            allowance: Allowance::new(permits),
            totals: Stats::default(),
            times: Times::default(),
            last_check_error: None,
            pass_due: Time::NEVER,
            warned_full: None,
            warned_slow: None,
            warned_timeout: None,
            warned_itself: None,
            outbox: Pending::default(),
        }
    }

    /// What the owner must do once the lock is released; `None`, nearly always, for nothing.
    #[inline]
    pub(crate) fn take_outbox(&mut self) -> Option<Outbox<T, W>> {
        self.outbox.take()
    }

    // ---- What is there ----

    /// Slots that are not vacant.
    pub(crate) fn size(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    #[inline]
    pub(crate) fn in_use(&self) -> usize {
        self.size() - self.idle.len() - self.creating - self.checks.len() - self.unhealthy.len()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nobody has an item, creates one for itself, waits for one, or warms the pool up.
    pub(crate) fn is_unused(&self) -> bool {
        let for_nobody_else = self.creating_for_queue + self.abandoned;
        let is_wanted = self.has_waiters() || self.is_warming();
        self.in_use() == 0 && self.creating == for_nobody_else && !is_wanted
    }

    #[inline]
    pub(crate) fn has_waiters(&self) -> bool {
        !self.waiters.is_empty()
    }

    /// Whether the creations that were asked for have ended, well or not.
    pub(crate) fn is_filled(&self) -> bool {
        self.creating == 0 && self.refill == 0
    }

    /// How many leases out now were taken by `thread`. Looks at every slot.
    pub(crate) fn held_by(&self, thread: ThreadTag) -> usize {
        let by_thread = |slot: &&Slot<T>| {
            matches!(slot.place, Place::Leased)
                && slot.holder.as_ref().is_some_and(|holder| holder.thread() == thread)
        };
        self.slots.iter().filter(by_thread).count()
    }

    /// For how long the oldest lease has been out, and who took it. Looks at every slot.
    pub(crate) fn oldest_lease(&self, now: Time) -> Option<(Duration, &Holder)> {
        let leased = self.slots.iter().filter(|slot| matches!(slot.place, Place::Leased));
        let oldest = leased.min_by_key(|slot| slot.since)?;
        oldest.holder.as_ref().map(|holder| (now.since(oldest.since), holder))
    }

    // ---- Taking ----

    /// The most recently used idle item, unless it belongs to somebody who waits.
    /// `now` must be exact when there are waiters.
    #[inline]
    pub(crate) fn take(&mut self, now: Time, holder: Holder) -> Option<(usize, T)> {
        if self.has_waiters() && !self.may_overtake(now) {
            return None;
        }
        let (index, item) = self.pop_idle(now)?;
        if !self.permit() {
            self.unpop_idle(index, item);
            return None;
        }
        self.lease_out(index, now, holder);
        Some((index, item))
    }

    /// Undoes [`Self::pop_idle`].
    #[cold]
    fn unpop_idle(&mut self, index: usize, item: T) {
        self.slots[index].place = Place::Idle(item);
        self.idle.push_back(index);
    }

    /// Removes the most recently used idle item that has not reached its lifetime; those that
    /// have are evicted on the way.
    #[inline]
    fn pop_idle(&mut self, now: Time) -> Option<(usize, T)> {
        while let Some(index) = self.idle.pop_back() {
            let slot = &mut self.slots[index];
            let expired = slot.expires <= now;
            let Place::Idle(item) = std::mem::replace(&mut slot.place, Place::Leased) else {
                unreachable!("the idle stack holds idle slots");
            };
            if !expired {
                return Some((index, item));
            }
            self.end(index, item, EvictReason::Lifetime);
        }
        None
    }

    #[inline(always)]
    fn lease_out(&mut self, index: usize, now: Time, holder: Holder) {
        let slot = &mut self.slots[index];
        slot.place = Place::Leased;
        slot.uses += 1;
        slot.since = now;
        slot.holder = Some(holder);
        slot.leak_told = false;
        self.totals.gets += 1;
        if self.in_use() > self.rules.full_above
            && may_warn(&mut self.warned_full, self.rules.maintenance_interval, now)
        {
            self.outbox.open().alerts.push(Alert::NearlyFull);
            self.tell(News::Changed(StateChange::NearlyFull));
        }
    }

    // ---- Giving back ----

    /// A leased item comes home in good order. `now` must be exact when there are waiters. Says how
    /// long it was held, if it stays.
    #[inline]
    pub(crate) fn put_back(&mut self, index: usize, item: T, now: Time) -> Option<Duration> {
        let held = self.note_hold(index, now);
        let reason = self.reason_to_end(index, now);
        match reason {
            None => {
                self.totals.put_back += 1;
                self.make_idle(index, item, now);
            }
            Some(reason) => self.end(index, item, reason),
        }
        self.put_back_permit();
        if self.has_waiters() {
            self.settle(now);
        } else {
            self.give_up_idle_if_wanted();
        }
        reason.is_none().then_some(held)
    }

    /// A leased item comes home to be dropped.
    pub(crate) fn put_back_bad(&mut self, index: usize, item: T, reason: EvictReason, now: Time) {
        self.note_hold(index, now);
        self.end(index, item, reason);
        self.put_back_permit();
        #[cfg(llm_pool_shuttle)]
        if crate::Bug::LostWakeUp.is_planted() {
            return;
        }
        self.settle(now);
    }

    /// A leased item leaves for good.
    pub(crate) fn detach(&mut self, index: usize, now: Time) {
        let held = self.note_hold(index, now);
        self.tell(News::Detached { held });
        self.totals.detached += 1;
        self.vacate(index);
        self.put_back_permit();
        self.settle(now);
    }

    fn reason_to_end(&self, index: usize, now: Time) -> Option<EvictReason> {
        let slot = &self.slots[index];
        if self.closed {
            Some(EvictReason::Closed)
        } else if slot.epoch != self.epoch {
            Some(EvictReason::Reset)
        } else if self.size() > self.rules.max_size {
            Some(EvictReason::Resized)
        } else if slot.uses >= self.rules.max_uses {
            Some(EvictReason::Uses)
        } else if slot.expires <= now {
            Some(EvictReason::Lifetime)
        } else {
            None
        }
    }

    #[inline]
    fn make_idle(&mut self, index: usize, item: T, now: Time) {
        let slot = &mut self.slots[index];
        slot.place = Place::Idle(item);
        slot.since = now;
        self.idle.push_back(index);
    }

    /// The only way out for an item: to the trash, with a reason. The slot must already be off
    /// every list and count.
    fn end(&mut self, index: usize, item: T, reason: EvictReason) {
        self.outbox.open().trash.push((item, reason));
        self.end_absent(index, reason);
    }

    /// The same for an item that is not at hand: it is dropped where it is.
    fn end_absent(&mut self, index: usize, reason: EvictReason) {
        self.tell(News::Evicted(reason));
        self.totals.evicted += 1;
        self.totals.evicted_by[reason as usize] += 1;
        self.vacate(index);
    }

    /// For the observer, if there is one.
    fn tell(&mut self, news: News) {
        if self.rules.is_observed {
            self.outbox.open().news.push(news);
        }
    }

    fn vacate(&mut self, index: usize) {
        self.slots[index].place = Place::Vacant;
        self.vacant.push(index);
        self.note_closed();
    }
}

/// Whether to warn now: once an interval, however often there is reason to.
fn may_warn(last: &mut Option<Time>, interval: Duration, now: Time) -> bool {
    let may = last.is_none_or(|last| last.after(interval) <= now);
    if may {
        *last = Some(now);
    }
    may
}
