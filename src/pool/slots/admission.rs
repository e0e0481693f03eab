//! Refusing at once whoever could not be served in time.

use std::time::Duration;

use super::queue::Waiter;
use super::{Grant, Slots};
use crate::clock::Time;

/// What a caller is told that comes too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late {
    /// When it would have been served or, if its deadline covers the use, done, counted from now.
    pub(crate) estimate: Duration,
    /// How long it was ready to wait, or to take in all.
    pub(crate) given: Duration,
}

/// How much one hold counts beside those before it: as much as to tell of the last dozen or so.
const WEIGHT: u32 = 8;

impl<T, W: Clone> Slots<T, W> {
    /// Keeps a mean of holds in which older ones count ever less.
    pub(super) fn note_recent_hold(&mut self, held: Duration) {
        let recent = self.recent_hold.unwrap_or(held);
        self.recent_hold = Some(recent - recent / WEIGHT + held / WEIGHT);
    }

    /// Whether a caller that would have to wait until `deadline` might as well not, with `admission`.
    /// Never if there is an item for it, or one can be created, or no hold is known yet.
    ///
    /// With `n` leases out that are held for `h` each, one comes back every `h / n` on average, and
    /// the caller at place `k` is served after `k h / n` (Little's law for the leases).
    pub(crate) fn too_late(&mut self, now: Time, deadline: Time, covers_use: bool) -> Option<Late> {
        let hold = self.recent_hold.filter(|_| self.rules.admission && !self.closed)?;
        let ahead = self.waiters.len().saturating_sub(self.creating_for_queue);
        let at_once = ahead == 0 && !self.idle.is_empty() && self.permit_is_at_hand();
        if at_once || self.would_create_for_one_more() {
            return None;
        }
        let place = u32::try_from(ahead + 1).unwrap_or(u32::MAX);
        // Under a shared limit the leases of other pools come back for it too. So do others wait,
        // which is not known here: better to let one too many wait than to refuse one with hope.
        let out = self.shared_limit_in_force().map_or(self.in_use(), |limit| limit.in_use());
        let out = u32::try_from(out.max(1)).unwrap_or(u32::MAX);
        let wait = hold.saturating_mul(place) / out;
        let estimate = if covers_use { wait.saturating_add(hold) } else { wait };
        let given = deadline.since(now);
        if estimate <= given {
            return None;
        }
        self.totals.too_late += 1;
        self.note_demand(1);
        Some(Late { estimate, given })
    }

    /// Whoever is next but has less time left than a lease was held of late, with `admission`, is
    /// told so: it would only be cut off, and keep others waiting meanwhile. Not one for which an
    /// item could be created when it came.
    pub(super) fn dismiss_too_late(&mut self, now: Time) {
        let Some(hold) = self.recent_hold else { return };
        let is_late = |waiter: &Waiter<W>| waiter.use_until < now.after(hold);
        while self.waiters.front().is_some_and(is_late) {
            let Some(waiter) = self.waiters.pop_front() else { return };
            let estimate = now.since(waiter.since).saturating_add(hold);
            let late = Late { estimate, given: waiter.use_until.since(waiter.since) };
            self.totals.too_late += 1;
            self.outbox.open().grants.push((waiter.wake, Grant::TooLate(late)));
            self.abandon_excess();
        }
    }
}
