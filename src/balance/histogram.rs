//! Percentiles of latency, in a fixed small space.

use std::time::Duration;

use crate::clock::Time;
use crate::histogram::{Scale, nanos};

/// Latencies of the last five to ten minutes.
pub(super) struct Recent {
    now: Counts,
    before: Counts,
    since: Time,
}

/// How long `now` fills before it becomes `before`.
const TURN: Duration = Duration::from_secs(300);

impl Recent {
    pub(super) fn new(now: Time) -> Self {
        Self { now: Counts::new(), before: Counts::new(), since: now }
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
        let full = std::mem::replace(&mut self.now, Counts::new());
        self.before = if age < 2 * TURN { full } else { Counts::new() };
        self.since = now;
    }
}

/// Eight buckets a doubling: a value is off by a sixteenth at most.
type Eighths = Scale<3>;

struct Counts {
    counts: Box<[u32; Eighths::BUCKETS]>,
    total: u64,
}

impl Counts {
    fn new() -> Self {
        Self { counts: Box::new([0; Eighths::BUCKETS]), total: 0 }
    }

    fn add(&mut self, latency: Duration) {
        if let Some(count) = self.counts.get_mut(Eighths::bucket(nanos(latency))) {
            *count = count.saturating_add(1);
            self.total += 1;
        }
    }
}

fn quantile(a: &Counts, b: &Counts, share: f64) -> Option<Duration> {
    let both = a.counts.iter().zip(b.counts.iter()).map(|(a, b)| u64::from(*a) + u64::from(*b));
    Eighths::quantile(both, a.total + b.total, share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: fn() -> Time = || Time::from_secs(3600);

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
