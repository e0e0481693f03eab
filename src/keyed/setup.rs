//! What a keyed pool must be told of a key.

use std::fmt;

use crate::pool::{Manage, PoolConfig};

/// How the pool of one key is to be: what makes its items, and what differs from other keys.
///
/// The function given to [`KeyedPool::new`](super::KeyedPool::new) answers with one for every key
/// that is to have a pool.
#[must_use]
pub struct Setup<M: Manage> {
    pub(super) manager: M,
    pub(super) host: Option<String>,
    pub(super) config: Option<PoolConfig>,
}

impl<M: Manage> Setup<M> {
    /// A pool of the items that `manager` makes, with the settings that all keys have in common.
    pub fn new(manager: M) -> Self {
        Self { manager, host: None, config: None }
    }

    /// The host that the items talk to, which `max_per_host` is about. Default the key itself, so
    /// that every key is a host of its own.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Settings of this key's pool in place of
    /// [`KeyedConfig::pool`](super::KeyedConfig#structfield.pool). Name, clock and `wait_timeout`
    /// stay those of the keyed pool, and so does an observer in place of none.
    pub fn config(mut self, config: PoolConfig) -> Self {
        self.config = Some(config);
        self
    }
}

impl<M: Manage> fmt::Debug for Setup<M> {
    /// Not the manager, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("host", &self.host)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
