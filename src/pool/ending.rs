//! The end of a pool: closing it, by its last handle too, and what is left of it then.

use std::sync::{Arc, Weak};

use super::maintenance::{self, Upkeep};
use super::manage::Manage;
use super::request_stats::RequestStats;
use super::shared::{Books, Drops, Shared};
use super::snapshot::Snapshot;
use crate::caught::say;
use crate::clock::Time;

/// A pool that may have ended.
pub(crate) struct WeakPool<M: Manage>(pub(super) Weak<Shared<M>>);

/// Keeps a pool from ending, and no more: it can be closed.
pub(crate) struct KeptPool<M: Manage>(Arc<Shared<M>>);

impl<M: Manage> WeakPool<M> {
    /// `None` if it has ended, or ends just now.
    pub(crate) fn keep(&self) -> Option<KeptPool<M>> {
        self.0.upgrade().map(KeptPool)
    }

    /// Waits until every lease has come home, or until `deadline`; says which.
    pub(crate) fn is_home_by(&self, deadline: Time) -> bool {
        let home = |shared: Arc<Shared<M>>| shared.wait_until(deadline, |b| b.in_use() == 0);
        self.0.upgrade().is_none_or(home)
    }
}

impl<M: Manage> KeptPool<M> {
    pub(crate) fn left(&self) -> Left {
        self.0.left()
    }
}

impl<M: Manage> Clone for WeakPool<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Who is to have what is left of a pool.
pub(crate) struct Will {
    pub(crate) heir: Arc<dyn Heir>,
    /// What the log knows the pool by, beside its name.
    pub(crate) key: Box<str>,
    /// What the heir knows the pool by.
    pub(crate) number: u64,
}

/// Has what is left of pools that have ended.
pub(crate) trait Heir: Send + Sync {
    /// Called once, without a lock, wherever the last of the pool goes.
    fn inherit(&self, number: u64, left: Left);
}

/// What a pool has come to.
pub(crate) struct Left {
    pub(crate) pool: Snapshot,
    pub(crate) requests: RequestStats,
}

impl Left {
    pub(crate) fn none(name: Arc<str>) -> Self {
        Self { pool: Snapshot::none(name), requests: RequestStats::default() }
    }

    /// Adds all but what is there now.
    pub(crate) fn add_totals(&mut self, other: &Self) {
        self.pool.add_totals(&other.pool);
        self.requests += &other.requests;
    }
}

impl<M: Manage> Drop for Shared<M> {
    fn drop(&mut self) {
        if let Some(Will { heir, number, .. }) = self.will.take() {
            heir.inherit(number, self.left());
        }
    }
}

/// What the handles of a pool have in common.
pub(super) struct CloseOnDrop<M: Manage>(pub(super) Arc<Shared<M>>);

impl<M: Manage> Drop for CloseOnDrop<M> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<M: Manage> Shared<M> {
    pub(super) fn close(self: &Arc<Self>) {
        self.close_if(Drops::Here, |_| true);
    }

    /// Says whether it did: false if the pool was closed before.
    pub(super) fn close_if(
        self: &Arc<Self>,
        drops: Drops,
        may: impl FnOnce(&Books<M>) -> bool,
    ) -> bool {
        let step = |books: &mut Books<M>, now| {
            let first = !books.is_closed() && may(books) && books.close();
            (first, books.next_upkeep(now))
        };
        let (first, next) = self.with_exact_time(drops, step);
        if first {
            // Else it comes once more, to give up what hangs.
            if next.is_none() {
                maintenance::withdraw(&(Arc::downgrade(self) as Weak<dyn Upkeep>));
            }
            let (name, stats) = (self.name(), self.stats());
            say!(
                Debug,
                { pool = **name, key:? = self.key(), event = "closed", ..stats },
                "pool \"{name}\": closed: {stats}"
            );
        }
        first
    }

    fn left(&self) -> Left {
        Left { pool: self.snapshot(), requests: self.requests() }
    }
}
