//! The keyed pool itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::config::KeyedConfig;
use super::directory::{Entry, Ready};
use super::inner::{Inner, shown};
use super::key::Key;
use super::limits::NONE;
use super::setup::Setup;
use crate::error::{ConfigError, Problems};
use crate::key_error::KeyError;
use crate::pool::{GetError, Lease, Manage, Pool, WarmUpError};

/// One [`Pool`] per key, made when the key is first asked for, all under shared limits.
///
/// Cloning gives another handle to the same pools; dropping the last handle closes them, and
/// leases still out end as they come home.
///
/// ```
/// use llm_pool::{Manage, PoolConfig};
/// use llm_pool::keyed::{KeyError, KeyedConfig, KeyedPool, Setup};
///
/// struct Greeter(String);
/// impl Manage for Greeter {
///     type Item = String;
///     type Error = std::io::Error;
///     fn create(&self) -> Result<String, std::io::Error> { Ok(format!("Hello, {}!", self.0)) }
/// }
///
/// let config = KeyedConfig::default().pool(PoolConfig::default().min_idle(0)).max_total(100);
/// let greeters = KeyedPool::new(config, |name: &String| {
///     if name == "Nobody" {
///         return Err(KeyError::new(name, "nobody is to be greeted"));
///     }
///     Ok(Setup::new(Greeter(name.clone())))
/// })?;
///
/// assert_eq!(*greeters.get(&"Ada".to_owned())?, "Hello, Ada!");
/// let error = greeters.get(&"Nobody".to_owned()).unwrap_err();
/// assert_eq!(error.to_string(), "bad key \"Nobody\": nobody is to be greeted");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KeyedPool<K: Key, M: Manage>(Arc<Inner<K, M>>);

type Got<M> = Result<Lease<M>, GetError<<M as Manage>::Error>>;

impl<K: Key, M: Manage> KeyedPool<K, M> {
    /// A keyed pool without keys. `setup` is asked once for every key that comes to have a pool:
    /// it makes what makes the key's items, or refuses the key. It may block, which holds up
    /// callers with the same key only.
    ///
    /// # Errors
    /// All settings that cannot work, in one error.
    pub fn new(
        config: KeyedConfig,
        setup: impl Fn(&K) -> Result<Setup<M>, KeyError> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self(Arc::new(Inner::new(config, Box::new(setup)))))
    }

    /// Takes an item of `key`'s pool, waiting up to `wait_timeout` of
    /// [`KeyedConfig::pool`](KeyedConfig#structfield.pool): for an item, then for room in
    /// `max_per_host`, then in `max_total`. Makes the pool if there is none.
    ///
    /// If the key's pool is closed meanwhile, the key is made anew and the wait goes on there.
    ///
    /// # Errors
    /// As [`Pool::get`], and [`GetError::Key`], [`GetError::TooManyKeys`] and
    /// [`GetError::KeyNotReady`].
    #[track_caller]
    #[inline]
    pub fn get(&self, key: &K) -> Got<M> {
        self.lease(key, self.0.wait_timeout.get(), false)
    }

    /// The same, waiting up to `timeout` in all; see [`Pool::get_timeout`].
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[track_caller]
    #[inline]
    pub fn get_timeout(&self, key: &K, timeout: Duration) -> Got<M> {
        self.lease(key, timeout, false)
    }

    /// Takes an item for a job that must be done, waiting included, within `timeout`; see
    /// [`Pool::get_within`].
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[track_caller]
    #[inline]
    pub fn get_within(&self, key: &K, timeout: Duration) -> Got<M> {
        self.lease(key, timeout, true)
    }

    #[track_caller]
    #[inline]
    fn lease(&self, key: &K, timeout: Duration, covers_use: bool) -> Got<M> {
        let inner = &*self.0;
        let clock = &inner.config.pool.clock;
        let began = clock.coarse();
        let mut left = timeout;
        loop {
            let entry = match inner.find(key) {
                Some(entry) => entry,
                None => {
                    let deadline = clock.now().after(left);
                    let entry = inner.find_or_make(key, deadline)?;
                    left = deadline.since(clock.now());
                    entry
                }
            };
            let Some(Ready { pool, .. }) = entry.ready() else { continue };
            let got = if covers_use { pool.get_within(left) } else { pool.get_timeout(left) };
            match got {
                Err(GetError::Closed) if !inner.is_closed() => inner.retire(&entry),
                got => return got,
            }
            left = began.after(timeout).since(clock.now());
        }
    }

    /// Takes an idle item, or creates one if every limit has room; see [`Pool::try_get`]. A new
    /// key's pool is made first, which takes as long as the setup does.
    ///
    /// # Errors
    /// As [`get`](Self::get), with `Exhausted` in place of `Timeout` and `QueueFull`.
    #[track_caller]
    pub fn try_get(&self, key: &K) -> Got<M> {
        let inner = &*self.0;
        let now = inner.config.pool.clock.coarse();
        loop {
            let entry = match inner.find(key) {
                Some(entry) => entry,
                None => inner.find_or_make(key, now)?,
            };
            let Some(ready) = entry.ready() else { continue };
            match ready.pool.try_get() {
                Err(GetError::Closed) if !inner.is_closed() => inner.retire(&entry),
                got => return got,
            }
        }
    }

    /// Brings the pool of `key`, made if there is none, to at least `n` items, and runs the check
    /// of each that is new, several at a time: for agents that opens their connections. Blocks at
    /// most for `wait_timeout`, the making of the pool included, but for a set-up that this thread
    /// runs itself; says how many are idle and in order. See [`Pool::warm_up`].
    ///
    /// If the key's pool is closed meanwhile, the key is made anew and warmed up again.
    ///
    /// # Errors
    /// As [`Pool::warm_up`], and [`WarmUpError::Key`] for a key that cannot have a pool.
    pub fn warm_up(&self, key: &K, n: usize) -> Result<usize, WarmUpError> {
        let inner = &*self.0;
        let deadline = inner.config.pool.clock.now().after(inner.wait_timeout.get());
        let told = |error| match error {
            GetError::Closed => WarmUpError::Closed,
            GetError::Key(refused) => refused.into(),
            other => KeyError::new(shown(key), other).into(),
        };
        loop {
            let entry = inner.find_or_make(key, deadline).map_err(told)?;
            let Some(Ready { pool, .. }) = entry.ready() else { continue };
            match pool.warm_up_by(n, deadline) {
                Err(WarmUpError::Closed) if !inner.is_closed() => inner.retire(&entry),
                warmed => return warmed,
            }
        }
    }

    /// The pool of `key`, if it has one, to look at, to [`resize`](Pool::resize) or to
    /// [`reset`](Pool::reset). While the handle is kept the pool can be evicted all the same, and
    /// is then closed.
    #[must_use]
    pub fn pool(&self, key: &K) -> Option<Pool<M>> {
        Some(self.0.directory.find(key)?.ready()?.pool.clone())
    }

    /// The keys that have a pool, the least recently used first.
    #[must_use]
    pub fn keys(&self) -> Vec<K> {
        let ready = |entry: &Arc<Entry<K, M>>| entry.ready().map(|_| entry.key.clone());
        self.0.directory.by_use().iter().filter_map(ready).collect()
    }

    /// Closes the pool of `key`, if it has one; says whether it had. Who waits there goes on
    /// waiting, with the same deadline, at the pool that takes its place.
    pub fn close_key(&self, key: &K) -> bool {
        let Some(entry) = self.0.directory.find(key) else { return false };
        let Some(ready) = entry.ready() else { return false };
        ready.pool.close();
        self.0.retire(&entry);
        true
    }

    /// Runs a pass of maintenance over every key now; see [`Pool::clean_up`]. Returns how many
    /// items were evicted.
    pub fn clean_up(&self) -> u64 {
        self.0.all_ready(|_, ready| ready.pool.clean_up()).into_iter().sum()
    }

    /// Has every idle and every unhealthy item of every key checked now, in the background; see
    /// [`Pool::check_all`].
    pub fn check_all(&self) {
        self.0.all_ready(|_, ready| ready.pool.check_all());
    }

    /// Changes `max_size`, the bound on the items of a key, for the keys there are, save those to which
    /// their set-up gave a configuration of their own, and for those to come. It takes effect as
    /// [`Pool::resize`] does.
    ///
    /// # Errors
    /// Zero is refused, and changes nothing.
    pub fn set_max_size(&self, max_size: usize) -> Result<(), ConfigError> {
        let max_size = at_least_one("set_max_size", Some(max_size))?;
        self.0.set_max_size(max_size);
        Ok(())
    }

    /// Changes how long [`get`](Self::get) and [`warm_up`](Self::warm_up) wait, for those that begin
    /// from now on. Handles of [`pool`](Self::pool) wait as before.
    ///
    /// # Errors
    /// Zero is refused, and changes nothing.
    pub fn set_wait_timeout(&self, timeout: Duration) -> Result<(), ConfigError> {
        let mut problems = Problems::of("set_wait_timeout");
        problems.zero(timeout, "wait_timeout");
        problems.check()?;
        self.0.wait_timeout.set(timeout);
        Ok(())
    }

    /// Changes [`max_total`](KeyedConfig#structfield.max_total). A wider limit serves those who
    /// wait at once, in their order; a narrower one takes effect as leases come back.
    ///
    /// # Errors
    /// Zero, and more than `max_open`, are refused and change nothing.
    pub fn set_max_total(&self, max: impl Into<Option<usize>>) -> Result<(), ConfigError> {
        let max = at_least_one("set_max_total", max.into())?;
        let mut problems = Problems::of("set_max_total");
        let set = self.0.limits.set_max_total(max);
        problems.value("max_total", set.map_err(|max| format!("must be at most max_open ({max})")));
        problems.check()
    }

    /// Changes [`max_per_host`](KeyedConfig#structfield.max_per_host), for all hosts that were not
    /// given a limit of their own. It takes effect as [`set_max_total`](Self::set_max_total) does.
    ///
    /// # Errors
    /// Zero is refused, and changes nothing.
    pub fn set_max_per_host(&self, max: impl Into<Option<usize>>) -> Result<(), ConfigError> {
        self.0.limits.set_max_per_host(at_least_one("set_max_per_host", max.into())?);
        Ok(())
    }

    /// Gives `host` a limit of its own in place of `max_per_host`, whether or not it has a key
    /// yet. The name is that of [`HostStats::host`](super::HostStats#structfield.host), such as
    /// [`Origin::host_and_port`](super::Origin::host_and_port); a name of no host is taken as it
    /// is, and limits nothing. It takes effect as [`set_max_total`](Self::set_max_total) does.
    ///
    /// # Errors
    /// Zero is refused, and changes nothing.
    pub fn set_max_of_host(
        &self,
        host: &str,
        max: impl Into<Option<usize>>,
    ) -> Result<(), ConfigError> {
        self.0.limits.set_max_of_host(host, at_least_one("set_max_of_host", max.into())?);
        Ok(())
    }

    /// Changes [`max_open`](KeyedConfig#structfield.max_open). A narrower one evicts nothing by
    /// itself: items go as others are needed.
    ///
    /// # Errors
    /// Less than `max_total` is refused, and changes nothing.
    pub fn set_max_open(&self, max: impl Into<Option<usize>>) -> Result<(), ConfigError> {
        let max = at_least_one("set_max_open", max.into())?;
        let mut problems = Problems::of("set_max_open");
        problems.value("max_open", self.0.limits.set_max_open(max).map_err(at_least_total));
        problems.check()
    }

    /// The settings in force: those it was made with, but for what was changed since. Limits of single
    /// hosts and sizes of single keys are in [`stats`](Self::stats).
    #[must_use]
    pub fn config(&self) -> KeyedConfig {
        self.0.config_in_force()
    }

    /// Closes every pool: refuses each further `get`, wakes everybody who waits, drops what is
    /// idle. Leases out stay valid and end as they come home.
    pub fn close(&self) {
        self.0.close();
    }

    /// Closes every pool and waits, up to `timeout` in all, until every lease has come home, those
    /// of keys closed before included. Says whether they did.
    #[must_use = "false means that leases are still out"]
    pub fn drain(&self, timeout: Duration) -> bool {
        let deadline = self.0.config.pool.clock.now().after(timeout);
        self.close();
        self.0.all_home(deadline)
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    pub(super) fn inner(&self) -> &Inner<K, M> {
        &self.0
    }
}

fn at_least_total(max_total: usize) -> String {
    match max_total {
        NONE => "needs a max_total, and must be at least that".into(),
        max_total => format!("must be at least max_total ({max_total})"),
    }
}

/// Zero refused, and none as the number that it is here.
fn at_least_one(what: &'static str, max: Option<usize>) -> Result<usize, ConfigError> {
    let mut problems = Problems::of(what);
    problems.unless(max != Some(0), "max", "must be at least 1");
    problems.check().map(|()| max.unwrap_or(NONE))
}

impl<K: Key, M: Manage> Clone for KeyedPool<K, M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Key, M: Manage> fmt::Debug for KeyedPool<K, M> {
    /// Its name and how many keys there are. Not the managers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedPool")
            .field("name", &self.0.config.pool.name)
            .field("keys", &self.0.directory.len())
            .finish_non_exhaustive()
    }
}
