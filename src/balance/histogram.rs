//! Percentiles of latency, in a fixed small space.

use std::time::Duration;

use crate::clock::Time;

/// Latencies of the last five to ten minutes.
pub(super) struct Recent {
    now: Histogram,
    before: Histogram,
    since: Time,
}

/// How long `now` fills before it becomes `before`.
const TURN: Duration = Duration::from_secs(300);

impl Recent {
    pub(super) fn new(now: Time) -> Self {
        Self { now: Histogram::new(), before: Histogram::new(), since: now }
    }

    pub(super) fn add(&mut self, latency: Duration, now: Time) {
        self.turn(now);
        self.now.add(latency);
    }

    /// The latencies that the given shares of all do not exceed; `None` if there are none.
    pub(super) fn quantiles<const N: usize>(
        &mut self,
        shares: [f64; N],
        now: Time,
    ) -> [Option<Duration>; N] {
        self.turn(now);
        shares.map(|share| quantile(&self.now, &self.before, share))
    }

    fn turn(&mut self, now: Time) {
        let age = now.since(self.since);
        if age < TURN {
            return;
        }
        let full = std::mem::replace(&mut self.now, Histogram::new());
        self.before = if age < 2 * TURN { full } else { Histogram::new() };
        self.since = now;
    }
}

/// Buckets as in Gil Tene's `HdrHistogram`: eight of equal width in each doubling, so that a
/// value is known to an eighth and its bucket's middle is off by at most a sixteenth. From 1 us
/// to 71 minutes; what is longer counts as that.
struct Histogram {
    counts: Box<[u32; BUCKETS]>,
    total: u64,
}

const BITS: u32 = 3;
const DOUBLINGS: u32 = 32;
const BUCKETS: usize = ((DOUBLINGS - BITS + 1) << BITS) as usize;

impl Histogram {
    fn new() -> Self {
        Self { counts: Box::new([0; BUCKETS]), total: 0 }
    }

    fn add(&mut self, latency: Duration) {
        let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        if let Some(count) = self.counts.get_mut(bucket(micros)) {
            *count = count.saturating_add(1);
            self.total += 1;
        }
    }
}

fn quantile(a: &Histogram, b: &Histogram, share: f64) -> Option<Duration> {
    let total = a.total + b.total;
    if total == 0 {
        return None;
    }
    // The rank of the value, from 1: at least `share` of all are at or below it.
    let rank = ((share * total as f64).ceil() as u64).clamp(1, total);
    let mut below = 0;
    for (bucket, (a, b)) in a.counts.iter().zip(b.counts.iter()).enumerate() {
        below += u64::from(*a) + u64::from(*b);
        if below >= rank {
            return Some(middle(bucket));
        }
    }
    None
}

fn bucket(micros: u32) -> usize {
    // Below 8 us each has its own bucket.
    let doubling = (u32::BITS - micros.leading_zeros()).saturating_sub(BITS + 1);
    ((doubling << BITS) + (micros >> doubling)) as usize
}

fn middle(bucket: usize) -> Duration {
    let doubling = (bucket >> BITS).saturating_sub(1);
    let low = ((bucket - (doubling << BITS)) as u64) << doubling;
    Duration::from_micros(low + ((1_u64 << doubling) >> 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: fn() -> Time = || Time::from_secs(3600);

    #[test]
    fn every_value_is_off_by_a_sixteenth_at_most() {
        for shift in 0..32_u32 {
            for near in [0_u32, 1, 3] {
                let micros = (1_u32 << shift).saturating_add(near << shift.saturating_sub(2));
                let found = middle(bucket(micros)).as_micros() as f64;
                let off = (found - f64::from(micros)).abs() / f64::from(micros);
                assert!(off <= 1.0 / 16.0 + 1e-9, "{micros}: {found}");
            }
        }
        assert_eq!((bucket(0), bucket(u32::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn percentiles_are_those_of_what_was_added() {
        let mut recent = Recent::new(START());
        for ms in 1..=1000 {
            recent.add(Duration::from_millis(ms), START());
        }
        let found =
            recent.quantiles([0.5, 0.95, 0.99], START()).map(|at| at.unwrap().as_secs_f64());
        for (found, right) in found.into_iter().zip([0.5, 0.95, 0.99]) {
            assert!((found - right).abs() / right < 0.07, "{found} for {right}");
        }
    }

    #[test]
    fn what_is_older_than_ten_minutes_is_forgotten() {
        let mut recent = Recent::new(START());
        recent.add(Duration::from_secs(9), START());
        let mut p50 = |secs| recent.quantiles([0.5], START().after(Duration::from_secs(secs)))[0];
        assert!(p50(301).is_some());
        assert_eq!(p50(602), None);
    }

    #[test]
    fn nothing_added_is_no_percentile_and_ages_are_not_too_long() {
        let mut recent = Recent::new(START());
        assert_eq!(recent.quantiles([0.5], START()), [None]);
        recent.add(Duration::MAX, START());
        assert!(recent.quantiles([0.5], START())[0] > Some(Duration::from_secs(3600)));
    }
}
