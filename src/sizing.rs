//! How big should a pool be? Arithmetic only: nothing here reads a clock or changes a pool.
//!
//! Two ways to an answer:
//!
//! - **You know how many tasks call at one time.** [`per_host`] and [`total`] are rules of thumb
//!   for `c` tasks of which each makes one call after another. They cannot need more than `c`
//!   items; the rest is room for items being created, checked and replaced.
//! - **You know how often calls come and how long they hold an item**, from [`Stats`] or from a
//!   plan. [`Load`] then says what is needed, how long a call waits at a given size, and which size
//!   keeps the wait under a target.
//!
//! ```
//! use llm_pool::sizing::{self, Load};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), llm_pool::ConfigError> {
//! assert_eq!((sizing::per_host(500), sizing::total(500)), (600, 1000));
//!
//! // 12.5 calls a second, of which each takes 40 s.
//! let load = Load::new(12.5, Duration::from_secs(40))?;
//! assert_eq!(load.needed(), 500); // in use on average
//! assert_eq!(load.expected_wait(500), None); // with no slack the queue grows without end
//! assert!(load.probability_of_waiting(520) < 0.28);
//! assert!(load.expected_wait(520) < Some(Duration::from_secs(1)));
//! assert_eq!(load.size_for_wait(Duration::from_millis(100)), 535);
//! # Ok(())
//! # }
//! ```
//!
//! # The arithmetic
//!
//! With `λ` calls a second that hold an item for `h` seconds on average, the load is `a = λ h`
//! *erlangs*. By Little's law, `a` is also how many items are in use on average, whatever the order
//! and the distribution of calls and holds, if there are enough. For a pool of `s` items:
//!
//! ```text
//! B(0) = 1,  B(k) = a B(k-1) / (k + a B(k-1))     Erlang B: all k in use, if nobody could wait
//! C    = B(s) / (1 - a/s (1 - B(s)))              Erlang C: the probability that a call waits
//! wait = C h / (s - a)                            the mean over all calls, those that need not
//!                                                 wait included; no limit if s <= a
//! ```
//!
//! Every step of the recursion is between 0 and 1, so nothing overflows, as factorials would. It
//! takes `O(s)` time: 100 000 steps for a pool of 100 000, less than a millisecond.
//!
//! # What it assumes
//!
//! That calls come independently of each other (a Poisson process), that holds are spread
//! exponentially, that waiters are patient, and that they are served in the order they came. Where
//! that is not so:
//!
//! - **Holds vary less.** Answers of one model and one length take about the same time, and then
//!   calls wait less: with equal holds (M/D/c) half as long with one item, and about half in a
//!   larger pool that is busy. The sizes given here are then on the safe side.
//! - **Calls come in bursts.** Then they wait longer. For a burst of `c` calls at one moment use
//!   [`per_host`] and [`total`].
//! - **Callers wait for one answer before they ask again**, as worker threads do. They slow down
//!   with the pool, so a pool that is too small hides what they would ask of a larger one. The
//!   tasks there are at one time are then `in_use + waiting` of [`Stats`]; again, use [`per_host`].
//! - **Waiters give up** at their deadline. That shortens the queue for the others, and is worse.
//!
//! # Sources
//!
//! J. D. C. Little, *A Proof for the Queuing Formula: L = λW*, Operations Research 9 (1961). A. K.
//! Erlang, *Solution of some Problems in the Theory of Probabilities of Significance in Automatic
//! Telephone Exchanges* (1917). Both formulas and the recursion are in R. B. Cooper, *Introduction
//! to Queueing Theory*, 2nd edition (1981), chapter 3.

use std::time::Duration;

use crate::error::{ConfigError, Problems};
use crate::pool::{Stats, mean};

/// A load this close to a size, relatively, counts as equal to it: 0.07 calls a second of 100 s are
/// 7 erlangs, and that `f64` makes it a little more does not ask for an eighth item.
const EQUAL: f64 = 1e-12;

/// Items for one host that `tasks` concurrent tasks call: `ceil(1.2 tasks)`.
///
/// One for each task, and a fifth for what is being created, checked or replaced. Saturates.
///
/// ```
/// # use llm_pool::sizing::per_host;
/// assert_eq!((per_host(50), per_host(500)), (60, 600));
/// ```
#[must_use]
pub const fn per_host(tasks: usize) -> usize {
    // In whole numbers: 1.2 has no exact f64, and rounding up would show it.
    tasks.saturating_add(tasks.div_ceil(5))
}

/// Items for all hosts together that `tasks` concurrent tasks call: `2 tasks`.
///
/// Room for every task at one host while the items of another are still held. Saturates.
///
/// ```
/// # use llm_pool::sizing::total;
/// assert_eq!((total(50), total(500)), (100, 1000));
/// ```
#[must_use]
pub const fn total(tasks: usize) -> usize {
    tasks.saturating_mul(2)
}

/// The mean wait of the calls that got a lease between two snapshots, those that did not wait
/// included, to compare with [`Load::expected_wait`].
///
/// `None` if no call got one, or if the snapshots are not of one pool, the earlier one first. A
/// call that gave up is not counted, so with time-outs the mean is too low.
///
/// ```
/// # use llm_pool::{sizing::mean_wait, Stats};
/// # use std::time::Duration;
/// # let mut later = Stats::default();
/// # (later.gets, later.wait_time) = (500, Duration::from_secs(100));
/// assert_eq!(mean_wait(&Stats::default(), &later), Some(Duration::from_millis(200)));
/// ```
#[must_use]
pub fn mean_wait(earlier: &Stats, later: &Stats) -> Option<Duration> {
    let gets = later.gets.checked_sub(earlier.gets)?;
    let waited = later.wait_time.checked_sub(earlier.wait_time)?;
    mean(waited, gets)
}

/// How often calls come, and how long each holds an item.
///
/// See the [module](self) for the arithmetic and for what it assumes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    arrivals_per_second: f64,
    mean_hold: Duration,
}

impl Load {
    /// The largest load, in erlangs, that is accepted: a million calls at one time. It bounds the
    /// time that an answer takes, to about ten milliseconds.
    pub const MAX_ERLANGS: f64 = 1e6;

    /// So many calls a second, of which each holds an item for `mean_hold` on average. Either may
    /// be zero, and then nobody ever waits.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if `arrivals_per_second` is negative, infinite or not a number, or if both
    /// together are more than [`MAX_ERLANGS`](Self::MAX_ERLANGS).
    pub fn new(arrivals_per_second: f64, mean_hold: Duration) -> Result<Self, ConfigError> {
        let mut problems = Problems::of("load");
        let good = arrivals_per_second.is_finite() && arrivals_per_second >= 0.0;
        problems.unless(
            good,
            "arrivals_per_second",
            format_args!("must be a number of zero or more, and is {arrivals_per_second}"),
        );
        let load = Self { arrivals_per_second, mean_hold };
        let (erlangs, most) = (load.erlangs(), Self::MAX_ERLANGS);
        problems.unless(
            !good || erlangs <= most,
            "arrivals_per_second times mean_hold",
            format_args!("must be at most {most} erlangs, and is {erlangs:e}"),
        );
        problems.check().map(|()| load)
    }

    /// What a pool's load was between two snapshots, taken `elapsed` apart. The earlier one may be
    /// `Stats::default()` if the later was taken `elapsed` after the pool's start.
    ///
    /// - **Arrivals** are leases given out, time-outs, calls refused with `QueueFull` or
    ///   `TooLate`, and the change in how many wait. That is exact, save for what a pool does not count: calls that
    ///   ended because an item could not be created or the pool was closed, and each `try_get` that
    ///   found nothing. Who calls again after a time-out counts twice.
    /// - **The mean hold** is `hold_time` over the leases that ended, which are those given out
    ///   less those still `in_use`: exact, to the 10 ms of `hold_time`. Those still held are not in
    ///   it. Let many holds pass between the snapshots, or the short ones, which end first, weigh
    ///   too much. Time that a slot spends on creating or checking an item is not in it either.
    ///
    /// Threads that each wait for one answer before they ask again make a full pool look as if it
    /// had just its own size as load; see the [module](self).
    ///
    /// ```
    /// # use llm_pool::{sizing::Load, Stats};
    /// # use std::time::Duration;
    /// # fn main() -> Result<(), llm_pool::ConfigError> {
    /// # let (earlier, mut later) = (Stats::default(), Stats::default());
    /// // In one minute: 90 leases given out, of which 60 ended after 40 s each; 30 time-outs.
    /// # (later.gets, later.in_use, later.timeouts) = (90, 30, 30);
    /// # later.hold_time = Duration::from_secs(2400);
    /// let load = Load::between(&earlier, &later, Duration::from_secs(60))?;
    /// assert_eq!(load, Load::new(2.0, Duration::from_secs(40))?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if `elapsed` is zero, if a total fell (the snapshots are of two pools, or
    /// the wrong way round), if no lease ended, so that nothing is known about holds, or for the
    /// reasons of [`new`](Self::new).
    pub fn between(earlier: &Stats, later: &Stats, elapsed: Duration) -> Result<Self, ConfigError> {
        let mut problems = Problems::of("pair of snapshots");
        problems.zero(elapsed, "elapsed");
        let mut grown = |name, count: fn(&Stats) -> u64| {
            let (before, after) = (count(earlier), count(later));
            problems.unless(before <= after, name, format_args!("fell from {before} to {after}"));
            after.saturating_sub(before)
        };
        let gets = grown("gets", |stats| stats.gets);
        let timeouts = grown("timeouts", |stats| stats.timeouts);
        let refused = grown("queue_full", |stats| stats.queue_full);
        let too_late = grown("too_late", |stats| stats.too_late);
        let ended =
            grown("gets less in_use", |stats| stats.gets.saturating_sub(stats.in_use as u64));
        let held = later.hold_time.checked_sub(earlier.hold_time);
        problems.unless(
            held.is_some(),
            "hold_time",
            format_args!("fell from {:?} to {:?}", earlier.hold_time, later.hold_time),
        );
        problems.check()?;

        let mut problems = Problems::of("pair of snapshots");
        let hold = held.and_then(|held| mean(held, ended));
        problems.unless(hold.is_some(), "hold_time", "no lease ended, so no hold is known");
        problems.check()?;
        let came = gets as f64 + timeouts as f64 + refused as f64 + too_late as f64;
        // Fewer may wait now than did: those are in `came`, and had come before.
        let came = (came + later.waiting as f64 - earlier.waiting as f64).max(0.0);
        Self::new(came / elapsed.as_secs_f64(), hold.unwrap_or_default())
    }

    /// Calls a second.
    #[must_use]
    pub const fn arrivals_per_second(&self) -> f64 {
        self.arrivals_per_second
    }

    /// How long a call holds an item, on average.
    #[must_use]
    pub const fn mean_hold(&self) -> Duration {
        self.mean_hold
    }

    /// The load `a = λ h` in erlangs: how many items are in use on average, if there are enough.
    #[must_use]
    pub fn erlangs(&self) -> f64 {
        self.arrivals_per_second * self.mean_hold.as_secs_f64()
    }

    /// How many items are needed to keep up, by Little's law: [`erlangs`](Self::erlangs), rounded
    /// up, and 0 if there is no load.
    ///
    /// A floor and not advice: at a size of exactly the load there is no slack, and the queue grows
    /// without end. For a size to set, see [`size_for_wait`](Self::size_for_wait).
    #[must_use]
    pub fn needed(&self) -> usize {
        (self.erlangs() * (1.0 - EQUAL)).ceil() as usize
    }

    /// The probability, 0 to 1, that a call must wait at all in a pool of `size` items (Erlang C).
    /// It is 1 if the size is not above the load, and 1 for a size of 0.
    ///
    /// Takes `O(size)` time, and for sizes far above the load no more than for the load.
    #[must_use]
    pub fn probability_of_waiting(&self, size: usize) -> f64 {
        let Some(spare) = self.spare(size) else { return 1.0 };
        let erlangs = self.erlangs();
        let mut all_busy = 1.0;
        for size in 1..=size {
            all_busy = erlang_b(erlangs, all_busy, size);
            // It only falls from here, and faster the further the size is above the load.
            if all_busy < f64::MIN_POSITIVE {
                return 0.0;
            }
        }
        erlang_c(erlangs, all_busy, size, spare)
    }

    /// The expected wait in a pool of `size` items: the mean over all calls, also those that need
    /// not wait. `None` if the queue grows without end, because the size is not above the load.
    ///
    /// To the nanosecond; `Duration::MAX` stands for anything longer than that. Takes as long as
    /// [`probability_of_waiting`](Self::probability_of_waiting).
    #[must_use]
    pub fn expected_wait(&self, size: usize) -> Option<Duration> {
        Some(self.wait(self.probability_of_waiting(size), self.spare(size)?))
    }

    /// The smallest size, at least 1, whose [`expected_wait`](Self::expected_wait) is at most
    /// `target`. A target of zero asks for a wait that rounds to no nanosecond.
    ///
    /// Takes `O(answer)` time.
    #[must_use]
    pub fn size_for_wait(&self, target: Duration) -> usize {
        let erlangs = self.erlangs();
        let (mut size, mut all_busy) = (0_usize, 1.0);
        // Ends: once the size is above the load, `all_busy` falls to 0, and the wait with it.
        loop {
            size += 1;
            all_busy = erlang_b(erlangs, all_busy, size);
            let Some(spare) = self.spare(size) else { continue };
            if self.wait(erlang_c(erlangs, all_busy, size, spare), spare) <= target {
                return size;
            }
        }
    }

    /// `size` less the load in erlangs, if it is above it.
    fn spare(&self, size: usize) -> Option<f64> {
        let erlangs = self.erlangs();
        let spare = size as f64 - erlangs;
        (spare > erlangs * EQUAL).then_some(spare)
    }

    fn wait(&self, probability: f64, spare: f64) -> Duration {
        seconds(probability * self.mean_hold.as_secs_f64() / spare)
    }
}

/// Erlang B for `size` items from that for one item less.
fn erlang_b(erlangs: f64, one_less: f64, size: usize) -> f64 {
    let turned_away = erlangs * one_less;
    turned_away / (size as f64 + turned_away)
}

/// Erlang C from Erlang B. Numerator and denominator are `size` times those of the module's text:
/// so written, nothing cancels but in `spare`, however near to 1 the utilisation is.
fn erlang_c(erlangs: f64, all_busy: f64, size: usize, spare: f64) -> f64 {
    (size as f64 * all_busy / (spare + erlangs * all_busy)).min(1.0)
}

/// What is longer than a `Duration` can say becomes the longest it can say.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
