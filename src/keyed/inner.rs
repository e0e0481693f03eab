//! What the handles of a keyed pool share: finding, making, evicting and closing pools.

use std::fmt::Display;
use std::sync::Arc;

use super::config::KeyedConfig;
use super::directory::{Directory, Entry, Found, Ready};
use super::gone::Gone;
use super::key::Key;
use super::limits::Limits;
use super::setup::Setup;
use crate::caught::{caught, one_line, say};
use crate::clock::{SharedDuration, Time};
use crate::key_error::{KeyError, cut};
use crate::pool::{GetError, Manage, Pool, WhenUnhealthy, Will};
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

pub(super) struct Inner<K: Key, M: Manage> {
    pub(super) directory: Directory<K, M>,
    pub(super) limits: Arc<Limits>,
    pub(super) config: KeyedConfig,
    /// Of the keys whose set-up says nothing else; that in `config` is what it was at first.
    max_size: AtomicUsize,
    /// How long `get` waits; that in `config` is what it was at first.
    pub(super) wait_timeout: SharedDuration,
    setup: Box<SetupFn<K, M>>,
    /// Set before the pools are closed.
    closed: AtomicBool,
    /// Pools without a key.
    pub(super) gone: Arc<Gone<M>>,
    made: AtomicU64,
    evicted: AtomicU64,
}

pub(super) type SetupFn<K, M> = dyn Fn(&K) -> Result<Setup<M>, KeyError> + Send + Sync;
type Asked<K, M> = Result<Arc<Entry<K, M>>, GetError<<M as Manage>::Error>>;

impl<K: Key, M: Manage> Inner<K, M> {
    pub(super) fn new(config: KeyedConfig, setup: Box<SetupFn<K, M>>) -> Self {
        let (pool, max_pools) = (&config.pool.name, config.max_pools);
        say!(
            Debug,
            { pool = **pool, event = "keyed_started", max_pools = max_pools },
            "keyed pool \"{pool}\": started, for at most {max_pools} keys"
        );
        Self {
            directory: Directory::new(config.max_pools),
            limits: Limits::new(config.caps()),
            gone: Arc::new(Gone::new(config.pool.name.as_str().into())),
            max_size: AtomicUsize::new(config.pool.max_size),
            wait_timeout: SharedDuration::new(config.pool.wait_timeout),
            config,
            setup,
            closed: AtomicBool::new(false),
            made: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    pub(super) fn pools_made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    pub(super) fn pools_evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(super) fn close(&self) {
        let first = !self.closed.swap(true, Ordering::SeqCst);
        for entry in self.directory.all() {
            match entry.ready() {
                Some(ready) => ready.pool.close(),
                // Its pool is closed by who makes it.
                None => entry.wake(),
            }
            self.retire(&entry);
        }
        if first {
            let (pool, keys) = (&self.config.pool.name, self.pools_made());
            say!(
                Debug,
                { pool = **pool, event = "keyed_closed", keys = keys },
                "keyed pool \"{pool}\": closed, after pools for {keys} keys"
            );
        }
    }

    /// Takes an entry out whose pool is closed.
    pub(super) fn retire(&self, entry: &Arc<Entry<K, M>>) {
        // First, so that at every moment it can be found in one of the two places.
        if let Some(ready) = entry.ready() {
            self.gone.leave(entry.number, ready.pool.downgrade());
        }
        self.directory.remove(entry);
    }

    /// Waits until the leases of all pools that were retired have come home, or until `deadline`;
    /// says which.
    pub(super) fn all_home(&self, deadline: Time) -> bool {
        self.gone.all_home(deadline)
    }

    /// Runs `step` for every pool, without a lock.
    pub(super) fn all_ready<R>(&self, step: impl Fn(&K, &Ready<M>) -> R) -> Vec<R> {
        let entries = self.directory.all();
        entries.iter().filter_map(|e| e.ready().map(|ready| step(&e.key, ready))).collect()
    }

    // ---- Finding and making ----

    /// The entry of `key`, now the one used last, if its pool is made.
    #[inline]
    pub(super) fn find(&self, key: &K) -> Option<Arc<Entry<K, M>>> {
        let entry = self.directory.find(key)?;
        entry.ready()?;
        self.directory.note_use(&entry);
        // Last: who makes a pool closes it itself if it was too late for `close` to find it.
        (!self.is_closed()).then_some(entry)
    }

    /// The same once its pool is made, by this thread or by another one.
    #[cold]
    pub(super) fn find_or_make(&self, key: &K, deadline: Time) -> Asked<K, M> {
        let entry = match self.directory.find(key) {
            Some(entry) => entry,
            None => self.add(key)?,
        };
        self.directory.note_use(&entry);
        let clock = &self.config.pool.clock;
        let began = clock.now();
        let made = entry.wait(deadline, clock, || self.is_closed());
        match made {
            Some(Err(refused)) => Err(refused.clone().into()),
            // Also if the pool was made since: who closes all did not find it to close it, and
            // a lease of it would be out when all are said to be home.
            _ if self.is_closed() => Err(GetError::Closed),
            Some(Ok(_)) => Ok(entry),
            None => {
                let waited = clock.now().since(began);
                Err(GetError::KeyNotReady { key: shown(&entry.key), waited })
            }
        }
    }

    #[cold]
    fn add(&self, key: &K) -> Asked<K, M> {
        loop {
            if self.is_closed() {
                return Err(GetError::Closed);
            }
            match self.directory.find_or_add(key) {
                Found::There(entry) => return Ok(entry),
                Found::Added(entry) => {
                    self.fill(&entry);
                    return Ok(entry);
                }
                Found::Full => {
                    if !self.evict_one() {
                        let max_pools = self.config.max_pools;
                        return Err(GetError::TooManyKeys { key: shown(key), max_pools });
                    }
                }
            }
        }
    }

    /// Makes the pool of an entry just added. A key that is refused leaves no entry.
    fn fill(&self, entry: &Arc<Entry<K, M>>) {
        // The setup is the user's code, and so is all that a key does.
        let made = caught(|| self.make(&entry.key, entry.number)).unwrap_or_else(|said| {
            Err(KeyError::new(shown(&entry.key), format_args!("its set-up panicked: {said}")))
        });
        if made.is_err() {
            // First, so that whoever hears of it and asks again is not answered by this.
            self.directory.remove(entry);
        }
        entry.fill(made);
        if let Some(ready) = entry.ready() {
            // Also if it was set while the pool was made.
            self.set_size_of(ready);
        }
        if let (true, Some(ready)) = (self.is_closed(), entry.ready()) {
            // By somebody who found nothing here to close yet.
            ready.pool.close();
            self.retire(entry);
        }
    }

    /// The settings, with what was changed since the start.
    pub(super) fn config_in_force(&self) -> KeyedConfig {
        let mut config = self.config.clone().with_caps(&self.limits.caps());
        config.pool.max_size = self.max_size.load(Ordering::SeqCst);
        config.pool.wait_timeout = self.wait_timeout.get();
        config
    }

    /// Sets the size of all keys that have the common one, and of those to come.
    pub(super) fn set_max_size(&self, max_size: usize) {
        self.max_size.store(max_size, Ordering::SeqCst);
        self.all_ready(|_, ready| self.set_size_of(ready));
    }

    fn set_size_of(&self, ready: &Ready<M>) {
        let max_size = self.max_size.load(Ordering::SeqCst);
        if ready.has_common_size && ready.pool.stats().max_size != max_size {
            // Not refused: it is not zero.
            let _ = ready.pool.resize(max_size);
        }
    }

    /// Asks the setup, and starts the pool that it describes.
    fn make(&self, key: &K, number: u64) -> Result<Ready<M>, KeyError> {
        key.check()?;
        let Setup { manager, host, config } = (self.setup)(key)?;
        let shown = shown(key);
        let host = host.unwrap_or_else(|| key.host());
        let common = &self.config.pool;
        let has_common_size = config.is_none();
        let config = config.unwrap_or_else(|| common.clone());
        let name = format!("{} {shown}", common.name);
        let config = config.name(name).clock(common.clock.clone());
        let mut config = config.wait_timeout(common.wait_timeout);
        config.observer = config.observer.or_else(|| common.observer.clone());
        config.when_unhealthy.get_or_insert(WhenUnhealthy::Fail);
        let permits = self.limits.join(&host);
        let host = permits.host();
        let will = Will { heir: self.gone.clone(), key: shown.into(), number };
        let pool = Pool::start(config, manager, permits, host.clone(), will)
            .map_err(|wrong| KeyError::new(key, wrong))?;
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Ready { pool, host, has_common_size })
    }

    /// Evicts the least recently used key that nobody uses. Says whether there was one.
    fn evict_one(&self) -> bool {
        let mut look = self.directory.look_by_use();
        while let Some(entry) = self.directory.next_by_use(&mut look) {
            let evicted = self.evict(&entry);
            // The end of a manager is the user's code, and that of another key.
            if let Err(said) = caught(|| drop(entry)) {
                let (pool, said) = (&self.config.pool.name, one_line(&said));
                say!(
                    Error,
                    { pool = **pool, event = "panicked", reason = *said },
                    "pool \"{pool}\": the end of an evicted key panicked: {said}"
                );
            }
            if evicted {
                return true;
            }
        }
        false
    }

    /// Evicts this one if nobody uses it. Says whether it is gone.
    fn evict(&self, entry: &Arc<Entry<K, M>>) -> bool {
        let Some(ready) = entry.ready() else { return false };
        if ready.pool.close_if_unused() {
            self.evicted.fetch_add(1, Ordering::Relaxed);
            let (pool, key) = (&self.config.pool.name, shown(&entry.key));
            say!(
                Debug,
                { pool = **pool, key = *key, event = "key_evicted" },
                "pool \"{pool}\": key \"{key}\": evicted for another one"
            );
        } else if !ready.pool.is_closed() {
            return false;
        }
        // If another thread closed it, it may not have come to this yet.
        self.retire(entry);
        true
    }
}

/// A key as it is named in logs and errors.
pub(super) fn shown(key: &impl Display) -> String {
    caught(|| key.to_string()).map_or_else(|_| "unprintable".into(), |text| cut(&text))
}

impl<K: Key, M: Manage> Drop for Inner<K, M> {
    fn drop(&mut self) {
        self.close();
    }
}
