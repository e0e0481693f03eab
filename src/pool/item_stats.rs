//! What is known of each item of a pool.

use std::fmt;
use std::time::Duration;

/// One item, as [`Pool::items`](crate::Pool::items) saw it. All times are measured from that
/// moment, those of a lease to about 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ItemStats {
    /// Where it is.
    pub state: ItemState,
    /// How often it was leased, a lease that is out included.
    pub uses: u64,
    /// How long ago it was created; of one that is being created, for how long so far.
    pub age: Duration,
    /// How long ago it was last in use: zero while it is leased, `None` if it never was.
    pub last_used: Option<Duration>,
    /// Its last check that ended or was given up; `None` if it was never checked.
    pub last_check: Option<LastCheck>,
    /// Failed checks in a row, up to now.
    pub failures: u32,
}

/// How an item's last check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastCheck {
    /// How long ago it ended.
    pub ago: Duration,
    /// Whether it passed.
    pub passed: bool,
}

/// Where an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ItemState {
    /// Ready to be taken.
    Idle,
    /// Held by a lease, or on its way to a waiter.
    InUse,
    /// Being created.
    Creating,
    /// Its check is running.
    Checking,
    /// Set aside after a failed check.
    Unhealthy,
}

impl fmt::Display for ItemState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ItemState::Idle => "idle",
            ItemState::InUse => "in use",
            ItemState::Creating => "creating",
            ItemState::Checking => "checking",
            ItemState::Unhealthy => "unhealthy",
        })
    }
}
