//! How long things took: counts in fixed buckets that widen with the time, small and quick to add to.

use std::fmt;
use std::ops::AddAssign;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Times, counted in buckets of which four of equal width are in each doubling, from 1 us to 71
/// minutes.
///
/// [`count`](Self::count), [`sum`](Self::sum) and [`max`](Self::max) are exact. A
/// [quantile](Self::quantile) is off by at most an eighth of itself or, below 8 us, by 1 us. What is
/// longer than 71 minutes is in the last bucket, and a quantile there is too low.
///
/// It takes no memory but its own 40 bytes until something is added, then up to 1 kB. All sums
/// saturate, that of the times at 584 years.
///
/// ```
/// use llm_pool::Histogram;
/// use std::time::Duration;
///
/// let mut waits = Histogram::new();
/// (1..=1000).for_each(|ms| waits.add(Duration::from_millis(ms)));
/// assert_eq!((waits.count(), waits.max()), (1000, Some(Duration::from_secs(1))));
/// let p95 = waits.p95().unwrap_or_default().as_secs_f64();
/// assert!((p95 - 0.95).abs() <= 0.95 / 8.0);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// As far as the highest bucket that has an entry, in whole steps.
    counts: Vec<u64>,
    sum_nanos: u64,
    max_nanos: u64,
}

type Quarters = Scale<2>;

/// Buckets for which memory is had at one time.
const STEP: usize = 16;

impl Histogram {
    /// One without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: Vec::new(), sum_nanos: 0, max_nanos: 0 }
    }

    /// Adds an entry.
    #[inline]
    pub fn add(&mut self, time: Duration) {
        let nanos = nanos(time);
        self.sum_nanos = self.sum_nanos.saturating_add(nanos);
        self.max_nanos = self.max_nanos.max(nanos);
        let bucket = Quarters::bucket(nanos);
        match self.counts.get_mut(bucket) {
            // No saturation: one a nanosecond would take it 584 years.
            Some(count) => *count = count.wrapping_add(1),
            None => self.add_first(bucket),
        }
    }

    #[cold]
    fn add_first(&mut self, bucket: usize) {
        self.grow(bucket + 1);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count = 1;
        }
    }

    fn grow(&mut self, buckets: usize) {
        let len = buckets.next_multiple_of(STEP).min(Quarters::BUCKETS);
        if let Some(more @ 1..) = len.checked_sub(self.counts.len()) {
            self.counts.reserve_exact(more);
            self.counts.resize(len, 0);
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// All times together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos)
    }

    /// The longest; `None` without entries.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        (!self.is_empty()).then(|| self.longest())
    }

    /// The same, zero without entries.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_nanos(self.max_nanos)
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The time that `share` of all entries do not exceed, `share` from 0 to 1, as near as the
    /// buckets tell; `None` without entries.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let counts = self.counts.iter().copied();
        let at = Quarters::quantile(counts, self.count(), share)?;
        Some(at.min(self.longest()))
    }

    /// Half of all entries are no longer.
    #[must_use]
    pub fn p50(&self) -> Option<Duration> {
        self.quantile(0.5)
    }

    /// 95 in 100 are no longer.
    #[must_use]
    pub fn p95(&self) -> Option<Duration> {
        self.quantile(0.95)
    }

    /// 99 in 100 are no longer.
    #[must_use]
    pub fn p99(&self) -> Option<Duration> {
        self.quantile(0.99)
    }

    /// Every bucket, the same ones at any time: the bound that its entries are below, and how many
    /// it has, those of no other included. The last has no bound, which is [`Duration::MAX`]. The
    /// powers of two of a microsecond are among the bounds from 4 us on, so that fewer and wider
    /// buckets can be made of these.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let counts = self.counts.iter().copied().chain(std::iter::repeat(0));
        (0..Quarters::BUCKETS).map(Quarters::bound).zip(counts)
    }
}

/// As if all entries of the other had been added.
impl AddAssign<&Self> for Histogram {
    fn add_assign(&mut self, other: &Self) {
        self.grow(other.counts.len());
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum = sum.saturating_add(*count);
        }
        self.sum_nanos = self.sum_nanos.saturating_add(other.sum_nanos);
        self.max_nanos = self.max_nanos.max(other.max_nanos);
    }
}

impl fmt::Display for Histogram {
    /// Part of a line for a log or a console.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantiles = (self.p50(), self.p95(), self.p99(), self.max());
        let (Some(p50), Some(p95), Some(p99), Some(max)) = quantiles else {
            return f.write_str("none");
        };
        let count = self.count();
        write!(f, "{count}, p50 {p50:.1?}, p95 {p95:.1?}, p99 {p99:.1?}, max {max:.1?}")
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("sum", &self.sum())
            .field("p50", &self.p50())
            .field("p95", &self.p95())
            .field("p99", &self.p99())
            .field("max", &self.max())
            .finish()
    }
}

/// Buckets as in Gil Tene's `HdrHistogram`: `2^BITS` of equal width in each doubling, so that a
/// value is known to one part in `2^BITS`, and the middle of its bucket is off by half of that at
/// most. From 1 us to 71 minutes; what is longer counts as that. Below `2^BITS` us each microsecond
/// has its own bucket.
pub(crate) struct Scale<const BITS: u32>;

const DOUBLINGS: u32 = 32;

impl<const BITS: u32> Scale<BITS> {
    pub(crate) const BUCKETS: usize = ((DOUBLINGS - BITS + 1) << BITS) as usize;

    #[inline]
    pub(crate) fn bucket(nanos: u64) -> usize {
        let micros = u32::try_from(nanos / 1000).unwrap_or(u32::MAX);
        let doubling = (u32::BITS - micros.leading_zeros()).saturating_sub(BITS + 1);
        ((doubling << BITS) + (micros >> doubling)) as usize
    }

    /// The time that `share` of the `total` entries in `counts` do not exceed, told by the middle
    /// of its bucket.
    pub(crate) fn quantile(
        counts: impl Iterator<Item = u64>,
        total: u64,
        share: f64,
    ) -> Option<Duration> {
        // The rank of the value, from 1: at least `share` of all are at or below it.
        let rank = ((share * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut below = 0_u64;
        let reaches = |count: u64| {
            below = below.saturating_add(count);
            below >= rank
        };
        counts.map(reaches).position(|reached| reached).map(Self::middle)
    }

    fn middle(bucket: usize) -> Duration {
        let (low, width) = Self::span(bucket);
        Duration::from_micros(low + (width >> 1))
    }

    /// What all that is in the bucket is below.
    fn bound(bucket: usize) -> Duration {
        if bucket + 1 >= Self::BUCKETS {
            return Duration::MAX;
        }
        let (low, width) = Self::span(bucket);
        Duration::from_micros(low + width)
    }

    /// Where a bucket begins and how wide it is, in microseconds.
    fn span(bucket: usize) -> (u64, u64) {
        let doubling = (bucket >> BITS).saturating_sub(1);
        (((bucket - (doubling << BITS)) as u64) << doubling, 1 << doubling)
    }
}

#[inline]
pub(crate) fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(time.subsec_nanos()))
}

/// A histogram that threads add to without a lock.
#[derive(Default)]
pub(crate) struct SharedHistogram {
    /// Had with the first entry.
    counts: OnceLock<Box<[AtomicU64; Quarters::BUCKETS]>>,
    sum_nanos: AtomicU64,
    max_nanos: AtomicU64,
}

impl SharedHistogram {
    // Relaxed, here and below: counts that guard no other memory.
    pub(crate) fn add(&self, time: Duration) {
        let nanos = nanos(time);
        let none = || Box::new([const { AtomicU64::new(0) }; Quarters::BUCKETS]);
        if let Some(count) = self.counts.get_or_init(none).get(Quarters::bucket(nanos)) {
            count.fetch_add(1, Relaxed);
        }
        let more = |sum: u64| Some(sum.saturating_add(nanos));
        // Cannot fail: the closure always answers.
        let _ = self.sum_nanos.fetch_update(Relaxed, Relaxed, more);
        self.max_nanos.fetch_max(nanos, Relaxed);
    }

    /// Each count read for itself, so that an entry which is added meanwhile may be in some only.
    pub(crate) fn read(&self) -> Histogram {
        let mut read = Histogram::new();
        let Some(counts) = self.counts.get() else { return read };
        let counts: Vec<_> = counts.iter().map(|count| count.load(Relaxed)).collect();
        let highest = counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        read.grow(highest);
        read.counts.iter_mut().zip(counts).for_each(|(to, count)| *to = count);
        read.sum_nanos = self.sum_nanos.load(Relaxed);
        read.max_nanos = self.max_nanos.load(Relaxed);
        read
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: &[Duration]) -> Histogram {
        let mut histogram = Histogram::new();
        times.iter().for_each(|&time| histogram.add(time));
        histogram
    }

    fn off_by_a_part_at_most<const BITS: u32>() {
        for shift in 0..32_u32 {
            for near in [0_u32, 1, 3] {
                let micros = (1_u32 << shift).saturating_add(near << shift.saturating_sub(2));
                let bucket = Scale::<BITS>::bucket(u64::from(micros) * 1000);
                let found = Scale::<BITS>::middle(bucket).as_micros() as f64;
                let off = (found - f64::from(micros)).abs() / f64::from(micros);
                assert!(off <= 0.5_f64.powi(BITS as i32 + 1) + 1e-9, "{micros}: {found}");
            }
        }
        assert_eq!(Scale::<BITS>::bucket(0), 0);
        assert_eq!(Scale::<BITS>::bucket(u64::MAX), Scale::<BITS>::BUCKETS - 1);
    }

    #[test]
    fn every_value_is_off_by_half_a_bucket_at_most() {
        off_by_a_part_at_most::<2>();
        off_by_a_part_at_most::<3>();
    }

    #[test]
    fn buckets_join_without_a_gap_and_each_value_is_below_its_bound_only() {
        let bounds: Vec<_> = Histogram::new().buckets().map(|(bound, _)| bound).collect();
        assert_eq!(bounds.len(), Quarters::BUCKETS);
        assert!(bounds.is_sorted_by(|one, next| one < next));
        assert_eq!(bounds[0], Duration::from_micros(1));
        assert!(bounds[Quarters::BUCKETS - 2] > Duration::from_secs(3600));
        for (at, &bound) in bounds.iter().enumerate().take(Quarters::BUCKETS - 1) {
            assert_eq!(Quarters::bucket(nanos(bound) - 1), at);
            assert_eq!(Quarters::bucket(nanos(bound)), at + 1);
        }
        for power in 2..32 {
            assert!(bounds.contains(&Duration::from_micros(1 << power)), "{power}");
        }
    }

    #[test]
    fn nothing_added_is_no_memory_and_no_quantile() {
        let none = Histogram::new();
        assert_eq!((none.counts.capacity(), size_of::<Histogram>()), (0, 40));
        assert_eq!((none.count(), none.sum(), none.max()), (0, Duration::ZERO, None));
        assert_eq!((none.p50(), none.quantile(1.0)), (None, None));
        assert_eq!(none.to_string(), "none");
    }

    #[test]
    fn what_is_out_of_range_is_counted_all_the_same() {
        let all = of(&[Duration::ZERO, Duration::from_secs(90_000), Duration::MAX]);
        assert_eq!((all.count(), all.quantile(0.1)), (3, Some(Duration::ZERO)));
        assert_eq!((all.max(), all.sum()), (Some(Duration::from_nanos(u64::MAX)), all.longest()));
        assert!(all.p50() > Some(Duration::from_secs(3600)));
        for share in [f64::NAN, -1.0, 7.0, f64::INFINITY] {
            assert!(all.quantile(share).is_some(), "{share}");
        }
        assert_eq!(all.counts.capacity(), Quarters::BUCKETS);
        assert_eq!(all.buckets().last(), Some((Duration::MAX, 2)));
    }

    fn times() -> impl Strategy<Value = Vec<Duration>> {
        // Evenly over the doublings, up to 71 minutes.
        let time = (0_u32..42, any::<u64>())
            .prop_map(|(bits, random)| Duration::from_nanos(random & ((1 << bits) - 1)));
        prop::collection::vec(time, 1..200)
    }

    proptest! {
        #[test]
        fn a_quantile_is_the_right_entry_to_an_eighth(
            mut times in times(),
            share in 0.0..=1.0_f64,
        ) {
            let found = of(&times).quantile(share).unwrap();
            times.sort_unstable();
            let rank = ((share * times.len() as f64).ceil() as usize).clamp(1, times.len());
            let right = times[rank - 1];
            let off = found.abs_diff(right);
            prop_assert!(off <= (right / 8).max(Duration::from_micros(1)), "{found:?} {right:?}");
        }

        #[test]
        fn a_sum_of_two_is_the_histogram_of_all(one in times(), two in times()) {
            let mut sum = of(&one);
            sum += &of(&two);
            let all: Vec<_> = one.iter().chain(&two).copied().collect();
            prop_assert_eq!(&sum, &of(&all));
            prop_assert_eq!(sum.count(), all.len() as u64);
            prop_assert_eq!(sum.sum(), all.iter().sum());
            prop_assert_eq!(sum.max(), all.iter().max().copied());
            prop_assert_eq!(sum.buckets().map(|(_, count)| count).sum::<u64>(), sum.count());
        }

        #[test]
        fn one_that_is_shared_reads_the_same(times in times()) {
            let shared = SharedHistogram::default();
            times.iter().for_each(|&time| shared.add(time));
            prop_assert_eq!(shared.read(), of(&times));
        }
    }
}
