//! How a thread waits under the model checker, and how time wakes it.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use shuttle::future::batch_semaphore::{BatchSemaphore, Fairness};

/// One wait of one thread. Waking it before it sleeps is not lost.
#[derive(Debug)]
pub(super) struct Sleeper(BatchSemaphore);

thread_local! {
    /// Those whom time wakes. All threads of an execution run on one thread of the system.
    static BY_TIME: RefCell<Vec<Weak<Sleeper>>> = const { RefCell::new(Vec::new()) };
}

impl Sleeper {
    /// Woken by time from here on. Nothing else runs between this and what the thread did last,
    /// such as to look at the clock.
    pub(super) fn new() -> Arc<Self> {
        let sleeper = Arc::new(Self(BatchSemaphore::new(0, Fairness::StrictlyFair)));
        BY_TIME.with_borrow_mut(|all| {
            all.retain(|other| other.strong_count() > 0);
            all.push(Arc::downgrade(&sleeper));
        });
        sleeper
    }

    pub(super) fn sleep(&self) {
        // Fails only once the execution has.
        let _ = self.0.acquire_blocking(1);
    }

    pub(super) fn wake(&self) {
        self.0.release(1);
    }
}

/// Wakes all who wait, to look at their clocks.
pub(crate) fn time_has_moved() {
    let all = BY_TIME.take();
    all.iter().filter_map(Weak::upgrade).for_each(|sleeper| sleeper.wake());
}
