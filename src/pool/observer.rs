//! Being told what happens in a pool, as it happens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::permits::SharedLimit;
use super::stats::EvictReason;
use crate::caught::Kept;

/// Is told what happens in a pool; set with [`PoolConfig::observer`](crate::PoolConfig::observer).
/// Every method does nothing unless it is written.
///
/// Each is told of a pool by its name; that of a key's pool ends with the key. One observer may
/// serve many pools, and two an observer's place: `(one, other)` is an observer too, whose second
/// hears of nothing at which the first panicked.
///
/// A method is called on the thread that did what it tells of, without a lock, so it may ask the
/// pool for anything. It must not block: the thread goes on once it has returned, and those who wait
/// for what the thread does wait as long. A panic is caught, and logged once a pool.
///
/// What one step does is told in its order, before others get what the step sets free: the creation
/// of an item before the lease that waited for it. What two threads do at one time may be told in
/// either order.
///
/// ```
/// use llm_pool::{EvictReason, Observer, PoolConfig};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Default)]
/// struct Broken(AtomicU64);
///
/// impl Observer for Broken {
///     fn evicted(&self, pool: &Arc<str>, reason: EvictReason) {
///         if reason == EvictReason::Broken {
///             eprintln!("{pool}: {} broken", self.0.fetch_add(1, Ordering::Relaxed) + 1);
///         }
///     }
/// }
///
/// let config = PoolConfig::default().observer(Broken::default());
/// ```
pub trait Observer: Send + Sync {
    /// An item was created, which took so long, the start of a thread included.
    fn created(&self, pool: &Arc<str>, took: Duration) {
        let _ = (pool, took);
    }

    /// A creation failed, and this is what it said, on one line.
    fn create_failed(&self, pool: &Arc<str>, message: &str) {
        let _ = (pool, message);
    }

    /// A lease was given out, to the calling thread, which had waited so long: zero if an item was
    /// idle. In [`try_get`](crate::Pool::try_get) the wait is that for its own creation.
    fn got(&self, pool: &Arc<str>, waited: Duration) {
        let _ = (pool, waited);
    }

    /// A lease ended after so long, to about 10 ms, and its item stays in the pool. One whose item
    /// does not is told as [`evicted`](Self::evicted) or [`detached`](Self::detached).
    fn put_back(&self, pool: &Arc<str>, held: Duration) {
        let _ = (pool, held);
    }

    /// A lease ended after so long, and its holder kept the item.
    fn detached(&self, pool: &Arc<str>, held: Duration) {
        let _ = (pool, held);
    }

    /// The pool gave up an item, which is about to be dropped or, if it is out with a check that was
    /// given up, whenever that ends.
    fn evicted(&self, pool: &Arc<str>, reason: EvictReason) {
        let _ = (pool, reason);
    }

    /// The calling thread waited so long, in vain, kept by `limit` or, if there is none, by the
    /// pool's own.
    fn timed_out(&self, pool: &Arc<str>, waited: Duration, limit: Option<&SharedLimit>) {
        let _ = (pool, waited, limit);
    }

    /// Something else happened that is worth to be known.
    fn state_changed(&self, pool: &Arc<str>, change: &StateChange) {
        let _ = (pool, change);
    }
}

/// What may be worth to be known of a pool beside what becomes of its items.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateChange {
    /// More than [`nearly_full`](crate::PoolConfig#structfield.nearly_full) of it is in use; as often
    /// as that is logged.
    NearlyFull,
    /// An item that was well failed its check, and is set aside.
    #[non_exhaustive]
    Unhealthy {
        /// What the check said.
        error: Arc<str>,
    },
    /// An item that was set aside passed its check.
    Recovered,
    /// A check took longer than `check_timeout`.
    #[non_exhaustive]
    CheckGivenUp {
        /// How long it has run.
        ran: Duration,
    },
    /// A lease is held for longer than `leak_after`.
    #[non_exhaustive]
    Leak {
        /// For how long so far.
        held: Duration,
    },
    /// The cap was changed.
    #[non_exhaustive]
    Resized {
        /// The new one.
        max_size: usize,
    },
    /// All items made before end.
    Reset,
    /// The pool was closed.
    Closed,
}

impl StateChange {
    /// The change in one or two words, such as `nearly full`, without why.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NearlyFull => "nearly full",
            Self::Unhealthy { .. } => "unhealthy",
            Self::Recovered => "recovered",
            Self::CheckGivenUp { .. } => "check given up",
            Self::Leak { .. } => "leak",
            Self::Resized { .. } => "resized",
            Self::Reset => "reset",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for StateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NearlyFull => f.write_str("nearly full"),
            Self::Unhealthy { error } => write!(f, "an item failed its check: {error}"),
            Self::Recovered => f.write_str("an unhealthy item passed its check again"),
            Self::CheckGivenUp { ran } => write!(f, "gave up a check that had run for {ran:.1?}"),
            Self::Leak { held } => write!(f, "a lease has been held for {held:.1?}"),
            Self::Resized { max_size } => write!(f, "max_size is now {max_size}"),
            Self::Reset => f.write_str("reset"),
            Self::Closed => f.write_str("closed"),
        }
    }
}

impl fmt::Debug for dyn Observer {
    /// No more than that it is one: it may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// Tells each of these the same.
macro_rules! forward {
    ($self:ident: $($to:expr),+) => {
        fn created(&$self, pool: &Arc<str>, took: Duration) {
            $($to.created(pool, took);)+
        }

        fn create_failed(&$self, pool: &Arc<str>, message: &str) {
            $($to.create_failed(pool, message);)+
        }

        fn got(&$self, pool: &Arc<str>, waited: Duration) {
            $($to.got(pool, waited);)+
        }

        fn put_back(&$self, pool: &Arc<str>, held: Duration) {
            $($to.put_back(pool, held);)+
        }

        fn detached(&$self, pool: &Arc<str>, held: Duration) {
            $($to.detached(pool, held);)+
        }

        fn evicted(&$self, pool: &Arc<str>, reason: EvictReason) {
            $($to.evicted(pool, reason);)+
        }

        fn timed_out(&$self, pool: &Arc<str>, waited: Duration, limit: Option<&SharedLimit>) {
            $($to.timed_out(pool, waited, limit);)+
        }

        fn state_changed(&$self, pool: &Arc<str>, change: &StateChange) {
            $($to.state_changed(pool, change);)+
        }
    };
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    forward!(self: (**self));
}

impl<A: Observer, B: Observer> Observer for (A, B) {
    forward!(self: self.0, self.1);
}

/// One whose drop may panic wherever the last pool ends that has it.
impl<O: Observer> Observer for Kept<O> {
    forward!(self: (**self));
}
