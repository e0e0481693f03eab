//! Time, taken from outside so that tests move it instead of sleeping.
//!
//! Two readings. [`Clock::now`] is exact and costs a call into the system's clock (about 24 ns,
//! more than the rest of a get); waits and deadlines use it. [`Clock::coarse`] is at most about
//! [`TICK`] old and costs one load; it stamps what every get and put-back stamps, where seconds
//! and minutes are what counts.
//!
//! The coarse reading is kept by a ticker thread, which wakes a hundred times a second: that pays
//! where the time is read very often. So it starts once there are some 100 000 readings a second, and
//! looks each second whether there still are. Without it the coarse reading is the exact one, and a
//! process that is idle, or waits for its server as most do, has no ticker and no wake-ups.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::sync::{Condvar, MutexGuard};

/// Where a pool takes its time from: the system's monotonic clock, or one that a test moves.
///
/// ```
/// use llm_pool::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let time = ManualClock::new();
/// let clock: Clock = time.clock();     // goes into a `PoolConfig`
/// time.advance(Duration::from_secs(60));
/// # let _ = clock;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicU64>),
}

/// A clock that stands still until it is advanced. For tests.
///
/// Waits measured by it end when it has been advanced past their deadline, so a test can let a
/// `get` of 30 s time out at once, from another thread.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that stands at an arbitrary moment.
    #[must_use]
    pub fn new() -> Self {
        // Not zero, so that a test may look at the time before its start.
        Self(Arc::new(AtomicU64::new(nanos(Duration::from_secs(3600)))))
    }

    /// Moves time forward.
    pub fn advance(&self, by: Duration) {
        let moved = |now: u64| Some(now.saturating_add(nanos(by)));
        // Cannot fail: the closure always answers.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, moved);
        #[cfg(llm_pool_shuttle)]
        crate::sync::time_has_moved();
    }

    /// A [`Clock`] that shows this clock's time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Source::Manual(self.0.clone()))
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// The system's monotonic clock; the default.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// The exact time.
    pub(crate) fn now(&self) -> Time {
        match &self.0 {
            Source::System => Time::of_system(),
            Source::Manual(time) => Time(time.load(Ordering::SeqCst)),
        }
    }

    /// A time at most about [`TICK`] before now, nearly for free where it is read often.
    pub(crate) fn coarse(&self) -> Time {
        match &self.0 {
            Source::System => ticker::time(),
            Source::Manual(_) => self.now(),
        }
    }

    /// How long a thread may really sleep before it must look at this clock again, when
    /// `remaining` is left by this clock. A moved clock gives no signal, so it is polled.
    pub(crate) fn nap(&self, remaining: Duration) -> Duration {
        match &self.0 {
            Source::System => remaining,
            Source::Manual(_) => Duration::from_millis(1),
        }
    }

    /// Waits for `signal`, at most about as long as `remaining` is left by this clock.
    pub(crate) fn wait<T>(
        &self,
        signal: &Condvar,
        guard: &mut MutexGuard<'_, T>,
        remaining: Duration,
    ) {
        // parking_lot panics on deadlines beyond the reach of Instant; an hour at a time.
        signal.wait_for(guard, self.nap(remaining).min(Duration::from_secs(3600)));
    }

    /// Whether this is the system's clock, by which background threads can sleep.
    pub(crate) fn is_system(&self) -> bool {
        matches!(self.0, Source::System)
    }
}

/// A moment, in nanoseconds since an arbitrary start. All sums saturate, so `Duration::MAX`
/// is simply "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(u64);

impl Time {
    /// Never comes.
    pub(crate) const NEVER: Time = Time(u64::MAX);

    #[cfg(test)]
    pub(crate) fn from_secs(secs: u64) -> Self {
        Time(nanos(Duration::from_secs(secs)))
    }

    /// For a time that threads share in an atomic.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Time(bits)
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn after(self, duration: Duration) -> Self {
        Time(self.0.saturating_add(nanos(duration)))
    }

    /// Zero where `earlier` is later.
    pub(crate) fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    fn of_system() -> Self {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        // One more than elapsed: the ticker uses 0 for "no reading".
        Time(nanos(START.elapsed()).saturating_add(1))
    }
}

/// A duration that can change while threads go by it. Relaxed: it guards no other memory.
#[derive(Debug)]
pub(crate) struct SharedDuration(AtomicU64);

impl SharedDuration {
    pub(crate) fn new(duration: Duration) -> Self {
        Self(AtomicU64::new(nanos(duration)))
    }

    /// At most 584 years.
    #[inline]
    pub(crate) fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, duration: Duration) {
        self.0.store(nanos(duration), Ordering::Relaxed);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How old a coarse reading may be, on a machine that is not starved of processor time.
const TICK: Duration = Duration::from_millis(10);

mod ticker {
    use std::sync::atomic::AtomicU32;

    use parking_lot::Mutex;

    use super::*;

    /// The last tick; 0 while readers are to take the exact time and be counted.
    static LAST: AtomicU64 = AtomicU64::new(0);
    /// Exact readings since a moment, which is at most about a tick ago while there are some.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    static SINCE: AtomicU64 = AtomicU64::new(0);
    /// Held to start or end the ticker, never to read. True while one runs.
    static RUNNING: Mutex<bool> = Mutex::new(false);
    /// Exact readings in the time of a tick that cost about half of what the ticker's waking does.
    const ENOUGH: u32 = 1000;
    /// Ticks between two looks at whether there are still as many.
    const TICKS: u32 = 100;
    /// A look takes that part of a tick.
    const PART: u32 = 10;

    // Relaxed throughout: a reading guards no other memory, an older tick is still a tick, and a
    // count that is a little off starts the ticker a little sooner or later.
    #[inline]
    pub(super) fn time() -> Time {
        match LAST.load(Ordering::Relaxed) {
            0 => exact(),
            last => Time(last),
        }
    }

    #[cold]
    fn exact() -> Time {
        let now = Time::of_system();
        if now.since(Time(SINCE.load(Ordering::Relaxed))) >= TICK {
            count_from(now);
        }
        // Exactly once, so that a ticker is not tried for by many, or again and again.
        if COUNT.fetch_add(1, Ordering::Relaxed) == ENOUGH {
            start(now);
        }
        now
    }

    fn count_from(now: Time) {
        SINCE.store(now.0, Ordering::Relaxed);
        COUNT.store(0, Ordering::Relaxed);
    }

    fn start(now: Time) {
        let mut running = RUNNING.lock();
        if !*running {
            let spawned = thread::Builder::new()
                .name("llm-pool-ticker".into())
                .stack_size(64 * 1024)
                .spawn(tick);
            // A process out of threads goes on with exact readings.
            *running = spawned.is_ok();
            if *running {
                LAST.store(now.0, Ordering::Relaxed);
            }
        }
    }

    fn tick() {
        loop {
            for _ in 0..TICKS {
                thread::sleep(TICK);
                LAST.store(Time::of_system().0, Ordering::Relaxed);
            }
            if !is_worth_it() {
                return;
            }
        }
    }

    /// Whether as many read as pays for the ticker. Once it says no there is none any more.
    fn is_worth_it() -> bool {
        count_from(Time::of_system());
        LAST.store(0, Ordering::Relaxed);
        thread::sleep(TICK / PART);
        let mut running = RUNNING.lock();
        *running = COUNT.load(Ordering::Relaxed) >= ENOUGH / PART;
        if *running {
            LAST.store(Time::of_system().0, Ordering::Relaxed);
        }
        *running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_duration_is_never() {
        assert_eq!(Time::from_secs(5).after(Duration::MAX), Time::NEVER);
    }

    #[test]
    fn a_coarse_reading_is_close_to_the_exact_one() {
        let clock = Clock::system();
        for _ in 0..1000 {
            let coarse = clock.coarse();
            let exact = clock.now();
            // Generous, for a starved machine; an idle one shows 10 ms.
            assert!(exact.since(coarse) < Duration::from_secs(2));
        }
    }

    #[test]
    fn a_manual_clock_stands_still_until_advanced() {
        let time = ManualClock::new();
        let clock = time.clock();
        let before = clock.now();
        assert_eq!(clock.coarse(), before);
        time.advance(Duration::from_secs(7));
        assert_eq!(clock.now().since(before), Duration::from_secs(7));
    }
}
