//! The permits of a pool that shares limits with others: see [`Permits`].
//!
//! Every lease holds one, and so does a creation that a thread runs for itself. Those taken for
//! waiters that are not served yet are `spare`: after every step there are at most as many as
//! creations under way for them, so that no pool keeps what others could use. A pool that shares
//! no limits has none of this, and pays a branch for it.

use std::sync::Arc;

use super::super::permits::{Granted, Permits, PutBack, SharedLimit};
use super::super::stats::EvictReason;
use super::Slots;
use crate::clock::Time;

#[derive(Default)]
pub(super) struct Allowance {
    permits: Option<Arc<dyn Permits>>,
    /// Permits that no lease uses yet.
    spare: usize,
    /// Leave to make an item that was not used yet.
    may_open: usize,
    /// Remembered as waiting for a permit, and for leave to make an item.
    wants_permit: bool,
    wants_open: bool,
}

impl Allowance {
    pub(super) fn new(permits: Option<Arc<dyn Permits>>) -> Self {
        Self { permits, ..Self::default() }
    }
}

#[cfg(test)]
impl Allowance {
    /// Permits and leaves that no lease and no item uses yet, and leaves asked for.
    pub(super) fn unused(&self) -> (usize, usize, usize) {
        (self.spare, self.may_open, usize::from(self.wants_open))
    }
}

impl<T, W: Clone> Slots<T, W> {
    /// A permit for whoever takes an item at once. Never a spare one: those belong to waiters, who
    /// count on them.
    #[inline]
    pub(super) fn permit(&self) -> bool {
        self.allowance.permits.is_none() || self.take_permit()
    }

    // Out of line, as all that only shared limits need: the path of a pool without them stays short.
    #[inline(never)]
    fn take_permit(&self) -> bool {
        self.allowance.permits.as_ref().is_none_or(|permits| permits.take())
    }

    /// A permit for one who waits since `since`.
    pub(super) fn permit_waiter(&mut self, since: Time) -> bool {
        let permitted = self.gain_spare(0, since);
        if permitted {
            self.allowance.spare = self.allowance.spare.saturating_sub(1);
        }
        permitted
    }

    /// Makes sure of more than `count` spare permits, the missing one for one who waits since
    /// `since`.
    pub(super) fn gain_spare(&mut self, count: usize, since: Time) -> bool {
        let allowance = &mut self.allowance;
        let Some(permits) = &allowance.permits else { return true };
        if allowance.spare > count {
            return true;
        }
        allowance.wants_permit = !permits.take_or_want(since);
        allowance.spare += usize::from(!allowance.wants_permit);
        !allowance.wants_permit
    }

    /// How many of those who wait have a permit, or need none.
    pub(super) fn waiters_permitted(&self) -> usize {
        let all = self.waiters.len();
        if self.allowance.permits.is_some() { all.min(self.allowance.spare) } else { all }
    }

    /// Whether, under shared limits, there is an item for whoever waits first, who is in its first
    /// moment or has no permit. To create one for it as well would go on at every such moment,
    /// since a permit, unlike room in the pool, comes back each time.
    pub(super) fn idle_is_for_first_waiter(&self) -> bool {
        self.allowance.permits.is_some() && !self.idle.is_empty() && self.has_waiters()
    }

    /// Gives a permit back that a lease, or an own creation, held.
    #[inline]
    pub(super) fn put_back_permit(&mut self) {
        if self.allowance.permits.is_some() {
            self.put_back_one_permit();
        }
    }

    #[inline(never)]
    fn put_back_one_permit(&mut self) {
        self.put_back_permits(1, self.waits_for_permit());
    }

    fn put_back_permits(&mut self, count: usize, waits: Option<Time>) {
        let allowance = &mut self.allowance;
        let Some(permits) = &allowance.permits else { return };
        let PutBack { kept, grants } = permits.put_back(count, waits);
        allowance.spare += usize::from(kept);
        allowance.wants_permit = !kept && (allowance.wants_permit || waits.is_some());
        self.outbox.add_grants(grants);
    }

    /// Since when somebody waits here who has no permit and could use one now.
    fn waits_for_permit(&self) -> Option<Time> {
        let next = self.waiters.get(self.waiters_permitted())?;
        let could = !self.idle.is_empty() || self.has_room() && self.may_create_more();
        could.then_some(next.since)
    }

    /// What the shared limits gave. A permit serves the first waiter even in its first moment, in
    /// which it might be overtaken: other pools wait for what is not used.
    pub(crate) fn granted(&mut self, what: Granted, now: Time) {
        match what {
            Granted::Permit => {
                // It may have been remembered again since.
                self.stop_wanting();
                self.allowance.spare += 1;
                self.dismiss_too_late(now);
                if let Some(waiter) = self.waiters.pop_front() {
                    match self.pop_idle(now) {
                        Some((index, item)) => {
                            self.allowance.spare -= 1;
                            self.hand_over(index, item, waiter, now);
                        }
                        None => self.waiters.push_front(waiter),
                    }
                }
            }
            Granted::Open => {
                self.stop_opening();
                self.allowance.may_open += 1;
            }
        }
        self.settle(now);
    }

    /// Leave to make one more item; for one who waits it is asked of other pools if need be.
    pub(super) fn may_open(&mut self, for_waiter: bool) -> bool {
        let allowance = &mut self.allowance;
        let Some(permits) = &allowance.permits else { return true };
        if allowance.may_open > 0 {
            allowance.may_open -= 1;
            return true;
        }
        if permits.open(for_waiter) {
            return true;
        }
        if for_waiter && !allowance.wants_open {
            allowance.wants_open = true;
            self.outbox.open().reclaim = true;
        }
        false
    }

    /// An item is gone.
    #[inline]
    pub(super) fn note_closed(&mut self) {
        if let Some(permits) = &self.allowance.permits {
            self.outbox.add_grants(permits.closed(1));
        }
    }

    /// Returns what nobody here has a use for. The last thing in every step.
    pub(super) fn return_excess(&mut self) {
        if self.allowance.permits.is_none() {
            return;
        }
        if self.allowance.wants_open && self.waiters_permitted() <= self.creating_for_queue {
            self.stop_opening();
        }
        let opening = usize::from(self.allowance.wants_open);
        let in_prospect = (self.creating_for_queue + opening).min(self.waiters.len());
        let excess = self.allowance.spare.saturating_sub(in_prospect);
        let all_permitted = self.allowance.spare >= self.waiters.len();
        if self.allowance.wants_permit && (all_permitted || excess > 0) {
            self.stop_wanting();
        }
        let unused = std::mem::take(&mut self.allowance.may_open);
        if let (Some(permits), true) = (&self.allowance.permits, unused > 0) {
            self.outbox.add_grants(permits.closed(unused));
        }
        if excess > 0 {
            self.allowance.spare -= excess;
            self.put_back_permits(excess, None);
        }
        self.give_up_idle_if_wanted();
    }

    fn stop_wanting(&mut self) {
        self.allowance.wants_permit = false;
        if let Some(permits) = &self.allowance.permits {
            permits.stop_wanting();
        }
    }

    fn stop_opening(&mut self) {
        self.allowance.wants_open = false;
        if let Some(permits) = &self.allowance.permits {
            permits.stop_opening();
        }
    }

    /// While another pool needs to make an item and may not, none is left idle here but for a waiter
    /// that is about to take it.
    #[inline]
    pub(super) fn give_up_idle_if_wanted(&mut self) {
        if self.allowance.permits.is_some() {
            self.give_up_idle_as_wanted();
        }
    }

    #[inline(never)]
    fn give_up_idle_as_wanted(&mut self) {
        // Each that goes may be the last that is needed.
        while !self.idle_is_about_to_be_taken() && self.is_open_wanted() && self.evict_coldest() {}
    }

    /// Whether somebody waits here who needs no permit, or has one.
    fn idle_is_about_to_be_taken(&self) -> bool {
        self.has_waiters() && !self.allowance.wants_permit
    }

    fn is_open_wanted(&self) -> bool {
        self.allowance.permits.as_ref().is_some_and(|permits| permits.is_open_wanted())
    }

    /// Ends an item for another pool to make one, if one rests. An unhealthy one serves nobody, not
    /// even those who wait here: they may be the ones who need another.
    pub(crate) fn give_up_idle(&mut self, now: Time) -> bool {
        let is_kept = !self.idle.is_empty() && self.idle_is_about_to_be_taken();
        let gave_up = !is_kept && self.evict_coldest();
        self.settle(now);
        gave_up
    }

    /// Ends an unhealthy item, or else the coldest idle one, if there is one.
    fn evict_coldest(&mut self) -> bool {
        if !self.unhealthy.is_empty() {
            self.evict_unhealthy();
            return true;
        }
        let Some(coldest) = self.idle.pop_front() else { return false };
        self.evict_from_place(coldest, EvictReason::MaxOpen);
        true
    }

    /// The shared limit that keeps whoever waits, or would, from being served; `None` if it is
    /// the pool's own.
    pub(crate) fn shared_limit_in_force(&self) -> Option<SharedLimit> {
        let permits = self.allowance.permits.as_ref()?;
        if self.in_use() >= self.rules.max_size {
            return None;
        }
        let would_ask = !self.has_waiters();
        let asked = would_ask || self.allowance.wants_permit;
        let full = if asked { permits.full() } else { None };
        let asked = would_ask || self.allowance.wants_open;
        full.or_else(|| if asked { permits.full_open() } else { None })
    }

    pub(super) fn permit_is_at_hand(&self) -> bool {
        self.allowance.permits.as_ref().is_none_or(|permits| permits.full().is_none())
    }
}
