//! What to change, read from live statistics.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::key::Key;
use super::pool::KeyedPool;
use super::stats::KeyedStats;
use crate::pool::{Manage, Stats, mean};
use crate::sizing;

/// A limit that callers wait for though a wider one would serve them; its `Display` is a sentence
/// such as
///
/// ```text
/// raise max_per_host of api.example.com from 30 to 600: 470 waiting, mean wait 6.2s, mean hold 40.0s
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Advice<K> {
    /// Which limit to raise.
    pub limit: LimitOf<K>,
    /// What it is.
    pub from: usize,
    /// What it should be, by the rules of thumb of [`sizing`] for the demand seen.
    pub to: usize,
    /// Threads waiting now.
    pub waiting: usize,
    /// Waits that ended at their deadline.
    pub timeouts: u64,
    /// Callers turned away by `max_waiting` or `admission`.
    pub refused: u64,
    /// Of those that waited and got a lease.
    pub mean_wait: Option<Duration>,
    /// Of the leases that ended.
    pub mean_hold: Option<Duration>,
}

/// One limit of a keyed pool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitOf<K> {
    /// `max_size` of the pool of a key.
    Key(K),
    /// `max_per_host` of a host.
    Host(Arc<str>),
    /// `max_total`.
    Total,
}

impl<K: Key, M: Manage> KeyedPool<K, M> {
    /// Which limits to raise, and why, by the statistics so far; empty if nobody waits in vain.
    /// The same as [`KeyedStats::advice`] of a snapshot taken now.
    #[must_use]
    pub fn advice(&self) -> Vec<Advice<K>> {
        self.stats().advice()
    }
}

impl<K: Clone> KeyedStats<K> {
    /// Which limits to raise, and why; empty if nobody waits in vain.
    ///
    /// A limit is to be raised if more leases and waiters were there at one time than it lets in,
    /// and it mattered: somebody waits now, was turned away, or gave up, or waits are longer than
    /// a twentieth of a hold on average. A key's and a host's limit should then be
    /// [`sizing::per_host`] of that demand, and the total [`sizing::total`]. The demand is the most
    /// seen since the pool of a key was made; that of a host is the sum over its keys, which may
    /// not have come together.
    #[must_use]
    pub fn advice(&self) -> Vec<Advice<K>> {
        let keys = self
            .keys
            .iter()
            .map(|key| (LimitOf::Key(key.key.clone()), Some(key.pool.max_size), &key.pool));
        let hosts = self.hosts.iter().map(|h| (LimitOf::Host(h.host.clone()), h.max, &h.sum));
        let total = (LimitOf::Total, self.max_total, &self.sum);
        keys.chain(hosts)
            .chain([total])
            .filter_map(|(limit, max, stats)| Advice::on(limit, max?, stats))
            .collect()
    }
}

impl<K> Advice<K> {
    fn on(limit: LimitOf<K>, from: usize, stats: &Stats) -> Option<Self> {
        let Stats { in_use, waiting, timeouts, queue_full, too_late, .. } = *stats;
        let refused = queue_full + too_late;
        let demand = stats.peak_demand.max(in_use + waiting);
        let mean_wait = mean(stats.wait_time, stats.waits);
        let mean_hold = mean(stats.hold_time, stats.gets.saturating_sub(in_use as u64));
        let long = mean_wait.zip(mean_hold).is_some_and(|(wait, hold)| wait > hold / 20);
        let matters = waiting > 0 || timeouts + refused > 0 || long;
        let to = match limit {
            LimitOf::Total => sizing::total(demand),
            LimitOf::Key(_) | LimitOf::Host(_) => sizing::per_host(demand),
        };
        (matters && demand > from).then_some(Self {
            limit,
            from,
            to,
            waiting,
            timeouts,
            refused,
            mean_wait,
            mean_hold,
        })
    }
}

impl<K: fmt::Display> fmt::Display for Advice<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, waiting, timeouts, refused, .. } = self;
        match &self.limit {
            LimitOf::Key(key) => write!(f, "raise max_size of key {key}")?,
            LimitOf::Host(host) => write!(f, "raise max_per_host of {host}")?,
            LimitOf::Total => f.write_str("raise max_total")?,
        }
        write!(f, " from {from} to {to}: {waiting} waiting")?;
        if *timeouts > 0 {
            write!(f, ", {timeouts} time-outs")?;
        }
        if *refused > 0 {
            write!(f, ", {refused} refused")?;
        }
        if let Some(wait) = self.mean_wait {
            write!(f, ", mean wait {wait:.1?}")?;
        }
        self.mean_hold.map_or(Ok(()), |hold| write!(f, ", mean hold {hold:.1?}"))
    }
}
