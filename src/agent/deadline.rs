//! Until when a request may run because its lease does.
//!
//! The deadline of a lease stands in a cell of its agent, written when the agent is lent. It is read
//! once a request, when that begins, and left for those below on the same thread to keep to: the
//! DNS cache, and the connector with its connections. A connection remembers it with the request,
//! for the body. `ureq` would take it as a time-out of the request, but tells nobody which time-out
//! the request brought, so the shorter one could not be chosen.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Clock;
use crate::clock::Time;

/// The deadline of an agent's lease. Clones share one.
#[derive(Clone)]
pub(super) struct Deadline(Arc<AtomicU64>);

impl Deadline {
    pub(super) fn none() -> Self {
        Self(Arc::new(AtomicU64::new(Time::NEVER.to_bits())))
    }

    // Relaxed: it guards no other memory, and a lease that goes to another thread takes what was
    // stored before along.
    #[inline]
    pub(super) fn set(&self, remaining: Option<Duration>) {
        let until = match remaining {
            None => Time::NEVER,
            // By the system's clock, as `ureq`'s own time-outs and the socket's.
            Some(remaining) => Clock::system().now().after(remaining),
        };
        self.0.store(until.to_bits(), Ordering::Relaxed);
    }

    pub(super) fn until(&self) -> Until {
        Until(Time::from_bits(self.0.load(Ordering::Relaxed)))
    }
}

/// When a request must have ended.
#[derive(Clone, Copy)]
pub(super) struct Until(Time);

thread_local! {
    /// Of the request that this thread is making.
    static CURRENT: Cell<Until> = const { Cell::new(Until::NEVER) };
}

impl Until {
    /// For a request without a deadline.
    pub(super) const NEVER: Self = Self(Time::NEVER);

    /// That of the request which the calling thread is making.
    pub(super) fn current() -> Self {
        CURRENT.get()
    }

    /// Zero once it has come; `None` if it never comes.
    pub(super) fn remaining(self) -> Option<Duration> {
        (self.0 != Time::NEVER).then(|| self.0.since(Clock::system().now()))
    }

    /// Runs `request` with this as the [`current`](Self::current) one. A body to be sent may make
    /// requests of its own meanwhile.
    pub(super) fn hold<T>(self, request: impl FnOnce() -> T) -> T {
        struct Restore(Until);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        let _restore = Restore(CURRENT.replace(self));
        request()
    }
}
