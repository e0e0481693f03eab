//! Successes and failures of the last while.

use std::time::Duration;

use crate::clock::Time;

/// A sliding window of ten buckets. It forgets a tenth of its length at a time, so it covers between
/// nine and ten tenths.
pub(super) struct Window {
    /// The tenth since the start of all time that `buckets[tenth % 10]` counts.
    tenths: [u64; BUCKETS],
    buckets: [Sample; BUCKETS],
    /// Failures since the last success, however long ago.
    in_a_row: u32,
    /// Nanoseconds of a bucket, at least 1.
    width: u64,
}

const BUCKETS: usize = 10;

/// Calls that count for the ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) failed: u32,
    pub(super) of: u32,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        let width = u64::try_from((length / BUCKETS as u32).as_nanos()).unwrap_or(u64::MAX).max(1);
        Self { tenths: [0; BUCKETS], buckets: [Sample::default(); BUCKETS], in_a_row: 0, width }
    }

    pub(super) fn add(&mut self, failed: bool, now: Time) {
        let tenth = now.to_bits() / self.width;
        let at = (tenth % BUCKETS as u64) as usize;
        if self.tenths[at] != tenth {
            (self.tenths[at], self.buckets[at]) = (tenth, Sample::default());
        }
        self.in_a_row = if failed { self.in_a_row.saturating_add(1) } else { 0 };
        let bucket = &mut self.buckets[at];
        bucket.failed = bucket.failed.saturating_add(u32::from(failed));
        bucket.of = bucket.of.saturating_add(1);
    }

    pub(super) fn sample(&self, now: Time) -> Sample {
        let oldest = (now.to_bits() / self.width).saturating_sub(BUCKETS as u64 - 1);
        let mut sum = Sample::default();
        for (tenth, bucket) in self.tenths.iter().zip(&self.buckets) {
            if *tenth >= oldest {
                sum.failed = sum.failed.saturating_add(bucket.failed);
                sum.of = sum.of.saturating_add(bucket.of);
            }
        }
        sum
    }

    pub(super) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    pub(super) fn clear(&mut self) {
        self.buckets = [Sample::default(); BUCKETS];
        self.in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut window = Window::new(Duration::from_secs(30));
        let at = |secs: u64| Time::from_secs(3600 + secs);
        window.add(true, at(0));
        window.add(false, at(10));
        assert_eq!(window.sample(at(26)), Sample { failed: 1, of: 2 });
        assert_eq!(window.sample(at(30)), Sample { failed: 0, of: 1 });
        window.add(true, at(31));
        assert_eq!(window.sample(at(31)), Sample { failed: 1, of: 2 });
        assert_eq!(window.sample(at(500)), Sample::default());
        window.clear();
        assert_eq!(window.sample(at(31)), Sample::default());
    }

    #[test]
    fn failures_in_a_row_are_those_since_the_last_success() {
        let mut window = Window::new(Duration::from_secs(30));
        let rows = [true, true, false, true, true, true].map(|failed| {
            window.add(failed, Time::from_secs(1));
            window.in_a_row()
        });
        assert_eq!(rows, [1, 2, 0, 1, 2, 3]);
    }

    #[test]
    fn the_longest_and_the_shortest_window_can_be_reckoned() {
        for length in [Duration::MAX, Duration::from_nanos(1)] {
            let mut window = Window::new(length);
            window.add(true, Time::from_secs(1));
            assert_eq!(window.sample(Time::from_secs(1)), Sample { failed: 1, of: 1 });
        }
    }
}
