//! The two answers whose shape is fixed: `/v1/pool/stats` and `/v1/pool/status`.

#[cfg(feature = "websocket")]
use std::collections::BTreeMap;
use std::collections::HashSet;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Admin;
use super::answer::{Answer, told};
use crate::keyed::KeyedStats;
use crate::pool::{EvictReason, Stats};

/// `{"total_pools", "pools": {KEY: {..}}}`, and `"sockets": {NAME: {..}}` where there are some.
#[derive(serde::Serialize)]
struct Pools {
    total_pools: usize,
    pools: ByKey,
    #[cfg(feature = "websocket")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sockets: BTreeMap<String, super::sockets::Figures>,
}

/// The counts by key, as the fields of an object.
struct ByKey(Vec<(String, Counts)>);

#[derive(serde::Serialize)]
struct Counts {
    total: usize,
    available: usize,
    in_use: usize,
    unhealthy: usize,
    /// So far, by `idle_timeout`, `max_lifetime` or `max_uses`: one that has expired is not kept.
    expired: u64,
    max_pool_size: usize,
    min_pool_size: usize,
}

#[derive(Default, serde::Serialize)]
struct Status {
    total_pools: usize,
    total_adapters: usize,
    available_adapters: usize,
    in_use_adapters: usize,
    unhealthy_adapters: usize,
    utilization_rate: f64,
    health_rate: f64,
}

pub(super) fn stats(admin: &Admin) -> Answer {
    let mut pools = Vec::new();
    let mut taken = HashSet::new();
    for (name, source) in &admin.pools {
        for it in source.stats().keys {
            // With several pools, the key alone would not tell.
            let key = if admin.pools.len() > 1 { format!("{name}/{}", it.key) } else { it.key };
            pools.push((unlike(key, &mut taken), Counts::of(&it.pool)));
        }
    }
    let total_pools = pools.len();
    let stats = Pools {
        total_pools,
        pools: ByKey(pools),
        #[cfg(feature = "websocket")]
        sockets: super::sockets::figures(admin),
    };
    told(stats, format_args!("{total_pools} pools"))
}

pub(super) fn status(admin: &Admin) -> Answer {
    let mut status = Status::default();
    for (_, source) in &admin.pools {
        status.add(&source.stats());
    }
    status.utilization_rate = per_cent(status.in_use_adapters, status.total_adapters, 0.0);
    let well = status.total_adapters.saturating_sub(status.unhealthy_adapters);
    status.health_rate = per_cent(well, status.total_adapters, 100.0);
    let message = format!("{} items in {} pools", status.total_adapters, status.total_pools);
    told(status, message)
}

impl Counts {
    fn of(stats: &Stats) -> Self {
        let expired = [EvictReason::Idle, EvictReason::Lifetime, EvictReason::Uses];
        Self {
            total: stats.size(),
            available: stats.idle,
            in_use: stats.in_use,
            unhealthy: stats.unhealthy,
            expired: expired.into_iter().map(|reason| stats.evicted_for(reason)).sum(),
            max_pool_size: stats.max_size,
            min_pool_size: stats.min_idle,
        }
    }
}

impl Status {
    fn add(&mut self, stats: &KeyedStats<String>) {
        self.total_pools += stats.keys.len();
        self.total_adapters += stats.size();
        self.available_adapters += stats.sum.idle;
        self.in_use_adapters += stats.sum.in_use;
        self.unhealthy_adapters += stats.sum.unhealthy;
    }
}

impl Serialize for ByKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(key, counts)| map.serialize_entry(key, counts))?;
        map.end()
    }
}

/// Two keys may have one text; a field of an object may not be there twice.
fn unlike(key: String, taken: &mut HashSet<String>) -> String {
    let mut name = key.clone();
    let mut number = 2_usize;
    while !taken.insert(name.clone()) {
        name = format!("{key} #{number}");
        number += 1;
    }
    name
}

/// To two decimals, and `of_none` where there is nothing to have a share of.
fn per_cent(part: usize, whole: usize, of_none: f64) -> f64 {
    if whole == 0 {
        return of_none;
    }
    (part as f64 / whole as f64 * 10_000.0).round() / 100.0
}
