//! Maintenance, expiry, and what is done to a pool as a whole: resize, reset, close.

use std::time::Duration;

use super::super::holder::ThreadTag;
use super::super::observer::StateChange;
use super::super::stats::EvictReason;
use super::{Alert, News, Place, Slots, may_warn};
use crate::clock::Time;

impl<T, W: Clone> Slots<T, W> {
    /// What the background maintenance does when it comes: a pass if one is due, and in between
    /// only what checks ask for, which cannot wait for the pass. Returns when it shall come next,
    /// or `None` once there is nothing left to come for.
    pub(crate) fn upkeep(&mut self, now: Time) -> Option<Time> {
        if self.pass_due <= now {
            self.sweep(now);
            self.plan_pass(now);
        } else {
            self.give_up_overdue_checks(now);
            self.settle(now);
            self.announce_due(now);
        }
        self.next_upkeep(now)
    }

    /// Notes when the next pass is due, and returns in how long that is.
    pub(crate) fn plan_pass(&mut self, now: Time) -> Duration {
        let sweep = self.rules.maintenance_interval;
        let pause = self.rules.check_interval.map_or(sweep, |check| check.min(sweep));
        self.pass_due = now.after(pause);
        pause
    }

    /// A closed pool has nothing to do but to give up checks that hang.
    pub(crate) fn next_upkeep(&self, now: Time) -> Option<Time> {
        let by_checks = self.next_check_event(now);
        if self.closed {
            return (!self.checks.is_empty()).then_some(by_checks);
        }
        Some(by_checks.min(self.pass_due))
    }

    /// One pass of maintenance. Returns how many items it evicted.
    pub(crate) fn sweep(&mut self, now: Time) -> u64 {
        let evicted_before = self.totals.evicted;
        let creating_before = self.creating;
        let mut due = 0;
        self.give_up_overdue_checks(now);
        if !self.closed {
            self.evict_long_idle(now);
            self.replace_expired(now);
            self.settle(now);
            self.announce_due(now);
            due = self.count_due(now);
        }
        self.report_leaks(now);
        let evicted = self.totals.evicted - evicted_before;
        let refilled = self.creating.saturating_sub(creating_before);
        if evicted > 0 || refilled > 0 || due > 0 {
            self.outbox.open().alerts.push(Alert::CleanedUp { evicted, refilled, due });
        }
        evicted
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

    /// Where unhealthy items keep their slots, they count as there.
    pub(super) fn refill_for(&mut self, good_idle: usize) {
        if self.closed {
            return;
        }
        let kept = if self.keeps_unhealthy() { self.bad() + self.may_pass() } else { 0 };
        let room = self.rules.max_size.saturating_sub(self.size()) + self.creating;
        self.refill = self.rules.min_idle.saturating_sub(good_idle + kept).min(room);
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
            Place::Absent(_) => self.end_absent(index, reason),
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
                let outbox = self.outbox.open();
                outbox.alerts.push(Alert::Leak { holder, held });
                if self.rules.is_observed {
                    outbox.news.push(News::Changed(StateChange::Leak { held }));
                }
            }
        }
    }

    // ---- The whole pool ----

    /// A new cap. Below what is there, idle items go at once, the coldest first, and leased ones
    /// when they come back; above, those who wait are served.
    pub(crate) fn resize(&mut self, max_size: usize, now: Time) {
        self.rules.set_max_size(max_size);
        self.tell(News::Changed(StateChange::Resized { max_size }));
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
        self.tell(News::Changed(StateChange::Reset));
        self.epoch += 1;
        self.evict_resting(EvictReason::Reset);
        self.fill(now);
    }

    /// Refuses what comes, dismisses who waits, ends what rests. False if already done.
    pub(crate) fn close(&mut self) -> bool {
        let first = !std::mem::replace(&mut self.closed, true);
        if first {
            self.tell(News::Changed(StateChange::Closed));
        }
        self.refill = 0;
        self.checks_due = false;
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
