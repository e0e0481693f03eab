//! The pools and groups to tell of, whatever the types of their keys and items.

use std::any::Any;

use serde::Serialize;

use crate::balance::{BalanceStats, Balancer};
use crate::key_error::OneLine;
use crate::keyed::{Advice, Key, KeyStats, KeyedConfig, KeyedPool, KeyedStats, ModelKey};
#[cfg(feature = "chat")]
use crate::llm::ModelGroups;
use crate::pool::{Manage, RequestStats, Snapshot};

/// A keyed pool whose keys are texts.
pub(super) trait Source: Send + Sync {
    fn config(&self) -> KeyedConfig;
    fn is_closed(&self) -> bool;
    /// What there is by key, by host and over all, the keys as [`listed`].
    fn stats(&self) -> KeyedStats<String>;
    fn look(&self) -> Look;
    fn advice(&self) -> Vec<Advice<String>>;
    fn clean_up(&self) -> u64;
    fn check_all(&self);
    fn keys(&self) -> Vec<KeyName>;
    /// Resizes the pool of that which is called `key`, or of all keys, those to come included and
    /// those whose set-up has a size of their own not. Says how all of these are now.
    fn resize(&self, key: Option<&str>, max_size: usize) -> Vec<Resized>;
}

/// All there is to show of a keyed pool.
pub(super) struct Look {
    pub(super) keys: Vec<KeyLook>,
    /// The keys are texts, and in the same order.
    pub(super) stats: KeyedStats<String>,
    pub(super) advice: Vec<Advice<String>>,
}

pub(super) struct KeyLook {
    pub(super) pool: Snapshot,
    pub(super) requests: RequestStats,
    pub(super) last_check_error: Option<String>,
}

/// What a key is called: in logs and errors, and where models come before their provider.
pub(super) struct KeyName {
    pub(super) shown: String,
    pub(super) listed: String,
}

/// The cap of a key's pool, before and after.
#[derive(Serialize)]
pub(super) struct Resized {
    pub(super) key: String,
    from: usize,
    to: usize,
}

impl<K: Key, M: Manage> Source for KeyedPool<K, M> {
    fn config(&self) -> KeyedConfig {
        self.config()
    }

    fn is_closed(&self) -> bool {
        self.is_closed()
    }

    fn stats(&self) -> KeyedStats<String> {
        with_texts(self.stats(), listed)
    }

    fn look(&self) -> Look {
        let snapshot = self.snapshot();
        let keys = snapshot.keys.into_iter().map(|it| {
            let error = self.pool(&it.key).and_then(|pool| pool.last_check_error());
            KeyLook {
                last_check_error: error.map(|(error, _)| OneLine(&error).to_string()),
                pool: it.pool,
                requests: it.requests,
            }
        });
        let keys = keys.collect();
        let stats = with_texts(snapshot.stats, shown);
        Look { keys, advice: stats.advice(), stats }
    }

    fn advice(&self) -> Vec<Advice<String>> {
        with_texts(self.stats(), shown).advice()
    }

    fn clean_up(&self) -> u64 {
        self.clean_up()
    }

    fn check_all(&self) {
        self.check_all();
    }

    fn keys(&self) -> Vec<KeyName> {
        self.keys().iter().map(name).collect()
    }

    fn resize(&self, key: Option<&str>, max_size: usize) -> Vec<Resized> {
        let mut pools = Vec::new();
        for it in self.keys() {
            let name = name(&it);
            // None for one that was evicted since.
            let pool = self.pool(&it).filter(|_| key.is_none_or(|key| name.is(key)));
            pools.extend(pool.map(|pool| (name.shown, pool.stats().max_size, pool)));
        }
        match key {
            // Also for the keys to come.
            None => _ = self.set_max_size(max_size),
            Some(_) => pools.iter().for_each(|(_, _, pool)| _ = pool.resize(max_size)),
        }
        let resized = pools.into_iter().map(|(key, from, pool)| {
            let to = pool.stats().max_size;
            Resized { key, from, to }
        });
        resized.collect()
    }
}

impl KeyName {
    pub(super) fn is(&self, name: &str) -> bool {
        self.shown == name || self.listed == name
    }
}

fn name<K: Key>(key: &K) -> KeyName {
    KeyName { shown: shown(key), listed: listed(key) }
}

fn shown<K: Key>(key: &K) -> String {
    OneLine(&key.to_string()).to_string()
}

/// A key as `/v1/pool/stats` has it: `MODEL:PROVIDER`, and then what else is in it.
fn listed<K: Key>(key: &K) -> String {
    let shown = shown(key);
    let Some(model_key) = (key as &dyn Any).downcast_ref::<ModelKey>() else { return shown };
    let (model, provider) = (OneLine(model_key.model()), OneLine(model_key.provider()));
    let rest = shown.strip_prefix(&format!("{provider}:{model}")).unwrap_or_default();
    format!("{model}:{provider}{rest}")
}

fn with_texts<K>(stats: KeyedStats<K>, text: impl Fn(&K) -> String) -> KeyedStats<String> {
    let KeyedStats { keys, hosts, sum, .. } = stats;
    let keys = keys.into_iter().map(|it| {
        let KeyStats { key, host, pool, requests } = it;
        KeyStats { key: text(&key), host, pool, requests }
    });
    let keys = keys.collect();
    let KeyedStats { max_total, open, max_open, max_pools, pools_made, pools_evicted, .. } = stats;
    KeyedStats { keys, hosts, sum, max_total, open, max_open, max_pools, pools_made, pools_evicted }
}

/// Endpoints to tell of, by the balancers that they belong to.
pub(super) trait Endpoints: Send + Sync {
    fn stats(&self) -> Vec<BalanceStats>;
}

impl<T: Send + Sync> Endpoints for Balancer<T> {
    fn stats(&self) -> Vec<BalanceStats> {
        vec![self.stats()]
    }
}

#[cfg(feature = "chat")]
impl Endpoints for ModelGroups {
    fn stats(&self) -> Vec<BalanceStats> {
        self.names().filter_map(|name| self.stats(name)).collect()
    }
}
