//! What a strategy is, and what it sees.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Time;

use super::load::Load;
use super::random::{Random, fraction, mix};

/// Chooses which endpoint serves a call.
///
/// It runs without a lock and may run on many threads at once; what it reads may be a moment old.
/// One that keeps something between calls is for one balancer only.
///
/// ```
/// use llm_pool::balance::{Candidates, Draw, Strategy};
///
/// /// The one that has been fastest.
/// #[derive(Debug)]
/// struct Fastest;
///
/// impl Strategy for Fastest {
///     fn pick(&self, candidates: &Candidates<'_>, _: &Draw<'_>) -> usize {
///         let fastest = candidates.iter().enumerate().min_by_key(|(_, one)| one.latency());
///         fastest.map_or(0, |(at, _)| at)
///     }
/// }
/// ```
pub trait Strategy: fmt::Debug + Send + Sync + 'static {
    /// The place, among `candidates`, of the one that shall serve the call. There is at least one.
    ///
    /// A place that does not exist, or a panic, has the first candidate serve, and is logged once.
    fn pick(&self, candidates: &Candidates<'_>, draw: &Draw<'_>) -> usize;
}

/// What an endpoint is, apart from how it does.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) name: Arc<str>,
    /// Of the name.
    pub(super) hash: u64,
    pub(super) weight: Weight,
    pub(super) order: u32,
}

/// One that can change. Relaxed: it guards no other memory, and a pick may go by the old one.
#[derive(Debug)]
pub(super) struct Weight(AtomicU64);

impl Weight {
    pub(super) fn new(weight: f64) -> Self {
        Self(AtomicU64::new(weight.to_bits()))
    }

    pub(super) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, weight: f64) {
        self.0.store(weight.to_bits(), Ordering::Relaxed);
    }
}

/// The endpoints that can serve a call: they are well, and the call has not tried them. In the order
/// they were given; after them, for a call with a sticky key, those that wait for a probe.
///
/// Nothing is copied: what is not looked at costs nothing.
#[derive(Clone, Copy)]
pub struct Candidates<'a> {
    pub(super) fixed: &'a [Fixed],
    pub(super) loads: &'a [Load],
    /// Which of them are candidates.
    pub(super) places: &'a [u32],
    /// From here on they wait for a probe.
    pub(super) well: usize,
    pub(super) equal_weights: bool,
    pub(super) now: Time,
    pub(super) decay: Duration,
}

impl<'a> Candidates<'a> {
    /// How many there are, at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The one at a place, from 0.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<Candidate<'a>> {
        let index = *self.places.get(at)? as usize;
        Some(Candidate {
            fixed: self.fixed.get(index)?,
            load: self.loads.get(index)?,
            index,
            waits_for_probe: at >= self.well,
            now: self.now,
            decay: self.decay,
        })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Candidate<'a>> + use<'a> {
        let all = *self;
        (0..all.len()).filter_map(move |at| all.get(at))
    }

    /// Whether all endpoints of the balancer have one weight.
    #[must_use]
    pub fn equal_weights(&self) -> bool {
        self.equal_weights
    }
}

impl fmt::Debug for Candidates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// An endpoint that can serve a call.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    fixed: &'a Fixed,
    load: &'a Load,
    index: usize,
    waits_for_probe: bool,
    now: Time,
    decay: Duration,
}

impl<'a> Candidate<'a> {
    /// Its place among all endpoints of the balancer, which never changes.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.fixed.name
    }

    /// Its weight, above 0.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.fixed.weight.get()
    }

    /// Its place in order of preference, lower ones first.
    #[must_use]
    pub fn order(&self) -> u32 {
        self.fixed.order
    }

    /// How many calls it serves now.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.load.in_use()
    }

    /// Its mean latency, older calls weighing less; `None` before the first.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.load.ewma().map(duration)
    }

    /// Its latency as [`PeakEwma`](super::PeakEwma) sees it: peaks at once, forgotten by
    /// [`decay`](super::BalanceConfig#structfield.decay); `None` before the first.
    #[must_use]
    pub fn peak_latency(&self) -> Option<Duration> {
        self.peak_secs().map(duration)
    }

    /// Whether its rest is over and this call would find out how it is.
    #[must_use]
    pub fn waits_for_probe(&self) -> bool {
        self.waits_for_probe
    }

    /// A number made of the sticky key `key` and this endpoint's name, at least 0 and less than 1:
    /// always the same for the same two.
    #[must_use]
    pub fn affinity(&self, key: u64) -> f64 {
        fraction(mix(self.fixed.hash ^ mix(key)))
    }

    pub(super) fn peak_secs(&self) -> Option<f64> {
        self.load.peak(self.now, self.decay)
    }
}

impl fmt::Debug for Candidate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("name", &self.name())
            .field("weight", &self.weight())
            .field("order", &self.order())
            .field("in_use", &self.in_use())
            .field("latency", &self.latency())
            .field("peak_latency", &self.peak_latency())
            .field("waits_for_probe", &self.waits_for_probe)
            .finish_non_exhaustive()
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Chance, and what the call said of itself.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    pub(super) random: &'a Random,
    pub(super) key: Option<u64>,
}

impl Draw<'_> {
    /// The call's sticky key, if it has one.
    #[must_use]
    pub fn key(&self) -> Option<u64> {
        self.key
    }

    /// A random number, at least 0 and less than `n`; 0 for `n` of 0.
    #[must_use]
    pub fn below(&self, n: usize) -> usize {
        self.random.below(n)
    }

    /// A random number, at least 0 and less than 1.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        self.random.fraction()
    }
}
