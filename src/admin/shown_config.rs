//! The settings, as `/v1/pool/config` shows them: durations in seconds, no secret.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Admin;
use super::answer::{Answer, told};
use super::config::AdminConfig;
use crate::keyed::{KeyedConfig, KeyedStats};
use crate::pool::PoolConfig;

#[derive(Serialize)]
struct Shown {
    /// By name.
    pools: BTreeMap<String, Keyed>,
    #[cfg(feature = "websocket")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sockets: BTreeMap<String, super::sockets::Shown>,
    admin: Own,
}

#[derive(Serialize)]
struct Keyed {
    name: String,
    max_pools: usize,
    /// The limits in force, whatever they were at the start.
    max_total: Option<usize>,
    max_per_host: BTreeMap<String, Option<usize>>,
    max_open: Option<usize>,
    /// Of each key's pool, unless its set-up has it otherwise: those of size and wait as they are
    /// now.
    pool: Each,
    /// The caps in force, by key, whatever they were at the start.
    keys: BTreeMap<String, Sizes>,
}

#[derive(Serialize)]
struct Sizes {
    max_size: usize,
    min_idle: usize,
}

#[derive(Serialize)]
struct Each {
    max_size: usize,
    min_idle: usize,
    wait_timeout: f64,
    idle_timeout: Option<f64>,
    max_lifetime: Option<f64>,
    max_uses: Option<u64>,
    max_waiting: Option<usize>,
    admission: bool,
    max_creating: usize,
    check_interval: Option<f64>,
    check_timeout: f64,
    max_check_failures: u32,
    when_unhealthy: String,
    maintenance_interval: f64,
    leak_after: Option<f64>,
    slow_wait: Option<f64>,
    nearly_full: Option<u8>,
}

#[derive(Serialize)]
struct Own {
    listen: String,
    token: Option<&'static str>,
    token_for_get: bool,
    hosts: Vec<String>,
    max_head: usize,
    max_body: usize,
    max_connections: usize,
    request_timeout: f64,
    idle_timeout: f64,
    check_wait: f64,
}

pub(super) fn config(admin: &Admin) -> Answer {
    let pools = admin.pools.iter().map(|(name, source)| {
        let stats = source.stats();
        (name.clone(), Keyed::of(&source.config(), stats))
    });
    #[cfg(feature = "websocket")]
    let sockets = admin.sockets.iter().map(|it| {
        let shown = super::sockets::Shown::of(it.sockets.config());
        (it.name.clone(), shown)
    });
    let shown = Shown {
        pools: pools.collect(),
        #[cfg(feature = "websocket")]
        sockets: sockets.collect(),
        admin: Own::of(&admin.config),
    };
    told(shown, "durations are in seconds")
}

impl Keyed {
    fn of(config: &KeyedConfig, stats: KeyedStats<String>) -> Self {
        let sizes = stats.keys.into_iter().map(|it| {
            let sizes = Sizes { max_size: it.pool.max_size, min_idle: it.pool.min_idle };
            (it.key, sizes)
        });
        Self {
            name: config.pool.name.clone(),
            max_pools: stats.max_pools,
            max_total: stats.max_total,
            max_per_host: stats.hosts.iter().map(|it| (it.host.to_string(), it.max)).collect(),
            max_open: stats.max_open,
            pool: Each::of(&config.pool),
            keys: sizes.collect(),
        }
    }
}

impl Each {
    fn of(config: &PoolConfig) -> Self {
        Self {
            max_size: config.max_size,
            min_idle: config.min_idle_or_default(),
            wait_timeout: secs(config.wait_timeout),
            idle_timeout: config.idle_timeout.map(secs),
            max_lifetime: config.max_lifetime.map(secs),
            max_uses: config.max_uses,
            max_waiting: config.max_waiting,
            admission: config.admission,
            max_creating: config.max_creating,
            check_interval: config.check_interval.map(secs),
            check_timeout: secs(config.check_timeout),
            max_check_failures: config.max_check_failures,
            // A keyed pool's own default.
            when_unhealthy: config.when_unhealthy.map_or("Fail".into(), |it| format!("{it:?}")),
            maintenance_interval: secs(config.maintenance_interval),
            leak_after: config.leak_after.map(secs),
            slow_wait: config.slow_wait.map(secs),
            nearly_full: config.nearly_full,
        }
    }
}

impl Own {
    fn of(config: &AdminConfig) -> Self {
        // By name, so that a new setting cannot be forgotten.
        let AdminConfig {
            listen,
            token,
            token_for_get,
            hosts,
            max_head,
            max_body,
            max_connections,
            request_timeout,
            idle_timeout,
            check_wait,
        } = config;
        Self {
            listen: listen.to_string(),
            token: token.as_ref().map(|_| "[redacted]"),
            token_for_get: *token_for_get,
            hosts: hosts.clone(),
            max_head: *max_head,
            max_body: *max_body,
            max_connections: *max_connections,
            request_timeout: secs(*request_timeout),
            idle_timeout: secs(*idle_timeout),
            check_wait: secs(*check_wait),
        }
    }
}

fn secs(time: Duration) -> f64 {
    time.as_secs_f64()
}
