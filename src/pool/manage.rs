//! What the user of a pool provides: how to make an item and how to judge it.

use std::time::Duration;

use super::request_stats::RequestStats;
use crate::setters::setters;

/// Makes the items of a pool and judges whether they still serve.
///
/// Every method, and an item's drop, may block or panic: the pool never runs one while it holds
/// its lock, and a panic costs the item it concerned and nothing else. When an item is replaced,
/// its drop and its successor's creation may run at the same time.
///
/// ```
/// use llm_pool::Manage;
///
/// struct Connections;
///
/// impl Manage for Connections {
///     type Item = std::net::TcpStream;
///     type Error = std::io::Error;
///
///     fn create(&self) -> Result<Self::Item, Self::Error> {
///         std::net::TcpStream::connect("127.0.0.1:8080")
///     }
/// }
/// ```
pub trait Manage: Send + Sync + 'static {
    /// What is pooled.
    type Item: Send + 'static;
    /// Why an item could not be made, or no longer serves.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Makes an item. Runs on a thread of the pool's own, save in `try_get`.
    ///
    /// # Errors
    /// Whatever keeps the item from being made; it reaches the caller who waits for it.
    fn create(&self) -> Result<Self::Item, Self::Error>;

    /// A slow probe of an idle item, run in the background every `check_interval`. One that takes
    /// longer than `check_timeout` counts as failed, but keeps its thread until it returns: give it
    /// a time-out of its own.
    ///
    /// # Errors
    /// Why the item does not serve. The pool sets it aside and probes it again later.
    fn check(&self, item: &mut Self::Item) -> Result<(), Self::Error> {
        let _ = item;
        Ok(())
    }

    /// Told when an item is leased, on the caller's thread. Must not block; a panic is logged.
    #[inline]
    fn lend(&self, item: &mut Self::Item, terms: Terms) {
        let _ = (item, terms);
    }

    /// What the requests made with the items came to, for statistics. Must not block.
    fn requests(&self) -> RequestStats {
        RequestStats::default()
    }

    /// An instant test when an item is put back; true discards it. Runs on the thread that
    /// drops the lease, so it must not block.
    fn is_broken(&self, item: &mut Self::Item) -> bool {
        let _ = item;
        false
    }
}

/// How an item is lent, as [`Manage::lend`] is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terms {
    /// What is left of the caller's deadline if that covers the use of the item too
    /// ([`get_within`](crate::Pool::get_within)), else `None`.
    pub remaining: Option<Duration>,
    /// How long the caller waited.
    pub waited: Duration,
}

setters! {
    Terms {
        remaining: impl Into<Option<Duration>>,
        waited: Duration,
    }
}
