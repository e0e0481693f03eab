//! Limits that several pools share, as one pool sees them.
//!
//! A pool that is under shared limits holds a *permit* for every lease that is out. It asks for
//! them with its own lock held, so the lock behind [`Permits`] is always the second of the two and
//! never held for longer than bookkeeping takes. What is freed for another pool is not handed over
//! there and then, but named in [`Grants`], carried out once no lock is held.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::clock::Time;

/// What a pool asks of the limits that it shares with others.
///
/// A freed permit goes to a pool that wants one before anybody can take it, so whoever finds room
/// in all limits may have it: nobody who could use it waits.
pub(crate) trait Permits: Send + Sync {
    /// Whom to tell of what is granted. Called once, before anything else.
    fn bind(&self, pool: Weak<dyn Permitted>);

    /// A permit, if there is room in every limit.
    fn take(&self) -> bool;

    /// The same for somebody who waits since `since`. If there is no room this is remembered, in
    /// place of what was before, until it is granted.
    fn take_or_want(&self, since: Time) -> bool;

    /// Nobody of this pool waits for a permit any more.
    fn stop_wanting(&self);

    /// Gives permits back. Whoever waits in this pool itself, since `waits`, and could use one now
    /// is remembered before that, so that it comes before those who came later elsewhere.
    fn put_back(&self, permits: usize, waits: Option<Time>) -> PutBack;

    /// The narrowest limit that has no room.
    fn full(&self) -> Option<SharedLimit>;

    /// Whether one more item may be made. If not and `wanted`, this is remembered, as for permits,
    /// and other pools are to give up an idle item each ([`Self::reclaim`]) until it may.
    fn open(&self, wanted: bool) -> bool;

    /// Nobody of this pool needs to make an item any more that it may not.
    fn stop_opening(&self);

    /// The bound on items, if it has no room.
    fn full_open(&self) -> Option<SharedLimit>;

    /// So many items are gone.
    fn closed(&self, items: usize) -> Grants;

    /// Whether some pool may not make an item that it needs.
    fn is_open_wanted(&self) -> bool;

    /// Has other pools give up idle items for those that need to make one. Called without a lock.
    fn reclaim(&self);
}

/// A pool, as the limits that it shares see it.
pub(crate) trait Permitted: Send + Sync {
    /// The pool was granted this, and uses or returns it.
    fn granted(self: Arc<Self>, what: Granted);

    /// Ends an idle item for another pool to make one. Says whether there was one.
    fn give_up_idle(self: Arc<Self>) -> bool;
}

/// What limits give to a pool that had to wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granted {
    /// A permit for a lease.
    Permit,
    /// Leave to make one item.
    Open,
}

/// Who was granted what, to be told once no lock is held.
pub(crate) type Grants = Vec<Grant>;

/// What became of permits put back.
#[derive(Default)]
pub(crate) struct PutBack {
    /// One was granted to the same pool, which is not among the `grants`.
    pub(crate) kept: bool,
    pub(crate) grants: Grants,
}

pub(crate) type Grant = (Weak<dyn Permitted>, Granted);

/// Tells them. A pool that ended meanwhile had everything taken back from it at its end.
pub(crate) fn tell(grants: Grants) {
    for (pool, what) in grants {
        if let Some(pool) = pool.upgrade() {
            pool.granted(what);
        }
    }
}

/// A limit that several pools share.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SharedLimit {
    /// `max_per_host`: all keys of one host.
    #[non_exhaustive]
    Host {
        /// Which.
        host: Arc<str>,
        /// The limit.
        max: usize,
        /// Leases in use under it.
        in_use: usize,
    },
    /// `max_total`: all keys.
    #[non_exhaustive]
    Total {
        /// The limit.
        max: usize,
        /// Leases in use under it.
        in_use: usize,
    },
    /// `max_open`: items of all keys, and none of the others is idle.
    #[non_exhaustive]
    Open {
        /// The limit.
        max: usize,
        /// Items that exist, or are being made.
        open: usize,
    },
}

impl SharedLimit {
    pub(super) fn in_use(&self) -> usize {
        match *self {
            Self::Host { in_use, .. } | Self::Total { in_use, .. } => in_use,
            Self::Open { open, .. } => open,
        }
    }

    /// The setting that holds it.
    pub(super) fn setting(&self) -> &'static str {
        match self {
            Self::Host { .. } => "max_per_host",
            Self::Total { .. } => "max_total",
            Self::Open { .. } => "max_open",
        }
    }
}

impl fmt::Display for SharedLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, max, in_use } => {
                write!(f, "max_per_host of {host} ({in_use} of {max} in use)")
            }
            Self::Total { max, in_use } => write!(f, "max_total ({in_use} of {max} in use)"),
            Self::Open { max, open } => write!(f, "max_open ({open} of {max} open)"),
        }
    }
}
