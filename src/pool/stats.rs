//! What a pool holds now and what it has done so far.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

#[cfg(feature = "log-kv")]
use crate::fields::{Field, field};

/// A pool's counts, all read at one moment under its lock.
///
/// Those down to `waiting` say what is there now; at every moment
/// `idle + in_use + creating + checking + unhealthy` is the pool's size, at most `max_size`
/// (save after a [`resize`](crate::Pool::resize) below what is leased). The rest are totals since
/// the start, and balance: `created = evicted + detached + size - creating`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The cap in force.
    pub max_size: usize,
    /// Items kept idle where that cap leaves room.
    pub min_idle: usize,
    /// Items ready to be taken.
    pub idle: usize,
    /// Items held by leases, or on their way to a waiter.
    pub in_use: usize,
    /// Items being created.
    pub creating: usize,
    /// Idle or unhealthy items whose check is running.
    pub checking: usize,
    /// Items set aside after a failed check, to be checked again.
    pub unhealthy: usize,
    /// Whether checks are due that wait for their turn: of all pools, eight run at one time.
    pub checks_due: bool,
    /// Threads waiting.
    pub waiting: usize,

    /// Items created.
    pub created: u64,
    /// Creations that failed or panicked.
    pub create_failures: u64,
    /// Leases given out.
    pub gets: u64,
    /// Leases for which a thread had to wait.
    pub waits: u64,
    /// Waits that ended at their deadline.
    pub timeouts: u64,
    /// Of these, the ones that waited for room in `max_per_host` of a keyed pool.
    pub timeouts_at_host: u64,
    /// And the ones that waited for room in its `max_total`.
    pub timeouts_at_total: u64,
    /// And the ones for which no item might be made because of its `max_open`.
    pub timeouts_at_open: u64,
    /// Callers turned away because `max_waiting` threads were waiting.
    pub queue_full: u64,
    /// Callers turned away by `admission`, because they could not have been served in time.
    pub too_late: u64,
    /// Leases whose item came back to stay.
    pub put_back: u64,
    /// Items taken out of the pool for good by `Lease::detach`.
    pub detached: u64,
    /// Items evicted, for whatever reason.
    pub evicted: u64,
    /// Checks that ended, well or not, or were given up.
    pub checks: u64,
    /// Checks that failed, panicked or were given up. One that was given up, and still hangs when
    /// the next would be due, has failed again, and counts again here.
    pub check_failures: u64,
    /// Of these, the ones given up at `check_timeout`.
    pub check_timeouts: u64,
    /// All time spent waiting, by those who then got a lease.
    pub wait_time: Duration,
    /// The longest wait of one who then got a lease.
    pub longest_wait: Duration,
    /// All time that ended leases were held, to about 10 ms each.
    pub hold_time: Duration,
    /// The most leases in use and threads waiting together, of whenever somebody had to wait or was
    /// turned away.
    pub peak_demand: usize,

    pub(super) evicted_by: [u64; EvictReason::ALL.len()],
}

impl Stats {
    /// Items there are, those being created included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.idle + self.in_use + self.creating + self.checking + self.unhealthy
    }

    /// Those that a log line has.
    #[cfg(feature = "log-kv")]
    pub(crate) fn fields(&self) -> [Field<'_>; 4] {
        [
            ("idle", field!(self.idle)),
            ("in_use", field!(self.in_use)),
            ("waiting", field!(self.waiting)),
            ("max_size", field!(self.max_size)),
        ]
    }

    /// All but what is there now.
    pub(super) fn totals(self) -> Self {
        Self {
            max_size: 0,
            min_idle: 0,
            idle: 0,
            in_use: 0,
            creating: 0,
            checking: 0,
            unhealthy: 0,
            checks_due: false,
            waiting: 0,
            // The demand of a pool that is gone is no more.
            peak_demand: 0,
            ..self
        }
    }

    /// Items evicted for one reason.
    #[must_use]
    pub fn evicted_for(&self, reason: EvictReason) -> u64 {
        self.evicted_by[reason as usize]
    }
}

/// Of several pools together: sums, and the longest of the longest waits.
impl AddAssign<&Self> for Stats {
    fn add_assign(&mut self, other: &Self) {
        // By name, so that a new count cannot be forgotten.
        let Self {
            max_size,
            min_idle,
            idle,
            in_use,
            creating,
            checking,
            unhealthy,
            checks_due,
            waiting,
            created,
            create_failures,
            gets,
            waits,
            timeouts,
            timeouts_at_host,
            timeouts_at_total,
            timeouts_at_open,
            queue_full,
            too_late,
            put_back,
            detached,
            evicted,
            checks,
            check_failures,
            check_timeouts,
            wait_time,
            longest_wait,
            hold_time,
            peak_demand,
            evicted_by,
        } = other;
        self.max_size = self.max_size.saturating_add(*max_size);
        self.min_idle = self.min_idle.saturating_add(*min_idle);
        self.idle += idle;
        self.in_use += in_use;
        self.creating += creating;
        self.checking += checking;
        self.unhealthy += unhealthy;
        self.checks_due |= checks_due;
        self.waiting += waiting;
        self.created += created;
        self.create_failures += create_failures;
        self.gets += gets;
        self.waits += waits;
        self.timeouts += timeouts;
        self.timeouts_at_host += timeouts_at_host;
        self.timeouts_at_total += timeouts_at_total;
        self.timeouts_at_open += timeouts_at_open;
        self.queue_full += queue_full;
        self.too_late += too_late;
        self.put_back += put_back;
        self.detached += detached;
        self.evicted += evicted;
        self.checks += checks;
        self.check_failures += check_failures;
        self.check_timeouts += check_timeouts;
        self.wait_time = self.wait_time.saturating_add(*wait_time);
        self.longest_wait = self.longest_wait.max(*longest_wait);
        self.hold_time = self.hold_time.saturating_add(*hold_time);
        self.peak_demand += peak_demand;
        for (sum, count) in self.evicted_by.iter_mut().zip(evicted_by) {
            *sum += count;
        }
    }
}

impl fmt::Display for Stats {
    /// One line for a log or a console.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max_size, idle, in_use, creating, checking, unhealthy, waiting, .. } = self;
        write!(
            f,
            "max {max_size}, idle {idle}, in use {in_use}, creating {creating}, \
             checking {checking}, unhealthy {unhealthy}, waiting {waiting}; "
        )?;
        let Self { created, evicted, gets, waits, timeouts, longest_wait, .. } = self;
        write!(
            f,
            "created {created}, evicted {evicted}, gets {gets}, waits {waits}, \
             time-outs {timeouts}, longest wait {longest_wait:.1?}"
        )
    }
}

/// `None` for the mean of nothing.
pub(crate) fn mean(sum: Duration, count: u64) -> Option<Duration> {
    // The longest duration is a little more as an `f64`, and then none any more.
    let mean = || Duration::try_from_secs_f64(sum.as_secs_f64() / count as f64);
    (count > 0).then(|| mean().unwrap_or(Duration::MAX))
}

/// Why the pool dropped an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EvictReason {
    /// Its holder discarded it.
    Discarded,
    /// `Manage::is_broken` said so, or panicked.
    Broken,
    /// Its lease was dropped by a panicking thread.
    Panicked,
    /// It was idle for `idle_timeout`.
    Idle,
    /// It reached `max_lifetime`.
    Lifetime,
    /// It reached `max_uses`.
    Uses,
    /// It failed its checks or one was given up, or a waiter needed its slot while it was
    /// unhealthy.
    Unhealthy,
    /// It was made before a `reset`.
    Reset,
    /// A `resize` left no room for it.
    Resized,
    /// Another pool needed to make an item, and `max_open` are open.
    MaxOpen,
    /// The pool was closed.
    Closed,
}

impl EvictReason {
    /// All reasons.
    pub const ALL: [EvictReason; 11] = [
        EvictReason::Discarded,
        EvictReason::Broken,
        EvictReason::Panicked,
        EvictReason::Idle,
        EvictReason::Lifetime,
        EvictReason::Uses,
        EvictReason::Unhealthy,
        EvictReason::Reset,
        EvictReason::Resized,
        EvictReason::MaxOpen,
        EvictReason::Closed,
    ];
}

impl fmt::Display for EvictReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EvictReason::Discarded => "discarded by its holder",
            EvictReason::Broken => "broken at put-back",
            EvictReason::Panicked => "its holder panicked",
            EvictReason::Idle => "idle_timeout",
            EvictReason::Lifetime => "max_lifetime",
            EvictReason::Uses => "max_uses",
            EvictReason::Unhealthy => "failed its checks",
            EvictReason::Reset => "reset",
            EvictReason::Resized => "resize",
            EvictReason::MaxOpen => "max_open",
            EvictReason::Closed => "pool closed",
        })
    }
}
