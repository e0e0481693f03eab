//! The books item by item.

use super::super::item_stats::{ItemState, ItemStats, LastCheck};
use super::{Place, Slot, Slots};
use crate::clock::Time;

impl<T, W: Clone> Slots<T, W> {
    /// Every slot that is not vacant, in no order that means anything.
    pub(crate) fn items(&self, now: Time) -> Vec<ItemStats> {
        self.slots.iter().filter_map(|slot| slot.stats(now)).collect()
    }
}

impl<T> Slot<T> {
    fn stats(&self, now: Time) -> Option<ItemStats> {
        let state = match self.place {
            Place::Vacant => return None,
            Place::Creating(_) => ItemState::Creating,
            Place::Idle(_) => ItemState::Idle,
            Place::Checking(_) => ItemState::Checking,
            Place::Unhealthy(_) | Place::Absent(_) => ItemState::Unhealthy,
            Place::Leased => ItemState::InUse,
        };
        let last_used = match state {
            ItemState::InUse => Some(now),
            // `since` is then when its last lease ended: no check changes it.
            _ => (self.uses > 0).then_some(self.since),
        };
        Some(ItemStats {
            state,
            uses: self.uses,
            age: now.since(self.made),
            last_used: last_used.map(|at| now.since(at)),
            last_check: self
                .last_check
                .map(|(at, passed)| LastCheck { ago: now.since(at), passed }),
            failures: self.failures,
        })
    }
}
