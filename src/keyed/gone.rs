//! What the pools came to whose keys are gone, so that the totals of a keyed pool never fall.
//!
//! ```text
//!     in the directory ──leave──▶ leaving: leases, creations, checks still out ──inherit──▶ ended
//! ```
//!
//! A pool is leaving before it is taken out of the directory, so at every moment it can be found in
//! one of the two places. One lock, under which nothing else is locked, waited for or ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Time;
use crate::pool::{Heir, Left, Manage, WeakPool};
use crate::sync::{Condvar, Mutex};

pub(super) struct Gone<M: Manage> {
    pools: Mutex<Pools<M>>,
    /// Signalled when one has ended.
    ended: Condvar,
    name: Arc<str>,
}

struct Pools<M: Manage> {
    /// By the numbers of their entries.
    leaving: BTreeMap<u64, WeakPool<M>>,
    /// The totals of those that have ended.
    ended: Left,
}

/// Between two looks whether a pool that is about to end has done so.
const GLANCE: Duration = Duration::from_millis(1);

impl<M: Manage> Gone<M> {
    pub(super) fn new(name: Arc<str>) -> Self {
        let pools = Pools { leaving: BTreeMap::new(), ended: Left::none(name.clone()) };
        Self { pools: Mutex::new(pools), ended: Condvar::new(), name }
    }

    /// The pool, closed, is about to be taken out of the directory. Its caller keeps it from ending
    /// meanwhile; doing it twice is doing it once.
    pub(super) fn leave(&self, number: u64, pool: WeakPool<M>) {
        self.pools.lock().leaving.insert(number, pool);
    }

    /// Waits until the leases of all that are leaving have come home, or until `deadline`; says
    /// which.
    pub(super) fn all_home(&self, deadline: Time) -> bool {
        let leaving = self.pools.lock().leaving.clone();
        leaving.values().all(|pool| pool.is_home_by(deadline))
    }

    /// What all of them came to so far, save those of these numbers, in their order, which the caller
    /// has from the directory and keeps from ending.
    pub(super) fn totals(&self, but: &[u64]) -> Left {
        let mut all = Left::none(self.name.clone());
        loop {
            let mut pools = self.pools.lock();
            let others =
                pools.leaving.iter().filter(|(number, _)| but.binary_search(number).is_err());
            let kept: Vec<_> = others.map(|(_, pool)| pool.keep()).collect();
            // One that cannot be kept is neither there nor among those that have ended.
            if kept.iter().all(Option::is_some) {
                all.add_totals(&pools.ended);
                drop(pools);
                kept.iter().flatten().for_each(|pool| all.add_totals(&pool.left()));
                return all;
            }
            self.ended.wait_for(&mut pools, GLANCE);
            drop(pools);
            // Here, since the last of a pool may go with it.
            drop(kept);
        }
    }
}

impl<M: Manage> Heir for Gone<M> {
    fn inherit(&self, number: u64, left: Left) {
        let mut pools = self.pools.lock();
        pools.leaving.remove(&number);
        pools.ended.add_totals(&left);
        drop(pools);
        self.ended.notify_all();
    }
}
