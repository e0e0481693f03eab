//! What is measured of one endpoint while it serves, to be read without the lock.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock::Time;

/// Written under the lock of the books only, read by strategies without it. A reading may mix two
/// moments, which a choice does not mind. Relaxed throughout: it guards no other memory.
#[derive(Debug)]
pub(super) struct Load {
    in_use: AtomicUsize,
    /// In seconds, as bits; not a number before the first.
    ewma: AtomicU64,
    peak: AtomicU64,
    /// When both were last fed.
    fed: AtomicU64,
}

impl Load {
    pub(super) fn new() -> Self {
        let none = || AtomicU64::new(f64::NAN.to_bits());
        Self { in_use: AtomicUsize::new(0), ewma: none(), peak: none(), fed: AtomicU64::new(0) }
    }

    pub(super) fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) {
        self.in_use.store(self.in_use().saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_use.store(self.in_use().saturating_sub(1), Ordering::Relaxed);
    }

    /// The mean latency, in seconds, what is older weighing less.
    pub(super) fn ewma(&self) -> Option<f64> {
        number(&self.ewma)
    }

    /// The latency, in seconds, with peaks taken at once and forgotten slowly, as of `now`.
    pub(super) fn peak(&self, now: Time, decay: Duration) -> Option<f64> {
        number(&self.peak).map(|peak| peak * self.kept(now, decay))
    }

    /// Both are means over time, not over calls: what came `t` ago weighs `e^(-t / decay)`. The peak
    /// follows Finagle's `PeakEwma`: it jumps to what is above it.
    pub(super) fn feed(&self, latency: Duration, now: Time, decay: Duration) {
        let latency = latency.as_secs_f64();
        let kept = self.kept(now, decay);
        let toward = |old: f64| old * kept + latency * (1.0 - kept);
        let ewma = self.ewma().map_or(latency, toward);
        let peak = number(&self.peak).map_or(latency, |old| toward(old).max(latency));
        self.ewma.store(ewma.to_bits(), Ordering::Relaxed);
        self.peak.store(peak.to_bits(), Ordering::Relaxed);
        self.fed.store(now.to_bits(), Ordering::Relaxed);
    }

    /// For a call that failed. One that failed slowly took at least so long; one that failed fast
    /// must not make its endpoint look fast. Before the first measurement only a time-out is known
    /// to have been slow.
    pub(super) fn feed_failed(&self, took: Duration, timed_out: bool, now: Time, decay: Duration) {
        if self.peak(now, decay).map_or(timed_out, |peak| took.as_secs_f64() > peak) {
            self.feed(took, now, decay);
        }
    }

    fn kept(&self, now: Time, decay: Duration) -> f64 {
        let age = now.since(Time::from_bits(self.fed.load(Ordering::Relaxed)));
        (-age.as_secs_f64() / decay.as_secs_f64()).exp()
    }
}

fn number(bits: &AtomicU64) -> Option<f64> {
    let number = f64::from_bits(bits.load(Ordering::Relaxed));
    (!number.is_nan()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: Duration = Duration::from_secs(10);
    const SECS: fn(u64) -> Duration = Duration::from_secs;
    const AT: fn(u64) -> Time = |secs| Time::from_secs(3600 + secs);

    #[test]
    fn a_peak_is_taken_at_once_and_forgotten_slowly() {
        let load = Load::new();
        assert_eq!((load.ewma(), load.peak(AT(0), DECAY)), (None, None));
        load.feed(SECS(1), AT(0), DECAY);
        load.feed(SECS(8), AT(1), DECAY);
        assert_eq!(load.peak(AT(1), DECAY), Some(8.0));
        assert!(load.ewma().unwrap() < 2.0, "the mean follows slowly");
        let later = load.peak(AT(11), DECAY).unwrap();
        assert!((later - 8.0 / std::f64::consts::E).abs() < 1e-9, "{later}");
    }

    #[test]
    fn fast_failures_do_not_make_an_endpoint_look_fast_and_slow_ones_make_it_slow() {
        let load = Load::new();
        load.feed_failed(SECS(1), false, AT(0), DECAY);
        assert_eq!(load.ewma(), None);
        load.feed(SECS(4), AT(0), DECAY);
        load.feed_failed(SECS(1), true, AT(0), DECAY);
        assert_eq!(load.peak(AT(0), DECAY), Some(4.0));
        load.feed_failed(SECS(9), false, AT(0), DECAY);
        assert_eq!(load.peak(AT(0), DECAY), Some(9.0));
        let unknown = Load::new();
        unknown.feed_failed(SECS(30), true, AT(0), DECAY);
        assert_eq!(unknown.peak(AT(0), DECAY), Some(30.0));
    }
}
