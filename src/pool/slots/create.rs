//! Creation: a slot is reserved, the item is created off the lock, and the outcome is entered.
//!
//! Creations for the queue serve whoever waits first when they end, or refill the idle. One that
//! a thread runs for itself serves that thread. When more are under way for the queue than it has
//! use for because waiters gave up, the oldest are *abandoned*: nobody counts on them any more, so
//! that one that hangs keeps no later waiter from having its own. What they make is still used.

use std::time::Duration;

use super::super::holder::Holder;
use super::super::stats::EvictReason;
use super::queue::Waiter;
use super::{Job, News, Place, Slot, Slots};
use crate::clock::Time;

/// Whom a creation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Whoever waits first, or the idle.
    Queue,
    /// The thread that runs it.
    Own,
    /// Abandoned.
    Nobody,
}

/// What there is for a thread that will not wait.
pub(crate) enum Offer<T> {
    /// An item, now leased to it.
    Item(usize, T),
    /// A slot to create one in.
    Room(usize),
    Nothing,
    Closed,
    Unhealthy,
}

impl<T, W: Clone> Slots<T, W> {
    // ---- For the queue ----

    /// Starts the creations that waiters and refill ask for, as far as the caps allow. A waiter
    /// may have the slot of an unhealthy item; refill may not. Nothing, where the pool waits for
    /// its unhealthy items.
    pub(super) fn hire(&mut self, now: Time) {
        if self.holds_back() {
            return;
        }
        while self.may_create_more() {
            let permitted = if self.idle_is_for_first_waiter() {
                self.waiters_permitted().min(self.creating_for_queue)
            } else {
                self.permit_waiters_up_to(self.creating_for_queue + 1)
            };
            if self.creating_for_queue >= permitted + self.refill {
                return;
            }
            let for_waiter = self.creating_for_queue < permitted;
            if for_waiter {
                self.make_room();
            }
            let Some(index) = self.reserve(Purpose::Queue, for_waiter, now) else { return };
            self.outbox.open().jobs.push(Job::Create(index));
        }
    }

    /// How many of those who wait may be served, having asked for permits for the first `count` of
    /// them unless the pool's own cap is in their way first.
    fn permit_waiters_up_to(&mut self, count: usize) -> usize {
        let count = if self.has_room() { count.min(self.waiters.len()) } else { 0 };
        loop {
            let permitted = self.waiters_permitted();
            if permitted >= count {
                return permitted;
            }
            let since = self.waiters[permitted].since;
            if !self.gain_spare(permitted, since) {
                return permitted;
            }
        }
    }

    /// Whether the cap leaves room for an item that somebody waits for.
    pub(super) fn has_room(&self) -> bool {
        let from_unhealthy = !self.unhealthy.is_empty() && !self.keeps_unhealthy();
        self.size() < self.rules.max_size || from_unhealthy
    }

    /// Whether one more waiter would have an item created for it.
    pub(super) fn would_create_for_one_more(&self) -> bool {
        self.creating_for_queue > self.waiters.len()
            || self.has_room()
                && self.may_create_more()
                && !self.is_held_back()
                && self.permit_is_at_hand()
    }

    /// Abandoned creations may hang, and do not count.
    pub(super) fn may_create_more(&self) -> bool {
        self.creating - self.abandoned < self.rules.max_creating
    }

    /// A created item goes to the first waiter, else among the idle, where it may replace one
    /// that has expired.
    pub(crate) fn created(&mut self, index: usize, item: T, now: Time) {
        // While this creation still counts as under way, and can be abandoned as others can.
        self.dismiss_too_late(now);
        self.note_created(index, now);
        let outdated = self.slots[index].epoch != self.epoch;
        if let Some(reason) = self.reason_to_refuse() {
            self.end(index, item, reason);
        } else if let Some(waiter) = self.pop_waiter_with_permit() {
            self.hand_over(index, item, waiter, now);
        } else if outdated {
            self.end(index, item, EvictReason::Reset);
        } else {
            self.refill = self.refill.saturating_sub(1);
            self.make_idle(index, item, now);
            self.retire_one_expired(now);
        }
        self.settle(now);
    }

    fn pop_waiter_with_permit(&mut self) -> Option<Waiter<W>> {
        let since = self.waiters.front()?.since;
        if self.permit_waiter(since) { self.waiters.pop_front() } else { None }
    }

    /// A creation failed: frees the slot, and names the first waiter, who shall hear of it.
    /// Nobody need hear of an abandoned one, or while others are under way for all who wait.
    pub(crate) fn create_failed(&mut self, index: usize, now: Time) -> Option<W> {
        let purpose = self.note_create_failed(index);
        let mut waiter = None;
        if purpose == Purpose::Queue {
            // Either way one is wanted less, so that failures do not go round for ever.
            if self.creating_for_queue < self.waiters.len() {
                waiter = self.waiters.pop_front();
            } else {
                self.refill = self.refill.saturating_sub(1);
            }
        }
        self.settle(now);
        waiter.map(|waiter| waiter.wake)
    }

    /// A waiter gave up: lets go of what was being created for it.
    pub(super) fn abandon_excess(&mut self) {
        while self.creating_for_queue > self.waiters.len() + self.refill {
            let for_queue =
                |slot: &&mut Slot<T>| matches!(slot.place, Place::Creating(Purpose::Queue));
            let oldest = self.slots.iter_mut().filter(for_queue).min_by_key(|slot| slot.since);
            let Some(slot) = oldest else { return };
            slot.place = Place::Creating(Purpose::Nobody);
            self.creating_for_queue -= 1;
            self.abandoned += 1;
        }
    }

    // ---- For oneself ----

    /// An idle item, or else a slot in which the calling thread creates one for itself, which ends
    /// with [`Self::adopt`] or [`Self::own_create_failed`].
    pub(crate) fn take_or_reserve(&mut self, now: Time, holder: Holder) -> Offer<T> {
        if self.closed {
            return Offer::Closed;
        }
        match self.take(now, holder) {
            Some((index, item)) => Offer::Item(index, item),
            None if self.refuses_as_unhealthy() => Offer::Unhealthy,
            None => self.reserve_own(now).map_or(Offer::Nothing, Offer::Room),
        }
    }

    /// If the cap leaves room, and nobody waits, who would come first.
    pub(super) fn reserve_own(&mut self, now: Time) -> Option<usize> {
        if self.has_waiters() || self.is_held_back() || !self.permit() {
            return None;
        }
        self.make_room();
        let reserved = self.reserve(Purpose::Own, false, now);
        if reserved.is_none() {
            self.put_back_permit();
        }
        reserved
    }

    /// A created item goes to the thread that created it, or nowhere if the pool was closed or
    /// its cap lowered meanwhile.
    pub(crate) fn adopt(
        &mut self,
        index: usize,
        item: T,
        now: Time,
        holder: Holder,
    ) -> Result<T, EvictReason> {
        self.note_created(index, now);
        let adopted = match self.reason_to_refuse() {
            Some(reason) => {
                self.end(index, item, reason);
                self.put_back_permit();
                Err(reason)
            }
            None => {
                self.lease_out(index, now, holder);
                Ok(item)
            }
        };
        // Someone may have waited for `max_creating`.
        self.settle(now);
        adopted
    }

    /// A creation failed that the thread itself had asked for.
    pub(crate) fn own_create_failed(&mut self, index: usize, now: Time) {
        self.note_create_failed(index);
        self.put_back_permit();
        self.settle(now);
    }

    // ---- For both ----

    /// The only door in: keeps `size() <= max_size`.
    fn reserve(&mut self, purpose: Purpose, for_waiter: bool, now: Time) -> Option<usize> {
        if self.closed || self.size() >= self.rules.max_size || !self.may_open(for_waiter) {
            return None;
        }
        let slot = Slot {
            place: Place::Creating(purpose),
            since: now,
            expires: Time::NEVER,
            uses: 0,
            epoch: self.epoch,
            holder: None,
            leak_told: false,
            made: now,
            last_check: None,
            failures: 0,
            checked_at: Time::NEVER,
            check_due: Time::NEVER,
        };
        let index = match self.vacant.pop() {
            Some(index) => {
                self.slots[index] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.may_replace = false;
        self.creating += 1;
        self.creating_for_queue += usize::from(purpose == Purpose::Queue);
        Some(index)
    }

    /// At the cap, an unhealthy item makes room for a new one, unless it keeps its slot.
    fn make_room(&mut self) {
        if self.size() >= self.rules.max_size && !self.keeps_unhealthy() {
            self.evict_unhealthy();
        }
    }

    fn note_created(&mut self, index: usize, now: Time) {
        self.leave_creating(index);
        let took = self.note_create_time(index, now);
        self.tell(News::Created { took });
        let nth = self.totals.created;
        self.totals.created += 1;
        let slot = &mut self.slots[index];
        slot.made = now;
        slot.checked_at = now;
        if let Some(lifetime) = self.rules.max_lifetime {
            slot.expires = now.after(spread(lifetime, nth));
        }
    }

    fn note_create_failed(&mut self, index: usize) -> Purpose {
        let purpose = self.leave_creating(index);
        self.totals.create_failures += 1;
        self.vacate(index);
        purpose
    }

    fn leave_creating(&mut self, index: usize) -> Purpose {
        let Place::Creating(purpose) = self.slots[index].place else {
            unreachable!("only a creation that was begun can end");
        };
        self.creating -= 1;
        self.creating_for_queue -= usize::from(purpose == Purpose::Queue);
        self.abandoned -= usize::from(purpose == Purpose::Nobody);
        purpose
    }

    /// Whether there is no place for a new item, whoever wants it.
    fn reason_to_refuse(&self) -> Option<EvictReason> {
        if self.closed {
            Some(EvictReason::Closed)
        } else if self.size() > self.rules.max_size {
            Some(EvictReason::Resized)
        } else {
            None
        }
    }
}

/// The lifetime of the `nth` item: up to a tenth shorter than `lifetime`. Multiples of the golden
/// ratio, less their whole part, fill a range evenly however many there are, so that no two items
/// end together (the low-discrepancy sequence of Knuth, TAOCP 3, section 6.4).
pub(super) fn spread(lifetime: Duration, nth: u64) -> Duration {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let part = nth.wrapping_mul(GOLDEN) >> 32;
    let tenth = lifetime / 10;
    // part is below 2^32, so the product fits in 128 bits and the quotient in `tenth`.
    let cut = (tenth.as_nanos() * u128::from(part)) >> 32;
    lifetime.saturating_sub(Duration::from_nanos(u64::try_from(cut).unwrap_or(u64::MAX)))
}
