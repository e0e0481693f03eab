//! The same under the model checker, with the interface of the usual ones as far as it is used.
//!
//! The checker knows no time. It passes when a thread advances a [`ManualClock`](crate::ManualClock),
//! so a time-out comes wherever the checker lets that thread go on, and a thread that waits for what
//! never comes is seen as a deadlock.

pub(crate) mod channel;
mod sleep;
mod switches;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex as Plain, PoisonError};
use std::time::Duration;

pub(crate) use shuttle::sync::atomic;
pub(crate) use shuttle::thread;
pub(crate) use shuttle::thread_local;
use sleep::Sleeper;
pub(crate) use sleep::time_has_moved;
pub(crate) use switches::may_overtake;
pub use switches::{Bug, set_may_overtake};

/// The same, but made anew for every execution.
macro_rules! shared_by_all {
    (static $name:ident: $type:ty = $value:expr;) => {
        shuttle::lazy_static! { static ref $name: $type = $value; }
    };
}

pub(crate) use shared_by_all;

/// Unfair, as `parking_lot`'s nearly is: whoever comes first takes it. `shuttle-parking_lot` has one
/// that is served in order, which hides orders that can be, and no condition variable.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// `None` while it is unlocked for a moment.
    held: Option<shuttle::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, held: Some(self.hold()) }
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        // Nothing panics while it holds a lock, so that a poisoned one is one of a failed test.
        self.0.try_lock().ok().map(|held| MutexGuard { mutex: self, held: Some(held) })
    }

    fn hold(&self) -> shuttle::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> MutexGuard<'_, T> {
    pub(crate) fn unlocked<R>(guard: &mut Self, meanwhile: impl FnOnce() -> R) -> R {
        guard.held = None;
        let result = meanwhile();
        guard.held = Some(guard.mutex.hold());
        result
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        let Some(held) = &self.held else { unreachable!("it is not unlocked here") };
        held
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        let Some(held) = &mut self.held else { unreachable!("it is not unlocked here") };
        held
    }
}

#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(shuttle::sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(shuttle::sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> shuttle::sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> shuttle::sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits end when it is signalled or time has moved.
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    /// Never held while another thread runs, so it need not be the checker's.
    waiting: Plain<Vec<Arc<Sleeper>>>,
}

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self { waiting: Plain::new(Vec::new()) }
    }

    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) {
        // Known to whoever signals before the lock is released.
        let sleeper = Sleeper::new();
        self.all(|waiting| waiting.push(sleeper.clone()));
        MutexGuard::unlocked(guard, || sleeper.sleep());
        self.all(|waiting| waiting.retain(|other| !Arc::ptr_eq(other, &sleeper)));
    }

    pub(crate) fn notify_one(&self) {
        let first = self.all(|waiting| (!waiting.is_empty()).then(|| waiting.remove(0)));
        first.into_iter().for_each(|sleeper| sleeper.wake());
    }

    pub(crate) fn notify_all(&self) {
        self.all(std::mem::take).into_iter().for_each(|sleeper| sleeper.wake());
    }

    fn all<R>(&self, change: impl FnOnce(&mut Vec<Arc<Sleeper>>) -> R) -> R {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
