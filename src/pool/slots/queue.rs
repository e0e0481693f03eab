//! The queue of waiters: strict order, save for a waiter's first moment.
//!
//! Once a queue stands, handing every item over costs a wake-up each, and no running thread gets
//! anything without going to sleep first. So while the first waiter is young, an item that comes
//! back is left where a running thread may take it, and the waiter is told once to come and look.
//! If it comes too late it keeps its place in front, and looks again when its moment is over.
//! From then on nobody overtakes it: what comes back is handed to it under the lock.

use std::time::Duration;

use super::super::holder::Holder;
use super::super::permits::SharedLimit;
use super::{Grant, Slots, may_warn};
use crate::clock::Time;

/// How long a waiter may be overtaken. Long beside a wake-up (some microseconds), short beside
/// any call over a network.
pub(super) const MOMENT: Duration = Duration::from_micros(500);

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

pub(super) struct Waiter<W> {
    ticket: Ticket,
    pub(super) wake: W,
    pub(super) since: Time,
    /// The end of its first moment, in which it may be overtaken.
    young_until: Time,
    /// When its use of the item must have ended; never if it waits for no other than the creation
    /// of its own.
    pub(super) use_until: Time,
    holder: Holder,
    /// Told to come and look.
    nudged: bool,
}

impl<W> Waiter<W> {
    fn is_young(&self, now: Time) -> bool {
        now < self.young_until
    }

    #[cfg(test)]
    pub(super) fn was_nudged(&self) -> bool {
        self.nudged
    }
}

/// What becomes of a thread that finds no idle item.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined<T> {
    /// There is one after all, now leased to it.
    Item(usize, T),
    Waits(Ticket),
}

/// Why a thread may not even wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    QueueFull,
    Closed,
    Unhealthy,
}

/// What a waiter leaves the queue with at its deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GaveUp {
    /// The place that it had reached, from 1.
    pub(crate) place: usize,
    /// The limit shared with other pools that kept it, if it was one.
    pub(crate) limit: Option<SharedLimit>,
    /// Whether it is the first in a maintenance interval.
    pub(crate) is_first: bool,
}

/// What a waiter finds that came to look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look<T> {
    /// An item, now leased to it.
    Item(usize, T),
    /// Nothing yet; look again then, unless an item is handed over before.
    Later(Time),
    /// Its grant is already under way.
    Granted,
}

impl<T, W: Clone> Slots<T, W> {
    /// Takes an idle item if there is one after all; else joins the queue, and has an item
    /// created if the caps leave room.
    pub(crate) fn join(
        &mut self,
        wake: W,
        now: Time,
        holder: Holder,
        use_until: Time,
    ) -> Result<Joined<T>, Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        if let Some((index, item)) = self.take(now, holder.clone()) {
            return Ok(Joined::Item(index, item));
        }
        if self.refuses_as_unhealthy() {
            return Err(Refused::Unhealthy);
        }
        let without = self.waiters.len().saturating_sub(self.creating_for_queue);
        if without >= self.rules.max_waiting && !self.would_create_for_one_more() {
            self.totals.queue_full += 1;
            self.note_demand(1);
            return Err(Refused::QueueFull);
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let young_until = now.after(self.rules.moment);
        let since = now;
        // As with an idle item: else nothing would ever tell that holds have become shorter.
        let use_until = if self.would_create_for_one_more() { Time::NEVER } else { use_until };
        let waiter = Waiter { ticket, wake, since, young_until, use_until, holder, nudged: false };
        self.waiters.push_back(waiter);
        self.note_demand(0);
        self.settle(now);
        Ok(Joined::Waits(ticket))
    }

    /// Of those in the pool, and `more` who were turned away just now.
    pub(super) fn note_demand(&mut self, more: usize) {
        let demand = self.in_use() + self.waiters.len() + more;
        self.totals.peak_demand = self.totals.peak_demand.max(demand);
    }

    /// A waiter that was nudged, or whose moment is over, looks for an idle item.
    pub(crate) fn look(&mut self, ticket: Ticket, now: Time) -> Look<T> {
        let Some(place) = self.place_of(ticket) else { return Look::Granted };
        let Waiter { young_until, since, .. } = self.waiters[place];
        if place == 0 {
            if let Some((index, item)) = self.pop_idle_for_waiter(since, now) {
                if let Some(waiter) = self.waiters.pop_front() {
                    self.note_wait(&waiter, now);
                    self.lease_out(index, now, waiter.holder);
                }
                // Another idle item may be there for the next in line.
                self.settle(now);
                return Look::Item(index, item);
            }
            // Expired items may have gone on the way and left room.
            self.hire(now);
            self.return_excess();
        }
        Look::Later(if now < young_until { young_until } else { Time::NEVER })
    }

    /// Leaves the queue at the deadline. `None` if a grant is already under way, which must then
    /// be received.
    pub(crate) fn give_up(&mut self, ticket: Ticket, now: Time) -> Option<GaveUp> {
        let place = self.place_of(ticket)?;
        let limit = self.shared_limit_in_force();
        self.waiters.remove(place);
        self.totals.timeouts += 1;
        match limit {
            Some(SharedLimit::Host { .. }) => self.totals.timeouts_at_host += 1,
            Some(SharedLimit::Total { .. }) => self.totals.timeouts_at_total += 1,
            Some(SharedLimit::Open { .. }) => self.totals.timeouts_at_open += 1,
            None => {}
        }
        self.abandon_excess();
        // Whatever it was nudged for is the next one's.
        self.settle(now);
        let is_first = may_warn(&mut self.warned_timeout, self.rules.maintenance_interval, now);
        Some(GaveUp { place: place + 1, limit, is_first })
    }

    /// Serves the queue: the one routine behind law 2, run after whatever may have freed capacity
    /// or changed who is first. Afterwards no item is idle while a waiter past its moment is in
    /// front, a young one in front has been nudged, and creations are under way as the caps allow.
    pub(super) fn settle(&mut self, now: Time) {
        self.dismiss_too_late(now);
        while let Some(first) = self.waiters.front_mut() {
            if self.idle.is_empty() {
                break;
            }
            if first.is_young(now) {
                if !first.nudged {
                    first.nudged = true;
                    self.outbox.open().grants.push((first.wake.clone(), Grant::Look));
                }
                break;
            }
            let since = first.since;
            let Some((index, item)) = self.pop_idle_for_waiter(since, now) else { break };
            let Some(waiter) = self.waiters.pop_front() else { break };
            self.hand_over(index, item, waiter, now);
        }
        self.hire(now);
        self.return_excess();
    }

    fn pop_idle_for_waiter(&mut self, since: Time, now: Time) -> Option<(usize, T)> {
        if self.idle.is_empty() || !self.permit_waiter(since) {
            return None;
        }
        let popped = self.pop_idle(now);
        if popped.is_none() {
            self.put_back_permit();
        }
        popped
    }

    /// Whether a thread that has just come may take an idle item before those who wait.
    pub(super) fn may_overtake(&mut self, now: Time) -> bool {
        self.settle(now);
        self.waiters.front().is_none_or(|first| first.is_young(now))
    }

    pub(super) fn hand_over(&mut self, index: usize, item: T, waiter: Waiter<W>, now: Time) {
        self.note_wait(&waiter, now);
        self.lease_out(index, now, waiter.holder);
        self.outbox.open().grants.push((waiter.wake, Grant::Item(index, item)));
    }

    /// Everybody who waits leaves, to hear that the pool is closed.
    pub(super) fn dismiss_all(&mut self) {
        for waiter in self.waiters.drain(..) {
            self.outbox.open().grants.push((waiter.wake, Grant::Closed));
        }
    }

    /// Tickets grow along the queue.
    fn place_of(&self, ticket: Ticket) -> Option<usize> {
        self.waiters.binary_search_by_key(&ticket, |waiter| waiter.ticket).ok()
    }
}
