//! The process-wide pool.
//!
//! ```text
//!     none ──global, set_global──▶ there ──close_global──▶ none
//! ```
//!
//! One that was closed through a handle counts as none.
//!
//! Its lock is held to make the pool, which does no input or output, and to hand out a handle.

use std::fmt;

use parking_lot::Mutex;

use super::{AgentConfig, OriginPool};
use crate::ConfigError;
use crate::keyed::KeyedConfig;

static GLOBAL: Mutex<Option<OriginPool>> = Mutex::new(None);

/// [`OriginPool::set_global`] came too late: the process-wide pool is there already.
#[derive(Debug)]
pub struct GlobalInUse(
    /// The pool that was to be it.
    pub OriginPool,
);

impl OriginPool {
    /// The process-wide pool, made at first use with default settings, or anew once it was closed.
    ///
    /// ```no_run
    /// use llm_pool::agent::OriginPool;
    ///
    /// let agent = OriginPool::global()?.get("https://api.example.com")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The default settings cannot work because of what the environment says of proxies.
    pub fn global() -> Result<Self, ConfigError> {
        let mut global = GLOBAL.lock();
        if let Some(pool) = open(&global) {
            return Ok(pool);
        }
        let common = KeyedConfig::default().pool.name("global");
        let pool = Self::new(KeyedConfig::default().pool(common), AgentConfig::default())?;
        let closed = global.replace(pool.clone());
        drop(global);
        drop(closed);
        Ok(pool)
    }

    /// Makes `pool` the process-wide one. To be called before the first use, or after a close.
    ///
    /// # Errors
    /// There is one already; it stays.
    pub fn set_global(pool: Self) -> Result<(), GlobalInUse> {
        let mut global = GLOBAL.lock();
        if open(&global).is_some() {
            return Err(GlobalInUse(pool));
        }
        let closed = global.replace(pool);
        drop(global);
        drop(closed);
        Ok(())
    }

    /// Closes the process-wide pool, if there is one. Leases stay valid and end as they come home;
    /// the next [`global`](Self::global) makes a new pool. Says whether there was one.
    pub fn close_global() -> bool {
        // In a statement of its own: the lock is not held while the pool closes.
        let pool = GLOBAL.lock().take();
        let open = open(&pool);
        open.map(|pool| pool.pools().close()).is_some()
    }
}

/// The pool, unless somebody closed it through a handle.
fn open(global: &Option<OriginPool>) -> Option<OriginPool> {
    global.as_ref().filter(|pool| !pool.pools().is_closed()).cloned()
}

impl fmt::Display for GlobalInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the process-wide pool is in use: set it before its first use, or close it")
    }
}

impl std::error::Error for GlobalInUse {}
