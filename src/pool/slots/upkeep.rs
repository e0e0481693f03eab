//! Expiry, checks, and what is done to a pool as a whole: resize, reset, close.

use std::time::Duration;

use super::super::holder::ThreadTag;
use super::super::stats::EvictReason;
use super::{Alert, Job, Place, Slots, may_warn};
use crate::clock::Time;

/// Most checks running at one time, so that a host that hangs does not hold up the rest.
const MAX_CHECKING: usize = 4;

impl<T, W: Clone> Slots<T, W> {
    /// One pass of maintenance. Returns how many items it evicted.
    pub(crate) fn sweep(&mut self, now: Time) -> u64 {
        let evicted_before = self.totals.evicted;
        if !self.closed {
            self.evict_long_idle(now);
            self.replace_expired(now);
            self.start_due_checks(now);
            self.settle(now);
        }
        self.report_leaks(now);
        self.totals.evicted - evicted_before
    }

    /// Whether a slow wait may be logged now.
    pub(crate) fn may_warn_slow(&mut self, now: Time) -> bool {
        may_warn(&mut self.warned_slow, self.rules.maintenance_interval, now)
    }

    /// Whether a wait of `caller` may be for itself, and may be logged now.
    pub(crate) fn may_warn_of_itself(&mut self, caller: ThreadTag, now: Time) -> bool {
        self.in_use() >= self.rules.max_size
            && self.held_by(caller) > 0
            && may_warn(&mut self.warned_itself, self.rules.maintenance_interval, now)
    }

    /// Asks for items until `min_idle` are idle, as far as `max_size` leaves room.
    pub(crate) fn fill(&mut self, now: Time) {
        self.refill_for(self.idle.len());
        self.settle(now);
    }

    fn refill_for(&mut self, good_idle: usize) {
        let room = self.rules.max_size.saturating_sub(self.size()) + self.creating;
        self.refill = self.rules.min_idle.saturating_sub(good_idle).min(room);
    }

    /// The coldest first, down to `min_idle`.
    fn evict_long_idle(&mut self, now: Time) {
        let Some(timeout) = self.rules.idle_timeout else { return };
        while self.idle.len() > self.rules.min_idle {
            let Some(&coldest) = self.idle.front() else { return };
            if self.slots[coldest].since.after(timeout) > now {
                return;
            }
            self.idle.pop_front();
            self.evict_from_place(coldest, EvictReason::Idle);
        }
    }

    /// Items past their lifetime go at once while enough others are idle; the last `min_idle` go
    /// one by one as their replacements arrive ([`Self::retire_one_expired`]), or at once where
    /// the cap leaves no room to create first.
    fn replace_expired(&mut self, now: Time) {
        let expired = self.idle.iter().filter(|&&i| self.slots[i].expires <= now).count();
        let good = self.idle.len() - expired;
        let room = self.rules.max_size.saturating_sub(self.size()) + self.creating_for_queue;
        let missing = self.rules.min_idle.saturating_sub(good);
        let kept_for_now = expired.min(missing).min(room);
        for _ in kept_for_now..expired {
            self.retire_one_expired(now);
        }
        self.refill_for(good);
    }

    pub(super) fn retire_one_expired(&mut self, now: Time) {
        let expired = |&index: &usize| self.slots[index].expires <= now;
        if let Some(at) = self.idle.iter().position(expired) {
            if let Some(index) = self.idle.remove(at) {
                self.evict_from_place(index, EvictReason::Lifetime);
            }
        }
    }

    pub(super) fn evict_unhealthy(&mut self) {
        if let Some(index) = self.unhealthy.pop_front() {
            self.evict_from_place(index, EvictReason::Unhealthy);
        }
    }

    /// Ends an item that rests in its slot, which must already be off its list.
    pub(super) fn evict_from_place(&mut self, index: usize, reason: EvictReason) {
        match std::mem::replace(&mut self.slots[index].place, Place::Vacant) {
            Place::Idle(item) | Place::Unhealthy(item) => self.end(index, item, reason),
            _ => unreachable!("only a resting item can be evicted"),
        }
    }

    fn report_leaks(&mut self, now: Time) {
        let Some(limit) = self.rules.leak_after else { return };
        for slot in &mut self.slots {
            let held = now.since(slot.since);
            if !matches!(slot.place, Place::Leased) || slot.leak_told || held < limit {
                continue;
            }
            if let Some(holder) = slot.holder.clone() {
                slot.leak_told = true;
                self.outbox.alerts.push(Alert::Leak { holder, held });
            }
        }
    }

    // ---- Checks ----

    /// Reserves the items whose check is due and has them checked: the idle that were neither
    /// used nor checked for `check_interval`, and the unhealthy after growing pauses.
    pub(super) fn start_due_checks(&mut self, now: Time) {
        if self.closed {
            return;
        }
        while self.checking < MAX_CHECKING {
            let Some(index) = self.pop_due_unhealthy(now).or_else(|| self.pop_due_idle(now)) else {
                return;
            };
            self.reserve_for_check(index);
        }
    }

    /// Has every idle and unhealthy item checked, as far as not under way.
    pub(crate) fn make_all_due(&mut self, now: Time) {
        for &index in self.idle.iter().chain(&self.unhealthy) {
            self.slots[index].check_due = now;
        }
        self.start_due_checks(now);
    }

    fn pop_due_idle(&mut self, now: Time) -> Option<usize> {
        let interval = self.rules.check_interval;
        let due = |&index: &usize| {
            let slot = &self.slots[index];
            let by_interval =
                interval.is_some_and(|i| slot.since.max(slot.checked_at).after(i) <= now);
            by_interval || slot.check_due <= now
        };
        let at = self.idle.iter().position(due)?;
        self.idle.remove(at)
    }

    fn pop_due_unhealthy(&mut self, now: Time) -> Option<usize> {
        let at = self.unhealthy.iter().position(|&index| self.slots[index].check_due <= now)?;
        self.unhealthy.remove(at)
    }

    fn reserve_for_check(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        match std::mem::replace(&mut slot.place, Place::Checking) {
            Place::Idle(item) | Place::Unhealthy(item) => {
                self.checking += 1;
                self.outbox.jobs.push(Job::Check(index, item));
            }
            _ => unreachable!("only a resting item can be checked"),
        }
    }

    /// A check ended. One that passed makes the item idle again; one that failed sets it aside,
    /// or evicts it after `max_check_failures` in a row.
    pub(crate) fn checked(&mut self, index: usize, item: T, passed: bool, now: Time) {
        self.checking -= 1;
        let was_unhealthy = self.slots[index].failures > 0;
        if let Some(reason) = self.reason_to_end(index, now) {
            self.end(index, item, reason);
        } else if passed {
            if was_unhealthy {
                self.outbox.alerts.push(Alert::Recovered);
            }
            self.make_idle_after_check(index, item, now);
        } else {
            self.totals.check_failures += 1;
            self.set_aside(index, item, now);
        }
        self.start_due_checks(now);
        self.settle(now);
    }

    /// Keeps `since`, so that checks do not keep an unused item young, and the order of the
    /// stack, by which the coldest is found.
    fn make_idle_after_check(&mut self, index: usize, item: T, now: Time) {
        let slot = &mut self.slots[index];
        slot.place = Place::Idle(item);
        slot.failures = 0;
        slot.check_due = Time::NEVER;
        slot.checked_at = now;
        let since = slot.since;
        let at = self.idle.partition_point(|&other| self.slots[other].since <= since);
        self.idle.insert(at, index);
    }

    fn set_aside(&mut self, index: usize, item: T, now: Time) {
        let pause = self.rules.maintenance_interval;
        let slot = &mut self.slots[index];
        slot.failures += 1;
        slot.check_due = now.after(grown(pause, slot.failures));
        if slot.failures >= self.rules.max_check_failures {
            self.end(index, item, EvictReason::Unhealthy);
        } else {
            slot.place = Place::Unhealthy(item);
            self.unhealthy.push_back(index);
        }
        self.refill_for(self.idle.len());
    }

    // ---- The whole pool ----

    /// A new cap. Below what is there, idle items go at once, the coldest first, and leased ones
    /// when they come back; above, those who wait are served.
    pub(crate) fn resize(&mut self, max_size: usize, now: Time) {
        self.rules.set_max_size(max_size);
        while self.size() > max_size {
            if let Some(index) = self.idle.pop_front() {
                self.evict_from_place(index, EvictReason::Resized);
            } else if let Some(index) = self.unhealthy.pop_front() {
                self.evict_from_place(index, EvictReason::Resized);
            } else {
                break;
            }
        }
        self.settle(now);
    }

    /// Ends what rests; what is out ends when it comes back. Then refills.
    pub(crate) fn reset(&mut self, now: Time) {
        if self.closed {
            return;
        }
        self.epoch += 1;
        self.evict_resting(EvictReason::Reset);
        self.fill(now);
    }

    /// Refuses what comes, dismisses who waits, ends what rests. False if already done.
    pub(crate) fn close(&mut self) -> bool {
        let first = !std::mem::replace(&mut self.closed, true);
        self.refill = 0;
        self.dismiss_all();
        self.evict_resting(EvictReason::Closed);
        self.return_excess();
        first
    }

    fn evict_resting(&mut self, reason: EvictReason) {
        while let Some(index) = self.idle.pop_front().or_else(|| self.unhealthy.pop_front()) {
            self.evict_from_place(index, reason);
        }
    }
}

/// `pause` after the first failure, doubled after each further one.
fn grown(pause: Duration, failures: u32) -> Duration {
    pause.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX))
}
