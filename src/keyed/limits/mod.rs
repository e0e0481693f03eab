//! The limits that the pools of one [`KeyedPool`](super::KeyedPool) share: a total, one a host,
//! and a bound on open items.
//!
//! ```text
//!     total ──┬── host ──┬── pool      a lease counts at its pool, its host and the total
//!             │          └── pool
//!             └── host ───── pool
//! ```
//!
//! One lock, taken with a pool's lock held, never the other way round. A freed permit is given on
//! before the lock is released, so that after every step no pool wants one that could have one.

mod tree;

use std::sync::{Arc, Weak};

use super::by_use::Step;
use crate::clock::Time;
use crate::pool::SharedLimit;
use crate::pool::permits::{Grants, Permits, Permitted, PutBack, tell};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tree::{Level, Tree};

/// No limit.
pub(super) const NONE: usize = usize::MAX;

pub(super) struct Limits {
    tree: Mutex<Tree>,
    /// `tree.open_wanters` is not empty; read at every put-back.
    open_wanted: AtomicBool,
    /// How often reclaiming was asked for since it began; 0 while nobody is at it.
    reclaims: AtomicUsize,
}

/// Limits by which a keyed pool starts; [`NONE`] for none.
#[derive(Clone, Copy)]
pub(super) struct Caps {
    pub(super) max_total: usize,
    pub(super) max_per_host: usize,
    pub(super) max_open: usize,
}

impl Limits {
    pub(super) fn new(caps: Caps) -> Arc<Self> {
        Arc::new(Self {
            tree: Mutex::new(Tree::new(caps)),
            open_wanted: AtomicBool::new(false),
            reclaims: AtomicUsize::new(0),
        })
    }

    /// A new pool's share in them, ended by its drop.
    pub(super) fn join(self: &Arc<Self>, host: &str) -> Arc<Member> {
        let (id, host) = self.tree.lock().join(host);
        Arc::new(Member { limits: self.clone(), id, host })
    }

    /// Refused if more than the bound on open items, which is then the error.
    pub(super) fn set_max_total(&self, max: usize) -> Result<(), usize> {
        {
            let mut tree = self.tree.lock();
            if max > tree.max_open {
                return Err(tree.max_open);
            }
            tree.total.wanted = max;
        }
        self.widen();
        Ok(())
    }

    /// For every host without a limit of its own.
    pub(super) fn set_max_per_host(&self, max: usize) {
        self.tree.lock().set_max_per_host(max);
        self.widen();
    }

    pub(super) fn set_max_of_host(&self, name: &str, max: usize) {
        self.tree.lock().set_max_of_host(name, max);
        self.widen();
    }

    /// Refused if less than the total, which is then the error.
    pub(super) fn set_max_open(&self, max: usize) -> Result<(), usize> {
        let grants = {
            let mut tree = self.tree.lock();
            if max < tree.total.wanted {
                return Err(tree.total.wanted);
            }
            tree.max_open = max;
            let grants = tree.grant_open();
            self.note_open_wanted(&tree);
            grants
        };
        tell(grants);
        Ok(())
    }

    /// Puts changed limits into force. Wider ones serve those who wait one by one, each told before
    /// the next is chosen, so that the order is the same as if leases had come back.
    fn widen(&self) {
        loop {
            let (grant, more) = self.tree.lock().widen_by_one();
            tell(grant.into_iter().collect());
            if !more {
                return;
            }
        }
    }

    pub(super) fn max_total(&self) -> usize {
        self.tree.lock().total.wanted
    }

    /// As they are now.
    pub(super) fn caps(&self) -> Caps {
        let tree = self.tree.lock();
        let (max_total, max_open) = (tree.total.wanted, tree.max_open);
        Caps { max_total, max_per_host: tree.max_per_host(), max_open }
    }

    /// Items open, and the bound on them.
    pub(super) fn open(&self) -> (usize, usize) {
        let tree = self.tree.lock();
        (tree.open, tree.max_open)
    }

    /// Every host that has a pool, with its limit.
    pub(super) fn hosts(&self) -> Vec<(Arc<str>, usize)> {
        let tree = self.tree.lock();
        let with_pools = tree.hosts.iter().filter(|host| host.members > 0);
        with_pools.map(|host| (host.name.clone(), host.level.wanted)).collect()
    }

    /// Has one item given up, if it is wanted. Says whether there was one.
    fn reclaim_one(&self) -> bool {
        let mut look = self.tree.lock().look_by_use();
        let gives_up = |pool: Weak<dyn Permitted>| pool.upgrade().is_some_and(|p| p.give_up_idle());
        while self.open_wanted.load(Ordering::SeqCst) {
            // A lock for each step: there may be many.
            let step = self.tree.lock().next_by_use(&mut look);
            match step {
                Step::Found(pool) => {
                    if pool.is_some_and(gives_up) {
                        return true;
                    }
                }
                Step::Moved => {}
                Step::End => return false,
            }
        }
        false
    }

    fn note_open_wanted(&self, tree: &Tree) {
        // Under the lock, so that the last to change it has the last word.
        self.open_wanted.store(!tree.open_wanters.is_empty(), Ordering::SeqCst);
    }
}

/// One pool's share in the limits.
pub(super) struct Member {
    limits: Arc<Limits>,
    id: usize,
    host: Arc<str>,
}

impl Member {
    pub(super) fn host(&self) -> Arc<str> {
        self.host.clone()
    }
}

impl Permits for Member {
    fn bind(&self, pool: Weak<dyn Permitted>) {
        self.limits.tree.lock().members[self.id].pool = Some(pool);
    }

    #[inline]
    fn take(&self) -> bool {
        self.limits.tree.lock().take(self.id)
    }

    fn take_or_want(&self, since: Time) -> bool {
        let mut tree = self.limits.tree.lock();
        let took = tree.take(self.id);
        tree.set_wants(self.id, (!took).then_some(since));
        took
    }

    fn stop_wanting(&self) {
        self.limits.tree.lock().set_wants(self.id, None);
    }

    #[inline]
    fn put_back(&self, permits: usize, waits: Option<Time>) -> PutBack {
        self.limits.tree.lock().put_back(self.id, permits, waits)
    }

    fn full(&self) -> Option<SharedLimit> {
        let tree = self.limits.tree.lock();
        let host = &tree.hosts[tree.members[self.id].host];
        if !host.level.has_room() {
            let Level { max, used, .. } = host.level;
            return Some(SharedLimit::Host { host: host.name.clone(), max, in_use: used });
        }
        let Level { max, used, .. } = tree.total;
        (!tree.total.has_room()).then_some(SharedLimit::Total { max, in_use: used })
    }

    fn open(&self, wanted: bool) -> bool {
        let mut tree = self.limits.tree.lock();
        let may = tree.open(self.id, wanted);
        self.limits.note_open_wanted(&tree);
        may
    }

    fn stop_opening(&self) {
        let mut tree = self.limits.tree.lock();
        tree.stop_opening(self.id);
        self.limits.note_open_wanted(&tree);
    }

    fn full_open(&self) -> Option<SharedLimit> {
        let (open, max) = self.limits.open();
        (open >= max).then_some(SharedLimit::Open { max, open })
    }

    fn closed(&self, items: usize) -> Grants {
        let mut tree = self.limits.tree.lock();
        let grants = tree.closed(self.id, items);
        self.limits.note_open_wanted(&tree);
        grants
    }

    #[inline]
    fn is_open_wanted(&self) -> bool {
        self.limits.open_wanted.load(Ordering::SeqCst)
    }

    /// The pools that were used least recently first.
    fn reclaim(&self) {
        let asked = &self.limits.reclaims;
        // One at a time, which may be further up this stack: what one pool gives up lets another
        // go on, and ask for the next.
        if asked.fetch_add(1, Ordering::SeqCst) > 0 {
            return;
        }
        loop {
            let seen = asked.load(Ordering::SeqCst);
            while self.limits.reclaim_one() {}
            if asked.compare_exchange(seen, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return;
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let grants = {
            let mut tree = self.limits.tree.lock();
            let grants = tree.leave(self.id);
            self.limits.note_open_wanted(&tree);
            grants
        };
        tell(grants);
    }
}
