//! Parts of a key, shared by its clones and hashed once.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

/// Seeded once a process, like the maps of std: whoever chooses keys cannot make them collide.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Hashing takes one `u64` whatever the size of the parts, and a clone is equal at a glance.
pub(super) struct Prehashed<T> {
    hash: u64,
    parts: Arc<T>,
}

impl<T: Hash> Prehashed<T> {
    pub(super) fn new(parts: T) -> Self {
        Self { hash: SEED.hash_one(&parts), parts: Arc::new(parts) }
    }

    pub(super) fn parts(&self) -> &T {
        &self.parts
    }

    /// Changes the parts of this one, and not those of its clones.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut T))
    where
        T: Clone,
    {
        let parts = Arc::make_mut(&mut self.parts);
        change(parts);
        self.hash = SEED.hash_one(parts);
    }
}

impl<T> Clone for Prehashed<T> {
    fn clone(&self) -> Self {
        Self { hash: self.hash, parts: Arc::clone(&self.parts) }
    }
}

impl<T: Eq> PartialEq for Prehashed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.parts == other.parts
    }
}

impl<T: Eq> Eq for Prehashed<T> {}

impl<T> Hash for Prehashed<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<T: Ord> PartialOrd for Prehashed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> Ord for Prehashed<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts)
    }
}
