//! Which key has which pool. One lock, held to look entries up, to add one and to remove one, and
//! for nothing else: keys are hashed, compared and cloned without it, and pools are made and closed
//! without it.
//!
//! ```text
//!     absent ──add──▶ making ──▶ ready ──close──▶ closed ──remove──▶ absent
//!        ▲               │ the setup refused the key
//!        └───────────────┘
//! ```
//!
//! The thread that adds an entry makes its pool; those that want the same key wait at the entry,
//! and those that want another key do not. A pool is closed before its entry is removed, so a
//! thread that had found the entry meanwhile finds the pool closed, and looks again.
//!
//! A second lock, taken inside the first or alone, guards the order of the last uses, which only an
//! eviction asks for.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::{Arc, OnceLock};

use super::by_use::{ByUse, Look, Step};
use crate::clock::{Clock, Time};
use crate::key_error::KeyError;
use crate::pool::{Manage, Pool};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex, RwLock};

pub(super) struct Directory<K, M: Manage> {
    /// By the key's hash, which few share: by chance, none do.
    entries: RwLock<Entries<K, M>>,
    hasher: RandomState,
    /// The same entries, for [`Directory::next_by_use`].
    in_order: Mutex<ByUse<Arc<Entry<K, M>>>>,
    max_pools: usize,
    /// The number of the last use: see [`Directory::note_use`].
    last_use: AtomicU64,
    next_number: AtomicU64,
}

struct Entries<K, M: Manage> {
    by_hash: HashMap<u64, Alike<K, M>, BuildHasherDefault<AsItIs>>,
    /// Keys, however many of them share a hash.
    count: usize,
}

/// Those with one hash.
type Alike<K, M> = Vec<Arc<Entry<K, M>>>;

/// A key, and its pool once that is made.
pub(super) struct Entry<K, M: Manage> {
    pub(super) key: K,
    hash: u64,
    /// In the order in which the keys were first asked for.
    pub(super) number: u64,
    used_at: AtomicU64,
    made: OnceLock<Result<Ready<M>, KeyError>>,
    /// Held to fill `made`, and to wait until it is.
    making: Mutex<()>,
    is_made: Condvar,
}

/// A pool at work.
pub(super) struct Ready<M: Manage> {
    pub(super) pool: Pool<M>,
    pub(super) host: Arc<str>,
    /// Whether its `max_size` is that of the keyed pool, and not of its set-up.
    pub(super) has_common_size: bool,
}

/// Unlike the number of any use.
const UNUSED: u64 = u64::MAX;

/// What there is for a key.
pub(super) enum Found<K, M: Manage> {
    There(Arc<Entry<K, M>>),
    /// Just added: the caller must fill it.
    Added(Arc<Entry<K, M>>),
    /// There are `max_pools`, and one must go first.
    Full,
}

impl<K: Hash + Eq + Clone, M: Manage> Directory<K, M> {
    pub(super) fn new(max_pools: usize) -> Self {
        Self {
            entries: RwLock::new(Entries { by_hash: HashMap::default(), count: 0 }),
            hasher: RandomState::new(),
            in_order: Mutex::new(ByUse::new()),
            max_pools,
            last_use: AtomicU64::new(0),
            next_number: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(super) fn find(&self, key: &K) -> Option<Arc<Entry<K, M>>> {
        let hash = self.hasher.hash_one(key);
        let first = self.entries.read().by_hash.get(&hash)?.first()?.clone();
        if first.key == *key { Some(first) } else { self.find_behind(key, hash) }
    }

    #[cold]
    fn find_behind(&self, key: &K, hash: u64) -> Option<Arc<Entry<K, M>>> {
        let alike = self.alike(hash);
        alike.into_iter().find(|entry| entry.key == *key)
    }

    fn alike(&self, hash: u64) -> Alike<K, M> {
        self.entries.read().by_hash.get(&hash).cloned().unwrap_or_default()
    }

    pub(super) fn find_or_add(&self, key: &K) -> Found<K, M> {
        let hash = self.hasher.hash_one(key);
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let added = Arc::new(Entry::new(key.clone(), hash, number));
        loop {
            let alike = self.alike(hash);
            if let Some(entry) = alike.iter().find(|entry| entry.key == *key) {
                return Found::There(entry.clone());
            }
            let mut entries = self.entries.write();
            if entries.count >= self.max_pools {
                return Found::Full;
            }
            let now_alike = entries.by_hash.get(&hash).map_or(&[][..], Vec::as_slice);
            // If others came or went meanwhile, the comparison above was not with these.
            if same(&alike, now_alike) {
                entries.by_hash.entry(hash).or_default().push(added.clone());
                entries.count += 1;
                // Behind all that were used, since it is about to be.
                let used_at = self.last_use.load(Ordering::Relaxed) + 1;
                self.in_order.lock().put(number, used_at, added.clone());
                return Found::Added(added);
            }
        }
    }

    pub(super) fn remove(&self, entry: &Arc<Entry<K, M>>) {
        let mut entries = self.entries.write();
        let Some(alike) = entries.by_hash.get_mut(&entry.hash) else { return };
        let Some(at) = alike.iter().position(|other| Arc::ptr_eq(other, entry)) else { return };
        alike.remove(at);
        if alike.is_empty() {
            entries.by_hash.remove(&entry.hash);
        }
        entries.count -= 1;
        self.in_order.lock().remove(entry.number);
    }

    /// In the order in which they were first asked for.
    pub(super) fn all(&self) -> Vec<Arc<Entry<K, M>>> {
        let mut all: Vec<_> = self.entries.read().by_hash.values().flatten().cloned().collect();
        all.sort_unstable_by_key(|entry| entry.number);
        all
    }

    pub(super) fn len(&self) -> usize {
        self.entries.read().count
    }

    /// Notes that `entry` is the one used last. Only if it was not does it cost a write to what
    /// other threads read.
    #[inline]
    pub(super) fn note_use(&self, entry: &Entry<K, M>) {
        if entry.used_at.load(Ordering::Relaxed) != self.last_use.load(Ordering::Relaxed) {
            let number = self.last_use.fetch_add(1, Ordering::Relaxed) + 1;
            entry.used_at.store(number, Ordering::Relaxed);
        }
    }

    /// All of them, the least recently used first.
    pub(super) fn by_use(&self) -> Vec<Arc<Entry<K, M>>> {
        let mut all = self.all();
        all.sort_by_cached_key(|entry| entry.used_at.load(Ordering::Relaxed));
        all
    }

    /// Begins to look through the entries, the least recently used first.
    pub(super) fn look_by_use(&self) -> Look {
        Look::new(self.last_use.load(Ordering::Relaxed))
    }

    /// The next entry of such a look.
    pub(super) fn next_by_use(&self, look: &mut Look) -> Option<Arc<Entry<K, M>>> {
        loop {
            // A lock for each step: there may be many.
            match self.in_order.lock().step(look, |entry| entry.used_at()) {
                Step::Found(entry) => return Some(entry),
                Step::Moved => {}
                Step::End => return None,
            }
        }
    }
}

impl<K, M: Manage> Entry<K, M> {
    fn new(key: K, hash: u64, number: u64) -> Self {
        Self {
            key,
            hash,
            number,
            used_at: AtomicU64::new(UNUSED),
            made: OnceLock::new(),
            making: Mutex::new(()),
            is_made: Condvar::new(),
        }
    }

    /// The number of its last use, if there was one.
    fn used_at(&self) -> Option<u64> {
        Some(self.used_at.load(Ordering::Relaxed)).filter(|&number| number != UNUSED)
    }

    /// The pool, or why the key was refused; `None` while it is being made.
    #[inline]
    pub(super) fn made(&self) -> Option<&Result<Ready<M>, KeyError>> {
        self.made.get()
    }

    /// The pool, if there is one.
    pub(super) fn ready(&self) -> Option<&Ready<M>> {
        self.made()?.as_ref().ok()
    }

    /// Called once, by whoever added the entry.
    pub(super) fn fill(&self, made: Result<Ready<M>, KeyError>) {
        let guard = self.making.lock();
        let refused = self.made.set(made);
        drop(guard);
        self.is_made.notify_all();
        drop(refused);
    }

    /// Has those who wait for it to be filled see whether that is over.
    pub(super) fn wake(&self) {
        // Whoever has looked waits by now.
        drop(self.making.lock());
        self.is_made.notify_all();
    }

    /// Waits for it to be filled; `None` if that takes longer than until `deadline`, or than
    /// until it is `over` ([`Self::wake`]).
    pub(super) fn wait(
        &self,
        deadline: Time,
        clock: &Clock,
        over: impl Fn() -> bool,
    ) -> Option<&Result<Ready<M>, KeyError>> {
        let mut guard = self.making.lock();
        while self.made.get().is_none() {
            let remaining = deadline.since(clock.now());
            if remaining.is_zero() || over() {
                return None;
            }
            clock.wait(&self.is_made, &mut guard, remaining);
        }
        self.made.get()
    }
}

fn same<T>(these: &[Arc<T>], those: &[Arc<T>]) -> bool {
    these.len() == those.len()
        && these.iter().zip(those).all(|(this, that)| Arc::ptr_eq(this, that))
}

/// Hashes a hash: a key's is good already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used: the only keys are `u64`.
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
