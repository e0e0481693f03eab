//! The settings of a keyed pool.

use crate::error::{ConfigError, Problems};
use crate::pool::PoolConfig;
use crate::setters::setters;

use super::limits::{Caps, NONE};
use super::stats::limit;

/// The settings of a [`KeyedPool`](super::KeyedPool), all with a default, all set by chaining.
///
/// ```
/// use llm_pool::PoolConfig;
/// use llm_pool::keyed::KeyedConfig;
///
/// let config = KeyedConfig::default()
///     .pool(PoolConfig::default().name("chat").max_size(100))
///     .max_per_host(60)
///     .max_total(100);
/// ```
///
/// Nothing is checked here: [`KeyedPool::new`](super::KeyedPool::new) refuses all wrong settings
/// at once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyedConfig {
    /// The settings of each key's pool, save for what its [`Setup`](super::Setup) says. Its name
    /// goes before the key in logs and errors. A pool of a key does not wait for its first items,
    /// so that `fail_fast` does nothing here, and a `when_unhealthy` that is not set is `Fail`. Its
    /// `max_size` is 10 unless set: a key never has more leases than that, however wide the shared
    /// limits are. Default that of [`PoolConfig`].
    pub pool: PoolConfig,
    /// Most keys at one time. One more has the least recently used key evicted whose items are all
    /// idle. Default 1000, at least 1.
    pub max_pools: usize,
    /// Most leases in use at one time, over all keys. Default none, at least 1.
    pub max_total: Option<usize>,
    /// Most leases in use at one time, over all keys of one host. Default none, at least 1.
    pub max_per_host: Option<usize>,
    /// Most items that exist at one time, over all keys: in use, idle, being created or checked.
    /// At this bound an idle or unhealthy item of the least recently used key that has one is
    /// evicted for one that somebody waits for. Default none; at least `max_total`, which must
    /// then be set.
    pub max_open: Option<usize>,
}

impl Default for KeyedConfig {
    fn default() -> Self {
        Self {
            pool: PoolConfig::default(),
            max_pools: 1000,
            max_total: None,
            max_per_host: None,
            max_open: None,
        }
    }
}

setters! {
    KeyedConfig {
        pool: PoolConfig,
        max_pools: usize,
        max_total: impl Into<Option<usize>>,
        max_per_host: impl Into<Option<usize>>,
        max_open: impl Into<Option<usize>>,
    }
}

impl KeyedConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::of("KeyedConfig");
        problems.of_part(self.pool.check());
        problems.unless(self.max_pools > 0, "max_pools", "must be at least 1");
        problems.unless(self.max_total != Some(0), "max_total", "must be at least 1");
        problems.unless(self.max_per_host != Some(0), "max_per_host", "must be at least 1");
        if let Some(max_open) = self.max_open {
            // Else every lease could be waiting for an item, with none to be had.
            let enough = self.max_total.is_some_and(|max_total| max_total <= max_open);
            let total = self.max_total.map_or("none".into(), |max| max.to_string());
            problems.unless(
                enough,
                "max_open",
                format_args!("is {max_open}, and must be at least max_total ({total})"),
            );
        }
        problems.check()
    }

    /// The same with other limits.
    pub(super) fn with_caps(mut self, caps: &Caps) -> Self {
        self.max_total = limit(caps.max_total);
        self.max_per_host = limit(caps.max_per_host);
        self.max_open = limit(caps.max_open);
        self
    }

    pub(super) fn caps(&self) -> Caps {
        Caps {
            max_total: self.max_total.unwrap_or(NONE),
            max_per_host: self.max_per_host.unwrap_or(NONE),
            max_open: self.max_open.unwrap_or(NONE),
        }
    }
}
