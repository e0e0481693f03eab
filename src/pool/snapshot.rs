//! A pool's counts, and how long things took.

use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

use super::stats::Stats;
use crate::histogram::Histogram;

/// A pool at one moment: [`Pool::snapshot`](crate::Pool::snapshot).
///
/// As everything in it is of that moment, `wait` has `stats.waits` entries, `hold` has
/// `stats.gets - stats.in_use` and `create` has `stats.created`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The pool's name; of a key's pool it has the key.
    pub name: Arc<str>,
    /// Its counts.
    pub stats: Stats,
    /// How long those waited who had to wait and then got a lease, the creation of their item
    /// included. The other `stats.gets - stats.waits` leases were had at once, and are no entries.
    pub wait: Histogram,
    /// How long ended leases were held, to about 10 ms each.
    pub hold: Histogram,
    /// How long creations took that succeeded, the start of their thread included.
    pub create: Histogram,
}

impl Snapshot {
    /// One without any count.
    pub(crate) fn none(name: Arc<str>) -> Self {
        let (wait, hold, create) = Default::default();
        Self { name, stats: Stats::default(), wait, hold, create }
    }

    /// Adds all but what is there now.
    pub(crate) fn add_totals(&mut self, other: &Self) {
        self.stats += &other.stats.totals();
        self.add_times(other);
    }

    fn add_times(&mut self, other: &Self) {
        self.wait += &other.wait;
        self.hold += &other.hold;
        self.create += &other.create;
    }
}

/// Of several pools together; the name stays.
impl AddAssign<&Self> for Snapshot {
    fn add_assign(&mut self, other: &Self) {
        self.stats += &other.stats;
        self.add_times(other);
    }
}

impl fmt::Display for Snapshot {
    /// Four lines for a console.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, stats, wait, hold, create } = self;
        write!(f, "{name}: {stats}\nwait: {wait}\nhold: {hold}\ncreate: {create}")
    }
}
