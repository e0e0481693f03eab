//! The last minutes of each key, for the page: a ring of samples.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use super::source::Look;
use crate::histogram::Histogram;
use crate::pool::Snapshot;

/// From one sample to the next.
pub(super) const STEP: Duration = Duration::from_secs(2);

/// Samples kept: five minutes.
const SAMPLES: usize = 150;

/// Most keys that have a history, so that neither memory nor answers grow without end. The page can
/// show no more anyway.
const KEYS: usize = 200;

/// Every so many samples the totals are kept, so many times: quantiles of waits are those since one
/// of these.
const MARK_EVERY: u64 = 5;
const MARKS: usize = 7;

/// Pools and keys over the last minutes.
#[derive(Default)]
pub(super) struct History(Mutex<Ring>);

/// The lock guards plain numbers; no user code runs under it.
#[derive(Default)]
struct Ring {
    /// How many samples there ever were. The last has this number less one.
    taken: u64,
    /// When the first was, in milliseconds since 1970.
    began: Option<i64>,
    last: Option<Instant>,
    times: VecDeque<i64>,
    keys: HashMap<(String, String), Series>,
}

struct Series {
    /// The number of the first sample in `points`; without a gap from there on.
    first: u64,
    points: VecDeque<Point>,
    /// The oldest first.
    marks: VecDeque<Mark>,
}

#[derive(Clone, Copy)]
struct Point {
    idle: usize,
    in_use: usize,
    waiting: usize,
    max_size: usize,
    waits: Quantiles,
}

#[derive(Default)]
struct Mark {
    wait: Histogram,
    gets: u64,
}

/// How long leases were waited for, in milliseconds, those had at once included; none if there were
/// no leases.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: Option<f64>,
    pub(super) p95: Option<f64>,
    pub(super) p99: Option<f64>,
}

/// What is told of all: the same number of samples for each key, null where it was not there.
#[derive(Serialize)]
pub(super) struct Told {
    step_seconds: f64,
    /// When the first sample ever was, so that a restart can be told.
    began: Option<i64>,
    /// What to ask for next time, to be told what is new.
    next: u64,
    /// When each sample was taken, in milliseconds since 1970.
    times: Vec<i64>,
}

#[derive(Default, Serialize)]
pub(super) struct ToldKey {
    idle: Vec<Option<usize>>,
    in_use: Vec<Option<usize>>,
    waiting: Vec<Option<usize>>,
    max_size: Vec<Option<usize>>,
    /// Each of the ten to twenty seconds before the sample.
    p50: Vec<Option<f64>>,
    p95: Vec<Option<f64>>,
    p99: Vec<Option<f64>>,
}

impl History {
    /// Whether it is time for a sample.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.0.lock().is_due(now)
    }

    /// Adds a sample, unless somebody else just did.
    pub(super) fn add(&self, pools: &[(&str, Look)], now: Instant, unix_ms: i64) {
        let mut ring = self.0.lock();
        if !ring.is_due(now) {
            return;
        }
        ring.last = Some(now);
        ring.began.get_or_insert(unix_ms);
        let number = ring.taken;
        ring.taken += 1;
        push(&mut ring.times, unix_ms, SAMPLES);
        for (pool, look) in pools {
            for (stats, key) in look.stats.keys.iter().zip(&look.keys) {
                ring.add(pool, &stats.key, &key.pool, number);
            }
        }
        // A key that is gone ends, one that came again begins anew.
        ring.keys.retain(|_, series| series.next() == number + 1);
    }

    pub(super) fn told(&self, since: u64) -> Told {
        let ring = self.0.lock();
        let skipped = ring.skipped(since);
        let times = ring.times.iter().skip(skipped).copied().collect();
        let (step_seconds, began) = (STEP.as_secs_f64(), ring.began);
        Told { step_seconds, began, next: ring.taken, times }
    }

    /// The same samples of a key, and its waits of about the last minute; none if it has no history.
    pub(super) fn told_key(
        &self,
        (pool, key): (&str, &str),
        told: &Told,
        now: &Snapshot,
    ) -> Option<(ToldKey, Quantiles)> {
        let ring = self.0.lock();
        let series = ring.keys.get(&(pool.to_owned(), key.to_owned()))?;
        let first = told.next.saturating_sub(told.times.len() as u64);
        let points = (first..told.next).map(|number| {
            let place = number.checked_sub(series.first)?;
            series.points.get(usize::try_from(place).ok()?).copied()
        });
        let mut shown = ToldKey::default();
        points.for_each(|point| shown.push(point));
        let minute = quantiles(series.marks.front(), now);
        Some((shown, minute))
    }
}

impl Ring {
    fn is_due(&self, now: Instant) -> bool {
        // A little early is better than one step late.
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= STEP * 9 / 10)
    }

    fn add(&mut self, pool: &str, key: &str, now: &Snapshot, number: u64) {
        let name = (pool.to_owned(), key.to_owned());
        if self.keys.len() >= KEYS && !self.keys.contains_key(&name) {
            return;
        }
        let none = || Series { first: number, points: VecDeque::new(), marks: VecDeque::new() };
        let series = self.keys.entry(name).or_insert_with(none);
        // The pool of a key that was evicted and came again counts from the start.
        if series.marks.back().is_none_or(|mark| mark.gets > now.stats.gets) {
            series.marks.clear();
            // So there is something to tell of at once: all since that start.
            series.marks.push_back(Mark::default());
        }
        // Of the one before the last, so that there are some waits to tell of.
        let before = series.marks.iter().rev().nth(1).or(series.marks.front());
        let point = Point {
            idle: now.stats.idle,
            in_use: now.stats.in_use,
            waiting: now.stats.waiting,
            max_size: now.stats.max_size,
            waits: quantiles(before, now),
        };
        if push(&mut series.points, point, SAMPLES) {
            series.first += 1;
        }
        if number % MARK_EVERY == 0 {
            let mark = Mark { wait: now.wait.clone(), gets: now.stats.gets };
            push(&mut series.marks, mark, MARKS);
        }
    }

    /// How many samples a caller has already.
    fn skipped(&self, since: u64) -> usize {
        let oldest = self.taken.saturating_sub(self.times.len() as u64);
        let skipped = since.saturating_sub(oldest);
        // Whoever knows of more than there is has lived through a restart, and is told all.
        if since > self.taken { 0 } else { usize::try_from(skipped).unwrap_or(usize::MAX) }
    }
}

impl Series {
    fn next(&self) -> u64 {
        self.first.saturating_add(self.points.len() as u64)
    }
}

impl ToldKey {
    fn push(&mut self, point: Option<Point>) {
        self.idle.push(point.map(|it| it.idle));
        self.in_use.push(point.map(|it| it.in_use));
        self.waiting.push(point.map(|it| it.waiting));
        self.max_size.push(point.map(|it| it.max_size));
        self.p50.push(point.and_then(|it| it.waits.p50));
        self.p95.push(point.and_then(|it| it.waits.p95));
        self.p99.push(point.and_then(|it| it.waits.p99));
    }
}

/// Adds at the end; says whether one at the front had to go.
fn push<T>(to: &mut VecDeque<T>, value: T, most: usize) -> bool {
    to.push_back(value);
    to.len() > most && to.pop_front().is_some()
}

/// Of the leases given out since `before`, or ever.
fn quantiles(before: Option<&Mark>, now: &Snapshot) -> Quantiles {
    let gets = now.stats.gets.saturating_sub(before.map_or(0, |mark| mark.gets));
    let earlier = before.map(|mark| &mark.wait);
    let waits: Vec<_> = match earlier {
        None => now.wait.buckets().collect(),
        Some(earlier) => {
            let pairs = now.wait.buckets().zip(earlier.buckets());
            pairs.map(|((bound, now), (_, before))| (bound, now.saturating_sub(before))).collect()
        }
    };
    let longest = now.wait.max().unwrap_or_default();
    let at = |share| quantile(&waits, gets, share, longest).map(millis);
    Quantiles { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}

/// As that of a histogram, over the `gets` of which those that are in no bucket did not wait.
fn quantile(
    waits: &[(Duration, u64)],
    gets: u64,
    share: f64,
    longest: Duration,
) -> Option<Duration> {
    if gets == 0 {
        return None;
    }
    let waited = waits.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    let rank = ((share * gets as f64).ceil() as u64).clamp(1, gets);
    let mut below = gets.saturating_sub(waited);
    let mut low = Duration::ZERO;
    if below >= rank {
        return Some(low);
    }
    for (bound, count) in waits {
        below = below.saturating_add(*count);
        if below >= rank {
            // The bucket's middle; the last has no end.
            return Some(((low + (*bound).min(longest.max(low))) / 2).min(longest));
        }
        low = *bound;
    }
    Some(longest)
}

/// To a hundredth.
pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: fn() -> Snapshot = || Snapshot::none("pool".into());

    /// So many leases more, of which these waited.
    fn lease(now: &mut Snapshot, gets: u64, waited_ms: &[u64]) {
        now.stats.gets += gets;
        waited_ms.iter().for_each(|ms| now.wait.add(Duration::from_millis(*ms)));
    }

    /// As `History::add` does with one pool of these keys.
    fn sample(ring: &mut Ring, keys: &[(&str, &Snapshot)]) {
        let number = ring.taken;
        ring.taken += 1;
        push(&mut ring.times, number as i64, SAMPLES);
        keys.iter().for_each(|(key, now)| ring.add("pool", key, now, number));
        ring.keys.retain(|_, series| series.next() == number + 1);
    }

    fn near(found: Option<f64>, right: f64) -> bool {
        found.is_some_and(|found| (found - right).abs() <= right / 8.0)
    }

    #[test]
    fn leases_had_at_once_count_as_no_wait() {
        let mut now = START();
        assert!(quantiles(None, &now).p99.is_none(), "of no leases");
        lease(&mut now, 100, &[]);
        assert_eq!(quantiles(None, &now).p99, Some(0.0));
        // Six of a hundred waited.
        lease(&mut now, 0, &[200, 200, 200, 200, 200, 3000]);
        let all = quantiles(None, &now);
        assert_eq!(all.p50, Some(0.0));
        assert!(near(all.p95, 200.0) && near(all.p99, 200.0), "{:?}", (all.p95, all.p99));
        lease(&mut now, 0, &[3000]);
        assert!(near(quantiles(None, &now).p99, 3000.0));
    }

    #[test]
    fn old_waits_leave_the_window() {
        let (mut ring, mut now) = (Ring::default(), START());
        lease(&mut now, 10, &[5000; 10]);
        sample(&mut ring, &[("a", &now)]);
        let p50 = |ring: &Ring| {
            let series = ring.keys.values().next().unwrap();
            series.points.back().unwrap().waits.p50
        };
        assert!(near(p50(&ring), 5000.0), "there is something to tell at once");
        for _ in 0..2 * MARK_EVERY {
            lease(&mut now, 1, &[]);
            sample(&mut ring, &[("a", &now)]);
        }
        assert_eq!(p50(&ring), Some(0.0));
        for _ in 0..MARKS as u64 * MARK_EVERY {
            sample(&mut ring, &[("a", &now)]);
        }
        assert_eq!(p50(&ring), None, "no leases for a while");
    }

    #[test]
    fn it_keeps_five_minutes_and_tells_what_is_new() {
        let history = History::default();
        for number in 0..SAMPLES + 50 {
            let mut now = START();
            now.stats.in_use = number;
            sample(&mut history.0.lock(), &[("a", &now)]);
        }
        let last = (SAMPLES + 50) as u64;
        let told = history.told(0);
        assert_eq!((told.next, told.times.len(), told.times[0]), (last, SAMPLES, 50));
        let (key, _) = history.told_key(("pool", "a"), &told, &START()).unwrap();
        assert_eq!((key.in_use.len(), key.in_use[0]), (SAMPLES, Some(50)));
        for (since, expected) in [(last - 2, 2), (last, 0), (last + 1, SAMPLES)] {
            let told = history.told(since);
            let (key, _) = history.told_key(("pool", "a"), &told, &START()).unwrap();
            assert_eq!((told.times.len(), key.p50.len()), (expected, expected), "{since}");
        }
    }

    #[test]
    fn a_key_that_comes_later_has_a_gap_and_one_that_goes_is_forgotten() {
        let history = History::default();
        sample(&mut history.0.lock(), &[("a", &START())]);
        sample(&mut history.0.lock(), &[("b", &START())]);
        let told = history.told(0);
        assert!(history.told_key(("pool", "a"), &told, &START()).is_none());
        let (key, _) = history.told_key(("pool", "b"), &told, &START()).unwrap();
        assert_eq!(key.waiting, [None, Some(0)]);
    }

    #[test]
    fn a_pool_that_was_made_anew_counts_from_its_start() {
        let (mut ring, mut now) = (Ring::default(), START());
        lease(&mut now, 500, &[10; 400]);
        (0..12).for_each(|_| sample(&mut ring, &[("a", &now)]));
        let mut anew = START();
        lease(&mut anew, 2, &[900, 900]);
        sample(&mut ring, &[("a", &anew)]);
        let series = ring.keys.values().next().unwrap();
        assert!(near(series.points.back().unwrap().waits.p50, 900.0));
    }

    #[test]
    fn the_keys_that_have_a_history_are_bounded() {
        let (mut ring, now) = (Ring::default(), START());
        let names: Vec<_> = (0..KEYS + 20).map(|number| number.to_string()).collect();
        let keys: Vec<_> = names.iter().map(|name| (name.as_str(), &now)).collect();
        sample(&mut ring, &keys);
        assert_eq!(ring.keys.len(), KEYS);
    }

    #[test]
    fn a_sample_is_due_once_a_step() {
        let (history, now) = (History::default(), Instant::now());
        assert!(history.is_due(now));
        history.add(&[], now, 0);
        history.add(&[], now + STEP / 2, 0);
        assert!(!history.is_due(now + STEP / 2) && history.is_due(now + STEP));
        assert_eq!(history.told(0).next, 1);
    }
}
