//! The books' account of how long things took.

use std::sync::Arc;
use std::time::Duration;

use super::super::snapshot::Snapshot;
use super::queue::Waiter;
use super::{Slots, Stats};
use crate::clock::Time;
use crate::histogram::Histogram;

/// An entry for every wait that was served, every lease that ended, every item that was made.
#[derive(Default)]
pub(super) struct Times {
    wait: Histogram,
    hold: Histogram,
    create: Histogram,
}

impl<T, W: Clone> Slots<T, W> {
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            max_size: self.rules.max_size,
            min_idle: self.rules.min_idle,
            idle: self.idle.len(),
            in_use: self.in_use(),
            creating: self.creating,
            checking: self.checks.len(),
            checks_due: self.checks_due,
            unhealthy: self.unhealthy.len(),
            waiting: self.waiters.len(),
            wait_time: self.times.wait.sum(),
            longest_wait: self.times.wait.longest(),
            hold_time: self.times.hold.sum(),
            ..self.totals
        }
    }

    pub(crate) fn snapshot(&self, name: Arc<str>) -> Snapshot {
        let Times { wait, hold, create } = &self.times;
        let (wait, hold, create) = (wait.clone(), hold.clone(), create.clone());
        Snapshot { name, stats: self.stats(), wait, hold, create }
    }

    /// A lease ends; says how long it was held.
    #[inline]
    pub(super) fn note_hold(&mut self, index: usize, now: Time) -> Duration {
        let held = now.since(self.slots[index].since);
        self.times.hold.add(held);
        if self.rules.admission {
            self.note_recent_hold(held);
        }
        held
    }

    pub(super) fn note_wait(&mut self, waiter: &Waiter<W>, now: Time) {
        self.totals.waits += 1;
        self.times.wait.add(now.since(waiter.since));
    }

    /// An item was made in a slot that was reserved for it before.
    pub(super) fn note_create_time(&mut self, index: usize, now: Time) -> Duration {
        let took = now.since(self.slots[index].since);
        self.times.create.add(took);
        took
    }
}
