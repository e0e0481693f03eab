//! What a pool does whose items are all unhealthy, as [`WhenUnhealthy`] says.
//!
//! *All unhealthy* means: at least one item is unhealthy (set aside, or set aside before and being
//! checked again now), and there is no other: none idle, none leased, none under a check that it
//! may well pass, no creation that anybody counts on. With `Replace` that is no state of its own:
//! refill does not count unhealthy items, and a waiter may have the slot of one.
//!
//! With `Fail` and `Wait` unhealthy items keep their slots, and count as there when it is seen what
//! is missing to `min_idle`. While all are unhealthy, nothing is created: `Fail` turns every caller
//! away, those in the queue too, and `Wait` lets them wait. That ends when one passes its check,
//! or when one is evicted after `max_check_failures`: then one item may be created in its place,
//! which is as good as any other from then on.

use super::super::config::WhenUnhealthy;
use super::{Grant, Slots};

impl<T, W: Clone> Slots<T, W> {
    /// Whether unhealthy items keep their slots from waiters and from refill.
    #[inline]
    pub(super) fn keeps_unhealthy(&self) -> bool {
        self.rules.when_unhealthy != WhenUnhealthy::Replace
    }

    /// Whether all items are unhealthy and none may be created to replace them.
    pub(super) fn is_held_back(&self) -> bool {
        self.keeps_unhealthy() && !self.may_replace && self.is_all_unhealthy()
    }

    /// Whether callers are turned away because of it.
    pub(crate) fn refuses_as_unhealthy(&self) -> bool {
        self.rules.when_unhealthy == WhenUnhealthy::Fail && self.is_held_back()
    }

    fn is_all_unhealthy(&self) -> bool {
        let other =
            self.idle.len() + self.in_use() + (self.creating - self.abandoned) + self.may_pass();
        other == 0 && self.bad() > 0
    }

    /// Items under check that were well before.
    pub(super) fn may_pass(&self) -> usize {
        self.checks.iter().filter(|check| self.slots[check.index].failures == 0).count()
    }

    /// Items set aside, or being checked again after that. One from before a reset is as good as
    /// gone.
    pub(super) fn bad(&self) -> usize {
        let checked_again = self.checks.iter().filter(|check| {
            let slot = &self.slots[check.index];
            slot.failures > 0 && slot.epoch == self.epoch
        });
        self.unhealthy.len() + checked_again.count()
    }

    /// Turns away everybody who waits if all items have become unhealthy. Says whether nothing
    /// may be created now.
    pub(super) fn holds_back(&mut self) -> bool {
        if !self.is_held_back() {
            return false;
        }
        if self.rules.when_unhealthy == WhenUnhealthy::Fail {
            for waiter in self.waiters.drain(..) {
                self.outbox.open().grants.push((waiter.wake, Grant::Unhealthy));
            }
        }
        true
    }
}
