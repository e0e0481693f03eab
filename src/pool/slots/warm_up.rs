//! The books' part in warming up: what is still missing, asked for as far as there is room.

use super::{Place, Slot, Slots};
use crate::clock::Time;

/// How far a warm-up has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Warmth {
    /// Idle items that were used or have passed their check.
    pub(crate) ready: usize,
    /// Whether enough items are there, or no more are being created for it.
    pub(crate) created: bool,
    /// Whether no idle item is left that was neither used nor checked.
    pub(crate) checked: bool,
    /// Whether waiting is in vain: the pool was closed, or turns callers away.
    pub(crate) in_vain: bool,
}

impl<T, W: Clone> Slots<T, W> {
    /// A warm-up begins or ends: while one is under way, every step may be what it waits for.
    pub(crate) fn set_warming(&mut self, begins: bool) {
        self.warming = if begins { self.warming + 1 } else { self.warming.saturating_sub(1) };
    }

    pub(crate) fn is_warming(&self) -> bool {
        self.warming > 0
    }

    /// Changes with every creation and every check that ends, and with the pool's close.
    pub(crate) fn warming_step(&self) -> u64 {
        let Self { totals, .. } = self;
        let ended = totals.created + totals.create_failures + totals.checks;
        ended + totals.evicted + totals.detached + u64::from(self.closed)
    }

    /// Asks for what is missing to `wanted` items in all, unless creations fail, and for the check
    /// of every idle item that was neither used nor checked.
    pub(crate) fn warm_up(&mut self, wanted: usize, create_more: bool, now: Time) -> Warmth {
        let wanted = wanted.min(self.rules.max_size);
        if create_more && !self.closed {
            // Those that create for themselves and those that wait bring theirs in any case.
            let own = self.creating - self.creating_for_queue - self.abandoned;
            let coming = self.there() + own + self.waiters.len();
            self.refill = self.refill.max(wanted.saturating_sub(coming));
        }
        for index in &self.idle {
            let slot = &mut self.slots[*index];
            if slot.is_unproven() {
                slot.check_due = now;
            }
        }
        self.settle(now);
        self.announce_due(now);
        let given_up = !create_more && self.refill == 0;
        Warmth {
            ready: self.idle.iter().filter(|&&index| !self.slots[index].is_unproven()).count(),
            created: self.there() >= wanted || given_up,
            checked: !self.slots.iter().any(Slot::is_unproven),
            in_vain: self.closed || self.refuses_as_unhealthy(),
        }
    }

    /// Items that exist.
    fn there(&self) -> usize {
        self.size() - self.creating
    }
}

impl<T> Slot<T> {
    /// Idle or under its first check, and not used before.
    fn is_unproven(&self) -> bool {
        let in_pool = matches!(self.place, Place::Idle(_) | Place::Checking(_));
        in_pool && self.uses == 0 && self.last_check.is_none()
    }
}
