//! What was added, and how it is read.

use std::collections::BTreeMap;

use super::labels::{Labels, MetricKey};
use super::memory::Memory;
use super::row::{EndpointRow, Keys, Row, count};
#[cfg(feature = "websocket")]
use super::sockets::SocketRow;
use crate::balance::BalanceStats;
use crate::keyed::{KeySnapshot, KeyedPool, KeyedSnapshot};
use crate::pool::{Manage, Pool};

/// Everything at one scrape, in the order of the labels; what has the same labels is together.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) pools: BTreeMap<Labels, Row>,
    pub(super) keys: BTreeMap<Labels, Row>,
    /// Threads that wait.
    pub(super) groups: BTreeMap<Labels, u64>,
    pub(super) endpoints: BTreeMap<Labels, EndpointRow>,
    #[cfg(feature = "websocket")]
    pub(super) sockets: BTreeMap<Labels, SocketRow>,
}

impl Reading {
    fn pool(&mut self, name: &str, row: &Row) {
        *self.pools.entry(Labels::of([("pool", name)])).or_default() += row;
    }
}

pub(super) trait Source: Send + Sync + 'static {
    fn name(&self) -> &str;

    fn read(&self, max_series: usize, to: &mut Reading);
}

pub(super) struct Plain<M: Manage> {
    pub(super) name: String,
    pub(super) pool: Pool<M>,
}

impl<M: Manage> Source for Plain<M> {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self, _: usize, to: &mut Reading) {
        let (pool, requests) = (self.pool.snapshot(), self.pool.requests());
        to.pool(&self.name, &Row { pool, requests, keys: None });
    }
}

pub(super) struct Keyed<K: MetricKey, M: Manage> {
    name: String,
    pool: KeyedPool<K, M>,
    memory: Memory,
}

impl<K: MetricKey, M: Manage> Keyed<K, M> {
    pub(super) fn new(name: String, pool: KeyedPool<K, M>) -> Self {
        Self { name, pool, memory: Memory::default() }
    }

    /// Reads the pool as a whole, and gives its keys.
    fn sum(&self, to: &mut Reading) -> Vec<KeySnapshot<K>> {
        let all = self.pool.snapshot();
        let counts = Keys::of(&all);
        let KeyedSnapshot { keys, sum, requests, .. } = all;
        to.pool(&self.name, &Row { pool: sum, requests, keys: Some(counts) });
        keys
    }

    fn key(&self, key: KeySnapshot<K>) -> (u64, Labels, Row) {
        let KeySnapshot { key, host, pool, requests, number } = key;
        let labels = key.labels().of(&self.name, &key.to_string(), &host);
        (number, labels, Row { pool, requests, keys: None })
    }
}

impl<K: MetricKey, M: Manage> Source for Keyed<K, M> {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self, max_series: usize, to: &mut Reading) {
        if max_series == 0 {
            self.sum(to);
            return;
        }
        let look = || self.sum(to).into_iter().map(|key| self.key(key)).collect();
        for (labels, row) in self.memory.look(max_series, look) {
            *to.keys.entry(labels).or_default() += &row;
        }
    }
}

/// A balancer, or those of several groups.
pub(super) struct Balanced<R> {
    pub(super) name: String,
    pub(super) read: R,
}

impl<R: Fn() -> Vec<BalanceStats> + Send + Sync + 'static> Source for Balanced<R> {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self, _: usize, to: &mut Reading) {
        for BalanceStats { name: group, waiting, endpoints } in (self.read)() {
            let labels = Labels::of([("pool", &self.name), ("group", &group)]);
            let sum = to.groups.entry(labels).or_default();
            *sum = sum.saturating_add(count(waiting));
            for endpoint in endpoints {
                let names =
                    [("pool", &*self.name), ("group", &group), ("endpoint", &endpoint.name)];
                *to.endpoints.entry(Labels::of(names)).or_default() += &endpoint;
            }
        }
    }
}
