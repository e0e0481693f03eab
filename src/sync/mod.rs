//! What threads meet at: locks, conditions, channels, threads and what is kept by thread, chosen in
//! this one place.
//!
//! In any usual build these are the types of `parking_lot`, `crossbeam-channel` and `std` under
//! other names. With `--cfg llm_pool_shuttle` they are those of the model checker `shuttle`, which
//! runs all threads of an execution on one and chooses at every step which goes on; see
//! `tests/model`. What the pool and its limits share between threads comes from here, as does the
//! lock of whoever waits by a [`Clock`](crate::Clock). What each thread only adds to, such as
//! counts, does not: an order more of these would hide orders of what matters.

#[cfg(llm_pool_shuttle)]
mod checked;

#[cfg(llm_pool_shuttle)]
pub use checked::*;
#[cfg(not(llm_pool_shuttle))]
pub(crate) use usual::*;

#[cfg(not(llm_pool_shuttle))]
mod usual {
    pub(crate) use std::sync::atomic;
    pub(crate) use std::thread;
    pub(crate) use std::thread_local;

    pub(crate) use crossbeam_channel as channel;
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

    /// A static that all pools of the process share.
    macro_rules! shared_by_all {
        (static $name:ident: $type:ty = $value:expr;) => {
            static $name: $type = $value;
        };
    }

    pub(crate) use shared_by_all;
}
