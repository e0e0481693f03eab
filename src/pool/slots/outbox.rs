//! What the books leave to be done once the lock is released.

use super::super::holder::Holder;
use super::super::observer::StateChange;
use super::super::permits::Grants;
use super::super::stats::EvictReason;
use std::sync::Arc;
use std::time::Duration;

use super::Late;

/// Filled under the lock, carried out after it.
pub(crate) struct Outbox<T, W> {
    /// What the observer is to be told, if there is one.
    pub(crate) news: Vec<News>,
    /// What waiters are to be sent.
    pub(crate) grants: Vec<(W, Grant<T>)>,
    /// What other pools are to be told.
    pub(crate) shared: Grants,
    /// Other pools are to give up idle items.
    pub(crate) reclaim: bool,
    /// What workers are to do.
    pub(crate) jobs: Vec<Job>,
    /// Items to drop.
    pub(crate) trash: Vec<(T, EvictReason)>,
    /// What the log or the checkers are to be told.
    pub(crate) alerts: Vec<Alert>,
}

/// What an observer is told of the books.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    Created { took: Duration },
    Detached { held: Duration },
    Evicted(EvictReason),
    Changed(StateChange),
}

/// What a waiter gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Grant<T> {
    /// A leased item, in this slot.
    Item(usize, T),
    /// An idle item may be had, by whoever comes first.
    Look,
    /// Too little time is left to use an item.
    TooLate(Late),
    /// The pool was closed.
    Closed,
    /// All items have become unhealthy.
    Unhealthy,
}

/// What a worker does; the slot is reserved for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Create(usize),
}

/// What the log or the checkers are to be told.
#[derive(Debug)]
pub(crate) enum Alert {
    NearlyFull,
    Leak {
        holder: Holder,
        held: Duration,
    },
    /// An item failed a check, and had passed the one before, if any.
    Unhealthy {
        error: Arc<str>,
    },
    Recovered,
    /// Checks are due: the checkers shall come and ask.
    ChecksDue,
    /// The check of this number is counted on no more.
    CheckGivenUp {
        check: u64,
        ran: Duration,
    },
    /// A pass of maintenance found something to do.
    CleanedUp {
        evicted: u64,
        /// Creations begun.
        refilled: usize,
        /// Checks due.
        due: usize,
    },
}

/// The outbox while the lock is held. Nearly always there is none, which one look tells.
pub(super) struct Pending<T, W>(Option<Box<Outbox<T, W>>>);

impl<T, W> Pending<T, W> {
    pub(super) fn open(&mut self) -> &mut Outbox<T, W> {
        self.0.get_or_insert_default()
    }

    pub(super) fn add_grants(&mut self, mut grants: Grants) {
        if !grants.is_empty() {
            self.open().shared.append(&mut grants);
        }
    }

    #[inline]
    pub(super) fn take(&mut self) -> Option<Outbox<T, W>> {
        self.0.take().map(|outbox| *outbox)
    }
}

impl<T, W> Default for Pending<T, W> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T, W> Default for Outbox<T, W> {
    fn default() -> Self {
        // No allocation until something is pushed.
        Self {
            news: Vec::new(),
            grants: Vec::new(),
            shared: Vec::new(),
            reclaim: false,
            jobs: Vec::new(),
            trash: Vec::new(),
            alerts: Vec::new(),
        }
    }
}
