//! What a keyed pool holds now and has done so far, and how long things took.

use std::sync::Arc;

use super::key::Key;
use super::pool::KeyedPool;
use super::stats::{KeyStats, KeyedStats};
use crate::pool::{Manage, RequestStats, Snapshot};

/// A [`KeyedPool`] at one moment: [`KeyedPool::snapshot`].
///
/// What is of one key is of one moment; that of two keys may be some microseconds apart.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyedSnapshot<K> {
    /// Every key that has a pool, in the order in which they were first asked for.
    pub keys: Vec<KeySnapshot<K>>,
    /// The sum over these keys, and the totals of those that are gone, so that no total ever falls;
    /// under the name that all pools have in common. What is there now is of these keys only.
    pub sum: Snapshot,
    /// What the requests came to, those of keys that are gone included.
    pub requests: RequestStats,
    /// The same keys without the times, with hosts and limits, as [`KeyedPool::stats`] has them.
    pub stats: KeyedStats<K>,
}

/// What is to be known of one key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeySnapshot<K> {
    /// The key.
    pub key: K,
    /// The host that it counts under.
    pub host: Arc<str>,
    /// Its pool, since that was made.
    pub pool: Snapshot,
    /// What the requests made with its items came to.
    pub requests: RequestStats,
    /// Of this making of the key's pool: no other one has it.
    #[cfg_attr(not(feature = "prometheus"), allow(dead_code, reason = "only metrics ask for it"))]
    pub(crate) number: u64,
}

impl<K: Key, M: Manage> KeyedPool<K, M> {
    /// What there is now and what was done so far, with how long waits, holds and creations took, by
    /// key and over all. Costs some microseconds a key; [`stats`](Self::stats) costs less.
    #[must_use]
    pub fn snapshot(&self) -> KeyedSnapshot<K> {
        let (keys, gone) = self.look(|entry, ready| KeySnapshot {
            key: entry.key.clone(),
            host: ready.host.clone(),
            pool: ready.pool.snapshot(),
            requests: ready.pool.requests(),
            number: entry.number,
        });
        let stats = self.summed(keys.iter().map(KeySnapshot::stats).collect(), gone.pool.stats);
        let (mut sum, mut requests) = (gone.pool, gone.requests);
        for key in &keys {
            sum += &key.pool;
            requests += &key.requests;
        }
        KeyedSnapshot { keys, sum, requests, stats }
    }
}

impl<K: Clone> KeySnapshot<K> {
    fn stats(&self) -> KeyStats<K> {
        let Self { key, host, pool, requests, .. } = self;
        KeyStats {
            key: key.clone(),
            host: host.clone(),
            pool: pool.stats,
            requests: requests.clone(),
        }
    }
}
