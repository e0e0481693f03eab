//! What a keyed pool holds now and has done so far, by key, by host and over all.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::directory::{Entry, Ready};
use super::key::Key;
use super::limits::NONE;
use super::pool::KeyedPool;
use crate::pool::{Left, Manage, RequestStats, Stats};

/// A snapshot of a [`KeyedPool`]: [`KeyedPool::stats`].
///
/// Each key's counts are of one moment; those of two keys may be some microseconds apart.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyedStats<K> {
    /// Every key that has a pool, in the order in which they were first asked for.
    pub keys: Vec<KeyStats<K>>,
    /// Every host that has a key, or had one of which leases are still out, in order of name.
    pub hosts: Vec<HostStats>,
    /// The sum over these keys, and the totals of those that were evicted or closed, so that no total
    /// ever falls. What is there now, and the peak demand, are of these keys only. So items that are
    /// still out of keys that are gone are counted as created and nowhere else.
    pub sum: Stats,
    /// The limit on leases in use.
    pub max_total: Option<usize>,
    /// Items that exist, or may be made at once.
    pub open: usize,
    /// The bound on them.
    pub max_open: Option<usize>,
    /// Most keys at one time.
    pub max_pools: usize,
    /// Pools made so far, those made anew included.
    pub pools_made: u64,
    /// Keys evicted for another one.
    pub pools_evicted: u64,
}

/// What is to be known of one key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyStats<K> {
    /// The key.
    pub key: K,
    /// The host that it counts under.
    pub host: Arc<str>,
    /// The counts of its pool, since that was made.
    pub pool: Stats,
    /// What the requests made with its items came to.
    pub requests: RequestStats,
}

/// What is to be known of one host.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostStats {
    /// Its name.
    pub host: Arc<str>,
    /// The limit on its leases in use.
    pub max: Option<usize>,
    /// Keys that count under it.
    pub keys: usize,
    /// The sum over these keys; its totals fall when a key goes.
    pub sum: Stats,
}

impl<K: Key, M: Manage> KeyedPool<K, M> {
    /// What there is now and what was done so far, by key, by host and over all.
    #[must_use]
    pub fn stats(&self) -> KeyedStats<K> {
        let (keys, gone) = self.look(|entry, ready| KeyStats {
            key: entry.key.clone(),
            host: ready.host.clone(),
            pool: ready.pool.stats(),
            requests: ready.pool.requests(),
        });
        self.summed(keys, gone.pool.stats)
    }

    /// Looks at every key, and then at those that are gone, so that each pool is seen once.
    pub(super) fn look<R>(&self, key: impl Fn(&Entry<K, M>, &Ready<M>) -> R) -> (Vec<R>, Left) {
        let inner = self.inner();
        // Kept until the end: none of them can end meanwhile.
        let entries = inner.directory.all();
        let ready = entries.iter().filter_map(|entry| Some((entry, entry.ready()?)));
        let (numbers, keys): (Vec<_>, Vec<_>) =
            ready.map(|(entry, ready)| (entry.number, key(entry, ready))).unzip();
        (keys, inner.gone.totals(&numbers))
    }

    /// With the totals of the keys that are gone.
    pub(super) fn summed(&self, keys: Vec<KeyStats<K>>, gone: Stats) -> KeyedStats<K> {
        let inner = self.inner();
        let mut sum = gone;
        let mut by_host: HashMap<_, (usize, Stats)> = HashMap::new();
        for KeyStats { host, pool, .. } in &keys {
            sum += pool;
            let (keys, of_host) = by_host.entry(host.clone()).or_default();
            *keys += 1;
            *of_host += pool;
        }
        let hosts = inner.limits.hosts().into_iter().map(|(host, max)| {
            let (keys, sum) = by_host.remove(&host).unwrap_or_default();
            HostStats { host, max: limit(max), keys, sum }
        });
        let mut hosts: Vec<_> = hosts.collect();
        hosts.sort_unstable_by(|this, that| this.host.cmp(&that.host));
        let (open, max_open) = inner.limits.open();
        KeyedStats {
            keys,
            hosts,
            sum,
            max_total: limit(inner.limits.max_total()),
            open,
            max_open: limit(max_open),
            max_pools: inner.config.max_pools,
            pools_made: inner.pools_made(),
            pools_evicted: inner.pools_evicted(),
        }
    }
}

impl<K> KeyedStats<K> {
    /// Items there are over all keys, those being created included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.sum.size()
    }

    /// The share of all items that are in use, 0 to 1; `None` if there are no items.
    #[must_use]
    pub fn utilisation(&self) -> Option<f64> {
        share(self.sum.in_use, self.size())
    }

    /// The share of all items that are not unhealthy, 0 to 1; `None` if there are no items.
    #[must_use]
    pub fn health_rate(&self) -> Option<f64> {
        share(self.size() - self.sum.unhealthy, self.size())
    }
}

impl<K: fmt::Display> fmt::Display for KeyedStats<K> {
    /// A table: a line of totals, one a host, one a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (keys, max_pools, open) = (self.keys.len(), self.max_pools, self.open);
        let (max_total, max_open) = (Limit(self.max_total), Limit(self.max_open));
        write!(f, "keys {keys} (max {max_pools}), open {open} (max {max_open})")?;
        write!(f, "\ntotal (max {max_total}): {}", self.sum)?;
        for HostStats { host, max, sum, .. } in &self.hosts {
            write!(f, "\nhost {host} (max {}): {sum}", Limit(*max))?;
        }
        for KeyStats { key, pool, requests, .. } in &self.keys {
            write!(f, "\nkey {key}: {pool}")?;
            if requests.requests > 0 {
                write!(f, ", {requests}")?;
            }
        }
        Ok(())
    }
}

/// A limit as it is shown.
struct Limit(Option<usize>);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(max) => write!(f, "{max}"),
            None => f.write_str("none"),
        }
    }
}

pub(super) fn limit(max: usize) -> Option<usize> {
    (max != NONE).then_some(max)
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
