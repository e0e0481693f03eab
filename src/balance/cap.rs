//! How many calls one endpoint can take at one time, found out by trying.
//!
//! Plain data: no clock, no lock, no HTTP. It is told how calls went. What follows what:
//!
//! - **Slow start** (RFC 5681, section 3.1): one more for each call served, until the first refusal
//!   or rise of latency.
//! - **A refusal** leaves nine tenths of what was not too many, once for all calls that began before
//!   the cut (RFC 5681: once a window). If even the fewest are refused and none was served since the
//!   cut before, nobody knows where the limit will be: slow start again, as TCP after a time-out.
//! - **Growth** after a cut is that of CUBIC (RFC 9438, section 4.2): fast at first, flat near the
//!   old limit, then faster and faster. Counted in rounds of calls instead of seconds, because an
//!   answer takes from 10 ms to a minute. Only calls for which the cap was the limit count, which is
//!   section 5.8 there.
//! - **Latency** that rises with the cap means a queue in the server, as in TCP Vegas (Brakmo,
//!   Peterson, 1995), Netflix's concurrency-limits and, for slow start, HyStart++ (RFC 9406). None
//!   of them knows answers that become longer by themselves. So a cut is an experiment here: if
//!   latency does not fall with the cap it was in vain, and is taken back.
//!
//! ```text
//!          latency rose         still high a round later: cut
//!   none ───────────────▶ rose ──────────────────────────────▶ trial
//!    ▲  growth            │ nothing grows                       │ nothing grows
//!    ├────────────────────┘ it did not                          │
//!    └──────────────────────────────────────────────────────────┘
//!        it fell: growth again; it did not: the old cap, and that is the latency at rest
//! ```

use std::f64::consts::LN_2;
use std::time::Duration;
use std::{fmt, mem};

use super::adaptive::Adaptive;
use super::outcome::Cause;

/// Of one endpoint.
#[derive(Debug)]
pub(super) struct Cap {
    floor: f64,
    most: usize,
    backoff: f64,
    /// How far a latency may be above `rest`. Latencies are logarithms here, so that ratios are
    /// differences.
    tolerated: f64,
    /// Grows in fractions.
    cap: f64,
    growth: Growth,
    /// Changes with each cut, so that a call which began before is known for what it is.
    epoch: u32,
    /// Of the calls that began in this epoch.
    any_served: bool,
    sample: Sample,
    /// So many calls to come began before the last change and say nothing of latency after it.
    skip: usize,
    /// The latency at rest.
    rest: Option<f64>,
    /// Whether nothing was measured since the last cut: what is measured then is rest.
    is_cut: bool,
    doubt: Doubt,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Growth {
    SlowStart,
    /// To `wall + STEEP * rounds^3`. Rounds count from below zero, where the cut was, to zero at the
    /// wall, and on.
    Cubic {
        wall: f64,
        rounds: f64,
    },
}

/// Whether latency rises because of the cap. Nothing grows while there is doubt, because latency
/// lags behind a cap that does.
#[derive(Clone, Copy, Debug)]
enum Doubt {
    None,
    Rose,
    /// The cap was cut, from this. In vain, if latency stays above that.
    Trial {
        cap: f64,
        growth: Growth,
        in_vain: f64,
    },
}

/// The cap is two beyond the wall after three and a half rounds.
const STEEP: f64 = 0.05;
/// Fewest calls of a round. From a cut to the next refusal it takes two rounds at a cap of 1 and
/// five and a half at 20; were rounds shorter, small caps would have a large share refused.
const ROUND: f64 = 30.0;
/// The first sample of slow start, when the cap doubles every round and a good one comes too late.
const ROUGH: f64 = 10.0;

/// A cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Changed {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) why: Shrunk,
}

/// Why a cap shrank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shrunk {
    Refused(Cause),
    Slow { latency: Duration, rest: Duration },
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} calls at one time, not {}: {}", self.to, self.from, self.why)
    }
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(cause) => write!(f, "refused: {cause}"),
            Self::Slow { latency, rest } => write!(f, "latency {latency:.1?}, {rest:.1?} at rest"),
        }
    }
}

impl Cap {
    /// Never above `most`. The settings were checked.
    pub(super) fn new(adaptive: Adaptive, most: usize) -> Self {
        Self {
            floor: adaptive.floor as f64,
            most,
            backoff: adaptive.backoff,
            tolerated: adaptive.tolerance.ln(),
            cap: adaptive.start_below(most) as f64,
            growth: Growth::SlowStart,
            epoch: 0,
            any_served: false,
            sample: Sample::default(),
            skip: 0,
            rest: None,
            is_cut: false,
            doubt: Doubt::None,
        }
    }

    /// How many calls may be under way.
    pub(super) fn now(&self) -> usize {
        (self.cap.round() as usize).min(self.most)
    }

    /// A call keeps that of its begin.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// A call begun in `epoch` was served, in `took`, with `in_use` calls under way before it ended,
    /// itself included.
    pub(super) fn served(&mut self, epoch: u32, took: Duration, in_use: usize) -> Option<Changed> {
        // Nine tenths, because a place that was given back is not taken again at once.
        let is_limit = in_use as f64 >= 0.9 * self.now() as f64;
        if epoch == self.epoch {
            self.any_served = true;
            if is_limit {
                self.grow();
            }
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.sample.add(took);
        let latency = self.sample_mean()?;
        self.sample = Sample::default();
        self.measured(latency, is_limit)
    }

    /// A call begun in `epoch` was refused or timed out, with `in_use` calls under way before it
    /// ended, itself included.
    pub(super) fn refused(&mut self, epoch: u32, in_use: usize, why: Cause) -> Option<Changed> {
        if epoch != self.epoch {
            return None;
        }
        if self.growth == Growth::SlowStart {
            // While the cap doubles the short answers come first: that was not rest.
            self.rest = None;
        }
        let lost = self.cap <= self.floor && !self.any_served;
        // This call was one too many.
        let wall = self.now().min(in_use).saturating_sub(1) as f64;
        let changed = self.cut(self.backoff * wall, wall, Shrunk::Refused(why));
        if lost {
            self.growth = Growth::SlowStart;
        }
        changed
    }

    fn grow(&mut self) {
        if !matches!(self.doubt, Doubt::None) || self.now() >= self.most {
            return;
        }
        match &mut self.growth {
            Growth::SlowStart => self.cap += 1.0,
            Growth::Cubic { wall, rounds } => {
                *rounds += 1.0 / self.cap.max(ROUND);
                self.cap = self.cap.max(*wall + STEEP * rounds.powi(3));
            }
        }
    }

    /// To grow fast up to the `wall`, and slowly there.
    fn cut(&mut self, to: f64, wall: f64, why: Shrunk) -> Option<Changed> {
        let from = self.now();
        self.cap = to.max(self.floor);
        let wall = wall.max(self.cap);
        self.growth = Growth::Cubic { wall, rounds: -((wall - self.cap) / STEEP).cbrt() };
        self.epoch = self.epoch.wrapping_add(1);
        (self.any_served, self.is_cut) = (false, true);
        self.doubt = Doubt::None;
        self.measure_after(from);
        let to = self.now();
        (to < from).then_some(Changed { from, to, why })
    }

    fn measure_after(&mut self, calls: usize) {
        (self.skip, self.sample) = (calls, Sample::default());
    }

    /// The latency, once there were enough calls to tell what is tolerated from chance: by four
    /// standard errors, as every round is looked at. A trial may cost half of the calls, so it is
    /// shorter, and has more to show.
    fn sample_mean(&self) -> Option<f64> {
        let (fewest, errors) = match self.doubt {
            Doubt::None if self.growth == Growth::SlowStart => (ROUGH, 2.0),
            Doubt::Trial { .. } => (self.cap.max(ROUND), 3.0),
            _ => (self.cap.max(ROUND), 4.0),
        };
        self.sample.mean(fewest, self.tolerated / errors)
    }

    fn measured(&mut self, latency: f64, is_limit: bool) -> Option<Changed> {
        let doubt = mem::replace(&mut self.doubt, Doubt::None);
        let is_cut = mem::replace(&mut self.is_cut, false);
        let rest = *self.rest.get_or_insert(latency);
        if let Doubt::Trial { cap, growth, in_vain } = doubt {
            if latency > in_vain {
                (self.cap, self.growth, self.rest) = (cap, growth, Some(latency));
                return None;
            }
        }
        let rise = latency - rest;
        if rise <= self.tolerated {
            // Up only after a cut: a queue that grows slowly must not pass for rest. Down with
            // care: the lowest of many samples is low by chance.
            let share = if is_cut { 0.5 } else { 0.125 };
            if is_cut || rise < 0.0 {
                self.rest = Some(rest + rise * share);
            }
            return None;
        }
        if !is_limit {
            return None;
        }
        if !matches!(doubt, Doubt::Rose) {
            self.doubt = Doubt::Rose;
            self.measure_after(self.now());
            return None;
        }
        // A little below what the rise asks for: the queue empties, and rest shows itself. No
        // more than half, as it may be in vain.
        let (cap, growth) = (self.cap, self.growth);
        let to = self.backoff * cap * (-rise).exp().max(0.5);
        let wall = cap * (self.tolerated - rise).exp();
        let why = Shrunk::Slow { latency: duration(latency), rest: duration(rest) };
        let changed = self.cut(to, wall, why);
        // Two thirds of the fall that a queue would show.
        let in_vain = latency - rise.min(LN_2) * 2.0 / 3.0;
        self.doubt = Doubt::Trial { cap, growth, in_vain };
        changed
    }
}

/// Latencies. Their geometric mean, because a few very long answers must not count for many.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Sample {
    fn add(&mut self, took: Duration) {
        // No answer takes less than a microsecond, and zero has no logarithm.
        let ln = took.as_secs_f64().max(1e-6).ln();
        self.count += 1.0;
        self.sum += ln;
        self.squares += ln * ln;
    }

    /// Once there are enough for a standard error below `error`: answers that differ much take many.
    fn mean(&self, fewest: f64, error: f64) -> Option<f64> {
        if self.count < fewest {
            return None;
        }
        let mean = self.sum / self.count;
        let variance = self.squares / self.count - mean * mean;
        (self.count * error * error >= variance).then_some(mean)
    }
}

fn duration(ln: f64) -> Duration {
    Duration::try_from_secs_f64(ln.exp()).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cap(start: usize, most: usize) -> Cap {
        Cap::new(Adaptive::default().start(start), most)
    }

    fn serve(cap: &mut Cap, calls: usize, secs: f64) -> Option<Changed> {
        let took = Duration::from_secs_f64(secs);
        (0..calls).filter_map(|_| cap.served(cap.epoch(), took, cap.now())).last()
    }

    #[test]
    fn calls_from_before_a_cut_neither_cut_again_nor_make_it_grow() {
        let mut cap = cap(20, 99);
        let changed = cap.refused(0, 21, Cause::RateLimited).unwrap();
        assert_eq!((changed.from, changed.to, cap.now()), (20, 17, 17));
        assert_eq!(changed.why.to_string(), "refused: rate limited");
        assert_eq!(cap.refused(0, 20, Cause::RateLimited), None);
        for _ in 0..999 {
            cap.served(0, Duration::from_secs(1), 20);
        }
        assert_eq!(cap.now(), 17);
    }

    #[test]
    fn a_cut_is_of_what_was_in_use() {
        let mut cap = cap(20, 99);
        assert_eq!(cap.refused(0, 11, Cause::TimedOut).map(|changed| changed.to), Some(9));
    }

    #[test]
    fn a_cap_that_is_not_the_limit_does_not_grow_and_the_most_is_the_end() {
        let mut cap = cap(20, 30);
        for _ in 0..999 {
            cap.served(0, Duration::from_secs(1), 17);
        }
        assert_eq!(cap.now(), 20);
        serve(&mut cap, 999, 1.0);
        assert_eq!(cap.now(), 30);
    }

    #[test]
    fn growth_is_flat_at_the_wall_and_steeper_and_steeper_beyond() {
        let mut cap = cap(20, 99);
        cap.refused(0, 21, Cause::RateLimited);
        let caps: Vec<_> = (0..10).map(|_| (serve(&mut cap, 30, 1.0), cap.now()).1).collect();
        assert_eq!(caps, [18, 19, 19, 19, 19, 20, 21, 24, 28, 33]);
    }

    #[test]
    fn latency_that_falls_with_the_cap_keeps_the_cut_and_else_it_is_taken_back() {
        for (after, left) in [(1.0, 18), (1.9, 39)] {
            let mut cap = cap(40, 40);
            assert_eq!(serve(&mut cap, 400, 1.0), None);
            let changed = serve(&mut cap, 10 + 40 + 40, 2.0).unwrap();
            assert_eq!((changed.from, changed.to), (40, 18));
            assert_eq!(changed.why.to_string(), "latency 2.0s, 1.0s at rest");
            serve(&mut cap, 40 + 29, after);
            assert_eq!(cap.now(), 18, "the trial runs");
            serve(&mut cap, 1, after);
            assert_eq!(cap.now().min(39), left);
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_the_cap_is_between_floor_and_most(
            floor in 1_usize..10,
            start in 0_usize..20,
            most in 0_usize..200,
            backoff in 0.01..0.99_f64,
            tolerance in 1.0001..100.0_f64,
            acts in prop::collection::vec(
                (any::<bool>(), 0_u32..3, any::<u64>(), 0_u32..64, 0_usize..1000, 1_usize..50),
                0..300,
            ),
        ) {
            let (start, most) = (floor + start, floor + start + most);
            let adaptive = Adaptive { floor, start: Some(start), backoff, tolerance };
            prop_assert!(adaptive.check(most).is_ok());
            let mut cap = Cap::new(adaptive, most);
            for (served, behind, secs, shift, in_use, times) in acts {
                let took = match shift {
                    0 => Duration::ZERO,
                    1 => Duration::MAX,
                    _ => Duration::new(secs >> shift, 5),
                };
                for _ in 0..times {
                    let (epoch, from) = (cap.epoch().wrapping_sub(behind / 2), cap.now());
                    let changed = if served {
                        cap.served(epoch, took, in_use)
                    } else {
                        cap.refused(epoch, in_use, Cause::RateLimited)
                    };
                    prop_assert!((floor..=most).contains(&cap.now()));
                    prop_assert!(cap.cap.is_finite() && cap.rest.is_none_or(f64::is_finite));
                    if let Some(Changed { from: was, to, why }) = changed {
                        prop_assert!(was == from && to == cap.now() && to < from, "{why}");
                    } else {
                        prop_assert!(cap.now() >= from);
                    }
                }
            }
        }
    }
}
