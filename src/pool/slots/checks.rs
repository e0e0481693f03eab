//! Checks: which items are due, who is out with one, and what becomes of them.
//!
//! ```text
//!                 start_check                 passed
//!     idle, due ──────────────▶ checking ─────────────────▶ idle, at its old place
//!     unhealthy, due ─────────▶    │  │
//!                                  │  │ failed, fewer than max_check_failures in a row
//!                                  │  └───────────────────▶ unhealthy, due after a growing pause
//!                                  │ failed once too often
//!                                  ├──────────────────────▶ vacant, its item evicted
//!                                  │ longer than check_timeout
//!                                  └──────────────────────▶ vacant (or absent), its item dropped
//!                                                           whenever its check ends
//! ```
//!
//! Nothing is reserved because it is due. The pool says that something is, and a checker comes and
//! asks for one item when it has time to check it at once, so that no item is out of service while
//! it only queues for a check. Each check has a number, by which the outcome of one that was given
//! up is told from that of a later one in the same slot.

use std::sync::Arc;
use std::time::Duration;

use super::super::observer::StateChange;
use super::super::stats::EvictReason;
use super::{Alert, News, Place, Slots};
use crate::clock::Time;

/// A check that runs and was not given up.
pub(super) struct UnderWay {
    pub(super) index: usize,
    check: u64,
    began: Time,
    /// When it is given up.
    ends: Time,
}

/// No unhealthy item waits longer for its next check, unless `check_interval` is longer still.
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);

impl<T, W: Clone> Slots<T, W> {
    // ---- Due ----

    /// Has every idle and unhealthy item checked, as far as not under way.
    pub(crate) fn make_all_due(&mut self, now: Time) {
        for &index in self.idle.iter().chain(&self.unhealthy) {
            // An absent one is checked already, and counts its failures by the clock.
            if !matches!(self.slots[index].place, Place::Absent(_)) {
                self.slots[index].check_due = now;
            }
        }
        self.announce_due(now);
    }

    /// Lets the checkers know if anything is due.
    pub(super) fn announce_due(&mut self, now: Time) {
        self.checks_due =
            !self.closed && (self.due_unhealthy(now).is_some() || self.due_idle(now).is_some());
        if self.checks_due {
            self.outbox.open().alerts.push(Alert::ChecksDue);
        }
    }

    /// How many are due.
    pub(super) fn count_due(&self, now: Time) -> usize {
        let unhealthy = self.unhealthy.iter().filter(|&&i| self.is_due_unhealthy(i, now)).count();
        // Not while somebody waits, as below.
        if self.has_waiters() {
            return unhealthy;
        }
        unhealthy + self.idle.iter().filter(|&&index| self.is_due_idle(index, now)).count()
    }

    /// Idle, and neither used nor checked for `check_interval`. Not while somebody waits, whose
    /// item it is then.
    fn due_idle(&self, now: Time) -> Option<usize> {
        if self.has_waiters() {
            return None;
        }
        self.idle.iter().position(|&index| self.is_due_idle(index, now))
    }

    fn is_due_idle(&self, index: usize, now: Time) -> bool {
        let slot = &self.slots[index];
        let due = |interval| slot.since.max(slot.checked_at).after(interval) <= now;
        self.rules.check_interval.is_some_and(due) || slot.check_due <= now
    }

    fn due_unhealthy(&self, now: Time) -> Option<usize> {
        self.unhealthy.iter().position(|&index| self.is_due_unhealthy(index, now))
    }

    fn is_due_unhealthy(&self, index: usize, now: Time) -> bool {
        let slot = &self.slots[index];
        slot.check_due <= now && matches!(slot.place, Place::Unhealthy(_))
    }

    /// When the next unhealthy item is checked, `now` if one is being checked; `None` if there is
    /// none.
    pub(crate) fn next_recheck(&self, now: Time) -> Option<Time> {
        let again = self.checks.iter().filter(|check| self.slots[check.index].failures > 0);
        let due = self.unhealthy.iter().map(|&index| self.slots[index].check_due);
        again.map(|_| now).chain(due).min()
    }

    /// What the last check that failed said, and when.
    pub(crate) fn last_check_error(&self) -> Option<(Arc<str>, Time)> {
        self.last_check_error.clone()
    }

    /// The next moment at which a check is to be given up, or begun out of turn.
    pub(super) fn next_check_event(&self, now: Time) -> Time {
        let ends = self.checks.iter().map(|check| check.ends);
        let due = self.unhealthy.iter().map(|&index| self.slots[index].check_due);
        // What is due already was announced.
        ends.chain(due.filter(|&due| due > now)).min().unwrap_or(Time::NEVER)
    }

    // ---- Under way ----

    /// Reserves one due item, an unhealthy one first, for the check of this number, which begins
    /// at once and ends with [`Self::checked`]. Announces if more are due.
    pub(crate) fn start_check(&mut self, check: u64, now: Time) -> Option<(usize, T)> {
        let due = if self.closed {
            None
        } else if let Some(at) = self.due_unhealthy(now) {
            self.unhealthy.remove(at)
        } else {
            self.due_idle(now).and_then(|at| self.idle.remove(at))
        };
        self.announce_due(now);
        let index = due?;
        let item = match std::mem::replace(&mut self.slots[index].place, Place::Checking(check)) {
            Place::Idle(item) | Place::Unhealthy(item) => item,
            _ => unreachable!("only a resting item can be checked"),
        };
        let ends = now.after(self.rules.check_timeout);
        self.checks.push(UnderWay { index, check, began: now, ends });
        Some((index, item))
    }

    /// A check ended. One that passed makes the item idle again; one that failed sets it aside,
    /// or evicts it after `max_check_failures` in a row. One that was given up before changes
    /// nothing any more.
    pub(crate) fn checked(
        &mut self,
        index: usize,
        check: u64,
        item: T,
        outcome: Result<(), Arc<str>>,
        now: Time,
    ) {
        match self.slots[index].place {
            Place::Checking(running) if running == check => {}
            Place::Absent(given_up) if given_up == check => {
                return self.came_late(index, item, now);
            }
            _ => return self.outbox.open().trash.push((item, EvictReason::Unhealthy)),
        }
        self.checks.retain(|running| running.check != check);
        let was_unhealthy = self.slots[index].failures > 0;
        let passed = outcome.is_ok();
        self.note_check(index, outcome, now);
        if let Some(reason) = self.reason_to_end(index, now) {
            self.end(index, item, reason);
        } else if passed {
            if was_unhealthy {
                self.outbox.open().alerts.push(Alert::Recovered);
                self.tell(News::Changed(StateChange::Recovered));
            }
            self.make_idle_after_check(index, item, now);
        } else if self.is_one_failure_too_many(index) {
            self.report_unhealthy(index);
            self.end(index, item, EvictReason::Unhealthy);
            self.replace_evicted();
        } else {
            self.set_aside(index, Place::Unhealthy(item), now);
        }
        self.settle(now);
    }

    /// Keeps `since`, so that checks do not keep an unused item young, and the order of the
    /// stack, by which the coldest is found.
    fn make_idle_after_check(&mut self, index: usize, item: T, now: Time) {
        let slot = &mut self.slots[index];
        slot.place = Place::Idle(item);
        slot.check_due = Time::NEVER;
        slot.checked_at = now;
        let since = slot.since;
        let at = self.idle.partition_point(|&other| self.slots[other].since <= since);
        self.idle.insert(at, index);
    }

    /// Into the list of the unhealthy, to be checked again after a pause that grows.
    fn set_aside(&mut self, index: usize, place: Place<T>, now: Time) {
        self.report_unhealthy(index);
        if self.slots[index].failures == 1 {
            // What was evicted long before has nothing to do with this one's trouble.
            self.may_replace = false;
            if let Some((error, _)) = &self.last_check_error {
                let error = error.clone();
                self.tell(News::Changed(StateChange::Unhealthy { error }));
            }
        }
        self.put_off(index, now);
        self.slots[index].place = place;
        self.unhealthy.push_back(index);
        self.refill_for(self.idle.len());
    }

    /// Once, until it recovers.
    fn report_unhealthy(&mut self, index: usize) {
        if self.slots[index].failures == 1 {
            if let Some((error, _)) = &self.last_check_error {
                let error = error.clone();
                self.outbox.open().alerts.push(Alert::Unhealthy { error });
            }
        }
    }

    fn put_off(&mut self, index: usize, now: Time) {
        let first = self.rules.maintenance_interval;
        let longest = self.rules.check_interval.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
        let slot = &mut self.slots[index];
        slot.check_due = now.after(grown(first, slot.failures).min(longest.max(first)));
    }

    fn replace_evicted(&mut self) {
        self.may_replace = true;
        self.refill_for(self.idle.len());
    }

    fn is_one_failure_too_many(&self, index: usize) -> bool {
        self.slots[index].failures >= self.rules.max_check_failures
    }

    fn note_check(&mut self, index: usize, outcome: Result<(), Arc<str>>, now: Time) {
        self.totals.checks += 1;
        let slot = &mut self.slots[index];
        slot.last_check = Some((now, outcome.is_ok()));
        match outcome {
            Ok(()) => slot.failures = 0,
            Err(text) => {
                slot.failures += 1;
                self.totals.check_failures += 1;
                self.last_check_error = Some((text, now));
            }
        }
    }

    // ---- Given up ----

    /// Gives up the checks that ran for `check_timeout`: they count as failed, and their slots
    /// serve again, though their items are still with whoever checks them.
    pub(super) fn give_up_overdue_checks(&mut self, now: Time) {
        while let Some(at) = self.checks.iter().position(|check| check.ends <= now) {
            let UnderWay { index, check, began, .. } = self.checks.swap_remove(at);
            let limit = self.rules.check_timeout;
            self.totals.check_timeouts += 1;
            self.note_check(
                index,
                Err(format!("the check took longer than {limit:?}").into()),
                now,
            );
            let ran = now.since(began);
            self.outbox.open().alerts.push(Alert::CheckGivenUp { check, ran });
            self.tell(News::Changed(StateChange::CheckGivenUp { ran }));
            let reason = self.reason_to_end(index, now);
            let too_many = self.is_one_failure_too_many(index);
            if reason.is_none() && !too_many && self.keeps_unhealthy() {
                self.set_aside(index, Place::Absent(check), now);
            } else {
                self.end_absent(index, reason.unwrap_or(EvictReason::Unhealthy));
                self.replace_evicted();
            }
        }
        self.fail_absent_again(now);
    }

    /// A check that still hangs when the next one would be due has failed again.
    fn fail_absent_again(&mut self, now: Time) {
        let is_due = |slots: &Self, index: usize| {
            let slot = &slots.slots[index];
            slot.check_due <= now && matches!(slot.place, Place::Absent(_))
        };
        while let Some(at) = self.unhealthy.iter().position(|&index| is_due(self, index)) {
            let index = self.unhealthy[at];
            self.slots[index].failures += 1;
            self.totals.check_failures += 1;
            if self.is_one_failure_too_many(index) {
                self.unhealthy.remove(at);
                self.end_absent(index, EvictReason::Unhealthy);
                self.replace_evicted();
            } else {
                self.put_off(index, now);
            }
        }
    }

    /// The item of a check that was given up is back, and its slot still there: it may be checked
    /// again like any other that is unhealthy.
    fn came_late(&mut self, index: usize, item: T, now: Time) {
        match self.reason_to_end(index, now) {
            Some(reason) => {
                self.unhealthy.retain(|&other| other != index);
                self.end(index, item, reason);
            }
            // On the list already.
            None => self.slots[index].place = Place::Unhealthy(item),
        }
        self.settle(now);
    }
}

/// `pause` after the first failure, doubled after each further one.
fn grown(pause: Duration, failures: u32) -> Duration {
    pause.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX))
}
