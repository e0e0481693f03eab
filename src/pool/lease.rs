//! The guard that holds an item and puts it back.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::holder::ThreadTag;
use super::manage::{Manage, Terms};
use super::shared::{Drops, Shared};
use super::stats::EvictReason;
use crate::caught::caught;
use crate::clock::Time;

/// An item on loan from a [`Pool`](crate::Pool). Dropping it puts the item back.
///
/// It derefs to the item. What can be done with the lease itself are associated functions, so
/// that they hide none of the item's methods: `Lease::discard(lease)`.
///
/// The item is discarded in place of being put back if [`Manage::is_broken`] says so, or if the
/// lease is dropped while its thread panics, since nobody knows what state the panic left it in.
///
/// A lease may be sent to another thread and may outlive its pool.
#[must_use = "a lease that is dropped at once puts its item back at once"]
pub struct Lease<M: Manage> {
    /// `None` only once the item has left, on the way out.
    item: Option<M::Item>,
    slot: usize,
    taker: ThreadTag,
    waited: Duration,
    /// When the caller's deadline for the use of the item comes.
    deadline: Time,
    shared: Arc<Shared<M>>,
}

impl<M: Manage> Lease<M> {
    #[inline]
    pub(super) fn new(
        shared: Arc<Shared<M>>,
        slot: usize,
        mut item: M::Item,
        taker: ThreadTag,
        waited: Duration,
        deadline: Time,
    ) -> Self {
        ThreadTag::note_taken();
        // Before the lease takes it: who was told of a deadline has it from the first request on.
        let terms = Terms { remaining: remaining(deadline, &shared), waited };
        let lend = |manager: &M| caught(|| manager.lend(&mut item, terms));
        if let Some(Err(said)) = shared.manager_if().map(lend) {
            shared.log_panic("lend", &said);
        }
        shared.tell_got(waited);
        Self { item: Some(item), slot, taker, waited, deadline, shared }
    }

    /// Tells the pool that the item is bad: it is dropped, and its slot serves the next waiter.
    pub fn discard(mut lease: Self) {
        lease.end(EvictReason::Discarded);
    }

    /// Keeps the item and frees its slot: the pool no longer knows of it.
    #[must_use]
    pub fn detach(mut lease: Self) -> M::Item {
        let Some(item) = lease.item.take() else { unreachable!("{HOLDS}") };
        lease.shared.with_exact_time(Drops::Here, |slots, now| slots.detach(lease.slot, now));
        item
    }

    /// How long the `get` that gave this lease waited: zero if an item was idle.
    #[must_use]
    pub fn waited(lease: &Self) -> Duration {
        lease.waited
    }

    /// What is left of the time given to [`get_within`](crate::Pool::get_within), zero once it is
    /// over; `None` if the lease was taken without such a deadline. The agents of
    /// [`agent`](crate::agent) keep to it by themselves.
    #[must_use]
    #[inline]
    pub fn remaining(lease: &Self) -> Option<Duration> {
        remaining(lease.deadline, &lease.shared)
    }

    fn end(&mut self, reason: EvictReason) {
        if let Some(item) = self.item.take() {
            let slot = self.slot;
            self.shared.with_exact_time(Drops::Here, |slots, now| {
                slots.put_back_bad(slot, item, reason, now)
            });
        }
    }
}

#[inline]
fn remaining<M: Manage>(deadline: Time, shared: &Shared<M>) -> Option<Duration> {
    (deadline != Time::NEVER).then(|| deadline.since(shared.clock().now()))
}

const HOLDS: &str = "a lease holds its item until it is dropped";

impl<M: Manage> Drop for Lease<M> {
    #[inline]
    fn drop(&mut self) {
        self.taker.note_dropped();
        let Some(item) = &mut self.item else { return };
        if thread::panicking() {
            return self.end(EvictReason::Panicked);
        }
        // A panic here, on the way out of another scope, could end the process.
        let is_broken = |manager: &M| caught(|| manager.is_broken(item));
        match self.shared.manager_if().map_or(Ok(false), is_broken) {
            Ok(false) => {
                if let Some(item) = self.item.take() {
                    self.shared.put_back(self.slot, item);
                }
            }
            Ok(true) => self.end(EvictReason::Broken),
            Err(said) => {
                self.shared.log_panic("is_broken", &said);
                self.end(EvictReason::Broken);
            }
        }
    }
}

impl<M: Manage> Deref for Lease<M> {
    type Target = M::Item;

    #[inline]
    fn deref(&self) -> &M::Item {
        let Some(item) = &self.item else { unreachable!("{HOLDS}") };
        item
    }
}

impl<M: Manage> DerefMut for Lease<M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut M::Item {
        let Some(item) = &mut self.item else { unreachable!("{HOLDS}") };
        item
    }
}

impl<M: Manage> fmt::Debug for Lease<M> {
    /// Names the pool and the slot. Not the item: it may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("pool", &self.shared.name())
            .field("slot", &self.slot)
            .field("waited", &self.waited)
            .finish_non_exhaustive()
    }
}
