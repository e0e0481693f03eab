//! Warming up: items made and proved before they are needed.

use std::sync::Arc;
use std::time::Duration;

use super::manage::Manage;
use super::shared::{Drops, Shared};
use super::slots::Warmth;
use crate::clock::Time;
use crate::key_error::KeyError;

/// Why [`Pool::warm_up`](crate::Pool::warm_up) did not reach its aim.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WarmUpError {
    /// More than the pool may hold. Nothing was created.
    #[error("cannot warm up {wanted} items of pool \"{pool}\": max_size is {max_size}")]
    #[non_exhaustive]
    TooMany {
        /// The pool's name.
        pool: Arc<str>,
        /// How many were asked for.
        wanted: usize,
        /// The cap in force.
        max_size: usize,
    },
    /// A creation or a check failed, or they took longer than `wait_timeout`.
    #[error(
        "warmed up {ready} of {wanted} items of pool \"{pool}\" in {waited:.1?}; {}",
        cause.as_deref().unwrap_or(SLOW)
    )]
    #[non_exhaustive]
    NotReady {
        /// The pool's name.
        pool: Arc<str>,
        /// Items idle that were used or have passed their check.
        ready: usize,
        /// How many were asked for.
        wanted: usize,
        /// How long it took.
        waited: Duration,
        /// What the last creation or check that failed said; `None` if they just took too long.
        cause: Option<Arc<str>>,
    },
    /// A keyed pool cannot use the key, or has no room for it. Nothing was created.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The pool was closed, before or meanwhile.
    #[error("the pool is closed")]
    Closed,
}

/// A caller that takes an item not checked yet, which needs no check then, tells nobody: a get has
/// no time for that. So a warm-up looks for itself now and then.
const GLANCE: Duration = Duration::from_millis(50);

const SLOW: &str = "create or check is slow: raise wait_timeout or warm up fewer";

impl<M: Manage> Shared<M> {
    pub(super) fn warm_up(
        self: &Arc<Self>,
        wanted: usize,
        deadline: Time,
    ) -> Result<usize, WarmUpError> {
        let pool = self.name().clone();
        let before = self.stats();
        let max_size = before.max_size;
        if wanted > max_size {
            return Err(WarmUpError::TooMany { pool, wanted, max_size });
        }
        let began = self.clock().now();
        self.with_exact_time(Drops::Here, |books, _| books.set_warming(true));
        let (warmth, in_time) = self.warm_until(deadline, wanted, before.create_failures);
        self.with_exact_time(Drops::Here, |books, _| books.set_warming(false));

        let after = self.stats();
        let create_error = if after.create_failures > before.create_failures {
            self.last_create_error().map(|text| format!("a creation failed: {text}"))
        } else {
            None
        };
        let check_failed = after.check_failures > before.check_failures || warmth.in_vain;
        let check_error = if check_failed {
            self.last_check_error().map(|(text, _)| format!("a check failed: {text}"))
        } else {
            None
        };
        let cause = create_error.or(check_error);
        if self.is_closed() {
            Err(WarmUpError::Closed)
        } else if in_time && cause.is_none() {
            Ok(warmth.ready)
        } else {
            let waited = self.clock().now().since(began);
            let cause = cause.map(Into::into);
            Err(WarmUpError::NotReady { pool, ready: warmth.ready, wanted, waited, cause })
        }
    }

    /// Asks for what is missing after every step that may have brought it nearer, until nothing is
    /// or `deadline` comes; says how far it came, and whether in time. Each missing item is tried
    /// once: after a failed creation no more are asked for.
    fn warm_until(
        self: &Arc<Self>,
        deadline: Time,
        wanted: usize,
        failures_before: u64,
    ) -> (Warmth, bool) {
        loop {
            let (warmth, seen) = self.with_exact_time(Drops::Elsewhere, |books, now| {
                let failed = books.stats().create_failures > failures_before;
                (books.warm_up(wanted, !failed, now), books.warming_step())
            });
            if warmth.in_vain || warmth.created && warmth.checked {
                return (warmth, true);
            }
            let now = self.clock().now();
            if now >= deadline {
                return (warmth, false);
            }
            let glance = deadline.min(now.after(GLANCE));
            self.wait_until(glance, |books| books.warming_step() != seen);
        }
    }
}
