//! Why a `get` gave no lease, told so that the reader knows what to change.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::permits::SharedLimit;
use super::stats::Stats;
use crate::error::ConfigError;
use crate::key_error::KeyError;

/// Why [`get`](crate::Pool::get), [`get_timeout`](crate::Pool::get_timeout) or
/// [`try_get`](crate::Pool::try_get) gave no lease.
///
/// `E` is [`Manage::Error`](crate::Manage::Error).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError<E> {
    /// The deadline passed first.
    #[error("timed out after {waited:.1?} waiting for an item of {picture}")]
    #[non_exhaustive]
    Timeout {
        /// How long the caller waited.
        waited: Duration,
        /// The pool as it was at that moment.
        picture: Box<Picture>,
    },
    /// `try_get` found no item and no room to create one.
    #[error("no item free in {picture}")]
    #[non_exhaustive]
    Exhausted {
        /// The pool as it was at that moment.
        picture: Box<Picture>,
    },
    /// As many threads were waiting as `max_waiting` allows.
    #[error("too many threads wait for an item of {picture}")]
    #[non_exhaustive]
    QueueFull {
        /// The pool as it was at that moment.
        picture: Box<Picture>,
    },
    /// With [`admission`](crate::PoolConfig#structfield.admission): the caller could not be served in
    /// time by the look of things, when it came or, if its deadline covers the use of the item, when
    /// its turn came.
    #[error(
        "would time out: an estimated {estimate:.1?}, where {given:.1?} are given, for an item of {picture}"
    )]
    #[non_exhaustive]
    TooLate {
        /// How long it would have waited, and, if its deadline covers the use of the item, used it.
        estimate: Duration,
        /// How long it was ready to.
        given: Duration,
        /// The pool as it was at that moment.
        picture: Box<Picture>,
    },
    /// All items are unhealthy, and the pool is set to [`Fail`](crate::WhenUnhealthy::Fail). The
    /// picture says what the last check said and when the next is due.
    #[error("no healthy item in {picture}")]
    #[non_exhaustive]
    Unhealthy {
        /// What the last check that failed said.
        last_error: Arc<str>,
        /// The pool as it was at that moment.
        picture: Box<Picture>,
    },
    /// An item had to be created, and could not be.
    #[error("cannot create an item: {0}")]
    Create(#[source] E),
    /// `Manage::create` panicked.
    #[error("cannot create an item: create panicked: {message}")]
    #[non_exhaustive]
    CreatePanicked {
        /// What the panic said.
        message: String,
    },
    /// A keyed pool cannot use the key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A keyed pool has as many keys as it may, each with leases out, threads waiting or a
    /// warm-up under way.
    #[error(
        "no room for key \"{key}\": max_pools ({max_pools}) keys are all in use; raise max_pools, \
         or put leases back"
    )]
    #[non_exhaustive]
    TooManyKeys {
        /// The key that was asked for.
        key: String,
        /// The setting.
        max_pools: usize,
    },
    /// Another thread makes the pool of this key, and did not end before the deadline.
    #[error("the pool of key \"{key}\" is still being made after {waited:.1?}: its set-up is slow")]
    #[non_exhaustive]
    KeyNotReady {
        /// The key that was asked for.
        key: String,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The pool was closed, before or during the wait.
    #[error("the pool is closed")]
    Closed,
}

/// Why a pool could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError<E: fmt::Display> {
    /// Settings that cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// With `fail_fast`: the first items could not be had.
    #[error(
        "cannot start pool \"{pool}\": {ready} of {wanted} items ready after {waited:.1?}; {}",
        cause.as_ref().map_or_else(|| SLOW_START.into(), ToString::to_string)
    )]
    #[non_exhaustive]
    NotReady {
        /// The pool's name.
        pool: Arc<str>,
        /// Items created in time.
        ready: usize,
        /// `min_idle`.
        wanted: usize,
        /// How long the start took.
        waited: Duration,
        /// What one of the creations said; `None` if they just took too long.
        #[source]
        cause: Option<CreateError<E>>,
    },
}

const SLOW_START: &str = "create is slow: raise wait_timeout or lower min_idle";

/// Why an item could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError<E> {
    /// `Manage::create` returned this.
    #[error("{0}")]
    Failed(#[source] E),
    /// `Manage::create` panicked.
    #[error("create panicked: {0}")]
    Panicked(String),
}

impl<E> From<CreateError<E>> for GetError<E> {
    fn from(error: CreateError<E>) -> Self {
        match error {
            CreateError::Failed(error) => GetError::Create(error),
            CreateError::Panicked(message) => GetError::CreatePanicked { message },
        }
    }
}

/// A pool at the moment it refused somebody; its `Display` is one line that ends in advice.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Picture {
    /// The pool's name.
    pub pool: Arc<str>,
    /// Its counts.
    pub stats: Stats,
    /// Leases of this pool that the calling thread took and that are still out.
    pub held_by_caller: usize,
    /// At a time-out: how long the oldest lease has been out, and the line that took it.
    pub oldest_lease: Option<(Duration, &'static Location<'static>)>,
    /// The limit shared with other pools that kept the caller from being served; `None` if it was
    /// the pool's own.
    pub shared_limit: Option<SharedLimit>,
    /// What the last creation that failed said, and how long ago.
    pub last_create_error: Option<(Arc<str>, Duration)>,
    /// What the last check that failed said, and how long ago.
    pub last_check_error: Option<(Arc<str>, Duration)>,
    /// In how long the next unhealthy item is checked; zero if one is being checked, or due;
    /// `None` if there is none.
    pub next_check: Option<Duration>,
    /// No creation has succeeded since.
    pub(super) creation_fails: bool,
    pub(super) refusal: Refusal,
}

/// What the caller ran into, which decides what would have helped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    /// With the place in the queue that it had reached, from 1.
    Timeout {
        place: Option<usize>,
    },
    Exhausted,
    QueueFull {
        max_waiting: usize,
    },
    TooLate,
    Unhealthy,
}

impl Picture {
    /// The place in the queue that the caller had reached, from 1; `None` if it did not wait.
    #[must_use]
    pub fn place(&self) -> Option<usize> {
        match self.refusal {
            Refusal::Timeout { place } => place,
            Refusal::Exhausted
            | Refusal::QueueFull { .. }
            | Refusal::TooLate
            | Refusal::Unhealthy => None,
        }
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats { max_size, in_use, idle, creating, checking, unhealthy, waiting, .. } =
            self.stats;
        write!(
            f,
            "pool \"{}\": max_size {max_size}, in use {in_use}, idle {idle}, creating {creating}",
            self.pool
        )?;
        if checking > 0 {
            write!(f, ", checking {checking}")?;
        }
        if unhealthy > 0 {
            write!(f, ", unhealthy {unhealthy}")?;
        }
        write!(f, ", waiting {waiting}")?;
        if let Some(place) = self.place() {
            write!(f, ", place in the queue {place}")?;
        }
        if let Some(limit) = &self.shared_limit {
            write!(f, ", held by {limit}")?;
        }
        if let Some((age, line)) = self.oldest_lease {
            write!(f, ", oldest lease out for {age:.1?}, taken at {line}")?;
        }
        if let Some((error, ago)) = &self.last_create_error {
            write!(f, ", last creation error {ago:.1?} ago: {error}")?;
        }
        if let (Some((error, ago)), Some(next)) = (&self.last_check_error, self.next_check) {
            write!(f, ", last check error {ago:.1?} ago: {error}")?;
            match next {
                Duration::ZERO => f.write_str(", next check now")?,
                next => write!(f, ", next check in {next:.1?}")?,
            }
        }
        write!(f, "; {}", Advice(self))
    }
}

const COMES_BACK: &str = "an item comes back when it passes its check: see the last check error";

/// Which setting would have helped.
struct Advice<'a>(&'a Picture);

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Picture { stats, held_by_caller: held, next_check, .. } = self.0;
        let others = stats.idle + stats.in_use + stats.creating;
        let all_unhealthy = next_check.is_some() && others == 0;
        if let Some(limit) = &self.0.shared_limit {
            let setting = limit.setting();
            match self.0.refusal {
                Refusal::Exhausted => return write!(f, "raise {setting}, or wait with get"),
                Refusal::QueueFull { .. } => return write!(f, "raise max_waiting or {setting}"),
                Refusal::Timeout { .. } | Refusal::TooLate => {
                    return write!(f, "raise {setting}, wait longer, or hold leases for less time");
                }
                Refusal::Unhealthy => {}
            }
        }
        match self.0.refusal {
            Refusal::QueueFull { max_waiting } => {
                return write!(f, "raise max_waiting ({max_waiting}) or max_size");
            }
            Refusal::Unhealthy => return f.write_str(COMES_BACK),
            Refusal::Exhausted if all_unhealthy => return f.write_str(COMES_BACK),
            Refusal::Exhausted => return f.write_str("raise max_size, or wait with get"),
            Refusal::TooLate => {
                return f.write_str("raise max_size, wait longer, or hold leases for less time");
            }
            Refusal::Timeout { .. } => {}
        }
        if *held > 0 {
            write!(
                f,
                "this thread took {held} of those in use and may be waiting for itself: put \
                 them back first, or raise max_size to threads x (leases per thread - 1) + 1"
            )
        } else if stats.in_use >= stats.max_size {
            f.write_str("raise max_size, wait longer, or hold leases for less time")
        } else if self.0.creation_fails {
            f.write_str("items cannot be created: see the last creation error")
        } else if all_unhealthy {
            f.write_str(COMES_BACK)
        } else if stats.creating > 0 {
            f.write_str("creation is slow: raise min_idle to have items ready, or wait longer")
        } else {
            f.write_str("wait longer")
        }
    }
}
