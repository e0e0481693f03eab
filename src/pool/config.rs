//! The settings of one pool.

use std::sync::Arc;
use std::time::Duration;

use super::observer::Observer;
use crate::caught::Kept;
use crate::clock::Clock;
use crate::error::{ConfigError, Problems};
use crate::setters::setters;

/// The settings of a [`Pool`](crate::Pool), all with a default, all set by chaining.
///
/// ```
/// use llm_pool::PoolConfig;
/// use std::time::Duration;
///
/// let config = PoolConfig::default()
///     .name("chat")
///     .min_idle(3)
///     .max_size(30)
///     .wait_timeout(Duration::from_secs(120))
///     .idle_timeout(None);
/// ```
///
/// Nothing is checked here: [`Pool::new`](crate::Pool::new) refuses all wrong settings at once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Names the pool in logs and errors. Default `"pool"`.
    pub name: String,
    /// Most items at one time, idle, leased, or being created or checked. Default 10, at least 1.
    pub max_size: usize,
    /// Items created at the start, and topped up by maintenance, once a pass, while `max_size`
    /// leaves room. Default 2, or `max_size` if that is less; 0 creates at need only.
    pub min_idle: Option<usize>,
    /// How long [`get`](crate::Pool::get) waits in all, creation included. Default 30 s;
    /// `Duration::MAX` waits for ever.
    pub wait_timeout: Duration,
    /// An item unused for this long is evicted, down to `min_idle`. Default 5 min.
    pub idle_timeout: Option<Duration>,
    /// An item is replaced at this age; each item's is up to a tenth shorter, spread evenly, so
    /// that items made together do not end together. Default 30 min.
    pub max_lifetime: Option<Duration>,
    /// An item is replaced after this many leases. Default none.
    pub max_uses: Option<u64>,
    /// Most threads that may wait for an item to come back; one more gets `QueueFull` at once.
    /// Those for whom one is being created do not count. Default none.
    pub max_waiting: Option<usize>,
    /// Whether a caller is refused at once, with `TooLate`, who could not be served in time by the
    /// look of things: by its place in the queue and by how long leases were held of late. Nobody
    /// is refused before a lease has ended, and leases cut short make the estimate too low. Default
    /// false: it waits, in the hope that holds become shorter or limits wider. One whose deadline
    /// covers the use ([`get_within`](crate::Pool::get_within)) is also told so when its turn comes
    /// with too little time left.
    pub admission: bool,
    /// Most items being created at one time, save those that `try_get` creates on its caller's
    /// thread. Default 10, at least 1.
    pub max_creating: usize,
    /// An item idle and unchecked for this long is checked in the background. At most eight
    /// checks run at one time in the whole process, at most four of them of one pool (or of one
    /// host, where pools share one). Default 5 min.
    pub check_interval: Option<Duration>,
    /// A check that takes longer is given up: it counts as failed, its slot serves again at once
    /// (with [`Fail`](WhenUnhealthy::Fail) and [`Wait`](WhenUnhealthy::Wait) it stays unhealthy),
    /// and its item is dropped whenever the check ends. One that hangs keeps its thread until then,
    /// so give checks a time-out of their own: a pool (or host) that has four of them hanging
    /// starts no further check until one ends. Default 10 s, at most a day.
    pub check_timeout: Duration,
    /// Failed checks in a row after which an unhealthy item is evicted. Default 3, at least 1.
    pub max_check_failures: u32,
    /// What callers get while all items are unhealthy. Default [`Replace`](WhenUnhealthy::Replace),
    /// and [`Fail`](WhenUnhealthy::Fail) for the pool of a key in a
    /// [`KeyedPool`](crate::keyed::KeyedPool): its items fail their checks together when its server
    /// is down, and a new one is then of no use.
    pub when_unhealthy: Option<WhenUnhealthy>,
    /// Longest time between two passes of the background maintenance, which expires, refills,
    /// starts checks and reports leaks; passes come every `check_interval` if that is shorter.
    /// Default 60 s.
    pub maintenance_interval: Duration,
    /// A lease held longer is logged once, at the next pass of maintenance, with its thread and the
    /// line that took it. Default none.
    pub leak_after: Option<Duration>,
    /// A longer wait is logged, at most once every `maintenance_interval`. Default 5 s.
    pub slow_wait: Option<Duration>,
    /// A pool with more than this share of `max_size` in use is logged, at most once every
    /// `maintenance_interval`. In per cent; default 80.
    pub nearly_full: Option<u8>,
    /// Whether `Pool::new` fails when `min_idle` items cannot be had within `wait_timeout`.
    /// Default false: it starts with what there is, logs it, and goes on trying.
    pub fail_fast: bool,
    /// Who is told what happens in the pool. The setter takes an observer or an `Arc` of one. Default
    /// nobody.
    pub observer: Option<Arc<dyn Observer>>,
    /// Where the pool takes its time from. Default the system's monotonic clock; with another
    /// one the background maintenance is off, and [`clean_up`](crate::Pool::clean_up) does it.
    pub clock: Clock,
}

/// What a pool does while all its items are unhealthy: at least one failed its last check, and
/// there is no other: none idle, leased or being created, and none under a check that did not fail
/// the one before. A check of an unhealthy item changes nothing until it has passed.
///
/// Unhealthy items are checked again after pauses that begin at `maintenance_interval` and double
/// up to `check_interval` (but to no more than 30 min), and evicted after `max_check_failures` in
/// a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenUnhealthy {
    /// Callers get new items, in free slots or in those of unhealthy items, which are evicted for
    /// it. An unhealthy item does not count towards `min_idle`.
    #[default]
    Replace,
    /// Callers get [`GetError::Unhealthy`](crate::GetError::Unhealthy) at once, and so do those
    /// who wait when the last good item turns unhealthy. Nothing is created meanwhile. It ends by
    /// itself: when an item passes its check, or when one is evicted after `max_check_failures`
    /// and a new one may be created, unchecked, in its place.
    ///
    /// An unhealthy item keeps its slot also while others are well, and counts towards `min_idle`.
    /// One whose check hangs beyond `check_timeout` fails again whenever its next would be due.
    Fail,
    /// The same, but callers wait, as long as their deadline allows.
    /// [`try_get`](crate::Pool::try_get) gets `Exhausted`.
    Wait,
}

/// No check may hold up others for longer.
const LONGEST_CHECK: Duration = Duration::from_secs(24 * 3600);

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            name: "pool".into(),
            max_size: 10,
            min_idle: None,
            wait_timeout: Duration::from_secs(30),
            idle_timeout: Some(Duration::from_secs(5 * 60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            max_uses: None,
            max_waiting: None,
            admission: false,
            max_creating: 10,
            check_interval: Some(Duration::from_secs(5 * 60)),
            check_timeout: Duration::from_secs(10),
            max_check_failures: 3,
            when_unhealthy: None,
            maintenance_interval: Duration::from_secs(60),
            leak_after: None,
            slow_wait: Some(Duration::from_secs(5)),
            nearly_full: Some(80),
            fail_fast: false,
            observer: None,
            clock: Clock::system(),
        }
    }
}

setters! {
    PoolConfig {
        name: impl Into<String>,
        max_size: usize,
        min_idle: impl Into<Option<usize>>,
        wait_timeout: Duration,
        idle_timeout: impl Into<Option<Duration>>,
        max_lifetime: impl Into<Option<Duration>>,
        max_uses: impl Into<Option<u64>>,
        max_waiting: impl Into<Option<usize>>,
        admission: bool,
        max_creating: usize,
        check_interval: impl Into<Option<Duration>>,
        check_timeout: Duration,
        max_check_failures: u32,
        when_unhealthy: impl Into<Option<WhenUnhealthy>>,
        maintenance_interval: Duration,
        leak_after: impl Into<Option<Duration>>,
        slow_wait: impl Into<Option<Duration>>,
        nearly_full: impl Into<Option<u8>>,
        fail_fast: bool,
        clock: Clock,
    }
}

impl PoolConfig {
    /// Sets [`observer`](Self#structfield.observer), in place of another one.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(Kept::new(observer)));
        self
    }

    pub(crate) fn min_idle_or_default(&self) -> usize {
        self.min_idle.unwrap_or(self.max_size.min(2))
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::of("PoolConfig");
        let Self { max_size, max_creating, max_check_failures, .. } = *self;
        let min_idle = self.min_idle_or_default();
        let printable = !self.name.is_empty() && !self.name.contains(char::is_control);
        problems.unless(printable, "name", "must be some text on one line");
        problems.unless(max_size > 0, "max_size", "must be at least 1");
        problems.unless(
            min_idle <= max_size,
            "min_idle",
            format_args!("is {min_idle}, more than max_size ({max_size})"),
        );
        problems.unless(max_creating > 0, "max_creating", "must be at least 1");
        problems.unless(max_check_failures > 0, "max_check_failures", "must be at least 1");
        problems.unless(self.max_uses != Some(0), "max_uses", "must be at least 1");
        problems.unless(
            self.nearly_full.is_none_or(|share| (1..=100).contains(&share)),
            "nearly_full",
            "must be 1 to 100 per cent",
        );
        problems.zero(self.wait_timeout, "wait_timeout");
        problems.zero(self.idle_timeout, "idle_timeout");
        problems.zero(self.max_lifetime, "max_lifetime");
        problems.zero(self.check_interval, "check_interval");
        problems.zero(self.check_timeout, "check_timeout");
        problems.unless(
            self.check_timeout <= LONGEST_CHECK,
            "check_timeout",
            "must be at most a day, since a check that hangs holds up others",
        );
        problems.zero(self.maintenance_interval, "maintenance_interval");
        problems.zero(self.leak_after, "leak_after");
        problems.zero(self.slow_wait, "slow_wait");
        problems.check()
    }
}
