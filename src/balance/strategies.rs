//! The strategies that come with the crate.

use parking_lot::Mutex;

use super::strategy::{Candidate, Candidates, Draw, Strategy};

/// One after the other. With weights, the smooth round robin of nginx (`ngx_http_upstream` since
/// 1.3.1): weights of 5, 1 and 1 give a a b a c a a, and not five a in a row. For one balancer only.
#[derive(Debug, Default)]
pub struct RoundRobin(Mutex<Turns>);

#[derive(Debug, Default)]
struct Turns {
    next: usize,
    /// By endpoint: how much it is owed.
    owed: Vec<f64>,
}

impl RoundRobin {
    /// Begins with the first endpoint.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Strategy for RoundRobin {
    fn pick(&self, candidates: &Candidates<'_>, _: &Draw<'_>) -> usize {
        let mut turns = self.0.lock();
        if candidates.equal_weights() {
            let at = turns.next % candidates.len().max(1);
            turns.next = at + 1;
            return at;
        }
        let (mut most, mut total) = ((0, 0, f64::NEG_INFINITY), 0.0);
        for (at, one) in candidates.iter().enumerate() {
            let index = one.index();
            if turns.owed.len() <= index {
                turns.owed.resize(index + 1, 0.0);
            }
            turns.owed[index] += one.weight();
            total += one.weight();
            if turns.owed[index] > most.2 {
                most = (at, index, turns.owed[index]);
            }
        }
        if let Some(owed) = turns.owed.get_mut(most.1) {
            *owed -= total;
        }
        most.0
    }
}

/// Any, each as often as its weight says.
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightedRandom;

impl Strategy for WeightedRandom {
    fn pick(&self, candidates: &Candidates<'_>, draw: &Draw<'_>) -> usize {
        if candidates.equal_weights() {
            return draw.below(candidates.len());
        }
        let total: f64 = candidates.iter().map(|one| one.weight()).sum();
        let mut left = draw.fraction() * total;
        for (at, one) in candidates.iter().enumerate() {
            left -= one.weight();
            if left < 0.0 {
                return at;
            }
        }
        // Sums of fractions may miss by a hair.
        candidates.len().saturating_sub(1)
    }
}

/// The one that serves the fewest calls; of several, by chance, each as often as its weight says.
/// Looks at all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastInUse;

impl Strategy for LeastInUse {
    fn pick(&self, candidates: &Candidates<'_>, draw: &Draw<'_>) -> usize {
        let (mut best, mut least, mut weights) = (0, usize::MAX, 0.0);
        for (at, one) in candidates.iter().enumerate() {
            let in_use = one.in_use();
            if in_use > least {
                continue;
            }
            if in_use < least {
                (least, weights) = (in_use, 0.0);
            }
            // Each is kept with its share of those so far, which comes to its share of all.
            weights += one.weight();
            if draw.fraction() * weights < one.weight() {
                best = at;
            }
        }
        best
    }
}

/// Of two drawn by chance, the one that serves fewer calls for its weight. Nearly as good as the
/// least of all, for the price of looking at two however many there are, and threads that choose
/// at the same moment do not all choose the same (M. Mitzenmacher, *The Power of Two Choices in
/// Randomized Load Balancing*, IEEE TPDS 12, 2001). A call that is about to come is counted, so
/// that weights matter to idle endpoints too.
#[derive(Clone, Copy, Debug, Default)]
pub struct PowerOfTwo;

impl Strategy for PowerOfTwo {
    fn pick(&self, candidates: &Candidates<'_>, draw: &Draw<'_>) -> usize {
        better_of_two(candidates, draw, |one| (one.in_use() + 1) as f64 / one.weight())
    }
}

/// Of two drawn by chance, the one where a call is likely to take less time: latency times the
/// calls it would serve then, for its weight. A latency that rises counts at once, one that falls
/// slowly, by [`decay`](super::BalanceConfig#structfield.decay); so an endpoint that was slow is
/// tried again now and then. One not yet measured gets one call, and more only where the other is
/// not measured either.
///
/// After `PeakEwma` of Twitter's Finagle (`com.twitter.finagle.loadbalancer.p2c`), which Linkerd
/// took over.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeakEwma;

/// Of an endpoint that serves calls and has answered none: seconds, more than any call takes.
const UNKNOWN: f64 = 1e9;

impl Strategy for PeakEwma {
    fn pick(&self, candidates: &Candidates<'_>, draw: &Draw<'_>) -> usize {
        better_of_two(candidates, draw, |one| {
            let (calls, weight) = (one.in_use() as f64, one.weight());
            match one.peak_secs() {
                Some(peak) => peak * (calls + 1.0) / weight,
                None if calls == 0.0 => 0.0,
                None => UNKNOWN * calls / weight,
            }
        })
    }
}

/// The first that is ready, by [`order`](super::Endpoint#structfield.order); of several of one order,
/// the one given first. The others serve only while it rests or is at a
/// limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Priority;

impl Strategy for Priority {
    fn pick(&self, candidates: &Candidates<'_>, _: &Draw<'_>) -> usize {
        let (mut best, mut first) = (0, (u32::MAX, usize::MAX));
        for (at, one) in candidates.iter().enumerate() {
            let place = (one.order(), one.index());
            if place < first {
                (best, first) = (at, place);
            }
        }
        best
    }
}

/// The same endpoint for the same key, for as long as it is well: a conversation finds the prompt
/// cache that it filled. When an endpoint rests, only its own conversations move, and they come back
/// with it. Calls without a key go by [`PowerOfTwo`].
/// While an endpoint is at a limit, a call of its own goes to the next in its line (V. Mirrokni and
/// others, *Consistent Hashing with Bounded Loads*, SODA 2018) rather than wait.
///
/// Rendezvous hashing (D. Thaler, C. Ravishankar, *Using Name-Based Mappings to Increase Hit
/// Rates*, IEEE/ACM ToN 6, 1998), with weights after C. Schindelhauer, G. Schomaker, *Weighted
/// Distributed Hash Tables*, SPAA 2005: the highest `-weight / ln(u)`, where `u` is a number from 0
/// to 1 made of key and name. Looks at all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sticky;

impl Strategy for Sticky {
    fn pick(&self, candidates: &Candidates<'_>, draw: &Draw<'_>) -> usize {
        let Some(key) = draw.key() else { return PowerOfTwo.pick(candidates, draw) };
        let score = |one: &Candidate<'_>| -one.weight() / one.affinity(key).ln();
        let mut best = (0, f64::NEG_INFINITY);
        for (at, one) in candidates.iter().enumerate() {
            let score = score(&one);
            if score > best.1 {
                best = (at, score);
            }
        }
        best.0
    }
}

/// The one of lower cost; the one drawn first if they are equal.
fn better_of_two(
    candidates: &Candidates<'_>,
    draw: &Draw<'_>,
    cost: impl Fn(Candidate<'_>) -> f64,
) -> usize {
    let len = candidates.len();
    if len < 2 {
        return 0;
    }
    let first = draw.below(len);
    let mut second = draw.below(len - 1);
    if second >= first {
        second += 1;
    }
    let cost = |at| candidates.get(at).map_or(f64::INFINITY, &cost);
    if cost(second) < cost(first) { second } else { first }
}
