//! What one series of each family is read from.

use std::ops::AddAssign;

use crate::balance::{Cause, EndpointStats, Health};
use crate::keyed::KeyedSnapshot;
use crate::pool::{RequestStats, Snapshot};

/// A pool, the sum of a keyed pool, or the keys of one series.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) pool: Snapshot,
    pub(super) requests: RequestStats,
    /// Of the sum of a keyed pool.
    pub(super) keys: Option<Keys>,
}

impl Default for Row {
    fn default() -> Self {
        Self { pool: Snapshot::none("".into()), requests: RequestStats::default(), keys: None }
    }
}

impl Row {
    pub(super) fn add_totals(&mut self, other: &Self) {
        self.pool.add_totals(&other.pool);
        self.requests += &other.requests;
    }
}

impl AddAssign<&Self> for Row {
    fn add_assign(&mut self, other: &Self) {
        self.pool += &other.pool;
        self.requests += &other.requests;
        match (&mut self.keys, &other.keys) {
            (Some(keys), Some(more)) => *keys += more,
            (none @ None, more) => none.clone_from(more),
            (Some(_), None) => {}
        }
    }
}

/// What a keyed pool has beyond the sum of its pools.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) there: u64,
    pub(super) max: u64,
    pub(super) made: u64,
    pub(super) evicted: u64,
    /// `None` without a limit, also if one of several has none.
    pub(super) max_in_use: Option<u64>,
}

impl Keys {
    pub(super) fn of<K>(KeyedSnapshot { keys, stats, .. }: &KeyedSnapshot<K>) -> Self {
        Self {
            there: count(keys.len()),
            max: count(stats.max_pools),
            made: stats.pools_made,
            evicted: stats.pools_evicted,
            max_in_use: stats.max_total.map(count),
        }
    }
}

impl AddAssign<&Self> for Keys {
    fn add_assign(&mut self, other: &Self) {
        let Self { there, max, made, evicted, max_in_use } = other;
        let add = |sum: &mut u64, more: &u64| *sum = sum.saturating_add(*more);
        add(&mut self.there, there);
        add(&mut self.max, max);
        add(&mut self.made, made);
        add(&mut self.evicted, evicted);
        let both = self.max_in_use.zip(*max_in_use);
        self.max_in_use = both.map(|(sum, more)| sum.saturating_add(more));
    }
}

/// An endpoint of a group.
#[derive(Default)]
pub(super) struct EndpointRow {
    pub(super) picks: u64,
    pub(super) successes: u64,
    /// In the order of [`Cause::ALL`].
    pub(super) failures: [u64; CAUSES],
    pub(super) abandoned: u64,
    pub(super) in_use: u64,
    pub(super) max_in_use: Option<u64>,
    pub(super) rests: u64,
    pub(super) well: u64,
    pub(super) resting: u64,
    pub(super) probing: u64,
}

const CAUSES: usize = Cause::ALL.len();

/// The same endpoint of a balancer that was added under the same name.
impl AddAssign<&EndpointStats> for EndpointRow {
    fn add_assign(&mut self, other: &EndpointStats) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.picks, other.picks);
        add(&mut self.successes, other.successes);
        for (sum, cause) in self.failures.iter_mut().zip(Cause::ALL) {
            add(sum, other.failures.of(*cause));
        }
        add(&mut self.abandoned, other.abandoned);
        add(&mut self.in_use, count(other.in_use));
        if let Some(max) = other.max_in_use {
            add(self.max_in_use.get_or_insert_default(), count(max));
        }
        add(&mut self.rests, other.rests);
        let state = match other.health {
            Health::Well => &mut self.well,
            Health::Resting { .. } => &mut self.resting,
            Health::Probing => &mut self.probing,
        };
        add(state, 1);
    }
}

pub(super) fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}
